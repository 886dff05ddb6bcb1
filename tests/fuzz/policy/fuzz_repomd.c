/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of an RPM repository; the first byte says which. */
#include <stdlib.h>
#include <string.h>

#include "repomd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static int on_package(void *arg, const char *href, uint64_t header_end, struct ql_err *err)
{
    size_t *count = arg;

    (void)header_end, (void)err;
    must(href[0] && strlen(href) <= QL_REPOMD_HREF_MAX);
    return ++*count < 1000 ? QL_OK : QL_ELIMIT;
}

/* What is listed has a place; its checksum is looked at as the fetched document would be. */
static void check(const struct ql_repomd_data *listed, const uint8_t *data, size_t size)
{
    if (listed->href[0])
        must(ql_repomd_check(listed, data, size, NULL) == QL_ECRYPTO); /* no document holds its own digest */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ql_repomd index;
    struct ql_draft d;
    size_t count = 0;

    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0:
        if (ql_repomd_read(data + 1, size - 1, &index, NULL) == QL_OK) {
            check(&index.primary, data + 1, size - 1);
            check(&index.filelists_ext, data + 1, size - 1);
        }
        break;
    case 1:
        (void)ql_primary_read(data + 1, size - 1, on_package, &count, NULL);
        break;
    default:
        ql_draft_init(&d);
        (void)ql_filelists_read(data + 1, size - 1, &d, NULL);
        for (size_t i = 0; i < d.digests.count; i++)
            must(d.digests.list[i].len > 0 && d.digests.list[i].count > 0 &&
                 !memchr(d.digests.list[i].bytes, ' ', d.digests.list[i].len));
        ql_draft_done(&d);
    }
    return 0;
}
