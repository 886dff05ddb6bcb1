/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "state.h"
#include "status.h"

enum {
    COLUMN_MAX = 256 * 1024, /* bytes of JSON in a column of ours */
    INTERVALS_MAX = 5        /* quotes that may be missed before an agent counts as silent */
};

static const char *verdict(int64_t state)
{
    if (state >= QL_STATE_GET_QUOTE && state <= QL_STATE_PROVIDE_V_RETRY)
        return "PASS";
    if (state == QL_STATE_FAILED || state == QL_STATE_INVALID_QUOTE || state == QL_STATE_TENANT_FAILED)
        return "FAIL";
    return "PENDING";
}

static json_t *list(const char *text)
{
    json_t *j = NULL;

    if (!text || ql_json_parse(text, strlen(text), COLUMN_MAX, &j, NULL) < 0)
        return json_array();
    return j;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* What the row says of a validator's policy: NULL none. */
static const json_t *linked(const json_t *policies, const char *validator)
{
    return json_object_get(policies, validator);
}

json_t *ql_status_object(const struct ql_agent_row *row, double interval_s)
{
    ql_auto_json json_t *policies = NULL;
    char period[32], silence[32];
    const char *keys[] = {"hash_alg", "enc_alg", "sign_alg"},
               *algs[] = {row->hash_alg, row->enc_alg, row->sign_alg};
    json_t *j = json_object();
    int r = j ? 0 : -1;

    if (row->policies)
        (void)ql_json_parse_object(row->policies, strlen(row->policies), COLUMN_MAX, &policies,
                                   NULL);                                                      /* none */
    (void)snprintf(period, sizeof period, "%llds", (long long)interval_s);                     /* fits */
    (void)snprintf(silence, sizeof silence, "%llds", (long long)(INTERVALS_MAX * interval_s)); /* fits */
    r |= json_object_set_new(j, "operational_state", json_integer(row->operational_state));
    r |= json_object_set_new(j, "v", json_null()); /* half of a key: nobody is told */
    r |= json_object_set_new(j, "ip", text_or_null(row->ip));
    r |= json_object_set_new(j, "port", row->port > 0 ? json_integer(row->port) : json_null());
    r |= json_object_set_new(j, "tpm_policy", text_or_null(row->tpm_policy));
    r |= json_object_set_new(j, "meta_data", text_or_null(row->meta_data));
    r |= json_object_set_new(j, "has_mb_refstate", json_integer(linked(policies, "mboot") ? 1 : 0));
    r |= json_object_set_new(j, "has_runtime_policy", json_integer(linked(policies, "ima") ? 1 : 0));
    r |= json_object_set_new(j, "accept_tpm_hash_algs", list(row->accept_hash));
    r |= json_object_set_new(j, "accept_tpm_encryption_algs", list(row->accept_enc));
    r |= json_object_set_new(j, "accept_tpm_signing_algs", list(row->accept_sign));
    for (size_t i = 0; i < QL_ARRAY_LEN(keys); i++)
        r |= json_object_set_new(j, keys[i], json_string(algs[i] ? algs[i] : ""));
    r |= json_object_set_new(j, "verifier_id", text_or_null(row->verifier_id));
    r |= json_object_set_new(j, "verifier_ip", text_or_null(row->verifier_ip));
    r |= json_object_set_new(j, "verifier_port", json_integer(row->verifier_port));
    r |= json_object_set_new(j, "severity_level",
                             row->severity_level >= 0 ? json_integer(row->severity_level) : json_null());
    r |= json_object_set_new(j, "last_event_id", text_or_null(row->last_event_id));
    r |= json_object_set_new(j, "attestation_count", json_integer(row->attestation_count));
    r |= json_object_set_new(j, "last_received_quote", json_integer(row->last_received_quote));
    r |=
        json_object_set_new(j, "last_successful_attestation", json_integer(row->last_successful_attestation));
    r |= json_object_set_new(j, "attestation_status", json_string(verdict(row->operational_state)));
    r |= json_object_set_new(j, "attestation_period", json_string(period));
    r |= json_object_set_new(j, "maximum_attestation_interval", json_string(silence));
    if (r == 0)
        return j;
    json_decref(j);
    return NULL;
}
