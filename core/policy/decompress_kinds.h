/* SPDX-License-Identifier: Apache-2.0 */
/** @file decompress_kinds.h  The kinds of stream; private to decompress*.c. */
#pragma once
#include "decompress.h"

enum {
    QL_UNPACK_PIECE = 256 * 1024,         /**< bytes handed on at a time */
    QL_UNPACK_MEMORY = 512 * 1024 * 1024, /**< bytes a decompressor may take: dictionaries */
    QL_UNPACK_BLOCK = 8 * 1024 * 1024     /**< largest block of lz4's old form and of lzop */
};

/** Where unpacked bytes go, with what is left of the limit. */
struct ql_unpack_to {
    ql_unpack_fn fn;
    void *arg;
    uint64_t left;
};
int ql_unpack_put(struct ql_unpack_to *to, const uint8_t *data, size_t len, struct ql_err *err);

typedef int ql_unpacker(const uint8_t *data, size_t len, struct ql_unpack_to *to, struct ql_err *err);
ql_unpacker ql_unpack_gzip, ql_unpack_xz, ql_unpack_zstd, ql_unpack_bzip2, ql_unpack_lz4, ql_unpack_lz4_old,
    ql_unpack_lzop;
