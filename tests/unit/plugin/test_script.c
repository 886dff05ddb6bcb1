/* SPDX-License-Identifier: Apache-2.0 */
#include <lauxlib.h>

#include "script.h"

#include "buf.h"

#define WHOLE(name, rest)                                                                                    \
    "return {kind = 'validator', name = '" name "', prepare = function(p) return {} end, "                   \
    "needs = function() return {} end, validate = function() end" rest "}"

/* Loading this text is refused in these words. */
static void refuses(void **state, const char *text, int code, const char *words)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(script_load(&s, *state, text, &err), code);
    if (!strstr(err.text, words) || !strstr(err.text, "script.lua"))
        fail_msg("\"%s\" lacks \"%s\"", err.text, words);
    assert_null(s.validator);
    script_done(&s);
}

static void script_appears_as_an_ordinary_validator(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;
    ql_auto_free char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_int_equal(
        script_load(&s, *state,
                    WHOLE("one", ", version = '2.1', license = 'MIT', summary = 'looks at nothing'"), &err),
        QL_OK);
    assert_string_equal(s.validator->head.name, "one");
    assert_int_equal(script_validate(&s, NULL, NULL, &err), QL_OK);
    ql_registry_describe(s.registry, out);
    fclose(out);
    assert_non_null(strstr(text, "plugin script 2.1 (MIT): looks at nothing\n  validator one\n"));
    script_done(&s);
}

static void script_may_return_a_list_whose_validators_are_ordered(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;
    const char text[] =
        "local function v(name, after) return {kind = 'validator', name = name, after = after,\n"
        "prepare = function() return {} end, needs = function() return {} end,\n"
        "validate = function() ql.fact('who', name) end} end\n"
        "return {v('late', {'early'}), v('early'), {kind = 'action', name = 'act',\n"
        "sites = {'agent', 'verifier'}, run = function() end}}";

    assert_int_equal(script_load(&s, *state, text, &err), QL_OK);
    assert_string_equal(ql_registry_at(s.registry, QL_KIND_VALIDATOR, 0).head->name, "early");
    assert_string_equal(ql_registry_at(s.registry, QL_KIND_VALIDATOR, 1).head->name, "late");
    assert_int_equal(ql_registry_find(s.registry, QL_KIND_ACTION, "act").head->flags,
                     QL_SITE_AGENT | QL_SITE_VERIFIER);
    /* The first in order is the second of the list. */
    assert_int_equal(script_validate(&s, NULL, NULL, &err), QL_OK);
    assert_string_equal(s.judged.said, "fact who \"early\"\n");
    script_done(&s);
}

static void script_is_refused_when_it_is_not_what_it_must_be(void **state)
{
    refuses(state, "x = = 1", QL_EPARSE, "script.lua:1:");
    refuses(state, "", QL_EPARSE, "found nothing");
    refuses(state, "return 7", QL_EPARSE, "wanted a table with kind and name");
    refuses(state, "return {}", QL_EPARSE, "found none");
    refuses(state, "error('no')", QL_EPARSE, "loading: script.lua:1: no");
    refuses(state, "error({})", QL_EPARSE, "a table value");
    refuses(state, "return {kind = 'evidence', name = 'x'}", QL_EPARSE, "kind: wanted validator or action");
    refuses(state, WHOLE("Bad Name", ""), QL_EPARSE, "name: wanted 1 to 32");
    refuses(state, WHOLE("core", ""), QL_ERANGE, "taken by the host");
    refuses(state, WHOLE("one", ", validat = 1"), QL_EPARSE, "unknown field validat");
    refuses(state, WHOLE("one", ", needs = 7"), QL_EPARSE, "needs: wanted a function");
    refuses(state, WHOLE("one", ", after = 'two'"), QL_EPARSE, "after: wanted a list");
    refuses(state, WHOLE("one", ", after = {'../two'}"), QL_EPARSE, "after: wanted names");
    refuses(state, WHOLE("one", ", state_version = 'x'"), QL_EPARSE, "state_version");
    refuses(state, "return {kind = 'action', name = 'x', sites = {'moon'}, run = print}", QL_EPARSE,
            "run: wanted");
    refuses(state, "return {kind = 'action', name = 'x', sites = {'moon'}, run = error}", QL_EPARSE, "moon");
    refuses(state, "return {kind = 'action', name = 'x', run = error}", QL_EPARSE, "sites: wanted");
}

static int keep_code(lua_State *L, const void *data, size_t len, void *arg)
{
    (void)L;
    return ql_buf_add(arg, data, len) == QL_OK ? 0 : 1;
}

/* A good script, but compiled: what is in such a file is not checked by anybody. */
static void script_as_bytecode_is_refused(void **state)
{
    lua_State *L = luaL_newstate();
    ql_auto_buf struct ql_buf code = ql_buf_init(65536);
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(luaL_loadstring(L, WHOLE("one", "")), LUA_OK);
    assert_int_equal(lua_dump(L, keep_code, &code, 0), 0);
    lua_close(L);
    assert_int_equal(script_load_with(&s, *state, (const char *)code.data, code.len, NULL, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "form: wanted text, found compiled Lua"));
    script_done(&s);
}

static void script_that_wants_a_clock_is_refused(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    folder_copy(f, "clock.lua");
    assert_int_equal(load(r, f, "clock", NULL, &err), QL_EPARSE);
    assert_non_null(
        strstr(err.text, "clock.lua: loading: clock.lua:3: attempt to index a nil value (global 'os')"));
}

static void script_longer_than_the_limit_is_refused(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;
    ql_auto_free char *text = malloc(QL_LUA_SOURCE_MAX + 1);

    assert_non_null(text);
    memset(text, ' ', QL_LUA_SOURCE_MAX + 1);
    assert_int_equal(script_load_with(&s, *state, text, QL_LUA_SOURCE_MAX + 1, NULL, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "1048576"));
    script_done(&s);
}

static void prepare_refuses_a_policy_in_the_scripts_words(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(script_load(&s, *state,
                                 "return {kind = 'validator', name = 'v', needs = function() return {} end,\n"
                                 "validate = function() end,\n"
                                 "prepare = function(p) error('line 3: no such word: ' .. p, 0) end}",
                                 &err),
                     QL_OK);
    assert_int_equal(script_prepare(&s, "blue", &err), QL_EPARSE);
    assert_string_equal(err.text, "script.lua: prepare: line 3: no such word: blue");
    assert_null(s.compiled);
    script_done(&s);
}

/* What `prepare` and `needs` return here makes prepare fail in these words. */
static void prepare_fails(void **state, const char *object, const char *needs, const char *words)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;
    char text[2048];

    snprintf(text, sizeof text,
             "return {kind = 'validator', name = 'v', validate = function() end,\n"
             "prepare = function() return %s end, needs = function() return %s end}",
             object, needs);
    assert_int_equal(script_load(&s, *state, text, &err), QL_OK);
    assert_int_equal(script_prepare(&s, "", &err), QL_EPARSE);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" lacks \"%s\"", err.text, words);
    script_done(&s);
}

static void prepare_takes_plain_data_only(void **state)
{
    prepare_fails(state, "nil", "{}", "prepare returned nothing");
    prepare_fails(state, "{f = error}", "{}", "a function cannot become JSON");
    prepare_fails(state, "{[1] = 1, x = 2}", "{}", "keys other than texts");
    prepare_fails(state, "{1, nil, 3}", "{}", "keys other than texts");
    prepare_fails(state, "{1/0}", "{}", "not finite");
    prepare_fails(state, "{'\\xff'}", "{}", "not UTF-8");
    prepare_fails(state, "{[{}] = 1}", "{}", "has no order");
    prepare_fails(state, "(function() local t = {} t.t = t return t end)()", "{}", "nested deeper than 64");
}

static void needs_are_checked(void **state)
{
    prepare_fails(state, "{}", "nil", "wanted a table with pcrs and evidence");
    prepare_fails(state, "{}", "{pcr = {1}}", "unknown field pcr");
    prepare_fails(state, "{}", "{pcrs = {24}}", "0 to 23");
    prepare_fails(state, "{}", "{pcrs = {'1'}}", "0 to 23");
    prepare_fails(state, "{}", "{evidence = {'x'}}", "wanted tables with name and bound");
    prepare_fails(state, "{}", "{evidence = {{name = 'x'}}}", "bound: wanted");
    prepare_fails(state, "{}", "{evidence = {{name = 'x', bound = 'pcr'}}}", "0 to 23");
    prepare_fails(state, "{}", "{evidence = {{name = 'x', bound = 'nonce', parameter = 1}}}",
                  "unknown field parameter");
    prepare_fails(state, "{}",
                  "(function() local e = {} for i = 1, 33 do e[i] = {name = 'x', bound = 'nonce'} end "
                  "return {evidence = e} end)()",
                  "at most 32");
}

static void needs_are_handed_on(void **state)
{
    struct script s;
    struct ql_needs needs = {.size = sizeof needs};
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(script_load(&s, *state,
                                 "return {kind = 'validator', name = 'v', validate = function() end,\n"
                                 "prepare = function(p) return {word = p} end, needs = function(o)\n"
                                 "return {pcrs = {0, 7}, evidence = {{name = 'thing', bound = 'nonce',\n"
                                 "parameters = {b = o.word, a = ql.json.array{}}},\n"
                                 "{name = 'log', bound = 'pcr', pcr = 10}}} end}",
                                 &err),
                     QL_OK);
    assert_int_equal(script_prepare(&s, "policy", &err), QL_OK);
    assert_int_equal(s.validator->needs(s.plugin, s.compiled, &needs, &err), QL_OK);
    assert_int_equal(needs.pcr_mask, 1u << 0 | 1u << 7 | 1u << 10);
    assert_int_equal(needs.item_count, 2);
    assert_string_equal(needs.items[0].evidence, "thing");
    assert_int_equal(needs.items[0].bound, QL_BOUND_NONCE);
    assert_string_equal(needs.items[0].parameters, "{\"a\":[],\"b\":\"policy\"}");
    assert_int_equal(needs.items[1].bound, QL_BOUND_PCR);
    assert_int_equal(needs.items[1].pcr, 10);
    assert_null(needs.items[1].parameters);
    script_done(&s);
}

static void validate_sees_what_was_proven(void **state)
{
    body_says(
        state,
        "ql.fact('x', {attest.agent_id, attest.hash_alg, attest.clock, attest.reset_count,\n"
        "attest.restart_count, attest.is_first, attest.options.mode, ql.hex(attest.pcr[7]):sub(1, 6),\n"
        "attest.pcr[8] == nil, attest.pcr[99] == nil, #attest.evidence.thing, attest.evidence.other == nil,\n"
        "attest.cursor_from.thing, attest.cursor_to.thing, attest.facts['core.fact'].answer,\n"
        "attest.facts.nothing == nil, object.policy})",
        "fact x [\"agent-1\",\"sha256\",1234,1,2,true,\"strict\",\"abcd00\",true,true,18,true,5,9,42,true,"
        "\"policy\"]\n");
}

static void validate_walks_lines_of_evidence_and_of_text(void **state)
{
    body_says(state,
              "local a, b = {}, {} for line in attest.lines('thing') do a[#a + 1] = line end\n"
              "for line in ql.lines('x\\ny\\n') do b[#b + 1] = line end ql.fact('a', a) ql.fact('b', b)",
              "fact a [\"first\",\"second\",\"\",\"last\"]\nfact b [\"x\",\"y\"]\n");
    body_fails(state, "attest.lines('other')", QL_EPARSE, "no evidence other");
}

static void validate_reports(void **state)
{
    body_says(state,
              "ql.fail{event = 'script.bad', severity = 'high', recoverable = true, context = {z = 1, a = "
              "{1, 2}}}\n"
              "ql.fail{event = 'script.worse'} ql.cursor('thing', 77) ql.retry('log is ahead')",
              "fail script.bad high 1 {\"a\":[1,2],\"z\":1}\nfail script.worse - 0 {}\ncursor thing 77\n"
              "retry log is ahead\n");
    body_fails(state, "ql.fail{event = 'script.bad', serverity = 'high'}", QL_EPARSE,
               "unknown field serverity");
    body_fails(state, "ql.fail{severity = 'high'}", QL_EPARSE, "string expected");
    body_fails(state, "ql.fail{event = 'x', context = {1}}", QL_EPARSE, "context");
    body_fails(state, "ql.fail{event = 'x', recoverable = 'no'}", QL_EPARSE, "boolean");
    body_fails(state, "ql.cursor('thing', -1)", QL_EPARSE, "negative");
}

static void validate_that_fails_is_a_failure(void **state)
{
    body_fails(state, "error('broken')", QL_EPARSE, "script.lua: validate: ");
    body_fails(state, "local x = nil; return x.y", QL_EPARSE, "attempt to index a nil value");
    body_fails(state, "error(setmetatable({}, {__tostring = function() return 'x' end}))", QL_EPARSE,
               "a table value");
    body_fails(state, "error(nil)", QL_EPARSE, "a nil value");
    body_fails(state, "return 7", QL_EPARSE,
               "state: wanted nothing, a text or a plain table, found a number");
    body_fails(state, "ql.fail{event = 'script.x'} error('later')", QL_EPARSE, "later");
}

static void helpers_encode_and_decode(void **state)
{
    body_says(
        state,
        "ql.fact('x', {ql.hex(ql.sha256('abc')), ql.unhex('4142'), ql.base64('\\0\\1'), "
        "ql.unbase64('QUI='),\n"
        "ql.match('^/(?!oem/|usr/local/)', '/etc/x'), ql.match('^/(?!oem/)', '/oem/x'),\n"
        "ql.json.encode(ql.json.decode('{\"b\":[],\"a\":{},\"c\":[null,1.5,\"\\\\u00fc\"]}'))})",
        "fact x [\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\",\"AB\",\"AAE=\",\"AB\","
        "true,false,\"{\\\"a\\\":{},\\\"b\\\":[],\\\"c\\\":[null,1.5,\\\"\xc3\xbc\\\"]}\"]\n");
    body_fails(state, "ql.unhex('abc')", QL_EPARSE, "ql.unhex");
    body_fails(state, "ql.unbase64('QUI')", QL_EPARSE, "ql.unbase64");
    body_fails(state, "ql.match('(', 'x')", QL_EPARSE, "ql.match");
    body_fails(state, "ql.json.decode('{\"a\":1,\"a\":2}')", QL_EPARSE, "the same key twice");
}

static void json_null_is_a_value_of_its_own(void **state)
{
    body_says(state,
              "local t = ql.json.decode('{\"a\":null}')\n"
              "ql.fact('x', {t.a == ql.json.null, t.b == nil, tostring(t.a), t})",
              "fact x [true,true,\"null\",{\"a\":null}]\n");
}

/* Judge twice, the second time with the state of the first. */
static void state_round(void **state, const char *body, struct ql_state *first, struct ql_state *second,
                        char *said)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    script_body(&s, *state, "", body, NULL);
    *first = *second = (struct ql_state){.size = sizeof *first};
    if (script_validate(&s, NULL, first, &err) != QL_OK)
        fail_msg("%s", err.text);
    if (script_validate(&s, first, second, &err) != QL_OK)
        fail_msg("%s", err.text);
    strcpy(said, s.judged.said);
    ql_plugin_memory_free((void *)(uintptr_t)first->data);
    ql_plugin_memory_free((void *)(uintptr_t)second->data);
    script_done(&s);
}

static void state_comes_back_as_it_was_given(void **state)
{
    struct ql_state first, second;
    char said[8192];

    state_round(state, "ql.fact('s', state and ql.hex(state) or 'none') return 'a\\0\\xff'", &first, &second,
                said);
    assert_string_equal(said, "fact s \"6100ff\"\n");
    assert_int_equal(first.changed, 1);
    assert_int_equal(second.changed, 0); /* the same again is no change */
    state_round(
        state,
        "if state then ql.fact('s', state) end return {n = (state and state.n or 0) + 1, l = {1, 'x'}}",
        &first, &second, said);
    assert_string_equal(said, "fact s {\"l\":[1,\"x\"],\"n\":1}\n");
    assert_int_equal(second.changed, 1);
    state_round(state, "if not state then return {} end ql.fact('s', type(state)) return nil", &first,
                &second, said);
    assert_string_equal(said, "fact s \"table\"\n");
    assert_int_equal(second.changed, 1);
    assert_int_equal(second.len, 0);
}

static void state_of_another_version_is_dropped(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;
    const struct ql_state old = {.size = sizeof old, .version = 2, .data = (const uint8_t *)"Sx", .len = 2};
    struct ql_state out = {.size = sizeof out};

    script_body(&s, *state, "", "ql.fact('s', state == nil)", NULL);
    assert_int_equal(script_validate(&s, &old, &out, &err), QL_OK);
    assert_string_equal(s.judged.said, "fact s true\n");
    assert_int_equal(out.changed, 1);
    assert_int_equal(out.len, 0);
    script_done(&s);
}

static void state_that_is_damaged_is_an_error(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;
    static const char *const texts[] = {"X", "J", "J{", "J{}x"};

    script_body(&s, *state, "", "", NULL);
    for (size_t i = 0; i < QL_ARRAY_LEN(texts); i++) {
        const struct ql_state bad = {
            .size = sizeof bad, .version = 1, .data = (const uint8_t *)texts[i], .len = strlen(texts[i])};

        assert_int_equal(script_validate(&s, &bad, NULL, &err), QL_EPARSE);
        assert_non_null(strstr(err.text, "kept state is damaged"));
    }
    script_done(&s);
}

static void state_beyond_the_limit_is_an_error(void **state)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;
    struct ql_state out = {.size = sizeof out};

    script_body(&s, *state, "", "return ('x'):rep(262143)", NULL);
    assert_int_equal(script_validate(&s, NULL, &out, &err), QL_OK);
    assert_int_equal(out.len, 262144);
    ql_plugin_memory_free((void *)(uintptr_t)out.data);
    script_done(&s);
    body_fails(state, "return ('x'):rep(262144)", QL_EPARSE, "state of 262144 bytes");
    body_fails(state, "return {('x'):rep(262144)}", QL_EPARSE, "262144 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(script_appears_as_an_ordinary_validator),
        TEST(script_may_return_a_list_whose_validators_are_ordered),
        TEST(script_is_refused_when_it_is_not_what_it_must_be),
        TEST(script_as_bytecode_is_refused),
        TEST(script_that_wants_a_clock_is_refused),
        TEST(script_longer_than_the_limit_is_refused),
        TEST(prepare_refuses_a_policy_in_the_scripts_words),
        TEST(prepare_takes_plain_data_only),
        TEST(needs_are_checked),
        TEST(needs_are_handed_on),
        TEST(validate_sees_what_was_proven),
        TEST(validate_walks_lines_of_evidence_and_of_text),
        TEST(validate_reports),
        TEST(validate_that_fails_is_a_failure),
        TEST(helpers_encode_and_decode),
        TEST(json_null_is_a_value_of_its_own),
        TEST(state_comes_back_as_it_was_given),
        TEST(state_of_another_version_is_dropped),
        TEST(state_that_is_damaged_is_an_error),
        TEST(state_beyond_the_limit_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
