/* SPDX-License-Identifier: Apache-2.0 */
#include "deb.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken is absolute paths with digests, and nothing is taken of a package that is refused. */
static void check(const struct ql_draft *d, int r)
{
    if (r < 0 && d->digests.count > 0)
        abort();
    for (size_t i = 0; i < d->digests.count; i++) {
        const struct ql_name *n = &d->digests.list[i];

        if (n->len < 2 || n->bytes[0] != '/' || memchr(n->bytes, ' ', n->len) || n->count == 0 ||
            strlen(n->values[0]) != 64)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int fd = memfd_create("package", MFD_CLOEXEC);
    struct ql_draft d;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET) != 0)
        abort();
    ql_draft_init(&d);
    check(&d, ql_deb_read(fd, "sha256", &d, NULL));
    ql_draft_done(&d);
    (void)close(fd); /* memory alone */
    return 0;
}
