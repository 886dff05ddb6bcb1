/* SPDX-License-Identifier: Apache-2.0 */
/* The structures inside a quote, without the signature in the way. The first byte says which: a, s, b, t. */
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "quote_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void inside(const uint8_t *data, size_t len, const uint8_t *view, size_t view_len)
{
    if (view_len > len || view < data || view > data + len - view_len)
        abort();
}

static void attest(const uint8_t *data, size_t len)
{
    struct ql_attest_quote q;

    if (ql_attest_quote_read(data, len, &q, NULL) != QL_OK)
        return;
    inside(data, len, q.digest, q.digest_len);
    inside(data, len, q.head.extra, q.head.extra_len);
    if (q.mask >> QL_PCR_COUNT)
        abort();
}

static void signature(const uint8_t *data, size_t len)
{
    struct ql_signature s;

    if (ql_signature_read(data, len, &s, NULL) != QL_OK)
        return;
    inside(data, len, s.r, s.r_len);
    if (s.s)
        inside(data, len, s.s, s.s_len);
}

/* A blob has one form: writing what was read gives the same bytes. */
static void blob(const uint8_t *data, size_t len)
{
    uint8_t pcr[QL_PCR_COUNT][QL_DIGEST_MAX];
    struct ql_quote_text again;
    struct ql_pcr_blob b;
    char *text = NULL;

    if (ql_pcr_blob_read(data, len, &b, NULL) != QL_OK)
        return;
    for (size_t i = 0; i < b.count; i++) {
        inside(data, len, b.values[i], b.value_len);
        memcpy(pcr[i], b.values[i], b.value_len);
    }
    if (ql_quote_encode(data, 1, data, 1, (enum ql_hash)b.bank, b.mask, pcr, b.count, &text, NULL) != QL_OK ||
        ql_quote_text_read(text, strlen(text), &again, NULL) != QL_OK || again.blob_len != len ||
        memcmp(again.blob, data, len) != 0)
        abort();
    free(text);
}

/* What the fast decoder takes, the strict one takes too, with the same result. */
static void text(const char *data, size_t len)
{
    uint8_t expected[QL_ATTEST_MAX_LEN];
    struct ql_quote_text t;
    const char *colon;
    size_t expected_len;

    if (ql_quote_text_read(data, len, &t, NULL) != QL_OK)
        return;
    colon = memchr(data, ':', len);
    if (ql_base64_decode(data + 1, (size_t)(colon - data - 1), expected, sizeof expected, &expected_len,
                         NULL) != QL_OK ||
        expected_len != t.attest_len || memcmp(expected, t.attest, expected_len) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *copy;

    if (len == 0)
        return 0;
    copy = malloc(len);
    if (!copy)
        abort();
    memcpy(copy, data + 1, len - 1);
    switch (data[0]) {
    case 'a':
        attest(copy, len - 1);
        break;
    case 's':
        signature(copy, len - 1);
        break;
    case 'b':
        blob(copy, len - 1);
        break;
    default:
        text((const char *)copy, len - 1);
        break;
    }
    free(copy);
    return 0;
}
