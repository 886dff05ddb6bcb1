/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file cleanup.h
 * Cleanup by attribute: an owning local is freed on every way out of its block.
 *
 *     ql_auto(ql_pcrlist_freep) struct ql_pcrlist *l = NULL;
 *     …
 *     *ret = ql_steal(l);
 */
#pragma once
#include <stdlib.h>
#include <unistd.h>

#define ql_auto(fn) __attribute__((cleanup(fn)))

/* NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in parentheses */
/** Make `FNp(T **)` for a destructor `FN(T *)`. */
#define QL_DEFINE_CLEANUP(type, fn)                                                                          \
    __attribute__((unused)) static inline void fn##p(type **p)                                               \
    {                                                                                                        \
        if (*p)                                                                                              \
            fn(*p);                                                                                          \
        *p = NULL;                                                                                           \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void ql_freep(void *p)
{
    void **at = p;

    free(*at);
    *at = NULL;
}

static inline void ql_closep(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing is buffered in what we close this way */
    *fd = -1;
}

#define ql_auto_free  ql_auto(ql_freep)
#define ql_auto_close ql_auto(ql_closep)

/** Hand an owned pointer out: evaluates to its value and leaves NULL behind. */
#define ql_steal(p)                                                                                          \
    __extension__({                                                                                          \
        __typeof__(p) *_ql_q = &(p), _ql_v = *_ql_q;                                                         \
        *_ql_q = NULL;                                                                                       \
        _ql_v;                                                                                               \
    })

/** Hand a descriptor out and leave -1 behind. */
#define ql_steal_fd(fd)                                                                                      \
    __extension__({                                                                                          \
        int *_ql_q = &(fd), _ql_v = *_ql_q;                                                                  \
        *_ql_q = -1;                                                                                         \
        _ql_v;                                                                                               \
    })

#define QL_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
