/* SPDX-License-Identifier: Apache-2.0 */
/** @file rig.h  The plugin's validator as a host drives it: quoted PCR and list in, findings and state out. */
#pragma once
#include "vectors.h"

#include "ima.h"
#include "replay.h"
#include "state.h"
#include "toolhost.h"

struct rig_options {
    struct ql_options table;
    const char *violations, *old_key, *list;
    int require_log, max_failures;
};

struct rig {
    struct rig_options options;
    struct ima_plugin *plugin;
    void *compiled;
    /* in */
    const char *bank;
    uint8_t pcr[64];
    size_t pcr_len;
    const char *list;
    size_t list_len;
    uint64_t from;
    bool in_place; /* the list is handed over as it is: for benchmarks */
    const json_t *boottime, *boot_aggregates;
    json_t *agent_options;
    /* kept */
    uint8_t *state;
    size_t state_len;
    uint32_t state_version;
    /* out */
    int result;
    struct ql_err err;
    json_t *events; /* list of {"id", "context"} */
    json_t *fact;
    uint64_t cursor;
    char *retry;
};

static const struct rig_options *rig_of(const struct ql_options *o)
{
    return (const struct rig_options *)(const void *)o;
}

static int64_t rig_int(const struct ql_options *o, const char *name)
{
    if (strcmp(name, "require_ima_log") == 0)
        return rig_of(o)->require_log;
    assert_string_equal(name, "ima_max_failures");
    return rig_of(o)->max_failures;
}

static const char *rig_string(const struct ql_options *o, const char *name)
{
    if (strcmp(name, "ima_violations") == 0)
        return rig_of(o)->violations;
    if (strcmp(name, "ignore_tomtou_errors") == 0)
        return rig_of(o)->old_key;
    assert_string_equal(name, "ima_ml_path");
    return rig_of(o)->list;
}

/** Options as the plugin's rows have them by default, but for the demand for a boot aggregate. */
static inline struct rig_options rig_defaults(void)
{
    return (struct rig_options){
        .table = {.size = sizeof(struct ql_options), .get_int = rig_int, .get_string = rig_string},
        .violations = "tolerate",
        .old_key = "",
        .list = "default",
        .max_failures = 100};
}

static inline void rig_start(struct rig *r, struct rig_options options)
{
    *r = (struct rig){.options = options, .bank = "sha256", .agent_options = json_object()};
    r->err.size = sizeof r->err;
    if (ima_plugin_new(&ql_tool_host, &r->options.table, &r->plugin, &r->err) < 0)
        fail_msg("%s", r->err.text);
}

/** @return false: refused, the reason is in err */
static inline bool rig_policy(struct rig *r, const char *text, uint32_t origin)
{
    size_t size = 0;

    ima_validator.release(r->plugin, r->compiled);
    r->compiled = NULL;
    return ima_validator.prepare(r->plugin, (const uint8_t *)text, strlen(text), origin, &r->compiled, &size,
                                 &r->err) == QL_OK;
}

static inline void rig_forget(struct rig *r)
{
    free(r->state);
    r->state = NULL;
    r->state_len = 0;
}

static inline void rig_clear(struct rig *r)
{
    json_decref(r->events);
    json_decref(r->fact);
    free(r->retry);
    r->events = json_array();
    r->fact = NULL;
    r->retry = NULL;
    r->cursor = 0;
    r->err.text[0] = '\0';
}

static inline void rig_stop(struct rig *r)
{
    rig_clear(r);
    json_decref(r->events);
    json_decref(r->agent_options);
    rig_forget(r);
    ima_validator.release(r->plugin, r->compiled);
    ima_plugin_free(r->plugin);
}

static const uint8_t *rig_pcr(const struct ql_attest *a, uint32_t n, size_t *len)
{
    const struct rig *r = a->ctx;

    if (n != 10 || r->pcr_len == 0)
        return NULL;
    *len = r->pcr_len;
    return r->pcr;
}

static int rig_evidence(const struct ql_attest *a, const char *name, struct ql_evidence_data *ret)
{
    const struct rig *r = a->ctx;

    assert_string_equal(name, "ima");
    *ret = (struct ql_evidence_data){.size = sizeof *ret,
                                     .data = (const uint8_t *)r->list,
                                     .len = r->list_len,
                                     .cursor_from = r->from,
                                     .cursor_to = r->from};
    return QL_OK;
}

static const json_t *rig_fact(const struct ql_attest *a, const char *name)
{
    const struct rig *r = a->ctx;

    return strcmp(name, "core.boottime") == 0          ? r->boottime
           : strcmp(name, "core.boot_aggregates") == 0 ? r->boot_aggregates
                                                       : NULL;
}

static int rig_fail(struct ql_report *report, const char *event_id, const char *severity,
                    uint32_t recoverable, const json_t *context)
{
    struct rig *r = report->ctx;

    assert_null(severity);
    assert_int_equal(recoverable, 1);
    assert_true(json_is_object(context));
    return json_array_append_new(r->events,
                                 json_pack("{s:s, s:o}", "id", event_id, "context", json_deep_copy(context)));
}

static int rig_publish(struct ql_report *report, const char *name, const json_t *value)
{
    struct rig *r = report->ctx;

    assert_string_equal(name, "list");
    json_decref(r->fact);
    r->fact = json_deep_copy(value);
    return QL_OK;
}

static int rig_cursor(struct ql_report *report, const char *evidence, uint64_t cursor)
{
    struct rig *r = report->ctx;

    assert_string_equal(evidence, "ima");
    r->cursor = cursor;
    return QL_OK;
}

static int rig_retry(struct ql_report *report, const char *reason)
{
    struct rig *r = report->ctx;

    r->retry = strdup(reason);
    return QL_OK;
}

enum rig_verdict {
    RIG_PASS,
    RIG_FAIL,
    RIG_RETRY
};

/** One attestation. As core does it: what was found makes it fail, and new state is kept only when it passed. */
static inline enum rig_verdict rig_run(struct rig *r)
{
    /* Of just this size on the heap, so that a sanitizer sees a step too far. */
    const char *given = r->list;
    char *copy = r->in_place ? NULL : malloc(r->list_len > 0 ? r->list_len : 1);
    const struct ql_attest attest = {.size = sizeof attest,
                                     .agent_id = "d432fbb3-d2f1-4a97-9ef7-75bd81c00000",
                                     .hash_alg = r->bank,
                                     .is_first = r->state_len == 0,
                                     .options = r->agent_options,
                                     .ctx = r,
                                     .pcr = rig_pcr,
                                     .evidence = rig_evidence,
                                     .fact = rig_fact};
    struct ql_report report = {.size = sizeof report,
                               .ctx = r,
                               .fail = rig_fail,
                               .fact = rig_publish,
                               .cursor = rig_cursor,
                               .retry = rig_retry};
    const struct ql_state in = {
        .size = sizeof in, .version = r->state_version, .data = r->state, .len = r->state_len};
    struct ql_state out = {.size = sizeof out};

    if (!r->in_place) {
        assert_non_null(copy);
        memcpy(copy, given, r->list_len);
        r->list = copy;
    }
    rig_clear(r);
    r->result = ima_validator.validate(r->plugin, &attest, r->compiled, &in, &report, &out, &r->err);
    r->list = given;
    free(copy);
    if (r->result < 0 || json_array_size(r->events) > 0 || r->retry) {
        free((void *)(uintptr_t)out.data);
        rig_forget(r);
        return r->result == QL_OK && r->retry && json_array_size(r->events) == 0 ? RIG_RETRY : RIG_FAIL;
    }
    if (out.changed) {
        rig_forget(r);
        r->state = (uint8_t *)(uintptr_t)out.data;
        r->state_len = out.len;
        r->state_version = out.version;
    }
    return RIG_PASS;
}

static inline void rig_list(struct rig *r, const char *list, uint64_t from)
{
    r->list = list;
    r->list_len = strlen(list);
    r->from = from;
}

static inline void rig_pcr_hex(struct rig *r, const char *hex)
{
    r->pcr_len = strlen(hex) / 2;
    assert_true(r->pcr_len <= sizeof r->pcr);
    assert_true(ima_hex_decode((const uint8_t *)hex, strlen(hex), r->pcr));
}

/** @return id of finding @p n, "" past the end */
static inline const char *rig_event(const struct rig *r, size_t n)
{
    const char *id = json_string_value(json_object_get(json_array_get(r->events, n), "id"));

    return id ? id : "";
}

/** Extend the rig's PCR with the entries of a list, all of which must be fit for it. */
static inline void rig_extend(struct rig *r, const char *list)
{
    struct ima_lines lines = ima_lines_of((const uint8_t *)list, strlen(list));
    struct ima_bytes line;
    struct ima_replay replay;
    enum ima_alg bank;

    assert_true(ima_alg_by_name((const uint8_t *)r->bank, strlen(r->bank), &bank));
    ima_replay_begin(&replay, r->plugin->hasher, bank, r->pcr);
    memcpy(replay.run, r->pcr, sizeof r->pcr);
    while (ima_lines_next(&lines, &line)) {
        uint8_t value[64];
        struct ima_entry e;

        assert_int_equal(ima_entry_read(r->plugin->readers[0], line, &e), IMA_READ_OK);
        if (e.columns.hash[0] == 0 && memcmp(e.columns.hash, e.columns.hash + 1, e.columns.hash_len - 1) == 0)
            memset(value, 0xff, sizeof value);
        else
            assert_true(ima_hash(r->plugin->hasher, bank, e.data.at, e.data.len, value));
        assert_true(ima_replay_extend(&replay, value));
    }
    memcpy(r->pcr, replay.run, sizeof r->pcr);
    r->pcr_len = ima_alg_len(bank);
}
