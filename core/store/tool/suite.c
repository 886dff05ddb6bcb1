/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"
#include "store.h"
#include "suite.h"

static const struct ql_column things_columns[] = {
    {"id", QL_COL_INT, 1},    {"text", QL_COL_TEXT, 1},  {"data", QL_COL_BYTES, 1},
    {"json", QL_COL_JSON, 1}, {"number", QL_COL_INT, 1}, {"unique_text", QL_COL_TEXT, 1},
    {"more", QL_COL_TEXT, 2},
};
static const struct ql_index things_indexes[] = {
    {.name = "by_text", .columns = (const char *const[]){"text", NULL}},
    {.name = "by_number_text", .columns = (const char *const[]){"number", "text", NULL}},
    {.name = "one_unique", .columns = (const char *const[]){"unique_text", NULL}, .unique = 1},
};
const struct ql_table suite_things = {.size = sizeof(struct ql_table),
                                      .name = "things",
                                      .columns = things_columns,
                                      .column_count = MORE,
                                      .key_count = 1,
                                      .indexes = things_indexes,
                                      .index_count = QL_ARRAY_LEN(things_indexes),
                                      .since = 1};
const struct ql_table suite_things_more = {.size = sizeof(struct ql_table),
                                           .name = "things",
                                           .columns = things_columns,
                                           .column_count = MORE + 1,
                                           .key_count = 1,
                                           .indexes = things_indexes,
                                           .index_count = QL_ARRAY_LEN(things_indexes),
                                           .since = 1};

static const struct ql_column jobs_columns[] = {
    {"job_group", QL_COL_TEXT, 1},  {"job_id", QL_COL_INT, 1},   {"lease_owner", QL_COL_TEXT, 1},
    {"lease_until", QL_COL_INT, 1}, {"claim_no", QL_COL_INT, 1},
};
const struct ql_table suite_jobs = {.size = sizeof(struct ql_table),
                                    .name = "jobs",
                                    .columns = jobs_columns,
                                    .column_count = QL_ARRAY_LEN(jobs_columns),
                                    .key_count = 2,
                                    .since = 1,
                                    .lease = 1};

static const struct ql_column late_columns[] = {{"name", QL_COL_TEXT, 2}, {"value", QL_COL_INT, 2}};
const struct ql_table suite_late = {.size = sizeof(struct ql_table),
                                    .name = "late",
                                    .columns = late_columns,
                                    .column_count = QL_ARRAY_LEN(late_columns),
                                    .key_count = 1,
                                    .since = 2};

static const struct ql_table *const first_tables[] = {&suite_things, &suite_jobs};
static const struct ql_table *const second_tables[] = {&suite_things_more, &suite_jobs, &suite_late};

#define SCHEMA(label, v, oldest, list, migrate)                                                              \
    {                                                                                                        \
        .size = sizeof(struct ql_schema), .name = label, .version = v, .oldest_reader = oldest,              \
        .tables = list, .table_count = QL_ARRAY_LEN(list), .may_migrate = migrate                            \
    }

const struct ql_schema suite_first = SCHEMA("conformance", 1, 1, first_tables, 1);
const struct ql_schema suite_second = SCHEMA("conformance", 2, 1, second_tables, 1);
const struct ql_schema suite_second_by_hand = SCHEMA("conformance", 2, 1, second_tables, 0);
const struct ql_schema suite_third = SCHEMA("conformance", 3, 2, second_tables, 1);
const struct ql_schema suite_foreign = SCHEMA("stranger", 1, 1, first_tables, 1);

bool suite_fail(struct suite *s, const char *file, int line, const char *what)
{
    const char *base = strrchr(file, '/');

    (void)snprintf(s->why, sizeof s->why, "%s:%d: %s: last said: %.200s", base ? base + 1 : file, line, what,
                   s->err.text);
    return false;
}

bool suite_fail_code(struct suite *s, const char *file, int line, const char *what, int got, int want)
{
    const char *base = strrchr(file, '/');

    (void)snprintf(s->why, sizeof s->why, "%s:%d: %.200s: got %s (%.200s), wanted %s", base ? base + 1 : file,
                   line, what, got ? ql_err_name(got) : "OK", s->err.text, want ? ql_err_name(want) : "OK");
    return false;
}

static struct ql_err *fresh(struct suite *s)
{
    s->err = (struct ql_err)QL_ERR_INIT;
    return &s->err;
}

void suite_close(struct suite *s)
{
    if (s->db)
        s->backend->close(s->plugin, s->db);
    s->db = NULL;
}

/** Whether a call that was answered with QL_EAGAIN is to be made again, as a daemon does: for half a minute. */
static bool is_worth_another(int r, int64_t since_ns)
{
    const struct timespec pause = {.tv_nsec = 2000000};

    if (r != QL_EAGAIN || ql_mono_ns() - since_ns >= 30 * QL_NS_PER_S)
        return false;
    (void)nanosleep(&pause, NULL); /* a shorter sleep is as good */
    return true;
}

static int open_once(struct suite *s, const struct ql_schema *schema)
{
    int r;

    suite_close(s);
    r = s->backend->open(s->plugin, s->url, s->state_dir, &s->db, fresh(s));
    if (r < 0)
        return r;
    r = s->backend->tables(s->plugin, s->db, schema, fresh(s));
    if (r < 0)
        suite_close(s);
    return r;
}

int suite_open(struct suite *s, const struct ql_schema *schema)
{
    int64_t since_ns = ql_mono_ns();
    int r;

    do
        r = open_once(s, schema);
    while (is_worth_another(r, since_ns));
    return r;
}

int do_begin(struct suite *s)
{
    int64_t since_ns = ql_mono_ns();
    int r;

    do
        r = s->backend->begin(s->plugin, s->db, fresh(s));
    while (is_worth_another(r, since_ns));
    return r;
}

int do_commit(struct suite *s)
{
    return s->backend->commit(s->plugin, s->db, fresh(s));
}

void do_rollback(struct suite *s)
{
    s->backend->rollback(s->plugin, s->db);
}

int do_get(struct suite *s, const struct ql_table *t, const struct ql_value *key, ql_row_fn fn, void *arg)
{
    return s->backend->get(s->plugin, s->db, t, key, fn, arg, fresh(s));
}

int do_put(struct suite *s, const struct ql_table *t, uint32_t mode, const struct ql_value *row,
           uint64_t mask, const struct ql_cond *only_if, uint32_t cond_count)
{
    return s->backend->put(s->plugin, s->db, t, mode, row, mask, only_if, cond_count, fresh(s));
}

int do_del(struct suite *s, const struct ql_table *t, const struct ql_value *key,
           const struct ql_cond *only_if, uint32_t cond_count)
{
    return s->backend->del(s->plugin, s->db, t, key, only_if, cond_count, fresh(s));
}

int do_scan(struct suite *s, const struct ql_table *t, const char *index, const struct ql_value *from,
            uint32_t from_count, uint64_t limit, ql_row_fn fn, void *arg)
{
    return s->backend->scan(s->plugin, s->db, t, index, from, from_count, limit, fn, arg, fresh(s));
}

int count_row(void *arg, const struct ql_value *row, uint32_t column_count)
{
    int *count = arg;

    (void)row, (void)column_count;
    (*count)++;
    return 0;
}

int count_rows(struct suite *s, const struct ql_table *t)
{
    int count = 0, r = do_scan(s, t, NULL, NULL, 0, 0, count_row, &count);

    return r < 0 ? r : count;
}

/** Keys of at most 64 rows. */
struct keys {
    struct ql_value key[64][2];
    char text[64][64];
    int count;
};

static int collect(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct keys *k = arg;

    for (uint32_t i = 0; i < 2 && i < column_count; i++) {
        k->key[k->count][i] = row[i];
        if (row[i].type == QL_COL_TEXT && row[i].len < sizeof k->text[0]) {
            memcpy(k->text[k->count], row[i].data, row[i].len + 1);
            k->key[k->count][i].data = k->text[k->count];
        }
    }
    k->count++;
    return 0;
}

int suite_clear(struct suite *s, const struct ql_table *table)
{
    struct keys k;
    int r;

    r = do_begin(s);
    do {
        k.count = 0;
        if (r == QL_OK)
            r = do_scan(s, table, NULL, NULL, 0, 64, collect, &k);
        for (int i = 0; r == QL_OK && i < k.count; i++)
            r = do_del(s, table, k.key[i], NULL, 0);
    } while (r == QL_OK && k.count);
    if (r == QL_OK)
        return do_commit(s);
    do_rollback(s);
    return r;
}

void thing(struct ql_value *row, int64_t id, const char *text)
{
    for (int i = 0; i < MORE; i++)
        row[i] = ql_null();
    row[ID] = ql_int(id);
    row[TEXT] = ql_text(text);
}

int read_brief(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct brief *b = arg;

    b->count++;
    b->id = row[ID].i;
    b->has_number = row[NUMBER].type == QL_COL_INT;
    b->number = row[NUMBER].i;
    (void)snprintf(b->text, sizeof b->text, "%s",
                   row[TEXT].type == QL_COL_NULL ? "null" : (const char *)row[TEXT].data);
    b->more[0] = 0;
    if (column_count > MORE)
        (void)snprintf(b->more, sizeof b->more, "%s",
                       row[MORE].type == QL_COL_NULL ? "null" : (const char *)row[MORE].data);
    return 0;
}

int suite_fork(struct suite *s, const struct ql_schema *schema, int (*child)(struct suite *s, int out, int n),
               int n, int *ret_fd)
{
    int fds[2], r;
    pid_t pid;

    suite_close(s); /* a connection must not be in two processes */
    if (pipe(fds) < 0)
        return -1;
    (void)fflush(stdout);
    pid = fork();
    if (pid) {
        (void)close(fds[1]);
        *ret_fd = fds[0];
        return (int)pid;
    }
    (void)close(fds[0]);
    r = suite_open(s, schema);
    r = r < 0 ? 2 : child(s, fds[1], n);
    suite_close(s);
    _exit(r);
}

/** @return false where the tests cannot go on. */
static bool run_tests(struct suite *s, const struct suite_test *tests, int *number, int *failed)
{
    for (; tests->name; tests++) {
        bool ok;

        s->why[0] = 0;
        (void)fresh(s);
        ok = tests->run(s);
        (void)printf("%sok %d - %s\n", ok ? "" : "not ", ++*number, tests->name);
        if (!ok)
            (void)printf("# %s\n", s->why);
        (void)fflush(stdout);
        *failed += !ok;
        if (!ok && s->db)
            do_rollback(s);
        if (!s->db && suite_open(s, &suite_first) < 0) {
            (void)printf("Bail out! the database cannot be opened again: %s\n", s->err.text);
            return false;
        }
    }
    return true;
}

int suite_run(struct suite *s)
{
    static const struct suite_test *const all[] = {row_tests, scan_tests, transaction_tests, lease_tests,
                                                   schema_tests};
    int number = 0, failed = 0, count = 0;

    for (size_t i = 0; i < QL_ARRAY_LEN(all); i++)
        for (const struct suite_test *t = all[i]; t->name; t++)
            count++;
    (void)printf("TAP version 13\n1..%d\n", count);
    if (suite_open(s, &suite_first) < 0) {
        (void)printf("Bail out! the database cannot be opened: %s\n", s->err.text);
        return 1;
    }
    if (count_rows(s, &suite_things) || count_rows(s, &suite_jobs)) {
        (void)printf("Bail out! the database is not empty\n");
        return 1;
    }
    for (size_t i = 0; i < QL_ARRAY_LEN(all); i++)
        if (!run_tests(s, all[i], &number, &failed))
            return failed + 1;
    suite_close(s);
    return failed;
}
