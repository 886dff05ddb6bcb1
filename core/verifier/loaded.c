/* SPDX-License-Identifier: Apache-2.0 */
/* From rows to what an agent's record is made of; runs on the store thread. Pure helpers besides. */
#include <string.h>

#include "buf.h"
#include "digest.h"
#include "encode.h"
#include "error.h"
#include "parse.h"
#include "policies.h"
#include "verifier.h"

enum {
    COLUMN_MAX = 256 * 1024,   /* bytes of JSON in a column of ours */
    TPM_POLICY_MAX = 64 * 1024 /* bytes of a tpm_policy: 24 PCRs with some hundred values each */
};

void ql_loaded_done(struct ql_loaded *loaded)
{
    ql_agent_row_done(&loaded->row);
    for (size_t i = 0; i < loaded->policy_count; i++)
        free(loaded->policies[i].content);
    *loaded = (struct ql_loaded){0};
}

int ql_loaded_refs(struct ql_loaded *loaded, struct ql_err *err)
{
    ql_auto_json json_t *policies = NULL;
    const char *validator, *text = loaded->row.policies;
    json_t *entry;

    if (!text)
        return QL_OK;
    if (ql_json_parse_object(text, strlen(text), COLUMN_MAX, &policies, err) < 0)
        return ql_fail_context(err, QL_ECORRUPT, "agent %s: column policies", loaded->row.agent_id);
    json_object_foreach(policies, validator, entry) {
        const json_t *digest = json_object_get(entry, "digest");

        if (!json_is_string(digest))
            continue; /* linked by name, nothing to check */
        if (loaded->policy_count == QL_POLICIES_MAX || !ql_component_name_ok(validator, strlen(validator)) ||
            ql_hex_decode(json_string_value(digest), json_string_length(digest),
                          loaded->policies[loaded->policy_count].digest, 32, err) < 0)
            return ql_fail(err, QL_ECORRUPT, "agent %s: column policies is damaged", loaded->row.agent_id);
        memcpy(loaded->policies[loaded->policy_count].validator, validator, strlen(validator) + 1);
        loaded->policy_count++;
    }
    return QL_OK;
}

static int own_policy(const struct ql_loaded *loaded, char **ret, size_t *ret_len, struct ql_err *err)
{
    if (!loaded->row.tpm_policy)
        return QL_ENOTFOUND;
    *ret = strdup(loaded->row.tpm_policy);
    if (!*ret)
        return ql_fail_nomem(err);
    *ret_len = strlen(*ret);
    return QL_OK;
}

int ql_loaded_content(struct ql_txn *t, struct ql_loaded *loaded, size_t i, struct ql_err *err)
{
    char hex[65];
    int r;

    ql_hex_encode(loaded->policies[i].digest, 32, hex);
    if (strcmp(loaded->policies[i].validator, "tpm-policy") == 0)
        r = own_policy(loaded, &loaded->policies[i].content, &loaded->policies[i].len, err);
    else
        r = ql_policies_content(t, hex, &loaded->policies[i].content, &loaded->policies[i].len, err);
    return r == QL_ENOTFOUND ? QL_OK : r;
}

int ql_loaded_policies(struct ql_txn *t, struct ql_loaded *loaded, struct ql_err *err)
{
    int r = ql_loaded_refs(loaded, err);

    for (size_t i = 0; r == QL_OK && i < loaded->policy_count; i++)
        r = ql_loaded_content(t, loaded, i, err);
    return r;
}

int ql_loaded_get(struct ql_txn *t, const char *agent_id, struct ql_loaded *ret, struct ql_err *err)
{
    struct ql_loaded loaded = {0};
    int r = ql_agents_get(t, agent_id, &loaded.row, err);

    if (r == QL_OK)
        r = ql_loaded_policies(t, &loaded, err);
    if (r < 0) {
        ql_loaded_done(&loaded);
        return r;
    }
    *ret = loaded;
    return QL_OK;
}

int ql_tpm_policy_read(const char *json, size_t len, uint32_t *mask, char *text, bool *has_pcrs,
                       struct ql_err *err)
{
    ql_auto_json json_t *policy = NULL;
    const char *value = NULL;
    size_t value_len = 0;
    int r = ql_json_parse_object(json, len, TPM_POLICY_MAX, &policy, err);

    if (r < 0)
        return r;
    r = ql_json_get_text(policy, "mask", &value, &value_len, err);
    *has_pcrs = json_object_size(policy) > (json_object_get(policy, "mask") ? 1u : 0u);
    *mask = 0;
    text[0] = '\0';
    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r == QL_OK)
        r = ql_parse_hex_u32(value, value_len, mask, err);
    if (r == QL_OK && (value_len >= 16 || *mask >> 24))
        r = ql_fail(err, QL_ERANGE, "mask %.16s has bits above PCR 23", value);
    if (r < 0)
        return r;
    memcpy(text, value, value_len + 1);
    return QL_OK;
}

static bool is_keylimes(const char *evidence)
{
    return strcmp(evidence, "ima") == 0 || strcmp(evidence, "mboot") == 0;
}

/* ",NAME" or ",NAME/PARAMETERS" in hex. */
static int add_evidence(struct ql_buf *b, const char *name, const json_t *parameters, struct ql_err *err)
{
    ql_auto_free char *text = NULL, *hex = NULL;

    if (parameters) {
        text = json_dumps(parameters, JSON_COMPACT | JSON_ENCODE_ANY);
        hex = text ? ql_hex_dup(text, strlen(text)) : NULL;
        if (!hex)
            return ql_fail_nomem(err);
    }
    (void)ql_buf_addf(b, "%s%s%s%s", b->len > 0 ? "," : "", name, hex ? "/" : "",
                      hex ? hex : ""); /* poisoned */
    return b->failed
               ? ql_fail(err, QL_ELIMIT, "names and parameters of evidence have more than %d characters",
                         QL_EVIDENCE_QUERY)
               : QL_OK;
}

int ql_needs_evidence(const char *needs, char **ret, struct ql_err *err)
{
    ql_auto_json json_t *list = NULL, *seen = json_object();
    ql_auto_buf struct ql_buf names = ql_buf_init(QL_EVIDENCE_QUERY);
    size_t i;
    json_t *need;
    int r = seen ? ql_json_parse(needs, strlen(needs), COLUMN_MAX, &list, err) : ql_fail_nomem(err);

    if (r < 0)
        return r;
    json_array_foreach(list, i, need) {
        const char *name = json_string_value(json_object_get(need, "evidence"));

        if (!name || !ql_component_name_ok(name, strlen(name)))
            return ql_fail(err, QL_EPARSE, "name of evidence is missing");
        if (json_object_get(seen, name) || is_keylimes(name))
            continue;
        if (json_object_size(seen) == QL_EVIDENCE_NAMES)
            return ql_fail(err, QL_ELIMIT, "more than %d kinds of evidence", QL_EVIDENCE_NAMES);
        if (json_object_set_new(seen, name, json_true()) != 0)
            return ql_fail_nomem(err);
        r = add_evidence(&names, name, json_object_get(need, "parameters"), err);
        if (r < 0)
            return r;
    }
    if (names.len == 0)
        return QL_OK;
    *ret = (char *)ql_buf_take(&names, &i);
    return *ret ? QL_OK : ql_fail_nomem(err);
}

int ql_pem_der(const char *pem, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    const char *from = strstr(pem, begin), *to;
    ql_auto_free char *text = NULL;
    size_t len = 0;

    from = from ? from + sizeof begin - 1 : pem; /* without armour it is base64 of DER */
    to = strstr(from, end);
    if (!to)
        to = from + strlen(from);
    if ((size_t)(to - from) > QL_BASE64_LEN(QL_CERT_MAX_LEN) * 2)
        return ql_fail(err, QL_ELIMIT, "certificate of %zu characters", (size_t)(to - from));
    text = malloc((size_t)(to - from) + 1);
    if (!text)
        return ql_fail_nomem(err);
    for (; from < to; from++)
        if (*from != '\n' && *from != '\r' && *from != ' ' && *from != '\t')
            text[len++] = *from;
    if (len == 0)
        return ql_fail(err, QL_EPARSE, "certificate is empty");
    return ql_base64_decode_dup(text, len, QL_CERT_MAX_LEN, ret, ret_len, err);
}
