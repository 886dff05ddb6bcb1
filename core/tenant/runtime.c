/* SPDX-License-Identifier: Apache-2.0 */
/* Runtime policies: what the command line says of them, and the commands for stored ones (spec/server.md 10.1). */
#include <openssl/evp.h>
#include <string.h>

#include "convert.h"
#include "digest.h"
#include "draft.h"
#include "dsse.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "key.h"
#include "server.h"
#include "tenant.h"

/** Where the verifier keeps them. */
#define COLLECTION "allowlists"

enum {
    KEY_FILE_MAX = 64 * 1024,
    SIGNATURE_MAX = 64 * 1024 /* bytes of a detached signature */
};

/* ---- policy of the command line ---- */

static int check_sum(const char *expected, const uint8_t *data, size_t len, struct ql_err *err)
{
    uint8_t digest[QL_DIGEST_MAX];
    char hex[2 * QL_DIGEST_MAX + 1];
    int r = ql_digest_once(QL_SHA256, data, len, digest);

    if (r < 0)
        return ql_fail(err, r, "the checksum cannot be computed");
    ql_hex_encode(digest, ql_hash_len(QL_SHA256), hex);
    if (strcmp(expected, hex) != 0)
        return ql_fail(err, QL_ECRYPTO,
                       "Checksum of runtime policy does not match! Expected %.80s, Calculated %s", expected,
                       hex);
    return QL_OK;
}

/* A signed policy is verified before it is sent; one that ought to be signed must be. */
static int check_signature(const uint8_t *text, size_t len, const char *key, struct ql_err *err)
{
    ql_auto(ql_dsse_freep) struct ql_dsse *d = NULL;
    ql_auto_free uint8_t *pem = NULL;
    size_t pem_len = 0;
    int r = ql_dsse_read((const char *)text, len, &d, err);

    if (r < 0 && !key)
        return QL_OK; /* not signed, and need not be */
    if (r < 0)
        return ql_fail_context(err, r, "runtime policy");
    if (!key)
        return ql_fail(err, QL_ENOTFOUND, "the runtime policy is signed: --runtime-policy-sig-key is needed");
    r = ql_file_read(key, KEY_FILE_MAX, &pem, &pem_len, err);
    if (r == QL_OK)
        r = ql_dsse_verify(d, (const char *)pem, pem_len, err);
    return r < 0 ? ql_fail_context(err, r, "runtime policy") : QL_OK;
}

static int read_allowlist(const struct ql_args *a, char **ret, struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL, *excludes = NULL;
    ql_auto_free char *policy = NULL;
    size_t len = 0, excludes_len = 0;
    const char *exclude = ql_arg(a, QL_ARG_EXCLUDE);
    int r = ql_file_read(ql_arg(a, QL_ARG_ALLOWLIST), QL_TENANT_POLICY_MAX, &text, &len, err);

    if (r == QL_OK && exclude)
        r = ql_file_read(exclude, QL_TENANT_POLICY_MAX, &excludes, &excludes_len, err);
    if (r == QL_OK)
        r = ql_convert_allowlist(text, len, excludes, excludes_len, &policy, err);
    if (r < 0)
        return r;
    *ret = policy ? ql_base64_dup(policy, strlen(policy)) : NULL;
    return *ret ? QL_OK : ql_fail_nomem(err);
}

int ql_runtime_policy_argument(const struct ql_args *a, char **ret, char **ret_key, struct ql_err *err)
{
    const char *path = ql_arg(a, QL_ARG_RUNTIME_POLICY), *key = ql_arg(a, QL_ARG_RUNTIME_POLICY_SIG_KEY),
               *checksum = ql_arg(a, QL_ARG_RUNTIME_POLICY_CHECKSUM);
    ql_auto_free uint8_t *text = NULL, *pem = NULL;
    ql_auto_free char *key_text = NULL;
    size_t len = 0, pem_len = 0;
    int r = QL_OK;

    if (ql_arg_given(a, QL_ARG_ALLOWLIST_URL) || ql_arg_given(a, QL_ARG_RUNTIME_POLICY_URL))
        return ql_fail(err, QL_EUNSUPPORTED,
                       "policies are not fetched from URLs: fetch the file and give its name");
    if (key)
        r = ql_file_read(key, KEY_FILE_MAX, &pem, &pem_len, err);
    if (r == QL_OK && !(key_text = pem ? ql_base64_dup(pem, pem_len) : strdup("")))
        r = ql_fail_nomem(err);
    if (r == QL_OK && ql_arg_given(a, QL_ARG_ALLOWLIST)) {
        r = read_allowlist(a, ret, err);
    } else if (r == QL_OK && path) {
        r = ql_file_read(path, QL_TENANT_POLICY_MAX, &text, &len, err);
        if (r == QL_OK && checksum)
            r = check_sum(checksum, text, len, err);
        if (r == QL_OK)
            r = check_signature(text, len, key, err);
        if (r == QL_OK && !(*ret = ql_base64_dup(text, len)))
            r = ql_fail_nomem(err);
    } else if (r == QL_OK && !(*ret = strdup(""))) {
        r = ql_fail_nomem(err);
    }
    if (r == QL_OK)
        *ret_key = ql_steal(key_text);
    return r;
}

/* ---- keys that sign files ---- */

/* ECDSA with SHA-256 over the file, by a PEM public key. */
static int verify_file(const char *path, const char *sig_path, const char *key_path, struct ql_err *err)
{
    ql_auto_free uint8_t *data = NULL, *sig = NULL, *pem = NULL;
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    size_t len = 0, sig_len = 0, pem_len = 0;
    EVP_MD_CTX *c;
    bool is_good;
    int r = ql_file_read(path, KEY_FILE_MAX, &data, &len, err);

    if (r == QL_OK)
        r = ql_file_read(sig_path, SIGNATURE_MAX, &sig, &sig_len, err);
    if (r == QL_OK)
        r = ql_file_read(key_path, KEY_FILE_MAX, &pem, &pem_len, err);
    if (r == QL_OK && strncmp((const char *)pem, "-----BEGIN PGP", strlen("-----BEGIN PGP")) == 0)
        r = ql_fail(err, QL_EUNSUPPORTED, "%s: OpenPGP signatures are not supported: check them with gpg",
                    key_path);
    if (r == QL_OK)
        r = ql_key_from_pem((const char *)pem, pem_len, &key, err);
    if (r == QL_OK && ql_key_is_rsa(key))
        r = ql_fail(err, QL_EUNSUPPORTED, "%s: not a key on an elliptic curve", key_path);
    if (r < 0)
        return r;
    c = EVP_MD_CTX_new();
    is_good = c && EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, ql_key_native(key)) == 1 &&
              EVP_DigestVerify(c, sig, sig_len, data, len) == 1;
    EVP_MD_CTX_free(c);
    return is_good ? QL_OK : ql_fail(err, QL_ECRYPTO, "%s: the signature %s is not good", path, sig_path);
}

int ql_file_keys_argument(const struct ql_args *a, char **ret, struct ql_err *err)
{
    size_t count = a->count[QL_ARG_IMA_KEY];
    int r = QL_OK;

    if (count == 0) {
        *ret = strdup("[]");
        return *ret ? QL_OK : ql_fail_nomem(err);
    }
    if (a->count[QL_ARG_IMA_KEY_SIG] > count ||
        a->count[QL_ARG_IMA_KEY_SIG_KEY] != a->count[QL_ARG_IMA_KEY_SIG])
        return ql_fail(err, QL_EPARSE,
                       "--signature-verification-key-sig and -sig-key go by pairs with the keys");
    for (size_t i = 0; r == QL_OK && i < a->count[QL_ARG_IMA_KEY_SIG]; i++)
        r = verify_file(a->values[QL_ARG_IMA_KEY][i], a->values[QL_ARG_IMA_KEY_SIG][i],
                        a->values[QL_ARG_IMA_KEY_SIG_KEY][i], err);
    if (r < 0)
        return r;
    *ret = NULL;
    r = ql_draft_add_keys(ret, a->values[QL_ARG_IMA_KEY], count, err);
    if (r > 0) {
        free(*ret);
        *ret = NULL;
        return ql_fail(err, QL_EPARSE, "a signature verification key could not be read");
    }
    return r;
}

/* ---- stored policies ---- */

static const char *policy_name(const struct ql_tenant *t)
{
    const char *name = ql_arg(t->args, QL_ARG_RUNTIME_POLICY_NAME);

    return name ? name : ql_arg(t->args, QL_ARG_ALLOWLIST_NAME);
}

static int send_policy(struct ql_tenant *t, unsigned method)
{
    ql_auto(ql_policies_done) struct ql_policies p = {0};
    ql_auto_json json_t *body = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (!policy_name(t)) {
        ql_say_error("runtime_policy_name is required to add a runtime policy");
        return 1;
    }
    if (ql_policies_read(t, &p, &err) < 0) {
        ql_say_error("%s", err.text);
        return 1;
    }
    body = json_pack("{s:s, s:s, s:s}", "tpm_policy", p.tpm_policy, "runtime_policy", p.runtime_policy,
                     "runtime_policy_key", p.runtime_policy_key);
    if (!body)
        return 1;
    return ql_stored_call(t, method, COLLECTION, policy_name(t), body, NULL);
}

int ql_command_add_runtime(struct ql_tenant *t)
{
    return send_policy(t, QL_POST);
}

int ql_command_update_runtime(struct ql_tenant *t)
{
    return send_policy(t, QL_PUT);
}

static bool is_named(const struct ql_tenant *t, const char *what)
{
    if (policy_name(t))
        return true;
    ql_say_error("--allowlist_name or --runtime_policy_name is required to %s a runtime policy", what);
    return false;
}

int ql_command_show_runtime(struct ql_tenant *t)
{
    return is_named(t, "show") ? ql_stored_call(t, QL_GET, COLLECTION, policy_name(t), NULL, "Show allowlist")
                               : 1;
}

int ql_command_delete_runtime(struct ql_tenant *t)
{
    return is_named(t, "delete") ? ql_stored_call(t, QL_DELETE, COLLECTION, policy_name(t), NULL, NULL) : 1;
}

int ql_command_list_runtime(struct ql_tenant *t)
{
    return ql_stored_call(t, QL_GET, COLLECTION, "", NULL, "list");
}

static void say_old(const char *name, const char *better)
{
    ql_say_warning("%s is deprecated, use %s", name, better);
}

int ql_command_add_allowlist(struct ql_tenant *t)
{
    say_old("addallowlist", "addruntimepolicy");
    return ql_command_add_runtime(t);
}

int ql_command_show_allowlist(struct ql_tenant *t)
{
    say_old("showallowlist", "showruntimepolicy");
    return ql_command_show_runtime(t);
}

int ql_command_delete_allowlist(struct ql_tenant *t)
{
    say_old("deleteallowlist", "deleteruntimepolicy");
    return ql_command_delete_runtime(t);
}
