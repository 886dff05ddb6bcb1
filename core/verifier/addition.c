/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "addition.h"
#include "encode.h"
#include "error.h"
#include "parse.h"
#include "policies.h"
#include "scan.h"
#include "verifier.h"
#include "version.h"

enum {
    GENERATOR_EMPTY = 1,
    EMPTY_POLICY_MAX = 64 * 1024 /* bytes of a policy that may turn out to be empty */
};

#define PY_NOT_BYTES "Exception error: argument should be a bytes-like object or ASCII string, not 'NoneType'"

const char ql_empty_runtime_policy[] =
    "{\"meta\": {\"version\": 5, \"generator\": 1}, \"release\": 0, \"digests\": {}, \"excludes\": [], "
    "\"keyrings\": {}, \"ima\": {\"ignored_keyrings\": [], \"log_hash_alg\": \"sha1\", \"dm_policy\": null}, "
    "\"ima-buf\": {}, \"verification-keys\": \"\"}";

void ql_addition_done(struct ql_addition *a)
{
    ql_agent_row_done(&a->row);
    free(a->ak_tpm);
    if (a->v)
        ql_wipe(a->v, a->v_len);
    free(a->v);
    if (a->revocation_key)
        ql_wipe(a->revocation_key, strlen(a->revocation_key));
    free(a->revocation_key);
    for (size_t i = 0; i < a->policy_count; i++) {
        free(a->policies[i].name);
        free(a->policies[i].bytes);
    }
    *a = (struct ql_addition){0};
}

static int missing(const char *key, struct ql_err *err)
{
    return ql_fail(err, QL_EPARSE, "Exception error: '%s'", key);
}

static int unfit(const char *key, const char *what, struct ql_err *err)
{
    return ql_fail(err, QL_EPARSE, "Exception error: '%s' must be %s", key, what);
}

static int set(char **at, const char *text, struct ql_err *err)
{
    *at = strdup(text);
    return *at ? QL_OK : ql_fail_nomem(err);
}

/* Text that must be there; with @p or_null null counts as absent text. */
static int take(const json_t *body, const char *key, bool or_null, char **at, struct ql_err *err)
{
    const json_t *j = json_object_get(body, key);

    if (!j)
        return missing(key, err);
    if (or_null && json_is_null(j))
        return QL_OK;
    if (!json_is_string(j))
        return unfit(key, or_null ? "text or null" : "text", err);
    if (json_string_length(j) > QL_ADDITION_TEXT_MAX)
        return ql_fail(err, QL_ELIMIT, "Exception error: '%s' has %zu bytes, at most %d", key,
                       json_string_length(j), QL_ADDITION_TEXT_MAX);
    return set(at, json_string_value(j), err);
}

/* Text that may be absent, null or empty: then *at stays NULL. */
static int take_optional(const json_t *body, const char *key, char **at, struct ql_err *err)
{
    const json_t *j = json_object_get(body, key);

    if (!j || json_is_null(j) || (json_is_string(j) && json_string_length(j) == 0))
        return QL_OK;
    return take(body, key, true, at, err);
}

static int take_json(const json_t *body, const char *key, char **at, struct ql_err *err)
{
    ql_auto_json json_t *parsed = NULL;
    int r = take(body, key, false, at, err);

    if (r == QL_OK && ql_json_parse(*at, strlen(*at), QL_ADDITION_TEXT_MAX, &parsed, NULL) < 0)
        return unfit(key, "text that is JSON", err);
    return r;
}

static int take_list(const json_t *body, const char *key, char **at, struct ql_err *err)
{
    const json_t *list = json_object_get(body, key);
    size_t i;
    json_t *item;

    if (!list)
        return missing(key, err);
    if (!json_is_array(list) || json_array_size(list) > 64)
        return unfit(key, "a list of at most 64 names", err);
    json_array_foreach(list, i, item) {
        if (!json_is_string(item) || json_string_length(item) > QL_ALG_NAME_MAX)
            return unfit(key, "a list of names", err);
    }
    *at = ql_json_text_spaced(list);
    return *at ? QL_OK : ql_fail_nomem(err);
}

/* Number, or the number as text (spec/server.md 16.3). */
static int take_port(const json_t *body, const char *key, int64_t *at, struct ql_err *err)
{
    const json_t *j = json_object_get(body, key);

    if (!j || json_is_null(j))
        return missing(key, err);
    if (json_is_string(j)) {
        if (ql_parse_i64(json_string_value(j), json_string_length(j), INT32_MIN, INT32_MAX, at, NULL) < 0)
            return ql_fail(err, QL_EPARSE, "Exception error: invalid literal for int() with base 10: '%.64s'",
                           json_string_value(j));
    } else if (json_is_integer(j)) {
        *at = json_integer_value(j);
    } else {
        return unfit(key, "a number", err);
    }
    return *at >= 1 && *at <= 65535 ? QL_OK : unfit(key, "a port from 1 to 65535", err);
}

static int take_ip(const json_t *body, char **at, struct ql_err *err)
{
    int r = take_optional(body, "cloudagent_ip", at, err);

    if (r < 0)
        return r;
    if (!*at)
        return missing("cloudagent_ip", err);
    /* A name or an address, put into a URL and a log line as it is. */
    if (strlen(*at) > 255 ||
        strspn(*at, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_%[]") != strlen(*at))
        return unfit("cloudagent_ip", "an address or a host name of at most 255 characters", err);
    return QL_OK;
}

static int take_v(const json_t *body, struct ql_addition *a, struct ql_err *err)
{
    ql_auto_free char *text = NULL;
    int r = take_optional(body, "v", &text, err);

    if (r == QL_OK && text && ql_base64_decode_dup(text, strlen(text), QL_V_MAX, &a->v, &a->v_len, NULL) < 0)
        r = unfit("v", "base64 of at most 4096 bytes, or null", err);
    if (text)
        ql_wipe(text, strlen(text));
    return r;
}

static int take_version(const json_t *body, char **at, struct ql_err *err)
{
    ql_auto_free char *text = NULL;
    unsigned version = 0;
    char newest[8];
    int r = take_optional(body, "supported_version", &text, err);

    if (r < 0)
        return r;
    /* Unknown or absent: the current one. */
    if (!text || ql_api_parse(text, strlen(text), &version, NULL) < 0 || version < QL_API(2, 0) ||
        version > QL_API_NEWEST)
        return set(at, ql_api_text(QL_API_NEWEST, newest), err);
    return set(at, text, err);
}

static struct ql_added_policy *next_policy(struct ql_addition *a, const char *validator, const char *kind)
{
    struct ql_added_policy *p = &a->policies[a->policy_count++];

    memcpy(p->validator, validator, strlen(validator) + 1);
    memcpy(p->kind, kind, strlen(kind) + 1);
    return p;
}

static int take_tpm_policy(const json_t *body, struct ql_addition *a, struct ql_err *err)
{
    char text[16];
    bool has_pcrs = false;
    struct ql_err why = QL_ERR_INIT;
    int r = take(body, "tpm_policy", false, &a->row.tpm_policy, err);

    if (r < 0)
        return r;
    if (ql_tpm_policy_read(a->row.tpm_policy, strlen(a->row.tpm_policy), &a->mask, text, &has_pcrs, &why) < 0)
        return ql_fail(err, QL_EPARSE, "Exception error: 'tpm_policy': %s", why.text);
    if (has_pcrs) {
        struct ql_added_policy *p = next_policy(a, "tpm-policy", "");

        p->is_inline = true;
        p->len = strlen(a->row.tpm_policy);
        p->bytes = (uint8_t *)strdup(a->row.tpm_policy);
        if (!p->bytes)
            return ql_fail_nomem(err);
    }
    return QL_OK;
}

static int take_name(const json_t *body, const char *key, bool needed, char **at, struct ql_err *err)
{
    if (needed && !json_object_get(body, key))
        return missing(key, err);
    if (take_optional(body, key, at, err) < 0)
        return QL_EPARSE;
    if (*at && strlen(*at) > QL_POLICY_NAME_MAX)
        return unfit(key, "a name of at most 255 bytes", err);
    return QL_OK;
}

static int look_for_bytes(void *arg, const struct ql_scan_event *event, struct ql_err *err)
{
    bool *found = arg;

    (void)err; /* nothing can fail here */
    *found = *found || event->text.foreign;
    return QL_OK;
}

/* JSON that differs from what our parser takes by names that are no text: only the validator's reader takes those. */
static bool holds_bytes(const char *text, size_t len)
{
    bool found = false;

    return ql_scan_bytes(text, len, look_for_bytes, &found, NULL) == QL_OK && found;
}

int ql_runtime_policy_read(const char *base64, size_t len, char **ret, size_t *ret_len, bool *is_empty,
                           int64_t *generator, struct ql_err *err)
{
    ql_auto_json json_t *policy = NULL;
    uint8_t *bytes = NULL;
    size_t bytes_len = 0;

    *is_empty = false;
    *generator = 0;
    if (ql_base64_decode_dup(base64, len, QL_POLICY_MAX_LEN, &bytes, &bytes_len, NULL) < 0)
        return ql_fail(err, QL_EPARSE, "Runtime policy is not valid JSON!");
    *ret = (char *)bytes;
    *ret_len = bytes_len;
    if (!ql_utf8_ok(*ret, bytes_len) || memchr(bytes, 0, bytes_len)) {
        free(bytes);
        *ret = NULL;
        return ql_fail(err, QL_EPARSE, "Runtime policy is not valid JSON!");
    }
    /* Only what may be empty is read here; all others are the validator's to read. */
    if (bytes_len <= EMPTY_POLICY_MAX) {
        int r = ql_json_parse_object(*ret, bytes_len, EMPTY_POLICY_MAX, &policy, NULL);

        if (r < 0 && !holds_bytes(*ret, bytes_len)) {
            free(bytes);
            *ret = NULL;
            return ql_fail(err, QL_EPARSE, "Runtime policy is not valid JSON!");
        }
        (void)ql_json_get_int(json_object_get(policy, "meta"), "generator", 0, INT32_MAX, generator,
                              NULL); /* 0 */
        *is_empty = *generator == GENERATOR_EMPTY &&
                    json_object_size(json_object_get(policy, "digests")) == 0 &&
                    json_object_size(json_object_get(policy, "keyrings")) == 0 &&
                    json_object_size(json_object_get(policy, "ima-buf")) == 0;
    }
    return QL_OK;
}

/* What Python calls false; null is none of it, the validator refuses that. */
static bool is_false(const json_t *j)
{
    return json_is_false(j) || (json_is_object(j) && json_object_size(j) == 0) ||
           (json_is_array(j) && json_array_size(j) == 0) ||
           (json_is_string(j) && json_string_length(j) == 0) ||
           (json_is_number(j) && fpclassify(json_number_value(j)) == FP_ZERO);
}

bool ql_mb_policy_is_empty(const char *text, size_t len)
{
    ql_auto_json json_t *policy = NULL;

    return len == 0 ||
           (len <= EMPTY_POLICY_MAX && ql_json_parse(text, len, EMPTY_POLICY_MAX, &policy, NULL) == QL_OK &&
            is_false(policy));
}

static int take_runtime_policy(const json_t *body, const struct ql_addition_rules *rules,
                               struct ql_addition *a, struct ql_err *err)
{
    const json_t *j = json_object_get(body, "runtime_policy");
    struct ql_added_policy *p = next_policy(a, "ima", "runtime");
    bool is_empty = true;
    int r;

    if (!j || json_is_null(j))
        return ql_fail(err, QL_EPARSE, PY_NOT_BYTES);
    if (!json_is_string(j))
        return unfit("runtime_policy", "base64 text", err);
    r = take_name(body, "runtime_policy_name", false, &p->name, err);
    if (r < 0)
        return r;
    p->is_inline = json_string_length(j) > 0;
    if (!p->is_inline && p->name)
        return QL_OK;
    if (!p->is_inline) {
        /* None: an empty one is stored under the agent's id. */
        p->is_inline = true;
        p->generator = GENERATOR_EMPTY;
        p->bytes = (uint8_t *)strdup(ql_empty_runtime_policy);
        p->len = sizeof ql_empty_runtime_policy - 1;
        return p->bytes ? QL_OK : ql_fail_nomem(err);
    }
    r = ql_runtime_policy_read(json_string_value(j), json_string_length(j), (char **)&p->bytes, &p->len,
                               &is_empty, &p->generator, err);
    p->must_be_signed = rules->signed_policies;
    if (r == QL_OK && (!is_empty || rules->signed_policies) && p->generator == GENERATOR_EMPTY)
        p->generator = 0;
    return r;
}

static int take_mb_policy(const json_t *body, struct ql_addition *a, struct ql_err *err)
{
    const json_t *j = json_object_get(body, "mb_policy");
    struct ql_added_policy *p = next_policy(a, "mboot", "mb");
    int r;

    if (!j)
        return missing("mb_policy", err);
    if (!json_is_null(j) && !json_is_string(j))
        return unfit("mb_policy", "text or null", err);
    r = take_name(body, "mb_policy_name", true, &p->name, err);
    if (r < 0)
        return r;
    p->is_inline = (json_is_string(j) && json_string_length(j) > 0) || !p->name;
    p->is_null = !json_is_string(j) || json_string_length(j) == 0;
    if (!p->is_inline || p->is_null)
        return QL_OK;
    p->len = json_string_length(j);
    p->bytes = (uint8_t *)strdup(json_string_value(j));
    return p->bytes ? QL_OK : ql_fail_nomem(err);
}

/* Policies of validators that Keylime does not have: {NAME: object or text} (design section 5). */
static int take_custom(const json_t *body, struct ql_addition *a, struct ql_err *err)
{
    static const char *const fields[] = {"tpm-policy", "ima", "mboot"};
    const json_t *policies = json_object_get(body, "policies");
    const char *name;
    json_t *policy;

    if (!policies || json_is_null(policies))
        return QL_OK;
    if (!json_is_object(policies))
        return unfit("policies", "an object", err);
    json_object_foreach((json_t *)(uintptr_t)policies, name, policy) {
        struct ql_added_policy *p;

        if (!ql_component_name_ok(name, strlen(name)))
            return unfit("policies", "an object whose names have 1 to 32 characters out of a-z0-9-", err);
        for (size_t i = 0; i < QL_ARRAY_LEN(fields); i++)
            if (strcmp(fields[i], name) == 0)
                return ql_fail(err, QL_EPARSE, "Exception error: 'policies': %s has a field of its own",
                               name);
        if (a->policy_count == QL_POLICIES_MAX)
            return ql_fail(err, QL_ELIMIT, "Exception error: 'policies': more than %d", QL_POLICIES_MAX);
        p = next_policy(a, name, name);
        p->is_inline = true;
        p->bytes =
            (uint8_t *)(json_is_string(policy) ? strdup(json_string_value(policy)) : ql_json_text(policy));
        if (!p->bytes)
            return ql_fail_nomem(err);
        p->len = strlen((const char *)p->bytes);
    }
    return QL_OK;
}

static int take_mtls_cert(const json_t *body, const struct ql_addition_rules *rules, struct ql_addition *a,
                          struct ql_err *err)
{
    int r = take_optional(body, "mtls_cert", &a->row.mtls_cert, err);

    if (r == QL_OK && rules->mtls_needed && (!a->row.mtls_cert || strcmp(a->row.mtls_cert, "disabled") == 0))
        return ql_fail(err, QL_EPARSE, "mTLS certificate for agent is required!");
    return r;
}

static int take_verifier(const json_t *body, const struct ql_addition_rules *rules, struct ql_addition *a,
                         struct ql_err *err)
{
    const json_t *port = json_object_get(body, "verifier_port");
    int r = take_optional(body, "verifier_ip", &a->row.verifier_ip, err);

    if (r == QL_OK && !a->row.verifier_ip)
        r = set(&a->row.verifier_ip, rules->verifier_ip, err);
    a->row.verifier_port = rules->verifier_port;
    if (r == QL_OK && port && !json_is_null(port))
        r = take_port(body, "verifier_port", &a->row.verifier_port, err);
    return r == QL_OK ? set(&a->row.verifier_id, rules->verifier_id, err) : r;
}

int ql_addition_read(const json_t *body, const struct ql_addition_rules *rules, struct ql_addition *ret,
                     int *http, struct ql_err *err)
{
    ql_auto_free struct ql_addition *a = calloc(1, sizeof *a);
    int r;

    *http = 400;
    if (!a)
        return ql_fail_nomem(err);
    a->row.operational_state = QL_STATE_START;
    a->row.severity_level = -1;
    a->row.generation = 1;
    r = set(&a->row.agent_id, rules->agent_id, err);
    if (r == QL_OK)
        r = take_v(body, a, err);
    if (r == QL_OK)
        r = take_ip(body, &a->row.ip, err);
    if (r == QL_OK)
        r = take_port(body, "cloudagent_port", &a->row.port, err);
    if (r == QL_OK)
        r = take_tpm_policy(body, a, err);
    if (r == QL_OK)
        r = take_json(body, "metadata", &a->row.meta_data, err);
    if (r == QL_OK)
        r = take(body, "ima_sign_verification_keys", false, &a->row.ima_sign_verification_keys, err);
    if (r == QL_OK)
        r = take(body, "revocation_key", true, &a->revocation_key, err);
    if (r == QL_OK)
        r = take_list(body, "accept_tpm_hash_algs", &a->row.accept_hash, err);
    if (r == QL_OK)
        r = take_list(body, "accept_tpm_encryption_algs", &a->row.accept_enc, err);
    if (r == QL_OK)
        r = take_list(body, "accept_tpm_signing_algs", &a->row.accept_sign, err);
    if (r == QL_OK)
        r = take_version(body, &a->row.supported_version, err);
    if (r == QL_OK)
        r = take(body, "ak_tpm", false, &a->ak_tpm, err);
    if (r == QL_OK)
        r = take_mtls_cert(body, rules, a, err);
    if (r == QL_OK)
        r = take_verifier(body, rules, a, err);
    if (r == QL_OK)
        r = take_runtime_policy(body, rules, a, err);
    if (r == QL_OK)
        r = take_mb_policy(body, a, err);
    if (r == QL_OK)
        r = take_custom(body, a, err);
    if (r < 0) {
        ql_addition_done(a);
        return r;
    }
    *ret = *a;
    return QL_OK;
}
