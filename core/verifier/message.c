/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clock.h"
#include "encode.h"
#include "error.h"
#include "json.h"
#include "key.h"
#include "message.h"

char *ql_message_text(const struct ql_message *m, const struct ql_agent_row *row)
{
    char time[32];
    ql_auto_json json_t *j =
        json_pack("{s:s, s:s?, s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:s}", "type", m->type, "ip", row->ip,
                  "agent_id", row->agent_id, "port", row->port > 0 ? json_integer(row->port) : json_null(),
                  "tpm_policy", row->tpm_policy ? row->tpm_policy : "", "meta_data",
                  row->meta_data ? row->meta_data : "", "event_time", ql_time_asctime(m->time_ns, time),
                  "event_id", m->event_id, "severity_label", m->severity, "context", m->context);

    return j ? ql_json_text_spaced(j) : NULL;
}

int ql_message_sign(const struct ql_seal *seal, const struct ql_agent_row *row, const char *text, char **ret,
                    struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *pem = NULL;
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    ql_auto_free uint8_t *signature = NULL;
    size_t len = 0;
    int r = QL_OK;

    if (row->revocation_key_len > 0) {
        r = ql_seal_unwrap(seal, row->revocation_key, row->revocation_key_len, &pem, err);
        if (r == QL_OK)
            r = ql_key_from_private_pem((const char *)ql_secret_data(pem), ql_secret_len(pem), NULL, &key,
                                        err);
        if (r == QL_OK)
            r = ql_key_sign_pss_max(key, QL_SHA256, text, strlen(text), &signature, &len, err);
    }
    if (r < 0)
        return r;
    *ret = len ? ql_base64_dup(signature, len) : strdup("");
    return *ret ? QL_OK : ql_fail_nomem(err);
}
