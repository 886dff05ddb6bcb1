/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String functions that search: Lua's patterns over our own matcher, so that the instruction limit holds
 * inside, too.
 */
#include <string.h>

#include "lua_call.h"
#include "pattern.h"

#define SPECIALS "^$*+?.([%-"

/* Match once; the steps are charged, an error is raised. */
static const char *match_at(lua_State *L, struct ql_pattern *m, const char *at)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    const char *end;

    m->steps_left = ql_lua_work_left(c);
    end = ql_pattern_match(m, at);
    /* At the limit, one more than what is left ends the call. */
    ql_lua_charge(L, ql_lua_work_left(c) - m->steps_left + (m->is_limit ? 1 : 0));
    if (m->error)
        luaL_error(L, "%s", m->error);
    return end;
}

/* Push capture n, or the whole match when there are none. */
static void push_capture(lua_State *L, const struct ql_pattern *m, unsigned n, const char *start,
                         const char *end)
{
    if (n >= m->capture_count) {
        if (n != 0)
            luaL_error(L, "invalid capture index %%%d", (int)n + 1);
        lua_pushlstring(L, start, (size_t)(end - start));
        return;
    }
    if (m->captures[n].len == QL_CAPTURE_POSITION)
        lua_pushinteger(L, m->captures[n].start - m->subject + 1);
    else
        lua_pushlstring(L, m->captures[n].start, (size_t)m->captures[n].len);
}

/* @param start NULL: without captures nothing is pushed */
static int push_captures(lua_State *L, const struct ql_pattern *m, const char *start, const char *end)
{
    unsigned count = m->capture_count == 0 && start ? 1 : m->capture_count;

    ql_lua_need_stack(L, (int)count);
    for (unsigned i = 0; i < count; i++)
        push_capture(L, m, i, start, end);
    return (int)count;
}

/* Start position as Lua counts: from 1, negative from the end. */
static size_t start_position(lua_Integer position, size_t len)
{
    if (position > 0)
        return (size_t)position - 1;
    if (position == 0)
        return 0;
    return (lua_Unsigned)-position > len ? 0 : len - (size_t)-position;
}

static int find_plain(lua_State *L, const char *subject, size_t len, size_t from, const char *text,
                      size_t text_len)
{
    const char *found = text_len == 0 ? subject + from : memmem(subject + from, len - from, text, text_len);

    ql_lua_charge(L, (len - from) / 8);
    if (!found) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, found - subject + 1);
    lua_pushinteger(L, found - subject + (lua_Integer)text_len);
    return 2;
}

static int search(lua_State *L, bool is_find)
{
    size_t len, pattern_len;
    const char *subject = luaL_checklstring(L, 1, &len), *pattern = luaL_checklstring(L, 2, &pattern_len);
    size_t from = start_position(luaL_optinteger(L, 3, 1), len);
    bool anchored = pattern_len > 0 && *pattern == '^';
    struct ql_pattern m;

    if (from > len) {
        lua_pushnil(L);
        return 1;
    }
    if (is_find && (lua_toboolean(L, 4) || strcspn(pattern, SPECIALS) == pattern_len))
        return find_plain(L, subject, len, from, pattern, pattern_len);
    ql_pattern_init(&m, subject, len, pattern + anchored, pattern_len - anchored, 0);
    for (const char *at = subject + from;; at++) {
        const char *end = match_at(L, &m, at);

        if (end && is_find) {
            lua_pushinteger(L, at - subject + 1);
            lua_pushinteger(L, end - subject);
            return 2 + push_captures(L, &m, NULL, NULL);
        }
        if (end)
            return push_captures(L, &m, at, end);
        if (anchored || at == m.subject_end)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int string_find(lua_State *L)
{
    return search(L, true);
}

static int string_match(lua_State *L)
{
    return search(L, false);
}

/*
 * Upvalues: subject, pattern, next position, end of the last match (an empty match there was seen already;
 * -1: none).
 */
static int gmatch_next(lua_State *L)
{
    size_t len, pattern_len;
    const char *subject = lua_tolstring(L, lua_upvalueindex(1), &len);
    const char *pattern = lua_tolstring(L, lua_upvalueindex(2), &pattern_len);
    const lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    struct ql_pattern m;

    ql_pattern_init(&m, subject, len, pattern, pattern_len, 0);
    for (lua_Integer at = lua_tointeger(L, lua_upvalueindex(3)); at <= (lua_Integer)len; at++) {
        const char *end = match_at(L, &m, subject + at);

        if (!end || end - subject == last)
            continue;
        lua_pushinteger(L, end - subject);
        lua_pushvalue(L, -1);
        lua_replace(L, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(L, &m, subject + at, end);
    }
    return 0;
}

static int string_gmatch(lua_State *L)
{
    size_t len, from;

    luaL_checklstring(L, 1, &len);
    luaL_checkstring(L, 2);
    from = start_position(luaL_optinteger(L, 3, 1), len);
    lua_settop(L, 2);
    lua_pushinteger(L, from > len ? (lua_Integer)len + 1 : (lua_Integer)from);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* ---- gsub ---- */

struct replacing {
    struct ql_pattern m;
    luaL_Buffer out;
};

static void add_template(lua_State *L, struct replacing *r, const char *start, const char *end)
{
    size_t len;
    const char *text = lua_tolstring(L, 3, &len);

    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            luaL_addchar(&r->out, text[i]);
            continue;
        }
        i++;
        if (i < len && text[i] == '%') {
            luaL_addchar(&r->out, '%');
        } else if (i < len && text[i] == '0') {
            luaL_addlstring(&r->out, start, (size_t)(end - start));
        } else if (i < len && text[i] >= '1' && text[i] <= '9') {
            push_capture(L, &r->m, (unsigned)(text[i] - '1'), start, end);
            luaL_tolstring(L, -1, NULL); /* a position is a number */
            lua_remove(L, -2);
            luaL_addvalue(&r->out);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

static void add_replacement(lua_State *L, struct replacing *r, const char *start, const char *end)
{
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, &r->m, start, end), 1);
        break;
    case LUA_TTABLE:
        push_capture(L, &r->m, 0, start, end);
        lua_gettable(L, 3);
        break;
    default:
        add_template(L, r, start, end);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(&r->out, start, (size_t)(end - start));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    } else {
        luaL_addvalue(&r->out);
    }
}

static int string_gsub(lua_State *L)
{
    size_t len, pattern_len;
    const char *subject = luaL_checklstring(L, 1, &len), *pattern = luaL_checklstring(L, 2, &pattern_len);
    const int type = lua_type(L, 3);
    const lua_Integer max = luaL_optinteger(L, 4, (lua_Integer)len + 1);
    const bool anchored = pattern_len > 0 && *pattern == '^';
    const char *at = subject, *last = NULL;
    lua_Integer count = 0;
    struct replacing r;

    luaL_argexpected(
        L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
        "string/function/table");
    ql_pattern_init(&r.m, subject, len, pattern + anchored, pattern_len - anchored, 0);
    luaL_buffinit(L, &r.out);
    while (count < max) {
        const char *end = match_at(L, &r.m, at);

        if (end && end != last) {
            count++;
            add_replacement(L, &r, at, end);
            at = last = end;
        } else if (at < r.m.subject_end) {
            luaL_addchar(&r.out, *at++);
        } else {
            break;
        }
        if (anchored)
            break;
    }
    luaL_addlstring(&r.out, at, (size_t)(r.m.subject_end - at));
    luaL_pushresult(&r.out);
    lua_pushinteger(L, count);
    return 2;
}

/* ---- around the library's own ---- */

/* No addresses in text: values that have none but an address as text are written by their type. */
static int string_format(lua_State *L)
{
    size_t len;
    const char *format = luaL_checklstring(L, 1, &len);
    const int count = lua_gettop(L);

    for (size_t i = 0; i + 1 < len; i++) {
        if (format[i] != '%')
            continue;
        i++;
        while (i < len && format[i] != '\0' && strchr("-+ #0123456789.", format[i]))
            i++;
        if (i < len && format[i] == 'p')
            return luaL_error(L, "%%p is not offered here");
    }
    for (int i = 2; i <= count; i++) {
        const int type = lua_type(L, i);

        if (type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING)
            continue;
        (void)ql_lua_text(L, i, NULL); /* wanted on the stack */
        lua_replace(L, i);
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, count, 1);
    return 1;
}

/* The library's loop runs even when every turn adds nothing. */
static int string_rep(lua_State *L)
{
    const lua_Integer times = luaL_checkinteger(L, 2);

    luaL_checkstring(L, 1);
    if (times > 0)
        ql_lua_charge(L, (uint64_t)times);
    lua_settop(L, 3);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 3, 1);
    return 1;
}

void ql_lua_add_string(lua_State *L, int library)
{
    static const luaL_Reg own[] = {{"find", string_find},
                                   {"match", string_match},
                                   {"gmatch", string_gmatch},
                                   {"gsub", string_gsub},
                                   {NULL, NULL}};
    static const luaL_Reg around[] = {{"format", string_format}, {"rep", string_rep}, {NULL, NULL}};

    luaL_setfuncs(L, own, 0);
    for (const luaL_Reg *f = around; f->name; f++) {
        lua_getfield(L, library, f->name);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -2, f->name);
    }
}
