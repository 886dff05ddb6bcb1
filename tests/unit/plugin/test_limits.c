/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

#include "clock.h"

/* Every script in tests/sdk/bad/lua is brought to an end by a limit, whatever it does against that. */
static void ends_by_limit(void **state, const char *name, int code, const char *words)
{
    const struct folder *f = *state;
    const struct ql_registry_config config = {.lua_memory = 8 * 1024 * 1024,
                                              .lua_instructions = 2 * 1000 * 1000};
    struct script s = {.registry = new_registry(&config), .options = json_object()};
    struct ql_err err = QL_ERR_INIT;
    struct ql_found found;
    char file[64];
    int r;

    snprintf(file, sizeof file, "%s.lua", name);
    folder_copy(f, file);
    judged_init(&s.judged, s.options);
    r = load(s.registry, f, name, NULL, &err);
    if (r != QL_OK)
        fail_msg("%s", err.text);
    found = ql_registry_at(s.registry, QL_KIND_VALIDATOR, 0);
    s.validator = (const struct ql_validator *)(const void *)found.head;
    s.plugin = found.plugin;
    r = script_validate(&s, NULL, NULL, &err);
    if (r != code || !strstr(err.text, words) || !strstr(err.text, file))
        fail_msg("%s: %d \"%s\" where %d \"%s\" was expected", name, r, err.text, code, words);
    /* Nothing of it hangs over: the next call ends the same way. */
    assert_int_equal(script_validate(&s, NULL, NULL, &err), code);
    script_done(&s);
}

#define INSTRUCTIONS QL_ELIMIT, "validate: instruction limit of 2000000 reached"
#define MEMORY       QL_ENOMEM, "validate: memory limit of 8388608 bytes reached"

static void limit_ends_an_endless_loop(void **state)
{
    ends_by_limit(state, "endless", INSTRUCTIONS);
}

static void limit_is_not_swallowed_by_pcall(void **state)
{
    ends_by_limit(state, "pcall-loop", INSTRUCTIONS);
}

static void limit_is_not_swallowed_by_xpcall(void **state)
{
    ends_by_limit(state, "xpcall-loop", INSTRUCTIONS);
}

static void limit_is_not_swallowed_by_metamethods_and_closing_variables(void **state)
{
    ends_by_limit(state, "close-loop", INSTRUCTIONS);
    ends_by_limit(state, "error-loop", INSTRUCTIONS);
}

static void limit_holds_inside_of_pattern_functions(void **state)
{
    ends_by_limit(state, "find-bomb", INSTRUCTIONS);
    ends_by_limit(state, "match-bomb", INSTRUCTIONS);
    ends_by_limit(state, "gmatch-bomb", INSTRUCTIONS);
    ends_by_limit(state, "gsub-bomb", INSTRUCTIONS);
}

static void limit_of_a_regular_expression_is_not_swallowed(void **state)
{
    ends_by_limit(state, "regex-bomb", QL_ELIMIT, "validate: pattern");
}

static void limit_holds_inside_of_table_functions(void **state)
{
    ends_by_limit(state, "insert-bomb", INSTRUCTIONS);
    ends_by_limit(state, "move-bomb", INSTRUCTIONS);
    ends_by_limit(state, "rep-bomb", INSTRUCTIONS);
    ends_by_limit(state, "sort-bomb", INSTRUCTIONS);
}

static void limit_of_memory_ends_the_call(void **state)
{
    ends_by_limit(state, "memory-table", MEMORY);
    ends_by_limit(state, "memory-string", MEMORY);
    ends_by_limit(state, "memory-pcall", MEMORY);
    ends_by_limit(state, "memory-churn", INSTRUCTIONS);
}

static void limit_of_json_stops_shared_tables(void **state)
{
    ends_by_limit(state, "json-bomb", INSTRUCTIONS);
}

static void limit_of_json_counts_each_copy_of_a_text(void **state)
{
    body_fails(state, "local s, t = ('x'):rep(1000000), {} for i = 1, 5 do t[i] = s end ql.fact('x', t)",
               QL_EPARSE, "more than 4194304 bytes of text");
    body_fails(state, "return ql.json.decode(('[1,'):rep(2000000))", QL_EPARSE, "4194304");
    body_fails(state, "return ql.json.decode(('['):rep(65) .. (']'):rep(65))", QL_EPARSE, "deeper than 64");
}

static void recursion_without_end_ends(void **state)
{
    body_fails(state, "local function f() return 1 + f() end return f()", QL_ENOMEM, "memory limit");
    body_fails(state,
               "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end\n"
               "return t.x",
               QL_EPARSE, "overflow");
}

static void log_lines_are_limited(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    script_body(&s, *state, "", "for i = 1, 101 do ql.log('') end", NULL);
    assert_int_equal(script_validate(&s, NULL, NULL, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "more than 100 lines"));
    script_done(&s);
}

static void deadline_ends_the_call(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    script_body(&s, *state, "", "if attest.is_first then while true do end end", NULL);
    assert_int_equal(script_prepare(&s, "", &err), QL_OK);
    ql_registry_set_deadline(s.registry, ql_mono_ns() + 20 * QL_NS_PER_MS);
    assert_int_equal(script_validate(&s, NULL, NULL, &err), QL_ETIMEOUT);
    assert_non_null(strstr(err.text, "deadline passed"));
    script_done(&s);
}

static void limit_holds_while_loading(void **state)
{
    const struct ql_registry_config config = {.lua_instructions = 1000 * 1000};
    struct script s;
    struct ql_err err = QL_ERR_INIT;
    const char text[] = "while true do end";

    assert_int_equal(script_load_with(&s, *state, text, strlen(text), &config, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "script.lua: loading: instruction limit of 1000000"));
    script_done(&s);
}

/* Whatever the limit of memory is: the call fails or works, and nothing is left behind. */
static void every_limit_of_memory_is_survived(void **state)
{
    int worked = 0;

    for (size_t memory = 0; memory < 400 * 1024; memory += 1531) {
        const struct ql_registry_config config = {.lua_memory = memory + 1};
        struct script s;
        struct ql_err err = QL_ERR_INIT;
        const char text[] =
            "return {kind = 'validator', name = 'v', prepare = function(p) return {p, {p = p}} end,\n"
            "needs = function() return {evidence = {{name = 'thing', bound = 'nonce', parameters = {1}}}} "
            "end,\n"
            "validate = function(a, o) ql.fact('x', ql.json.decode(ql.json.encode(o)))\n"
            "return ('%s'):rep(100):gsub('%%', '%%%%') .. ql.hex(a.evidence.thing) end}";
        int r = script_load_with(&s, *state, text, strlen(text), &config, &err);

        if (r == QL_OK)
            r = script_prepare(&s, "policy", &err);
        if (r == QL_OK)
            r = script_validate(&s, NULL, NULL, &err);
        if (r != QL_OK && r != QL_ENOMEM)
            fail_msg("%zu: %d %s", memory, r, err.text);
        worked += r == QL_OK;
        script_done(&s);
    }
    assert_true(worked > 10 && worked < 260);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(limit_ends_an_endless_loop),
        TEST(limit_is_not_swallowed_by_pcall),
        TEST(limit_is_not_swallowed_by_xpcall),
        TEST(limit_is_not_swallowed_by_metamethods_and_closing_variables),
        TEST(limit_holds_inside_of_pattern_functions),
        TEST(limit_of_a_regular_expression_is_not_swallowed),
        TEST(limit_holds_inside_of_table_functions),
        TEST(limit_of_memory_ends_the_call),
        TEST(limit_of_json_stops_shared_tables),
        TEST(limit_of_json_counts_each_copy_of_a_text),
        TEST(recursion_without_end_ends),
        TEST(log_lines_are_limited),
        TEST(deadline_ends_the_call),
        TEST(limit_holds_while_loading),
        TEST(every_limit_of_memory_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
