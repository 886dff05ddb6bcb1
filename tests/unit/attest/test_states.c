/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "states.h"

static uint8_t *two_states(size_t *len)
{
    static const uint8_t bytes[] = {1, 2, 3};
    struct ql_kept_state s[2] = {{.validator = "ima", .version = 7, .data = bytes, .len = 3},
                                 {.validator = "clock-watch", .version = 1, .data = bytes, .len = 0}};
    uint8_t *blob = NULL;

    s[0].policy[0] = 0xaa;
    s[1].policy[31] = 0xbb;
    assert_int_equal(ql_states_write(s, 2, &blob, len, NULL), QL_OK);
    return blob;
}

static void states_come_back_as_written(void **state)
{
    struct ql_kept_state got[QL_POLICIES_MAX];
    size_t len, count = 0;
    ql_auto_free uint8_t *blob = two_states(&len);

    (void)state;
    assert_int_equal(ql_states_read(blob, len, got, &count, NULL), QL_OK);
    assert_int_equal(count, 2);
    assert_string_equal(got[0].validator, "ima");
    assert_int_equal(got[0].version, 7);
    assert_int_equal(got[0].len, 3);
    assert_memory_equal(got[0].data, "\1\2\3", 3);
    assert_int_equal(got[0].policy[0], 0xaa);
    assert_string_equal(got[1].validator, "clock-watch");
    assert_int_equal(got[1].policy[31], 0xbb);
    assert_int_equal(got[1].len, 0);
}

static void nothing_kept_is_no_state(void **state)
{
    struct ql_kept_state got[QL_POLICIES_MAX];
    size_t count = 9;

    (void)state;
    assert_int_equal(ql_states_read((const uint8_t *)"", 0, got, &count, NULL), QL_OK);
    assert_int_equal(count, 0);
}

static void states_refuse_every_truncation_and_one_byte_more(void **state)
{
    struct ql_kept_state got[QL_POLICIES_MAX];
    size_t len, count = 99;
    ql_auto_free uint8_t *blob = two_states(&len), *longer = malloc(len + 1);

    (void)state;
    memcpy(longer, blob, len);
    longer[len] = 0;
    for (size_t cut = 1; cut <= len + 1; cut++)
        if (cut != len)
            assert_int_equal(ql_states_read(longer, cut, got, &count, NULL), QL_EPARSE);
    assert_int_equal(count, 99);
}

static void states_refuse_other_layouts_names_and_lengths(void **state)
{
    struct ql_kept_state got[QL_POLICIES_MAX];
    struct ql_err err = QL_ERR_INIT;
    size_t len, count;
    ql_auto_free uint8_t *blob = two_states(&len);

    (void)state;
    blob[0] = 2;
    assert_int_equal(ql_states_read(blob, len, got, &count, &err), QL_EPARSE);
    assert_string_equal(err.text, "kept states of layout 2, wanted 1");
    blob[0] = 1;
    blob[1] = QL_POLICIES_MAX + 1;
    assert_int_equal(ql_states_read(blob, len, got, &count, &err), QL_EPARSE);
    assert_string_equal(err.text, "17 kept states, at most 16");
    blob[1] = 2;
    blob[3] = '/';
    assert_int_equal(ql_states_read(blob, len, got, &count, &err), QL_EPARSE);
    blob[3] = 'i';
    blob[2 + 1 + 3 + 32 + 4] = 0xff;
    assert_int_equal(ql_states_read(blob, len, got, &count, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "at most 262144"));
}

static void state_above_its_limit_is_not_written(void **state)
{
    static uint8_t big[QL_STATE_MAX_LEN + 1];
    struct ql_kept_state s = {.validator = "ima", .data = big, .len = sizeof big};
    uint8_t *blob = NULL;
    size_t len;

    (void)state;
    assert_int_equal(ql_states_write(&s, 1, &blob, &len, NULL), QL_ELIMIT);
    assert_null(blob);
    s.len--;
    assert_int_equal(ql_states_write(&s, 1, &blob, &len, NULL), QL_OK);
    free(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_come_back_as_written),
        cmocka_unit_test(nothing_kept_is_no_state),
        cmocka_unit_test(states_refuse_every_truncation_and_one_byte_more),
        cmocka_unit_test(states_refuse_other_layouts_names_and_lengths),
        cmocka_unit_test(state_above_its_limit_is_not_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
