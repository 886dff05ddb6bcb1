/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "encode.h"
#include "error.h"
#include "json.h"
#include "key.h"
#include "keystore.h"

enum {
    KEY_LEN = 32,
    SALT_LEN = 32,
    SALT_LEN_MAX = 256,
    PBKDF2_ROUNDS = 100000
};

static int derive(const struct ql_secret *password, const char *salt, size_t salt_len, struct ql_secret **ret,
                  struct ql_err *err)
{
    static const char preset[] = "default"; /* what Keylime's services use where no password is set */
    const char *text = password ? (const char *)ql_secret_data(password) : preset;
    size_t len = password ? ql_secret_len(password) : sizeof preset - 1;
    ql_auto(ql_secret_freep) struct ql_secret *key = NULL;
    int r = ql_secret_new_empty(KEY_LEN, &key, err);

    if (r < 0)
        return r;
    if (PKCS5_PBKDF2_HMAC(text, (int)len, (const unsigned char *)salt, (int)salt_len, PBKDF2_ROUNDS,
                          EVP_sha256(), KEY_LEN, ql_secret_writable(key)) != 1) {
        ERR_clear_error(); /* what failed is said here */
        return ql_fail(err, QL_ECRYPTO, "key derivation failed");
    }
    *ret = ql_steal(key);
    return QL_OK;
}

int ql_keystore_seal(const struct ql_secret *plain, const struct ql_secret *password, char **ret,
                     struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *key = NULL;
    ql_auto_free uint8_t *sealed = NULL;
    ql_auto_free char *priv = NULL, *text = NULL;
    ql_auto_json json_t *outer = NULL;
    char salt[SALT_LEN + 1];
    size_t sealed_len;
    int r;

    ql_random_alnum(salt, SALT_LEN);
    r = derive(password, salt, SALT_LEN, &key, err);
    if (r == QL_OK)
        r = ql_gcm_seal(key, ql_secret_data(plain), ql_secret_len(plain), &sealed, &sealed_len, err);
    if (r < 0)
        return r;
    priv = ql_base64_dup(sealed, sealed_len);
    outer = priv ? json_pack("{s:s, s:s}", "priv", priv, "salt", salt) : NULL;
    text = outer ? ql_json_text(outer) : NULL;
    if (!text)
        return ql_fail_nomem(err);
    *ret = ql_steal(text);
    return QL_OK;
}

int ql_keystore_open_parts(const char *priv, size_t priv_len, const char *salt, size_t salt_len,
                           const struct ql_secret *password, struct ql_secret **ret, struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *key = NULL;
    ql_auto_free uint8_t *sealed = NULL;
    size_t sealed_len = 0;
    int r;

    if (salt_len == 0 || salt_len > SALT_LEN_MAX)
        return ql_fail(err, QL_EPARSE, "key store with a salt of %zu bytes", salt_len);
    r = ql_base64_decode_dup(priv, priv_len, QL_KEYSTORE_MAX_LEN, &sealed, &sealed_len, err);
    if (r == QL_OK)
        r = derive(password, salt, salt_len, &key, err);
    return r < 0 ? r : ql_gcm_open(key, sealed, sealed_len, ret, err);
}

int ql_keystore_open(const char *text, size_t len, const struct ql_secret *password, struct ql_secret **ret,
                     struct ql_err *err)
{
    ql_auto_json json_t *outer = NULL;
    const char *priv = NULL, *salt = NULL;
    size_t priv_len = 0, salt_len = 0;
    int r = ql_json_parse_object(text, len, QL_KEYSTORE_MAX_LEN, &outer, err);

    if (r == QL_OK)
        r = ql_json_get_text(outer, "priv", &priv, &priv_len, err);
    if (r == QL_OK)
        r = ql_json_get_text(outer, "salt", &salt, &salt_len, err);
    if (r < 0)
        return r == QL_ENOTFOUND ? ql_fail(err, QL_EPARSE, "key store without priv or salt") : r;
    return ql_keystore_open_parts(priv, priv_len, salt, salt_len, password, ret, err);
}
