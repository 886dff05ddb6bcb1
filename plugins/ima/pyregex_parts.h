/* SPDX-License-Identifier: Apache-2.0 */
/** @file pyregex_parts.h  The translator's reader and writer. Private to pyregex*.c. */
#pragma once
#include "pyregex.h"

enum {
    FLAG_I = 1,
    FLAG_M = 2,
    FLAG_S = 4,
    FLAG_X = 8,
    FLAG_A = 16
};

/** Characters a part can match: least and most. */
struct width {
    uint32_t low, high;
};

/** How far the shape of an alternative is still simple. */
enum shape {
    SHAPE_HEAD,     /* literals */
    SHAPE_STAR,     /* then .* */
    SHAPE_TAIL,     /* then literals */
    SHAPE_END,      /* then the end: `is_suffix` says behind what */
    SHAPE_TAIL_ANY, /* then .* once more */
    SHAPE_COMPLEX
};

struct translate {
    const struct ql_host *host;
    const uint8_t *start, *at, *end;
    struct ima_pyregex_list *list;
    struct ima_pyregex *out;
    struct ql_err *err;
    int code;
    unsigned depth, behind; /* groups open; look-behinds open */
    unsigned base;          /* groups of the list before this expression's own */
    unsigned groups;        /* of this expression */
    unsigned highest_condition;
    bool is_closed[IMA_PYREGEX_GROUPS + 1];
    bool has_references;
    /* of the top-level alternative under way */
    enum shape shape;
    bool is_head_closed; /* nothing may be added to the head any more */
    size_t head_at, head_len, tail_at, tail_len, alternative_at;
};

/** One character that an escape stands for, or a class. */
struct escape {
    uint32_t c;
    char class_name; /* one of dDsSwW; 0: a character */
};

int ima_py_fail(struct translate *t, int code, const char *why);
void ima_py_put(struct translate *t, const char *text);
void ima_py_put_literal(struct translate *t, uint32_t c);
/** Next character, taken. @return UINT32_MAX at the end */
uint32_t ima_py_next(struct translate *t);
/** Next character, left there. */
uint32_t ima_py_peek(const struct translate *t);
bool ima_py_take(struct translate *t, char c);
/** Hex digits, exactly @p count. */
uint32_t ima_py_hex(struct translate *t, unsigned count);
/** What a class escape matches, for use outside of a set. */
const char *ima_py_class(char name, bool is_ascii);
/** Escapes that mean the same in sets and outside. @return false: none of them (or failed) */
bool ima_py_common_escape(struct translate *t, uint32_t c, struct escape *ret);
/** A set, behind its '['. */
void ima_py_set(struct translate *t, unsigned flags);
