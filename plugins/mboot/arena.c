/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <stdint.h>
#include <string.h>

enum {
    CHUNK_LEN = 32 * 1024,
    ALIGNMENT = 16
};

struct mb_arena_chunk {
    struct mb_arena_chunk *next;
    size_t used, len; /* bytes behind this header */
} __attribute__((aligned(ALIGNMENT)));

void mb_arena_init(struct mb_arena *a, const struct ql_host *host)
{
    *a = (struct mb_arena){.host = host};
}

void *mb_arena_alloc(struct mb_arena *a, size_t len)
{
    struct mb_arena_chunk *c = a->chunks;
    void *at;

    if (len > MB_ARENA_MAX)
        return NULL;
    len = (len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!c || len > c->len - c->used) {
        const size_t room = len > CHUNK_LEN ? len : CHUNK_LEN;

        if (room + sizeof *c > MB_ARENA_MAX - a->used)
            return NULL;
        c = a->host->alloc(a->host, sizeof *c + room);
        if (!c)
            return NULL;
        *c = (struct mb_arena_chunk){.next = a->chunks, .len = room};
        a->chunks = c;
        a->used += room + sizeof *c;
    }
    at = (char *)(c + 1) + c->used;
    c->used += len;
    memset(at, 0, len);
    return at;
}

char *mb_arena_text(struct mb_arena *a, const char *text, size_t len)
{
    char *copy = len < MB_ARENA_MAX ? mb_arena_alloc(a, len + 1) : NULL;

    if (copy && len > 0)
        memcpy(copy, text, len);
    return copy;
}

void mb_arena_done(struct mb_arena *a)
{
    while (a->chunks) {
        struct mb_arena_chunk *next = a->chunks->next;

        a->host->free(a->host, a->chunks);
        a->chunks = next;
    }
    a->used = 0;
}
