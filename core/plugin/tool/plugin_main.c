/* SPDX-License-Identifier: Apache-2.0 */
/* quicklime-plugin: what the daemons would say to a plugin, said to its author. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "file.h"
#include "log.h"
#include "program.h"
#include "registry.h"

enum {
    POLICY_MAX = 64 * 1024 * 1024, /* bytes of a policy given as a file */
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2
};

static int usage(FILE *out, int code)
{
    fputs("usage: quicklime-plugin check FILE...\n"
          "           load plugins as the daemons would; print components, options and refusals\n"
          "       quicklime-plugin prepare VALIDATOR POLICY FILE...\n"
          "           compile a policy file (\"-\": standard input) and print what it needs\n"
          "       quicklime-plugin author VALIDATOR FILE [ARGUMENT...]\n"
          "           let a validator write a policy to standard output\n"
          "       quicklime-plugin --version | --help\n"
          "FILE ends in .so or .lua. Exit status: 0 fine, 1 refused, 2 usage.\n",
          out);
    return code;
}

static int refuse(const struct ql_err *err)
{
    fprintf(stderr, "quicklime-plugin: %s\n", err->text);
    return EXIT_REFUSED;
}

static int load_file(struct ql_registry *r, const char *path, struct ql_err *err)
{
    struct ql_plugin_file file = {.fd = -1};
    int e = ql_plugin_path_open(path, &file, err);

    if (e == QL_OK)
        e = ql_registry_load(r, &file, NULL, err);
    ql_plugin_file_close(&file);
    return e;
}

static int load_files(struct ql_registry *r, char **paths, int count, struct ql_err *err)
{
    int e = QL_OK;

    for (int i = 0; e == QL_OK && i < count; i++)
        e = load_file(r, paths[i], err);
    return e == QL_OK ? ql_registry_order(r, err) : e;
}

static int check(struct ql_registry *r, int argc, char **argv)
{
    struct ql_err err = QL_ERR_INIT;

    if (argc < 1)
        return usage(stderr, EXIT_USAGE);
    if (load_files(r, argv, argc, &err) < 0)
        return refuse(&err);
    ql_registry_describe(r, stdout);
    return 0;
}

static const struct ql_validator *find_validator(const struct ql_registry *r, const char *name, void **plugin,
                                                 struct ql_err *err)
{
    const struct ql_found found = ql_registry_find(r, QL_KIND_VALIDATOR, name);

    if (!found.head)
        (void)ql_fail(err, QL_ENOTFOUND, "no validator %.64s in what was loaded", name); /* told by NULL */
    *plugin = found.plugin;
    return (const struct ql_validator *)(const void *)found.head;
}

static int print_needs(const char *validator, const struct ql_needs *n, struct ql_err *err)
{
    struct ql_need items[QL_NEEDS_MAX];
    int r = ql_needs_items(validator, n, items, err);

    if (r < 0)
        return r;
    printf("PCRs:");
    for (unsigned i = 0; i < 24; i++)
        if (n->pcr_mask & (UINT32_C(1) << i))
            printf(" %u", i);
    printf("%s\n", n->pcr_mask ? "" : " none");
    for (size_t i = 0; i < n->item_count; i++) {
        const struct ql_need *need = &items[i];

        printf("evidence %s, bound by ", need->evidence);
        if (need->bound == QL_BOUND_PCR)
            printf("PCR %u", need->pcr);
        else
            printf("nonce");
        printf("%s%s\n", need->parameters ? ", parameters " : "", need->parameters ? need->parameters : "");
    }
    return QL_OK;
}

static int prepare(struct ql_registry *r, int argc, char **argv)
{
    struct ql_needs needs = {.size = sizeof needs};
    struct ql_err err = QL_ERR_INIT;
    ql_auto_free uint8_t *policy = NULL;
    const struct ql_validator *v;
    void *plugin, *compiled = NULL;
    size_t len = 0, size = 0;
    int e;

    if (argc < 3)
        return usage(stderr, EXIT_USAGE);
    if (load_files(r, argv + 2, argc - 2, &err) < 0)
        return refuse(&err);
    v = find_validator(r, argv[0], &plugin, &err);
    if (!v ||
        ql_file_read(strcmp(argv[1], "-") == 0 ? "/dev/stdin" : argv[1], POLICY_MAX, &policy, &len, &err) < 0)
        return refuse(&err);
    if (v->prepare(plugin, policy, len, QL_ORIGIN_UPLOAD, &compiled, &size, &err) < 0)
        return refuse(&err);
    e = v->needs(plugin, compiled, &needs, &err);
    if (e == QL_OK)
        e = print_needs(argv[0], &needs, &err);
    v->release(plugin, compiled);
    return e == QL_OK ? 0 : refuse(&err);
}

static int write_out(struct ql_text_sink *s, const void *data, size_t len)
{
    return fwrite(data, 1, len, s->ctx) == len ? QL_OK : QL_EIO;
}

static int author(struct ql_registry *r, int argc, char **argv)
{
    struct ql_text_sink sink = {.size = sizeof sink, .ctx = stdout, .write = write_out};
    struct ql_err err = QL_ERR_INIT;
    const struct ql_validator *v;
    void *plugin;

    if (argc < 2)
        return usage(stderr, EXIT_USAGE);
    if (load_file(r, argv[1], &err) < 0)
        return refuse(&err);
    v = find_validator(r, argv[0], &plugin, &err);
    if (!v)
        return refuse(&err);
    if (!v->author) {
        (void)ql_fail(&err, QL_EUNSUPPORTED, "validator %s writes no policies", argv[0]); /* told below */
        return refuse(&err);
    }
    if (v->author(plugin, argc - 2, argv + 2, &sink, &err) < 0)
        return refuse(&err);
    if (fflush(stdout) != 0) {
        (void)ql_fail(&err, QL_EIO, "standard output: %s", strerror(errno)); /* told below */
        return refuse(&err);
    }
    return 0;
}

static const struct command {
    const char *name;
    int (*run)(struct ql_registry *r, int argc, char **argv);
} COMMANDS[] = {{"check", check}, {"prepare", prepare}, {"author", author}};

int main(int argc, char **argv)
{
    const struct ql_registry_config config = {0};
    ql_auto(ql_registry_freep) struct ql_registry *r = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (argc < 2)
        return usage(stderr, EXIT_USAGE);
    if (strcmp(argv[1], "--help") == 0)
        return usage(stdout, 0);
    if (strcmp(argv[1], "--version") == 0) {
        printf("quicklime-plugin %s\n", ql_version());
        return 0;
    }
    ql_log_setup("quicklime-plugin", QL_INFO, QL_LOG_LOGFMT);
    if (ql_registry_new(&config, &r, &err) < 0)
        return refuse(&err);
    for (size_t i = 0; i < QL_ARRAY_LEN(COMMANDS); i++)
        if (strcmp(argv[1], COMMANDS[i].name) == 0)
            return COMMANDS[i].run(r, argc - 2, argv + 2);
    return usage(stderr, EXIT_USAGE);
}
