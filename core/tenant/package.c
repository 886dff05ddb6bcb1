/* SPDX-License-Identifier: Apache-2.0 */
/* add --cert: the node's certificate, the pair that signs revocations, and the archive that carries them to the node. */
#include <limits.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "file.h"
#include "folder.h"
#include "settings.h"
#include "tenant.h"

#define say_ca(...) ql_say("keylime.ca-util", "INFO", __VA_ARGS__)

void ql_package_done(struct ql_package *p)
{
    ql_secret_free(p->zip);
    ql_secret_free(p->revocation_key);
    free(p->metadata);
    *p = (struct ql_package){0};
}

static bool same_folder(const char *a, const char *b)
{
    char real_a[PATH_MAX], real_b[PATH_MAX];

    return realpath(a, real_a) && realpath(b, real_b) && strcmp(real_a, real_b) == 0;
}

/* A node with a certificate of the servers' own CA would be their administrator. */
static int check_dir(struct ql_tenant *t, const char *dir, struct ql_err *err)
{
    ql_auto_free char *own = ql_path_join(t->state_dir, "cv_ca"),
                      *tls_dir = ql_path_join(t->state_dir, ql_config_string(t->config, "tenant", "tls_dir"));

    if (!own || !tls_dir)
        return ql_fail_nomem(err);
    return same_folder(dir, own) || same_folder(dir, tls_dir)
               ? ql_fail(err, QL_EACCES,
                         "%s is the CA of the servers: whoever has a certificate of it administers them; use "
                         "another folder for --cert",
                         dir)
               : QL_OK;
}

static int create(struct ql_ca_folder *f, const char *name, struct ql_err *err)
{
    int r = ql_ca_folder_create(f, name, false, false, err);

    if (r == QL_OK)
        say_ca("Created certificate for name %s successfully in %s", name, f->dir);
    return r;
}

/* A certificate that is revoked or over is no use to a node that is added now. */
static bool is_stale(const struct ql_ca_folder *f, const char *name)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    uint64_t serial = 0;

    return ql_ca_folder_cert(f, name, &cert, NULL) == QL_OK && ql_cert_serial(cert, &serial, NULL) == QL_OK &&
           (ql_ca_is_revoked(f->ca, serial) || ql_cert_not_after_ns(cert) < ql_now_ns());
}

/* What is missing is made. The pair of the revocations stays whatever its date: other nodes have its certificate. */
static int complete(struct ql_ca_folder *f, const char *name, struct ql_err *err)
{
    int r = QL_OK;

    if (!f->ca) {
        ql_say_warning("CA directory does not exist. Creating...");
        r = ql_ca_folder_init(f, false, err);
        if (r == QL_OK)
            say_ca("CA certificate created successfully in %s", f->dir);
    }
    if (r == QL_OK && (!ql_ca_folder_has(f, name) || is_stale(f, name)))
        r = create(f, name, err);
    if (r == QL_OK && !ql_ca_folder_has(f, QL_CA_NOTIFIER))
        r = create(f, QL_CA_NOTIFIER, err);
    return r;
}

static int metadata(const struct ql_ca_folder *f, const char *name, char **ret, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    ql_auto_free char *subject = NULL, *text = NULL;
    ql_auto_json json_t *object = NULL;
    uint64_t serial = 0;
    int r = ql_ca_folder_cert(f, name, &cert, err);

    if (r == QL_OK)
        r = ql_cert_serial(cert, &serial, err);
    if (r < 0)
        return r;
    subject = ql_cert_subject(cert);
    object = subject ? json_pack("{s:I, s:s}", "cert_serial", (json_int_t)serial, "subject", subject) : NULL;
    text = object ? ql_json_text_spaced(object) : NULL;
    if (!text)
        return ql_fail_nomem(err);
    *ret = ql_steal(text);
    return QL_OK;
}

static int include(struct ql_tenant *t, struct ql_bundle *bundle, struct ql_err *err)
{
    const char *path = ql_arg(t->args, QL_ARG_INCLUDE);
    size_t count = 0;
    int r = path ? ql_bundle_include(bundle, path, &count, err) : QL_OK;

    if (r == QL_OK && path)
        ql_say_info("Included %zu files of %s", count, path);
    return r;
}

static int pack(struct ql_tenant *t, const struct ql_ca_folder *f, struct ql_package *p, struct ql_err *err)
{
    ql_auto(ql_bundle_freep) struct ql_bundle *bundle = NULL;
    int r = ql_ca_folder_bundle(f, t->agent_id, true, &bundle, err);

    if (r == QL_OK)
        r = ql_ca_folder_add_file(f, bundle, QL_CA_NOTIFIER, "-cert.crt", err);
    if (r == QL_OK)
        r = include(t, bundle, err);
    if (r == QL_OK)
        r = ql_bundle_end(bundle, &p->zip, err);
    if (r == QL_OK)
        r = ql_ca_folder_key(f, QL_CA_NOTIFIER, true, &p->revocation_key, err);
    return r == QL_OK ? metadata(f, t->agent_id, &p->metadata, err) : r;
}

static int work(struct ql_tenant *t, const char *dir, const struct ql_config *config, struct ql_package *p,
                struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *password = NULL;
    struct ql_ca_profile profile;
    struct ql_ca_folder folder = {.lock = -1};
    int r = ql_ca_profile_read(config, NULL, &profile, err);

    if (r == QL_OK)
        r = ql_ca_password(config, NULL, &password, err);
    if (r == QL_OK)
        r = ql_ca_folder_open(dir, password, &profile, &folder, err);
    if (r < 0)
        return r;
    r = complete(&folder, t->agent_id, err);
    if (r == QL_OK)
        r = pack(t, &folder, p, err);
    ql_ca_folder_close(&folder);
    return r;
}

int ql_package_make(struct ql_tenant *t, struct ql_package *ret, struct ql_err *err)
{
    const char *given = ql_arg(t->args, QL_ARG_CERT);
    ql_auto_free char *dir = strcmp(given, "default") == 0 ? ql_path_join(t->state_dir, "ca") : strdup(given);
    ql_auto(ql_config_freep) struct ql_config *config = NULL;
    struct ql_package p = {0};
    int r = dir ? check_dir(t, dir, err) : ql_fail_nomem(err);

    if (r == QL_OK && !ql_ca_name_ok(t->agent_id))
        r = ql_fail(err, QL_ERANGE, "%s is no name for a certificate", t->agent_id);
    if (r == QL_OK)
        r = ql_config_load("ca", ql_ca_options, t->config_dir, NULL, 0, &config, err);
    if (r == QL_OK)
        r = ql_config_finish(config, err);
    if (r == QL_OK)
        r = work(t, dir, config, &p, err);
    if (r < 0) {
        ql_package_done(&p);
        return ql_fail_context(err, r, "--cert");
    }
    *ret = p;
    return QL_OK;
}
