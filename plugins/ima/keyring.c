/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "base64.h"
#include "key_parts.h"

enum {
    RING_KEYS_MAX = 4096,           /* a kernel's ring has some dozen */
    RING_TEXT_MAX = 4 * 1024 * 1024 /* bytes of a keyring's text */
};

struct entry {
    uint32_t id;
    struct ima_key *key;
};

struct ima_keyring {
    const struct ql_host *host;
    size_t count, room;
    struct entry *entries;
};

int ima_keyring_new(const struct ql_host *host, struct ima_keyring **ret, struct ql_err *err)
{
    struct ima_keyring *ring = host->alloc(host, sizeof *ring);

    if (!ring)
        return host->fail(err, QL_ENOMEM, "no memory for a keyring");
    *ring = (struct ima_keyring){.host = host};
    *ret = ring;
    return QL_OK;
}

void ima_keyring_free(struct ima_keyring *ring)
{
    if (!ring)
        return;
    for (size_t i = 0; i < ring->count; i++)
        ima_key_unref(ring->entries[i].key);
    ring->host->free(ring->host, ring->entries);
    ring->host->free(ring->host, ring);
}

static struct entry *find(const struct ima_keyring *ring, uint32_t id)
{
    for (size_t i = 0; i < ring->count; i++)
        if (ring->entries[i].id == id)
            return &ring->entries[i];
    return NULL;
}

static int append(struct ima_keyring *ring, struct ima_key *key, uint32_t id, struct ql_err *err)
{
    const struct ql_host *host = ring->host;

    if (ring->count == RING_KEYS_MAX)
        return host->fail(err, QL_ELIMIT, "keyring of more than %d keys", RING_KEYS_MAX);
    if (ring->count == ring->room) {
        size_t room = ring->room ? ring->room * 2 : 4;
        struct entry *wide = host->realloc(host, ring->entries, room * sizeof *wide);

        if (!wide)
            return host->fail(err, QL_ENOMEM, "no memory for %zu keys", room);
        ring->entries = wide;
        ring->room = room;
    }
    ring->entries[ring->count++] = (struct entry){.id = id, .key = ima_key_ref(key)};
    return QL_OK;
}

int ima_keyring_add(struct ima_keyring *ring, struct ima_key *key, uint32_t id, struct ql_err *err)
{
    const struct entry *taken;

    if (id == 0)
        id = key->id;
    taken = find(ring, id);
    if (!taken)
        return append(ring, key, id, err);
    if (ima_key_equal(taken->key, key))
        return QL_OK;
    return ring->host->fail(err, QL_ECONFLICT, "key id %08x belongs to another key", id);
}

struct ima_key *ima_keyring_find(const struct ima_keyring *ring, uint32_t id)
{
    const struct entry *e = find(ring, id);

    return e ? e->key : NULL;
}

size_t ima_keyring_count(const struct ima_keyring *ring)
{
    return ring->count;
}

/* ---- text ---- */

static bool is_integer(const json_t *j)
{
    double v = json_number_value(j);

    return json_is_integer(j) || (json_is_real(j) && v > -1e15 && v < 1e15 && v == (double)(int64_t)v);
}

/* What is wrong with it, NULL: nothing. */
static const char *flaw(const json_t *ring)
{
    const json_t *keys = json_object_get(ring, "pubkeys"), *ids = json_object_get(ring, "keyids"),
                 *meta = json_object_get(ring, "meta"), *version = json_object_get(meta, "version"), *one;
    size_t i;

    if (!json_is_object(ring))
        return "not an object";
    if (!ids)
        return "'keyids' is a required property";
    if (!keys)
        return "'pubkeys' is a required property";
    if (!json_is_array(ids) || !json_is_array(keys))
        return "'keyids' and 'pubkeys' are not both lists";
    json_array_foreach(ids, i, one)
        if (!is_integer(one))
            return "an element of 'keyids' is not an integer";
    json_array_foreach(keys, i, one)
        if (!json_is_string(one))
            return "an element of 'pubkeys' is not a string";
    if (meta && (!json_is_object(meta) || !version || !is_integer(version) || json_number_value(version) < 1))
        return "'meta' has no 'version' of at least 1";
    return NULL;
}

/* An element that is no key, or whose id no signature can carry, is passed over. The operator's last word on an id holds. */
static int take(struct ima_keyring *ring, const json_t *text, const json_t *id, struct ql_err *err)
{
    size_t len = json_string_length(text), n = 0;
    double number = id ? json_number_value(id) : 0;
    struct ima_key *key = NULL;
    struct entry *taken;
    uint8_t *der;
    int r = QL_OK;

    if (number < 0 || number > (double)UINT32_MAX)
        return QL_OK;
    der = ring->host->alloc(ring->host, len / 4 * 3 + 4);
    if (!der)
        return ring->host->fail(err, QL_ENOMEM, "no memory for a key of %zu characters", len);
    if (ima_base64_decode(IMA_BASE64_LENIENT, (const uint8_t *)json_string_value(text), len, der, &n) &&
        ima_key_read_public(der, n, &key) == IMA_KEY_OK) {
        uint32_t wanted = number > 0 ? (uint32_t)number : key->id;

        taken = find(ring, wanted);
        if (taken) {
            ima_key_unref(taken->key);
            taken->key = ima_key_ref(key);
        } else {
            r = append(ring, key, wanted, err);
        }
        ima_key_unref(key);
    }
    ring->host->free(ring->host, der);
    return r;
}

static int fill(const struct ql_host *host, const json_t *object, struct ima_keyring **ret,
                struct ql_err *err)
{
    const json_t *keys = json_object_get(object, "pubkeys"), *ids = json_object_get(object, "keyids"), *one;
    struct ima_keyring *ring = NULL;
    size_t i;
    int r = ima_keyring_new(host, &ring, err);

    json_array_foreach(keys, i, one)
        if (r == QL_OK)
            r = take(ring, one, json_array_get(ids, i), err);
    if (r < 0 || ring->count == 0) {
        ima_keyring_free(ring);
        ring = NULL;
    }
    if (r == QL_OK)
        *ret = ring;
    return r;
}

static int read_text(const struct ql_host *host, const char *text, size_t len, bool is_strict,
                     struct ima_keyring **ret, struct ql_err *err)
{
    json_error_t why;
    json_t *j, *inner;
    const char *wrong;
    int r = QL_OK;

    if (len > RING_TEXT_MAX)
        return host->fail(err, QL_ELIMIT, "keyring of %zu bytes, at most %d", len, RING_TEXT_MAX);
    j = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (json_is_string(j)) { /* written twice over: text that holds the text */
        inner =
            json_loadb(json_string_value(j), json_string_length(j), JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
        json_decref(j);
        j = inner;
    }
    if (!j)
        return host->fail(err, QL_EPARSE, "keyring is not JSON: line %d: %s", why.line, why.text);
    wrong = flaw(j);
    if (!wrong)
        r = fill(host, j, ret, err);
    else if (is_strict)
        r = host->fail(err, QL_EPARSE, "keyring: %s", wrong);
    else
        *ret = NULL;
    json_decref(j);
    return r;
}

int ima_keyring_read(const struct ql_host *host, const char *text, size_t len, struct ima_keyring **ret,
                     struct ql_err *err)
{
    if (len == 0) {
        *ret = NULL;
        return QL_OK;
    }
    return read_text(host, text, len, false, ret, err);
}

int ima_keyring_read_strict(const struct ql_host *host, const char *text, size_t len,
                            struct ima_keyring **ret, struct ql_err *err)
{
    if (len == 0) {
        *ret = NULL;
        return QL_OK;
    }
    return read_text(host, text, len, true, ret, err);
}

static json_t *key_text(const struct ima_key *key)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(key->pkey, &der);
    size_t room = len > 0 ? ((size_t)len + 2) / 3 * 4 + 1 : 1;
    char *text = len > 0 ? malloc(room) : NULL;
    json_t *j = text ? json_stringn(text, (size_t)EVP_EncodeBlock((uint8_t *)text, der, len)) : NULL;

    free(text);
    OPENSSL_free(der);
    return j;
}

json_t *ima_keyring_write(const struct ima_keyring *ring)
{
    json_t *keys = json_array(), *ids = json_array(), *object;
    bool ok = keys && ids;

    for (size_t i = 0; ok && i < ring->count; i++)
        ok = json_array_append_new(keys, key_text(ring->entries[i].key)) == 0 &&
             json_array_append_new(ids, json_integer((json_int_t)ring->entries[i].id)) == 0;
    object = ok ? json_pack("{s:O, s:O}", "pubkeys", keys, "keyids", ids) : NULL;
    json_decref(keys);
    json_decref(ids);
    return object;
}
