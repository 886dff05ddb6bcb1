/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <sqlite3.h>

#include "registrations.h"

#define STR(s) ((char *)(uintptr_t)(s))

static struct ql_registration sample(const char *id, bool active)
{
    static uint8_t bytes[] = {0, 58, 1, 0xff};

    return (struct ql_registration){
        .agent_id = STR(id),
        .active = active,
        .ek_tpm = bytes,
        .ek_tpm_len = 4,
        .aik_tpm = bytes,
        .aik_tpm_len = 3,
        .ekcert = bytes,
        .ekcert_len = 2,
        .mtls_cert = STR("disabled"),
        .ip = STR("127.0.0.1"),
        .port = 9002,
        .regcount = 1,
        .key = active ? NULL : STR("challenge"),
        .created_ns = 1000,
    };
}

static int do_put(struct ql_txn *t, void *arg, struct ql_err *err)
{
    return ql_registrations_put(t, arg, err);
}

struct get {
    const char *id;
    bool active;
    struct ql_registration row;
};

static int do_get(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct get *g = arg;

    return ql_registrations_get(t, g->id, g->active, &g->row, err);
}

static int do_delete(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct get *g = arg;

    return ql_registrations_delete(t, g->id, g->active, err);
}

struct expiry {
    int64_t before_ns;
    uint64_t keep, dropped;
};

static int do_expire(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct expiry *e = arg;

    return ql_registrations_expire(t, e->before_ns, e->keep, &e->dropped, err);
}

struct seen {
    char text[400];
    size_t skipped;
};

static int see(void *arg, struct ql_registration *r)
{
    struct seen *s = arg;
    size_t len = strlen(s->text);

    (void)snprintf(s->text + len, sizeof s->text - len, "%s%s ", r->agent_id, r->active ? "+" : "-");
    return 0;
}

static int do_each(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct seen *s = arg;

    s->text[0] = 0;
    return ql_registrations_each(t, see, s, &s->skipped, err);
}

static void active_and_pending_stand_side_by_side(void **state)
{
    struct ql_registration active = sample("x", true), pending = sample("x", false);
    struct get g = {.id = "x", .active = true};
    struct seen s = {0};

    pending.ip = STR("127.0.0.2");
    fixture_run(*state, do_put, &active, QL_OK);
    fixture_run(*state, do_put, &pending, QL_OK);
    fixture_run(*state, do_get, &g, QL_OK);
    assert_true(g.row.active);
    assert_string_equal(g.row.ip, "127.0.0.1");
    assert_int_equal(g.row.ek_tpm_len, 4);
    assert_memory_equal(g.row.ek_tpm, active.ek_tpm, 4);
    assert_null(g.row.iak_tpm);
    assert_null(g.row.key);
    assert_int_equal(g.row.port, 9002);
    ql_registration_done(&g.row);
    g.active = false;
    fixture_run(*state, do_get, &g, QL_OK);
    assert_string_equal(g.row.ip, "127.0.0.2");
    assert_string_equal(g.row.key, "challenge");
    ql_registration_done(&g.row);
    fixture_run(*state, do_delete, &g, QL_OK);
    fixture_run(*state, do_delete, &g, QL_ENOTFOUND);
    fixture_run(*state, do_get, &g, QL_ENOTFOUND);
    fixture_run(*state, do_each, &s, QL_OK);
    assert_string_equal(s.text, "x+ ");
}

static void a_later_registration_replaces_the_pending_one(void **state)
{
    struct ql_registration r = sample("x", false);
    struct get g = {.id = "x"};

    fixture_run(*state, do_put, &r, QL_OK);
    r.regcount = 2;
    r.ekcert = NULL;
    r.port = 0;
    fixture_run(*state, do_put, &r, QL_OK);
    fixture_run(*state, do_get, &g, QL_OK);
    assert_int_equal(g.row.regcount, 2);
    assert_null(g.row.ekcert);
    assert_int_equal(g.row.ekcert_len, 0);
    assert_int_equal(g.row.port, 0);
    ql_registration_done(&g.row);
}

static void only_pending_rows_expire_the_oldest_first(void **state)
{
    struct expiry e = {.before_ns = 5, .keep = 100};
    struct fixture *f = *state;
    struct seen s = {0};

    for (int i = 0; i < 10; i++) {
        char id[8];
        struct ql_registration r;

        (void)snprintf(id, sizeof id, "a%d", i);
        r = sample(id, i == 3);
        r.created_ns = 10 - i; /* a9 is the oldest, of time 1 */
        fixture_run(f, do_put, &r, QL_OK);
    }
    fixture_run(f, do_expire, &e, QL_OK);
    assert_int_equal(e.dropped, 4);
    fixture_run(f, do_each, &s, QL_OK);
    assert_string_equal(s.text, "a0- a1- a2- a3+ a4- a5- ");
    e = (struct expiry){.before_ns = 0, .keep = 2};
    fixture_run(f, do_expire, &e, QL_OK);
    assert_int_equal(e.dropped, 3);
    fixture_run(f, do_each, &s, QL_OK);
    assert_string_equal(s.text, "a0- a1- a3+ ");
    e = (struct expiry){.before_ns = INT64_MAX, .keep = 0};
    fixture_run(f, do_expire, &e, QL_OK);
    fixture_run(f, do_each, &s, QL_OK);
    assert_string_equal(s.text, "a3+ ");
}

static void rows_that_cannot_be_read_are_skipped_and_counted(void **state)
{
    struct ql_registration r = sample("a", true);
    struct fixture *f = *state;
    struct get g = {.id = "a", .active = true};
    struct ql_err err = QL_ERR_INIT;
    struct seen s = {0};
    sqlite3 *raw = NULL;

    fixture_run(f, do_put, &r, QL_OK);
    r = sample("b", true);
    fixture_run(f, do_put, &r, QL_OK);
    assert_int_equal(sqlite3_open(fixture_path(f, "reg_data.sqlite"), &raw), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(raw, "UPDATE registrations SET mtls_cert=CAST(x'c328' AS TEXT) WHERE agent_id='a'", NULL,
                     NULL, NULL),
        SQLITE_OK);
    (void)sqlite3_close(raw);
    fixture_run(f, do_each, &s, QL_OK);
    assert_int_equal(s.skipped, 1);
    assert_string_equal(s.text, "b+ ");
    assert_int_equal(ql_store_run(f->store, do_get, &g, &err), QL_EPARSE);
    assert_string_equal(err.text, "row a of registrations cannot be read: column mtls_cert");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open_registrar, fixture_teardown)
        TEST(active_and_pending_stand_side_by_side),
        TEST(a_later_registration_replaces_the_pending_one),
        TEST(only_pending_rows_expire_the_oldest_first),
        TEST(rows_that_cannot_be_read_are_skipped_and_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
