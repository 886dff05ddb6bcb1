/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "create_args.h"
#include "parse.h"
#include "sources.h"

enum {
    THREADS_MAX = 256,
    ROWS_MAX = 32
};

/* What a flag sets, whichever spelling it has. */
enum {
    OUTPUT = 1000,
    BASE,
    ALLOWLIST,
    EXCLUDELIST,
    LIST,
    KEYRINGS,
    BUFFERS,
    IGNORED,
    KEY,
    ROOTFS,
    SKIPS,
    RAMDISK,
    SEGMENTS,
    RPMS,
    RPM_URL,
    RPM_KEY,
    CA_FILE,
    WORKERS,
    DEBS,
    ALGORITHM,
    THREADS,
    LEGACY,
    NO_HASHES,
    VERBOSE,
    HELP
};

struct row {
    int sets;
    char letter; /* 0: none */
    const char *name;
    const char *value; /* NULL: it has none; "[X]": may be left out */
    const char *text;
};

static const struct row rows[] = {
    {OUTPUT, 'o', "output", "FILE", "where the policy goes (standard output)"},
    {BASE, 'p', "base-policy", "FILE", "a policy to start from"},
    {ALLOWLIST, 'a', "allowlist", "FILE", "flat list: digest, blanks, path"},
    {EXCLUDELIST, 'e', "excludelist", "FILE", "regular expressions of paths that are not judged, one a line"},
    {LIST, 'm', "ima-measurement-list", "[FILE]", "files of a measurement list (the kernel's)"},
    {KEYRINGS, 'k', "keyrings", NULL, "take the list's keys too"},
    {BUFFERS, 'b', "ima-buf", NULL, "take the list's other buffers too"},
    {IGNORED, 0, "ignored-keyrings", "NAME", "keyring whose keys are not judged; repeatable"},
    {KEY, 0, "add-ima-signature-verification-key", "FILE", "key that signs files; repeatable"},
    {ROOTFS, 0, "rootfs", "DIR", "hash the files of a root file system"},
    {SKIPS, 's', "skip-path", "DIR,DIR", "folders of it that are left out"},
    {RAMDISK, 0, "ramdisk-dir", "DIR", "hash the files of the initramfs images there"},
    {SEGMENTS, 0, "all-segments", NULL, "of an image, all archives and not the last alone"},
    {RPMS, 0, "local-rpm-repo", "DIR", "digests of the RPM packages there"},
    {RPM_URL, 0, "remote-rpm-repo", "URL", "digests of the RPM packages of a repository"},
    {RPM_KEY, 0, "rpm-repo-key", "FILE", "key that must have signed the RPM repository"},
    {CA_FILE, 0, "repo-ca-file", "FILE", "CAs of the repository's server (the system's)"},
    {WORKERS, 0, "max-workers", "N", "packages fetched at a time (8)"},
    {DEBS, 0, "local-deb-repo", "DIR", "hash the files of the Debian packages there"},
    {ALGORITHM, 0, "algo", "ALG", "of what is hashed: sha1, sha256, sha384, sha512, sm3_256"},
    {THREADS, 0, "threads", "N", "files hashed at a time (one a processor)"},
    {LEGACY, 0, "show-legacy-allowlist", NULL, "write a flat list instead"},
    {VERBOSE, 'v', "verbose", NULL, "say more on standard error"},
    {HELP, 'h', "help", NULL, "this text"},
    {0},
};

static const struct row old_rows[] = {
    {OUTPUT, 'o', "output", "FILE", "where the policy goes (standard output)"},
    {BASE, 'B', "base-policy", "FILE", "a policy to start from"},
    {ALLOWLIST, 'a', "allowlist", "FILE", "flat list: digest, blanks, path"},
    {EXCLUDELIST, 'e', "exclude", "FILE", "regular expressions of paths that are not judged, one a line"},
    {LIST, 'm', "ima-measurement-list", "[FILE]", "files of a measurement list (the kernel's)"},
    {KEYRINGS, 'k', "keyrings", NULL, "take the list's keys too"},
    {BUFFERS, 'b', "ima-buf", NULL, "take the list's other buffers too"},
    {IGNORED, 'i', "ignored-keyrings", "NAME", "keyring whose keys are not judged; repeatable"},
    {KEY, 'A', "add-ima-signature-verification-key", "FILE", "key that signs files; repeatable"},
    {RPMS, 'l', "local-repo", "DIR", "digests of the RPM packages there"},
    {NO_HASHES, 0, "no-hashes", NULL, "take no files of the measurement list"},
    {HELP, 'h', "help", NULL, "this text"},
    {0},
};

static void help(const char *name, const struct row *r)
{
    printf("usage: %s [flags]\n\n", name);
    for (; r->name; r++) {
        char flag[80];

        snprintf(flag, sizeof flag, "--%s%s%s", r->name, r->value ? " " : "", r->value ? r->value : "");
        printf(r->letter ? "  -%c, " : "      ", r->letter);
        if (strlen(flag) > 32) /* its text on a line of its own */
            printf("%s\n%39s%s\n", flag, "", r->text);
        else
            printf("%-32s %s\n", flag, r->text);
    }
}

static bool split_skips(struct ql_create_args *a, const char *text)
{
    char *save = NULL;
    size_t n = 0;

    free(a->skip_text);
    a->skip_text = strdup(text);
    for (char *one = a->skip_text ? strtok_r(a->skip_text, ",", &save) : NULL; one;
         one = strtok_r(NULL, ",", &save)) {
        if (n == QL_TOOL_LIST_MAX) {
            fprintf(stderr, "more than %d skip paths\n", QL_TOOL_LIST_MAX);
            return false;
        }
        a->skips[n++] = one;
    }
    a->skips[n] = NULL;
    return true;
}

static bool number(const char *flag, unsigned *ret)
{
    uint64_t n = 0;

    if (ql_parse_u64(optarg, strlen(optarg), 0, THREADS_MAX, &n, NULL) < 0) {
        fprintf(stderr, "--%s: %s is no number up to %d\n", flag, optarg, THREADS_MAX);
        return false;
    }
    *ret = (unsigned)n;
    return true;
}

static bool algorithm(struct ql_create_args *a)
{
    a->algorithm = optarg;
    if (ql_policy_algorithm_len(optarg) > 0)
        return true;
    fprintf(stderr, "--algo: %s is none of sha1, sha256, sha384, sha512, sm3_256\n", optarg);
    return false;
}

/* @return false: wrong use, reported */
static bool take(struct ql_create_args *a, const struct row *r, int argc, char **argv)
{
    const char **text = r->sets == OUTPUT        ? &a->output
                        : r->sets == BASE        ? &a->base
                        : r->sets == ALLOWLIST   ? &a->allowlist
                        : r->sets == EXCLUDELIST ? &a->excludelist
                        : r->sets == ROOTFS      ? &a->rootfs
                        : r->sets == RAMDISK     ? &a->ramdisk
                        : r->sets == RPMS        ? &a->rpms
                        : r->sets == RPM_URL     ? &a->rpm_url
                        : r->sets == RPM_KEY     ? &a->rpm_key
                        : r->sets == CA_FILE     ? &a->ca_file
                        : r->sets == DEBS        ? &a->debs
                                                 : NULL;
    bool *set = r->sets == KEYRINGS    ? &a->keyrings
                : r->sets == BUFFERS   ? &a->buffers
                : r->sets == SEGMENTS  ? &a->all_segments
                : r->sets == LEGACY    ? &a->legacy
                : r->sets == NO_HASHES ? &a->no_hashes
                : r->sets == VERBOSE   ? &a->verbose
                                       : NULL;

    if (text)
        *text = optarg;
    if (set)
        *set = true;
    if (text || set)
        return true;
    switch (r->sets) {
    case LIST:
        a->list = ql_tool_optional(argc, argv, QL_KERNEL_LIST);
        return true;
    case IGNORED:
        return ql_tool_add(&a->ignored, optarg);
    case KEY:
        return ql_tool_add(&a->keys, optarg);
    case SKIPS:
        return split_skips(a, optarg);
    case WORKERS:
        return number(r->name, &a->workers);
    case THREADS:
        return number(r->name, &a->threads);
    case ALGORITHM:
        return algorithm(a);
    default:
        return false;
    }
}

/* The rows as getopt_long() wants them. */
static void make_options(const struct row *table, struct option longs[ROWS_MAX], char shorts[3 * ROWS_MAX])
{
    size_t n = 0, at = 0;

    for (; table[n].name && n < ROWS_MAX - 1; n++) {
        const bool is_optional = table[n].value && table[n].value[0] == '[';

        longs[n] = (struct option){.name = table[n].name,
                                   .has_arg = is_optional      ? optional_argument
                                              : table[n].value ? required_argument
                                                               : no_argument,
                                   .val = table[n].letter ? table[n].letter : table[n].sets};
        if (!table[n].letter)
            continue;
        shorts[at++] = table[n].letter;
        if (table[n].value)
            shorts[at++] = ':';
        if (is_optional)
            shorts[at++] = ':';
    }
    longs[n] = (struct option){0};
    shorts[at] = '\0';
}

static const struct row *row_of(const struct row *table, int flag)
{
    for (; table->name; table++)
        if (table->sets == flag || (table->letter && table->letter == flag))
            return table;
    return NULL;
}

int ql_create_args_read(struct ql_create_args *a, bool is_old, int argc, char **argv)
{
    const struct row *table = is_old ? old_rows : rows, *r;
    struct option longs[ROWS_MAX];
    char shorts[3 * ROWS_MAX];
    int flag;

    make_options(table, longs, shorts);
    while ((flag = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        r = row_of(table, flag);
        if (r && r->sets == HELP) {
            help(is_old ? "keylime_create_policy" : "quicklime-policy create runtime", table);
            return QL_TOOL_OK;
        }
        if (!r || !take(a, r, argc, argv))
            return QL_TOOL_USAGE;
    }
    if (optind < argc) {
        fprintf(stderr, "%s: %s is not expected here\n", argv[0], argv[optind]);
        return QL_TOOL_USAGE;
    }
    return -1;
}

void ql_create_args_done(struct ql_create_args *a)
{
    free(a->skip_text);
    a->skip_text = NULL;
}
