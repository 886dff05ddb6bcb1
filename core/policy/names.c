/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <quicklime/error.h>

#include "names.h"

enum {
    FIRST_SLOTS = 64,
    NAMES_MAX = 0x7fffffff
};

static uint64_t hash(const uint8_t *s, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ s[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

/* Slot of the name, or the empty one where it belongs. */
static uint32_t *slot_of(const struct ql_names *n, const uint8_t *name, size_t len)
{
    size_t i = hash(name, len) & (n->slot_count - 1);

    while (n->slots[i] != 0) {
        const struct ql_name *one = &n->list[n->slots[i] - 1];

        if (one->len == len && memcmp(one->bytes, name, len) == 0)
            break;
        i = (i + 1) & (n->slot_count - 1);
    }
    return &n->slots[i];
}

static int index_all(struct ql_names *n, size_t slot_count)
{
    uint32_t *slots = calloc(slot_count, sizeof *slots);

    if (!slots)
        return QL_ENOMEM;
    free(n->slots);
    n->slots = slots;
    n->slot_count = slot_count;
    for (size_t i = 0; i < n->count; i++)
        *slot_of(n, n->list[i].bytes, n->list[i].len) = (uint32_t)i + 1;
    return QL_OK;
}

static int grow(struct ql_names *n)
{
    if (n->count == NAMES_MAX)
        return QL_ELIMIT;
    if (n->count == n->room) {
        size_t room = n->room ? n->room * 2 : FIRST_SLOTS / 2;
        struct ql_name *wide = reallocarray(n->list, room, sizeof *wide);

        if (!wide)
            return QL_ENOMEM;
        n->list = wide;
        n->room = room;
    }
    return n->count * 2 < n->slot_count ? QL_OK
                                        : index_all(n, n->slot_count ? n->slot_count * 2 : FIRST_SLOTS);
}

static int add_value(struct ql_name *one, const char *value, size_t len)
{
    if (one->count == one->room) {
        size_t room = one->room ? one->room * 2 : 1;
        char **wide = reallocarray(one->values, room, sizeof *wide);

        if (!wide)
            return QL_ENOMEM;
        one->values = wide;
        one->room = room;
    }
    one->values[one->count] = strndup(value, len);
    return one->values[one->count++] ? QL_OK : QL_ENOMEM;
}

int ql_names_add(struct ql_names *n, const void *name, size_t len, const char *value, size_t value_len)
{
    uint32_t *slot;
    int r = grow(n);

    if (r < 0)
        return r;
    slot = slot_of(n, name, len);
    if (*slot == 0) {
        uint8_t *bytes = malloc(len + 1);

        if (!bytes)
            return QL_ENOMEM;
        if (len > 0)
            memcpy(bytes, name, len);
        bytes[len] = 0;
        n->list[n->count] = (struct ql_name){.bytes = bytes, .len = len};
        *slot = (uint32_t)++n->count;
    }
    return value ? add_value(&n->list[*slot - 1], value, value_len) : QL_OK;
}

int ql_names_merge(struct ql_names *to, const struct ql_names *from)
{
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < from->count; i++) {
        const struct ql_name *n = &from->list[i];

        if (n->count == 0)
            r = ql_names_add(to, n->bytes, n->len, NULL, 0);
        for (size_t k = 0; r == QL_OK && k < n->count; k++)
            r = ql_names_add(to, n->bytes, n->len, n->values[k], strlen(n->values[k]));
    }
    return r;
}

const struct ql_name *ql_names_find(const struct ql_names *n, const void *name, size_t len)
{
    const uint32_t *slot = n->slot_count > 0 ? slot_of(n, name, len) : NULL;

    return slot && *slot != 0 ? &n->list[*slot - 1] : NULL;
}

static int compare_values(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void ql_names_tidy(struct ql_names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        struct ql_name *one = &n->list[i];
        size_t kept = 0;

        if (one->count > 1)
            qsort(one->values, one->count, sizeof *one->values, compare_values);
        for (size_t k = 0; k < one->count; k++)
            if (kept > 0 && strcmp(one->values[kept - 1], one->values[k]) == 0)
                free(one->values[k]);
            else
                one->values[kept++] = one->values[k];
        one->count = kept;
    }
}

static int compare_names(const void *a, const void *b)
{
    const struct ql_name *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);

    return order != 0 ? order : x->len < y->len ? -1 : x->len > y->len;
}

int ql_names_sort(struct ql_names *n)
{
    if (n->count == 0)
        return QL_OK;
    qsort(n->list, n->count, sizeof *n->list, compare_names);
    return index_all(n, n->slot_count);
}

void ql_names_done(struct ql_names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        for (size_t k = 0; k < n->list[i].count; k++)
            free(n->list[i].values[k]);
        free(n->list[i].values);
        free(n->list[i].bytes);
    }
    free(n->list);
    free(n->slots);
    *n = (struct ql_names){0};
}
