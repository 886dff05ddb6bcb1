/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

static const struct ima_state FULL = {
    .next = 1234567,
    .bank = IMA_SHA384,
    .pcr = {1, 2, 3, [47] = 0xff},
    .boottime = -5,
    .position = 10,
    .lines = 12,
    .violations = 3,
    .weak = 4,
    .rings = {(const uint8_t *)"{\".ima\":{}}", 11},
    .devices = {(const uint8_t *)"{}", 2},
};

static uint8_t *written(size_t *len)
{
    uint8_t *data = NULL;

    assert_int_equal(ima_state_write(&ql_tool_host, &FULL, &data, len, NULL), QL_OK);
    return data;
}

static void state_is_read_as_it_was_written(void **state)
{
    struct ima_state s;
    size_t len;
    uint8_t *data = written(&len);

    (void)state;
    assert_true(ima_state_read(IMA_STATE_VERSION, data, len, &s));
    assert_int_equal(s.next, FULL.next);
    assert_int_equal(s.bank, FULL.bank);
    assert_memory_equal(s.pcr, FULL.pcr, 48);
    assert_int_equal(s.boottime, -5);
    assert_int_equal(s.position, 10);
    assert_int_equal(s.lines, 12);
    assert_int_equal(s.violations, 3);
    assert_int_equal(s.weak, 4);
    assert_int_equal(s.rings.len, 11);
    assert_memory_equal(s.rings.at, FULL.rings.at, 11);
    assert_int_equal(s.devices.len, 2);
    free(data);
}

static void a_cut_or_longer_state_and_other_versions_are_resets(void **state)
{
    struct ima_state s;
    size_t len;
    uint8_t *data = written(&len), *longer = malloc(len + 1);

    (void)state;
    assert_non_null(longer);
    memcpy(longer, data, len);
    longer[len] = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t *exact = malloc(i > 0 ? i : 1);

        assert_non_null(exact);
        memcpy(exact, data, i);
        assert_false(ima_state_read(IMA_STATE_VERSION, exact, i, &s));
        free(exact);
    }
    assert_false(ima_state_read(IMA_STATE_VERSION, longer, len + 1, &s));
    assert_false(ima_state_read(IMA_STATE_VERSION + 1, data, len, &s));
    longer[0] = 99; /* no such bank */
    assert_false(ima_state_read(IMA_STATE_VERSION, longer, len, &s));
    free(longer);
    free(data);
}

static void a_state_above_the_limit_is_refused_with_its_sizes(void **state)
{
    struct ima_state s = FULL;
    struct ql_err err = QL_ERR_INIT;
    uint8_t *data = NULL, *big = calloc(1, QL_STATE_MAX_LEN);
    size_t len = 0;

    (void)state;
    s.rings = (struct ima_bytes){big, QL_STATE_MAX_LEN - 100};
    assert_int_equal(ima_state_write(&ql_tool_host, &s, &data, &len, &err), QL_ELIMIT);
    assert_null(data);
    assert_non_null(strstr(err.text, "262144"));
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_is_read_as_it_was_written),
        cmocka_unit_test(a_cut_or_longer_state_and_other_versions_are_resets),
        cmocka_unit_test(a_state_above_the_limit_is_refused_with_its_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
