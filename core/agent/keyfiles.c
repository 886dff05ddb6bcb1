/* SPDX-License-Identifier: Apache-2.0 */
/* Payload key, listener's key and certificate (spec/agent.md 1.11). */
#include <string.h>

#include "agent.h"
#include "cert.h"
#include "clock.h"
#include "error.h"
#include "file.h"
#include "log.h"
#include "parse.h"

enum {
    KEY_FILE_MAX = 64 * 1024,
    CERT_FILE_MAX = 256 * 1024,
    NK_BITS = 2048,
    CERT_DAYS = 365
};

typedef int (*make_key)(struct ql_key **ret, struct ql_err *err);

static int make_nk(struct ql_key **ret, struct ql_err *err)
{
    return ql_key_generate_rsa(NK_BITS, ret, err);
}

static int make_mtls(struct ql_key **ret, struct ql_err *err)
{
    return ql_key_generate_ec(QL_P256, ret, err);
}

/** Read a private key, or make it where there is no file. */
static int key_file(const char *path, const struct ql_secret *password, make_key make, struct ql_key **ret,
                    struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    ql_auto(ql_secret_freep) struct ql_secret *pem = NULL;
    uint8_t *text = NULL;
    size_t len = 0;
    int r = ql_file_read(path, KEY_FILE_MAX, &text, &len, err);

    if (r == 0) {
        r = ql_key_from_private_pem((const char *)text, len, password, ret, err);
        ql_wipe(text, len);
        free(text);
        return r < 0 ? ql_fail_context(err, r, "%s", path) : QL_OK;
    }
    if (r != QL_ENOTFOUND)
        return r;
    r = make(&key, err);
    if (r == 0)
        r = ql_key_private_pem(key, password, &pem, err);
    if (r == 0)
        r = ql_file_write(path, 0600, ql_secret_data(pem), ql_secret_len(pem), err);
    if (r < 0)
        return r;
    ql_log(QL_INFO, "keys", "made a new key: %s", path);
    *ret = ql_steal(key);
    return QL_OK;
}

static int nk_setup(struct ql_agent *a, struct ql_err *err)
{
    ql_auto_free char *path = ql_agent_path(a, "payload_key", "payload-private.pem");
    ql_auto(ql_secret_freep) struct ql_secret *password = NULL;
    int r;

    if (!path)
        return ql_fail_nomem(err);
    r = ql_agent_password(a, "payload_key_password", &password, err);
    if (r == 0)
        r = key_file(path, password, make_nk, &a->nk, err);
    if (r < 0)
        return r;
    if (!ql_key_is_rsa(a->nk) || ql_key_bits(a->nk) != NK_BITS)
        return ql_fail(err, QL_ERANGE, "%s: the payload key must be RSA %d", path, NK_BITS);
    a->nk_pem = ql_key_public_pem(a->nk);
    if (!a->nk_pem)
        return ql_fail_nomem(err);
    if (ql_digest_once(a->bank, a->nk_pem, strlen(a->nk_pem), a->nk_digest) < 0)
        return ql_fail(err, QL_ECRYPTO, "payload key: %s failed", a->algs.hash);
    return QL_OK;
}

/** Is it an address that belongs under iPAddress? Everything else is a name. */
static bool is_address(const char *host)
{
    return strchr(host, ':') || host[strspn(host, "0123456789.")] == '\0';
}

static int make_cert(const struct ql_agent *a, const struct ql_key *key, const char *path,
                     struct ql_cert **ret, struct ql_err *err)
{
    const char *dns[4] = {"localhost", "localhost.domain"}, *ips[4] = {"127.0.0.1", "::1"};
    const struct ql_cert_profile profile = {
        .subject = {.common_name = a->id}, .days = CERT_DAYS, .for_server = true, .dns = dns, .ips = ips};
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    ql_auto_free char *pem = NULL;
    int r;

    if (is_address(a->host)) {
        if (strcmp(a->host, ips[0]) != 0 && strcmp(a->host, ips[1]) != 0)
            ips[2] = a->host;
    } else if (strcmp(a->host, dns[0]) != 0 && strcmp(a->host, dns[1]) != 0) {
        dns[2] = a->host;
    }
    r = ql_cert_make(&profile, key, NULL, key, &cert, err);
    if (r < 0)
        return r;
    pem = ql_cert_pem(cert);
    if (!pem)
        return ql_fail_nomem(err);
    r = ql_file_write(path, 0644, pem, strlen(pem), err);
    if (r < 0)
        return r;
    *ret = ql_steal(cert);
    return QL_OK;
}

/** Certificates that we made ourselves are renewed; one of somebody else's CA is taken as it is. */
static bool is_ours(const struct ql_cert *cert)
{
    X509 *x = ql_cert_native(cert);

    return X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0;
}

/** @return why the certificate must be renewed; NULL: it is fine */
static const char *stale(const struct ql_agent *a, const struct ql_cert *cert)
{
    char name[QL_AGENT_ID_MAX + 1];

    if (ql_cert_not_after_ns(cert) <= ql_now_ns())
        return "it has expired";
    if (ql_cert_common_name(cert, name, sizeof name) < 0 || strcmp(name, a->id) != 0)
        return "it names another agent id";
    return NULL;
}

static int cert_setup(struct ql_agent *a, const char *cert_path, const char *key_path, struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *password = NULL;
    ql_auto(ql_key_freep) struct ql_key *key = NULL, *in_cert = NULL;
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    ql_auto_free uint8_t *text = NULL;
    size_t len = 0;
    int r = ql_agent_password(a, "server_key_password", &password, err);

    if (r == 0)
        r = key_file(key_path, password, make_mtls, &key, err);
    if (r < 0)
        return r;
    r = ql_file_read(cert_path, CERT_FILE_MAX, &text, &len, err);
    if (r == 0)
        r = ql_cert_from_pem((const char *)text, len, &cert, err);
    if (r == 0)
        r = ql_cert_key(cert, &in_cert, err);
    if (r < 0 && r != QL_ENOTFOUND)
        return ql_fail_context(err, r, "%s", cert_path);
    if (r == 0) {
        const char *why = !ql_key_equal(key, in_cert) ? "its key is another" : stale(a, cert);

        if (why && !is_ours(cert)) {
            if (!ql_key_equal(key, in_cert))
                return ql_fail(err, QL_ERANGE, "%s is not the certificate of %s", cert_path, key_path);
            ql_log(QL_WARN, "keys", "%s: %s", cert_path, why);
        } else if (why) {
            ql_log(QL_WARN, "keys",
                   "%s: %s: a new one is made, and this agent must be added to its verifier again", cert_path,
                   why);
            r = QL_ENOTFOUND;
        }
    }
    if (r == QL_ENOTFOUND) {
        ql_cert_free(ql_steal(cert));
        r = make_cert(a, key, cert_path, &cert, err);
        if (r < 0)
            return r;
    }
    a->mtls_cert = ql_cert_pem(cert);
    return a->mtls_cert ? QL_OK : ql_fail_nomem(err);
}

/** The CA files that can be read; the log names the others. */
static int readable_cas(const struct ql_agent *a, char **paths, struct ql_err *err)
{
    const size_t count = ql_config_count(a->config, "agent", "trusted_client_ca");
    size_t kept = 0;

    for (size_t i = 0; i < count && kept < QL_AGENT_CAS_MAX; i++) {
        const char *item = ql_config_item(a->config, "agent", "trusted_client_ca", i);
        ql_auto(ql_trust_freep) struct ql_trust *trust = NULL;
        ql_auto_free char *path =
            ql_path_join(a->dir, *item == '\0' || strcmp(item, "default") == 0 ? "cv_ca/cacert.crt" : item);
        struct ql_err why = QL_ERR_INIT;

        if (!path || ql_trust_new(&trust, err) < 0)
            return ql_fail_nomem(err);
        if (ql_trust_add_pem_file(trust, path, &why) < 0)
            ql_log(QL_WARN, "tls", "trusted_client_ca: left out: %s", why.text);
        else
            paths[kept++] = ql_steal(path);
    }
    if (kept == 0)
        return ql_fail(err, QL_ENOTFOUND, "trusted_client_ca: not one file of certificates can be read");
    return QL_OK;
}

int ql_agent_tls_load(const struct ql_agent *a, struct ql_tls **ret, struct ql_err *err)
{
    ql_auto_free char *key = ql_agent_path(a, "server_key", "server-private.pem");
    ql_auto_free char *cert = ql_agent_path(a, "server_cert", "server-cert.crt");
    ql_auto(ql_secret_freep) struct ql_secret *password = NULL;
    char *cas[QL_AGENT_CAS_MAX + 1] = {0};
    int r;

    if (!key || !cert)
        return ql_fail_nomem(err);
    r = ql_agent_password(a, "server_key_password", &password, err);
    if (r == 0)
        r = readable_cas(a, cas, err);
    if (r == 0) {
        const struct ql_tls_config config = {.is_server = true,
                                             .cert_file = cert,
                                             .key_file = key,
                                             .key_password = password,
                                             .ca_files = (const char *const *)cas,
                                             .client_cert = QL_CLIENT_CERT_REQUIRED};

        r = ql_tls_new(&config, ret, err);
    }
    for (size_t i = 0; cas[i]; i++)
        free(cas[i]);
    return r;
}

int ql_agent_keys_setup(struct ql_agent *a, struct ql_err *err)
{
    ql_auto_free char *key = ql_agent_path(a, "server_key", "server-private.pem");
    ql_auto_free char *cert = ql_agent_path(a, "server_cert", "server-cert.crt");
    int r = nk_setup(a, err);

    if (r < 0)
        return r;
    if (!key || !cert)
        return ql_fail_nomem(err);
    if (!ql_config_bool(a->config, "agent", "enable_agent_mtls")) {
        ql_log(QL_WARN, "tls",
               "INSECURE: enable_agent_mtls is off: anybody who reaches the port is answered");
        a->mtls_cert = strdup("disabled");
        return a->mtls_cert ? QL_OK : ql_fail_nomem(err);
    }
    r = cert_setup(a, cert, key, err);
    if (r == 0)
        r = ql_agent_tls_load(a, &a->tls, err);
    return r;
}
