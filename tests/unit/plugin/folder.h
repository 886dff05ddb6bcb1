/* SPDX-License-Identifier: Apache-2.0 */
/** @file folder.h  A folder of plugins for one test: private, made and removed by the test. */
#pragma once
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "config.h"
#include "file.h"
#include "registry.h"

struct folder {
    char path[256];
};

static inline int folder_setup(void **state)
{
    struct folder *f = calloc(1, sizeof *f);

    assert_non_null(f);
    strcpy(f->path, "/tmp/ql-plugin-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    *state = f;
    return 0;
}

static inline void folder_remove(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        ql_auto_free char *name = NULL;
        struct stat st;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        name = ql_path_join(path, e->d_name);
        assert_non_null(name);
        if (lstat(name, &st) == 0 && S_ISDIR(st.st_mode))
            folder_remove(name);
        else
            unlink(name);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

static inline int folder_teardown(void **state)
{
    struct folder *f = *state;

    folder_remove(f->path);
    free(f);
    return 0;
}

static inline const char *folder_at(const struct folder *f, const char *name, char out[512])
{
    snprintf(out, 512, "%s/%s", f->path, name);
    return out;
}

static inline void folder_write(const struct folder *f, const char *name, const void *data, size_t len)
{
    char path[512];
    struct ql_err err = QL_ERR_INIT;

    if (ql_file_write(folder_at(f, name, path), 0644, data, len, &err) != QL_OK)
        fail_msg("%s", err.text);
}

/** Copy a faulty plugin of tests/sdk/bad. */
static inline void folder_copy(const struct folder *f, const char *name)
{
    char path[512];
    struct ql_err err = QL_ERR_INIT;
    ql_auto_free uint8_t *data = NULL;
    size_t len = 0;

    snprintf(path, sizeof path, "%s/tests/sdk/bad/%s", QL_BINARY_DIR, name);
    if (strstr(name, ".lua"))
        snprintf(path, sizeof path, "%s/tests/sdk/bad/lua/%s", QL_SOURCE_DIR, name);
    if (ql_file_read(path, 64u << 20, &data, &len, &err) != QL_OK)
        fail_msg("%s", err.text);
    folder_write(f, name, data, len);
}

static inline struct ql_registry *new_registry(const struct ql_registry_config *config)
{
    const struct ql_registry_config all = {0};
    struct ql_registry *r = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (ql_registry_new(config ? config : &all, &r, &err) != QL_OK)
        fail_msg("%s", err.text);
    return r;
}

/** Load plugins by name as a daemon does. */
static inline int load(struct ql_registry *r, const struct folder *f, const char *a, const char *b,
                       struct ql_err *err)
{
    const char *const names[] = {a, b};

    return ql_registry_load_all(r, f->path, names, b ? 2 : 1, NULL, err);
}
