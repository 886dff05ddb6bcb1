/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "policy_map.h"

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t load(const uint8_t *s, size_t len)
{
    uint64_t v = 0;

    memcpy(&v, s, len);
    return v;
}

/* Two words a step, folded by a full multiplication; keyed, as names come from outside. */
static uint64_t hash(uint64_t seed, const uint8_t *s, size_t len)
{
    const uint64_t k0 = UINT64_C(0x9e3779b97f4a7c15), k1 = UINT64_C(0xd6e8feb86659fd93);
    uint64_t h = seed ^ mix(len ^ k0, k1);

    for (; len >= 16; s += 16, len -= 16)
        h = mix(load(s, 8) ^ k0 ^ h, load(s + 8, 8) ^ k1 ^ seed);
    if (len >= 8) {
        h = mix(load(s, 8) ^ k1 ^ h, k0 ^ seed);
        s += 8;
        len -= 8;
    }
    h = mix(load(s, len) ^ k0 ^ h, k1 ^ seed);
    return mix(h ^ k1, k0);
}

size_t ima_varint_write(uint8_t *out, size_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

static const uint8_t *varint(const uint8_t *at, size_t *ret)
{
    size_t v = 0;
    unsigned shift = 0;

    for (; *at & 0x80; shift += 7)
        v |= (size_t)(*at++ & 0x7f) << shift;
    *ret = v | (size_t)*at++ << shift;
    return at;
}

const uint8_t *ima_policy_digest(const uint8_t *at, const uint8_t **ret, size_t *len, bool *is_text)
{
    if (*at == IMA_RECORD_END)
        return NULL;
    *is_text = *at == 0;
    if (*is_text)
        at++;
    *len = *at++;
    *ret = at;
    return at + *len;
}

/* @return the record at `at` that has this name: its digests; NULL: another name */
static const uint8_t *same(const uint8_t *at, const uint8_t *name, size_t name_len)
{
    size_t len;

    at = varint(at, &len);
    if (len != name_len || (len > 0 && memcmp(at, name, len) != 0))
        return NULL;
    return at + len;
}

static size_t first_slot(const struct ima_policy_map *map, uint64_t h)
{
    return (size_t)(((unsigned __int128)h * map->slot_count) >> 64);
}

const uint8_t *ima_policy_map_find(const struct ima_arena *arena, const struct ima_policy_map *map,
                                   uint64_t seed, const uint8_t *name, size_t name_len)
{
    uint64_t h, slot;
    const uint8_t *found;

    if (map->slot_count == 0)
        return NULL;
    h = hash(seed, name, name_len);
    for (size_t i = first_slot(map, h); (slot = map->slots[i]) != 0; i = i + 1 == map->slot_count ? 0 : i + 1)
        if ((uint32_t)(slot >> 32) == (uint32_t)h &&
            (found = same(arena->data + (uint32_t)slot - 1, name, name_len)))
            return found;
    return NULL;
}

uint64_t ima_policy_map_fetch_index(const struct ima_policy_map *map, uint64_t seed, const uint8_t *name,
                                    size_t name_len)
{
    const uint64_t h = hash(seed, name, name_len);

    if (map->slot_count > 0)
        __builtin_prefetch(&map->slots[first_slot(map, h)]);
    return h;
}

void ima_policy_map_fetch_record(const struct ima_arena *arena, const struct ima_policy_map *map, uint64_t h)
{
    uint64_t slot;

    if (map->slot_count == 0)
        return;
    for (size_t i = first_slot(map, h); (slot = map->slots[i]) != 0; i = i + 1 == map->slot_count ? 0 : i + 1)
        if ((uint32_t)(slot >> 32) == (uint32_t)h) {
            __builtin_prefetch(arena->data + (uint32_t)slot - 1);
            __builtin_prefetch(arena->data + (uint32_t)slot - 1 +
                               64); /* a path and a digest: more than one line */
            return;
        }
}

static void insert(const struct ima_arena *arena, struct ima_policy_map *map, uint64_t seed, size_t offset,
                   const uint8_t *name, size_t name_len)
{
    uint64_t h = hash(seed, name, name_len), slot;
    size_t i = first_slot(map, h);

    while ((slot = map->slots[i]) != 0 &&
           !((uint32_t)(slot >> 32) == (uint32_t)h && same(arena->data + (uint32_t)slot - 1, name, name_len)))
        i = i + 1 == map->slot_count ? 0 : i + 1;
    map->slots[i] = h << 32 | (uint64_t)(offset + 1);
}

int ima_policy_map_index(const struct ql_host *host, const struct ima_arena *arena,
                         struct ima_policy_map *map, uint64_t seed, struct ql_err *err)
{
    const uint8_t *at = arena->data + map->first, *end = arena->data + map->end;
    /* At most two thirds full, and always one empty slot: a search ends. */
    size_t slot_count = map->count + map->count / 2 + 1;

    if (map->count == 0)
        return QL_OK;
    map->slots = host->alloc(host, slot_count * sizeof *map->slots);
    if (!map->slots)
        return host->fail(err, QL_ENOMEM, "no memory for the index of %zu names", map->count);
    memset(map->slots, 0, slot_count * sizeof *map->slots);
    map->slot_count = slot_count;
    while (at < end) {
        const uint8_t *record = at, *next, *digest;
        size_t len, digest_len;
        bool is_text;

        at = varint(at, &len);
        insert(arena, map, seed, (size_t)(record - arena->data), at, len);
        for (at += len; (next = ima_policy_digest(at, &digest, &digest_len, &is_text)); at = next)
            ;
        at++;
    }
    return QL_OK;
}
