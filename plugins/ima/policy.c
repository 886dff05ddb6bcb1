/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "policy_parts.h"

void ima_policy_free(struct ima_policy *p)
{
    if (!p)
        return;
    for (unsigned m = 0; m < IMA_MAP_COUNT; m++)
        p->host->free(p->host, p->maps[m].slots);
    p->host->free(p->host, p->ignored.slots);
    p->host->free(p->host, p->arena.data);
    ima_excludes_free(p->excludes);
    ima_keyring_free(p->keys);
    json_decref(p->dm);
    p->host->free(p->host, p);
}

size_t ima_policy_size(const struct ima_policy *p)
{
    return p->size;
}

enum ima_lookup ima_policy_lookup(const struct ima_policy *p, enum ima_map map, const uint8_t *name,
                                  size_t name_len, const uint8_t *digest, size_t digest_len)
{
    size_t len;
    const uint8_t *at = ima_policy_map_find(&p->arena, &p->maps[map], p->seed, name, name_len), *one;
    bool is_text;

    if (!at)
        return IMA_NAME_UNKNOWN;
    while ((at = ima_policy_digest(at, &one, &len, &is_text)))
        if (!is_text && len == digest_len && memcmp(one, digest, len) == 0)
            return IMA_ALLOWED;
    return IMA_DIGEST_WRONG;
}

uint64_t ima_policy_fetch_index(const struct ima_policy *p, const uint8_t *name, size_t name_len)
{
    return ima_policy_map_fetch_index(&p->maps[IMA_MAP_DIGESTS], p->seed, name, name_len);
}

void ima_policy_fetch_record(const struct ima_policy *p, uint64_t fetched)
{
    ima_policy_map_fetch_record(&p->arena, &p->maps[IMA_MAP_DIGESTS], fetched);
}

static json_t *digest_text(const uint8_t *bytes, size_t len, bool is_text)
{
    static const char hex[] = "0123456789abcdef";
    char text[2 * IMA_DIGEST_MAX];

    if (is_text)
        return json_stringn((const char *)bytes, len);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = hex[bytes[i] >> 4];
        text[2 * i + 1] = hex[bytes[i] & 15];
    }
    return json_stringn(text, 2 * len);
}

json_t *ima_policy_expected(const struct ima_policy *p, enum ima_map map, const uint8_t *name,
                            size_t name_len, size_t max_count)
{
    size_t len;
    const uint8_t *at = ima_policy_map_find(&p->arena, &p->maps[map], p->seed, name, name_len), *one;
    json_t *list = json_array();
    bool is_text;

    for (size_t i = 0; at && list && i < max_count; i++) {
        at = ima_policy_digest(at, &one, &len, &is_text);
        if (at && json_array_append_new(list, digest_text(one, len, is_text)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

enum ima_excluded ima_policy_excludes(const struct ima_policy *p, const uint8_t *name, size_t name_len)
{
    return ima_excludes_match(p->excludes, name, name_len);
}

bool ima_policy_ignores_ring(const struct ima_policy *p, const uint8_t *name, size_t name_len)
{
    return p->ignores_all || ima_policy_map_find(&p->arena, &p->ignored, p->seed, name, name_len) != NULL;
}

const char *ima_policy_log_hash(const struct ima_policy *p)
{
    return p->log_hash;
}

unsigned ima_policy_generator(const struct ima_policy *p)
{
    return p->generator;
}

const struct ima_keyring *ima_policy_keys(const struct ima_policy *p)
{
    return p->keys;
}

const json_t *ima_policy_dm(const struct ima_policy *p)
{
    return p->dm;
}
