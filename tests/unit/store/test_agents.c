/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <sqlite3.h>

#include "agents.h"
#include "changes.h"

#define ID "d432fbb3-d2f1-4a97-9ef7-75bd81c00000"

/** A row with a value of its own in every member; strings are borrowed. */
static struct ql_agent_row sample(const char *id)
{
    static uint8_t bytes[] = {0, 1, 2, 0xff};
    struct ql_agent_row row = {0};

#define TEXT(member) row.member = (char *)(uintptr_t) #member
    row.agent_id = (char *)(uintptr_t)id;
    row.generation = 7;
    row.v = bytes;
    row.v_len = 4;
    TEXT(ip);
    row.port = 9002;
    row.operational_state = 3;
    TEXT(public_key), TEXT(tpm_policy), TEXT(meta_data);
    row.mask = 0x408000;
    TEXT(needs), TEXT(policies);
    row.revocation_key = bytes;
    row.revocation_key_len = 3;
    TEXT(accept_hash), TEXT(accept_enc), TEXT(accept_sign), TEXT(hash_alg), TEXT(enc_alg);
    row.sign_alg = (char *)(uintptr_t) "";
    TEXT(ima_sign_verification_keys), TEXT(runtime_policy_name), TEXT(mb_policy_name), TEXT(verifier_id);
    TEXT(verifier_ip);
    row.verifier_port = 8881;
    row.severity_level = -1;
    TEXT(last_event_id), TEXT(last_event_context), TEXT(supported_version);
    row.ak_tpm = bytes;
    row.ak_tpm_len = 0;
    TEXT(mtls_cert);
    row.attestation_count = 11;
    row.last_received_quote = 1700000000;
    row.last_successful_attestation = 1700000001;
    TEXT(clock);
    row.state = bytes;
    row.state_len = 2;
    row.state_number = 5;
    TEXT(options);
#undef TEXT
    return row;
}

static void same_text(const char *a, const char *b)
{
    if (!a || !b)
        assert_ptr_equal(a, b);
    else
        assert_string_equal(a, b);
}

static void same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    assert_int_equal(!a, !b);
    assert_int_equal(a_len, b_len);
    if (a)
        assert_memory_equal(a, b, a_len);
}

static void same(const struct ql_agent_row *a, const struct ql_agent_row *b)
{
#define TEXT(member)  same_text(a->member, b->member)
#define INT(member)   assert_int_equal(a->member, b->member)
#define BYTES(member) same_bytes(a->member, a->member##_len, b->member, b->member##_len)
    TEXT(agent_id), INT(generation), BYTES(v), TEXT(ip), INT(port), INT(operational_state), TEXT(public_key);
    TEXT(tpm_policy), TEXT(meta_data), INT(mask), TEXT(needs), TEXT(policies), BYTES(revocation_key);
    TEXT(accept_hash), TEXT(accept_enc), TEXT(accept_sign), TEXT(hash_alg), TEXT(enc_alg), TEXT(sign_alg);
    TEXT(ima_sign_verification_keys), TEXT(runtime_policy_name), TEXT(mb_policy_name), TEXT(verifier_id);
    TEXT(verifier_ip), INT(verifier_port), INT(severity_level), TEXT(last_event_id), TEXT(last_event_context);
    TEXT(supported_version), BYTES(ak_tpm), TEXT(mtls_cert), INT(attestation_count), INT(last_received_quote);
    INT(last_successful_attestation), TEXT(clock), BYTES(state), INT(state_number), TEXT(options);
#undef TEXT
#undef INT
#undef BYTES
}

static int do_insert(struct ql_txn *t, void *arg, struct ql_err *err)
{
    return ql_agents_insert(t, arg, err);
}

struct get {
    const char *id;
    struct ql_agent_row row;
};

static int do_get(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct get *g = arg;

    return ql_agents_get(t, g->id, &g->row, err);
}

static int do_delete(struct ql_txn *t, void *arg, struct ql_err *err)
{
    return ql_agents_delete(t, arg, err);
}

struct update {
    const struct ql_agent_row *row;
    int64_t generation;
};

static int do_update(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct update *u = arg;

    return ql_agents_update(t, u->row, u->generation, err);
}

static void a_row_comes_back_as_it_was_written(void **state)
{
    struct ql_agent_row row = sample(ID);
    struct get g = {.id = ID};

    fixture_run(*state, do_insert, &row, QL_OK);
    fixture_run(*state, do_get, &g, QL_OK);
    same(&g.row, &row);
    ql_agent_row_done(&g.row);
}

static void nulls_stay_nulls(void **state)
{
    struct ql_agent_row row = {.agent_id = (char *)(uintptr_t) "bare", .severity_level = -1};
    struct get g = {.id = "bare"};

    fixture_run(*state, do_insert, &row, QL_OK);
    fixture_run(*state, do_get, &g, QL_OK);
    same(&g.row, &row);
    ql_agent_row_done(&g.row);
}

static void a_copy_owns_all_its_members(void **state)
{
    struct ql_agent_row row = sample(ID), first = {0}, second = {0};
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_agent_row_copy(&row, &first, &err), QL_OK);
    assert_int_equal(ql_agent_row_copy(&first, &second, &err), QL_OK);
    ql_agent_row_done(&first);
    same(&second, &row);
    assert_ptr_not_equal(second.v, row.v);
    ql_agent_row_done(&second);
    assert_null(second.agent_id);
}

static void an_id_is_taken_once(void **state)
{
    struct ql_agent_row row = sample(ID);
    struct fixture *f = *state;
    struct ql_err err = QL_ERR_INIT;

    fixture_run(f, do_insert, &row, QL_OK);
    assert_int_equal(ql_store_run(f->store, do_insert, &row, &err), QL_EEXIST);
    assert_string_equal(err.text, "agent " ID " exists already");
}

static void an_update_needs_the_generation_that_it_read(void **state)
{
    struct ql_agent_row row = sample(ID);
    struct update u = {.row = &row, .generation = 7};
    struct get g = {.id = ID};

    fixture_run(*state, do_insert, &row, QL_OK);
    row.generation = 8;
    row.operational_state = 9;
    row.ip = NULL;
    fixture_run(*state, do_update, &u, QL_OK);
    fixture_run(*state, do_get, &g, QL_OK);
    same(&g.row, &row);
    ql_agent_row_done(&g.row);
    row.operational_state = 3;
    fixture_run(*state, do_update, &u, QL_ECONFLICT);
    fixture_run(*state, do_get, &g, QL_OK);
    assert_int_equal(g.row.operational_state, 9);
    ql_agent_row_done(&g.row);
}

static void what_was_deleted_is_gone(void **state)
{
    struct ql_agent_row row = sample(ID);
    struct update u = {.row = &row, .generation = 7};
    struct get g = {.id = ID};
    char id[] = ID;

    fixture_run(*state, do_delete, id, QL_ENOTFOUND);
    fixture_run(*state, do_insert, &row, QL_OK);
    fixture_run(*state, do_delete, id, QL_OK);
    fixture_run(*state, do_get, &g, QL_ENOTFOUND);
    fixture_run(*state, do_update, &u, QL_ECONFLICT);
}

struct seen {
    char ids[8][40];
    int count;
    size_t skipped;
};

static int see_agent(void *arg, struct ql_agent_row *row)
{
    struct seen *s = arg;

    (void)snprintf(s->ids[s->count++], sizeof s->ids[0], "%s", row->agent_id);
    return 0;
}

static int do_each(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct seen *s = arg;

    s->count = 0;
    return ql_agents_each(t, see_agent, s, &s->skipped, err);
}

static void raw_exec(const struct fixture *f, const char *sql)
{
    sqlite3 *raw = NULL;

    assert_int_equal(sqlite3_open(fixture_path(f, "cv_data.sqlite"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(raw, 10000), SQLITE_OK);
    if (sqlite3_exec(raw, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(raw));
    (void)sqlite3_close(raw);
}

static void rows_that_cannot_be_read_are_skipped_and_counted(void **state)
{
    static const char *const ids[] = {"b", "a", "d", "c"};
    struct fixture *f = *state;
    struct ql_err err = QL_ERR_INIT;
    struct get g = {.id = "b"};
    struct seen s = {0};

    for (size_t i = 0; i < 4; i++) {
        struct ql_agent_row row = sample(ids[i]);

        fixture_run(f, do_insert, &row, QL_OK);
    }
    fixture_run(f, do_each, &s, QL_OK);
    assert_int_equal(s.count, 4);
    assert_int_equal(s.skipped, 0);
    raw_exec(f, "UPDATE agents SET ip=CAST(x'ff41' AS TEXT) WHERE agent_id='b'");
    raw_exec(f, "UPDATE agents SET generation=NULL WHERE agent_id='c'");
    fixture_run(f, do_each, &s, QL_OK);
    assert_int_equal(s.skipped, 2);
    assert_int_equal(s.count, 2);
    assert_string_equal(s.ids[0], "a");
    assert_string_equal(s.ids[1], "d");
    assert_int_equal(ql_store_run(f->store, do_get, &g, &err), QL_EPARSE);
    assert_string_equal(err.text, "row b of agents cannot be read: column ip");
}

static struct ql_agent_progress progress(const char *id, int64_t count)
{
    return (struct ql_agent_progress){.agent_id = id,
                                      .generation = 7,
                                      .operational_state = 3,
                                      .attestation_count = count,
                                      .last_received_quote = count + 1,
                                      .last_successful_attestation = count + 2,
                                      .hash_alg = "sha384",
                                      .enc_alg = "rsa",
                                      .sign_alg = "rsassa"};
}

static int64_t count_of(struct fixture *f, const char *id)
{
    struct get g = {.id = id};
    int64_t count;

    fixture_run(f, do_get, &g, QL_OK);
    count = g.row.attestation_count;
    ql_agent_row_done(&g.row);
    return count;
}

static void progress_is_written_soon_and_only_its_latest(void **state)
{
    struct ql_agent_row row = sample(ID);
    struct fixture *f = *state;
    struct get g = {.id = ID};

    fixture_run(f, do_insert, &row, QL_OK);
    for (int i = 0; i < 1000; i++) {
        struct ql_agent_progress p = progress(ID, 100 + i);

        ql_agents_progress(f->store, &p);
    }
    fixture_until(f, count_of(f, ID) == 1099);
    fixture_run(f, do_get, &g, QL_OK);
    row.attestation_count = 1099;
    row.last_received_quote = 1100;
    row.last_successful_attestation = 1101;
    row.hash_alg = (char *)(uintptr_t) "sha384";
    row.enc_alg = (char *)(uintptr_t) "rsa";
    row.sign_alg = (char *)(uintptr_t) "rsassa";
    same(&g.row, &row);
    ql_agent_row_done(&g.row);
}

static void a_newer_record_keeps_what_only_the_older_one_changed(void **state)
{
    struct ql_agent_row row = sample(ID);
    struct ql_agent_progress p = progress(ID, 12);
    struct fixture *f = *state;
    struct get g = {.id = ID};

    fixture_run(f, do_insert, &row, QL_OK);
    p.state = "new state";
    p.state_len = 9;
    p.state_number = 6;
    p.clock = "{\"clock\":1}";
    ql_agents_progress(f->store, &p);
    p = progress(ID, 13);
    p.public_key = "new key";
    p.state_number = 6;
    ql_agents_progress(f->store, &p);
    fixture_close(f); /* closing writes what waits */
    fixture_open(f, &ql_verifier_schema);
    fixture_run(f, do_get, &g, QL_OK);
    assert_int_equal(g.row.attestation_count, 13);
    same_bytes(g.row.state, g.row.state_len, "new state", 9);
    assert_int_equal(g.row.state_number, 6);
    assert_string_equal(g.row.clock, "{\"clock\":1}");
    assert_string_equal(g.row.public_key, "new key");
    ql_agent_row_done(&g.row);
}

static void stale_progress_never_overwrites(void **state)
{
    struct ql_agent_row row = sample(ID);
    struct ql_agent_progress late = progress(ID, 99), gone = progress("nobody", 1),
                             good = progress("other", 55);
    struct fixture *f = *state;

    fixture_run(f, do_insert, &row, QL_OK);
    row = sample("other");
    fixture_run(f, do_insert, &row, QL_OK);
    late.generation = 6;
    ql_agents_progress(f->store, &late);
    ql_agents_progress(f->store, &gone);
    ql_agents_progress(f->store, &good);
    fixture_close(f);
    fixture_open(f, &ql_verifier_schema);
    assert_int_equal(count_of(f, ID), 11);
    assert_int_equal(count_of(f, "other"), 55);
}

static void dropped_progress_is_not_written(void **state)
{
    struct ql_agent_row row = sample(ID);
    struct ql_agent_progress p = progress(ID, 99);
    struct fixture *f = *state;
    sqlite3 *raw = NULL;

    fixture_run(f, do_insert, &row, QL_OK);
    /* Held by somebody else, so that the record is waiting or being tried when it is dropped. */
    assert_int_equal(sqlite3_open(fixture_path(f, "cv_data.sqlite"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    ql_agents_progress(f->store, &p);
    for (int i = 0; i < 60; i++) {
        struct timeval tv = {.tv_usec = 2000};

        (void)event_base_loopexit(f->base, &tv);
        (void)event_base_loop(f->base, EVLOOP_ONCE);
    }
    ql_agents_progress_drop(f->store, ID);
    ql_agents_progress_drop(f->store, "nobody");
    assert_int_equal(sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(raw);
    fixture_close(f);
    fixture_open(f, &ql_verifier_schema);
    assert_int_equal(count_of(f, ID), 11);
}

static void progress_of_many_agents_survives_an_outage(void **state)
{
    enum {
        AGENTS = 3000
    };
    struct fixture *f = *state;
    sqlite3 *raw = NULL;
    char id[32];

    raw_exec(f, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<2999) INSERT INTO "
                "agents(agent_id,"
                "generation,operational_state) SELECT 'agent-'||i,7,3 FROM n");
    assert_int_equal(sqlite3_open(fixture_path(f, "cv_data.sqlite"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < AGENTS; i++) {
        struct ql_agent_progress p;

        (void)snprintf(id, sizeof id, "agent-%d", i);
        p = progress(id, i + 1);
        ql_agents_progress(f->store, &p);
    }
    assert_int_equal(sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(raw);
    fixture_close(f);
    fixture_open(f, &ql_verifier_schema);
    for (int i = 0; i < AGENTS; i += 97) {
        (void)snprintf(id, sizeof id, "agent-%d", i);
        assert_int_equal(count_of(f, id), i + 1);
    }
}

static void a_record_that_cannot_be_written_does_not_hold_up_the_others(void **state)
{
    struct ql_agent_row row = sample(ID);
    struct ql_agent_progress bad = progress(ID, 99), good = progress("other", 55);
    struct fixture *f = *state;

    fixture_run(f, do_insert, &row, QL_OK);
    row = sample("other");
    fixture_run(f, do_insert, &row, QL_OK);
    bad.clock = "\xff";
    ql_agents_progress(f->store, &bad);
    ql_agents_progress(f->store, &good);
    fixture_close(f);
    fixture_open(f, &ql_verifier_schema);
    assert_int_equal(count_of(f, ID), 11);
    assert_int_equal(count_of(f, "other"), 55);
}

static void what_waited_and_what_came_since_are_merged_after_a_failure(void **state)
{
    struct ql_agent_row row = sample(ID);
    struct ql_agent_progress p = progress(ID, 12), bad = progress("other", 1);
    struct fixture *f = *state;
    struct get g = {.id = ID};
    sqlite3 *raw = NULL;

    fixture_run(f, do_insert, &row, QL_OK);
    row = sample("other");
    fixture_run(f, do_insert, &row, QL_OK);
    assert_int_equal(sqlite3_open(fixture_path(f, "cv_data.sqlite"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    p.state = "new state";
    p.state_len = 9;
    p.state_number = 6;
    bad.clock = "\xff";
    ql_agents_progress(f->store, &p);
    ql_agents_progress(f->store, &bad);
    for (int i = 0; i < 60; i++) {
        struct timeval tv = {.tv_usec = 2000};

        (void)event_base_loopexit(f->base, &tv);
        (void)event_base_loop(f->base, EVLOOP_ONCE);
    }
    /* The first two are being tried now, and will fail together. */
    p = progress(ID, 13);
    ql_agents_progress(f->store, &p);
    assert_int_equal(sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(raw);
    fixture_until(f, count_of(f, ID) == 13);
    fixture_run(f, do_get, &g, QL_OK);
    same_bytes(g.row.state, g.row.state_len, "new state", 9);
    assert_int_equal(g.row.state_number, 6);
    ql_agent_row_done(&g.row);
}

struct log {
    char text[400];
    int64_t after;
};

static int see_change(void *arg, int64_t seq, const char *kind, const char *id)
{
    struct log *l = arg;
    size_t len = strlen(l->text);

    (void)snprintf(l->text + len, sizeof l->text - len, "%d:%s:%s ", (int)seq, kind, id);
    return 0;
}

static int do_changes(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct log *l = arg;

    l->text[0] = 0;
    return ql_changes_each(t, l->after, 0, see_change, l, err);
}

static void writes_leave_a_trace_in_order_and_progress_none(void **state)
{
    struct ql_agent_row row = sample("x");
    struct update u = {.row = &row, .generation = 7};
    struct ql_agent_progress p = progress("x", 99);
    struct fixture *f = *state;
    struct log l = {0};
    char id[] = "x";

    fixture_run(f, do_insert, &row, QL_OK);
    fixture_run(f, do_insert, &row, QL_EEXIST);
    fixture_run(f, do_update, &u, QL_OK);
    ql_agents_progress(f->store, &p);
    fixture_close(f);
    fixture_open(f, &ql_verifier_schema);
    fixture_run(f, do_delete, id, QL_OK);
    fixture_run(f, do_changes, &l, QL_OK);
    assert_string_equal(l.text, "1:agent:x 2:agent:x 3:agent:x ");
    l.after = 2;
    fixture_run(f, do_changes, &l, QL_OK);
    assert_string_equal(l.text, "3:agent:x ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open_verifier, fixture_teardown)
        TEST(a_row_comes_back_as_it_was_written),
        TEST(nulls_stay_nulls),
        TEST(a_copy_owns_all_its_members),
        TEST(an_id_is_taken_once),
        TEST(an_update_needs_the_generation_that_it_read),
        TEST(what_was_deleted_is_gone),
        TEST(rows_that_cannot_be_read_are_skipped_and_counted),
        TEST(progress_is_written_soon_and_only_its_latest),
        TEST(a_newer_record_keeps_what_only_the_older_one_changed),
        TEST(stale_progress_never_overwrites),
        TEST(dropped_progress_is_not_written),
        TEST(progress_of_many_agents_survives_an_outage),
        TEST(a_record_that_cannot_be_written_does_not_hold_up_the_others),
        TEST(what_waited_and_what_came_since_are_merged_after_a_failure),
        TEST(writes_leave_a_trace_in_order_and_progress_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
