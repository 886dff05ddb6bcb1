/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quicklime-unpack BYTES [group]: unpacks the archive at descriptor 3 into its working folder.
 *
 * A process of its own, started anew and not forked, because the agent holds the node's keys and serves a verifier: a fault in
 * an archive library must find none of them in its memory, must not stop the answers, and can be ended from outside at a
 * time limit. A thread would share all three.
 */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "confine.h"
#include "error.h"
#include "parse.h"
#include "unpack.h"

enum {
    ARCHIVE_FD = 3
};

static int read_archive(struct ql_buf *b, struct ql_err *err)
{
    uint8_t piece[16384];
    ssize_t got;

    while ((got = read(ARCHIVE_FD, piece, sizeof piece)) > 0)
        if (ql_buf_add(b, piece, (size_t)got) < 0)
            return ql_fail(err, QL_ELIMIT, "archive of more than %d bytes", QL_UNPACK_ARCHIVE_MAX);
    return got == 0 ? QL_OK : ql_fail(err, QL_EIO, "archive cannot be read");
}

static int run(const struct ql_unpack_config *config, struct ql_unpack_count *count, struct ql_err *err)
{
    ql_auto(ql_buf_wipe) struct ql_buf archive = ql_buf_init(QL_UNPACK_ARCHIVE_MAX);
    ql_auto_close int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dir < 0 ? ql_fail(err, QL_EIO, "working folder cannot be opened") : read_archive(&archive, err);

    if (r == QL_OK)
        r = ql_confine(dir, config->bytes_max, err);
    return r == QL_OK ? ql_unpack(archive.data, archive.len, dir, config, count, err) : r;
}

int main(int argc, char **argv)
{
    struct ql_unpack_config config = {.for_group = argc == 3 && strcmp(argv[2], "group") == 0};
    struct ql_unpack_count count = {0};
    struct ql_err err = QL_ERR_INIT;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* nobody would take what comes out */
    (void)signal(SIGXFSZ, SIG_IGN);                  /* a file that grows too large is an error of write() */
    (void)setlocale(LC_CTYPE, "C.UTF-8");            /* else names beyond ASCII are refused */
    (void)umask(config.for_group ? 0027 : 0077);
    if (argc < 2 || argc > 3 || (argc == 3 && !config.for_group) ||
        ql_parse_u64(argv[1], strlen(argv[1]), 1, INT64_MAX, &config.bytes_max, NULL) < 0) {
        (void)fprintf(stderr,
                      "usage: quicklime-unpack BYTES [group] 3<ARCHIVE\nStarted by quicklime-agent.\n");
        return 2;
    }
    if (run(&config, &count, &err) < 0) {
        (void)fprintf(stderr, "archive refused: %s\n", err.text);
        return 1;
    }
    (void)printf("%zu files and %zu folders, %llu bytes\n", count.files, count.folders,
                 (unsigned long long)count.bytes);
    return 0;
}
