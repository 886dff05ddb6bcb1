/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file script.h  Running Lua validators in tests: an attestation made of a few values, a report that is
 * written down.
 */
#pragma once
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "folder.h"

/** What a validator finds and what it said. */
struct judged {
    struct ql_attest attest;
    struct ql_report report;
    const char *evidence; /* of the name "thing" */
    size_t evidence_len;
    char said[8192]; /* one line each: what was reported */
};

static inline const uint8_t *judged_pcr(const struct ql_attest *a, uint32_t n, size_t *len)
{
    static const uint8_t value[32] = {0xab, 0xcd};

    (void)a;
    *len = sizeof value;
    return n == 7 ? value : NULL;
}

static inline int judged_evidence(const struct ql_attest *a, const char *name, struct ql_evidence_data *ret)
{
    const struct judged *j = a->ctx;

    if (strcmp(name, "thing") != 0 || !j->evidence)
        return QL_ENOTFOUND;
    ret->data = (const uint8_t *)j->evidence;
    ret->len = j->evidence_len;
    ret->cursor_from = 5;
    ret->cursor_to = 9;
    return QL_OK;
}

static inline const json_t *judged_fact(const struct ql_attest *a, const char *name)
{
    static json_t *fact;

    (void)a;
    if (!fact)
        fact = json_pack("{s:i,s:[],s:n}", "answer", 42, "empty", "null");
    return strcmp(name, "core.fact") == 0 ? fact : NULL;
}

__attribute__((format(printf, 2, 3))) static inline int judged_say(struct ql_report *r, const char *fmt, ...)
{
    struct judged *j = r->ctx;
    size_t used = strlen(j->said);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(j->said + used, sizeof j->said - used, fmt, ap);
    va_end(ap);
    return QL_OK;
}

static inline int judged_fail(struct ql_report *r, const char *event, const char *severity,
                              uint32_t recoverable, const json_t *context)
{
    char *text = json_dumps(context, JSON_COMPACT);
    int e = judged_say(r, "fail %s %s %u %s\n", event, severity ? severity : "-", recoverable, text);

    free(text);
    return e;
}

static inline int judged_publish(struct ql_report *r, const char *name, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    int e = judged_say(r, "fact %s %s\n", name, text);

    free(text);
    return e;
}

static inline int judged_cursor(struct ql_report *r, const char *evidence, uint64_t cursor)
{
    return judged_say(r, "cursor %s %llu\n", evidence, (unsigned long long)cursor);
}

static inline int judged_retry(struct ql_report *r, const char *reason)
{
    return judged_say(r, "retry %s\n", reason);
}

static inline void judged_init(struct judged *j, const json_t *options)
{
    *j = (struct judged){
        .attest = {.size = sizeof j->attest,
                   .agent_id = "agent-1",
                   .hash_alg = "sha256",
                   .clock = 1234,
                   .reset_count = 1,
                   .restart_count = 2,
                   .is_first = 1,
                   .options = options,
                   .ctx = j,
                   .pcr = judged_pcr,
                   .evidence = judged_evidence,
                   .fact = judged_fact},
        .report = {.size = sizeof j->report,
                   .ctx = j,
                   .fail = judged_fail,
                   .fact = judged_publish,
                   .cursor = judged_cursor,
                   .retry = judged_retry},
        .evidence = "first\nsecond\n\nlast",
        .evidence_len = 18,
    };
}

/** A loaded script with its first validator. */
struct script {
    struct ql_registry *registry;
    const struct ql_validator *validator;
    void *plugin;
    void *compiled;
    json_t *options;
    struct judged judged;
};

static inline int script_load_with(struct script *s, const struct folder *f, const char *text, size_t len,
                                   const struct ql_registry_config *config, struct ql_err *err)
{
    struct ql_found found;
    int r;

    *s = (struct script){.registry = new_registry(config), .options = json_pack("{s:s}", "mode", "strict")};
    judged_init(&s->judged, s->options);
    folder_write(f, "script.lua", text, len);
    r = load(s->registry, f, "script", NULL, err);
    found = ql_registry_at(s->registry, QL_KIND_VALIDATOR, 0);
    s->validator = (const struct ql_validator *)(const void *)found.head;
    s->plugin = found.plugin;
    return r;
}

/** Load a whole script. */
static inline int script_load(struct script *s, const struct folder *f, const char *text, struct ql_err *err)
{
    return script_load_with(s, f, text, strlen(text), NULL, err);
}

/** Load a validator whose `validate(attest, object, state)` has this body. */
static inline void script_body(struct script *s, const struct folder *f, const char *before, const char *body,
                               const struct ql_registry_config *config)
{
    struct ql_err err = QL_ERR_INIT;
    char text[16384];

    snprintf(
        text, sizeof text,
        "%s\nreturn {kind = 'validator', name = 'script', prepare = function(p) return {policy = p} end,\n"
        "needs = function() return {pcrs = {7}} end,\n"
        "validate = function(attest, object, state)\n%s\nend}\n",
        before, body);
    if (script_load_with(s, f, text, strlen(text), config, &err) != QL_OK)
        fail_msg("%s", err.text);
}

static inline int script_prepare(struct script *s, const char *policy, struct ql_err *err)
{
    size_t size = 0;

    return s->validator->prepare(s->plugin, (const uint8_t *)policy, strlen(policy), QL_ORIGIN_UPLOAD,
                                 &s->compiled, &size, err);
}

static inline int script_validate(struct script *s, const struct ql_state *in, struct ql_state *out,
                                  struct ql_err *err)
{
    const struct ql_state none = {.size = sizeof none};
    struct ql_state dropped = {.size = sizeof dropped};
    int r;

    if (!s->compiled && script_prepare(s, "policy", err) != QL_OK)
        fail_msg("%s", err->text);
    s->judged.said[0] = '\0';
    r = s->validator->validate(s->plugin, &s->judged.attest, s->compiled, in ? in : &none, &s->judged.report,
                               out ? out : &dropped, err);
    ql_plugin_memory_free((void *)(uintptr_t)dropped.data);
    return r;
}

static inline void script_done(struct script *s)
{
    if (s->compiled)
        s->validator->release(s->plugin, s->compiled);
    ql_registry_free(s->registry);
    json_decref(s->options);
}

/** Run a body and compare what it reported. */
static inline void body_says(void **state, const char *body, const char *said)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    script_body(&s, *state, "", body, NULL);
    if (script_validate(&s, NULL, NULL, &err) != QL_OK)
        fail_msg("%s", err.text);
    assert_string_equal(s.judged.said, said);
    script_done(&s);
}

/** Run a body and expect an error with these words. */
static inline void body_fails(void **state, const char *body, int code, const char *words)
{
    struct script s;
    struct ql_err err = QL_ERR_INIT;

    script_body(&s, *state, "", body, NULL);
    assert_int_equal(script_validate(&s, NULL, NULL, &err), code);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" lacks \"%s\"", err.text, words);
    script_done(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)
