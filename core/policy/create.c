/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "deb.h"
#include "error.h"
#include "file.h"
#include "initramfs.h"
#include "policy.h"
#include "rpm.h"
#include "sources.h"
#include "tool.h"
#include "toolhost.h"
#include "walk.h"

#include <quicklime/validator.h>

#define KERNEL_LIST "/sys/kernel/security/ima/ascii_runtime_measurements"

/** What the command line asked for. */
struct create {
    const char *output, *base, *allowlist, *excludelist, *list, *rootfs, *ramdisk, *algorithm, *rpms, *debs;
    bool keyrings, buffers, legacy, verbose, all_segments, no_hashes;
    unsigned threads;
    struct ql_tool_list ignored, keys;
    char *skips[QL_TOOL_LIST_MAX + 1]; /* point into `skip_text` */
    char *skip_text;
};

enum {
    OPT_IGNORED = 1000,
    OPT_KEY,
    OPT_ROOTFS,
    OPT_RAMDISK,
    OPT_ALGO,
    OPT_LEGACY,
    OPT_SEGMENTS,
    OPT_THREADS,
    OPT_RPMS,
    OPT_DEBS,
    OPT_NO_HASHES
};

static const struct option options[] = {
    {"output", required_argument, NULL, 'o'},
    {"base-policy", required_argument, NULL, 'p'},
    {"allowlist", required_argument, NULL, 'a'},
    {"excludelist", required_argument, NULL, 'e'},
    {"ima-measurement-list", optional_argument, NULL, 'm'},
    {"keyrings", no_argument, NULL, 'k'},
    {"ima-buf", no_argument, NULL, 'b'},
    {"ignored-keyrings", required_argument, NULL, OPT_IGNORED},
    {"add-ima-signature-verification-key", required_argument, NULL, OPT_KEY},
    {"rootfs", required_argument, NULL, OPT_ROOTFS},
    {"skip-path", required_argument, NULL, 's'},
    {"ramdisk-dir", required_argument, NULL, OPT_RAMDISK},
    {"all-segments", no_argument, NULL, OPT_SEGMENTS},
    {"local-rpm-repo", required_argument, NULL, OPT_RPMS},
    {"local-deb-repo", required_argument, NULL, OPT_DEBS},
    {"algo", required_argument, NULL, OPT_ALGO},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"show-legacy-allowlist", no_argument, NULL, OPT_LEGACY},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static const struct option old_options[] = {
    {"output", required_argument, NULL, 'o'},
    {"base-policy", required_argument, NULL, 'B'},
    {"allowlist", required_argument, NULL, 'a'},
    {"exclude", required_argument, NULL, 'e'},
    {"ima-measurement-list", optional_argument, NULL, 'm'},
    {"keyrings", no_argument, NULL, 'k'},
    {"ima-buf", no_argument, NULL, 'b'},
    {"ignored-keyrings", required_argument, NULL, 'i'},
    {"add-ima-signature-verification-key", required_argument, NULL, 'A'},
    {"local-repo", required_argument, NULL, 'l'},
    {"no-hashes", no_argument, NULL, OPT_NO_HASHES},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void help(const char *name, const struct option *rows)
{
    printf("usage: %s [flags]\n\n", name);
    for (; rows->name; rows++)
        printf("  %c%c --%s%s\n", rows->val < 256 ? '-' : ' ', rows->val < 256 ? rows->val : ' ', rows->name,
               rows->has_arg == required_argument   ? " VALUE"
               : rows->has_arg == optional_argument ? " [FILE]"
                                                    : "");
}

static bool split_skips(struct create *c, const char *text)
{
    char *save = NULL;
    size_t n = 0;

    free(c->skip_text);
    c->skip_text = strdup(text);
    for (char *one = c->skip_text ? strtok_r(c->skip_text, ",", &save) : NULL; one;
         one = strtok_r(NULL, ",", &save)) {
        if (n == QL_TOOL_LIST_MAX) {
            fprintf(stderr, "more than %d skip paths\n", QL_TOOL_LIST_MAX);
            return false;
        }
        c->skips[n++] = one;
    }
    c->skips[n] = NULL;
    return true;
}

/* @return false: wrong use, reported */
static bool take(struct create *c, int flag, int argc, char **argv)
{
    switch (flag) {
    case 'o':
        c->output = optarg;
        return true;
    case 'p':
    case 'B':
        c->base = optarg;
        return true;
    case 'a':
        c->allowlist = optarg;
        return true;
    case 'e':
        c->excludelist = optarg;
        return true;
    case 'm':
        c->list = ql_tool_optional(argc, argv, KERNEL_LIST);
        return true;
    case 'k':
        c->keyrings = true;
        return true;
    case 'b':
        c->buffers = true;
        return true;
    case 'v':
        c->verbose = true;
        return true;
    case 'i':
    case OPT_IGNORED:
        return ql_tool_add(&c->ignored, optarg);
    case 'A':
    case OPT_KEY:
        return ql_tool_add(&c->keys, optarg);
    case 's':
        return split_skips(c, optarg);
    case OPT_ROOTFS:
        c->rootfs = optarg;
        return true;
    case OPT_RAMDISK:
        c->ramdisk = optarg;
        return true;
    case 'l':
    case OPT_RPMS:
        c->rpms = optarg;
        return true;
    case OPT_DEBS:
        c->debs = optarg;
        return true;
    case OPT_SEGMENTS:
        c->all_segments = true;
        return true;
    case OPT_LEGACY:
        c->legacy = true;
        return true;
    case OPT_NO_HASHES:
        c->no_hashes = true;
        return true;
    case OPT_THREADS:
        c->threads = (unsigned)strtoul(optarg, NULL, 10);
        return true;
    case OPT_ALGO:
        c->algorithm = optarg;
        if (ql_policy_algorithm_len(optarg) > 0)
            return true;
        fprintf(stderr, "--algo: %s is none of sha1, sha256, sha384, sha512, sm3_256\n", optarg);
        return false;
    default:
        return false;
    }
}

/* @return -1 to go on, else the exit code */
static int parse(int argc, char **argv, const char *shorts, const struct option *rows, struct create *c)
{
    int flag;

    while ((flag = getopt_long(argc, argv, shorts, rows, NULL)) != -1) {
        if (flag == 'h') {
            help(argv[0], rows);
            return QL_TOOL_OK;
        }
        if (!take(c, flag, argc, argv))
            return QL_TOOL_USAGE;
    }
    if (optind < argc) {
        fprintf(stderr, "%s: %s is not expected here\n", argv[0], argv[optind]);
        return QL_TOOL_USAGE;
    }
    return -1;
}

/* ---- the algorithm of the walks ---- */

/* What a source says: a name, or "64 digits" that two algorithms share. */
struct choice {
    const char *name; /* NULL: nothing said */
    bool is_vague;
    char text[16];
};

static int agree(struct choice *c, const char *name, bool is_vague, struct ql_err *err)
{
    size_t mine = c->name ? ql_policy_algorithm_len(c->name) : 0, other = ql_policy_algorithm_len(name);

    if (c->name && mine != other)
        return ql_fail(err, QL_EPARSE, "sources disagree: %s and %s", c->name, name);
    if (c->name && !c->is_vague && !is_vague && strcmp(c->name, name) != 0)
        return ql_fail(err, QL_EPARSE, "sources disagree: %s and %s", c->name, name);
    if (!c->name || c->is_vague) {
        snprintf(c->text, sizeof c->text, "%s", name);
        c->name = c->text;
        c->is_vague = is_vague;
    }
    return QL_OK;
}

/* Told by the length of the first digest. */
static int agree_with(struct choice *c, const struct ql_names *digests, const char *what, struct ql_err *err)
{
    size_t len = digests->count > 0 && digests->list[0].count > 0 ? strlen(digests->list[0].values[0]) : 0;

    if (digests->count == 0)
        return QL_OK;
    for (size_t i = 0; ql_policy_algorithms[i]; i++)
        if (2 * ql_policy_algorithm_len(ql_policy_algorithms[i]) == len)
            return agree(c, ql_policy_algorithms[i], len == 64, err);
    return ql_fail(err, QL_EPARSE, "%s: its first digest is of no known algorithm", what);
}

/* ---- the work ---- */

static int read_base(const char *path, bool is_strict, struct ql_draft *d, struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL;
    struct ima_policy *policy = NULL;
    struct ql_err why = QL_ERR_INIT;
    size_t len = 0;
    int r = ql_file_read(path, QL_DRAFT_TEXT_MAX, &text, &len, err);

    if (r == QL_OK && is_strict) {
        r = ima_policy_compile(&ql_tool_host, text, len, QL_ORIGIN_UPLOAD, &policy, &why);
        ima_policy_free(policy);
        if (r < 0)
            return ql_fail(err, r, "%s: %s", path, why.text);
    }
    return r == QL_OK ? ql_draft_read(d, text, len, err) : r;
}

/* Add what is new in `from`; `from` is read after the algorithm could be told from it alone. */
static int merge(struct ql_names *to, const struct ql_names *from, struct ql_err *err)
{
    for (size_t i = 0; i < from->count; i++)
        for (size_t k = 0; k < from->list[i].count; k++)
            if (ql_names_add(to, from->list[i].bytes, from->list[i].len, from->list[i].values[k],
                             strlen(from->list[i].values[k])) < 0)
                return ql_fail_nomem(err);
    return QL_OK;
}

static int read_allowlist(const struct create *c, bool is_old, struct choice *choice, struct ql_draft *d,
                          struct ql_err *err)
{
    const struct ql_flat_rules rules = {.blanks_to_underscores = !is_old};
    struct ql_draft own;
    int r;

    ql_draft_init(&own);
    r = ql_flat_read(c->allowlist, &rules, &own, err);
    if (r == QL_OK && !is_old)
        r = agree_with(choice, &own.digests, c->allowlist, err);
    if (r == QL_OK)
        r = merge(&d->digests, &own.digests, err);
    ql_draft_done(&own);
    return r;
}

static int read_list(const struct create *c, bool is_old, struct choice *choice, struct ql_draft *d,
                     struct ql_err *err)
{
    struct ql_list_rules rules = {.hashes = is_old ? !c->allowlist && !c->rpms && !c->no_hashes : true,
                                  .keyrings = c->keyrings,
                                  .buffers = c->buffers,
                                  .needs_boot_aggregate = !is_old};
    int r = ql_list_read(c->list, &rules, d, err);

    return r == QL_OK && !is_old ? agree(choice, rules.algorithm, false, err) : r;
}

static int read_rootfs(const struct create *c, const char *algorithm, struct ql_draft *d, struct ql_err *err)
{
    const struct ql_walk_rules rules = {.root = c->rootfs,
                                        .algorithm = algorithm,
                                        .skips = (const char *const *)c->skips,
                                        .has_standard_skips = true,
                                        .root_owned = true,
                                        .threads = c->threads,
                                        .shows_progress = isatty(STDERR_FILENO)};
    struct ql_walk_result result = {0};
    int r = ql_walk(&rules, d, &result, err);

    if (r == QL_OK && result.unreadable > 0)
        fprintf(stderr, "%llu files or folders could not be read: they are not in the policy\n",
                (unsigned long long)result.unreadable);
    if (r == QL_OK && c->verbose)
        fprintf(stderr, "%llu files, %llu bytes\n", (unsigned long long)result.files,
                (unsigned long long)result.bytes);
    return r;
}

static int read_packages(const struct create *c, const char *algorithm, bool has_rpms, struct ql_draft *d,
                         struct ql_err *err)
{
    const struct ql_deb_rules rules = {
        .algorithm = algorithm, .threads = c->threads, .shows_progress = isatty(STDERR_FILENO)};
    size_t bad_rpms = 0, bad_debs = 0;
    int r = has_rpms ? ql_rpm_folder(c->rpms, d, &bad_rpms, err) : QL_OK;

    if (r == QL_OK && c->debs)
        r = ql_deb_folder(c->debs, &rules, d, &bad_debs, err);
    if (r == QL_OK && bad_rpms + bad_debs > 0)
        fprintf(stderr, "%zu packages could not be read: their files are not in the policy\n",
                bad_rpms + bad_debs);
    return r;
}

static int gather(const struct create *c, bool is_old, struct ql_draft *d, struct ql_err *err)
{
    struct choice choice = {.name = c->algorithm};
    int r = QL_OK;

    if (c->base)
        r = read_base(c->base, is_old, d, err);
    if (r == QL_OK && is_old)
        strcpy(d->log_hash, "sha1");
    if (r == QL_OK && c->base && !is_old)
        r = agree_with(&choice, &d->digests, c->base, err);
    for (size_t i = 0; r == QL_OK && i < c->ignored.count; i++)
        if (ql_names_add(&d->ignored, c->ignored.values[i], strlen(c->ignored.values[i]), NULL, 0) < 0)
            r = ql_fail_nomem(err);
    if (r == QL_OK && c->excludelist)
        r = ql_excludes_read(c->excludelist, false, &d->excludes, err);
    if (r == QL_OK && c->excludelist)
        r = ql_excludes_check(&d->excludes, err);
    if (r == QL_OK && c->allowlist)
        r = read_allowlist(c, is_old, &choice, d, err);
    if (r == QL_OK && c->list)
        r = read_list(c, is_old, &choice, d, err);
    if (r == QL_OK && c->rootfs)
        r = read_rootfs(c, choice.name ? choice.name : "sha256", d, err);
    if (r == QL_OK && c->ramdisk)
        r = ql_initramfs_folder(c->ramdisk, choice.name ? choice.name : "sha256", c->all_segments, d, err);
    if (r == QL_OK)
        r = read_packages(c, choice.name ? choice.name : "sha256", c->rpms && !(is_old && c->allowlist), d,
                          err);
    if (r == QL_OK && c->keys.count > 0 &&
        ql_draft_add_keys(&d->keys, c->keys.values, c->keys.count, err) < 0)
        r = err->code;
    return r == QL_OK && ql_draft_tidy(d) < 0 ? ql_fail_nomem(err) : r;
}

/* What is written must be taken by the verifier. */
static int check_result(const char *text, size_t len, struct ql_err *err)
{
    struct ima_policy *policy = NULL;
    struct ql_err why = QL_ERR_INIT;
    int r = ima_policy_compile(&ql_tool_host, (const uint8_t *)text, len, QL_ORIGIN_UPLOAD, &policy, &why);

    ima_policy_free(policy);
    return r < 0 ? ql_fail(err, r, "the policy would not be taken: %s", why.text) : QL_OK;
}

static int write_out(const struct create *c, const struct ql_draft *d, struct ql_err *err)
{
    ql_auto_free char *text = NULL;
    char timestamp[40];
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len), *out;

    if (!memory)
        return ql_tool_fail(err);
    ql_draft_timestamp(timestamp);
    if (c->legacy)
        ql_draft_write_legacy(d, memory);
    else
        (void)ql_draft_write(d, timestamp, memory); /* closing tells of a failure too */
    if (fclose(memory) != 0) {
        (void)ql_fail_nomem(err);
        return ql_tool_fail(err);
    }
    if (!c->legacy && check_result(text, len, err) < 0)
        return ql_tool_fail(err);
    out = ql_tool_open(c->output);
    if (!out)
        return QL_TOOL_FAILED;
    fwrite(text, 1, len, out);
    if (out == stdout && !c->legacy)
        fputc('\n', out);
    return ql_tool_close(out, c->output);
}

static int create(int argc, char **argv, const char *shorts, const struct option *rows, bool is_old)
{
    struct create c = {.list = is_old ? KERNEL_LIST : NULL};
    struct ql_err err = QL_ERR_INIT;
    struct ql_draft d;
    int code = parse(argc, argv, shorts, rows, &c);

    ql_draft_init(&d);
    if (code < 0 && is_old && (c.allowlist || c.rpms) && !c.keyrings && !c.buffers)
        c.list = NULL; /* nothing is taken from it */
    if (code < 0)
        code = gather(&c, is_old, &d, &err) < 0 ? ql_tool_fail(&err) : write_out(&c, &d, &err);
    ql_draft_done(&d);
    free(c.skip_text);
    return code;
}

int ql_tool_create(int argc, char **argv)
{
    return create(argc, argv, "o:p:a:e:m::kbs:vh", options, false);
}

int ql_tool_create_old(int argc, char **argv)
{
    return create(argc, argv, "o:B:a:e:m::kbi:A:l:h", old_options, true);
}
