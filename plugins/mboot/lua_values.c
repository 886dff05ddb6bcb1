/* SPDX-License-Identifier: Apache-2.0 */
/* The table mb: tests of single values, digests, variables and signatures. */
#include <string.h>

#include "lua_parts.h"

static int mb_int(lua_State *L)
{
    const lua_Integer number = luaL_checkinteger(L, 1);

    mb_lua_push_node(L, mb_lua_run_of(L), MB_INT)->number = number;
    return 1;
}

static int mb_str(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    const struct mb_str text = mb_lua_copy_text(L, run, 1);

    mb_lua_push_node(L, run, MB_STR)->text = text;
    return 1;
}

static int mb_re(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    const struct mb_str pattern = mb_lua_copy_text(L, run, 1);
    const char *flags = luaL_optstring(L, 2, "");
    struct mb_regex *re = NULL;
    struct ql_err err = QL_ERR_INIT;
    struct mb_node *n = mb_lua_push_node(L, run, MB_RE);

    run->host->lua_charge(L, 2000 + pattern.len * 8);
    if (mb_regex_new(run->host, pattern.text, pattern.len, flags, &re, &err) < 0)
        return luaL_error(L, "%s", err.text);
    if (!mb_tests_keep(run->tests, re))
        mb_lua_raise(L, "out of memory");
    n->re = re;
    n->text = pattern;
    return 1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Key and value of a table of digests, on top of the stack. */
static void take_digest(lua_State *L, struct mb_lua_run *run, struct mb_approved *a)
{
    size_t len;
    const char *hex;

    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
        mb_lua_raise(L, "a digest is written {sha256 = \"hex\"}");
    a->alg = mb_lua_copy_text(L, run, -2).text;
    hex = lua_tolstring(L, -1, &len);
    if (len >= 2 && hex[0] == '0' && hex[1] == 'x') {
        hex += 2;
        len -= 2;
    }
    if (len == 0 || len % 2 != 0 || len / 2 > MB_DIGEST_MAX)
        mb_lua_raise(L, "a digest is written in an even number of hex digits, at most 128");
    for (size_t i = 0; i < len / 2; i++) {
        const int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            mb_lua_raise(L, "a digest is written in hex digits");
        a->digest[i] = (uint8_t)(high << 4 | low);
    }
    a->len = (uint8_t)(len / 2);
}

/* The algorithms of one table at @p index, added to the node; @p room counts what is allocated. */
static size_t add_digests(lua_State *L, struct mb_lua_run *run, int index, struct mb_approved *into)
{
    size_t count = 0;

    if (!lua_istable(L, index))
        (void)luaL_error(L, "wanted a table of digests, found a %s", luaL_typename(L, index));
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (into)
            take_digest(L, run, &into[count]);
        count++;
    }
    return count;
}

static int mb_digest(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_approved *approved;
    struct mb_node *n;
    size_t count;

    lua_settop(L, 1);
    count = add_digests(L, run, 1, NULL);
    run->host->lua_charge(L, count);
    approved = mb_lua_need(L, mb_arena_alloc(&run->tests->arena, (count + 1) * sizeof *approved));
    (void)add_digests(L, run, 1, approved); /* as many */
    n = mb_lua_push_node(L, run, MB_DIGESTS);
    n->approved = approved;
    n->count = count;
    return 1;
}

static int mb_digests(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_approved *approved;
    struct mb_node *n;
    size_t rows, total = 0, at = 0;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    rows = lua_rawlen(L, 1);
    for (size_t i = 1; i <= rows; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i);
        total += add_digests(L, run, 2, NULL);
        lua_settop(L, 1);
    }
    run->host->lua_charge(L, total);
    approved = mb_lua_need(L, mb_arena_alloc(&run->tests->arena, (total + 1) * sizeof *approved));
    for (size_t i = 1; i <= rows; i++) {
        lua_rawgeti(L, 1, (lua_Integer)i);
        at += add_digests(L, run, 2, approved + at);
        lua_settop(L, 1);
    }
    n = mb_lua_push_node(L, run, MB_DIGESTS);
    n->approved = approved;
    n->count = total;
    return 1;
}

/* ---- variables, signatures ---- */

static int mb_var(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    const struct mb_str guid = mb_lua_copy_text(L, run, 1);
    const struct mb_node *test = mb_lua_test(L, 3), *name;
    struct mb_node *n = mb_lua_push_node(L, run, MB_VAR);

    n->text = guid;
    n->child = test;
    if (lua_type(L, 2) == LUA_TSTRING) {
        n->name = mb_lua_copy_text(L, run, 2);
        return 1;
    }
    name = mb_lua_test(L, 2);
    if (name->kind == MB_STR) {
        n->name = name->text;
    } else if (name->kind == MB_RE) {
        n->re = name->re;
        n->name = name->text;
    } else {
        mb_lua_raise(L, "mb.var: the name is a text or an mb.re");
    }
    return 1;
}

static int mb_vars(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_node *n;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    n = mb_lua_push_node(L, run, MB_VARS);
    n->rows = mb_lua_new_rows(L, run);
    for (size_t row = 1; row <= lua_rawlen(L, 1); row++) {
        struct mb_tuple t = {.len = 0};

        if (lua_rawgeti(L, 1, (lua_Integer)row) != LUA_TTABLE || lua_rawlen(L, -1) != 3)
            (void)luaL_error(L, "mb.vars: row %d: wanted GUID, name and test", (int)row);
        for (int i = 1; i <= 3; i++)
            lua_rawgeti(L, 3, i);
        mb_lua_take_key(L, 4, &t);
        mb_lua_take_key(L, 5, &t);
        mb_lua_add_row(L, run, n->rows, &t, mb_lua_test(L, 6));
        lua_settop(L, 2);
    }
    return 1;
}

static const struct mb_str signature_fields[] = {{"SignatureOwner", 14}, {"SignatureData", 13}};

/* Make the node on top of the stack hold the set of the list at @p index. */
static void take_set(lua_State *L, struct mb_lua_run *run, int index, struct mb_node *n,
                     const struct mb_str *fields, size_t field_count)
{
    size_t bad = 0;
    const json_t *list;
    int r;

    luaL_checktype(L, index, LUA_TTABLE);
    list = run->host->lua_to_json(L, index);
    if (!json_is_array(list) && json_object_size(list) > 0)
        mb_lua_raise(L, "wanted a list");
    run->host->lua_charge(L, json_array_size(list) * 16);
    r = mb_set_new(run->tests, fields, field_count, list, &n->set, &bad);
    if (r == QL_EPARSE)
        (void)luaL_error(L, "item %d has not the text %s", (int)bad + 1, fields[0].text);
    if (r < 0)
        mb_lua_raise(L, "the policy is too large");
}

static int mb_sig_in(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_node *n = mb_lua_push_node(L, run, MB_SIG_IN);

    take_set(L, run, 1, n, signature_fields, 2);
    return 1;
}

/* mb.sig(owner, data): as a set of one. */
static int mb_sig(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);

    luaL_checktype(L, 1, LUA_TSTRING);
    luaL_checktype(L, 2, LUA_TSTRING);
    lua_settop(L, 2);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, 1);
    lua_setfield(L, 4, "SignatureOwner");
    lua_pushvalue(L, 2);
    lua_setfield(L, 4, "SignatureData");
    lua_rawseti(L, 3, 1);
    take_set(L, run, 3, mb_lua_push_node(L, run, MB_SIG_IN), signature_fields, 2);
    return 1;
}

/* A text, or a list of texts. */
static void take_types(lua_State *L, struct mb_lua_run *run, int index, struct mb_node *n)
{
    struct mb_str *types;

    n->count = lua_istable(L, index) ? lua_rawlen(L, index) : 1;
    if (n->count > 64)
        mb_lua_raise(L, "too many types");
    types = mb_lua_need(L, mb_arena_alloc(&run->tests->arena, (n->count + 1) * sizeof *types));
    for (size_t i = 0; i < n->count; i++) {
        if (lua_istable(L, index))
            lua_rawgeti(L, index, (lua_Integer)i + 1);
        else
            lua_pushvalue(L, index);
        types[i] = mb_lua_copy_text(L, run, -1);
        lua_pop(L, 1);
    }
    n->types = types;
}

static int keys(lua_State *L, enum mb_kind kind)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_node *n = mb_lua_push_node(L, run, kind);

    take_types(L, run, 1, n);
    take_set(L, run, 2, n, signature_fields, 2);
    return 1;
}

static int mb_keys_subset(lua_State *L)
{
    return keys(L, MB_KEYS_SUBSET);
}

static int mb_keys_superset(lua_State *L)
{
    return keys(L, MB_KEYS_SUPERSET);
}

static int mb_superset(lua_State *L)
{
    struct mb_lua_run *run = mb_lua_run_of(L);
    struct mb_str fields[MB_SET_FIELDS] = {{"", 0}};
    size_t count;

    luaL_checktype(L, 2, LUA_TTABLE);
    count = lua_rawlen(L, 2);
    if (count == 0 || count > MB_SET_FIELDS)
        (void)luaL_error(L, "mb.superset: wanted 1 to %d field names", MB_SET_FIELDS);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        fields[i] = mb_lua_copy_text(L, run, -1);
        lua_pop(L, 1);
    }
    take_set(L, run, 1, mb_lua_push_node(L, run, MB_SUPERSET), fields, count);
    return 1;
}

static int mb_separator(lua_State *L)
{
    (void)mb_lua_push_node(L, mb_lua_run_of(L), MB_SEPARATOR); /* pushed */
    return 1;
}

static int mb_efi_action(lua_State *L)
{
    const lua_Integer pcr = luaL_checkinteger(L, 1);

    mb_lua_push_node(L, mb_lua_run_of(L), MB_EFI_ACTION_OF)->number = pcr;
    return 1;
}

const luaL_Reg mb_lua_value_tests[] = {{"int", mb_int},
                                       {"str", mb_str},
                                       {"re", mb_re},
                                       {"digest", mb_digest},
                                       {"digests", mb_digests},
                                       {"var", mb_var},
                                       {"vars", mb_vars},
                                       {"sig", mb_sig},
                                       {"sig_in", mb_sig_in},
                                       {"keys_subset", mb_keys_subset},
                                       {"keys_superset", mb_keys_superset},
                                       {"superset", mb_superset},
                                       {"separator", mb_separator},
                                       {"efi_action", mb_efi_action},
                                       {NULL, NULL}};
