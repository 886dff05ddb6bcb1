/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pyregex.h
 * A Python regular expression read, checked and written again for PCRE2. What PCRE2 would read otherwise is translated;
 * what it cannot express is refused, as is what Python refuses.
 *
 * Layer: plugin ima. Pure. Source: Python 3.11's re: library reference and its behaviour.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/plugin.h>

enum {
    IMA_PYREGEX_DEPTH = 100,    /**< groups within groups */
    IMA_PYREGEX_GROUPS = 1000,  /**< groups of one expression */
    IMA_PYREGEX_REPEAT = 65535, /**< largest count of a repetition: PCRE2's */
    IMA_PYREGEX_NAMES = 256     /**< named groups of a whole list */
};

/** What a top-level alternative amounts to. */
enum ima_pyregex_kind {
    IMA_PY_PREFIX,   /**< names that begin with `head` */
    IMA_PY_EXACT,    /**< `head` alone, or with a line feed behind it */
    IMA_PY_CONTAINS, /**< `head`, anything but line feeds, `tail` */
    IMA_PY_SUFFIX,   /**< the same, and then the end or a last line feed */
    IMA_PY_COMPLEX,  /**< names that begin with `head` may match; PCRE2 decides */
};

struct ima_pyregex_alternative {
    enum ima_pyregex_kind kind;
    size_t at, len;           /**< in the text for PCRE2 */
    size_t head_at, head_len; /**< in `literals` */
    size_t tail_at, tail_len;
};

/** Numbers and names of groups count over a whole list of expressions. */
struct ima_pyregex_list {
    unsigned groups; /**< of the expressions before */
    unsigned name_count;
    struct {
        char text[64];
    } names[IMA_PYREGEX_NAMES];
};

struct ima_pyregex_buf {
    uint8_t *data;
    size_t len, room;
};

struct ima_pyregex {
    struct ima_pyregex_buf text; /**< the whole, for PCRE2 */
    struct ima_pyregex_buf literals;
    struct ima_pyregex_alternative *alternatives; /**< one when groups are referred to */
    size_t count, room;
};

/**
 * Translate one expression, which stands in a group of its own as in a joined list.
 * @param[in,out] list  zeroed before the first expression
 * @param[out] ret  ima_pyregex_done(), on failure too
 * @retval QL_EPARSE "at character N: why", counted from 0 @retval QL_ELIMIT @retval QL_ENOMEM
 */
int ima_pyregex_translate(const struct ql_host *host, const uint8_t *text, size_t len,
                          struct ima_pyregex_list *list, struct ima_pyregex *ret, struct ql_err *err);
void ima_pyregex_done(const struct ql_host *host, struct ima_pyregex *r);
