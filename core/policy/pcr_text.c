/* SPDX-License-Identifier: Apache-2.0 */
#include "pcr_text.h"

#include <string.h>

#include "encode.h"
#include "error.h"
#include "parse.h"

/** One line without blanks at its ends. */
struct line {
    const char *at;
    size_t len;
};

static struct line trimmed(const char *at, size_t len)
{
    while (len > 0 && strchr(" \t\r", at[len - 1]))
        len--;
    while (len > 0 && strchr(" \t\r", *at)) {
        at++;
        len--;
    }
    return (struct line){at, len};
}

static int take_value(struct line key, struct line value, struct ql_pcr_values *v, struct ql_err *err)
{
    uint64_t pcr;
    int r = ql_parse_u64(key.at, key.len, 0, QL_PCR_TEXT_PCRS - 1, &pcr, err);

    if (r < 0)
        return r;
    if (v->present & UINT32_C(1) << pcr)
        return ql_fail(err, QL_EPARSE, "PCR %u comes twice", (unsigned)pcr);
    if (value.len > 2 && value.at[0] == '0' && (value.at[1] == 'x' || value.at[1] == 'X')) {
        value.at += 2;
        value.len -= 2;
    }
    r = ql_hex_decode(value.at, value.len, v->value[pcr], v->digest_len, err);
    if (r == QL_OK)
        v->present |= UINT32_C(1) << pcr;
    return r;
}

int ql_pcr_text_read(const char *text, size_t len, const char *bank, struct ql_pcr_values *ret,
                     struct ql_err *err)
{
    struct ql_pcr_values v = {0};
    bool is_wanted = false, is_found = false;
    enum ql_hash hash;
    unsigned number = 0;

    if (len > QL_PCR_TEXT_MAX)
        return ql_fail(err, QL_ELIMIT, "PCR values: %zu bytes, at most %d", len, QL_PCR_TEXT_MAX);
    if (ql_hash_by_name(bank, strlen(bank), &hash) < 0)
        return ql_fail(err, QL_ENOTFOUND, "there is no bank %.20s", bank);
    v.digest_len = ql_hash_len(hash);
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        const size_t n = end ? (size_t)(end - text) - at : len - at;
        const char *colon = memchr(text + at, ':', n);
        const size_t key_len = colon ? (size_t)(colon - text) - at : n;
        const struct line key = trimmed(text + at, key_len);
        const struct line value = colon ? trimmed(colon + 1, n - key_len - 1) : (struct line){"", 0};
        int r = QL_OK;

        number++;
        at += n + 1;
        if (key.len == 0 && !colon)
            continue;
        if (!colon || key.len == 0)
            r = ql_fail(err, QL_EPARSE, "neither a bank nor a PCR");
        else if (value.len == 0) {
            is_wanted = key.len == strlen(bank) && memcmp(key.at, bank, key.len) == 0;
            is_found |= is_wanted;
        } else if (is_wanted)
            r = take_value(key, value, &v, err);
        if (r < 0)
            return ql_fail_context(err, r, "PCR values: line %u", number);
    }
    if (!is_found)
        return ql_fail(err, QL_ENOTFOUND, "PCR values: no bank %s", bank);
    *ret = v;
    return QL_OK;
}
