/* SPDX-License-Identifier: Apache-2.0 */
#include "quote_parts.h"
#include "error.h"

enum {
    SELECTIONS = 16,
    LIST_VALUES = 8,
    VALUE_ROOM = 64,
    SELECT_LEN = 3,
    SELECT_MAX = 4,
    SELECTION_COUNT_MAX = 16
};

int ql_attest_head_read(struct ql_reader *r, struct ql_attest_head *ret, struct ql_err *err)
{
    struct ql_attest_head h = {.magic = ql_reader_u32be(r), .type = ql_reader_u16be(r)};
    size_t signer_len;
    uint8_t safe;

    (void)ql_reader_tpm2b(r, &signer_len); /* qualifiedSigner: the signature already says who signed */
    h.extra = ql_reader_tpm2b(r, &h.extra_len);
    h.clock.clock = ql_reader_u64be(r);
    h.clock.reset_count = ql_reader_u32be(r);
    h.clock.restart_count = ql_reader_u32be(r);
    safe = ql_reader_u8(r);
    h.clock.safe = safe == 1;
    h.firmware_version = ql_reader_u64be(r);
    if (r->failed)
        return ql_fail(err, QL_EPARSE, "TPMS_ATTEST is cut short");
    if (signer_len > QL_NAME_MAX_LEN || h.extra_len > QL_NONCE_MAX_LEN + 2)
        return ql_fail(err, QL_EPARSE, "TPMS_ATTEST: name of %zu bytes, extra data of %zu", signer_len,
                       h.extra_len);
    if (safe > 1)
        return ql_fail(err, QL_EPARSE, "TPMS_ATTEST: safe is %u", safe);
    *ret = h;
    return QL_OK;
}

/* PCR bits of one selection, PCR 0 in bit 0 of byte 0. */
static int read_select(struct ql_reader *r, size_t len, uint32_t *mask, struct ql_err *err)
{
    const uint8_t *bits = ql_reader_bytes(r, len);

    *mask = 0;
    if (!bits || len > SELECT_MAX)
        return ql_fail(err, QL_EPARSE, "PCR selection of %zu bytes", len);
    for (size_t i = 0; i < len; i++)
        *mask |= (uint32_t)bits[i] << (8 * i);
    if (*mask >> QL_PCR_COUNT)
        return ql_fail(err, QL_EPARSE, "PCR selection 0x%08x names PCRs above %d", *mask, QL_PCR_COUNT - 1);
    return QL_OK;
}

int ql_attest_quote_read(const uint8_t *data, size_t len, struct ql_attest_quote *ret, struct ql_err *err)
{
    struct ql_reader r = ql_reader_of(data, len);
    struct ql_attest_quote q = {0};
    int result = ql_attest_head_read(&r, &q.head, err);

    if (result < 0)
        return result;
    q.selection_count = ql_reader_u32be(&r);
    if (q.selection_count > SELECTION_COUNT_MAX)
        return ql_fail(err, QL_EPARSE, "TPMS_ATTEST: %u PCR selections", q.selection_count);
    for (uint32_t i = 0; i < q.selection_count; i++) {
        unsigned bank = ql_reader_u16be(&r);
        size_t select_len = ql_reader_u8(&r);
        uint32_t mask;

        result = read_select(&r, select_len, &mask, err);
        if (result < 0)
            return result;
        if (i == 0) {
            q.bank = bank;
            q.mask = mask;
        }
    }
    q.digest = ql_reader_tpm2b(&r, &q.digest_len);
    if (!ql_reader_done(&r))
        return ql_fail(err, QL_EPARSE, "TPMS_ATTEST has %zu bytes too %s", r.left, r.failed ? "few" : "many");
    *ret = q;
    return QL_OK;
}

int ql_signature_read(const uint8_t *data, size_t len, struct ql_signature *ret, struct ql_err *err)
{
    struct ql_reader r = ql_reader_of(data, len);
    struct ql_signature s = {.scheme = ql_reader_u16be(&r), .hash = ql_reader_u16be(&r)};

    switch (s.scheme) {
    case QL_RSASSA:
    case QL_RSAPSS:
        s.r = ql_reader_tpm2b(&r, &s.r_len);
        break;
    case QL_ECDSA:
    case QL_ECSCHNORR:
        s.r = ql_reader_tpm2b(&r, &s.r_len);
        s.s = ql_reader_tpm2b(&r, &s.s_len);
        break;
    default:
        return ql_fail(err, QL_EUNSUPPORTED, "signature scheme 0x%04x", s.scheme);
    }
    if (!ql_reader_done(&r))
        return ql_fail(err, QL_EPARSE, "TPMT_SIGNATURE of %zu bytes is cut short or too long", len);
    *ret = s;
    return QL_OK;
}

static bool is_zero(const uint8_t *data, size_t len)
{
    uint8_t any = 0;

    for (size_t i = 0; i < len; i++)
        any |= data[i];
    return any == 0;
}

/* One TPML_DIGEST: count, then eight values of which the first `count` are used. */
static int read_list(struct ql_reader *r, size_t expected, struct ql_pcr_blob *b, struct ql_err *err)
{
    uint32_t count = ql_reader_u32le(r);

    if (count != expected)
        return ql_fail(err, QL_EPARSE, "PCR blob: a list of %u values, not %zu", count, expected);
    for (size_t i = 0; i < LIST_VALUES; i++) {
        size_t size = ql_reader_u16le(r), wanted = i < expected ? b->value_len : 0;
        const uint8_t *value = ql_reader_bytes(r, VALUE_ROOM);

        if (!value || size != wanted || !is_zero(value + wanted, VALUE_ROOM - wanted))
            return ql_fail(err, QL_EPARSE,
                           "PCR blob: value %zu has %zu bytes, not %zu, or padding that is not zero", i, size,
                           wanted);
        if (i < expected)
            b->values[b->count++] = value;
    }
    return QL_OK;
}

static int read_selections(struct ql_reader *r, struct ql_pcr_blob *b, struct ql_err *err)
{
    uint32_t count = ql_reader_u32le(r);
    const uint8_t *rest;
    size_t select_len;
    int result;

    b->bank = ql_reader_u16le(r);
    select_len = ql_reader_u8(r);
    if (r->failed || count != 1 || select_len != SELECT_LEN)
        return ql_fail(err, QL_EPARSE, "PCR blob: %u selections, the first of %zu bytes", count, select_len);
    result = read_select(r, SELECT_LEN, &b->mask, err);
    if (result < 0)
        return result;
    /* The fourth byte of the selection, its padding, and 15 entries that are not used. */
    rest = ql_reader_bytes(r, 2 + (size_t)(SELECTIONS - 1) * 8);
    if (!rest || !is_zero(rest, 2 + (size_t)(SELECTIONS - 1) * 8))
        return ql_fail(err, QL_EPARSE, "PCR blob: unused selections are not zero");
    return QL_OK;
}

int ql_pcr_blob_read(const uint8_t *data, size_t len, struct ql_pcr_blob *ret, struct ql_err *err)
{
    struct ql_reader r = ql_reader_of(data, len);
    struct ql_pcr_blob b = {0};
    size_t left;
    uint32_t lists;
    int result = read_selections(&r, &b, err);

    if (result < 0)
        return result;
    b.value_len = ql_hash_len(b.bank);
    if (b.value_len == 0)
        return ql_fail(err, QL_EPARSE, "PCR blob: bank 0x%04x", b.bank);
    left = (size_t)__builtin_popcount(b.mask);
    lists = ql_reader_u32le(&r);
    if (lists != (left + LIST_VALUES - 1) / LIST_VALUES || r.left != (size_t)lists * QL_PCR_BLOB_LIST)
        return ql_fail(err, QL_EPARSE, "PCR blob of %zu bytes with %u lists for %zu values", len, lists,
                       left);
    for (uint32_t i = 0; i < lists; i++) {
        size_t expected = left < LIST_VALUES ? left : LIST_VALUES;

        result = read_list(&r, expected, &b, err);
        if (result < 0)
            return result;
        left -= expected;
    }
    if (!ql_reader_done(&r))
        return ql_fail(err, QL_EPARSE, "PCR blob has bytes left over");
    *ret = b;
    return QL_OK;
}
