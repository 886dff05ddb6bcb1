/* SPDX-License-Identifier: Apache-2.0 */
#include <lz4.h>
#include <lz4frame.h>

#include "cleanup.h"
#include "decompress_kinds.h"
#include "error.h"
#include "reader.h"

enum {
    OLD_MAGIC = 0x184c2102
};

int ql_unpack_lz4(const uint8_t *data, size_t len, struct ql_unpack_to *to, struct ql_err *err)
{
    ql_auto_free uint8_t *out = malloc(QL_UNPACK_PIECE);
    LZ4F_dctx *z = NULL;
    size_t at = 0, state = 1;
    int r = QL_OK;

    if (!out || LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)))
        return ql_fail_nomem(err);
    while (r == QL_OK && state != 0) {
        size_t n = QL_UNPACK_PIECE, used = len - at;

        state = LZ4F_decompress(z, out, &n, data + at, &used, NULL);
        at += used;
        if (LZ4F_isError(state) || (state != 0 && used == 0 && n == 0))
            r = ql_fail(err, QL_EPARSE, "lz4 data is damaged or cut short");
        else
            r = ql_unpack_put(to, out, n, err);
    }
    LZ4F_freeDecompressionContext(z);
    return r;
}

/* The form of kernels: blocks of at most 8 MiB, each behind its length; the magic may stand again. */
int ql_unpack_lz4_old(const uint8_t *data, size_t len, struct ql_unpack_to *to, struct ql_err *err)
{
    ql_auto_free uint8_t *out = malloc(QL_UNPACK_BLOCK);
    struct ql_reader in = ql_reader_of(data, len);
    int r = QL_OK;

    if (!out)
        return ql_fail_nomem(err);
    (void)ql_reader_u32le(&in); /* the magic that brought us here */
    while (r == QL_OK && in.left >= 4) {
        uint32_t n = ql_reader_u32le(&in);
        const uint8_t *block;
        int got;

        if (n == OLD_MAGIC)
            continue;
        if (n == 0)
            break;
        block = n <= INT32_MAX ? ql_reader_bytes(&in, n) : NULL;
        got = block ? LZ4_decompress_safe((const char *)block, (char *)out, (int)n, QL_UNPACK_BLOCK) : -1;
        r = got < 0 ? ql_fail(err, QL_EPARSE, "lz4 data is damaged or cut short")
                    : ql_unpack_put(to, out, (size_t)got, err);
    }
    return r;
}
