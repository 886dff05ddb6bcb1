/* SPDX-License-Identifier: Apache-2.0 */
/* A Lua action as core sees it. */
#include <string.h>

#include "error.h"
#include "json.h"
#include "lua_call.h"

/** Arguments and result of the body of `run`. */
struct running {
    const struct ql_event *event;
    const struct ql_action_ctx *ctx;
    int result;
};

static const char *site_name(uint32_t site)
{
    switch (site) {
    case QL_SITE_VERIFIER:
        return "verifier";
    case QL_SITE_AGENT:
        return "agent";
    case QL_SITE_PRIVILEGED:
        return "privileged";
    default:
        return "unknown";
    }
}

static void set_text(lua_State *L, const char *name, const char *text)
{
    lua_pushstring(L, text ? text : "");
    lua_setfield(L, -2, name);
}

/* The metadata is a text of JSON, as uploaded: a table for scripts, empty when it is none. */
static void push_meta(lua_State *L, const char *text)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    json_t *meta = NULL;

    json_decref(c->scratch); /* whatever happens, it is freed with the call */
    c->scratch = NULL;
    if (text && ql_json_parse_object(text, strlen(text), QL_LUA_JSON_MAX, &meta, NULL) == QL_OK) {
        c->scratch = meta;
        ql_lua_push_json(L, meta);
    } else {
        lua_newtable(L);
    }
    lua_setfield(L, -2, "meta");
}

static void push_event(lua_State *L, const struct ql_event *e, const struct ql_action_ctx *ctx)
{
    lua_newtable(L);
    lua_pushlstring(L, (const char *)e->message, e->message_len);
    lua_setfield(L, -2, "message");
    if (e->msg) {
        ql_lua_push_json(L, e->msg);
        lua_setfield(L, -2, "msg");
    }
    set_text(L, "signature", e->signature);
    set_text(L, "agent_id", e->agent_id);
    set_text(L, "agent_address", e->agent_address);
    set_text(L, "severity", e->severity);
    set_text(L, "event_id", e->event_id);
    set_text(L, "metadata", e->metadata);
    lua_pushinteger(L, e->attempt);
    lua_setfield(L, -2, "attempt");
    set_text(L, "site", site_name(ctx->site));
    set_text(L, "work_dir", ctx->work_dir);
    set_text(L, "type", e->type);
    set_text(L, "certificate", ctx->certificate);
    lua_pushboolean(L, (ctx->flags & QL_ACTION_DRY_RUN) != 0);
    lua_setfield(L, -2, "dry_run");
    if (ctx->settings)
        ql_lua_push_json(L, ctx->settings);
    else
        lua_newtable(L);
    lua_setfield(L, -2, "settings");
    push_meta(L, e->metadata);
}

static int run_body(lua_State *L)
{
    struct running *r = ql_lua_call_of(L)->arg;

    lua_getfield(L, 1, "run");
    push_event(L, r->event, r->ctx);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1) || (lua_isboolean(L, -1) && lua_toboolean(L, -1)))
        r->result = QL_OK;
    else if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "again") == 0)
        r->result = QL_EAGAIN;
    else
        return luaL_error(L, "run: wanted nothing, true or \"again\", found %s", ql_lua_text(L, -1, NULL));
    return 0;
}

static int run(void *plugin, const struct ql_event *event, const struct ql_action_ctx *ctx,
               struct ql_err *err)
{
    const struct ql_lua_component *c = plugin;
    struct running running = {event, ctx, QL_EINTERNAL};
    struct ql_lua_call call = {.script = c->script,
                               .component = c,
                               .function = "run",
                               .arg = &running,
                               .grants = &c->script->registry->grants};
    int r = ql_lua_run(&call, run_body, err);

    if (r < 0)
        return r;
    if (running.result == QL_EAGAIN)
        return ql_fail(err, QL_EAGAIN, "%s: run: asks to be run again", c->script->name);
    return running.result;
}

void ql_lua_action_init(struct ql_lua_component *c, uint32_t sites)
{
    c->table.action = (struct ql_action){
        .head = {.size = sizeof(struct ql_action), .kind = QL_KIND_ACTION, .name = c->name, .flags = sites},
        .run = run,
    };
}
