/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <stdio.h>
#include <string.h>

#include "lua_mb.h"
#include "tree.h"

struct mb_policy {
    const struct mb_workshop *shop;
    const struct mb_script *script;
    json_t *refstate;
    struct mb_tests tests;
    const struct mb_node *test; /* NULL: the script has `evaluate` */
    uint32_t pcrs;              /* relevant; 0: none named */
};

/** Argument of a run; begins with what lua_mb.c wants. */
struct run {
    struct mb_lua_run lua;
    struct mb_policy *making;      /* prepare */
    const struct mb_policy *asked; /* evaluate */
    struct mb_eval eval;
    const json_t *tree; /* of `evaluate` */
    bool accepted;
    char *why;
};

static void check_known(lua_State *L, int table)
{
    static const char *const known[] = {"kind",    "name",     "summary", "relevant_pcrs",
                                        "prepare", "evaluate", "parts",   NULL};

    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        size_t i = 0;

        while (known[i] && (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), known[i]) != 0))
            i++;
        if (!known[i])
            luaL_error(L, "unknown field %s",
                       lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "that is no text");
    }
}

static uint32_t relevant_pcrs(lua_State *L, int table)
{
    uint32_t mask = 0;

    lua_getfield(L, table, "relevant_pcrs");
    if (lua_isnil(L, -1))
        return 0;
    luaL_checktype(L, -1, LUA_TTABLE);
    for (size_t i = 1; i <= lua_rawlen(L, -1); i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0 || lua_tointeger(L, -1) >= MB_PCR_COUNT)
            luaL_error(L, "relevant_pcrs: a PCR is a number from 0 to %d", MB_PCR_COUNT - 1);
        mask |= UINT32_C(1) << lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    if ((mask & ~MB_COLLECTED_PCRS) != 0)
        luaL_error(L, "relevant_pcrs: no boot log accounts for PCR 10 and for those above 15");
    return mask;
}

/* Argument 1: what the script returned; leaves the stack as it was. @return the test, NULL: it has `evaluate` */
static const struct mb_node *prepare(lua_State *L, const struct run *run, const json_t *refstate)
{
    const struct mb_node *test;

    if (!lua_istable(L, 1))
        luaL_error(L, "wanted a table with kind, name and prepare, found a %s", luaL_typename(L, 1));
    check_known(L, 1);
    lua_getfield(L, 1, "kind");
    if (lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), "mb-policy") != 0)
        luaL_error(L, "kind: wanted \"mb-policy\"");
    lua_getfield(L, 1, "prepare");
    lua_getfield(L, 1, "evaluate");
    if (lua_isfunction(L, -1) == lua_isfunction(L, -2))
        luaL_error(L, "wanted one of the functions prepare and evaluate");
    if (lua_isfunction(L, -1)) {
        lua_settop(L, 1);
        return NULL;
    }
    lua_pop(L, 1);
    run->lua.host->lua_push_json(L, refstate);
    lua_call(L, 1, 1);
    test = mb_lua_test(L, -1);
    lua_settop(L, 1);
    return test;
}

static int prepare_body(lua_State *L)
{
    struct run *run = lua_touserdata(L, 2);
    struct mb_policy *p = run->making;

    lua_settop(L, 1);
    p->test = prepare(L, run, p->refstate);
    p->pcrs = relevant_pcrs(L, 1);
    return 0;
}

/* `evaluate(ref, log)`: nil accepts, a text is the reason; anything else is a fault. */
static void ask_function(lua_State *L, struct run *run)
{
    const char *why;

    lua_getfield(L, 1, "evaluate");
    run->lua.host->lua_push_json(L, run->asked->refstate);
    run->lua.host->lua_push_json(L, run->tree);
    if (run->eval.log) {
        lua_pushstring(L, run->eval.log->banks[run->eval.bank].name);
        lua_setfield(L, -2, "bank");
    }
    lua_call(L, 2, 1);
    if (lua_isnil(L, -1)) {
        run->accepted = true;
        return;
    }
    why = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    (void)snprintf(run->why, MB_REASON_MAX, "%s",
                   *why ? why : "evaluate returned neither nil nor a reason"); /* cut short is fine */
}

static int evaluate_body(lua_State *L)
{
    struct run *run = lua_touserdata(L, 2);
    const struct mb_value root = {.kind = run->eval.log ? MB_V_ROOT : MB_V_JSON, .json = run->tree};
    const struct mb_node *test;

    lua_settop(L, 1);
    test = prepare(L, run, run->asked->refstate);
    if (!test) {
        ask_function(L, run);
        return 0;
    }
    if (mb_eval_init(&run->eval) < 0)
        return luaL_error(L, "out of memory");
    run->accepted = mb_why_not(&run->eval, test, &root);
    if (!run->accepted)
        memcpy(run->why, run->eval.reason, MB_REASON_MAX);
    return 0;
}

static int run_script(const struct mb_policy *p, struct run *run, struct mb_tests *tests,
                      const char *function, lua_CFunction body, struct ql_err *err)
{
    const struct ql_host *h = p->shop->host;
    char name[64];
    const struct ql_lua_job job = {
        .size = sizeof job,
        .name = name,
        .function = function,
        .source = p->script->text,
        .source_len = p->script->len,
        .setup = mb_lua_setup,
        .body = body,
        .arg = run,
        .memory = MB_POLICY_MEMORY,
        .instructions = MB_POLICY_INSTRUCTIONS,
    };
    int r;

    (void)snprintf(name, sizeof name, "%s.lua", p->script->name);
    run->lua = (struct mb_lua_run){
        .host = h, .tests = tests, .hasher = p->shop->hasher, .scripts = p->shop->scripts};
    r = h->lua_run(h, &job, err);
    mb_lua_run_done(&run->lua);
    return r;
}

int mb_policy_new(const struct mb_workshop *shop, const char *name, json_t *refstate, struct mb_policy **ret,
                  struct ql_err *err)
{
    const struct ql_host *h = shop->host;
    const struct mb_script *script = mb_scripts_find(shop->scripts, name);
    struct mb_policy *p;
    struct run run = {0};
    int r;

    if (!script)
        return h->fail(err, QL_ENOTFOUND, "there is no measured boot policy %.64s", name);
    if (h->size < offsetof(struct ql_host, lua_error_limit) + sizeof h->lua_error_limit)
        return h->fail(err, QL_EABI, "this host has no Lua for plugins");
    p = h->alloc(h, sizeof *p);
    if (!p)
        return h->fail(err, QL_ENOMEM, "out of memory");
    *p = (struct mb_policy){.shop = shop, .script = script, .refstate = json_incref(refstate)};
    mb_tests_init(&p->tests, h);
    run.making = p;
    r = run_script(p, &run, &p->tests, "prepare", prepare_body, err);
    if (r < 0) {
        mb_policy_free(p);
        return r;
    }
    *ret = p;
    return QL_OK;
}

void mb_policy_free(struct mb_policy *p)
{
    if (!p)
        return;
    mb_tests_done(&p->tests);
    json_decref(p->refstate);
    p->shop->host->free(p->shop->host, p);
}

uint32_t mb_policy_pcrs(const struct mb_policy *p)
{
    return p->pcrs ? p->pcrs : MB_COLLECTED_PCRS;
}

size_t mb_policy_size(const struct mb_policy *p)
{
    return sizeof *p + p->tests.arena.used + p->tests.regex_count * 1024;
}

static bool ask_lua(const struct mb_policy *p, const struct mb_question *q, struct mb_eval *eval,
                    char why[MB_REASON_MAX])
{
    const struct ql_host *h = p->shop->host;
    const struct mb_tree_options options = {.bank = q->bank, .has_verified = true};
    struct run run = {.asked = p, .eval = *eval, .tree = q->tree, .why = why};
    struct ql_err err = QL_ERR_INIT;
    struct mb_tests tests;
    json_t *tree = NULL;
    int r = QL_OK;

    mb_tests_init(&tests, h);
    run.eval.tests = &tests;
    run.eval.call = mb_lua_call_fn;
    run.eval.call_arg = &run.lua;
    if (!p->test && q->log)
        r = mb_tree_json(p->shop->hasher, q->log, &options, &tree, &err);
    if (tree)
        run.tree = tree;
    if (r == QL_OK)
        r = run_script(p, &run, &tests, p->test ? "test" : "evaluate", evaluate_body, &err);
    if (r < 0) {
        (void)snprintf(why, MB_REASON_MAX, "policy evaluation failed: %s", err.text);
        run.accepted = false;
    }
    mb_eval_done(&run.eval);
    mb_tests_done(&tests);
    json_decref(tree);
    return run.accepted;
}

bool mb_policy_accepts(const struct mb_policy *p, const struct mb_question *q, char why[MB_REASON_MAX])
{
    const struct ql_host *h = p->shop->host;
    const int64_t deadline = h->deadline_ns ? h->deadline_ns(h) : INT64_MAX;
    const struct mb_value root = {.kind = q->log ? MB_V_ROOT : MB_V_JSON, .json = q->tree};
    struct mb_eval eval = {
        .tests = &p->tests,
        .hasher = p->shop->hasher,
        .log = q->log,
        .bank = q->bank,
        .trace = q->trace,
        .trace_arg = q->trace_arg,
        .deadline_ns = deadline == INT64_MAX ? 0 : deadline,
    };
    bool accepted;

    why[0] = '\0';
    if (!p->test || p->tests.uses_lua)
        return ask_lua(p, q, &eval, why);
    if (mb_eval_init(&eval) < 0) {
        (void)snprintf(why, MB_REASON_MAX, "policy evaluation failed: out of memory");
        return false;
    }
    accepted = mb_why_not(&eval, p->test, &root);
    if (!accepted)
        (void)snprintf(why, MB_REASON_MAX, "%s", eval.reason[0] ? eval.reason : "no reason was given");
    mb_eval_done(&eval);
    return accepted;
}
