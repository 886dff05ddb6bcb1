/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "decompress_kinds.h"
#include "error.h"

int ql_unpack_put(struct ql_unpack_to *to, const uint8_t *data, size_t len, struct ql_err *err)
{
    if (len > to->left)
        return ql_fail(err, QL_ELIMIT, "unpacks to more than its limit");
    to->left -= len;
    return len > 0 ? to->fn(to->arg, data, len, err) : QL_OK;
}

__attribute__((unused)) static int not_built(const uint8_t *data, size_t len, struct ql_unpack_to *to,
                                             struct ql_err *err)
{
    (void)data;
    (void)len;
    (void)to;
    return ql_fail(err, QL_EUNSUPPORTED, "its kind of compression is not in this build");
}

/* Each library is a file of its own, which the build leaves out where the library is missing. */
#ifndef QL_WITH_ZLIB
#define ql_unpack_gzip not_built
#endif
#ifndef QL_WITH_LZMA
#define ql_unpack_xz not_built
#endif
#ifndef QL_WITH_ZSTD
#define ql_unpack_zstd not_built
#endif
#ifndef QL_WITH_BZIP2
#define ql_unpack_bzip2 not_built
#endif
#ifndef QL_WITH_LZ4
#define ql_unpack_lz4     not_built
#define ql_unpack_lz4_old not_built
#endif
#ifndef QL_WITH_LZO
#define ql_unpack_lzop not_built
#endif

static const struct {
    const char *magic;
    size_t len;
    ql_unpacker *unpack;
} kinds[] = {
    {"\x1f\x8b", 2, ql_unpack_gzip},
    {"\xfd"
     "7zXZ\0",
     6, ql_unpack_xz},
    {"\x28\xb5\x2f\xfd", 4, ql_unpack_zstd},
    {"BZh", 3, ql_unpack_bzip2},
    {"\x04\x22\x4d\x18", 4, ql_unpack_lz4},
    {"\x02\x21\x4c\x18", 4, ql_unpack_lz4_old},
    {"\x89LZO\0\r\n\x1a\n", 9, ql_unpack_lzop},
};

int ql_unpack(const uint8_t *data, size_t len, uint64_t max_len, ql_unpack_fn fn, void *arg,
              struct ql_err *err)
{
    struct ql_unpack_to to = {.fn = fn, .arg = arg, .left = max_len};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (len >= kinds[i].len && memcmp(data, kinds[i].magic, kinds[i].len) == 0)
            return kinds[i].unpack(data, len, &to, err);
    return ql_unpack_xz(data, len, &to, err);
}
