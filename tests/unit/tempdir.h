/* SPDX-License-Identifier: Apache-2.0 */
/** @file tempdir.h  A folder for one test, removed with what is in it. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** A path inside a folder; a copy in one of a few rotating buffers. */
static inline const char *tempdir_path(const char *dir, const char *name)
{
    static char paths[8][512];
    static unsigned next;
    char path[sizeof paths[0]]; /* dir may be one of the buffers */
    int len = snprintf(path, sizeof path, "%s/%s", dir, name);

    assert_true(len > 0 && len < (int)sizeof path);
    next = (next + 1) % 8;
    return memcpy(paths[next], path, sizeof path);
}

/** cmocka setup: *state becomes the folder's path. */
static inline int tempdir_make(void **state)
{
    char *dir = strdup("/tmp/quicklime-test-XXXXXX");

    if (!dir || !mkdtemp(dir))
        return -1;
    *state = dir;
    return 0;
}

static inline int tempdir_unlink(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

/** cmocka teardown. */
static inline int tempdir_remove(void **state)
{
    int r = nftw(*state, tempdir_unlink, 16, FTW_DEPTH | FTW_PHYS);

    free(*state);
    return r;
}

static inline void tempdir_put(const char *dir, const char *name, const char *text)
{
    FILE *f = fopen(tempdir_path(dir, name), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/** Contents of a file; the caller frees. */
static inline char *tempdir_get(const char *dir, const char *name)
{
    FILE *f = fopen(tempdir_path(dir, name), "r");
    char *text = calloc(1, 65536);

    assert_non_null(f);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, f) < 65535);
    fclose(f);
    return text;
}
