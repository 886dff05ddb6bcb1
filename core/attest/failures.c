/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "failures.h"
#include "parse.h"

/** Keylime's own event ids that validators report under another name than theirs. */
static const char *const keylime_prefixes[] = {"pcr_validation.", "measured_boot.", "ima."};

bool ql_event_id_ok(const char *validator, const char *event_id)
{
    size_t len = strlen(event_id), name_len = strlen(validator);

    if (len == 0 || len > QL_EVENT_ID_MAX || event_id[len - 1] == '.')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = event_id[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-'))
            return false;
    }
    if (strncmp(event_id, validator, name_len) == 0 && event_id[name_len] == '.')
        return true;
    for (size_t i = 0; i < QL_ARRAY_LEN(keylime_prefixes); i++)
        if (strncmp(event_id, keylime_prefixes[i], strlen(keylime_prefixes[i])) == 0)
            return true;
    return false;
}

json_t *ql_json_lenient(const char *text, size_t len)
{
    char *copy;
    json_t *j;

    if (ql_utf8_ok(text, len))
        return json_stringn(text, len);
    copy = malloc(len + 1);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < len; i++)
        copy[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    j = json_stringn(copy, len);
    free(copy);
    return j;
}

/* The context as it is kept: bounded, and always an object. */
static json_t *bounded_context(json_t *context)
{
    size_t len;

    if (!context)
        return json_object();
    len = json_dumpb(context, NULL, 0, JSON_COMPACT);
    if (len == 0 || len > QL_CONTEXT_MAX) {
        json_decref(context);
        return json_pack("{s:s, s:I}", "message", "context left out: too long", "bytes", (json_int_t)len);
    }
    return context;
}

int ql_outcome_fail(struct ql_outcome *o, const char *event_id, const char *severity, bool recoverable,
                    json_t *context)
{
    struct ql_failure f = {.recoverable = recoverable};
    struct ql_failure *grown;

    /*
     * One irrecoverable failure among the first ones decides; a flood must not hide it (the last place is
     * kept for it).
     */
    if (o->failure_count == QL_FAILURES_MAX || (o->failure_count == QL_FAILURES_MAX - 1 && recoverable)) {
        o->failures_dropped++;
        json_decref(context);
        return QL_OK;
    }
    f.context = bounded_context(context);
    f.event_id = strdup(event_id);
    f.severity = severity ? strdup(severity) : NULL;
    grown = realloc(o->failures, (o->failure_count + 1) * sizeof *grown);
    if (grown)
        o->failures = grown;
    if (!grown || !f.context || !f.event_id || (severity && !f.severity)) {
        json_decref(f.context);
        free(f.event_id);
        free(f.severity);
        return QL_ENOMEM;
    }
    o->failures[o->failure_count++] = f;
    return QL_OK;
}

__attribute__((format(printf, 4, 0))) static int failv(struct ql_outcome *o, const char *event_id,
                                                       bool recoverable, const char *fmt, va_list args)
{
    char text[1024];
    int len = vsnprintf(text, sizeof text, fmt, args);

    if (len < 0)
        text[0] = '\0';
    return ql_outcome_fail(o, event_id, NULL, recoverable,
                           json_pack("{s:o}", "message", ql_json_lenient(text, strlen(text))));
}

int ql_outcome_failf(struct ql_outcome *o, const char *event_id, bool recoverable, const char *fmt, ...)
{
    va_list args;
    int r;

    va_start(args, fmt);
    r = failv(o, event_id, recoverable, fmt, args);
    va_end(args);
    return r;
}

int ql_outcome_fail_of(struct ql_outcome *o, const char *validator, const char *what, const char *fmt, ...)
{
    char event_id[QL_EVENT_ID_MAX + 1];
    va_list args;
    int r;

    (void)snprintf(event_id, sizeof event_id, "%s.%s", validator,
                   what); /* names have at most 32 characters */
    va_start(args, fmt);
    r = failv(o, event_id, false, fmt, args);
    va_end(args);
    return r;
}

static json_t *missing_list(uint32_t missing)
{
    json_t *list = json_array();

    for (int i = 0; list && i < 32; i++)
        if (missing & (UINT32_C(1) << i) && json_array_append_new(list, json_integer(i)) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

int ql_outcome_fail_quote(struct ql_outcome *o, enum ql_quote_stage stage, uint32_t missing, const char *why)
{
    switch (stage) {
    case QL_STAGE_FORMAT:
        return ql_outcome_failf(o, "qoute_validation.invalid_quote", false, "Quote validation failed: %s",
                                why);
    case QL_STAGE_HASH_ALG:
    case QL_STAGE_ENC_ALG:
    case QL_STAGE_SIGN_ALG:
        /*
         * The claimed names have been accepted before the quote: here the quote is not of the algorithm
         * claimed.
         */
    case QL_STAGE_NONE:
    case QL_STAGE_PCR_BLOB:
    case QL_STAGE_ATTEST:
    case QL_STAGE_SIGNATURE:
    case QL_STAGE_MAGIC:
    case QL_STAGE_NONCE:
    case QL_STAGE_SELECTION:
    case QL_STAGE_PCR_DIGEST:
    case QL_STAGE_CLOCK:
        return ql_outcome_fail(o, "qoute_validation.quote_validation", NULL, false,
                               json_pack("{s:s, s:s, s:o}", "message", "Quote data validation", "stage",
                                         ql_quote_stage_name(stage), "error",
                                         ql_json_lenient(why, strlen(why))));
    case QL_STAGE_DATA_PCR_MISSING:
        return ql_outcome_failf(o, "pcr_validation.missing_pcr_16", false,
                                "Data PCR 16 is missing in quote, but is required");
    case QL_STAGE_DATA_PCR:
        return ql_outcome_failf(o, "pcr_validation.invalid_pcr_16", true, "%s", why);
    case QL_STAGE_PCR_MISSING:
        return ql_outcome_fail(
            o, "pcr_validation.missing_pcrs", NULL, false,
            json_pack("{s:s, s:o}", "context", "PCRs are missing in quote", "data", missing_list(missing)));
    }
    return QL_EINTERNAL;
}

const struct ql_failure *ql_outcome_first(const struct ql_outcome *o)
{
    for (size_t i = 0; i < o->failure_count; i++)
        if (!o->failures[i].recoverable)
            return &o->failures[i];
    return o->failure_count > 0 ? &o->failures[0] : NULL;
}
