/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <pthread.h>
#include <semaphore.h>
#include <sqlite3.h>

static const struct ql_column columns[] = {
    {"id", QL_COL_INT, 1}, {"text", QL_COL_TEXT, 1}, {"data", QL_COL_BYTES, 1}};
static const struct ql_table notes = {
    .size = sizeof notes, .name = "notes", .columns = columns, .column_count = 3, .key_count = 1, .since = 1};
static const struct ql_table *const tables[] = {&notes};
static const struct ql_schema schema = {.size = sizeof schema,
                                        .name = "notes",
                                        .version = 1,
                                        .oldest_reader = 1,
                                        .tables = tables,
                                        .table_count = 1,
                                        .may_migrate = 1};

static int setup(void **state)
{
    (void)fixture_setup(state);
    fixture_open(*state, &schema);
    return 0;
}

static int insert(struct ql_txn *t, int64_t id, struct ql_err *err)
{
    struct ql_value row[] = {ql_int(id), ql_text("note"), ql_null()};

    return ql_txn_put(t, &notes, QL_PUT_INSERT, row, 0, NULL, 0, err);
}

/** What a submitted transaction does and what became of it. */
struct job {
    struct fixture *f;
    int64_t id;
    int fail_with; /* after the insert */
    int runs;
    int result, order;
    pthread_t thread;
    char text[sizeof((struct ql_err *)0)->text];
    bool seen; /* the row is in the file when the callback runs */
    int *next;
};

static int job_run(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct job *j = arg;
    int r;

    j->runs++;
    r = insert(t, j->id, err);
    if (r < 0)
        return r;
    return j->fail_with ? ql_fail(err, j->fail_with, "job %d is told to fail", (int)j->id) : QL_OK;
}

static sqlite3 *raw_open(const struct fixture *f)
{
    sqlite3 *raw = NULL;

    assert_int_equal(sqlite3_open(fixture_path(f, "notes.sqlite"), &raw), SQLITE_OK);
    return raw;
}

static int64_t raw_number(sqlite3 *raw, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int64_t n = -1;

    assert_int_equal(sqlite3_prepare_v2(raw, sql, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        n = sqlite3_column_int64(stmt, 0);
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    return n;
}

static void job_done(int result, const struct ql_err *err, void *arg)
{
    struct job *j = arg;
    char sql[80];
    sqlite3 *raw = raw_open(j->f);

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM notes WHERE id=%d", (int)j->id);
    j->seen = raw_number(raw, sql) == 1;
    (void)sqlite3_close(raw);
    (void)snprintf(j->text, sizeof j->text, "%s", err->text);
    j->result = result;
    j->order = (*j->next)++;
    j->thread = pthread_self();
}

static void submit_jobs(struct fixture *f, struct job *jobs, int count, int *next)
{
    struct ql_err err = QL_ERR_INIT;

    for (int i = 0; i < count; i++) {
        jobs[i].f = f;
        jobs[i].id = i + 1;
        jobs[i].next = next;
        assert_int_equal(ql_store_submit(f->store, job_run, job_done, &jobs[i], &err), QL_OK);
    }
}

static sem_t gate, entered;

/** Hold the store thread until the gate opens. */
static int wait_at_gate(struct ql_txn *t, void *arg, struct ql_err *err)
{
    (void)t, (void)arg, (void)err;
    (void)sem_post(&entered);
    while (sem_wait(&gate) < 0)
        ;
    return 0;
}

static void callbacks_come_on_the_loop_thread_in_order_and_after_the_commit(void **state)
{
    struct fixture *f = *state;
    struct job jobs[100] = {0};
    int next = 0;

    submit_jobs(f, jobs, 100, &next);
    fixture_until(f, next == 100);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(jobs[i].result, QL_OK);
        assert_int_equal(jobs[i].order, i);
        assert_true(jobs[i].seen);
        assert_true(pthread_equal(jobs[i].thread, pthread_self()));
    }
    assert_int_equal(ql_store_pending(f->store), 0);
}

static void queued_transactions_share_a_commit_and_one_that_fails_harms_no_other(void **state)
{
    struct fixture *f = *state;
    struct job jobs[20] = {0};
    struct ql_err err = QL_ERR_INIT;
    int next = 0;

    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(sem_init(&entered, 0, 0), 0);
    assert_int_equal(ql_store_submit(f->store, wait_at_gate, NULL, NULL, &err), QL_OK);
    assert_int_equal(sem_wait(&entered), 0);
    jobs[7].fail_with = QL_ERANGE;
    submit_jobs(f, jobs, 20, &next); /* all wait now: one group */
    assert_int_equal(sem_post(&gate), 0);
    fixture_until(f, next == 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(jobs[i].order, i);
        assert_int_equal(jobs[i].result, i == 7 ? QL_ERANGE : QL_OK);
        assert_int_equal(jobs[i].seen, i != 7);
    }
    assert_string_equal(jobs[7].text, "job 8 is told to fail");
    /* Run in the group that failed, and again alone. */
    assert_int_equal(jobs[0].runs, 2);
    assert_int_equal(jobs[7].runs, 2);
    assert_int_equal(jobs[19].runs, 1);
    (void)sem_destroy(&gate);
    (void)sem_destroy(&entered);
}

static void what_another_process_holds_is_tried_again_until_it_is_free(void **state)
{
    struct fixture *f = *state;
    sqlite3 *raw = raw_open(f);
    struct job job = {0};
    int next = 0;

    assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    submit_jobs(f, &job, 1, &next);
    for (int i = 0; i < 100; i++) {
        struct timeval tv = {.tv_usec = 2000};

        (void)event_base_loopexit(f->base, &tv);
        (void)event_base_loop(f->base, EVLOOP_ONCE);
    }
    assert_int_equal(next, 0);
    assert_int_equal(ql_store_pending(f->store), 1);
    assert_int_equal(sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    fixture_until(f, next == 1);
    assert_int_equal(job.result, QL_OK);
    assert_true(job.seen);
    (void)sqlite3_close(raw);
}

static void a_store_that_stays_away_fails_what_is_queued_when_it_is_closed(void **state)
{
    struct fixture *f = *state;
    sqlite3 *raw = raw_open(f);
    struct job job = {0};
    int64_t began = ql_mono_ns();
    int next = 0;

    assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    submit_jobs(f, &job, 1, &next);
    fixture_close(f);
    assert_true(ql_mono_ns() - began < (QL_STORE_CLOSE_MS + 3000) * QL_NS_PER_MS);
    assert_int_equal(next, 1);
    assert_int_equal(job.result, QL_EAGAIN);
    assert_non_null(strstr(job.text, "notes.sqlite is held by another process"));
    (void)sqlite3_close(raw);
}

static void closing_finishes_what_is_queued(void **state)
{
    struct fixture *f = *state;
    struct job jobs[50] = {0};
    int next = 0;

    submit_jobs(f, jobs, 50, &next);
    fixture_close(f);
    assert_int_equal(next, 50);
    for (int i = 0; i < 50; i++)
        assert_int_equal(jobs[i].result, QL_OK);
}

static int nothing(struct ql_txn *t, void *arg, struct ql_err *err)
{
    (void)t, (void)arg, (void)err;
    return QL_OK;
}

static void a_full_queue_refuses_and_names_its_limit(void **state)
{
    struct fixture *f = *state;
    struct ql_err err = QL_ERR_INIT;
    int r = QL_OK, count = 0;

    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(sem_init(&entered, 0, 0), 0);
    while (count <= QL_STORE_QUEUE_MAX && r == QL_OK) {
        r = ql_store_submit(f->store, count ? nothing : wait_at_gate, NULL, NULL, &err);
        count += r == QL_OK;
    }
    assert_int_equal(r, QL_EFULL);
    assert_int_equal(count, QL_STORE_QUEUE_MAX);
    assert_string_equal(err.text, "65536 transactions wait for the store already");
    assert_int_equal(sem_post(&gate), 0);
    fixture_until(f, ql_store_pending(f->store) == 0);
    assert_int_equal(ql_store_submit(f->store, nothing, NULL, NULL, &err), QL_OK);
    (void)sem_destroy(&gate);
    (void)sem_destroy(&entered);
}

static int overlook(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct ql_value bad[] = {ql_int(2), {.type = QL_COL_TEXT, .data = "\xff", .len = 1}, ql_null()};
    int r;

    (void)arg;
    r = insert(t, 1, err);
    if (r < 0)
        return r;
    (void)ql_txn_put(t, &notes, QL_PUT_INSERT, bad, 0, NULL, 0, NULL);
    return QL_OK;
}

static int count_row(void *arg, const struct ql_value *row, uint32_t column_count)
{
    int *count = arg;

    (void)row, (void)column_count;
    (*count)++;
    return 0;
}

static int count_all(struct ql_txn *t, void *arg, struct ql_err *err)
{
    *(int *)arg = 0;
    return ql_txn_scan(t, &notes, NULL, NULL, 0, 0, count_row, arg, err);
}

static void a_failed_write_that_is_overlooked_undoes_the_transaction(void **state)
{
    struct fixture *f = *state;
    struct ql_err err = QL_ERR_INIT;
    int count = -1;

    assert_int_equal(ql_store_run(f->store, overlook, NULL, &err), QL_ERANGE);
    assert_string_equal(err.text, "text for notes.text is not UTF-8 or has a NUL");
    fixture_run(f, count_all, &count, QL_OK);
    assert_int_equal(count, 0);
}

static int insert_twice(struct ql_txn *t, void *arg, struct ql_err *err)
{
    int r;

    (void)arg;
    r = insert(t, 1, err);
    if (r < 0)
        return r;
    r = insert(t, 1, err);
    return r == QL_ECONFLICT ? QL_OK : r;
}

static void a_conflict_is_an_answer_and_may_be_passed_over(void **state)
{
    struct fixture *f = *state;
    int count = -1;

    fixture_run(f, insert_twice, NULL, QL_OK);
    fixture_run(f, count_all, &count, QL_OK);
    assert_int_equal(count, 1);
}

struct nest {
    struct ql_txn *t;
    int count;
    int write_result;
    char text[sizeof((struct ql_err *)0)->text];
};

static int read_and_write_inside(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct nest *n = arg;
    struct ql_err err = QL_ERR_INIT;
    int inner = 0;

    (void)column_count;
    assert_int_equal(ql_txn_scan(n->t, &notes, NULL, NULL, 0, 0, count_row, &inner, &err), QL_OK);
    assert_int_equal(inner, 3);
    assert_int_equal(ql_txn_get(n->t, &notes, row, count_row, &inner, &err), QL_OK);
    n->write_result = insert(n->t, 100, &err);
    (void)snprintf(n->text, sizeof n->text, "%s", err.text);
    n->count++;
    return 0;
}

static int nest_run(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct nest *n = arg;

    n->t = t;
    for (int i = 1; i <= 3; i++) {
        int r = insert(t, i, err);

        if (r < 0)
            return r;
    }
    return ql_txn_scan(t, &notes, NULL, NULL, 0, 0, read_and_write_inside, n, err);
}

static void a_row_callback_may_read_but_not_write(void **state)
{
    struct nest n = {0};

    fixture_run(*state, nest_run, &n, QL_EINTERNAL);
    assert_int_equal(n.count, 3);
    assert_int_equal(n.write_result, QL_EINTERNAL);
    assert_string_equal(n.text, "write to notes while its transaction is reading rows");
}

static int insert_large(struct ql_txn *t, void *arg, struct ql_err *err)
{
    static uint8_t data[4096];

    (void)arg;
    for (int i = 0; i < 3000; i++) {
        struct ql_value row[] = {ql_int(i), ql_text("large"), ql_bytes(data, sizeof data)};
        int r = ql_txn_put(t, &notes, QL_PUT_INSERT, row, 0, NULL, 0, err);

        if (r < 0)
            return r;
    }
    return QL_OK;
}

static void damage_that_shows_later_stops_all_writing(void **state)
{
    struct fixture *f = *state;
    struct ql_err err = QL_ERR_INIT;
    uint8_t garbage[65536];
    int count = 0;
    FILE *file;

    fixture_run(f, insert_large, NULL, QL_OK);
    fixture_close(f);
    fixture_open(f, &schema);
    memset(garbage, 0xa5, sizeof garbage);
    file = fopen(fixture_path(f, "notes.sqlite"), "r+b");
    assert_non_null(file);
    for (int i = 0; i < 100; i++)
        if (i) {
            assert_int_equal(fseek(file, i * (long)sizeof garbage, SEEK_SET), 0);
            assert_int_equal(fwrite(garbage, sizeof garbage, 1, file), 1);
        }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(ql_store_run(f->store, count_all, &count, &err), QL_ECORRUPT);
    assert_non_null(strstr(err.text, "notes.sqlite is damaged"));
    assert_non_null(strstr(err.text, "left as it is"));
    assert_int_equal(ql_store_run(f->store, nothing, NULL, &err), QL_ECORRUPT);
}

static void a_password_in_the_url_is_in_no_error(void **state)
{
    struct fixture *f = *state;
    struct ql_err err;

    fixture_close(f);
    assert_int_equal(fixture_try(f, "postgresql://user:geheim@host/db", &schema, &err), QL_ERANGE);
    assert_null(strstr(err.text, "geheim"));
    assert_non_null(strstr(err.text, "postgresql://user:***@host/db"));
}

static void the_backend_is_named_by_the_first_word_of_the_url(void **state)
{
    static const struct {
        const char *url, *name;
    } good[] = {
        {"sqlite", "sqlite"},
        {"sqlite:///x.sqlite", "sqlite"},
        {"postgresql://u:p@h/db", "postgresql"},
        {"mysql+pymysql://u:p@h/db", "mysql"},
        {"postgresql+psycopg2://u:p@h/db", "postgresql"},
        {"postgres://u:p@h/db", "postgresql"},
        {"mariadb+pymysql://u:p@h/db", "mysql"},
    };
    static const char *const bad[] = {
        "", "://x", "SQLITE", "a b://", "../x", "/abs", "abcdefghijklmnopqrstuvwxyzabcdefghij"};
    struct ql_err err = QL_ERR_INIT;
    char name[32] = "untouched";

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ql_store_backend_name(bad[i], name, &err), QL_ERANGE);
        assert_string_equal(name, "untouched");
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(ql_store_backend_name(good[i].url, name, &err), QL_OK);
        assert_string_equal(name, good[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
        TEST(callbacks_come_on_the_loop_thread_in_order_and_after_the_commit),
        TEST(queued_transactions_share_a_commit_and_one_that_fails_harms_no_other),
        TEST(what_another_process_holds_is_tried_again_until_it_is_free),
        TEST(a_store_that_stays_away_fails_what_is_queued_when_it_is_closed),
        TEST(closing_finishes_what_is_queued),
        TEST(a_full_queue_refuses_and_names_its_limit),
        TEST(a_failed_write_that_is_overlooked_undoes_the_transaction),
        TEST(a_conflict_is_an_answer_and_may_be_passed_over),
        TEST(a_row_callback_may_read_but_not_write),
        TEST(damage_that_shows_later_stops_all_writing),
        TEST(a_password_in_the_url_is_in_no_error),
        TEST(the_backend_is_named_by_the_first_word_of_the_url),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
