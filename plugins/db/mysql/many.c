/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "mysql.h"

/** Values of one parameter in all rows, as arrays. */
struct column {
    char *indicators;
    int64_t *numbers;
    const void **data;
    unsigned long *lengths;
};

/** Room for the parameters of a statement in many rows: one piece of memory. */
struct bulk {
    MYSQL_BIND bind[SV_PARAM_MAX];
    struct column columns[SV_PARAM_MAX];
    char memory[];
};

static struct bulk *bulk_new(uint32_t params, uint32_t rows)
{
    size_t one = rows * (sizeof(int64_t) + sizeof(void *) + sizeof(unsigned long) + 1);
    struct bulk *b = calloc(1, sizeof *b + params * ((one + 15) & ~(size_t)15));
    char *at = b ? b->memory : NULL;

    for (uint32_t i = 0; b && i < params; i++) {
        struct column *c = &b->columns[i];

        c->numbers = (int64_t *)(void *)at;
        c->data = (const void **)(void *)(c->numbers + rows);
        c->lengths = (unsigned long *)(void *)(c->data + rows);
        c->indicators = (char *)(c->lengths + rows);
        at += (one + 15) & ~(size_t)15;
    }
    return b;
}

static void fill(struct bulk *b, const struct sv_stmt *s, uint32_t at, const struct ql_value *params)
{
    for (uint32_t i = 0; i < s->param_count; i++) {
        struct column *c = &b->columns[i];
        const struct ql_value *v = &params[i];

        c->indicators[at] = v->type == QL_COL_NULL ? STMT_INDICATOR_NULL : STMT_INDICATOR_NONE;
        c->numbers[at] = v->i;
        c->data[at] = v->len ? v->data : "";
        c->lengths[at] = v->len;
    }
}

static void bind_all(struct bulk *b, const struct sv_stmt *s)
{
    for (uint32_t i = 0; i < s->param_count; i++) {
        bool number = s->params[i].type == QL_COL_INT;

        b->bind[i] = (MYSQL_BIND){
            .buffer_type = number                              ? MYSQL_TYPE_LONGLONG
                           : s->params[i].type == QL_COL_BYTES ? MYSQL_TYPE_BLOB
                                                               : MYSQL_TYPE_STRING,
            .buffer = number ? (void *)b->columns[i].numbers : (void *)b->columns[i].data,
            .length = b->columns[i].lengths,
            .u.indicator = b->columns[i].indicators,
        };
    }
}

static int one_by_one(struct sv_db *db, struct sv_call *const *calls, uint32_t count, struct ql_err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t changes = 0;
        int r = sv_drv_run(db, calls[i]->s, calls[i]->params, NULL, &changes, err);

        calls[i]->result = r < 0 ? r : changes ? QL_OK : QL_ECONFLICT;
        if (r < 0)
            return r;
    }
    return QL_OK;
}

static int send(struct sv_db *db, struct sv_stmt *s, struct bulk *b, uint32_t count, uint64_t *changes,
                struct ql_err *err)
{
    unsigned rows = count, none = 0;
    int r = QL_OK;

    if (mysql_stmt_attr_set(s->driver, STMT_ATTR_ARRAY_SIZE, &rows) ||
        mysql_stmt_bind_param(s->driver, b->bind) || mysql_stmt_execute(s->driver))
        r = my_fail_stmt(db, s->driver, s->shape.table->name, err);
    else
        *changes = mysql_stmt_affected_rows(s->driver);
    (void)mysql_stmt_attr_set(s->driver, STMT_ATTR_ARRAY_SIZE,
                              &none); /* a setting of the handle: cannot fail */
    return r;
}

/** Calls of one statement in one message. The server only tells how many rows it found. */
static int together(struct sv_db *db, struct sv_call *const *calls, uint32_t count, struct ql_err *err)
{
    struct sv_stmt *s = calls[0]->s;
    struct bulk *b = NULL;
    uint64_t changes = 0;
    int r = my_prepare(db, s, err);

    if (r == QL_OK)
        r = my_exec(db, "SAVEPOINT ql", err);
    if (r != QL_OK)
        return r;
    b = bulk_new(s->param_count, count);
    if (!b)
        return sv_nomem(db->host, err);
    for (uint32_t i = 0; i < count; i++)
        fill(b, s, i, calls[i]->params);
    bind_all(b, s);
    r = send(db, s, b, count, &changes, err);
    free(b);
    if (r < 0)
        return r;
    if (changes == count) {
        for (uint32_t i = 0; i < count; i++)
            calls[i]->result = QL_OK;
        return QL_OK;
    }
    /* Some were refused: which, is seen one by one. */
    r = my_exec(db, "ROLLBACK TO SAVEPOINT ql", err);
    return r < 0 ? r : one_by_one(db, calls, count, err);
}

/** Bytes of a message. */
static uint64_t size_of(const struct sv_call *c)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < c->s->param_count; i++)
        bytes += c->params[i].len + 16;
    return bytes;
}

int sv_drv_many(struct sv_db *db, struct sv_call *calls, uint32_t count, struct ql_err *err)
{
    const struct my *my = db->conn;
    struct sv_call **group = calloc(count ? count : 1, sizeof(*group));
    bool *done = calloc(count ? count : 1, sizeof *done);
    int r = group && done ? QL_OK : sv_nomem(db->host, err);

    for (uint32_t i = 0; r == QL_OK && i < count; i++) {
        uint64_t bytes = 0;
        uint32_t n = 0;

        for (uint32_t k = i; k < count && !done[i]; k++)
            if (!done[k] && calls[k].s == calls[i].s &&
                (!n || !my->most_bytes || bytes + size_of(&calls[k]) < my->most_bytes / 2)) {
                bytes += size_of(&calls[k]);
                group[n++] = &calls[k];
                done[k] = k != i;
            }
        if (n)
            r = n > 1 && my->is_mariadb ? together(db, group, n, err) : one_by_one(db, group, n, err);
        done[i] = true;
    }
    free(group);
    free(done);
    return r;
}
