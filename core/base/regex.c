/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "error.h"
#include "regex.h"

/* Working memory of one match. A regex keeps one for the next call; threads that meet make one of their own. */
struct spare {
    _Atomic(pcre2_match_data *) match;
};

struct ql_regex {
    pcre2_code *code;
    pcre2_match_context *limits;
    struct spare *spare;
};

QL_DEFINE_CLEANUP(pcre2_compile_context, pcre2_compile_context_free)

static uint32_t mode_options(enum ql_regex_mode mode)
{
    switch (mode) {
    case QL_REGEX_FULL:
        return PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    case QL_REGEX_START:
        return PCRE2_ANCHORED;
    case QL_REGEX_SEARCH:
        return 0;
    }
    return PCRE2_ANCHORED | PCRE2_ENDANCHORED;
}

/* Classes know Unicode, as in Python; `.` and `$` know one line end, LF. */
static int compile(const char *pattern, size_t len, enum ql_regex_mode mode, pcre2_code **ret,
                   struct ql_err *err)
{
    ql_auto(pcre2_compile_context_freep) pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    PCRE2_UCHAR why[256] = "";
    PCRE2_SIZE at = 0;
    int code = 0;

    if (!context || pcre2_set_newline(context, PCRE2_NEWLINE_LF) != 0)
        return ql_fail_nomem(err);
    *ret = pcre2_compile((PCRE2_SPTR)(len > 0 ? pattern : ""), len,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | mode_options(mode), &code, &at,
                         context);
    if (*ret)
        return QL_OK;
    (void)pcre2_get_error_message(code, why, sizeof why); /* an unknown code leaves it empty */
    return ql_fail(err, QL_EPARSE, "pattern at character %zu: %s", (size_t)at, (const char *)why);
}

int ql_regex_new(const char *pattern, size_t len, enum ql_regex_mode mode, struct ql_regex **ret,
                 struct ql_err *err)
{
    ql_auto(ql_regex_freep) struct ql_regex *re = NULL;
    int r;

    if (len > QL_REGEX_PATTERN_MAX)
        return ql_fail(err, QL_ELIMIT, "pattern of %zu bytes, at most %d", len, QL_REGEX_PATTERN_MAX);
    re = calloc(1, sizeof *re);
    if (!re)
        return ql_fail_nomem(err);
    r = compile(pattern, len, mode, &re->code, err);
    if (r < 0)
        return r;
    re->limits = pcre2_match_context_create(NULL);
    re->spare = calloc(1, sizeof *re->spare);
    if (!re->limits || !re->spare)
        return ql_fail_nomem(err);
    pcre2_set_match_limit(re->limits, QL_REGEX_MATCH_LIMIT);
    pcre2_set_depth_limit(re->limits, QL_REGEX_MATCH_LIMIT);
    pcre2_set_heap_limit(re->limits, QL_REGEX_HEAP_KIB);
    *ret = ql_steal(re);
    return QL_OK;
}

static int verdict(int r, struct ql_err *err)
{
    if (r >= 0)
        return 1;
    if (r <= PCRE2_ERROR_UTF8_ERR1 && r >= PCRE2_ERROR_UTF8_ERR21)
        return ql_fail(err, QL_EPARSE, "subject is not UTF-8");
    switch (r) {
    case PCRE2_ERROR_NOMATCH:
        return 0;
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
        return ql_fail(err, QL_ELIMIT, "pattern took more than %d steps or %d KiB", QL_REGEX_MATCH_LIMIT,
                       QL_REGEX_HEAP_KIB);
    case PCRE2_ERROR_NOMEMORY:
        return ql_fail_nomem(err);
    default:
        return ql_fail(err, QL_EINTERNAL, "matching failed (PCRE2 code %d)", r);
    }
}

int ql_regex_match(const struct ql_regex *re, const char *subject, size_t len, struct ql_err *err)
{
    pcre2_match_data *match;
    int r;

    if (len > QL_REGEX_SUBJECT_MAX)
        return ql_fail(err, QL_ELIMIT, "subject of %zu bytes, at most %d", len, QL_REGEX_SUBJECT_MAX);
    match = atomic_exchange(&re->spare->match, NULL);
    if (!match)
        match = pcre2_match_data_create(1, NULL);
    if (!match)
        return ql_fail_nomem(err);
    r = pcre2_match(re->code, (PCRE2_SPTR)(len > 0 ? subject : ""), len, 0, PCRE2_NO_JIT, match, re->limits);
    /* Memory that a costly match grew is not kept. */
    if (r >= PCRE2_ERROR_NOMATCH)
        match = atomic_exchange(&re->spare->match, match);
    pcre2_match_data_free(match);
    return verdict(r, err);
}

void ql_regex_free(struct ql_regex *re)
{
    if (!re)
        return;
    if (re->spare)
        pcre2_match_data_free(re->spare->match);
    free(re->spare);
    pcre2_match_context_free(re->limits);
    pcre2_code_free(re->code);
    free(re);
}
