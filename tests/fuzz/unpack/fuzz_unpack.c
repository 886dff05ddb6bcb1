/* SPDX-License-Identifier: Apache-2.0 */
/* A payload's archive, unpacked into a folder from which nothing may get out: names, kinds, limits. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum {
    BYTES_MAX = 64 * 1024
};

static char top[] = "/tmp/ql-fuzz-unpack-XXXXXX", inside[sizeof top + 8];
static uint64_t bytes_found;
static size_t strangers;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    if (type == FTW_F && S_ISREG(st->st_mode))
        bytes_found += (uint64_t)st->st_size;
    else if (type != FTW_DP)
        strangers++;
    if (at->level == 1 && type != FTW_DP)
        strangers++; /* beside the folder */
    return at->level == 0 ? 0 : remove(path);
}

static void clean(void)
{
    bytes_found = strangers = 0;
    (void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* made anew below, or reported there */
}

static void end(void)
{
    clean();
    (void)rmdir(top); /* empty now */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct ql_unpack_config config = {.bytes_max = BYTES_MAX, .for_group = len % 2 == 1};
    struct ql_unpack_count count = {0};
    static int is_made;
    int dir, r;

    if (!is_made) {
        if (!mkdtemp(top) || atexit(end) != 0)
            abort();
        (void)snprintf(inside, sizeof inside, "%s/in", top); /* fits */
        is_made = 1;
    }
    if (mkdir(inside, 0700) != 0)
        abort();
    dir = open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = ql_unpack(data, len, dir, &config, &count, NULL);
    (void)close(dir); /* read only */
    clean();
    if (strangers > 0 || bytes_found > BYTES_MAX || (r == QL_OK && bytes_found != count.bytes))
        __builtin_trap();
    return 0;
}
