/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "changes.h"
#include "digest.h"
#include "encode.h"
#include "error.h"
#include "fields.h"
#include "policies.h"

/** A name as it is stored. */
struct name_row {
    char *kind, *name, *digest;
    int64_t generator;
};

#define NAME_FIELDS(F)                                                                                       \
    F(NAME, kind, "kind", 1)                                                                                 \
    F(NAME, name, "name", 1)                                                                                 \
    F(TEXT, digest, "digest", 1)                                                                             \
    F(INT0, generator, "generator", 1)

#define NAME_FIELD(kind, member, column, since) QL_FIELD(struct name_row, kind, member)

static const struct ql_field fields[] = {NAME_FIELDS(NAME_FIELD)};
static const struct ql_column name_columns[] = {NAME_FIELDS(QL_FIELD_COLUMN)};
static const struct ql_index name_indexes[] = {
    {.name = "by_digest", .columns = (const char *const[]){"digest", NULL}},
};

const struct ql_table ql_policy_names_table = {
    .size = sizeof(struct ql_table),
    .name = "policy_names",
    .columns = name_columns,
    .column_count = QL_ARRAY_LEN(name_columns),
    .key_count = 2,
    .indexes = name_indexes,
    .index_count = QL_ARRAY_LEN(name_indexes),
    .since = 1,
};

static const struct ql_column content_columns[] = {
    {"digest", QL_COL_TEXT, 1},
    {"content", QL_COL_BYTES, 1},
};

const struct ql_table ql_policy_contents_table = {
    .size = sizeof(struct ql_table),
    .name = "policy_contents",
    .columns = content_columns,
    .column_count = QL_ARRAY_LEN(content_columns),
    .key_count = 1,
    .since = 1,
};

void ql_policy_row_done(struct ql_policy_row *row)
{
    free(row->kind);
    free(row->name);
    free(row->digest);
    free(row->content);
    *row = (struct ql_policy_row){0};
}
QL_DEFINE_CLEANUP(struct ql_policy_row, ql_policy_row_done)

struct reading {
    struct name_row *name;
    struct ql_policy_row *content;
    struct ql_err *err;
};

static int read_name(void *arg, const struct ql_value *row, uint32_t column_count)
{
    const struct reading *g = arg;

    return ql_fields_read(fields, QL_ARRAY_LEN(fields), &ql_policy_names_table, row, column_count,
                          sizeof *g->name, g->name, g->err);
}

static int read_content(void *arg, const struct ql_value *row, uint32_t column_count)
{
    const struct reading *g = arg;
    char *copy = NULL;

    if (column_count < 2 || row[1].type != QL_COL_BYTES)
        return ql_fail(g->err, QL_EPARSE, "a policy's content cannot be read");
    copy = malloc(row[1].len + 1);
    if (!copy)
        return ql_fail_nomem(g->err);
    if (row[1].len)
        memcpy(copy, row[1].data, row[1].len);
    copy[row[1].len] = 0;
    g->content->content = copy;
    g->content->content_len = row[1].len;
    return 0;
}

static int get_content(struct ql_txn *t, const char *digest, struct ql_policy_row *ret, struct ql_err *err)
{
    struct reading g = {.content = ret, .err = err};
    struct ql_value key = ql_text(digest);
    int r;

    r = ql_txn_get(t, &ql_policy_contents_table, &key, read_content, &g, err);
    if (r == QL_ENOTFOUND)
        return ql_fail(err, r, "no policy with the digest %.64s is stored", digest);
    return r;
}

static int get_name(struct ql_txn *t, const char *kind, const char *name, struct name_row *ret,
                    struct ql_err *err)
{
    struct reading g = {.name = ret, .err = err};
    struct ql_value key[] = {ql_text(kind), ql_text(name)};
    int r;

    r = ql_txn_get(t, &ql_policy_names_table, key, read_name, &g, err);
    if (r == QL_ENOTFOUND)
        return ql_fail(err, r, "%s policy %.255s is not stored", kind, name);
    return r;
}

int ql_policies_find(struct ql_txn *t, const char *kind, const char *name, struct ql_policy_row *ret,
                     struct ql_err *err)
{
    struct name_row row = {0};
    int r = get_name(t, kind, name, &row, err);

    if (r == QL_OK)
        *ret = (struct ql_policy_row){
            .kind = row.kind, .name = row.name, .digest = row.digest, .generator = row.generator};
    return r;
}

int ql_policies_get(struct ql_txn *t, const char *kind, const char *name, struct ql_policy_row *ret,
                    struct ql_err *err)
{
    struct ql_policy_row policy = {0};
    int r = ql_policies_find(t, kind, name, &policy, err);

    if (r < 0)
        return r;
    if (policy.digest)
        r = get_content(t, policy.digest, &policy, err);
    if (r < 0) {
        ql_policy_row_done(&policy);
        /* A name whose content is gone is damage, not the absence of the name. */
        return r == QL_ENOTFOUND
                   ? ql_fail(err, QL_EPARSE, "%s policy %.255s has lost its content", kind, name)
                   : r;
    }
    *ret = policy;
    return QL_OK;
}

int ql_policies_content(struct ql_txn *t, const char *digest, char **ret, size_t *ret_len, struct ql_err *err)
{
    struct ql_policy_row row = {0};
    int r;

    r = get_content(t, digest, &row, err);
    if (r < 0)
        return r;
    *ret = row.content;
    *ret_len = row.content_len;
    return QL_OK;
}

static int first_digest(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct ql_value *digest = arg;

    /* Compared here: the row is borrowed for the length of this call. */
    if (column_count > 2 && row[2].type == QL_COL_TEXT && row[2].len == digest->len &&
        !memcmp(row[2].data, digest->data, digest->len))
        digest->i = 1;
    return 1;
}

/** Remove content that no name points to any more. */
static int sweep(struct ql_txn *t, const char *digest, struct ql_err *err)
{
    struct ql_value key = ql_text(digest);
    int r;

    r = ql_txn_scan(t, &ql_policy_names_table, "by_digest", &key, 1, 1, first_digest, &key, err);
    if (r < 0 || key.i)
        return r;
    r = ql_txn_del(t, &ql_policy_contents_table, &key, NULL, 0, err);
    return r == QL_ENOTFOUND ? QL_OK : r;
}

/** The digest that content is stored under: NULL for no content. @p hex  room for one */
static int digest_of(const struct ql_policy_row *row, char hex[65], const char **ret, struct ql_err *err)
{
    uint8_t digest[32];

    *ret = NULL;
    if (!row->content)
        return QL_OK;
    if (row->content_len > QL_POLICY_MAX_LEN)
        return ql_fail(err, QL_ELIMIT, "policy of %zu bytes, at most %d", row->content_len,
                       QL_POLICY_MAX_LEN);
    if (row->digest) {
        *ret = row->digest;
        return QL_OK;
    }
    if (ql_digest_once(QL_SHA256, row->content, row->content_len, digest) < 0)
        return ql_fail(err, QL_ECRYPTO, "SHA-256 of a policy failed");
    ql_hex_encode(digest, sizeof digest, hex);
    *ret = hex;
    return QL_OK;
}

static int put_content(struct ql_txn *t, const char *digest, const struct ql_policy_row *row,
                       struct ql_err *err)
{
    struct ql_value values[] = {ql_text(digest), ql_bytes(row->content, row->content_len)};
    int r;

    r = ql_txn_get(t, &ql_policy_contents_table, values, NULL, NULL, err);
    if (r != QL_ENOTFOUND)
        return r;
    r = ql_txn_put(t, &ql_policy_contents_table, QL_PUT_INSERT, values, 0, NULL, 0, err);
    return r == QL_ECONFLICT ? ql_fail(err, QL_EAGAIN, "the same policy is being stored by another process")
                             : r;
}

static int note_change(struct ql_txn *t, const char *kind, const char *name, struct ql_err *err)
{
    ql_auto_free char *id = NULL;

    if (asprintf(&id, "%s/%s", kind, name) < 0)
        return ql_fail_nomem(err);
    return ql_changes_add(t, "policy", id, err);
}

int ql_policies_put(struct ql_txn *t, uint32_t mode, const struct ql_policy_row *row, struct ql_err *err)
{
    struct ql_value values[QL_ARRAY_LEN(name_columns)];
    struct name_row old = {0}, new = {.kind = row->kind, .name = row->name, .generator = row->generator};
    const char *digest = NULL;
    char hex[65];
    int r;

    if (!row->kind || !row->name || strlen(row->name) > QL_POLICY_NAME_MAX)
        return ql_fail(err, QL_ERANGE, "name of a policy is missing or longer than %d bytes",
                       QL_POLICY_NAME_MAX);
    r = digest_of(row, hex, &digest, err);
    if (r < 0)
        return r;
    r = get_name(t, row->kind, row->name, &old, err);
    if (r == QL_OK && mode == QL_PUT_INSERT)
        r = ql_fail(err, QL_EEXIST, "%s policy %s is stored already", row->kind, row->name);
    else if (r == QL_ENOTFOUND && mode != QL_PUT_UPDATE)
        r = QL_OK;
    else if (r == QL_EPARSE && mode != QL_PUT_INSERT)
        r = QL_OK; /* a row that cannot be read is replaced */
    if (r == QL_OK && digest)
        r = put_content(t, digest, row, err);
    if (r == QL_OK) {
        values[0] = ql_text(new.kind);
        values[1] = ql_text(new.name);
        values[2] = ql_text(digest);
        values[3] = new.generator ? ql_int(new.generator) : ql_null();
        r = ql_txn_put(t, &ql_policy_names_table, QL_PUT_UPSERT, values, 0, NULL, 0, err);
    }
    if (r == QL_OK && old.digest && (!digest || strcmp(old.digest, digest) != 0))
        r = sweep(t, old.digest, err);
    ql_fields_done(fields, QL_ARRAY_LEN(fields), &old);
    return r < 0 ? r : note_change(t, row->kind, row->name, err);
}

int ql_policies_delete(struct ql_txn *t, const char *kind, const char *name, struct ql_err *err)
{
    struct ql_value key[] = {ql_text(kind), ql_text(name)};
    struct name_row old = {0};
    int r;

    r = get_name(t, kind, name, &old, err);
    if (r < 0 && r != QL_EPARSE)
        return r;
    r = ql_txn_del(t, &ql_policy_names_table, key, NULL, 0, err);
    if (r == QL_OK && old.digest)
        r = sweep(t, old.digest, err);
    ql_fields_done(fields, QL_ARRAY_LEN(fields), &old);
    return r < 0 ? r : note_change(t, kind, name, err);
}

struct naming {
    const char *kind;
    ql_name_fn fn;
    void *arg;
};

static int visit_name(void *arg, const struct ql_value *row, uint32_t column_count)
{
    const struct naming *n = arg;

    if (column_count < 2 || row[0].type != QL_COL_TEXT || row[1].type != QL_COL_TEXT)
        return 0;
    if (strcmp(row[0].data, n->kind) != 0)
        return 1; /* rows come in the order of the kind: no more of ours */
    return n->fn(n->arg, row[1].data);
}

int ql_policies_names(struct ql_txn *t, const char *kind, ql_name_fn fn, void *arg, struct ql_err *err)
{
    struct naming n = {.kind = kind, .fn = fn, .arg = arg};
    struct ql_value from[] = {ql_text(kind), ql_text("")};

    return ql_txn_scan(t, &ql_policy_names_table, NULL, from, 2, 0, visit_name, &n, err);
}
