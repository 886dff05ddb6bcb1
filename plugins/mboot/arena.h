/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file arena.h
 * Memory of a compiled policy: pieces are never freed alone, all go at once. That is what lets tests be made from inside of a
 * Lua call, which a limit may end at any moment.
 *
 * Layer: plugin mboot.
 */
#pragma once
#include <stddef.h>

#include <quicklime/plugin.h>

enum {
    MB_ARENA_MAX = 64 * 1024 * 1024 /**< bytes of one policy; references of a large fleet take some MiB */
};

struct mb_arena_chunk;

/** Begin with mb_arena_init(). */
struct mb_arena {
    const struct ql_host *host;
    struct mb_arena_chunk *chunks; /**< newest first */
    size_t used;                   /**< bytes taken from the host */
};

void mb_arena_init(struct mb_arena *a, const struct ql_host *host);
/** @return zeroed bytes aligned for any type, NULL: no memory or MB_ARENA_MAX reached */
void *mb_arena_alloc(struct mb_arena *a, size_t len);
/** Copy of @p len bytes with a NUL behind. */
char *mb_arena_text(struct mb_arena *a, const char *text, size_t len);
void mb_arena_done(struct mb_arena *a);
