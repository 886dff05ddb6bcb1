/* SPDX-License-Identifier: Apache-2.0 */
#include <bzlib.h>
#include <limits.h>

#include "cleanup.h"
#include "decompress_kinds.h"
#include "error.h"

int ql_unpack_bzip2(const uint8_t *data, size_t len, struct ql_unpack_to *to, struct ql_err *err)
{
    ql_auto_free uint8_t *out = malloc(QL_UNPACK_PIECE);
    bz_stream z = {0};
    size_t at = 0;
    int r = QL_OK, state = BZ_OK;

    if (!out || BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK)
        return ql_fail_nomem(err);
    while (r == QL_OK && state != BZ_STREAM_END) {
        unsigned given = (unsigned)(len - at < UINT_MAX ? len - at : UINT_MAX);

        z.next_in = (char *)(uintptr_t)(data + at);
        z.avail_in = given;
        z.next_out = (char *)out;
        z.avail_out = QL_UNPACK_PIECE;
        state = BZ2_bzDecompress(&z);
        at += given - z.avail_in;
        if ((state != BZ_OK && state != BZ_STREAM_END) ||
            (state == BZ_OK && given == z.avail_in && z.avail_out == QL_UNPACK_PIECE))
            r = ql_fail(err, QL_EPARSE, "bzip2 data is damaged or cut short");
        else
            r = ql_unpack_put(to, out, QL_UNPACK_PIECE - z.avail_out, err);
    }
    BZ2_bzDecompressEnd(&z);
    return r;
}
