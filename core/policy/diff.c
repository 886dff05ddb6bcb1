/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <string.h>

#include "draft.h"
#include "dsse.h"
#include "error.h"
#include "file.h"
#include "tool.h"

static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};

/* One line a difference: '-' only in the first, '+' only in the second. */
static void line(char sign, const char *map, const struct ql_name *name, const char *value)
{
    printf("%c %s ", sign, map);
    ql_draft_write_text(name->bytes, name->len, stdout);
    printf("%s%s\n", value ? " " : "", value ? value : "");
}

static bool has(const struct ql_name *name, const char *value)
{
    for (size_t i = 0; name && i < name->count; i++)
        if (strcmp(name->values[i], value) == 0)
            return true;
    return false;
}

static size_t one_way(char sign, const char *map, const struct ql_names *from, const struct ql_names *other)
{
    size_t found = 0;

    for (size_t i = 0; i < from->count; i++) {
        const struct ql_name *mine = &from->list[i], *theirs = ql_names_find(other, mine->bytes, mine->len);

        if (mine->count == 0 && !theirs) {
            line(sign, map, mine, NULL);
            found++;
        }
        for (size_t k = 0; k < mine->count; k++)
            if (!has(theirs, mine->values[k])) {
                line(sign, map, mine, mine->values[k]);
                found++;
            }
    }
    return found;
}

static size_t both_ways(const char *map, const struct ql_names *a, const struct ql_names *b)
{
    size_t found = one_way('-', map, a, b);

    return found + one_way('+', map, b, a);
}

/* A policy, or what a signed one holds. */
static int read_policy(const char *path, struct ql_draft *d, struct ql_err *err)
{
    ql_auto(ql_dsse_freep) struct ql_dsse *envelope = NULL;
    ql_auto_free uint8_t *text = NULL;
    size_t len = 0;
    int r = ql_file_read(path, QL_DRAFT_TEXT_MAX, &text, &len, err);

    if (r < 0)
        return r;
    if (ql_dsse_read((const char *)text, len, &envelope, NULL) == QL_OK)
        r = ql_draft_read(d, envelope->payload, envelope->payload_len, err);
    else
        r = ql_draft_read(d, text, len, err);
    if (r < 0)
        return ql_fail_context(err, r, "%s", path);
    return ql_draft_tidy(d) < 0 ? ql_fail_nomem(err) : QL_OK;
}

static size_t compare(const struct ql_draft *a, const struct ql_draft *b)
{
    size_t found = both_ways("digests", &a->digests, &b->digests);

    found += both_ways("excludes", &a->excludes, &b->excludes);
    found += both_ways("keyrings", &a->keyrings, &b->keyrings);
    found += both_ways("ima-buf", &a->buffers, &b->buffers);
    found += both_ways("ignored_keyrings", &a->ignored, &b->ignored);
    if (strcmp(a->log_hash, b->log_hash) != 0) {
        printf("- log_hash_alg %s\n+ log_hash_alg %s\n", a->log_hash, b->log_hash);
        found += 2;
    }
    if (strcmp(a->keys ? a->keys : "", b->keys ? b->keys : "") != 0) {
        printf("- verification-keys %s\n+ verification-keys %s\n", a->keys ? a->keys : "",
               b->keys ? b->keys : "");
        found += 2;
    }
    return found;
}

int ql_tool_diff(int argc, char **argv)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_draft a, b;
    int flag, code;

    while ((flag = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (flag != 'h')
            return QL_TOOL_USAGE;
        puts("usage: quicklime-policy diff POLICY POLICY");
        return QL_TOOL_OK;
    }
    if (argc - optind != 2) {
        fputs("usage: quicklime-policy diff POLICY POLICY\n", stderr);
        return QL_TOOL_USAGE;
    }
    ql_draft_init(&a);
    ql_draft_init(&b);
    if (read_policy(argv[optind], &a, &err) < 0 || read_policy(argv[optind + 1], &b, &err) < 0)
        code = ql_tool_fail(&err);
    else
        code = compare(&a, &b) > 0 ? QL_TOOL_FAILED : QL_TOOL_OK;
    ql_draft_done(&a);
    ql_draft_done(&b);
    return code;
}
