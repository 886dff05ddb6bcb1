/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "error.h"
#include "regex.h"

struct ql_regex {
    pcre2_code *code;
    pcre2_match_context *limits;
    pcre2_match_data *match;
};

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

int ql_regex_new(const char *pattern, size_t len, enum ql_regex_mode mode, struct ql_regex **ret,
                 struct ql_err *err)
{
    ql_auto(ql_regex_freep) struct ql_regex *re = calloc(1, sizeof *re);
    PCRE2_SIZE at = 0;
    int code = 0;

    if (!re)
        return ql_fail_nomem(err);
    if (len > QL_REGEX_PATTERN_MAX)
        return ql_fail(err, QL_ELIMIT, "pattern of %zu bytes, at most %d", len, QL_REGEX_PATTERN_MAX);
    re->code = pcre2_compile((PCRE2_SPTR)pattern, len,
                             PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY | mode_options(mode),
                             &code, &at, NULL);
    if (!re->code) {
        PCRE2_UCHAR why[256] = "";

        (void)pcre2_get_error_message(code, why, sizeof why); /* an unknown code leaves it empty */
        return ql_fail(err, QL_EPARSE, "pattern at character %zu: %s", (size_t)at, (const char *)why);
    }
    re->limits = pcre2_match_context_create(NULL);
    re->match = pcre2_match_data_create_from_pattern(re->code, NULL);
    if (!re->limits || !re->match)
        return ql_fail_nomem(err);
    pcre2_set_match_limit(re->limits, QL_REGEX_MATCH_LIMIT);
    pcre2_set_depth_limit(re->limits, QL_REGEX_MATCH_LIMIT);
    pcre2_set_heap_limit(re->limits, QL_REGEX_HEAP_KIB);
    *ret = ql_steal(re);
    return QL_OK;
}

int ql_regex_match(const struct ql_regex *re, const char *subject, size_t len, struct ql_err *err)
{
    int r = pcre2_match(re->code, (PCRE2_SPTR)subject, len, 0, PCRE2_NO_JIT, re->match, re->limits);

    if (r >= 0)
        return 1;
    switch (r) {
    case PCRE2_ERROR_NOMATCH:
        return 0;
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
        return ql_fail(err, QL_ELIMIT, "pattern took more than %d steps or %d KiB", QL_REGEX_MATCH_LIMIT,
                       QL_REGEX_HEAP_KIB);
    default:
        return ql_fail(err, QL_EPARSE, "subject cannot be matched (code %d)", r);
    }
}

void ql_regex_free(struct ql_regex *re)
{
    if (!re)
        return;
    pcre2_match_data_free(re->match);
    pcre2_match_context_free(re->limits);
    pcre2_code_free(re->code);
    free(re);
}
