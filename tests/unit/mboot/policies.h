/* SPDX-License-Identifier: Apache-2.0 */
/** @file policies.h  A host with Lua, as core's; policies and reference states of the vectors. */
#pragma once
#include "internal.h"
#include "logs.h"
#include "policy.h"
#include "tree.h"
#include "vectors.h"

/** Core's host table and what policies are made with. */
struct shop {
    struct ql_registry *registry;
    struct ql_plugin_host host;
    struct mb_workshop shop;
};

static inline struct shop *shop_open(void)
{
    const struct ql_registry_config config = {.lua_instructions =
                                                  4 * 1000 * 1000}; /* limits are reached sooner */
    struct shop *s = calloc(1, sizeof *s);

    assert_non_null(s);
    assert_int_equal(ql_registry_new(&config, &s->registry, NULL), QL_OK);
    ql_plugin_host_init(&s->host, s->registry, "mboot", 256 * 1024 * 1024);
    s->shop.host = &s->host.table;
    assert_int_equal(mb_hasher_new(s->shop.host, &s->shop.hasher, NULL), QL_OK);
    return s;
}

/** Also: everything was given back. */
static inline void shop_close(struct shop *s)
{
    mb_hasher_free(s->shop.hasher);
    assert_int_equal(atomic_load(&s->host.used), 0);
    ql_registry_free(s->registry);
    free(s);
}

/** A script of the test's own under the name "test"; free with free(). */
static inline struct mb_scripts *one_script(const char *text)
{
    struct mb_scripts *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->imported[0] = (struct mb_script){.name = "test", .text = text, .len = strlen(text)};
    s->imported_count = 1;
    return s;
}

static inline json_t *pointer(json_t *doc, const char *path, char *last, json_t **parent)
{
    json_t *at = doc;

    *parent = NULL;
    last[0] = '\0';
    while (*path == '/') {
        size_t len = strcspn(path + 1, "/");

        *parent = at;
        snprintf(last, 200, "%.*s", (int)len, path + 1);
        path += 1 + len;
        if (json_is_array(at))
            at = strcmp(last, "-") == 0 ? NULL : json_array_get(at, strtoul(last, NULL, 10));
        else
            at = json_object_get(at, last);
    }
    return at;
}

/** Apply a JSON Patch of add, remove and replace. @return a new document */
static inline json_t *patched(const json_t *doc, const json_t *patch)
{
    json_t *out = json_deep_copy(doc), *op;
    size_t i;

    json_array_foreach(patch, i, op) {
        const char *what = json_string_value(json_object_get(op, "op"));
        json_t *value = json_object_get(op, "value"), *parent;
        char last[200];

        (void)pointer(out, json_string_value(json_object_get(op, "path")), last, &parent);
        if (!parent) {
            json_decref(out);
            out = json_deep_copy(value);
        } else if (json_is_object(parent)) {
            if (strcmp(what, "remove") == 0)
                assert_int_equal(json_object_del(parent, last), 0);
            else
                assert_int_equal(json_object_set(parent, last, value), 0);
        } else if (strcmp(what, "remove") == 0) {
            assert_int_equal(json_array_remove(parent, strtoul(last, NULL, 10)), 0);
        } else if (strcmp(what, "replace") == 0) {
            assert_int_equal(json_array_set(parent, strtoul(last, NULL, 10), value), 0);
        } else if (strcmp(last, "-") == 0) {
            assert_int_equal(json_array_append(parent, value), 0);
        } else {
            assert_int_equal(json_array_insert(parent, strtoul(last, NULL, 10), value), 0);
        }
    }
    return out;
}
