/* SPDX-License-Identifier: Apache-2.0 */
#include "script.h"

static void sandbox_offers_no_way_out(void **state)
{
    body_says(
        state,
        "for _, name in ipairs{'io', 'os', 'debug', 'package', 'require', 'load', 'loadstring', 'loadfile',\n"
        "'dofile', 'collectgarbage', 'coroutine', 'print', 'warn', 'module', 'getfenv', 'setfenv'} do\n"
        "if _G[name] ~= nil then ql.fact('offered', name) end end\n"
        "for _, name in ipairs{'dump'} do if string[name] then ql.fact('offered', name) end end\n"
        "for _, name in ipairs{'random', 'randomseed'} do if math[name] then ql.fact('offered', name) end "
        "end\n"
        "if ql.exec or ql.file or ql.http then ql.fact('offered', 'ql') end",
        "");
}

static void sandbox_offers_what_scripts_need(void **state)
{
    body_says(
        state,
        "local t = {3, 1, 2} table.sort(t) table.insert(t, 1, 0) table.remove(t, 2)\n"
        "ql.fact('t', {table.concat(t, ','), table.unpack(table.pack(4, 5))})\n"
        "ql.fact('s', {('x'):rep(3, '-'), ('%5.2f|%s|%q'):format(1.5, 'a', 'b\\n'), #string.pack('>I4', 7),\n"
        "('abc'):upper(), select('#', 1, 2), tonumber('0x10'), math.type(1.0), utf8.len('\\u{fc}'), '10' + "
        "1})\n"
        "ql.fact('p', {pcall(error, 'e', 0)}) ql.fact('x', {xpcall(error, function(m) return m .. '!' end, "
        "'e', 0)})",
        "fact t [\"0,2,3\",4,5]\n"
        "fact s [\"x-x-x\",\" 1.50|a|\\\"b\\\\\\n\\\"\",4,\"ABC\",2,16,\"float\",1,11]\n"
        "fact p [false,\"e\"]\nfact x [false,\"e!\"]\n");
}

static void globals_and_libraries_cannot_be_changed(void **state)
{
    body_fails(state, "x = 1", QL_EPARSE, "'x' cannot be set");
    body_fails(state, "_G.x = 1", QL_EPARSE, "'x' cannot be set");
    body_fails(state, "_ENV.pairs = 1", QL_EPARSE, "'pairs' cannot be set");
    body_fails(state, "string.rep = nil", QL_EPARSE, "'rep' cannot be set");
    body_fails(state, "ql.json.null = 1", QL_EPARSE, "'null' cannot be set");
    body_fails(state, "attest.agent_id = 'other'", QL_EPARSE, "'agent_id' cannot be set");
    body_fails(state, "attest.pcr[7] = 'x'", QL_EPARSE, "read-only");
    body_fails(state, "attest.facts.x = 1", QL_EPARSE, "'x' cannot be set");
    body_fails(state, "rawset(_G, 'x', 1)", QL_EPARSE, "'x' cannot be set");
    body_fails(state, "rawset(string, 'rep', 1)", QL_EPARSE, "'rep' cannot be set");
    body_fails(state, "rawset(attest.evidence, 'thing', 1)", QL_EPARSE, "'thing' cannot be set");
    body_fails(state, "table.insert(ql, 1)", QL_EPARSE, "plain tables");
    body_fails(state, "setmetatable(string, {})", QL_EPARSE, "protected metatable");
    body_fails(state, "setmetatable(_G, {})", QL_EPARSE, "protected metatable");
    body_says(
        state,
        "ql.fact('m', {getmetatable(''), getmetatable(_G), getmetatable(ql), getmetatable(attest.pcr)})",
        "fact m [false,false,false,false]\n");
}

static void libraries_cannot_be_changed_while_loading_either(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(script_load(&s, *state, "string.rep = 1", &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "read-only"));
    script_done(&s);
}

static void globals_set_while_loading_are_seen_later(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    script_body(&s, *state, "limit = 5 function twice(n) return 2 * n end", "ql.fact('x', twice(limit))",
                NULL);
    assert_int_equal(script_validate(&s, NULL, NULL, &err), QL_OK);
    assert_string_equal(s.judged.said, "fact x 10\n");
    script_done(&s);
}

static void nothing_passes_from_one_call_to_the_next(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    script_body(&s, *state, "local seen = 0 box = {}",
                "seen = seen + 1 box.n = (box.n or 0) + 1 object.n = (object.n or 0) + 1\n"
                "ql.fact('n', {seen, box.n, object.n})",
                NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(script_validate(&s, NULL, NULL, &err), QL_OK);
        assert_string_equal(s.judged.said, "fact n [1,1,1]\n");
    }
    script_done(&s);
}

static void texts_hold_no_addresses(void **state)
{
    body_says(state,
              "ql.fact('x', {tostring({}), tostring(print), tostring(error), ('%s %s'):format({}, error),\n"
              "tostring(ql.json.null), tostring(setmetatable({}, {__name = 'thing'})),\n"
              "tostring(setmetatable({}, {__tostring = function() return 'own' end}))})",
              "fact x [\"table\",\"nil\",\"function\",\"table function\",\"null\",\"table\",\"own\"]\n");
    body_fails(state, "return ('%p'):format({})", QL_EPARSE, "%p is not offered");
    body_fails(state, "return ('%-20p'):format('x')", QL_EPARSE, "%p is not offered");
    body_says(state, "ql.fact('x', ('100%%p'):format())", "fact x \"100%p\"\n");
}

static void pairs_come_in_order(void **state)
{
    body_says(
        state,
        "local keys = {} for k in pairs{b = 1, a = 1, [10] = 1, [2] = 1, [1.5] = 1, [true] = 1, ab = 1,\n"
        "[false] = 1, [-1] = 1, [''] = 1} do keys[#keys + 1] = tostring(k) end\n"
        "ql.fact('k', table.concat(keys, ' ')) ql.fact('n', {next({}) == nil, (next{z = 1, y = 2})})",
        "fact k \"-1 1.5 2 10  a ab b false true\"\nfact n [true,\"y\"]\n");
    body_says(
        state,
        "local t, seen = {a = 1, b = 2, c = 3}, {} for k in pairs(t) do seen[#seen + 1] = k t.b = nil end\n"
        "ql.fact('k', seen) local m = setmetatable({}, {__pairs = function() return function(_, k)\n"
        "if not k then return 1, 2 end end end}) for k, v in pairs(m) do ql.fact('m', {k, v}) end",
        "fact k [\"a\",\"c\"]\nfact m [1,2]\n");
    body_fails(state, "pairs{[{}] = 1}", QL_EPARSE, "has no order");
    body_fails(state, "next({1, 2}, 1)", QL_EPARSE, "use pairs");
}

static void finalizers_and_weak_tables_are_not_offered(void **state)
{
    body_fails(state, "setmetatable({}, {__gc = function() end})", QL_EPARSE, "__gc is not offered");
    body_fails(state, "setmetatable({}, {__mode = 'k'})", QL_EPARSE, "__mode is not offered");
}

static void the_same_input_gives_the_same_bytes(void **state)
{
    char first[8192] = "";

    for (int i = 0; i < 20; i++) {
        struct script s;
        struct ql_err err = QL_ERR_INIT;

        script_body(&s, *state, "",
                    "local t = {} for i = 1, 200 do t['key' .. i * 7919 % 1000] = {i, tostring({}), "
                    "ql.match('k', 'k')} end\n"
                    "ql.fail{event = 'script.x', context = {t = ql.json.encode(t):sub(1, 2000)}}\n"
                    "local out = {} for k, v in pairs(t) do out[#out + 1] = k .. v[1] end\n"
                    "ql.fact('x', table.concat(out)) return t",
                    NULL);
        assert_int_equal(script_validate(&s, NULL, NULL, &err), QL_OK);
        if (i == 0)
            strcpy(first, s.judged.said);
        assert_string_equal(first, s.judged.said);
        script_done(&s);
    }
}

static void reports_are_refused_outside_of_judging(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(script_load(&s, *state,
                                 "return {kind = 'validator', name = 'v', validate = function() end,\n"
                                 "needs = function() return {} end,\n"
                                 "prepare = function() ql.fail{event = 'v.x'} return {} end}",
                                 &err),
                     QL_OK);
    assert_int_equal(script_prepare(&s, "", &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "ql.fail: only while judging"));
    script_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sandbox_offers_no_way_out),
        TEST(sandbox_offers_what_scripts_need),
        TEST(globals_and_libraries_cannot_be_changed),
        TEST(libraries_cannot_be_changed_while_loading_either),
        TEST(globals_set_while_loading_are_seen_later),
        TEST(nothing_passes_from_one_call_to_the_next),
        TEST(texts_hold_no_addresses),
        TEST(pairs_come_in_order),
        TEST(finalizers_and_weak_tables_are_not_offered),
        TEST(the_same_input_gives_the_same_bytes),
        TEST(reports_are_refused_outside_of_judging),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
