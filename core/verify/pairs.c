/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a plugin carries something from one agent to another: each two recordings, in both orders. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "file.h"
#include "json.h"
#include "verify.h"

enum {
    PAIRS_MAX = 256 /* files of a folder */
};

/** Files of a folder and what each is judged to be alone. */
struct pairs {
    char *paths[PAIRS_MAX];
    struct ql_verified alone[PAIRS_MAX];
    size_t count;
};

static void pairs_done(struct pairs *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->paths[i]);
        ql_verified_done(&p->alone[i]);
    }
}

static int is_recording(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return len > 5 && strcmp(e->d_name + len - 5, ".json") == 0;
}

static int list_files(const char *dir, struct pairs *p, struct ql_err *err)
{
    struct dirent **names = NULL;
    int found = scandir(dir, &names, is_recording, alphasort), r = QL_OK;

    if (found < 0)
        return ql_fail(err, QL_EIO, "%s: %s", dir, strerror(errno));
    for (int i = 0; i < found; i++) {
        if (p->count == PAIRS_MAX)
            r = ql_fail(err, QL_ELIMIT, "%s: more than %d files", dir, PAIRS_MAX);
        else if (r == QL_OK && !(p->paths[p->count++] = ql_path_join(dir, names[i]->d_name)))
            r = ql_fail_nomem(err);
        free(names[i]);
    }
    free(names);
    if (r == QL_OK && p->count < 2)
        r = ql_fail(err, QL_ENOTFOUND, "%s: fewer than two .json files", dir);
    return r;
}

static bool same(const struct ql_verified *a, const struct ql_verified *b)
{
    return strcmp(a->result, b->result) == 0 && strcmp(a->state, b->state) == 0;
}

/* @return 0, or QL_VERIFY_UNUSABLE; a difference is added to the list */
static int one_pair(const struct ql_verify_options *o, const struct pairs *p, size_t first, size_t second,
                    json_t *differences, struct ql_err *err)
{
    const char *paths[] = {p->paths[first], p->paths[second]};
    struct ql_verified now[2] = {{NULL, NULL}, {NULL, NULL}};
    int r = ql_verify_apart(o, paths, 2, now, err);

    if (r < 0)
        r = json_array_append_new(differences,
                                  json_pack("{s:s, s:s, s:s, s:i}", "first", paths[0], "second", paths[1],
                                            "message", "ended by a signal", "signal", -r));
    else if (r == 0 && (!same(&now[0], &p->alone[first]) || !same(&now[1], &p->alone[second])))
        r = json_array_append_new(differences,
                                  json_pack("{s:s, s:s, s:s, s:s}", "first", paths[0], "second", paths[1],
                                            "alone", p->alone[second].result, "after", now[1].result));
    ql_verified_done(&now[0]);
    ql_verified_done(&now[1]);
    return r == 0 ? 0 : QL_VERIFY_UNUSABLE;
}

static int all_pairs(const struct ql_verify_options *o, struct pairs *p, json_t *differences,
                     struct ql_err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < p->count; i++) {
        const char *path = p->paths[i];

        r = ql_verify_apart(o, &path, 1, &p->alone[i], err);
        if (r < 0) {
            (void)ql_fail(err, QL_EINTERNAL, "%s: ended by signal %d", path, -r); /* the code says it */
            r = QL_VERIFY_UNUSABLE;
        }
    }
    for (size_t i = 0; r == 0 && i < p->count; i++)
        for (size_t k = 0; r == 0 && k < p->count; k++)
            if (i != k)
                r = one_pair(o, p, i, k, differences, err);
    return r;
}

int ql_verify_pairs(const struct ql_verify_options *o, struct ql_err *err)
{
    ql_auto_json json_t *differences = json_array(), *summary = NULL;
    struct pairs p = {.count = 0};
    int r = list_files(o->pairs, &p, err) == QL_OK ? 0 : QL_VERIFY_UNUSABLE;

    if (r == 0)
        r = all_pairs(o, &p, differences, err);
    if (r == 0) {
        summary = json_pack("{s:b, s:I, s:O}", "valid", json_array_size(differences) == 0, "pairs",
                            (json_int_t)p.count * ((json_int_t)p.count - 1), "differences", differences);
        if (!summary || json_dumpf(summary, stdout, JSON_INDENT(2)) != 0 || putchar('\n') == EOF)
            r = QL_VERIFY_UNUSABLE;
        else if (json_array_size(differences) > 0)
            r = QL_VERIFY_INVALID;
    }
    pairs_done(&p);
    return r;
}
