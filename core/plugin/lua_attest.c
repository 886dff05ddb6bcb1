/* SPDX-License-Identifier: Apache-2.0 */
/* The argument `attest` of a Lua validator: proven facts, fetched when they are looked at. */
#include "lua_call.h"

static const struct ql_attest *attest_of(lua_State *L)
{
    return ql_lua_call_of(L)->attest;
}

static int index_pcr(lua_State *L)
{
    const struct ql_attest *a = attest_of(L);
    const lua_Integer n = luaL_checkinteger(L, 2);
    size_t len = 0;
    const uint8_t *value = n >= 0 && n < 32 ? a->pcr(a, (uint32_t)n, &len) : NULL;

    if (value)
        lua_pushlstring(L, (const char *)value, len);
    else
        lua_pushnil(L);
    return 1;
}

static bool find_evidence(lua_State *L, const char *name, struct ql_evidence_data *data)
{
    const struct ql_attest *a = attest_of(L);

    *data = (struct ql_evidence_data){.size = sizeof *data};
    return a->evidence(a, name, data) == QL_OK;
}

static int index_evidence(lua_State *L)
{
    struct ql_evidence_data data;

    if (find_evidence(L, luaL_checkstring(L, 2), &data))
        lua_pushlstring(L, (const char *)data.data, data.len);
    else
        lua_pushnil(L);
    return 1;
}

static int index_cursor_from(lua_State *L)
{
    struct ql_evidence_data data;

    if (find_evidence(L, luaL_checkstring(L, 2), &data))
        lua_pushinteger(L, (lua_Integer)data.cursor_from);
    else
        lua_pushnil(L);
    return 1;
}

static int index_cursor_to(lua_State *L)
{
    struct ql_evidence_data data;

    if (find_evidence(L, luaL_checkstring(L, 2), &data))
        lua_pushinteger(L, (lua_Integer)data.cursor_to);
    else
        lua_pushnil(L);
    return 1;
}

static int index_facts(lua_State *L)
{
    const struct ql_attest *a = attest_of(L);
    const json_t *fact = a->fact(a, luaL_checkstring(L, 2));

    if (fact)
        ql_lua_push_json(L, fact);
    else
        lua_pushnil(L);
    return 1;
}

/* attest.lines(NAME): large evidence line by line, never copied as a whole. */
static int attest_lines(lua_State *L)
{
    struct ql_evidence_data data;
    const char *name = luaL_checkstring(L, 1);

    if (!find_evidence(L, name, &data))
        return luaL_error(L, "no evidence %s", name);
    ql_lua_push_lines(L, (const char *)data.data, data.len, 1);
    return 1;
}

/* A member of the table on top that asks the host for each of its own. */
static void set_asking(lua_State *L, const char *name, lua_CFunction index)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_pushcfunction(L, index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, ql_lua_refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, name);
}

void ql_lua_push_attest(lua_State *L)
{
    const struct ql_attest *a = attest_of(L);

    lua_newtable(L);
    lua_pushstring(L, a->agent_id);
    lua_setfield(L, -2, "agent_id");
    lua_pushstring(L, a->hash_alg);
    lua_setfield(L, -2, "hash_alg");
    lua_pushinteger(L, (lua_Integer)a->clock);
    lua_setfield(L, -2, "clock");
    lua_pushinteger(L, a->reset_count);
    lua_setfield(L, -2, "reset_count");
    lua_pushinteger(L, a->restart_count);
    lua_setfield(L, -2, "restart_count");
    lua_pushboolean(L, a->is_first != 0);
    lua_setfield(L, -2, "is_first");
    ql_lua_push_json(L, a->options);
    lua_setfield(L, -2, "options");
    set_asking(L, "pcr", index_pcr);
    set_asking(L, "evidence", index_evidence);
    set_asking(L, "cursor_from", index_cursor_from);
    set_asking(L, "cursor_to", index_cursor_to);
    set_asking(L, "facts", index_facts);
    lua_pushcfunction(L, attest_lines);
    lua_setfield(L, -2, "lines");
    ql_lua_freeze(L);
}
