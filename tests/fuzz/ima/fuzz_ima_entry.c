/* SPDX-License-Identifier: Apache-2.0 */
/* A measurement list, line by line: columns, fields, template data, and what a signature signs. */
#include "evm.h"
#include "toolhost.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ima_reader *reader;
    static struct ima_hasher *hasher;
    struct ima_lines lines = ima_lines_of(data, size);
    struct ima_bytes line;

    if (!reader && (ima_reader_new(&ql_tool_host, &reader, NULL) < 0 ||
                    ima_hasher_new(&ql_tool_host, &hasher, NULL) < 0))
        abort();
    while (ima_lines_next(&lines, &line)) {
        struct ima_entry e;
        struct ima_signed s;
        uint8_t digest[IMA_HASH_MAX];
        const enum ima_read r = ima_entry_read(reader, line, &e);

        if (r == IMA_READ_BAD || r == IMA_READ_NOMEM)
            continue;
        /* Each byte is looked at, for a sanitizer to see. */
        if (!ima_hash(hasher, IMA_SHA256, e.data.at, e.data.len, digest))
            abort();
        if (r == IMA_READ_OK && (!e.name.at || e.digest.bytes.len > line.len))
            abort();
        if (ima_signed_of(hasher, &e, &s) && s.digest_len > 0 &&
            !ima_hash(hasher, IMA_SHA256, s.digest, s.digest_len, digest))
            abort();
    }
    return 0;
}
