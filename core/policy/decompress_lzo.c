/* SPDX-License-Identifier: Apache-2.0 */
#include <lzo/lzo1x.h>
#include <string.h>

#include "cleanup.h"
#include "decompress_kinds.h"
#include "error.h"
#include "reader.h"

enum {
    MAGIC_LEN = 9,
    VERSION_WITH_LEVEL = 0x0940,
    FLAG_ADLER_OUT = 1,
    FLAG_ADLER_IN = 2,
    FLAG_EXTRA = 0x40,
    FLAG_CRC_OUT = 0x100,
    FLAG_CRC_IN = 0x200,
    FLAG_FILTER = 0x800
};

/* lzop's header: everything up to the first block. @return its flags */
static uint32_t read_header(struct ql_reader *in)
{
    uint16_t version;
    uint32_t flags;

    (void)ql_reader_bytes(in, MAGIC_LEN);
    version = ql_reader_u16be(in);
    (void)ql_reader_u16be(in); /* version of the library */
    if (version >= VERSION_WITH_LEVEL)
        (void)ql_reader_u16be(in); /* least version that reads it */
    (void)ql_reader_u8(in);        /* method */
    if (version >= VERSION_WITH_LEVEL)
        (void)ql_reader_u8(in); /* level */
    flags = ql_reader_u32be(in);
    if (flags & FLAG_FILTER)
        (void)ql_reader_u32be(in);
    (void)ql_reader_u32be(in); /* mode */
    (void)ql_reader_u32be(in); /* time, low and high */
    if (version >= VERSION_WITH_LEVEL)
        (void)ql_reader_u32be(in);
    (void)ql_reader_bytes(in, ql_reader_u8(in)); /* name */
    (void)ql_reader_u32be(in);                   /* check sum */
    return flags;
}

static int unpack_block(struct ql_reader *in, uint32_t flags, uint32_t out_len, uint8_t *out,
                        struct ql_unpack_to *to, struct ql_err *err)
{
    uint32_t in_len = ql_reader_u32be(in);
    unsigned sums = (flags & FLAG_ADLER_OUT ? 1u : 0) + (flags & FLAG_CRC_OUT ? 1u : 0);
    const uint8_t *block;
    lzo_uint got = out_len;

    if (in_len < out_len)
        sums += (flags & FLAG_ADLER_IN ? 1u : 0) + (flags & FLAG_CRC_IN ? 1u : 0);
    (void)ql_reader_bytes(in, 4u * sums);
    block = out_len <= QL_UNPACK_BLOCK && in_len <= out_len ? ql_reader_bytes(in, in_len) : NULL;
    if (!block)
        return ql_fail(err, QL_EPARSE, "lzop data is damaged or cut short");
    if (in_len == out_len)
        return ql_unpack_put(to, block, in_len, err);
    if (lzo1x_decompress_safe(block, in_len, out, &got, NULL) != LZO_E_OK || got != out_len)
        return ql_fail(err, QL_EPARSE, "lzop data is damaged");
    return ql_unpack_put(to, out, got, err);
}

int ql_unpack_lzop(const uint8_t *data, size_t len, struct ql_unpack_to *to, struct ql_err *err)
{
    ql_auto_free uint8_t *out = malloc(QL_UNPACK_BLOCK);
    struct ql_reader in = ql_reader_of(data, len);
    uint32_t flags = read_header(&in), out_len;
    int r = QL_OK;

    if (!out || lzo_init() != LZO_E_OK)
        return ql_fail_nomem(err);
    while (r == QL_OK && (out_len = ql_reader_u32be(&in)) != 0)
        r = unpack_block(&in, flags, out_len, out, to, err);
    return r == QL_OK && in.failed ? ql_fail(err, QL_EPARSE, "lzop data is cut short") : r;
}
