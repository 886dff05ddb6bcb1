/* SPDX-License-Identifier: Apache-2.0 */
#include <lzma.h>

#include "cleanup.h"
#include "decompress_kinds.h"
#include "error.h"

int ql_unpack_xz(const uint8_t *data, size_t len, struct ql_unpack_to *to, struct ql_err *err)
{
    ql_auto_free uint8_t *out = malloc(QL_UNPACK_PIECE);
    lzma_stream z = LZMA_STREAM_INIT;
    lzma_ret state = LZMA_OK;
    int r = QL_OK;

    if (!out || lzma_auto_decoder(&z, QL_UNPACK_MEMORY, 0) != LZMA_OK)
        return ql_fail_nomem(err);
    z.next_in = data;
    z.avail_in = len;
    while (r == QL_OK && state != LZMA_STREAM_END) {
        z.next_out = out;
        z.avail_out = QL_UNPACK_PIECE;
        state = lzma_code(&z, LZMA_RUN);
        if (state != LZMA_OK && state != LZMA_STREAM_END)
            r = ql_fail(err, QL_EPARSE, "xz data is damaged, cut short, or none");
        else
            r = ql_unpack_put(to, out, QL_UNPACK_PIECE - z.avail_out, err);
    }
    lzma_end(&z);
    return r;
}
