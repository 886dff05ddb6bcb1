/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <sqlite3.h>

#include "outbox.h"

#define STR(s) ((char *)(uintptr_t)(s))

static struct ql_outbox_row sample(const char *id)
{
    return (struct ql_outbox_row){
        .agent_id = STR(id),
        .event_id = STR("qoute_validation.quote_validation"),
        .severity = STR("emergency"),
        .agent_address = STR("127.0.0.1"),
        .metadata = STR("{}"),
        .message = STR("{\"type\": \"revocation\", \"agent_id\": \"x\"}"),
        .signature = STR(""),
        .created_ns = 1700000000000000001,
        .expires_ns = 1700003600000000001,
        .pending = STR("[\"agent\",\"webhook\"]"),
    };
}

static int do_insert(struct ql_txn *t, void *arg, struct ql_err *err)
{
    return ql_outbox_insert(t, arg, err);
}

static int do_update(struct ql_txn *t, void *arg, struct ql_err *err)
{
    return ql_outbox_update(t, arg, err);
}

static int do_delete(struct ql_txn *t, void *arg, struct ql_err *err)
{
    return ql_outbox_delete(t, *(int64_t *)arg, err);
}

struct seen {
    int64_t after;
    uint64_t limit;
    int count;
    struct ql_outbox_row rows[8];
};

static int see(void *arg, struct ql_outbox_row *row)
{
    struct seen *s = arg;

    s->rows[s->count++] = *row;
    *row = (struct ql_outbox_row){0}; /* the row's memory is ours now */
    return 0;
}

static int do_each(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct seen *s = arg;

    return ql_outbox_each(t, s->after, s->limit, see, s, err);
}

static void seen_done(struct seen *s)
{
    for (int i = 0; i < s->count; i++)
        ql_outbox_row_done(&s->rows[i]);
    s->count = 0;
}

static void events_are_numbered_and_come_in_order(void **state)
{
    struct seen s = {.limit = 2};
    struct fixture *f = *state;

    for (int i = 1; i <= 3; i++) {
        struct ql_outbox_row row = sample("x");

        fixture_run(f, do_insert, &row, QL_OK);
        assert_int_equal(row.seq, i);
    }
    fixture_run(f, do_each, &s, QL_OK);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.rows[0].seq, 1);
    assert_int_equal(s.rows[1].seq, 2);
    seen_done(&s);
    s.after = 2;
    fixture_run(f, do_each, &s, QL_OK);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.rows[0].seq, 3);
    seen_done(&s);
    s.after = INT64_MAX;
    fixture_run(f, do_each, &s, QL_OK);
    assert_int_equal(s.count, 0);
}

static void an_event_comes_back_as_it_was_written(void **state)
{
    struct ql_outbox_row row = sample("x");
    struct seen s = {0};
    struct fixture *f = *state;

    fixture_run(f, do_insert, &row, QL_OK);
    row.pending = STR("[\"agent\"]");
    row.attempts = 3;
    fixture_run(f, do_update, &row, QL_OK);
    fixture_run(f, do_each, &s, QL_OK);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.rows[0].agent_id, row.agent_id);
    assert_string_equal(s.rows[0].event_id, row.event_id);
    assert_string_equal(s.rows[0].severity, row.severity);
    assert_string_equal(s.rows[0].agent_address, row.agent_address);
    assert_string_equal(s.rows[0].metadata, row.metadata);
    assert_string_equal(s.rows[0].message, row.message);
    assert_string_equal(s.rows[0].signature, "");
    assert_int_equal(s.rows[0].created_ns, row.created_ns);
    assert_int_equal(s.rows[0].expires_ns, row.expires_ns);
    assert_string_equal(s.rows[0].pending, "[\"agent\"]");
    assert_int_equal(s.rows[0].attempts, 3);
    seen_done(&s);
}

static void a_number_is_never_given_twice(void **state)
{
    struct ql_outbox_row row = sample("x");
    struct fixture *f = *state;
    int64_t seq;

    fixture_run(f, do_insert, &row, QL_OK);
    seq = row.seq;
    fixture_run(f, do_delete, &seq, QL_OK);
    fixture_run(f, do_delete, &seq, QL_ENOTFOUND);
    fixture_run(f, do_update, &row, QL_ENOTFOUND);
    fixture_close(f);
    fixture_open(f, &ql_verifier_schema);
    fixture_run(f, do_insert, &row, QL_OK);
    assert_int_equal(row.seq, seq + 1);
}

static int fail_after_insert(struct ql_txn *t, void *arg, struct ql_err *err)
{
    int r = ql_outbox_insert(t, arg, err);

    return r < 0 ? r : ql_fail(err, QL_EIO, "and then something else failed");
}

static void an_event_of_a_transaction_that_fails_is_not_there(void **state)
{
    struct ql_outbox_row row = sample("x");
    struct seen s = {0};

    fixture_run(*state, fail_after_insert, &row, QL_EIO);
    fixture_run(*state, do_each, &s, QL_OK);
    assert_int_equal(s.count, 0);
    fixture_run(*state, do_insert, &row, QL_OK);
    assert_int_equal(row.seq, 1);
}

static void an_event_that_cannot_be_read_holds_up_none_behind_it(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    sqlite3 *raw = NULL;

    for (int i = 0; i < 3; i++) {
        struct ql_outbox_row row = sample("x");

        fixture_run(f, do_insert, &row, QL_OK);
    }
    assert_int_equal(sqlite3_open(fixture_path(f, "cv_data.sqlite"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "UPDATE outbox SET message=NULL WHERE seq=1", NULL, NULL, NULL),
                     SQLITE_OK);
    (void)sqlite3_close(raw);
    fixture_run(f, do_each, &s, QL_OK);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.rows[0].seq, 2);
    seen_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open_verifier, fixture_teardown)
        TEST(events_are_numbered_and_come_in_order),
        TEST(an_event_comes_back_as_it_was_written),
        TEST(a_number_is_never_given_twice),
        TEST(an_event_of_a_transaction_that_fails_is_not_there),
        TEST(an_event_that_cannot_be_read_holds_up_none_behind_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
