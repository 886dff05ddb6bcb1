/* SPDX-License-Identifier: Apache-2.0 */
#include "agentdata.h"

#include <string.h>

#include "error.h"
#include "json.h"

/* Our names and the file's. */
static const char *const HASHES[][2] = {
    {"sha1", "Sha1"}, {"sha256", "Sha256"}, {"sha384", "Sha384"}, {"sha512", "Sha512"}, {NULL, NULL}};
static const char *const SIGNS[][2] = {
    {"rsassa", "RsaSsa"}, {"rsapss", "RsaPss"}, {"ecdsa", "EcDsa"}, {"ecschnorr", "EcSchnorr"}, {NULL, NULL}};

static const char *file_name(const char *const (*table)[2], const char *ours)
{
    for (; (*table)[0]; table++)
        if (strcmp((*table)[0], ours) == 0)
            return (*table)[1];
    return "";
}

static int get_bytes(const json_t *object, const char *key, size_t max, uint8_t **ret, size_t *ret_len,
                     struct ql_err *err)
{
    const json_t *list = json_object_get(object, key);
    const size_t count = json_array_size(list);
    ql_auto_free uint8_t *bytes = NULL;

    if (!json_is_array(list))
        return ql_fail(err, QL_EPARSE, "%s is not a list of numbers", key);
    if (count == 0 || count > max)
        return ql_fail(err, QL_ELIMIT, "%s has %zu bytes, 1 to %zu are allowed", key, count, max);
    bytes = malloc(count);
    if (!bytes)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);

        if (!json_is_integer(item) || json_integer_value(item) < 0 || json_integer_value(item) > 255)
            return ql_fail(err, QL_EPARSE, "%s: item %zu is not a byte", key, i);
        bytes[i] = (uint8_t)json_integer_value(item);
    }
    *ret = ql_steal(bytes);
    *ret_len = count;
    return QL_OK;
}

static int expect_text(const json_t *object, const char *key, const char *want, struct ql_err *err)
{
    const char *have = NULL;
    size_t len = 0;
    int r = ql_json_get_text(object, key, &have, &len, err);

    if (r < 0)
        return r == QL_ENOTFOUND ? ql_fail(err, QL_EPARSE, "%s is missing", key) : r;
    if (len != strlen(want) || memcmp(have, want, len) != 0)
        return ql_fail(err, QL_ECONFLICT, "%s is %.40s, but %s is configured", key, have, want);
    return QL_OK;
}

void ql_agent_data_done(struct ql_agent_data *d)
{
    free(d->public_area);
    free(d->private_area);
    *d = (struct ql_agent_data){0};
}

int ql_agent_data_parse(const char *text, size_t len, const struct ql_tpm_algs *algs, const char *ek_hash,
                        struct ql_agent_data *ret, struct ql_err *err)
{
    ql_auto(ql_agent_data_done) struct ql_agent_data d = {0};
    ql_auto_free uint8_t *hash = NULL;
    ql_auto_json json_t *object = NULL;
    size_t hash_len = 0;
    int r = ql_json_parse_object(text, len, QL_AGENT_DATA_MAX, &object, err);

    if (r == 0)
        r = get_bytes(object, "ak_public", QL_AK_BLOB_MAX, &d.public_area, &d.public_len, err);
    if (r == 0)
        r = get_bytes(object, "ak_private", QL_AK_BLOB_MAX, &d.private_area, &d.private_len, err);
    if (r == 0)
        r = get_bytes(object, "ek_hash", 1024, &hash, &hash_len, err);
    if (r == 0)
        r = expect_text(object, "ak_hash_alg", file_name(HASHES, algs->hash), err);
    if (r == 0)
        r = expect_text(object, "ak_sign_alg", file_name(SIGNS, algs->sign), err);
    if (r < 0)
        return r;
    if (!hash || hash_len != strlen(ek_hash) || memcmp(hash, ek_hash, hash_len) != 0)
        return ql_fail(err, QL_ECONFLICT, "ek_hash is of another endorsement key");
    *ret = d;
    d = (struct ql_agent_data){0};
    return QL_OK;
}

static json_t *numbers(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    json_t *list = json_array();

    for (size_t i = 0; list && i < len; i++)
        if (json_array_append_new(list, json_integer(bytes[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

int ql_agent_data_format(const struct ql_agent_data *d, const struct ql_tpm_algs *algs, const char *ek_hash,
                         char **ret, struct ql_err *err)
{
    ql_auto_json json_t *object = json_pack(
        "{s:s, s:s, s:o, s:o, s:o}", "ak_hash_alg", file_name(HASHES, algs->hash), "ak_sign_alg",
        file_name(SIGNS, algs->sign), "ak_public", numbers(d->public_area, d->public_len), "ak_private",
        numbers(d->private_area, d->private_len), "ek_hash", numbers(ek_hash, strlen(ek_hash)));
    char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;

    if (!text)
        return ql_fail_nomem(err);
    *ret = text;
    return QL_OK;
}
