/* SPDX-License-Identifier: Apache-2.0 */
#include "rings.h"

#include <stdlib.h>
#include <string.h>

#define OPERATORS "tenant_keyring"

struct ring {
    char name[IMA_RING_NAME_MAX + 1];
    struct ima_keyring *keys;
};

struct ima_rings {
    const struct ql_host *host;
    const struct ima_keyring *operators;
    struct ima_keyring *agents; /* owned; in place of the operator's */
    const char *agent_keys;     /* text; NULL: read, or none */
    struct ima_bytes learned;   /* as kept before */
    bool has_read;              /* `learned` stands in `list` */
    bool has_changed;           /* since then */
    bool is_sealed;
    struct ring list[IMA_RINGS_MAX];
    size_t count, keys;
    char *text; /* what is to be kept, once it differs from `learned` */
};

static bool is_none(const char *keys)
{
    return !keys || !*keys || strcmp(keys, "[]") == 0 || strcmp(keys, "null") == 0;
}

int ima_rings_new(const struct ql_host *host, const struct ima_keyring *operator_keys, const char *agent_keys,
                  struct ima_bytes learned, struct ima_rings **ret, struct ql_err *err)
{
    struct ima_rings *r = host->alloc(host, sizeof *r);

    if (!r)
        return host->fail(err, QL_ENOMEM, "ima: no memory for keyrings");
    memset(r, 0, sizeof *r);
    r->host = host;
    r->operators = is_none(agent_keys) ? operator_keys : NULL;
    r->agent_keys = is_none(agent_keys) ? NULL : agent_keys;
    r->learned = learned;
    *ret = r;
    return QL_OK;
}

void ima_rings_free(struct ima_rings *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        ima_keyring_free(r->list[i].keys);
    ima_keyring_free(r->agents);
    free(r->text);
    r->host->free(r->host, r);
}

static struct ring *find_ring(struct ima_rings *r, const char *name)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->list[i].name, name) == 0)
            return &r->list[i];
    return NULL;
}

static int add_ring(struct ima_rings *r, const char *name, struct ima_keyring *keys, struct ql_err *err)
{
    struct ring *ring = &r->list[r->count];

    if (r->count == IMA_RINGS_MAX)
        return r->host->fail(err, QL_ELIMIT, "ima: keys of more than %d keyrings", IMA_RINGS_MAX);
    memcpy(ring->name, name, strlen(name) + 1); /* the length was checked */
    ring->keys = keys;
    r->count++;
    return QL_OK;
}

static int read_ring(struct ima_rings *r, const char *name, const json_t *keyring, struct ql_err *err)
{
    struct ima_keyring *keys = NULL;
    char *text = json_dumps(keyring, JSON_COMPACT);
    int e;

    if (!text)
        return r->host->fail(err, QL_ENOMEM, "ima: no memory for keyrings");
    e = ima_keyring_read(r->host, text, strlen(text), &keys, err);
    free(text);
    if (e < 0 || !keys)
        return e;
    e = strlen(name) <= IMA_RING_NAME_MAX
            ? add_ring(r, name, keys, err)
            : r->host->fail(err, QL_ELIMIT, "ima: name of a kept keyring is too long");
    if (e < 0) {
        ima_keyring_free(keys);
        return e;
    }
    r->keys += ima_keyring_count(keys);
    return QL_OK;
}

/* Keys are read when one is wanted: most attestations want none. */
static int read_all(struct ima_rings *r, struct ql_err *err)
{
    json_t *object, *keyring;
    const char *name;
    int e = QL_OK;

    if (r->agent_keys) {
        e = ima_keyring_read(r->host, r->agent_keys, strlen(r->agent_keys), &r->agents, err);
        if (e < 0)
            return e;
        r->operators = r->agents;
        r->agent_keys = NULL;
    }
    if (r->has_read)
        return QL_OK;
    r->has_read = true;
    if (r->learned.len == 0)
        return QL_OK;
    object = json_loadb((const char *)r->learned.at, r->learned.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(object)) {
        json_decref(object);
        return r->host->fail(err, QL_EPARSE, "ima: kept keyrings cannot be read");
    }
    json_object_foreach(object, name, keyring) {
        if (e == QL_OK)
            e = read_ring(r, name, keyring, err);
    }
    json_decref(object);
    return e;
}

int ima_rings_find(struct ima_rings *r, uint32_t id, struct ima_key **ret, struct ql_err *err)
{
    int e = read_all(r, err);

    if (e < 0)
        return e;
    *ret = r->operators ? ima_keyring_find(r->operators, id) : NULL;
    for (size_t i = 0; !*ret && i < r->count; i++)
        *ret = ima_keyring_find(r->list[i].keys, id);
    return QL_OK;
}

/* A name as the kernel gives it: printable, and none of ours. */
static bool name_ok(struct ima_bytes name)
{
    if (name.len == 0 || name.len > IMA_RING_NAME_MAX || ima_bytes_are(name, OPERATORS))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] < '!' || name.at[i] > '~')
            return false;
    return true;
}

/* The text to keep, made before it may grow by what is not to be kept. */
static int write_text(struct ima_rings *r, struct ql_err *err)
{
    json_t *object = json_object();
    bool ok = object != NULL;

    for (size_t i = 0; ok && i < r->count; i++)
        ok = json_object_set_new(object, r->list[i].name, ima_keyring_write(r->list[i].keys)) == 0;
    free(r->text);
    r->text = ok ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!r->text)
        return r->host->fail(err, QL_ENOMEM, "ima: no memory for keyrings");
    r->has_changed = false;
    return QL_OK;
}

int ima_rings_learn(struct ima_rings *r, struct ima_bytes ring, struct ima_key *key, struct ql_err *err)
{
    char name[IMA_RING_NAME_MAX + 1] = "";
    struct ima_keyring *keys = NULL;
    struct ring *found;
    struct ima_key *known;
    int e;

    if (!name_ok(ring))
        return r->host->fail(err, QL_ECONFLICT, "keyring's name is not one of a kernel");
    memcpy(name, ring.at, ring.len);
    e = read_all(r, err);
    if (e < 0)
        return e;
    found = find_ring(r, name);
    known = found ? ima_keyring_find(found->keys, ima_key_id(key)) : NULL;
    if (known && ima_key_equal(known, key))
        return QL_OK;
    if (!known && r->keys == IMA_LEARNED_MAX)
        return r->host->fail(err, QL_ELIMIT, "ima: more than %d keys were loaded", IMA_LEARNED_MAX);
    if (!found) {
        e = ima_keyring_new(r->host, &keys, err);
        if (e == QL_OK && (e = add_ring(r, name, keys, err)) < 0)
            ima_keyring_free(keys);
        if (e < 0)
            return e;
        found = &r->list[r->count - 1];
    }
    e = ima_keyring_add(found->keys, key, 0, err);
    if (e < 0)
        return e;
    r->keys++;
    r->has_changed = r->has_changed || !r->is_sealed;
    return QL_OK;
}

int ima_rings_seal(struct ima_rings *r, struct ql_err *err)
{
    int e = r->has_changed ? write_text(r, err) : QL_OK;

    r->is_sealed = e == QL_OK;
    return e;
}

int ima_rings_write(struct ima_rings *r, struct ima_bytes *ret, struct ql_err *err)
{
    int e = r->has_changed ? write_text(r, err) : QL_OK;

    if (e < 0)
        return e;
    *ret = r->text ? (struct ima_bytes){(const uint8_t *)r->text, strlen(r->text)} : r->learned;
    return QL_OK;
}
