/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "pattern.h"

struct ima_pattern {
    const struct ql_host *host;
    pcre2_code *code;
    pcre2_match_context *limits;
    pcre2_match_data *match; /* workers have one thread: kept from match to match */
};

void ima_pattern_free(struct ima_pattern *p)
{
    if (!p)
        return;
    pcre2_match_data_free(p->match);
    pcre2_match_context_free(p->limits);
    pcre2_code_free(p->code);
    p->host->free(p->host, p);
}

size_t ima_pattern_size(const struct ima_pattern *p)
{
    size_t size = 0;

    (void)pcre2_pattern_info(p->code, PCRE2_INFO_SIZE, &size); /* cannot fail for a compiled one */
    return sizeof *p + size;
}

static int compile(struct ima_pattern *p, const uint8_t *text, size_t len, bool is_full, struct ql_err *err)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
                       PCRE2_ANCHORED | (is_full ? PCRE2_ENDANCHORED : 0);
    PCRE2_UCHAR why[256] = "";
    PCRE2_SIZE at = 0;
    int code = 0;

    if (!context || pcre2_set_newline(context, PCRE2_NEWLINE_LF) != 0) {
        pcre2_compile_context_free(context);
        return p->host->fail(err, QL_ENOMEM, "no memory for a pattern");
    }
    p->code =
        pcre2_compile((PCRE2_SPTR)(len > 0 ? (const char *)text : ""), len, options, &code, &at, context);
    pcre2_compile_context_free(context);
    if (p->code)
        return QL_OK;
    (void)pcre2_get_error_message(code, why, sizeof why); /* an unknown code leaves it empty */
    return p->host->fail(err, QL_EPARSE, "at character %zu: %s", (size_t)at, (const char *)why);
}

int ima_pattern_new(const struct ql_host *host, const uint8_t *text, size_t len, bool is_full,
                    struct ima_pattern **ret, struct ql_err *err)
{
    struct ima_pattern *p;
    int r;

    if (len > IMA_PATTERN_MAX)
        return host->fail(err, QL_ELIMIT, "pattern of %zu bytes, at most %d", len, IMA_PATTERN_MAX);
    p = host->alloc(host, sizeof *p);
    if (!p)
        return host->fail(err, QL_ENOMEM, "no memory for a pattern");
    *p = (struct ima_pattern){.host = host};
    r = compile(p, text, len, is_full, err);
    if (r == QL_OK) {
        p->limits = pcre2_match_context_create(NULL);
        p->match = pcre2_match_data_create(1, NULL);
        if (!p->limits || !p->match)
            r = host->fail(err, QL_ENOMEM, "no memory for a pattern");
    }
    if (r < 0) {
        ima_pattern_free(p);
        return r;
    }
    pcre2_set_match_limit(p->limits, IMA_MATCH_LIMIT);
    pcre2_set_depth_limit(p->limits, IMA_MATCH_LIMIT);
    pcre2_set_heap_limit(p->limits, IMA_MATCH_HEAP_KIB);
    *ret = p;
    return QL_OK;
}

enum ima_match ima_pattern_match(const struct ima_pattern *p, const uint8_t *subject, size_t len)
{
    int r;

    if (len > IMA_SUBJECT_MAX)
        return IMA_MATCH_LIMITED;
    r = pcre2_match(p->code, (PCRE2_SPTR)(len > 0 ? (const char *)subject : ""), len, 0, PCRE2_NO_JIT,
                    p->match, p->limits);
    if (r >= 0)
        return IMA_MATCH;
    return r == PCRE2_ERROR_NOMATCH ? IMA_NO_MATCH : IMA_MATCH_LIMITED;
}
