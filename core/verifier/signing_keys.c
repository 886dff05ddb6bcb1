/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "digest.h"
#include "dsse.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "log.h"
#include "signing_keys.h"

#define SUFFIX ".pub"

void ql_signing_keys_done(struct ql_signing_keys *k)
{
    for (size_t i = 0; i < k->count; i++)
        free(k->texts[i]);
    free(k->to_remember);
    *k = (struct ql_signing_keys){0};
}

/* NAME of "NAME.pub", when it is one that a key id can be. */
static bool read_name(const char *file, char out[QL_DSSE_KEYID_LEN + 1])
{
    size_t len = strspn(file, "0123456789abcdef");

    if (len != QL_DSSE_KEYID_LEN || strcmp(file + len, SUFFIX) != 0)
        return false;
    memcpy(out, file, len);
    out[len] = 0;
    return true;
}

static int add(struct ql_signing_keys *k, const char *name, const char *pem, struct ql_err *err)
{
    if (asprintf(&k->texts[k->count], "%s\n%s", name, pem) < 0)
        return ql_fail_nomem(err);
    k->count++;
    return QL_OK;
}

static int read_folder(const char *folder, struct ql_signing_keys *k, struct ql_err *err)
{
    DIR *d = opendir(folder);
    const struct dirent *e;
    int r = QL_OK;

    if (!d)
        return errno == ENOENT ? QL_OK : ql_fail(err, QL_EIO, "%s: %s", folder, strerror(errno));
    while (r == QL_OK && (e = readdir(d))) {
        char name[QL_DSSE_KEYID_LEN + 1];
        ql_auto_free char *path = NULL;
        ql_auto_free uint8_t *pem = NULL;
        struct ql_err why = QL_ERR_INIT;
        size_t len = 0;

        if (!read_name(e->d_name, name))
            continue;
        if (k->count == QL_SIGNING_KEYS_MAX) {
            ql_log(QL_WARN, "api", "folder=%s: more than %d signing keys, the others are not used", folder,
                   QL_SIGNING_KEYS_MAX);
            break;
        }
        path = ql_path_join(folder, e->d_name);
        if (!path)
            r = ql_fail_nomem(err);
        else if (ql_file_read(path, QL_SIGNING_KEY_MAX_LEN, &pem, &len, &why) < 0)
            ql_log(QL_WARN, "api", "signing key %s: %s", e->d_name, why.text);
        else
            r = add(k, name, (const char *)pem, err);
    }
    closedir(d);
    return r;
}

static bool is_known(const struct ql_signing_keys *k, const char *pem)
{
    for (size_t i = 0; i < k->count; i++)
        if (strcmp(strchr(k->texts[i], '\n') + 1, pem) == 0)
            return true;
    return false;
}

/* The key sent along stands alone: that it signed is what the caller says. */
static int take_sent(const struct ql_verifier *v, const json_t *sent, struct ql_signing_keys *k, int *http,
                     struct ql_err *err)
{
    ql_auto_free uint8_t *pem = NULL;
    size_t len = 0;
    bool is_trusted;

    *http = 400;
    if (ql_base64_decode_dup(json_string_value(sent), json_string_length(sent), QL_SIGNING_KEY_MAX_LEN, &pem,
                             &len, NULL) < 0 ||
        memchr(pem, 0, len))
        return ql_fail(err, QL_EPARSE, "Runtime policy key is not base64 of a PEM public key");
    is_trusted = is_known(k, (const char *)pem);
    if (!is_trusted && !ql_config_bool(v->config, "verifier", "allow_uploaded_policy_keys")) {
        *http = 401;
        return ql_fail(
            err, QL_EACCES,
            "Runtime policy key is not among the verifier's signing keys (allow_uploaded_policy_keys)");
    }
    for (size_t i = 0; i < k->count; i++)
        free(k->texts[i]);
    k->count = 0;
    if (!is_trusted) {
        k->to_remember = strdup((const char *)pem);
        if (!k->to_remember)
            return ql_fail_nomem(err);
    }
    return add(k, "", (const char *)pem, err);
}

int ql_signing_keys_collect(const struct ql_verifier *v, const json_t *body, struct ql_signing_keys *ret,
                            int *http, struct ql_err *err)
{
    const json_t *sent = json_object_get(body, "runtime_policy_key"),
                 *detached = json_object_get(body, "runtime_policy_sig");
    ql_auto_free char *folder = NULL;
    int r;

    *ret = (struct ql_signing_keys){
        .is_required = ql_config_bool(v->config, "verifier", "require_allow_list_signatures")};
    *http = 400;
    if (json_string_length(detached) > 0) {
        if (ret->is_required)
            return ql_fail(err, QL_EPARSE,
                           "Detached signatures of runtime policies are not supported, sign the "
                           "policy itself");
        ql_log(QL_WARN, "api", "runtime_policy_sig is ignored: sign the policy itself");
    }
    if (!ret->is_required)
        return QL_OK;
    folder = ql_path_join(v->state_dir, "signing_keys");
    *http = 500;
    if (!folder)
        return ql_fail_nomem(err);
    r = read_folder(folder, ret, err);
    if (r == QL_OK && json_string_length(sent) > 0)
        r = take_sent(v, sent, ret, http, err);
    if (r < 0)
        ql_signing_keys_done(ret);
    return r;
}

void ql_signing_keys_remember(const struct ql_verifier *v, const struct ql_signing_keys *k)
{
    char name[QL_DSSE_KEYID_LEN + 1], file[QL_DSSE_KEYID_LEN + sizeof SUFFIX];
    ql_auto_free char *folder = ql_path_join(v->state_dir, "signing_keys"), *path = NULL;
    ql_auto_close int fd = -1;
    struct ql_err err = QL_ERR_INIT;
    uint8_t digest[32];
    size_t len;

    if (!k->to_remember || !folder)
        return;
    len = strlen(k->to_remember);
    if (ql_digest_once(QL_SHA256, k->to_remember, len, digest) < 0)
        return;
    ql_hex_encode(digest, sizeof digest, name);
    snprintf(file, sizeof file, "%s%s", name, SUFFIX);
    path = ql_path_join(folder, file);
    if (ql_dir_make(folder, 0700, &err) < 0 || !path) {
        ql_log(QL_WARN, "api", "signing key is not kept: %s", err.text);
        return;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, k->to_remember, len) != (ssize_t)len)
        ql_log(QL_WARN, "api", "file=%s: signing key is not kept: %s", path, strerror(errno));
}
