/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "cleanup.h"
#include "decompress_kinds.h"
#include "error.h"

enum {
    GZIP_ONLY = 16 + MAX_WBITS
};

static uInt at_most(size_t n)
{
    return (uInt)(n < UINT_MAX ? n : UINT_MAX);
}

/* One member after the other; what follows the last one is padding. */
int ql_unpack_gzip(const uint8_t *data, size_t len, struct ql_unpack_to *to, struct ql_err *err)
{
    ql_auto_free uint8_t *out = malloc(QL_UNPACK_PIECE);
    z_stream z = {0};
    const uint8_t *end = data + len;
    int r = QL_OK, state = Z_OK;

    if (!out || inflateInit2(&z, GZIP_ONLY) != Z_OK)
        return ql_fail_nomem(err);
    z.next_in = (uint8_t *)(uintptr_t)data;
    while (r == QL_OK) {
        z.avail_in = at_most((size_t)(end - z.next_in));
        z.next_out = out;
        z.avail_out = QL_UNPACK_PIECE;
        state = inflate(&z, Z_NO_FLUSH);
        if (state != Z_OK && state != Z_STREAM_END) {
            r = ql_fail(err, QL_EPARSE, "gzip data is damaged or cut short");
            break;
        }
        r = ql_unpack_put(to, out, QL_UNPACK_PIECE - z.avail_out, err);
        if (state == Z_STREAM_END && (end - z.next_in < 2 || z.next_in[0] != 0x1f || z.next_in[1] != 0x8b))
            break;
        if (state == Z_STREAM_END && inflateReset(&z) != Z_OK)
            r = ql_fail(err, QL_EPARSE, "gzip data is damaged");
    }
    inflateEnd(&z);
    return r;
}
