/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a script: compile it once, run it once, and believe of what it returns what was checked. */
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "error.h"
#include "lua_call.h"
#include "parse.h"

enum {
    CODE_MAX = 8 * QL_LUA_SOURCE_MAX
}; /* bytes of compiled text; Lua's is about three times its source */

/** What the loading body hands out. */
struct loading {
    struct ql_loaded *plugin;
    struct ql_buf code;
};

static const char *text_field(lua_State *L, int table, const char *name, const char *preset)
{
    const char *text;

    lua_getfield(L, table, name);
    if (lua_isnil(L, -1) && preset)
        return preset;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s: wanted a text, found a %s", name, luaL_typename(L, -1));
    text = lua_tostring(L, -1);
    if (strlen(text) != lua_rawlen(L, -1) || !ql_utf8_ok(text, strlen(text)) ||
        strlen(text) >= QL_PLUGIN_TEXT_MAX)
        luaL_error(L, "%s: wanted at most %d characters of UTF-8", name, QL_PLUGIN_TEXT_MAX - 1);
    return text; /* stays in the table */
}

static void check_functions(lua_State *L, int table, const char *const *names)
{
    for (; *names; names++) {
        lua_getfield(L, table, *names);
        if (!lua_isfunction(L, -1))
            luaL_error(L, "%s: wanted a function, found a %s", *names, luaL_typename(L, -1));
        lua_pop(L, 1);
    }
}

/* A misspelt name of a function would be a check that never runs. */
static void check_known(lua_State *L, int table, const char *const *known)
{
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        size_t i = 0;

        while (known[i] && (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), known[i]) != 0))
            i++;
        if (!known[i])
            luaL_error(L, "unknown field %s", ql_lua_text(L, -2, NULL));
    }
}

static void take_after(lua_State *L, int table, struct ql_lua_component *c)
{
    size_t count;

    lua_getfield(L, table, "after");
    if (!lua_isnil(L, -1)) {
        if (!lua_istable(L, -1))
            luaL_error(L, "after: wanted a list of names, found a %s", luaL_typename(L, -1));
        count = lua_rawlen(L, -1);
        if (count > QL_PLUGIN_AFTER_MAX)
            luaL_error(L, "after: wanted at most %d names", QL_PLUGIN_AFTER_MAX);
        for (size_t i = 0; i < count; i++) {
            const char *name =
                lua_rawgeti(L, -1, (lua_Integer)i + 1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;

            if (!name || !ql_component_name_ok(name, lua_rawlen(L, -1)))
                luaL_error(L, "after: wanted names of 1 to 32 of a-z, 0-9 and -");
            snprintf(c->after_names[i], sizeof c->after_names[i], "%s", name);
            c->after[i] = c->after_names[i];
            lua_pop(L, 1);
        }
        c->table.head.after = c->after;
    }
    lua_pop(L, 1);
}

static uint32_t take_sites(lua_State *L, int table)
{
    static const struct {
        const char *name;
        uint32_t site;
    } sites[] = {
        {"verifier", QL_SITE_VERIFIER}, {"agent", QL_SITE_AGENT}, {"privileged", QL_SITE_PRIVILEGED}};
    uint32_t found = 0;

    lua_getfield(L, table, "sites");
    if (!lua_istable(L, -1))
        luaL_error(L, "sites: wanted a list of verifier, agent, privileged");
    for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, -1); i++) {
        const char *name = lua_rawgeti(L, -1, i) == LUA_TSTRING ? lua_tostring(L, -1) : "";
        size_t k = 0;

        while (k < QL_ARRAY_LEN(sites) && strcmp(sites[k].name, name) != 0)
            k++;
        if (k == QL_ARRAY_LEN(sites))
            luaL_error(L, "sites: wanted verifier, agent or privileged, found \"%s\"", name);
        found |= sites[k].site;
        lua_pop(L, 1);
    }
    if (found == 0)
        luaL_error(L, "sites: wanted at least one");
    lua_pop(L, 1);
    return found;
}

static void take_validator(lua_State *L, int table, struct ql_lua_component *c)
{
    static const char *const functions[] = {"prepare", "needs", "validate", NULL};
    static const char *const known[] = {"kind",    "name",    "after",   "prepare",       "needs", "validate",
                                        "version", "license", "summary", "state_version", NULL};
    lua_Integer version;

    check_known(L, table, known);
    check_functions(L, table, functions);
    lua_getfield(L, table, "state_version");
    version = lua_isnil(L, -1) ? 1 : lua_tointeger(L, -1); /* 0: no integer */
    if (version < 1 || version > INT32_MAX)
        luaL_error(L, "state_version: wanted 1 to %d", INT32_MAX);
    c->state_version = (uint32_t)version;
    ql_lua_validator_init(c);
    take_after(L, table, c);
}

static void take_action(lua_State *L, int table, struct ql_lua_component *c)
{
    static const char *const functions[] = {"run", NULL};
    static const char *const known[] = {"kind",    "name",    "sites",   "run",
                                        "version", "license", "summary", NULL};

    check_known(L, table, known);
    check_functions(L, table, functions);
    ql_lua_action_init(c, take_sites(L, table));
}

static void take_component(lua_State *L, int table, struct ql_lua_script *s)
{
    const char *kind, *name;
    struct ql_lua_component *c;

    lua_settop(L, table);
    kind = text_field(L, table, "kind", NULL);
    name = text_field(L, table, "name", NULL);
    if (!ql_component_name_ok(name, strlen(name)))
        luaL_error(L, "name: wanted 1 to 32 of a-z, 0-9 and -, found \"%s\"", name);
    if (s->component_count >= QL_LUA_COMPONENTS_MAX)
        luaL_error(L, "wanted at most %d components", QL_LUA_COMPONENTS_MAX);
    c = calloc(1, sizeof *c);
    if (!c) {
        luaL_error(L, "out of memory");
        return;
    }
    s->components[s->component_count++] = c; /* the script's from here on, whatever happens */
    c->script = s;
    c->index = (int)s->component_count;
    snprintf(c->name, sizeof c->name, "%s", name);
    if (strcmp(kind, "validator") == 0)
        take_validator(L, table, c);
    else if (strcmp(kind, "action") == 0)
        take_action(L, table, c);
    else
        luaL_error(L, "kind: wanted validator or action, found \"%s\"", kind);
}

static int write_code(lua_State *L, const void *data, size_t len, void *arg)
{
    (void)L;
    return ql_buf_add(arg, data, len) == QL_OK ? 0 : 1;
}

/* Version, licence and summary stand in the first table; they are optional. */
static void take_labels(lua_State *L, int table, struct ql_loaded *p)
{
    snprintf(p->version, sizeof p->version, "%s", text_field(L, table, "version", "0"));
    snprintf(p->license, sizeof p->license, "%s", text_field(L, table, "license", "not stated"));
    snprintf(p->summary, sizeof p->summary, "%s", text_field(L, table, "summary", "a Lua script"));
}

/* Body of the first run: argument 1 is what the script returned. */
static int take_script(lua_State *L)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    struct loading *loading = c->arg;
    size_t count;

    if (!lua_istable(L, 1))
        return luaL_error(L, "wanted a table with kind and name, or a list of such, found a %s",
                          luaL_typename(L, 1));
    lua_getfield(L, LUA_REGISTRYINDEX, "quicklime.chunk");
    if (lua_dump(L, write_code, &loading->code, 0) != 0)
        return luaL_error(L, "script compiles to more than %d bytes", CODE_MAX);
    lua_settop(L, 1);
    lua_getfield(L, 1, "kind");
    if (!lua_isnil(L, -1)) {
        take_component(L, 1, c->script);
        take_labels(L, 1, loading->plugin);
        return 0;
    }
    count = lua_rawlen(L, 1);
    if (count == 0)
        return luaL_error(L, "wanted a table with kind and name, or a list of such, found none");
    for (size_t i = 1; i <= count; i++) {
        lua_settop(L, 1);
        if (lua_rawgeti(L, 1, (lua_Integer)i) != LUA_TTABLE)
            return luaL_error(L, "component %d: wanted a table, found a %s", (int)i, luaL_typename(L, -1));
        take_component(L, 2, c->script);
        if (i == 1)
            take_labels(L, 2, loading->plugin);
    }
    return 0;
}

static int read_source(const struct ql_plugin_file *file, const char *name, struct ql_buf *out,
                       struct ql_err *err)
{
    char piece[16384];
    ssize_t got;

    /* By position: the descriptor may be shared with other processes. */
    while ((got = pread(file->fd, piece, sizeof piece, (off_t)out->len)) > 0)
        if (ql_buf_add(out, piece, (size_t)got) < 0)
            return ql_fail(err, QL_ELIMIT, "%s: size: wanted at most %d bytes, found more", name,
                           QL_LUA_SOURCE_MAX);
    if (got < 0)
        return ql_fail(err, QL_EIO, "%s: %m", name);
    if (out->len == 0)
        return ql_fail(err, QL_EPARSE, "%s: size: wanted a script, found nothing", name);
    if (out->data[0] == '\x1b')
        return ql_fail(err, QL_EPARSE, "%s: form: wanted text, found compiled Lua", name);
    return QL_OK;
}

int ql_lua_script_load(struct ql_registry *r, struct ql_loaded *p, const struct ql_plugin_file *file,
                       struct ql_err *err)
{
    ql_auto_buf struct ql_buf source = ql_buf_init(QL_LUA_SOURCE_MAX);
    struct loading loading = {.plugin = p, .code = ql_buf_init(CODE_MAX)};
    struct ql_lua_script *s = calloc(1, sizeof *s);
    struct ql_lua_call call = {.script = s, .arg = &loading};
    int e;

    if (!s)
        return ql_fail_nomem(err);
    p->script = s; /* freed with the plugin */
    snprintf(p->name, sizeof p->name, "%s", file->name);
    snprintf(s->name, sizeof s->name, "%.58s.lua", file->name);
    ql_plugin_host_init(&p->host, r, p->name, r->config.plugin_memory);
    s->registry = r;
    s->host = &p->host;
    e = ql_registry_name_check(r, s->name, p->name, err);
    if (e == QL_OK)
        e = read_source(file, s->name, &source, err);
    if (e < 0)
        return e;
    s->code = source.data;
    s->code_len = source.len;
    e = ql_lua_run(&call, take_script, err);
    s->code = ql_buf_take(&loading.code, &s->code_len);
    ql_buf_done(&loading.code);
    for (size_t i = 0; e == QL_OK && i < s->component_count; i++)
        e = ql_registry_keep(r, p, s->name, &s->components[i]->table.head, s->components[i], err);
    return e;
}

void ql_lua_script_free(struct ql_lua_script *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->component_count; i++)
        free(s->components[i]);
    free(s->code);
    free(s);
}
