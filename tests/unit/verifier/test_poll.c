/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "helpers.h"

static void retry_waits_grow_as_powers_up_to_an_hour(void **state)
{
    const struct ql_poll_options o = {.retry_ms = 2000, .exponential = true};
    static const int64_t expected[] = {2000, 4000, 8000, 16000, 32000};

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(ql_retry_ms(&o, i + 1), expected[i]);
    assert_int_equal(ql_retry_ms(&o, 12), QL_RETRY_MAX_MS);
    assert_int_equal(ql_retry_ms(&o, 4000000000u), QL_RETRY_MAX_MS);
}

static void retry_waits_stay_when_they_would_not_grow(void **state)
{
    const struct ql_poll_options flat = {.retry_ms = 3000}, small = {.retry_ms = 500, .exponential = true},
                                 one = {.retry_ms = 1000, .exponential = true},
                                 none = {.retry_ms = 0, .exponential = true},
                                 huge = {.retry_ms = 3600000, .exponential = true};

    (void)state;
    for (unsigned i = 1; i < 9; i++) {
        assert_int_equal(ql_retry_ms(&flat, i), 3000);
        assert_int_equal(ql_retry_ms(&small, i), 500);
        assert_int_equal(ql_retry_ms(&one, i), 1000);
        assert_int_equal(ql_retry_ms(&none, i), 0);
        assert_int_equal(ql_retry_ms(&huge, i), QL_RETRY_MAX_MS);
    }
}

static void due_times_keep_their_grid_and_skip_what_is_overdue(void **state)
{
    const int64_t s = QL_NS_PER_S;

    (void)state;
    assert_int_equal(ql_next_due(10 * s, 2 * s, 10 * s), 12 * s);
    assert_int_equal(ql_next_due(10 * s, 2 * s, 11 * s), 12 * s);
    assert_int_equal(ql_next_due(10 * s, 2 * s, 12 * s), 14 * s);   /* just missed: not at once */
    assert_int_equal(ql_next_due(10 * s, 2 * s, 101 * s), 102 * s); /* one poll, not forty-five */
    assert_int_equal(ql_next_due(10 * s, 0, 20 * s), 20 * s);
    assert_int_equal(ql_next_due(0, 2 * s, 20 * s), 22 * s);
}

static void polls_of_a_fleet_share_ticks(void **state)
{
    static const int64_t intervals[] = {1, 37, 999999937, 1000000000, 1234567891, 2000000000, 3600000000000};
    const int64_t ms = 1000000;

    (void)state;
    assert_int_equal(ql_tick_of(1234 * ms, 1000 * ms), 1200 * ms);
    assert_int_equal(ql_tick_of(1250 * ms, 1000 * ms), 1300 * ms);
    assert_int_equal(ql_tick_of(1234 * ms, 10000 * ms), 1200 * ms);
    assert_int_equal(ql_tick_of(1234 * ms, 100 * ms), 1230 * ms);
    assert_int_equal(ql_tick_of(1234, 0), 1234);
    for (size_t i = 0; i < sizeof(intervals) / sizeof(intervals[0]); i++) {
        int64_t due = ql_tick_of(INT64_C(86400123456789), intervals[i]);

        for (int n = 0; n < 1000; n++) {
            int64_t next = ql_tick_of(due + intervals[i], intervals[i]);

            assert_true(next - due > intervals[i] - 100 &&
                        next - due < intervals[i] + 100); /* what a division leaves over */
            due = next;
        }
    }
}

static void quote_path_has_keylimes_parameters_in_their_order(void **state)
{
    struct ql_agent a = {.api = QL_API(2, 1), .mask_text = "0x8400"};
    struct ql_op op = {.agent = &a, .nonce = "VfUqSaikYpjOD6WGRGnL", .partial = false, .entry = 0};
    char path[256];
    ql_auto_json json_t *cursors = json_pack("{s:i, s:i}", "uname", 5, "ima", 6);

    (void)state;
    assert_true(ql_quote_path(&a, &op, path, sizeof path) > 0);
    assert_string_equal(
        path, "/v2.1/quotes/integrity?nonce=VfUqSaikYpjOD6WGRGnL&mask=0x8400&partial=0&ima_ml_entry=0");
    a.api = QL_API(2, 6);
    a.evidence = (char[]){"uname,disk"};
    a.cursors = cursors;
    op.partial = true;
    op.entry = 6;
    assert_true(ql_quote_path(&a, &op, path, sizeof path) > 0);
    assert_string_equal(
        path, "/v2.6/quotes/integrity?nonce=VfUqSaikYpjOD6WGRGnL&mask=0x8400&partial=1&ima_ml_entry=6");
    op.asked_evidence = true;
    assert_true(ql_quote_path(&a, &op, path, sizeof path) > 0);
    assert_string_equal(
        path, "/v2.6/quotes/integrity?nonce=VfUqSaikYpjOD6WGRGnL&mask=0x8400&partial=1&ima_ml_entry=6"
              "&evidence=uname:5,disk:0");
    a.evidence = (char[]){"uname/7b7d,disk,x/31"};
    assert_true(ql_quote_path(&a, &op, path, sizeof path) > 0);
    assert_string_equal(strstr(path, "&evidence="), "&evidence=uname:5:7b7d,disk:0,x:0:31");
}

static void quote_path_that_does_not_fit_is_none(void **state)
{
    struct ql_agent a = {.api = QL_API(2, 1), .mask_text = "0x8400", .evidence = (char[]){"uname,disk"}};
    struct ql_op op = {.agent = &a, .nonce = "VfUqSaikYpjOD6WGRGnL", .asked_evidence = true};
    char path[256];
    size_t len = ql_quote_path(&a, &op, path, sizeof path);

    (void)state;
    assert_int_equal(len, strlen(path));
    for (size_t room = 1; room <= len; room++)
        assert_int_equal(ql_quote_path(&a, &op, path, room), 0);
    assert_int_equal(ql_quote_path(&a, &op, path, len + 1), len);
}

static void nonces_are_twenty_letters_and_digits_and_never_the_same(void **state)
{
    enum {
        COUNT = 2000
    };
    static char seen[COUNT][QL_NONCE_LEN + 1];
    unsigned used[256] = {0};

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        ql_random_alnum(seen[i], QL_NONCE_LEN);
        assert_int_equal(strlen(seen[i]), QL_NONCE_LEN);
        for (const char *c = seen[i]; *c; c++)
            used[(unsigned char)*c]++;
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(seen[i], seen[k]);
    }
    for (int c = 0; c < 256; c++) {
        bool allowed = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        /* 40,000 draws over 62 characters: each about 645 times. */
        assert_true(allowed ? used[c] > 450 && used[c] < 850 : used[c] == 0);
    }
}

static void routes_are_complete_and_say_who_may_call_them(void **state)
{
    ql_auto_free struct ql_route *off = ql_verifier_routes_for("off"), *mtls = ql_verifier_routes_for("mtls");
    size_t all = 0, without = 0;

    (void)state;
    for (const struct ql_route *r = ql_verifier_routes; r->pattern; r++, all++) {
        bool is_open = strncmp(r->pattern, "/v", 2) == 0 || strcmp(r->pattern, "/") == 0;

        assert_non_null(r->handler);
        assert_non_null(r->action);
        assert_non_null(r->help);
        assert_true(r->who == (is_open ? QL_WHO_PUBLIC : QL_WHO_ADMIN));
    }
    for (const struct ql_route *r = off; r->pattern; r++, without++)
        assert_ptr_not_equal(r->handler, ql_api_evidence);
    assert_int_equal(without, all - 1);
    for (const struct ql_route *r = mtls; r->pattern; r++)
        if (r->handler == ql_api_evidence)
            assert_int_equal(r->who, QL_WHO_CLIENT);
}

static void live_states_are_those_that_a_restart_polls(void **state)
{
    (void)state;
    for (int s = 0; s <= 10; s++)
        assert_int_equal(ql_state_is_live(s), s == 1 || s == 3 || s == 4 || s == 5 || s == 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_waits_grow_as_powers_up_to_an_hour),
        cmocka_unit_test(retry_waits_stay_when_they_would_not_grow),
        cmocka_unit_test(due_times_keep_their_grid_and_skip_what_is_overdue),
        cmocka_unit_test(polls_of_a_fleet_share_ticks),
        cmocka_unit_test(quote_path_has_keylimes_parameters_in_their_order),
        cmocka_unit_test(quote_path_that_does_not_fit_is_none),
        cmocka_unit_test(nonces_are_twenty_letters_and_digits_and_never_the_same),
        cmocka_unit_test(routes_are_complete_and_say_who_may_call_them),
        cmocka_unit_test(live_states_are_those_that_a_restart_polls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
