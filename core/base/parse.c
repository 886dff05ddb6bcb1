/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "error.h"
#include "parse.h"
#include "utf8.h"

/* Digits of a base to a number; overflow and other characters are told apart. */
static int digits(const char *text, size_t len, unsigned base, uint64_t *ret, struct ql_err *err)
{
    uint64_t v = 0;

    if (len == 0)
        return ql_fail(err, QL_EPARSE, "a number is missing");
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 16;

        if (d >= base)
            return ql_fail(err, QL_EPARSE, "\"%.*s\" is not a number", len > 40 ? 40 : (int)len, text);
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
            return ql_fail(err, QL_ERANGE, "\"%.*s\" is too large", len > 40 ? 40 : (int)len, text);
    }
    *ret = v;
    return QL_OK;
}

static int in_range(uint64_t v, uint64_t min, uint64_t max, uint64_t *ret, struct ql_err *err)
{
    if (v < min || v > max)
        return ql_fail(err, QL_ERANGE, "%llu is not between %llu and %llu", (unsigned long long)v,
                       (unsigned long long)min, (unsigned long long)max);
    *ret = v;
    return QL_OK;
}

int ql_parse_u64(const char *text, size_t len, uint64_t min, uint64_t max, uint64_t *ret, struct ql_err *err)
{
    uint64_t v;
    int r = digits(text, len, 10, &v, err);

    return r < 0 ? r : in_range(v, min, max, ret, err);
}

int ql_parse_i64(const char *text, size_t len, int64_t min, int64_t max, int64_t *ret, struct ql_err *err)
{
    bool negative = len > 0 && text[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX, v;
    int64_t value;
    int r = digits(text + (negative ? 1 : 0), len - (negative ? 1 : 0), 10, &v, err);

    if (r < 0)
        return r;
    if (v > limit)
        return ql_fail(err, QL_ERANGE, "\"%.*s\" is too large", len > 40 ? 40 : (int)len, text);
    value = negative ? (int64_t)(0 - v) : (int64_t)v;
    if (value < min || value > max)
        return ql_fail(err, QL_ERANGE, "%lld is not between %lld and %lld", (long long)value, (long long)min,
                       (long long)max);
    *ret = value;
    return QL_OK;
}

static bool has_hex_prefix(const char *text, size_t len)
{
    return len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

int ql_parse_hex_u32(const char *text, size_t len, uint32_t *ret, struct ql_err *err)
{
    size_t skip = has_hex_prefix(text, len) ? 2 : 0;
    uint64_t v;
    int r = digits(text + skip, len - skip, 16, &v, err);

    if (r == QL_OK)
        r = in_range(v, 0, UINT32_MAX, &v, err);
    if (r == QL_OK)
        *ret = (uint32_t)v;
    return r;
}

int ql_parse_size(const char *text, size_t len, uint64_t min, uint64_t max, uint64_t *ret, struct ql_err *err)
{
    uint64_t v, unit = 1;
    int r;

    if (has_hex_prefix(text, len)) {
        r = digits(text + 2, len - 2, 16, &v, err);
        return r < 0 ? r : in_range(v, min, max, ret, err);
    }
    switch (len > 0 ? text[len - 1] : '\0') {
    case 'K':
    case 'k':
        unit = UINT64_C(1) << 10;
        break;
    case 'M':
    case 'm':
        unit = UINT64_C(1) << 20;
        break;
    case 'G':
    case 'g':
        unit = UINT64_C(1) << 30;
        break;
    default: /* a digit, or the digits below will say what it is */
        break;
    }
    r = digits(text, unit > 1 ? len - 1 : len, 10, &v, err);
    if (r < 0)
        return r;
    if (__builtin_mul_overflow(v, unit, &v))
        return ql_fail(err, QL_ERANGE, "\"%.*s\" is too large", len > 40 ? 40 : (int)len, text);
    return in_range(v, min, max, ret, err);
}

int ql_parse_float(const char *text, size_t len, double min, double max, double *ret, struct ql_err *err)
{
    const char *point = len > 0 ? memchr(text, '.', len) : NULL;
    size_t whole_len = point ? (size_t)(point - text) : len;
    uint64_t whole, part = 0;
    size_t part_len = point ? len - whole_len - 1 : 0;
    double v;
    int r = digits(text, whole_len, 10, &whole, err);

    if (r == QL_OK && point && part_len > 15)
        r = ql_fail(err, QL_ERANGE, "\"%.*s\" has more than 15 decimals", len > 40 ? 40 : (int)len, text);
    if (r == QL_OK && point)
        r = digits(point + 1, part_len, 10, &part, err);
    if (r < 0)
        return r;
    v = (double)whole + (double)part / pow(10, (double)part_len);
    if (v < min || v > max)
        return ql_fail(err, QL_ERANGE, "%g is not between %g and %g", v, min, max);
    *ret = v;
    return QL_OK;
}

int ql_parse_bool(const char *text, size_t len, bool *ret, struct ql_err *err)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"1", true},  {"yes", true}, {"true", true},   {"on", true},
        {"0", false}, {"no", false}, {"false", false}, {"off", false},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].word) == len && strncasecmp(words[i].word, text, len) == 0) {
            *ret = words[i].value;
            return QL_OK;
        }
    return ql_fail(err, QL_EPARSE, "\"%.*s\" is neither true nor false", len > 40 ? 40 : (int)len, text);
}

bool ql_agent_id_ok(const char *text, size_t len)
{
    if (len == 0 || len > QL_AGENT_ID_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

bool ql_component_name_ok(const char *text, size_t len)
{
    if (len == 0 || len > 32)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9') || text[i] == '-'))
            return false;
    return true;
}

/* Eight bytes of plain ASCII, none of them NUL: nearly all text is, and one look is enough. */
static bool is_plain(const char *text)
{
    uint64_t word;

    memcpy(&word, text, sizeof word);
    /* Taking one from each byte borrows where a byte is zero. */
    return ((word | (word - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080)) == 0;
}

bool ql_utf8_ok(const char *text, size_t len)
{
    while (len > 0) {
        size_t step = len >= 8 && is_plain(text) ? 8 : ql_utf8_step(text, len);

        if (step == 0 || *text == '\0')
            return false;
        text += step;
        len -= step;
    }
    return true;
}
