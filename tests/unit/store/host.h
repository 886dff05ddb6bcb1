/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file host.h
 * A host for the tests of the store: loads the sqlite plugin as a daemon would have it loaded, in a folder of its own.
 */
#pragma once
#include <dlfcn.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "clock.h"
#include "error.h"
#include "file.h"
#include "schemas.h"
#include "store.h"
#include "toolhost.h"

/** What each test has: the plugin, a state folder, a loop, and a store where it opened one. */
struct fixture {
    void *lib;
    const struct ql_plugin *plugin;
    struct ql_found found;
    char dir[64];
    struct event_base *base;
    struct ql_store *store;
};

/* A short wait for locks: tests that hold one look at what comes after it. */
static inline int64_t option_int(const struct ql_options *o, const char *name)
{
    (void)o;
    return !strcmp(name, "busy_timeout") ? 20 : 0;
}

static inline int fixture_setup(void **state)
{
    static const struct ql_options options = {.size = sizeof options, .get_int = option_int};
    struct fixture *f = calloc(1, sizeof *f);
    struct ql_err err = QL_ERR_INIT;

    assert_non_null(f);
    strcpy(f->dir, "/tmp/ql-store-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->lib = dlopen(QL_BINARY_DIR "/plugins/sqlite.so", RTLD_NOW | RTLD_LOCAL);
    if (!f->lib)
        fail_msg("%s", dlerror());
    f->plugin = dlsym(f->lib, "ql_plugin");
    assert_non_null(f->plugin);
    assert_int_equal(f->plugin->magic, QL_PLUGIN_MAGIC);
    f->found.head = f->plugin->components[0];
    f->found.plugin_name = f->plugin->name;
    assert_int_equal(f->plugin->init(&ql_tool_host, &options, &f->found.plugin, &err), QL_OK);
    f->base = event_base_new();
    assert_non_null(f->base);
    *state = f;
    return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    ql_store_close(f->store);
    event_base_free(f->base);
    f->plugin->fini(f->found.plugin);
    (void)nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/** Open a store; "" for the URL "sqlite". */
static inline int fixture_try(struct fixture *f, const char *url, const struct ql_schema *schema,
                              struct ql_err *err)
{
    struct ql_store_config config = {
        .base = f->base,
        .backend = f->found,
        .url = url,
        .state_dir = f->dir,
        .schema = schema,
    };

    *err = (struct ql_err)QL_ERR_INIT;
    return ql_store_open(&config, &f->store, err);
}

static inline void fixture_open(struct fixture *f, const struct ql_schema *schema)
{
    struct ql_err err;

    if (fixture_try(f, "sqlite", schema, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void fixture_close(struct fixture *f)
{
    ql_store_close(f->store);
    f->store = NULL;
}

static inline int fixture_open_verifier(void **state)
{
    (void)fixture_setup(state);
    fixture_open(*state, &ql_verifier_schema);
    return 0;
}

static inline int fixture_open_registrar(void **state)
{
    (void)fixture_setup(state);
    fixture_open(*state, &ql_registrar_schema);
    return 0;
}

/** Run and expect @p want. */
static inline void fixture_run(struct fixture *f, ql_txn_fn fn, void *arg, int want)
{
    struct ql_err err = QL_ERR_INIT;
    int r = ql_store_run(f->store, fn, arg, &err);

    if (r != want)
        fail_msg("got %s, wanted %s: %s", ql_err_name(r), ql_err_name(want), err.text);
}

/** Path of a file in the state folder. Valid until the next call. */
static inline const char *fixture_path(const struct fixture *f, const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return path;
}

/** Let the loop run until @p done holds; fails after 20 s. */
#define fixture_until(f, done)                                                                               \
    do {                                                                                                     \
        int64_t _end = ql_mono_ns() + 20 * QL_NS_PER_S;                                                      \
        while (!(done)) {                                                                                    \
            struct timeval _tv = {.tv_usec = 2000};                                                          \
            assert_true(ql_mono_ns() < _end);                                                                \
            (void)event_base_loopexit((f)->base, &_tv);                                                      \
            (void)event_base_loop((f)->base, EVLOOP_ONCE);                                                   \
        }                                                                                                    \
    } while (0)
