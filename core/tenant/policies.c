/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line says of policies, in the form the verifier takes (spec/server.md 5.1, 10.3). */
#include <ctype.h>
#include <string.h>

#include "buf.h"
#include "digest.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "parse.h"
#include "quote.h"
#include "tenant.h"

#define AREA "keylime.cli.policies"

/** PCRs that measured boot owns: 0 to 9 and 11 to 15. */
#define MEASURED_BOOT_MASK UINT32_C(0xfbff)

enum {
    TPM_POLICY_MAX = 64 * 1024
};

/* ---- PCR policy ---- */

static int lower_hex(const json_t *value, json_t *list, const char *pcr, struct ql_err *err)
{
    const char *text = json_string_value(value);
    ql_auto_free char *lower = text ? strdup(text) : NULL;

    if (!text)
        return ql_fail(err, QL_EPARSE, "PCR %s: values are hex text or a list of it", pcr);
    if (!lower)
        return ql_fail_nomem(err);
    for (char *c = lower; *c != '\0'; c++) {
        if (!isxdigit((unsigned char)*c))
            return ql_fail(err, QL_EPARSE, "PCR %s: \"%.80s\" is not hex", pcr, text);
        *c = (char)tolower((unsigned char)*c);
    }
    return json_array_append_new(list, json_string(lower)) == 0 ? QL_OK : ql_fail_nomem(err);
}

static int add_pcr(json_t *policy, const char *key, const json_t *values, uint32_t *mask, struct ql_err *err)
{
    json_t *list;
    uint64_t pcr;
    int r = ql_parse_u64(key, strlen(key), 0, QL_PCR_COUNT - 1, &pcr, err);

    if (r < 0)
        return ql_fail(err, QL_ERANGE, "Invalid tpm policy pcr number: %.40s", key);
    if (pcr == QL_DATA_PCR)
        return ql_fail(err, QL_ERANGE, "Invalid allowlist PCR number %d, keylime uses this PCR to bind data.",
                       QL_DATA_PCR);
    if (pcr == QL_IMA_PCR)
        return ql_fail(err, QL_ERANGE, "Invalid allowlist PCR number %d, keylime uses this PCR for IMA.",
                       QL_IMA_PCR);
    list = json_array();
    if (json_is_array(values))
        for (size_t i = 0; r == QL_OK && i < json_array_size(values); i++)
            r = lower_hex(json_array_get(values, i), list, key, err);
    else
        r = lower_hex(values, list, key, err);
    *mask |= UINT32_C(1) << pcr;
    if (json_object_set_new(policy, key, list) != 0 && r == QL_OK)
        r = ql_fail_nomem(err);
    return r;
}

int ql_tpm_policy_text(const char *policy, uint32_t extra_mask, char **ret, uint32_t *mask,
                       struct ql_err *err)
{
    ql_auto_json json_t *given = NULL, *made = json_object();
    uint32_t pcrs = 0;
    const char *key;
    json_t *values;
    char hex[16];
    int r = ql_json_parse_object(policy, strlen(policy), TPM_POLICY_MAX, &given, err);

    if (r < 0)
        return ql_fail_context(err, r, "--tpm_policy");
    json_object_foreach(given, key, values) {
        r = add_pcr(made, key, values, &pcrs, err);
        if (r < 0)
            return r;
    }
    ql_say(AREA, "INFO", "TPM PCR Mask from policy is 0x%x", pcrs);
    for (unsigned pcr = 0; pcr < QL_PCR_COUNT; pcr++)
        if (pcrs & extra_mask & UINT32_C(1) << pcr)
            return ql_fail(
                err, QL_ERANGE,
                "WARNING: PCR %u is specified in \"tpm_policy\", but will in fact be used by measured boot. "
                "Please remove it from policy",
                pcr);
    if (extra_mask != 0)
        ql_say(AREA, "INFO", "TPM PCR Mask automatically modified is 0x%x to include IMA/Event log PCRs",
               pcrs | extra_mask);
    snprintf(hex, sizeof hex, "0x%x", pcrs | extra_mask);
    if (json_object_set_new(made, "mask", json_string(hex)) != 0)
        return ql_fail_nomem(err);
    *ret = ql_json_text_spaced(made);
    *mask = pcrs | extra_mask;
    return *ret ? QL_OK : ql_fail_nomem(err);
}

/* ---- files ---- */

/* Policies of validators that Keylime does not have: the file's text as it is. */
static int read_custom(struct ql_tenant *t, json_t **ret, struct ql_err *err)
{
    const struct ql_args *a = t->args;
    json_t *custom = json_object();

    *ret = custom;
    if (!custom)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < a->count[QL_ARG_POLICY]; i++) {
        const char *text = a->values[QL_ARG_POLICY][i], *equals = strchr(text, '=');
        ql_auto_free uint8_t *data = NULL;
        json_t *entry;
        size_t len;
        int r;

        if (!equals || !ql_component_name_ok(text, (size_t)(equals - text)))
            return ql_fail(err, QL_EPARSE, "\"%.80s\" is not NAME=FILE", text);
        r = ql_file_read(equals + 1, QL_TENANT_POLICY_MAX, &data, &len, err);
        if (r < 0)
            return r;
        entry = memchr(data, 0, len) ? NULL : json_stringn((const char *)data, len);
        if (!entry)
            return ql_fail(err, QL_EPARSE, "policy %.80s is not UTF-8 text", text);
        if (json_object_setn_new(custom, text, (size_t)(equals - text), entry) != 0)
            return ql_fail_nomem(err);
    }
    return QL_OK;
}

static const char *name_of(const struct ql_args *a, enum ql_arg first, enum ql_arg second)
{
    const char *name = ql_arg(a, first);

    if (!name && second != QL_ARG_COUNT)
        name = ql_arg(a, second);
    return name ? name : "";
}

/* Stored policies: the verifier keeps them for the two validators that Keylime has. */
static int read_names(struct ql_tenant *t, struct ql_policies *p, struct ql_err *err)
{
    const struct ql_args *a = t->args;

    for (size_t i = 0; i < a->count[QL_ARG_POLICY_NAME]; i++) {
        const char *text = a->values[QL_ARG_POLICY_NAME][i], *equals = strchr(text, '=');
        size_t len = equals ? (size_t)(equals - text) : 0;

        if (!equals || !ql_component_name_ok(text, len))
            return ql_fail(err, QL_EPARSE, "\"%.80s\" is not NAME=STORED", text);
        if (len == 3 && strncmp(text, "ima", len) == 0)
            p->runtime_policy_name = equals + 1;
        else if (len == 5 && strncmp(text, "mboot", len) == 0)
            p->mb_policy_name = equals + 1;
        else
            return ql_fail(err, QL_EUNSUPPORTED,
                           "policies of validator %.*s are not stored by name: use --policy %.*s=FILE",
                           (int)len, text, (int)len, text);
    }
    return QL_OK;
}

static int read_all(struct ql_tenant *t, struct ql_policies *p, struct ql_err *err)
{
    const struct ql_args *a = t->args;
    const char *tpm_policy = ql_arg(a, QL_ARG_TPM_POLICY);
    uint32_t extra = 0, mask;
    int r = QL_OK;

    p->runtime_policy_name = name_of(a, QL_ARG_RUNTIME_POLICY_NAME, QL_ARG_ALLOWLIST_NAME);
    p->mb_policy_name = name_of(a, QL_ARG_MB_POLICY_NAME, QL_ARG_COUNT);
    r = read_names(t, p, err);
    if (r < 0)
        return r;
    r = ql_runtime_policy_argument(a, &p->runtime_policy, &p->runtime_policy_key, err);
    if (r == QL_OK)
        r = ql_file_keys_argument(a, &p->file_keys, err);
    if (r == QL_OK)
        r = ql_boot_policy_argument(t, &p->mb_policy, err);
    if (ql_arg_given(a, QL_ARG_RUNTIME_POLICY) || ql_arg_given(a, QL_ARG_ALLOWLIST) ||
        ql_arg_given(a, QL_ARG_IMA_KEY) || *p->runtime_policy_name != '\0')
        extra |= UINT32_C(1) << QL_IMA_PCR;
    if (p->mb_policy || *p->mb_policy_name != '\0')
        extra |= MEASURED_BOOT_MASK;
    if (r == QL_OK)
        r = ql_tpm_policy_text(tpm_policy ? tpm_policy : "{}", extra, &p->tpm_policy, &mask, err);
    if (r == QL_OK && ql_arg_given(a, QL_ARG_POLICY))
        r = read_custom(t, &p->custom, err);
    return r;
}

int ql_policies_read(struct ql_tenant *t, struct ql_policies *ret, struct ql_err *err)
{
    struct ql_policies p = {0};
    int r = read_all(t, &p, err);

    if (r < 0) {
        ql_policies_done(&p);
        return r;
    }
    *ret = p;
    return QL_OK;
}

void ql_policies_done(struct ql_policies *p)
{
    free(p->tpm_policy);
    free(p->runtime_policy);
    free(p->runtime_policy_key);
    free(p->file_keys);
    free(p->mb_policy);
    json_decref(p->custom);
    *p = (struct ql_policies){0};
}
