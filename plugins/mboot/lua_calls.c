/* SPDX-License-Identifier: Apache-2.0 */
/* The table mb: functions of the script as tests, tests as functions, and other policies. */
#include "lua_parts.h"
#include "scripts.h"

static int mb_fn(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_node *n;
    int ref;

    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    ref = luaL_ref(L, LUA_REGISTRYINDEX);
    n = mb_lua_push_node(L, run, MB_FN);
    n->slot = (uint32_t)ref;
    run->tests->uses_lua = true;
    return 1;
}

/* What was collected, as a table of lists. */
static bool push_lists(struct mb_eval *e, const struct mb_lua_run *run, const struct mb_value *v)
{
    json_t *owned = NULL;
    const json_t *j = mb_value_json(e, v, &owned);

    if (!j)
        return false;
    /* A limit inside leaves by longjmp: what is owned hangs on the evaluation first. */
    if (owned) {
        json_decref(e->scratch);
        e->scratch = owned;
    }
    run->host->lua_push_json(run->L, j);
    return true;
}

int mb_lua_call_fn(struct mb_eval *e, const struct mb_node *node, const struct mb_value *v)
{
    const struct mb_lua_run *run = e->call_arg;
    lua_State *L = run->L;
    const int top = lua_gettop(L);
    size_t len;
    const char *why;

    if (!lua_checkstack(L, 8))
        return mb_break(e, "out of memory");
    lua_rawgeti(L, LUA_REGISTRYINDEX, (lua_Integer)node->slot);
    if (!push_lists(e, run, v))
        return lua_settop(L, top), false;
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1)) {
        lua_settop(L, top);
        return true;
    }
    why = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
    if (!why || len == 0)
        (void)mb_break(e, "a function of the policy returned neither nil nor a reason");
    else
        (void)mb_refuse(e, "%s", why);
    lua_settop(L, top);
    return false;
}

/* mb.run(test, subject): nil or the reason. */
static int mb_run(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    const struct mb_node *test = mb_lua_test(L, 1);
    struct mb_value v = {.kind = MB_V_JSON};
    struct mb_eval *e;
    bool accepted;

    luaL_checkany(L, 2);
    lua_settop(L, 2);
    if (run->eval_count == MB_LUA_EVALS_MAX)
        mb_lua_raise(L, "mb.run: too many at once");
    e = mb_lua_need(L, run->host->alloc(run->host, sizeof *e));
    *e =
        (struct mb_eval){.tests = run->tests, .hasher = run->hasher, .call = mb_lua_call_fn, .call_arg = run};
    run->evals[run->eval_count++] = e; /* freed with the run, should a limit end it */
    if (mb_eval_init(e) < 0)
        mb_lua_raise(L, "out of memory");
    e->subject = json_incref(run->host->lua_to_json(L, 2));
    v.json = e->subject;
    accepted = mb_why_not(e, test, &v);
    run->host->lua_charge(L, e->steps);
    if (accepted)
        lua_pushnil(L);
    else
        lua_pushstring(L, e->reason);
    if (e->broken)
        (void)lua_error(L);
    run->eval_count--;
    mb_eval_done(e);
    run->host->free(run->host, e);
    return 1;
}

void mb_lua_run_done(struct mb_lua_run *run)
{
    while (run->eval_count > 0) {
        struct mb_eval *e = run->evals[--run->eval_count];

        mb_eval_done(e);
        run->host->free(run->host, e);
    }
}

/* mb.policy(name): the table that the script of this name returns. */
static int mb_policy(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    const char *name = luaL_checkstring(L, 1);
    const struct mb_script *s = mb_scripts_find(run->scripts, name);

    if (!s)
        return luaL_error(L, "mb.policy: there is no policy %s", name);
    run->host->lua_charge(L, s->len);
    if (luaL_loadbufferx(L, s->text, s->len, s->name, "t") != LUA_OK)
        return lua_error(L);
    /* Its own environment, behind which stand the same globals. */
    lua_newtable(L);
    lua_newtable(L);
    lua_getfield(L, LUA_REGISTRYINDEX, MB_GLOBALS_KEY);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    if (!lua_setupvalue(L, -2, 1))
        return luaL_error(L, "mb.policy: chunk without environment");
    lua_call(L, 0, 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    return 1;
}

const luaL_Reg mb_lua_calls[] = {{"fn", mb_fn}, {"run", mb_run}, {"policy", mb_policy}, {NULL, NULL}};
