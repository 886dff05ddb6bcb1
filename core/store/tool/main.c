/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"
#include "registry.h"
#include "suite.h"

static int usage(FILE *out, int code)
{
    (void)fputs("usage: quicklime-store-test PLUGIN URL\n"
                "Put a store backend through the conformance suite; prints TAP.\n"
                "  PLUGIN  path of the plugin, such as /usr/lib/quicklime/plugins/sqlite.so\n"
                "  URL     database_url of an empty database; plain names are made in a temporary folder\n"
                "Exit: 0 all tests passed, 1 a test failed, 2 usage or the plugin cannot be loaded.\n",
                out);
    return code;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

/** Load DIR/NAME.so as a daemon does: checked, opened once. */
static int load(struct ql_registry *registry, const char *path, struct ql_err *err)
{
    ql_auto_free char *real = realpath(path, NULL);
    struct ql_plugin_file file = {.fd = -1};
    char *slash = real ? strrchr(real, '/') : NULL, *dot = slash ? strrchr(slash, '.') : NULL;
    int r;

    if (!slash)
        return ql_fail(err, QL_ENOTFOUND, "%s: %s", path, strerror(errno));
    if (!dot || strcmp(dot, ".so") != 0)
        return ql_fail(err, QL_ERANGE, "%s is not the path of a .so", path);
    *slash = 0;
    *dot = 0;
    r = ql_plugin_file_open(slash == real ? "/" : real, slash + 1, &file, err);
    if (r < 0)
        return r;
    r = ql_registry_load(registry, &file, NULL, err);
    ql_plugin_file_close(&file);
    return r;
}

int main(int argc, char **argv)
{
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_STORE};
    ql_auto(ql_registry_freep) struct ql_registry *registry = NULL;
    struct ql_err err = QL_ERR_INIT;
    const char *tmp = getenv("TMPDIR");
    char dir[512];
    struct suite s = {0};
    struct ql_found found;
    int failed;

    if (argc == 2 && !strcmp(argv[1], "--help"))
        return usage(stdout, 0);
    if (argc != 3 || argv[1][0] == '-')
        return usage(stderr, 2);
    if (ql_registry_new(&config, &registry, &err) < 0 || load(registry, argv[1], &err) < 0) {
        (void)fprintf(stderr, "quicklime-store-test: %s\n", err.text);
        return 2;
    }
    found = ql_registry_at(registry, QL_KIND_STORE, 0);
    if (!found.head) {
        (void)fprintf(stderr, "quicklime-store-test: %s has no store\n", argv[1]);
        return 2;
    }
    (void)snprintf(dir, sizeof dir, "%s/quicklime-store-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        (void)fprintf(stderr, "quicklime-store-test: %s: %s\n", dir, strerror(errno));
        return 2;
    }
    s.backend = (const struct ql_store_backend *)(const void *)found.head;
    s.plugin = found.plugin;
    s.url = argv[2];
    s.state_dir = dir;
    failed = suite_run(&s);
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return failed ? 1 : 0;
}
