/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <quicklime/lua.h>

#include "error.h"
#include "lone_host.h"

static void memory_is_counted_and_limited(void **state)
{
    ql_auto(ql_lone_host_freep) struct ql_lone_host *h = NULL;
    const struct ql_host *table;
    void *p;

    (void)state;
    assert_int_equal(ql_lone_host_new("made", 4096, &h, NULL), QL_OK);
    table = ql_lone_host_table(h);
    assert_null(table->alloc(table, 8192));
    p = table->alloc(table, 1024);
    assert_non_null(p);
    assert_true(ql_lone_host_used(h) >= 1024);
    table->free(table, p);
    assert_int_equal(ql_lone_host_used(h), 0);
}

static int body(lua_State *L)
{
    if (!lua_istable(L, 1))
        return luaL_error(L, "no table");
    return 0;
}

static int run(const struct ql_host *h, const char *source, struct ql_err *err)
{
    const struct ql_lua_job job = {
        .size = sizeof job, .name = "made.lua", .source = source, .source_len = strlen(source), .body = body};

    return h->lua_run(h, &job, err);
}

static void scripts_run_in_the_sandbox_and_within_limits(void **state)
{
    ql_auto(ql_lone_host_freep) struct ql_lone_host *h = NULL;
    const struct ql_host *table;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_lone_host_new("made", 1 << 20, &h, NULL), QL_OK);
    table = ql_lone_host_table(h);
    assert_int_equal(run(table, "return {}", NULL), QL_OK);
    assert_int_equal(run(table, "return 7", &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "no table"));
    assert_int_equal(run(table, "io.open('/etc/passwd')", NULL), QL_EPARSE);
    assert_int_equal(run(table, "while true do end", NULL), QL_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_counted_and_limited),
        cmocka_unit_test(scripts_run_in_the_sandbox_and_within_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
