/* SPDX-License-Identifier: Apache-2.0 */
/* A script, whatever it says: load it, prepare, judge twice, under limits that end in milliseconds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "error.h"
#include "log.h"
#include "registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const uint8_t *give_pcr(const struct ql_attest *a, uint32_t n, size_t *len)
{
    static const uint8_t value[32] = {1};

    (void)a;
    *len = sizeof value;
    return n < 8 ? value : NULL;
}

static int give_evidence(const struct ql_attest *a, const char *name, struct ql_evidence_data *ret)
{
    (void)a;
    if (strcmp(name, "sample") != 0)
        return QL_ENOTFOUND;
    ret->data = (const uint8_t *)"ID=debian\nVERSION=12\n";
    ret->len = 21;
    ret->cursor_to = 21;
    return QL_OK;
}

static const json_t *give_fact(const struct ql_attest *a, const char *name)
{
    return *name == 'o' ? a->options : NULL;
}

static int take_failure(struct ql_report *r, const char *event, const char *severity, uint32_t recoverable,
                        const json_t *context)
{
    (void)r, (void)severity, (void)recoverable;
    if (!json_is_object(context) || !event)
        abort();
    return QL_OK;
}

static int take_fact(struct ql_report *r, const char *name, const json_t *value)
{
    (void)r;
    if (!name || !value)
        abort();
    return QL_OK;
}

static int take_cursor(struct ql_report *r, const char *evidence, uint64_t cursor)
{
    (void)r, (void)evidence, (void)cursor;
    return QL_OK;
}

static int take_retry(struct ql_report *r, const char *reason)
{
    (void)r, (void)reason;
    return QL_OK;
}

static int load(struct ql_registry *r, const uint8_t *data, size_t len)
{
    struct ql_plugin_file file = {
        .name = "script", .is_lua = true, .fd = memfd_create("script", MFD_CLOEXEC)};
    int e = QL_EIO;

    if (file.fd < 0)
        abort();
    if (fchmod(file.fd, 0600) == 0 && write(file.fd, data, len) == (ssize_t)len)
        e = ql_registry_load(r, &file, NULL, NULL);
    ql_plugin_file_close(&file);
    return e;
}

static void judge(const struct ql_found *found, void *compiled)
{
    const struct ql_validator *v = (const struct ql_validator *)(const void *)found->head;
    json_t *options = json_pack("{s:[i,n,s]}", "list", 1, "text");
    const struct ql_attest attest = {.size = sizeof attest,
                                     .agent_id = "agent",
                                     .hash_alg = "sha256",
                                     .is_first = 1,
                                     .options = options,
                                     .pcr = give_pcr,
                                     .evidence = give_evidence,
                                     .fact = give_fact};
    struct ql_report report = {.size = sizeof report,
                               .fail = take_failure,
                               .fact = take_fact,
                               .cursor = take_cursor,
                               .retry = take_retry};
    struct ql_state first = {.size = sizeof first}, second = {.size = sizeof second};

    if (v->validate(found->plugin, &attest, compiled, &first, &report, &second, NULL) == QL_OK &&
        second.len > 0) {
        struct ql_state third = {.size = sizeof third};

        if (second.len > QL_STATE_MAX_LEN)
            abort();
        (void)v->validate(found->plugin, &attest, compiled, &second, &report, &third, NULL); /* may fail */
        ql_plugin_memory_free((void *)(uintptr_t)third.data);
    }
    ql_plugin_memory_free((void *)(uintptr_t)second.data);
    json_decref(options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct ql_registry_config config = {.lua_memory = 2u << 20, .lua_instructions = 300000};
    ql_auto(ql_registry_freep) struct ql_registry *r = NULL;

    ql_log_setup("fuzz", QL_ERROR, QL_LOG_LOGFMT);
    if (len > 65536 || ql_registry_new(&config, &r, NULL) < 0 || load(r, data, len) < 0)
        return 0;
    for (size_t i = 0;; i++) {
        const struct ql_found found = ql_registry_at(r, QL_KIND_VALIDATOR, i);
        const struct ql_validator *v = (const struct ql_validator *)(const void *)found.head;
        static const uint8_t policy[] = "{\"require\": [\"ID=debian\"], \"max_resets\": 2}";
        struct ql_needs needs = {.size = sizeof needs};
        void *compiled = NULL;
        size_t size = 0;

        if (!v)
            return 0;
        if (v->prepare(found.plugin, policy, sizeof policy - 1, QL_ORIGIN_UPLOAD, &compiled, &size, NULL) < 0)
            continue;
        if (v->needs(found.plugin, compiled, &needs, NULL) < 0 || needs.pcr_mask >> 24)
            abort();
        judge(&found, compiled);
        v->release(found.plugin, compiled);
    }
}
