/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <unistd.h>

#include "internal.h"
#include "members.h"

enum {
    LONG_MS = 600000,
    SHORT_MS = 50
};

#define STR(s) ((char *)(uintptr_t)(s))

struct beat {
    const char *name, *uuid;
    int64_t ttl_ms;
    bool joins, spares, held;
    struct ql_member_list list;
};

static int do_beat(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct beat *b = arg;
    const struct ql_member_row row = {.name = STR(b->name), .uuid = STR(b->uuid)};
    int r = b->joins ? ql_members_insert(t, &row, err) : QL_OK;

    ql_member_list_done(&b->list);
    if (r == QL_OK)
        r = ql_members_renew(t, b->name, b->ttl_ms, &b->held, err);
    if (r == QL_OK)
        r = ql_members_claim(t, b->name, b->uuid, b->ttl_ms, b->spares, &b->held, err);
    return r == QL_OK ? ql_members_list(t, b->uuid, &b->list, err) : r;
}

static struct beat beat(struct fixture *f, const char *name, const char *uuid, int64_t ttl_ms, bool joins)
{
    struct beat b = {.name = name, .uuid = uuid, .ttl_ms = ttl_ms, .joins = joins};

    fixture_run(f, do_beat, &b, QL_OK);
    return b;
}

static void members_see_each_other(void **state)
{
    struct beat a = beat(*state, "a", "default", LONG_MS, true),
                b = beat(*state, "b", "default", LONG_MS, true);

    assert_true(a.held && b.held);
    assert_int_equal(b.list.count, 2);
    assert_true(ql_member_find(&b.list, "a")->claim_no < ql_member_find(&b.list, "b")->claim_no);
    ql_member_list_done(&a.list);
    ql_member_list_done(&b.list);
}

static void a_member_that_went_silent_is_taken_out_by_another(void **state)
{
    struct beat a = beat(*state, "a", "default", SHORT_MS, true), b;

    (void)usleep((SHORT_MS + 30) * 1000);
    b = beat(*state, "b", "default", LONG_MS, true);
    assert_int_equal(b.list.count, 1);
    assert_null(ql_member_find(&b.list, "a"));
    ql_member_list_done(&b.list);
    ql_member_list_done(&a.list);
    a = beat(*state, "a", "default", LONG_MS, false);
    assert_false(a.held);
    ql_member_list_done(&a.list);
}

static void a_member_gets_its_lease_back_when_nobody_took_it(void **state)
{
    struct beat a = beat(*state, "a", "default", SHORT_MS, true);
    int64_t before = a.list.members[0].claim_no;

    ql_member_list_done(&a.list);
    (void)usleep((SHORT_MS + 30) * 1000);
    a = beat(*state, "a", "default", LONG_MS, false);
    assert_true(a.held);
    assert_true(a.list.members[0].claim_no > before);
    ql_member_list_done(&a.list);
}

static void a_member_that_went_silent_may_be_spared(void **state)
{
    struct beat a = beat(*state, "a", "default", SHORT_MS, true),
                b = beat(*state, "b", "default", LONG_MS, true);

    ql_member_list_done(&a.list);
    ql_member_list_done(&b.list);
    (void)usleep((SHORT_MS + 30) * 1000);
    b = (struct beat){.name = "b", .uuid = "default", .ttl_ms = LONG_MS, .spares = true};
    fixture_run(*state, do_beat, &b, QL_OK);
    assert_int_equal(b.list.count, 2);
    ql_member_list_done(&b.list);
    a = beat(*state, "a", "default", LONG_MS, false);
    assert_true(a.held);
    ql_member_list_done(&a.list);
}

static void members_of_another_uuid_are_left_alone(void **state)
{
    struct beat a = beat(*state, "a", "north", SHORT_MS, true), b;

    ql_member_list_done(&a.list);
    (void)usleep((SHORT_MS + 30) * 1000);
    b = beat(*state, "b", "south", LONG_MS, true);
    assert_int_equal(b.list.count, 1);
    ql_member_list_done(&b.list);
    a = beat(*state, "a", "north", LONG_MS, false);
    assert_true(a.held);
    ql_member_list_done(&a.list);
}

static struct ql_member_list named(struct ql_member *room, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)snprintf(room[i].name, sizeof room[i].name, "host%zu:8881#%08zx", i, i * 7919);
    return (struct ql_member_list){.members = room, .count = count};
}

static void agents_are_spread_evenly_and_move_only_to_a_newcomer(void **state)
{
    struct ql_member room[4] = {0};
    struct ql_member_list three = named(room, 3), four = three;
    int shares[4] = {0}, moved = 0;

    (void)state;
    four = named(room, 4);
    for (int i = 0; i < 3000; i++) {
        const struct ql_member *before, *after;
        char id[40];

        (void)snprintf(id, sizeof id, "d432fbb3-d2f1-4a97-9ef7-75bd81c%05d", i);
        before = ql_member_for(&three, id);
        after = ql_member_for(&four, id);
        shares[before - room]++;
        if (before == after)
            continue;
        assert_ptr_equal(after, &room[3]);
        moved++;
    }
    for (int i = 0; i < 3; i++)
        assert_in_range(shares[i], 850, 1150);
    assert_in_range(moved, 600, 900);
}

static int do_insert_agent(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct ql_agent_row *row = arg;
    int r = ql_members_assign(t, "default", row, err);

    return r == QL_OK ? ql_agents_insert(t, row, err) : r;
}

static int mark(void *arg, const struct ql_agent_mark *m)
{
    char *out = arg;

    (void)snprintf(out, 128, "%s %s %lld", m->agent_id, m->lease_owner ? m->lease_owner : "-",
                   (long long)m->generation);
    return 0;
}

static int do_mark(struct ql_txn *t, void *arg, struct ql_err *err)
{
    return ql_agents_mark(t, "x", mark, arg, err);
}

static int do_progress(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct ql_agent_progress *record = arg;
    int32_t result = QL_OK;
    int r = ql_agents_progress_put(t, &record, 1, &result, err);

    return r < 0 ? r : result;
}

static void an_agents_row_is_refused_to_an_old_claim(void **state)
{
    struct fixture *f = *state;
    struct beat a = beat(f, "a", "default", LONG_MS, true);
    struct ql_agent_row row = {.agent_id = STR("x"), .generation = 5, .severity_level = -1};
    struct ql_agent_progress p = {
        .agent_id = "x", .generation = 5, .hash_alg = "", .enc_alg = "", .sign_alg = ""};
    char text[128];

    fixture_run(f, do_insert_agent, &row, QL_OK);
    assert_string_equal(row.lease_owner, "a");
    assert_int_equal(row.claim_no, a.list.members[0].claim_no);
    fixture_run(f, do_mark, text, QL_OK);
    assert_string_equal(text, "x a 5");
    p.claim_no = row.claim_no;
    fixture_run(f, do_progress, &p, QL_OK);
    p.claim_no = row.claim_no + 1;
    fixture_run(f, do_progress, &p, QL_ECONFLICT);
    p.claim_no = row.claim_no;
    p.generation = 4;
    fixture_run(f, do_progress, &p, QL_ECONFLICT);
    free(row.lease_owner);
    ql_member_list_done(&a.list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open_verifier, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(members_see_each_other),
        TEST(a_member_that_went_silent_is_taken_out_by_another),
        TEST(a_member_gets_its_lease_back_when_nobody_took_it),
        TEST(a_member_that_went_silent_may_be_spared),
        TEST(members_of_another_uuid_are_left_alone),
        cmocka_unit_test(agents_are_spread_evenly_and_move_only_to_a_newcomer),
        TEST(an_agents_row_is_refused_to_an_old_claim),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
