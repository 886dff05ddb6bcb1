/* SPDX-License-Identifier: Apache-2.0 */
/* The table `ql`: what the host does for a script. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "digest.h"
#include "encode.h"
#include "lua_call.h"
#include "regex.h"

enum {
    MATCH_COST = 5000, /* instructions of one ql.match beside its length: about what its limit allows */
    LOG_COST = 1000,
};

/* ---- findings ---- */

static struct ql_report *report_of(lua_State *L, const char *function)
{
    struct ql_report *r = ql_lua_call_of(L)->report;

    if (!r)
        luaL_error(L, "%s: only while judging", function);
    return r;
}

/* A misspelt field would change a verdict in silence. */
static void check_fields(lua_State *L, int table, const char *const *known)
{
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        size_t i = 0;

        while (known[i] && (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), known[i]) != 0))
            i++;
        if (!known[i])
            luaL_error(L, "unknown field %s", ql_lua_text(L, -2, NULL));
    }
}

static int ql_fail_call(lua_State *L)
{
    static const char *const known[] = {"event", "severity", "recoverable", "context", NULL};
    struct ql_report *r = report_of(L, "ql.fail");
    const char *event, *severity;
    json_t *context;
    int e;

    luaL_checktype(L, 1, LUA_TTABLE);
    check_fields(L, 1, known);
    lua_settop(L, 1);
    lua_getfield(L, 1, "event");
    lua_getfield(L, 1, "severity");
    lua_getfield(L, 1, "recoverable");
    lua_getfield(L, 1, "context");
    event = luaL_checkstring(L, 2);
    severity = luaL_optstring(L, 3, NULL);
    if (!lua_isnoneornil(L, 4))
        luaL_checktype(L, 4, LUA_TBOOLEAN);
    if (lua_isnil(L, 5)) {
        lua_newtable(L);
        lua_replace(L, 5);
    }
    context = ql_lua_to_json(L, 5);
    if (!json_is_object(context))
        return luaL_error(L, "ql.fail: context is not a table with texts as keys");
    e = r->fail(r, event, severity, lua_toboolean(L, 4) ? 1 : 0, context);
    return e < 0 ? luaL_error(L, "ql.fail: event %s was refused", event) : 0;
}

static int ql_fact_call(lua_State *L)
{
    struct ql_report *r = report_of(L, "ql.fact");
    const char *name = luaL_checkstring(L, 1);

    luaL_checkany(L, 2);
    return r->fact(r, name, ql_lua_to_json(L, 2)) < 0 ? luaL_error(L, "ql.fact: fact %s was refused", name)
                                                      : 0;
}

static int ql_cursor_call(lua_State *L)
{
    struct ql_report *r = report_of(L, "ql.cursor");
    const char *name = luaL_checkstring(L, 1);
    const lua_Integer at = luaL_checkinteger(L, 2);

    luaL_argcheck(L, at >= 0, 2, "negative");
    return r->cursor(r, name, (uint64_t)at) < 0 ? luaL_error(L, "ql.cursor: cursor of %s was refused", name)
                                                : 0;
}

static int ql_retry_call(lua_State *L)
{
    struct ql_report *r = report_of(L, "ql.retry");

    return r->retry(r, luaL_checkstring(L, 1)) < 0 ? luaL_error(L, "ql.retry: refused") : 0;
}

static int ql_log_call(lua_State *L)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    const char *text = luaL_checkstring(L, 1);

    ql_lua_charge(L, LOG_COST);
    if (++c->log_lines > QL_LUA_LOG_LINES)
        return luaL_error(L, "ql.log: more than %d lines in one call", QL_LUA_LOG_LINES);
    c->script->host->table.log(&c->script->host->table, QL_LOG_INFO, text);
    return 0;
}

bool ql_lua_dry(lua_State *L, const char *fmt, ...)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    char text[1024];
    va_list ap;

    if (!c->grants->dry_run)
        return false;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* what does not fit is not needed */
    va_end(ap);
    c->script->host->table.log(&c->script->host->table, QL_LOG_INFO, text);
    return true;
}

/* ---- bytes ---- */

static int ql_sha256_call(lua_State *L)
{
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    uint8_t digest[32];

    ql_lua_charge(L, 500 + len / 4);
    if (ql_digest_once(QL_SHA256, data, len, digest) < 0)
        return luaL_error(L, "ql.sha256: the digest cannot be computed");
    lua_pushlstring(L, (const char *)digest, sizeof digest);
    return 1;
}

static int ql_hex_call(lua_State *L)
{
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, 2 * len + 1);

    ql_hex_encode(data, len, out);
    luaL_pushresultsize(&b, 2 * len);
    return 1;
}

static int ql_unhex_call(lua_State *L)
{
    size_t len, out_len = 0;
    const char *text = luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, len / 2 + 1);
    struct ql_err err = QL_ERR_INIT;

    if (ql_hex_decode_upto(text, len, (uint8_t *)out, len / 2 + 1, &out_len, &err) < 0)
        return luaL_error(L, "ql.unhex: %s", err.text);
    luaL_pushresultsize(&b, out_len);
    return 1;
}

static int ql_base64_call(lua_State *L)
{
    size_t len;
    const char *data = luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, QL_BASE64_LEN(len) + 1);

    luaL_pushresultsize(&b, ql_base64_encode(data, len, out));
    return 1;
}

static int ql_unbase64_call(lua_State *L)
{
    size_t len, out_len = 0;
    const char *text = luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    char *out = luaL_buffinitsize(L, &b, len / 4 * 3 + 3);
    struct ql_err err = QL_ERR_INIT;

    if (ql_base64_decode(text, len, (uint8_t *)out, len / 4 * 3 + 3, &out_len, &err) < 0)
        return luaL_error(L, "ql.unbase64: %s", err.text);
    luaL_pushresultsize(&b, out_len);
    return 1;
}

/* ---- texts ---- */

/* Limits end the call: at the limit a pattern neither matches nor does not. */
static int ql_match_call(lua_State *L)
{
    size_t pattern_len, len;
    const char *pattern = luaL_checklstring(L, 1, &pattern_len), *subject = luaL_checklstring(L, 2, &len);
    struct ql_lua_call *c = ql_lua_call_of(L);
    struct ql_regex *re = NULL;
    struct ql_err err = QL_ERR_INIT;
    int r;

    ql_lua_charge(L, MATCH_COST + pattern_len + len / 4);
    r = ql_regex_new(pattern, pattern_len, QL_REGEX_SEARCH, &re, &err);
    if (r < 0)
        return luaL_error(L, "ql.match: %s", err.text);
    r = ql_regex_match(re, subject, len, &err);
    ql_regex_free(re);
    if (r == QL_ELIMIT)
        ql_lua_kill(c, QL_ELIMIT, err.text);
    if (r < 0)
        return luaL_error(L, "ql.match: %s", err.text);
    lua_pushboolean(L, r);
    return 1;
}

/** Lines of a text that stays where it is. */
struct lines {
    const char *at, *end;
};

/* Upvalues: struct lines, what keeps the text alive. */
static int next_line(lua_State *L)
{
    struct lines *l = lua_touserdata(L, lua_upvalueindex(1));
    const char *stop;

    if (l->at == l->end)
        return 0;
    stop = memchr(l->at, '\n', (size_t)(l->end - l->at));
    lua_pushlstring(L, l->at, (size_t)((stop ? stop : l->end) - l->at));
    ql_lua_charge(L, (uint64_t)((stop ? stop : l->end) - l->at) / QL_LUA_BYTES_PER_INSTRUCTION);
    l->at = stop ? stop + 1 : l->end;
    return 1;
}

void ql_lua_push_lines(lua_State *L, const char *data, size_t len, int anchor)
{
    struct lines *l;

    anchor = lua_absindex(L, anchor);
    l = lua_newuserdatauv(L, sizeof *l, 0);
    *l = (struct lines){data, data + len};
    lua_pushvalue(L, anchor);
    lua_pushcclosure(L, next_line, 2);
}

static int ql_lines_call(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);

    ql_lua_push_lines(L, text, len, 1);
    return 1;
}

void ql_lua_push_ql(lua_State *L)
{
    static const luaL_Reg functions[] = {{"fail", ql_fail_call},
                                         {"fact", ql_fact_call},
                                         {"cursor", ql_cursor_call},
                                         {"retry", ql_retry_call},
                                         {"log", ql_log_call},
                                         {"sha256", ql_sha256_call},
                                         {"hex", ql_hex_call},
                                         {"unhex", ql_unhex_call},
                                         {"base64", ql_base64_call},
                                         {"unbase64", ql_unbase64_call},
                                         {"match", ql_match_call},
                                         {"lines", ql_lines_call},
                                         {NULL, NULL}};

    luaL_newlib(L, functions);
    ql_lua_push_json_library(L);
    lua_setfield(L, -2, "json");
    if (ql_lua_call_of(L)->grants) {
        ql_lua_add_exec(L);
        ql_lua_add_files(L);
        ql_lua_add_http(L);
    }
    ql_lua_freeze(L);
}
