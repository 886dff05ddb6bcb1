/* SPDX-License-Identifier: Apache-2.0 */
/** @file rig.h  The validator as a host drives it: quoted PCRs and log in, findings and state out. */
#pragma once
#include "compiled.h"
#include "policies.h"

struct rig_options {
    struct ql_options table;
    const char *policy, *evaluate, *digest_check, *import;
};

struct rig {
    struct rig_options options;
    struct ql_registry *registry;
    struct ql_plugin_host host;
    struct mb_plugin *plugin;
    void *compiled;
    /* in */
    const char *bank;
    uint8_t pcrs[24][64];
    size_t pcr_len;
    uint32_t quoted;
    const uint8_t *log;
    size_t log_len;
    uint32_t reset_count;
    json_t *agent_options;
    /* kept */
    uint8_t *state;
    size_t state_len;
    uint32_t state_version, state_changes;
    /* out */
    int result;
    struct ql_err err;
    json_t *events; /* list of {"id", "context"} */
    json_t *fact;
};

static const struct rig_options *rig_of(const struct ql_options *o)
{
    return (const struct rig_options *)(const void *)o;
}

static const char *rig_string(const struct ql_options *o, const char *name)
{
    if (strcmp(name, "measured_boot_policy_name") == 0)
        return rig_of(o)->policy;
    if (strcmp(name, "measured_boot_evaluate") == 0)
        return rig_of(o)->evaluate;
    assert_string_equal(name, "measured_boot_digest_check");
    return rig_of(o)->digest_check;
}

static const char *rig_item(const struct ql_options *o, const char *name, size_t n)
{
    assert_string_equal(name, "measured_boot_imports");
    return n == 0 ? rig_of(o)->import : NULL;
}

/** Options as the rows have them by default, with this policy. */
static inline struct rig_options rig_with(const char *policy)
{
    return (struct rig_options){
        .table = {.size = sizeof(struct ql_options), .get_string = rig_string, .get_item = rig_item},
        .policy = policy,
        .evaluate = "once",
        .digest_check = "strict"};
}

static inline int rig_start(struct rig *r, struct rig_options options)
{
    const struct ql_registry_config config = {0};

    *r = (struct rig){.options = options, .bank = "sha256", .pcr_len = 32, .agent_options = json_object()};
    assert_int_equal(ql_registry_new(&config, &r->registry, NULL), QL_OK);
    ql_plugin_host_init(&r->host, r->registry, "mboot", 256 * 1024 * 1024);
    return mb_plugin_new(&r->host.table, &r->options.table, &r->plugin, &r->err);
}

/** Compile a policy in place of the one before. */
static inline bool rig_policy(struct rig *r, const char *text, uint32_t origin)
{
    size_t size = 0;

    if (r->compiled)
        mb_validator.release(r->plugin, r->compiled);
    r->compiled = NULL;
    return mb_validator.prepare(r->plugin, (const uint8_t *)text, strlen(text), origin, &r->compiled, &size,
                                &r->err) == QL_OK;
}

/** Also: everything was given back. */
static inline void rig_stop(struct rig *r)
{
    if (r->compiled)
        mb_validator.release(r->plugin, r->compiled);
    r->host.table.free(&r->host.table, r->state);
    mb_plugin_free(r->plugin);
    json_decref(r->agent_options);
    json_decref(r->events);
    json_decref(r->fact);
    assert_int_equal(atomic_load(&r->host.used), 0);
    ql_registry_free(r->registry);
}

/** Quote what an object of hexadecimal texts by PCR says; PCRs that are not in it are zeros. */
static inline void rig_pcrs(struct rig *r, const json_t *values)
{
    const char *key;
    json_t *value;

    memset(r->pcrs, 0, sizeof r->pcrs);
    json_object_foreach((json_t *)(uintptr_t)values, key, value) {
        const unsigned long n = strtoul(key, NULL, 10);
        const char *text = json_string_value(value);

        text += strncmp(text, "0x", 2) == 0 ? 2 : 0;
        assert_true(n < 24 && strlen(text) <= sizeof r->pcrs[0] * 2);
        r->pcr_len = strlen(text) / 2;
        for (size_t i = 0; i < r->pcr_len; i++) {
            char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};

            r->pcrs[n][i] = (uint8_t)strtoul(pair, NULL, 16);
        }
    }
}

/* ---- what the validator sees ---- */

static const uint8_t *rig_pcr(const struct ql_attest *a, uint32_t n, size_t *len)
{
    const struct rig *r = a->ctx;

    *len = r->pcr_len;
    return n < 24 && (r->quoted >> n & 1) ? r->pcrs[n] : NULL;
}

static int rig_evidence(const struct ql_attest *a, const char *name, struct ql_evidence_data *ret)
{
    const struct rig *r = a->ctx;

    assert_string_equal(name, "mboot");
    if (!r->log)
        return QL_ENOTFOUND;
    ret->data = r->log;
    ret->len = r->log_len;
    return QL_OK;
}

static const json_t *rig_fact(const struct ql_attest *a, const char *name)
{
    (void)a, (void)name;
    return NULL;
}

static int rig_fail(struct ql_report *report, const char *event_id, const char *severity,
                    uint32_t recoverable, const json_t *context)
{
    struct rig *r = report->ctx;

    assert_null(severity);
    assert_int_equal(recoverable, 1);
    assert_true(json_is_object(context));
    json_array_append_new(r->events,
                          json_pack("{s:s, s:O}", "id", event_id, "context", (json_t *)(uintptr_t)context));
    return QL_OK;
}

static int rig_publish(struct ql_report *report, const char *name, const json_t *value)
{
    struct rig *r = report->ctx;

    assert_string_equal(name, "boot_aggregates");
    json_decref(r->fact);
    r->fact = json_deep_copy(value);
    return QL_OK;
}

/** @return passed: answered 0 and found nothing; new state is kept then, and then alone */
static inline bool rig_run(struct rig *r)
{
    const struct ql_attest attest = {.size = sizeof attest,
                                     .agent_id = "a",
                                     .hash_alg = r->bank,
                                     .reset_count = r->reset_count,
                                     .options = r->agent_options,
                                     .ctx = r,
                                     .pcr = rig_pcr,
                                     .evidence = rig_evidence,
                                     .fact = rig_fact};
    struct ql_report report = {.size = sizeof report, .ctx = r, .fail = rig_fail, .fact = rig_publish};
    const struct ql_state in = {
        .size = sizeof in, .version = r->state_version, .data = r->state, .len = r->state_len};
    struct ql_state out = {.size = sizeof out};
    bool passed;

    json_decref(r->events);
    json_decref(r->fact);
    r->events = json_array();
    r->fact = NULL;
    r->result = mb_validator.validate(r->plugin, &attest, r->compiled, &in, &report, &out, &r->err);
    passed = r->result == QL_OK && json_array_size(r->events) == 0;
    if (!passed)
        assert_int_equal(out.changed, 0);
    if (out.changed) {
        r->host.table.free(&r->host.table, r->state);
        r->state = (uint8_t *)(uintptr_t)out.data;
        r->state_len = out.len;
        r->state_version = out.version;
        r->state_changes++;
    }
    return passed;
}

static inline const char *rig_event(const struct rig *r, size_t n)
{
    const char *id = json_string_value(json_object_get(json_array_get(r->events, n), "id"));

    return id ? id : "";
}

static inline const char *rig_context(const struct rig *r, size_t n, const char *member)
{
    const char *text =
        json_string_value(json_object_get(json_object_get(json_array_get(r->events, n), "context"), member));

    return text ? text : "";
}
