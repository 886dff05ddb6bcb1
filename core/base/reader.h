/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file reader.h
 * Reading foreign bytes: a window that only shrinks. No other file does pointer arithmetic on wire bytes.
 * A failed read poisons the reader: every later read fails too, so one check at the end is enough for fixed layouts.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ql_reader {
    const uint8_t *at; /**< next byte */
    size_t left;       /**< bytes not read yet */
    bool failed;
};

static inline struct ql_reader ql_reader_of(const void *data, size_t len)
{
    return (struct ql_reader){.at = data, .left = len};
}

/** Take @p len bytes. @return them, borrowed; NULL and poisoned when fewer are left. */
static inline const uint8_t *ql_reader_bytes(struct ql_reader *r, size_t len)
{
    const uint8_t *p = r->at;

    if (r->failed || r->left < len) {
        r->failed = true;
        return NULL;
    }
    if (len > 0)
        r->at += len;
    r->left -= len;
    return p;
}

static inline uint8_t ql_reader_u8(struct ql_reader *r)
{
    const uint8_t *p = ql_reader_bytes(r, 1);

    return p ? p[0] : 0;
}

static inline uint16_t ql_reader_u16be(struct ql_reader *r)
{
    const uint8_t *p = ql_reader_bytes(r, 2);

    return (uint16_t)(p ? (unsigned)p[0] << 8 | p[1] : 0u);
}

static inline uint32_t ql_reader_u32be(struct ql_reader *r)
{
    const uint8_t *p = ql_reader_bytes(r, 4);

    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t ql_reader_u64be(struct ql_reader *r)
{
    uint64_t high = ql_reader_u32be(r);

    return high << 32 | ql_reader_u32be(r);
}

static inline uint16_t ql_reader_u16le(struct ql_reader *r)
{
    const uint8_t *p = ql_reader_bytes(r, 2);

    return (uint16_t)(p ? (unsigned)p[1] << 8 | p[0] : 0u);
}

static inline uint32_t ql_reader_u32le(struct ql_reader *r)
{
    const uint8_t *p = ql_reader_bytes(r, 4);

    return p ? (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0] : 0;
}

/** A u16 length followed by that many bytes (TPM2B). @return the bytes, length in @p len; NULL when cut short */
static inline const uint8_t *ql_reader_tpm2b(struct ql_reader *r, size_t *len)
{
    *len = ql_reader_u16be(r);
    return ql_reader_bytes(r, *len);
}

/** @return true when nothing failed and nothing is left over */
static inline bool ql_reader_done(const struct ql_reader *r)
{
    return !r->failed && r->left == 0;
}
