/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts in the sandboxed worker: they judge there, and their limits end them without costing the worker. */
#include "pool_rig.h"

static const char *const scripts[] = {"clockwatch", "endless",      "find-bomb",
                                      "pcall-loop", "memory-table", "regex-bomb"};

static int lua_setup(void **state)
{
    struct rig *r;
    char path[512];

    if (rig_setup(state) != 0)
        return -1;
    r = *state;
    /* Of the same name, but a library. */
    snprintf(path, sizeof path, "%s/endless.so", r->dir);
    assert_int_equal(unlink(path), 0);
    for (size_t i = 0; i < QL_ARRAY_LEN(scripts); i++) {
        snprintf(path, sizeof path, QL_SOURCE_DIR "/tests/sdk/%s/%s.lua", i == 0 ? "clockwatch" : "bad/lua",
                 scripts[i]);
        rig_gather(r, path);
    }
    return 0;
}

static int lua_teardown(void **state)
{
    const struct rig *r = *state;
    char path[256];

    for (size_t i = 0; i < QL_ARRAY_LEN(scripts); i++) {
        snprintf(path, sizeof path, "%s/%s.lua", r->dir, scripts[i]);
        unlink(path);
    }
    return rig_teardown(state);
}

static struct ql_pool_config lua_config(struct rig *r)
{
    struct ql_pool_config c = rig_config(r);

    c.plugins = scripts;
    c.plugin_count = QL_ARRAY_LEN(scripts);
    c.workers = 1;
    return c;
}

static void script_judges_in_the_worker(void **state)
{
    struct rig *r = *state;
    const struct ql_pool_config c = lua_config(r);
    struct rig_job j;

    rig_start(r, &c);
    rig_judge(r, &j, "clockwatch", "{\"max_resets\": 3}");
    assert_int_equal(j.status, QL_POOL_DONE);
    if (j.read != QL_OK || j.result.kind != QL_VERDICT_PASS)
        fail_msg("%s", j.text);
    assert_true(j.result.state_changed);
    ql_attest_result_done(&j.result);
}

static void script_at_its_limit_fails_its_agent_and_nothing_else(void **state)
{
    static const char *const words[] = {"instruction limit", "instruction limit", "instruction limit",
                                        "memory limit", "pattern took more than"};
    struct rig *r = *state;
    const struct ql_pool_config c = lua_config(r);
    struct rig_job j;

    rig_start(r, &c);
    for (size_t i = 1; i < QL_ARRAY_LEN(scripts); i++) {
        char event[64];
        const char *message;

        rig_judge(r, &j, scripts[i], "x");
        /* Done, not killed: the worker itself came to no harm. */
        assert_int_equal(j.status, QL_POOL_DONE);
        assert_int_equal(j.read, QL_OK);
        assert_int_equal(j.result.kind, QL_VERDICT_FAIL);
        assert_int_equal(j.result.failure_count, 1);
        snprintf(event, sizeof event, "%s.error", scripts[i]);
        assert_string_equal(j.result.failures[0].event_id, event);
        message = text_of(j.result.failures[0].context, "message");
        if (!strstr(message, words[i - 1]))
            fail_msg("%s: %s", scripts[i], message);
        ql_attest_result_done(&j.result);
    }
    rig_judge(r, &j, "clockwatch", "{\"max_resets\": 3}");
    assert_int_equal(j.status, QL_POOL_DONE);
    assert_int_equal(j.result.kind, QL_VERDICT_PASS);
    ql_attest_result_done(&j.result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(script_judges_in_the_worker, lua_setup, lua_teardown),
        cmocka_unit_test_setup_teardown(script_at_its_limit_fails_its_agent_and_nothing_else, lua_setup,
                                        lua_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
