/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "pattern.h"
#include "pyregex.h"

struct ima_matcher {
    const struct ql_host *host;
    pcre2_match_context *limits;
    pcre2_match_data *match; /* NULL: made by the next match */
};

struct ima_pattern {
    const struct ql_host *host;
    pcre2_code *code;
    struct ima_matcher *matcher;
    bool owns_matcher;
};

int ima_matcher_new(const struct ql_host *host, struct ima_matcher **ret, struct ql_err *err)
{
    struct ima_matcher *m = host->alloc(host, sizeof *m);

    if (!m)
        return host->fail(err, QL_ENOMEM, "no memory for a pattern");
    *m = (struct ima_matcher){.host = host, .limits = pcre2_match_context_create(NULL)};
    if (!m->limits) {
        host->free(host, m);
        return host->fail(err, QL_ENOMEM, "no memory for a pattern");
    }
    pcre2_set_match_limit(m->limits, IMA_MATCH_LIMIT);
    pcre2_set_depth_limit(m->limits, IMA_MATCH_LIMIT);
    pcre2_set_heap_limit(m->limits, IMA_MATCH_HEAP_KIB);
    *ret = m;
    return QL_OK;
}

void ima_matcher_free(struct ima_matcher *m)
{
    if (!m)
        return;
    pcre2_match_data_free(m->match);
    pcre2_match_context_free(m->limits);
    m->host->free(m->host, m);
}

void ima_pattern_free(struct ima_pattern *p)
{
    if (!p)
        return;
    if (p->owns_matcher)
        ima_matcher_free(p->matcher);
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
                       PCRE2_ALT_CIRCUMFLEX | PCRE2_ANCHORED | (is_full ? PCRE2_ENDANCHORED : 0);
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
    return p->host->fail(err, QL_EPARSE, "%s", (const char *)why);
}

int ima_pattern_new_raw(const struct ql_host *host, const uint8_t *text, size_t len, bool is_full,
                        struct ima_matcher *matcher, struct ima_pattern **ret, struct ql_err *err)
{
    struct ima_pattern *p = host->alloc(host, sizeof *p);
    int r;

    if (!p)
        return host->fail(err, QL_ENOMEM, "no memory for a pattern");
    *p = (struct ima_pattern){.host = host, .matcher = matcher};
    r = compile(p, text, len, is_full, err);
    if (r < 0)
        ima_pattern_free(p);
    else
        *ret = p;
    return r;
}

int ima_pattern_new(const struct ql_host *host, const uint8_t *text, size_t len, bool is_full,
                    struct ima_pattern **ret, struct ql_err *err)
{
    struct ima_pyregex_list list = {0};
    struct ima_pyregex translated = {0};
    struct ima_pattern *p = NULL;
    int r;

    if (len > IMA_PATTERN_MAX)
        return host->fail(err, QL_ELIMIT, "pattern of %zu bytes, at most %d", len, IMA_PATTERN_MAX);
    r = ima_pyregex_translate(host, text, len, &list, &translated, err);
    if (r == QL_OK)
        r = ima_pattern_new_raw(host, translated.text.data, translated.text.len, is_full, NULL, &p, err);
    ima_pyregex_done(host, &translated);
    if (r == QL_OK) {
        r = ima_matcher_new(host, &p->matcher, err);
        p->owns_matcher = r == QL_OK;
    }
    if (r < 0)
        ima_pattern_free(p);
    else
        *ret = p;
    return r;
}

enum ima_match ima_pattern_match(const struct ima_pattern *p, const uint8_t *subject, size_t len)
{
    struct ima_matcher *m = p->matcher;
    int r;

    if (len > IMA_SUBJECT_MAX)
        return IMA_MATCH_LIMITED;
    if (!m->match)
        m->match = pcre2_match_data_create(1, NULL);
    if (!m->match)
        return IMA_MATCH_LIMITED;
    r = pcre2_match(p->code, (PCRE2_SPTR)(len > 0 ? (const char *)subject : ""), len, 0, PCRE2_NO_JIT,
                    m->match, m->limits);
    if (r >= 0)
        return IMA_MATCH;
    if (r == PCRE2_ERROR_NOMATCH)
        return IMA_NO_MATCH;
    /* Memory that a costly match grew is not kept. */
    pcre2_match_data_free(m->match);
    m->match = NULL;
    return IMA_MATCH_LIMITED;
}
