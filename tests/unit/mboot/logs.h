/* SPDX-License-Identifier: Apache-2.0 */
/** @file logs.h  A host for the tests of measured boot, and event logs from files. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "error.h"
#include "eventlog.h"
#include "hasher.h"

/** Memory handed out and not given back; tests that count begin at 0. */
static size_t host_live;

static inline void *host_alloc(const struct ql_host *h, size_t len)
{
    void *p = malloc(len);

    (void)h;
    host_live += p != NULL;
    return p;
}

static inline void *host_realloc(const struct ql_host *h, void *p, size_t len)
{
    (void)h;
    host_live += p == NULL;
    return realloc(p, len);
}

static inline void host_free(const struct ql_host *h, void *p)
{
    (void)h;
    host_live -= p != NULL;
    free(p);
}

static const struct ql_host test_host = {
    .size = sizeof test_host,
    .alloc = host_alloc,
    .realloc = host_realloc,
    .free = host_free,
    .fail = ql_fail,
};

/** Bytes of a file; the caller frees. */
struct bytes {
    uint8_t *p;
    size_t len;
};

/** @return the bytes, p NULL: there is no such file */
static inline struct bytes read_file(const char *path)
{
    struct bytes b = {0};
    FILE *f = fopen(path, "rb");
    long size;

    if (!f)
        return b;
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    assert_true(size >= 0);
    rewind(f);
    b.len = (size_t)size;
    b.p = malloc(b.len + 1);
    assert_non_null(b.p);
    assert_int_equal(fread(b.p, 1, b.len, f), b.len);
    fclose(f);
    return b;
}

/** A file of the vectors; skips the running test when it is not there. */
static inline struct bytes read_vector(const char *name)
{
    char path[512];
    struct bytes b;

    snprintf(path, sizeof path, QL_SHARED_DIR "/vectors/%s", name);
    b = read_file(path);
    if (!b.p) {
        print_message("no vectors at %s\n", path);
        skip();
    }
    return b;
}

static inline struct mb_hasher *test_hasher(void)
{
    struct mb_hasher *h = NULL;

    assert_int_equal(mb_hasher_new(&test_host, &h, NULL), QL_OK);
    return h;
}

/** Parse what must parse. */
static inline struct mb_log *parse_ok(const struct bytes *b)
{
    struct mb_log *log = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (mb_log_parse(&test_host, b->p, b->len, &log, &err) != QL_OK)
        fail_msg("%s", err.text);
    return log;
}
