/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "create_args.h"
#include "deb.h"
#include "error.h"
#include "file.h"
#include "initramfs.h"
#include "policy.h"
#include "rpm_remote.h"
#include "sources.h"
#include "tool.h"
#include "toolhost.h"
#include "walk.h"

#include <quicklime/validator.h>

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

static int read_allowlist(const struct ql_create_args *c, bool is_old, struct choice *choice,
                          struct ql_draft *d, struct ql_err *err)
{
    const struct ql_flat_rules rules = {.blanks_to_underscores = !is_old};
    struct ql_draft own;
    int r;

    ql_draft_init(&own);
    r = ql_flat_read(c->allowlist, &rules, &own, err);
    if (r == QL_OK && !is_old)
        r = agree_with(choice, &own.digests, c->allowlist, err);
    if (r == QL_OK)
        r = ql_names_merge(&d->digests, &own.digests) < 0 ? ql_fail_nomem(err) : QL_OK;
    ql_draft_done(&own);
    return r;
}

static int read_list(const struct ql_create_args *c, bool is_old, struct choice *choice, struct ql_draft *d,
                     struct ql_err *err)
{
    struct ql_list_rules rules = {.hashes = is_old ? !c->allowlist && !c->rpms && !c->no_hashes : true,
                                  .keyrings = c->keyrings,
                                  .buffers = c->buffers,
                                  .needs_boot_aggregate = !is_old};
    int r = ql_list_read(c->list, &rules, d, err);

    return r == QL_OK && !is_old ? agree(choice, rules.algorithm, false, err) : r;
}

static int read_rootfs(const struct ql_create_args *c, const char *algorithm, struct ql_draft *d,
                       struct ql_err *err)
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

static int read_packages(const struct ql_create_args *c, const char *algorithm, bool has_rpms,
                         struct ql_draft *d, struct ql_err *err)
{
    const bool shows_progress = isatty(STDERR_FILENO);
    const struct ql_deb_rules deb_rules = {
        .algorithm = algorithm, .threads = c->threads, .shows_progress = shows_progress};
    const struct ql_rpm_rules rpm_rules = {
        .key = c->rpm_key, .ca_file = c->ca_file, .workers = c->workers, .shows_progress = shows_progress};
    size_t bad = 0, all_bad = 0;
    int r = has_rpms ? ql_rpm_folder(c->rpms, &rpm_rules, d, &all_bad, err) : QL_OK;

    if (r == QL_OK && c->rpm_url)
        r = ql_rpm_remote(c->rpm_url, &rpm_rules, d, &bad, err);
    all_bad += bad;
    bad = 0;
    if (r == QL_OK && c->debs)
        r = ql_deb_folder(c->debs, &deb_rules, d, &bad, err);
    all_bad += bad;
    if (r == QL_OK && all_bad > 0)
        fprintf(stderr, "%zu packages could not be read: their files are not in the policy\n", all_bad);
    return r;
}

static int gather(const struct ql_create_args *c, bool is_old, struct ql_draft *d, struct ql_err *err)
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

static int write_out(const struct ql_create_args *c, const struct ql_draft *d, struct ql_err *err)
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

static int create(int argc, char **argv, bool is_old)
{
    struct ql_create_args c = {.list = is_old ? QL_KERNEL_LIST : NULL};
    struct ql_err err = QL_ERR_INIT;
    struct ql_draft d;
    int code = ql_create_args_read(&c, is_old, argc, argv);

    ql_draft_init(&d);
    if (code < 0 && is_old && (c.allowlist || c.rpms) && !c.keyrings && !c.buffers)
        c.list = NULL; /* nothing is taken from it */
    if (code < 0)
        code = gather(&c, is_old, &d, &err) < 0 ? ql_tool_fail(&err) : write_out(&c, &d, &err);
    ql_draft_done(&d);
    ql_create_args_done(&c);
    return code;
}

int ql_tool_create(int argc, char **argv)
{
    return create(argc, argv, false);
}

int ql_tool_create_old(int argc, char **argv)
{
    return create(argc, argv, true);
}
