/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, words and UUIDs from text that need not end in NUL. */
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "uuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    struct ql_err err = QL_ERR_INIT;
    char uuid[QL_UUID_LEN + 1], again[QL_UUID_LEN + 1];
    uint64_t u = 0, size = 0;
    uint32_t hex = 0;
    int64_t i = 0;
    double f = 0;
    bool b;

    if (ql_parse_u64(text, len, 1, 65535, &u, &err) == 0 && (u < 1 || u > 65535))
        abort();
    if (ql_parse_i64(text, len, -9, 9, &i, &err) == 0 && (i < -9 || i > 9))
        abort();
    (void)ql_parse_hex_u32(text, len, &hex, &err); /* only must not crash */
    if (ql_parse_size(text, len, 0, 1 << 20, &size, &err) == 0 && size > 1 << 20)
        abort();
    if (ql_parse_float(text, len, 0, 60, &f, &err) == 0 && !(f >= 0 && f <= 60))
        abort();
    (void)ql_parse_bool(text, len, &b, &err); /* as above */
    if (ql_agent_id_ok(text, len) && !ql_utf8_ok(text, len))
        abort();
    if (ql_uuid_normalise(text, len, uuid, &err) == 0 &&
        (ql_uuid_normalise(uuid, QL_UUID_LEN, again, &err) < 0 || strcmp(uuid, again) != 0))
        abort();
    return 0;
}
