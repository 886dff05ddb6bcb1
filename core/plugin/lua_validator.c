/* SPDX-License-Identifier: Apache-2.0 */
/* A Lua validator as core sees it: the functions of struct ql_validator, each one call into the script. */
#include <string.h>

#include "buf.h"
#include "error.h"
#include "json.h"
#include "lua_call.h"

#define STATE_MAX ((size_t)QL_STATE_MAX_LEN)

/* First byte of kept state: what follows. */
#define STATE_TEXT 'S'
#define STATE_JSON 'J'

/** What `prepare` and `needs` made of a policy. */
struct compiled {
    json_t *object; /* as JSON: each call gets its own copy, so no call can leave anything in it */
    uint32_t pcr_mask;
    struct ql_need items[QL_LUA_NEEDS_MAX];
    char *names[QL_LUA_NEEDS_MAX], *parameters[QL_LUA_NEEDS_MAX];
    size_t item_count;
};

static void compiled_free(struct compiled *p)
{
    if (!p)
        return;
    json_decref(p->object);
    for (size_t i = 0; i < QL_LUA_NEEDS_MAX; i++) {
        free(p->names[i]);
        free(p->parameters[i]);
    }
    free(p);
}
QL_DEFINE_CLEANUP(struct compiled, compiled_free)

/* ---- prepare ---- */

/** Arguments of the body of `prepare`. */
struct preparing {
    const uint8_t *policy;
    size_t len;
    struct compiled *into; /* owned by the caller */
};

static char *copy_text(lua_State *L, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        luaL_error(L, "out of memory");
    return copy;
}

static unsigned pcr_number(lua_State *L, int index)
{
    if (!lua_isinteger(L, index) || lua_tointeger(L, index) < 0 || lua_tointeger(L, index) > 23)
        luaL_error(L, "a PCR is a number from 0 to 23");
    return (unsigned)lua_tointeger(L, index);
}

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

/* One {name = …, bound = …, pcr = …, parameters = …}, on top. */
static void take_need(lua_State *L, struct compiled *p)
{
    static const char *const known[] = {"name", "bound", "pcr", "parameters", NULL};
    const int table = lua_gettop(L);
    struct ql_need *n = &p->items[p->item_count];
    const char *bound;

    if (!lua_istable(L, table))
        luaL_error(L, "evidence: wanted tables with name and bound, found a %s", luaL_typename(L, table));
    check_fields(L, table, known);
    lua_getfield(L, table, "name");
    lua_getfield(L, table, "bound");
    lua_getfield(L, table, "pcr");
    lua_getfield(L, table, "parameters");
    if (lua_type(L, table + 1) != LUA_TSTRING)
        luaL_error(L, "evidence: name: wanted a text");
    bound = lua_type(L, table + 2) == LUA_TSTRING ? lua_tostring(L, table + 2) : "";
    *n = (struct ql_need){.size = sizeof *n};
    if (strcmp(bound, "nonce") == 0) {
        n->bound = QL_BOUND_NONCE;
    } else if (strcmp(bound, "pcr") == 0) {
        n->bound = QL_BOUND_PCR;
        n->pcr = pcr_number(L, table + 3);
        p->pcr_mask |= UINT32_C(1) << n->pcr;
    } else {
        luaL_error(L, "evidence: bound: wanted \"nonce\" or \"pcr\"");
    }
    n->evidence = p->names[p->item_count] = copy_text(L, lua_tostring(L, table + 1));
    if (!lua_isnil(L, table + 4))
        n->parameters = p->parameters[p->item_count] =
            copy_text(L, ql_lua_to_json_text(L, table + 4, STATE_MAX, NULL));
    p->item_count++;
    lua_settop(L, table);
}

/* What needs() returned, on top. */
static void take_needs(lua_State *L, struct compiled *p)
{
    static const char *const known[] = {"pcrs", "evidence", NULL};
    const int table = lua_gettop(L);

    if (!lua_istable(L, table))
        luaL_error(L, "needs: wanted a table with pcrs and evidence, found a %s", luaL_typename(L, table));
    check_fields(L, table, known);
    lua_getfield(L, table, "pcrs");
    if (!lua_isnil(L, -1) && !lua_istable(L, -1))
        luaL_error(L, "pcrs: wanted a list of numbers");
    for (lua_Integer i = 1; lua_istable(L, table + 1) && i <= (lua_Integer)lua_rawlen(L, table + 1); i++) {
        lua_rawgeti(L, table + 1, i);
        p->pcr_mask |= UINT32_C(1) << pcr_number(L, -1);
        lua_pop(L, 1);
    }
    lua_getfield(L, table, "evidence");
    if (!lua_isnil(L, -1) && !lua_istable(L, -1))
        luaL_error(L, "evidence: wanted a list of tables");
    for (lua_Integer i = 1; lua_istable(L, table + 2) && i <= (lua_Integer)lua_rawlen(L, table + 2); i++) {
        if (p->item_count >= QL_LUA_NEEDS_MAX)
            luaL_error(L, "evidence: wanted at most %d items", QL_LUA_NEEDS_MAX);
        lua_rawgeti(L, table + 2, i);
        take_need(L, p);
        lua_pop(L, 1);
    }
}

/* Argument 1: the component's table. */
static int prepare_body(lua_State *L)
{
    struct preparing *p = ql_lua_call_of(L)->arg;

    lua_getfield(L, 1, "prepare");
    lua_pushlstring(L, (const char *)p->policy, p->len);
    lua_call(L, 1, 1);
    if (lua_isnil(L, -1))
        return luaL_error(L, "prepare returned nothing");
    p->into->object = json_incref(ql_lua_to_json(L, -1));
    lua_getfield(L, 1, "needs");
    ql_lua_push_json(L, p->into->object); /* as `validate` will see it */
    lua_call(L, 1, 1);
    take_needs(L, p->into);
    return 0;
}

static size_t json_size(const json_t *value)
{
    const size_t each = 64; /* about what jansson takes for a value, with its place in a table */
    size_t sum = each, i;
    const char *key;
    json_t *item;

    if (json_is_object(value)) {
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
            sum += each + strlen(key) + json_size(item); /* at most QL_JSON_DEPTH deep, as it was made */
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, item)
            sum += json_size(item);
    } else if (json_is_string(value)) {
        sum += json_string_length(value);
    }
    return sum;
}

static int prepare(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                   size_t *ret_size, struct ql_err *err)
{
    const struct ql_lua_component *c = plugin;
    ql_auto(compiled_freep) struct compiled *made = calloc(1, sizeof *made);
    struct preparing p = {policy, len, made};
    struct ql_lua_call call = {.script = c->script, .component = c, .function = "prepare", .arg = &p};
    int r;

    (void)origin; /* a script is as strict with what is stored */
    if (!made)
        return ql_fail_nomem(err);
    r = ql_lua_run(&call, prepare_body, err);
    if (r < 0)
        return r;
    *ret_size = sizeof *made + json_size(made->object);
    *ret = ql_steal(made);
    return QL_OK;
}

static void release(void *plugin, void *compiled)
{
    (void)plugin;
    compiled_free(compiled);
}

static int needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    const struct compiled *p = compiled;

    (void)plugin, (void)err;
    ret->pcr_mask = p->pcr_mask;
    ret->items = p->item_count > 0 ? p->items : NULL;
    ret->item_count = p->item_count;
    return QL_OK;
}

/* ---- validate ---- */

/** Arguments of the body of `validate`. */
struct judging {
    const struct compiled *compiled;
    const struct ql_state *in;
    struct ql_buf state; /* out */
};

static void push_state(lua_State *L, const struct ql_lua_component *c, const struct ql_state *in)
{
    struct ql_lua_call *call = ql_lua_call_of(L);
    struct ql_err err = QL_ERR_INIT;
    json_t *value = NULL;

    if (!in || in->len == 0 || in->version != c->state_version) {
        lua_pushnil(L);
        return;
    }
    if (in->data[0] == STATE_TEXT) {
        lua_pushlstring(L, (const char *)in->data + 1, in->len - 1);
        return;
    }
    if (in->data[0] != STATE_JSON ||
        ql_json_parse((const char *)in->data + 1, in->len - 1, STATE_MAX, &value, &err) < 0)
        luaL_error(L, "kept state is damaged: %s", err.text);
    json_decref(call->scratch);
    call->scratch = value;
    ql_lua_push_json(L, value);
}

static void take_state(lua_State *L, struct ql_buf *out)
{
    size_t len = 0;
    const char *text;
    char first;

    switch (lua_type(L, -1)) {
    case LUA_TNIL:
        return;
    case LUA_TSTRING:
        first = STATE_TEXT;
        text = lua_tolstring(L, -1, &len);
        break;
    case LUA_TTABLE:
        first = STATE_JSON;
        text = ql_lua_to_json_text(L, -1, STATE_MAX, &len);
        break;
    default:
        luaL_error(L, "state: wanted nothing, a text or a plain table, found a %s", luaL_typename(L, -1));
        return;
    }
    if (ql_buf_add_u8(out, (uint8_t)first) < 0 || ql_buf_add(out, text, len) < 0)
        luaL_error(L, "state of %I bytes, at most %d", (lua_Integer)len, (int)STATE_MAX - 1);
}

static int validate_body(lua_State *L)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    struct judging *j = c->arg;

    lua_getfield(L, 1, "validate");
    ql_lua_push_attest(L);
    ql_lua_push_json(L, j->compiled->object);
    push_state(L, c->component, j->in);
    lua_call(L, 3, 1);
    take_state(L, &j->state);
    return 0;
}

static int hand_out(const struct ql_lua_component *c, const struct judging *j, struct ql_state *out,
                    struct ql_err *err)
{
    const struct ql_host *host = &c->script->host->table;
    const struct ql_state *in = j->in;
    const bool had = in && in->len > 0;
    uint8_t *copy;

    if (had && in->version == c->state_version && in->len == j->state.len &&
        memcmp(in->data, j->state.data, in->len) == 0)
        return QL_OK;
    if (!had && j->state.len == 0)
        return QL_OK;
    out->version = c->state_version;
    if (j->state.len > 0) {
        copy = host->alloc(host, j->state.len);
        if (!copy)
            return ql_fail_nomem(err);
        memcpy(copy, j->state.data, j->state.len);
        out->data = copy;
    }
    out->len = j->state.len;
    out->changed = 1;
    return QL_OK;
}

static int validate(void *plugin, const struct ql_attest *attest, const void *compiled,
                    const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                    struct ql_err *err)
{
    const struct ql_lua_component *c = plugin;
    struct judging j = {.compiled = compiled, .in = in, .state = ql_buf_init(STATE_MAX)};
    struct ql_lua_call call = {.script = c->script,
                               .component = c,
                               .function = "validate",
                               .arg = &j,
                               .attest = attest,
                               .report = report};
    int r = ql_lua_run(&call, validate_body, err);

    if (r == QL_OK)
        r = hand_out(c, &j, out, err);
    ql_buf_done(&j.state);
    return r;
}

void ql_lua_validator_init(struct ql_lua_component *c)
{
    c->table.validator = (struct ql_validator){
        .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = c->name},
        .prepare = prepare,
        .release = release,
        .needs = needs,
        .validate = validate,
    };
}
