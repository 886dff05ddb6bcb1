/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "error.h"

int board_make(const char *path, size_t agents, struct board_row **ret, struct ql_err *err)
{
    ql_auto_close int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t len = agents * sizeof(struct board_row);
    void *map;

    if (fd < 0 || ftruncate(fd, (off_t)len) != 0)
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    *ret = map;
    return QL_OK;
}

void board_stamp(struct board_row *row)
{
    uint64_t at = row->stamp_count;

    row->stamps[at % BOARD_STAMPS] = ql_mono_ns();
    row->stamp_count = at + 1;
}
