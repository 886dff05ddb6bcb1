/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON and Lua values. Objects are tables with texts as keys, arrays tables with keys 1 to n, null is
 * ql.json.null.
 */
#include <math.h>
#include <string.h>

#include "buf.h"
#include "json.h"
#include "lua_call.h"

/* An empty table would be an object; the metatable of this name says that it is an array. */
#define ARRAY_MARK "quicklime.array"

static void push_value(lua_State *L, const json_t *value, unsigned depth)
{
    size_t i;
    const char *key;
    json_t *item;

    /* The parser has the same limit; a fact may be of a C validator's making. */
    if (depth > QL_JSON_DEPTH)
        luaL_error(L, "JSON is nested deeper than %d", QL_JSON_DEPTH);
    ql_lua_need_stack(L, 4);
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        void *at = json_object_iter((json_t *)(uintptr_t)value);

        lua_createtable(L, 0, (int)json_object_size(value));
        for (; at; at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
            key = json_object_iter_key(at);
            lua_pushlstring(L, key, json_object_iter_key_len(at));
            push_value(L, json_object_iter_value(at), depth + 1);
            lua_rawset(L, -3);
        }
        return;
    }
    case JSON_ARRAY:
        lua_createtable(L, (int)json_array_size(value), 0);
        if (json_array_size(value) == 0) {
            (void)luaL_newmetatable(L, ARRAY_MARK); /* made once, or there already: pushed either way */
            lua_setmetatable(L, -2);
        }
        json_array_foreach(value, i, item) {
            push_value(L, item, depth + 1);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        return;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        return;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(value));
        return;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(value));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(value));
        return;
    case JSON_NULL:
        break;
    }
    lua_pushlightuserdata(L, NULL);
}

void ql_lua_push_json(lua_State *L, const json_t *value)
{
    push_value(L, value, 0);
}

/** One conversion to JSON. What is made hangs on the call's scratch from the first moment. */
struct making {
    lua_State *L;
    size_t nodes, text_len;
    unsigned depth;
};

/* Texts are copied out of Lua's memory, each time they occur: they need a limit of their own. */
static void count_text(struct making *m, size_t len)
{
    ql_lua_charge(m->L, len / QL_LUA_BYTES_PER_INSTRUCTION);
    if (len > QL_LUA_JSON_MAX - m->text_len)
        luaL_error(m->L, "more than %d bytes of text in one JSON document", QL_LUA_JSON_MAX);
    m->text_len += len;
}

static json_t *make(struct making *m, int index, json_t *parent, const char *key, size_t key_len);

static json_t *attach(struct making *m, json_t *parent, const char *key, size_t key_len, json_t *value)
{
    struct ql_lua_call *c = ql_lua_call_of(m->L);
    int failed = 0;

    if (!value)
        luaL_error(m->L, "out of memory");
    if (!parent) {
        json_decref(c->scratch);
        c->scratch = value;
    } else if (key) {
        failed = json_object_setn_new(parent, key, key_len, value);
    } else {
        failed = json_array_append_new(parent, value);
    }
    if (failed)
        luaL_error(m->L, "out of memory");
    return value;
}

/* Array: keys 1 to n and nothing else; they are sorted. */
static bool is_array(lua_State *L, int table, int keys, size_t count)
{
    bool is = true;

    if (count == 0) {
        if (!lua_getmetatable(L, table))
            return false;
        (void)luaL_getmetatable(L, ARRAY_MARK); /* nil is another metatable, too */
        is = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
        return is;
    }
    for (size_t i = 1; is && i <= count; i++) {
        lua_rawgeti(L, keys, (lua_Integer)i);
        is = lua_isinteger(L, -1) && lua_tointeger(L, -1) == (lua_Integer)i;
        lua_pop(L, 1);
    }
    return is;
}

static json_t *make_table(struct making *m, int index, json_t *parent, const char *key, size_t key_len)
{
    lua_State *L = m->L;
    size_t count;
    json_t *made;
    int keys;
    bool array;

    if (ql_lua_is_frozen(L, index))
        luaL_error(L, "a table of the host cannot become JSON");
    if (++m->depth > QL_JSON_DEPTH)
        luaL_error(L, "JSON is nested deeper than %d", QL_JSON_DEPTH);
    count = ql_lua_push_keys(L, index);
    keys = lua_gettop(L);
    array = is_array(L, index, keys, count);
    made = attach(m, parent, key, key_len, array ? json_array() : json_object());
    for (size_t i = 1; i <= count; i++) {
        size_t name_len = 0;
        const char *name = NULL;

        lua_rawgeti(L, keys, (lua_Integer)i);
        if (!array && lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "a table with keys other than texts, or than 1 to n, cannot become JSON");
        lua_pushvalue(L, -1);
        lua_rawget(L, index);
        if (!array)
            name = lua_tolstring(L, -2, &name_len);
        count_text(m, name_len);
        make(m, lua_gettop(L), made, name, name_len);
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    m->depth--;
    return made;
}

static json_t *make(struct making *m, int index, json_t *parent, const char *key, size_t key_len)
{
    lua_State *L = m->L;
    size_t len;
    const char *text;
    json_t *made;

    ql_lua_need_stack(L, 8);
    ql_lua_charge(L, 8);
    if (++m->nodes > QL_LUA_JSON_NODES)
        luaL_error(L, "more than %d values in one JSON document", QL_LUA_JSON_NODES);
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return attach(m, parent, key, key_len, json_null());
    case LUA_TBOOLEAN:
        return attach(m, parent, key, key_len, json_boolean(lua_toboolean(L, index)));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return attach(m, parent, key, key_len, json_integer(lua_tointeger(L, index)));
        if (!isfinite(lua_tonumber(L, index)))
            luaL_error(L, "a number that is not finite cannot become JSON");
        return attach(m, parent, key, key_len, json_real(lua_tonumber(L, index)));
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &len);
        count_text(m, len);
        made = json_stringn(text, len);
        if (!made)
            luaL_error(L, "a text that is not UTF-8 cannot become JSON (ql.hex or ql.base64 make it one)");
        return attach(m, parent, key, key_len, made);
    case LUA_TLIGHTUSERDATA:
        return attach(m, parent, key, key_len, json_null());
    case LUA_TTABLE:
        return make_table(m, index, parent, key, key_len);
    default:
        luaL_error(L, "a %s cannot become JSON", luaL_typename(L, index));
        return NULL;
    }
}

json_t *ql_lua_to_json(lua_State *L, int index)
{
    struct making m = {.L = L};

    return make(&m, lua_absindex(L, index), NULL, NULL, 0);
}

static int add_text(const char *data, size_t len, void *arg)
{
    return ql_buf_add(arg, data, len) == QL_OK ? 0 : -1;
}

const char *ql_lua_to_json_text(lua_State *L, int index, size_t max_len, size_t *ret_len)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    const json_t *value = ql_lua_to_json(L, index);
    struct ql_buf out = ql_buf_init(max_len);
    int failed = json_dump_callback(value, add_text, &out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

    free(c->buffer);
    c->buffer = NULL;
    if (failed || out.failed) {
        ql_buf_done(&out);
        luaL_error(L, "JSON does not fit into %I bytes", (lua_Integer)max_len);
    }
    ql_lua_charge(L, out.len / QL_LUA_BYTES_PER_INSTRUCTION);
    c->buffer = ql_buf_take(&out, ret_len);
    return c->buffer;
}

static int json_decode(lua_State *L)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    struct ql_err err = QL_ERR_INIT;
    json_t *value = NULL;
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    ql_lua_charge(L, len);
    if (ql_json_parse(text, len, QL_LUA_JSON_MAX, &value, &err) < 0)
        return luaL_error(L, "%s", err.text);
    json_decref(c->scratch);
    c->scratch = value;
    push_value(L, value, 0);
    json_decref(c->scratch);
    c->scratch = NULL;
    return 1;
}

static int json_encode(lua_State *L)
{
    size_t len = 0;
    const char *text;

    luaL_checkany(L, 1);
    text = ql_lua_to_json_text(L, 1, QL_LUA_JSON_MAX, &len);
    lua_pushlstring(L, text, len);
    return 1;
}

/* ql.json.array(t): mark a table as array, so that it is one even when it is empty. */
static int json_mark_array(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_getmetatable(L, 1))
        return luaL_error(L, "table has a metatable");
    (void)luaL_newmetatable(L, ARRAY_MARK); /* pushed in any case */
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

void ql_lua_push_json_library(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", json_decode}, {"encode", json_encode}, {"array", json_mark_array}, {NULL, NULL}};

    luaL_newlib(L, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    ql_lua_freeze(L);
}
