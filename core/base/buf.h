/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file buf.h
 * A growing byte buffer with a hard limit. A failed append poisons it, so one check at the end is enough.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

struct ql_buf {
    uint8_t *data;  /**< owned; always followed by a NUL byte that `len` does not count, NULL while empty */
    size_t len;     /**< bytes used */
    size_t room;    /**< bytes allocated */
    size_t max_len; /**< limit; appending beyond it fails */
    bool failed;    /**< an append failed (limit or memory) */
};

/** An empty buffer of at most @p max_len bytes; ql_buf_done() when finished. */
static inline struct ql_buf ql_buf_init(size_t max_len)
{
    return (struct ql_buf){.max_len = max_len};
}

void ql_buf_done(struct ql_buf *b);
/** As ql_buf_done(), and the bytes are overwritten first. */
void ql_buf_wipe(struct ql_buf *b);

/** @return QL_OK, QL_ELIMIT or QL_ENOMEM; all appends alike */
int ql_buf_add(struct ql_buf *b, const void *data, size_t len);
int ql_buf_add_text(struct ql_buf *b, const char *text);
int ql_buf_add_u8(struct ql_buf *b, uint8_t v);
int ql_buf_add_u16be(struct ql_buf *b, uint16_t v);
int ql_buf_add_u32be(struct ql_buf *b, uint32_t v);
int ql_buf_add_u64be(struct ql_buf *b, uint64_t v);
int ql_buf_add_u16le(struct ql_buf *b, uint16_t v);
int ql_buf_add_u32le(struct ql_buf *b, uint32_t v);
/** u16 length and the bytes (TPM2B). */
int ql_buf_add_tpm2b(struct ql_buf *b, const void *data, size_t len);
int ql_buf_addf(struct ql_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** @return the bytes, now owned by the caller (free()), with the NUL; NULL if the buffer failed or is empty */
uint8_t *ql_buf_take(struct ql_buf *b, size_t *ret_len);

#define ql_auto_buf ql_auto(ql_buf_done)
