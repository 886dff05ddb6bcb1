/* SPDX-License-Identifier: Apache-2.0 */
#include <zstd.h>

#include "cleanup.h"
#include "decompress_kinds.h"
#include "error.h"

enum {
    WINDOW_LOG_MAX = 29 /* QL_UNPACK_MEMORY */
};

int ql_unpack_zstd(const uint8_t *data, size_t len, struct ql_unpack_to *to, struct ql_err *err)
{
    ql_auto_free uint8_t *out = malloc(QL_UNPACK_PIECE);
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer in = {.src = data, .size = len};
    size_t state = 1;
    int r = QL_OK;

    if (!out || !z || ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        ZSTD_freeDStream(z);
        return ql_fail_nomem(err);
    }
    /* 0: a frame ended; what is no further frame is padding. */
    while (r == QL_OK &&
           !(state == 0 && (len - in.pos < 4 || data[in.pos] != 0x28 || data[in.pos + 1] != 0xb5))) {
        ZSTD_outBuffer o = {.dst = out, .size = QL_UNPACK_PIECE};
        size_t before = in.pos;

        state = ZSTD_decompressStream(z, &o, &in);
        if (ZSTD_isError(state) || (in.pos == before && o.pos == 0 && state != 0))
            r = ql_fail(err, QL_EPARSE, "zstd data is damaged or cut short");
        else
            r = ql_unpack_put(to, out, o.pos, err);
    }
    ZSTD_freeDStream(z);
    return r;
}
