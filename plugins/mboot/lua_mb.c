/* SPDX-License-Identifier: Apache-2.0 */
#include "lua_mb.h"

#include <string.h>

#include "lua_parts.h"

#define TEST_TYPE    "mb.test"
#define COLLECT_TYPE "mb.collect"

struct mb_lua_run *mb_lua_run_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

_Noreturn void mb_lua_raise(lua_State *L, const char *text)
{
    (void)luaL_error(L, "%s", text); /* does not come back */
    __builtin_unreachable();
}

void *mb_lua_need(lua_State *L, void *p)
{
    if (!p)
        mb_lua_raise(L, "the policy is too large");
    return p;
}

/* ---- tests as Lua values ---- */

struct mb_node *mb_lua_push_node(lua_State *L, struct mb_lua_run *run, enum mb_kind kind)
{
    struct mb_node *n = mb_lua_need(L, mb_node_new(run->tests, kind));
    struct mb_node **box = lua_newuserdatauv(L, sizeof *box, 0);

    *box = n;
    luaL_setmetatable(L, TEST_TYPE);
    return n;
}

const struct mb_node *mb_lua_test(lua_State *L, int index)
{
    struct mb_node **box = luaL_testudata(L, index, TEST_TYPE);

    if (!box) {
        (void)luaL_error(L, "wanted a test, found a %s", luaL_typename(L, index));
        return NULL;
    }
    return *box;
}

struct mb_str mb_lua_copy_text(lua_State *L, struct mb_lua_run *run, int index)
{
    struct mb_str s;
    const char *text;

    if (lua_type(L, index) != LUA_TSTRING)
        (void)luaL_error(L, "wanted a text, found a %s", luaL_typename(L, index));
    text = lua_tolstring(L, index, &s.len);
    s.text = mb_lua_need(L, mb_arena_text(&run->tests->arena, text, s.len));
    return s;
}

/* The tests in a list at @p index. */
static void take_list(lua_State *L, struct mb_lua_run *run, int index, struct mb_node *n)
{
    const struct mb_node **list;

    luaL_checktype(L, index, LUA_TTABLE);
    n->count = lua_rawlen(L, index);
    run->host->lua_charge(L, n->count);
    if (n->count > MB_NODES_MAX || run->host->lua_push_keys(L, index) != n->count)
        mb_lua_raise(L, "wanted a list of tests without gaps or names");
    lua_pop(L, 1);
    list = mb_lua_need(L, mb_arena_alloc(&run->tests->arena, (n->count + 1) * sizeof *list));
    for (size_t i = 0; i < n->count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        list[i] = mb_lua_test(L, -1);
        lua_pop(L, 1);
    }
    n->list = list;
}

static int mb_accept(lua_State *L)
{
    (void)mb_lua_push_node(L, mb_lua_run_of(L), MB_ACCEPT);
    return 1;
}

static int mb_reject(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_str why = mb_lua_copy_text(L, run, 1);

    if (why.len == 0)
        mb_lua_raise(L, "mb.reject: wanted a reason");
    mb_lua_push_node(L, run, MB_REJECT)->text = why;
    return 1;
}

static int combine(lua_State *L, enum mb_kind kind)
{
    struct mb_lua_run *run = mb_lua_run_of(L);

    take_list(L, run, 1, mb_lua_push_node(L, run, kind));
    return 1;
}

static int mb_all(lua_State *L)
{
    return combine(L, MB_ALL);
}

static int mb_any(lua_State *L)
{
    return combine(L, MB_ANY);
}

static int mb_tuple(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_node *n;
    int pad = 0;

    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "pad");
        pad = lua_toboolean(L, -1);
    }
    n = mb_lua_push_node(L, run, MB_TUPLE);
    n->number = pad;
    take_list(L, run, 1, n);
    return 1;
}

/* ---- dispatch ---- */

void mb_lua_take_key(lua_State *L, int index, struct mb_tuple *t)
{
    size_t len = 0;
    const char *text;
    bool fits;

    if (lua_isinteger(L, index)) {
        fits = mb_tuple_add_int(t, lua_tointeger(L, index));
    } else if (lua_type(L, index) == LUA_TSTRING) {
        text = lua_tolstring(L, index, &len);
        fits = mb_tuple_add_text(t, text, len);
    } else {
        (void)luaL_error(L, "a key is a text or a whole number, found a %s", luaL_typename(L, index));
        return;
    }
    if (!fits)
        mb_lua_raise(L, "the keys of a row are too long");
}

void mb_lua_add_row(lua_State *L, struct mb_lua_run *run, struct mb_rows *rows, const struct mb_tuple *t,
                    const struct mb_node *test)
{
    const int r = mb_rows_add(run->tests, rows, t, test);

    if (r == QL_EEXIST)
        mb_lua_raise(L, "there is a row with these keys already");
    if (r < 0)
        mb_lua_raise(L, "the policy is too large");
}

struct mb_rows *mb_lua_new_rows(lua_State *L, struct mb_lua_run *run)
{
    return mb_lua_need(L, mb_arena_alloc(&run->tests->arena, sizeof(struct mb_rows)));
}

/* d:set({keys…}, test) */
static int dispatch_set(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    const struct mb_node *n = mb_lua_test(L, 1), *test;
    struct mb_tuple t = {.len = 0};

    if (n->kind != MB_DISPATCH)
        mb_lua_raise(L, "set: only for mb.dispatch");
    luaL_checktype(L, 2, LUA_TTABLE);
    test = mb_lua_test(L, 3);
    if (lua_rawlen(L, 2) != n->rows->key_count)
        (void)luaL_error(L, "set: wanted %d keys, found %d", (int)n->rows->key_count, (int)lua_rawlen(L, 2));
    for (size_t i = 1; i <= n->rows->key_count; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i);
        mb_lua_take_key(L, -1, &t);
        lua_pop(L, 1);
    }
    mb_lua_add_row(L, run, n->rows, &t, test);
    lua_settop(L, 1);
    return 1;
}

static int mb_dispatch(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_node *n;
    size_t keys;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    keys = lua_rawlen(L, 1);
    if (keys == 0 || keys > MB_KEYS_MAX)
        (void)luaL_error(L, "mb.dispatch: wanted 1 to %d field names", MB_KEYS_MAX);
    n = mb_lua_push_node(L, run, MB_DISPATCH);
    n->rows = mb_lua_new_rows(L, run);
    n->rows->key_count = keys;
    for (size_t i = 0; i < keys; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        n->rows->keys[i] = mb_lua_copy_text(L, run, -1);
        lua_pop(L, 1);
    }
    if (lua_isnil(L, 2))
        return 1;
    luaL_checktype(L, 2, LUA_TTABLE);
    for (size_t row = 1; row <= lua_rawlen(L, 2); row++) {
        struct mb_tuple t = {.len = 0};
        const struct mb_node *test;
        const int top = lua_gettop(L);

        if (lua_rawgeti(L, 2, (lua_Integer)row) != LUA_TTABLE || lua_rawlen(L, -1) != keys + 1)
            (void)luaL_error(L, "mb.dispatch: row %d: wanted %d keys and a test", (int)row, (int)keys);
        for (size_t i = 1; i <= keys; i++) {
            lua_rawgeti(L, top + 1, (lua_Integer)i);
            mb_lua_take_key(L, -1, &t);
        }
        lua_rawgeti(L, top + 1, (lua_Integer)keys + 1);
        test = mb_lua_test(L, -1);
        lua_settop(L, top);
        mb_lua_add_row(L, run, n->rows, &t, test);
    }
    return 1;
}

/* ---- fields and lists ---- */

static int mb_field(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    const struct mb_str name = mb_lua_copy_text(L, run, 1);
    const struct mb_node *child = mb_lua_test(L, 2);
    struct mb_node *n = mb_lua_push_node(L, run, MB_FIELD);

    n->text = name;
    n->child = child;
    n->number = 1;
    return 1;
}

static int mb_fields(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    const struct mb_node **list;
    struct mb_node *all;
    size_t count;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    count = run->host->lua_push_keys(L, 1);
    list = mb_lua_need(L, mb_arena_alloc(&run->tests->arena, (count + 1) * sizeof *list));
    for (size_t i = 0; i < count; i++) {
        struct mb_node *n;

        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        lua_pushvalue(L, -1);
        lua_rawget(L, 1);
        n = mb_lua_push_node(L, run, MB_FIELD);
        n->text = mb_lua_copy_text(L, run, 3);
        n->child = mb_lua_test(L, 4);
        n->number = 1;
        list[i] = n;
        lua_settop(L, 2);
    }
    all = mb_lua_push_node(L, run, MB_ALL);
    all->list = list;
    all->count = count;
    return 1;
}

static int mb_lua_around(lua_State *L, enum mb_kind kind, int index)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    const struct mb_node *child = mb_lua_test(L, index);
    struct mb_node *n = mb_lua_push_node(L, run, kind);

    n->child = child;
    if (kind == MB_ONCE || kind == MB_TIMES)
        n->slot = run->tests->counters++;
    return 1;
}

static int mb_each(lua_State *L)
{
    return mb_lua_around(L, MB_EACH, 1);
}

static int mb_once(lua_State *L)
{
    return mb_lua_around(L, MB_ONCE, 1);
}

static int mb_verified(lua_State *L)
{
    return mb_lua_around(L, MB_VERIFIED_BY, 1);
}

static int mb_times(lua_State *L)
{
    const lua_Integer times = luaL_checkinteger(L, 1);

    if (times < 1 || times > MB_EVENTS_MAX)
        (void)luaL_error(L, "mb.times: wanted 1 to %d", MB_EVENTS_MAX);
    (void)mb_lua_around(L, MB_TIMES, 2); /* pushes one value */
    (*(struct mb_node **)lua_touserdata(L, -1))->number = times;
    return 1;
}

/* ---- collect ---- */

/** What `mb.collect` returns. */
struct collect {
    const struct mb_str *names;
    const uint32_t *slots;
    size_t count;
};

static int mb_collect(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_str *names;
    uint32_t *slots;
    struct collect *c;
    size_t count;

    luaL_checktype(L, 1, LUA_TTABLE);
    count = lua_rawlen(L, 1);
    if (count == 0 || count > 256)
        mb_lua_raise(L, "mb.collect: wanted 1 to 256 names");
    names = mb_lua_need(L, mb_arena_alloc(&run->tests->arena, count * sizeof *names));
    slots = mb_lua_need(L, mb_arena_alloc(&run->tests->arena, count * sizeof *slots));
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i + 1);
        names[i] = mb_lua_copy_text(L, run, -1);
        slots[i] = run->tests->lists++;
        lua_pop(L, 1);
    }
    if (run->tests->lists > MB_NODES_MAX)
        mb_lua_raise(L, "the policy is too large");
    c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (struct collect){names, slots, count};
    luaL_setmetatable(L, COLLECT_TYPE);
    return 1;
}

static int collect_into(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    const struct collect *c = luaL_checkudata(L, 1, COLLECT_TYPE);
    size_t len, i = 0;
    const char *name = luaL_checklstring(L, 2, &len);
    struct mb_node *n;

    while (i < c->count && (c->names[i].len != len || memcmp(c->names[i].text, name, len) != 0))
        i++;
    if (i == c->count)
        (void)luaL_error(L, "into: %s is none of the names collected", name);
    n = mb_lua_push_node(L, run, MB_INTO);
    n->slot = c->slots[i];
    n->text = c->names[i];
    return 1;
}

static struct mb_node *over_lists(lua_State *L, enum mb_kind kind)
{
    const struct collect *c = luaL_checkudata(L, 1, COLLECT_TYPE);
    struct mb_node *n = mb_lua_push_node(L, mb_lua_run_of(L), kind);

    n->types = c->names;
    n->slots = c->slots;
    n->count = c->count;
    return n;
}

static int collect_begin(lua_State *L)
{
    (void)over_lists(L, MB_BEGIN); /* pushed */
    return 1;
}

static int collect_finish(lua_State *L)
{
    const struct mb_node *child = mb_lua_test(L, 2);

    over_lists(L, MB_FINISH)->child = child;
    return 1;
}

/* A metatable of @p type whose methods are the functions; the run is their upvalue. */
static void make_type(lua_State *L, const char *type, const luaL_Reg *methods, int run)
{
    (void)luaL_newmetatable(L, type); /* pushed in any case */
    lua_newtable(L);
    lua_pushvalue(L, run);
    luaL_setfuncs(L, methods, 1);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

int mb_lua_setup(lua_State *L)
{
    static const luaL_Reg functions[] = {{"accept", mb_accept},     {"reject", mb_reject},
                                         {"all", mb_all},           {"any", mb_any},
                                         {"dispatch", mb_dispatch}, {"field", mb_field},
                                         {"fields", mb_fields},     {"each", mb_each},
                                         {"tuple", mb_tuple},       {"collect", mb_collect},
                                         {"once", mb_once},         {"times", mb_times},
                                         {"verified", mb_verified}, {NULL, NULL}};
    static const luaL_Reg test_methods[] = {{"set", dispatch_set}, {NULL, NULL}};
    static const luaL_Reg collect_methods[] = {
        {"into", collect_into}, {"begin", collect_begin}, {"finish", collect_finish}, {NULL, NULL}};
    struct mb_lua_run *run = lua_touserdata(L, 2);

    luaL_checkstack(L, 20, NULL);
    run->L = L;
    make_type(L, TEST_TYPE, test_methods, 2);
    make_type(L, COLLECT_TYPE, collect_methods, 2);
    lua_newtable(L);
    lua_pushvalue(L, 2);
    luaL_setfuncs(L, functions, 1);
    lua_pushvalue(L, 2);
    luaL_setfuncs(L, mb_lua_value_tests, 1);
    lua_pushvalue(L, 2);
    luaL_setfuncs(L, mb_lua_calls, 1);
    mb_lua_add_helpers(L);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    run->host->lua_freeze(L);
    lua_setfield(L, 1, "mb");
    lua_pushvalue(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, MB_GLOBALS_KEY);
    return 0;
}
