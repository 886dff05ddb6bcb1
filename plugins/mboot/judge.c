/* SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <stdarg.h>
#include <stdio.h>

int mb_refstate_load(const struct ql_host *host, const uint8_t *text, size_t len, json_t **ret,
                     struct ql_err *err)
{
    json_error_t e;
    json_t *j;

    if (len > MB_REFSTATE_MAX)
        return host->fail(err, QL_ELIMIT, "reference state of %zu bytes, at most %d", len, MB_REFSTATE_MAX);
    j = len == 0 ? json_object()
                 : json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!j && len == 0)
        return host->fail(err, QL_ENOMEM, "out of memory");
    if (!j)
        return host->fail(err, QL_EPARSE, "reference state: line %d, column %d: %.160s", e.line, e.column,
                          e.text);
    if (json_is_null(j))
        return host->fail(err, QL_EPARSE, "reference state: wanted an object, found null");
    *ret = j;
    return QL_OK;
}

bool mb_refstate_is_off(const json_t *refstate)
{
    switch (json_typeof(refstate)) {
    case JSON_OBJECT:
        return json_object_size(refstate) == 0;
    case JSON_ARRAY:
        return json_array_size(refstate) == 0;
    case JSON_STRING:
        return json_string_length(refstate) == 0;
    case JSON_INTEGER:
        return json_integer_value(refstate) == 0;
    case JSON_REAL:
        return json_real_value(refstate) == 0;
    case JSON_FALSE:
        return true;
    default:
        return false;
    }
}

__attribute__((format(printf, 3, 4))) static void found(struct mb_judged *j, enum mb_stage stage,
                                                        const char *fmt, ...)
{
    va_list ap;

    j->stage = stage;
    va_start(ap, fmt);
    (void)vsnprintf(j->why, sizeof j->why, fmt, ap); /* cut short is fine */
    va_end(ap);
}

static int choose_bank(const struct mb_log *log, const char *name)
{
    int bank = mb_log_bank(log, name ? name : "sha256");

    for (uint32_t i = 0; !name && bank < 0 && i < log->bank_count; i++)
        if (log->banks[i].is_known)
            bank = (int)i;
    return bank;
}

int mb_judge_open(const struct mb_workshop *shop, const uint8_t *bytes, size_t len, const char *bank,
                  struct mb_judged *ret, struct ql_err *err)
{
    struct ql_err why = QL_ERR_INIT;
    int r;

    *ret = (struct mb_judged){.stage = MB_STAGE_ACCEPT, .bank = -1};
    r = mb_log_parse(shop->host, bytes, len, &ret->log, &why);
    if (r == QL_ENOMEM)
        return shop->host->fail(err, r, "%s", why.text);
    if (r < 0) {
        found(ret, MB_STAGE_PARSE, "%s", why.text);
        return QL_OK;
    }
    ret->bank = choose_bank(ret->log, bank);
    if (ret->bank < 0) {
        found(ret, MB_STAGE_BANK, "the log has no bank %.16s", bank ? bank : "that can be computed");
        return QL_OK;
    }
    r = mb_log_check_digests(shop->hasher, ret->log, ret->bank, &ret->check, err);
    if (r == QL_OK && ret->check.mismatch > 0)
        found(ret, MB_STAGE_DIGEST, "event %u: the %s digest is not that of the data (%u events in all)",
              ret->check.first, ret->log->banks[ret->bank].name, ret->check.mismatch);
    if (r < 0)
        mb_judged_done(ret);
    return r;
}

/** Between the evaluation's trace and the caller's lines. */
struct explaining {
    const struct mb_log *log;
    mb_explain_fn explain;
    void *arg;
};

static void explain_event(struct mb_eval *e, const struct mb_value *event, bool accepted, const char *text,
                          void *arg)
{
    const struct explaining *x = arg;
    char label[128];
    struct mb_explained line = {.label = label, .accepted = accepted, .text = text};

    mb_value_label(e, event, label, sizeof label);
    if (event->kind == MB_V_EVENT && event->event < x->log->event_count)
        line.event = &x->log->events[event->event];
    x->explain(x->arg, &line);
}

void mb_judge_ask(const struct mb_policy *policy, struct mb_judged *j, mb_explain_fn explain, void *arg)
{
    struct explaining x = {.log = j->log, .explain = explain, .arg = arg};
    const struct mb_question q = {
        .log = j->log, .bank = j->bank, .trace = explain ? explain_event : NULL, .trace_arg = &x};

    if (j->stage == MB_STAGE_ACCEPT && !mb_policy_accepts(policy, &q, j->why))
        j->stage = MB_STAGE_POLICY;
}

void mb_judged_done(struct mb_judged *j)
{
    mb_log_free(j->log);
    j->log = NULL;
    j->bank = -1;
}
