/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts of plugins: the slots that quicklime/lua.h describes, over the host's own calls. */
#include <quicklime/lua.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "lua_call.h"

enum {
    JOB_LEAST = offsetof(struct ql_lua_job, instructions) + sizeof(uint64_t) /* size of the first release */
};

static int job_run(const struct ql_host *h, const struct ql_lua_job *job, struct ql_err *err)
{
    struct ql_plugin_host *host = (struct ql_plugin_host *)(uintptr_t)h;
    struct ql_lua_script script = {.registry = host->registry, .host = host};
    struct ql_lua_call call = {.script = &script, .arg = job->arg, .setup = job->setup};

    if (job->size < JOB_LEAST)
        return ql_fail(err, QL_EABI, "ql_lua_job: size: wanted at least %d bytes, found %u", JOB_LEAST,
                       job->size);
    if (job->source_len > QL_LUA_SOURCE_MAX)
        return ql_fail(err, QL_ELIMIT, "%s: script of %zu bytes, at most %d", job->name, job->source_len,
                       QL_LUA_SOURCE_MAX);
    (void)snprintf(script.name, sizeof script.name, "%s", job->name); /* cut short is fine */
    script.code = (uint8_t *)(uintptr_t)job->source;                  /* only read */
    script.code_len = job->source_len;
    call.function = job->function;
    call.memory_max = job->memory;
    call.work_max = job->instructions;
    return ql_lua_run(&call, job->body, err);
}

static void *job_arg(lua_State *L)
{
    return ql_lua_call_of(L)->arg;
}

static void job_error_limit(lua_State *L, int32_t code, const char *text)
{
    ql_lua_kill(ql_lua_call_of(L), code < 0 ? code : QL_ELIMIT, text);
}

void ql_lua_slots(struct ql_host *table)
{
    table->lua_run = job_run;
    table->lua_arg = job_arg;
    table->lua_charge = ql_lua_charge;
    table->lua_push_json = ql_lua_push_json;
    table->lua_to_json = ql_lua_to_json;
    table->lua_push_keys = ql_lua_push_keys;
    table->lua_freeze = ql_lua_freeze;
    table->lua_error_limit = job_error_limit;
}
