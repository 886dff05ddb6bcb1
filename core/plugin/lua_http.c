/* SPDX-License-Identifier: Apache-2.0 */
/* ql.http.post: post to hosts that the configuration names, for actions. HTTPS alone; whoever posts checks the server. */
#include <string.h>

#include "clock.h"
#include "error.h"
#include "lua_call.h"

enum {
    BODY_MAX = 1024 * 1024, /* bytes, either way */
    TIMEOUT_PRESET_S = 10,
    TIMEOUT_MAX_S = 600,
    URL_MAX = 2048
};

/* Host and, when it is named, port: "https://HOST[:PORT]/…". @return its length, 0: no such URL */
static size_t host_of(const char *url, const char **ret)
{
    static const char scheme[] = "https://";
    size_t len;

    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return 0;
    *ret = url + sizeof scheme - 1;
    len = strcspn(*ret, "/?#");
    /* A user name before the host is a way to show one host and mean another. */
    return memchr(*ret, '@', len) ? 0 : len;
}

static bool is_granted(const struct ql_lua_grants *g, const char *host, size_t len)
{
    for (size_t i = 0; g->http_hosts && g->http_hosts[i]; i++)
        if (strlen(g->http_hosts[i]) == len && strncmp(g->http_hosts[i], host, len) == 0)
            return true;
    return false;
}

static int64_t take_timeout(lua_State *L)
{
    lua_Number seconds = TIMEOUT_PRESET_S;

    if (!lua_isnoneornil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        lua_getfield(L, 3, "timeout");
        seconds = luaL_optnumber(L, -1, TIMEOUT_PRESET_S);
        lua_pop(L, 1);
    }
    if (!(seconds > 0 && seconds <= TIMEOUT_MAX_S))
        luaL_error(L, "ql.http.post: timeout: wanted up to %d seconds", TIMEOUT_MAX_S);
    return ql_mono_ns() + (int64_t)(seconds * (lua_Number)QL_NS_PER_S);
}

static int push_answer(lua_State *L, int status, const char *body, size_t len)
{
    lua_newtable(L);
    lua_pushinteger(L, status);
    lua_setfield(L, -2, "status");
    lua_pushlstring(L, body ? body : "", len);
    lua_setfield(L, -2, "body");
    return 1;
}

/* ql.http.post(url, body, {type = …, timeout = …}): {status, body}; without an answer an error. */
static int post_call(lua_State *L)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    const struct ql_lua_grants *g = c->grants;
    struct ql_err err = QL_ERR_INIT;
    size_t url_len, len, host_len, answer_len = 0;
    const char *url = luaL_checklstring(L, 1, &url_len), *body = luaL_checklstring(L, 2, &len), *host = NULL;
    const char *type = "application/json";
    int64_t end_ns = take_timeout(L);
    char *answer = NULL;
    int status = 0, r;

    if (lua_istable(L, 3)) {
        lua_getfield(L, 3, "type");
        type = luaL_optstring(L, -1, type); /* the table keeps it alive */
    }
    host_len = host_of(url, &host);
    if (host_len == 0 || url_len > URL_MAX || strlen(url) != url_len)
        return luaL_error(L, "ql.http.post: wanted a URL https://HOST/… of at most %d characters", URL_MAX);
    if (!is_granted(g, host, host_len))
        return luaL_error(L, "ql.http.post: %s is not granted by the configuration",
                          lua_pushlstring(L, host, host_len));
    if (len > BODY_MAX)
        return luaL_error(L, "ql.http.post: body of %I bytes, at most %d", (lua_Integer)len, BODY_MAX);
    ql_lua_charge(L, 100000);
    if (ql_lua_dry(L, "would post %zu bytes to %s", len, url))
        return push_answer(L, 200, "", 0);
    if (!g->http_post)
        return luaL_error(L, "ql.http.post: not offered here");
    if (c->deadline_ns < end_ns)
        end_ns = c->deadline_ns;
    r = g->http_post(g->http_arg, url, body, len, type, end_ns, &status, &answer, &answer_len, &err);
    free(c->buffer);
    c->buffer = answer; /* the call's: Lua may run out of memory below */
    if (r < 0)
        return luaL_error(L, "ql.http.post: %s", err.text);
    return push_answer(L, status, answer, answer_len);
}

void ql_lua_add_http(lua_State *L)
{
    static const luaL_Reg functions[] = {{"post", post_call}, {NULL, NULL}};

    luaL_newlib(L, functions);
    ql_lua_freeze(L);
    lua_setfield(L, -2, "http");
}
