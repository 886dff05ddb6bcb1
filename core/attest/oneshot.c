/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of POST /verify/evidence (spec/server.md 2.10): one recorded attestation, judged by the verdict
 * function.
 */
#include <string.h>

#include "clockinfo.h"
#include "encode.h"
#include "error.h"
#include "failures.h"
#include "json.h"
#include "parse.h"
#include "scan.h"
#include "states.h"

enum {
    BODY_MAX = 512 * 1024 * 1024, /* bytes; daemons set lower limits of their own */
    SMALL_MAX = 64 * 1024         /* of the fields that are not evidence */
};

/** Members of `data` beyond what Keylime knows: for administrators and the tool alone (decision 9). */
static const char *const extension_members[] = {
    "mask",
    "pubkey",
    "nonce_hex",
    "accept_tpm_hash_algs",
    "accept_tpm_signing_algs",
    "accept_tpm_encryption_algs",
    "previous_clock",
    "boottime",
    "ima_measurement_list_entry",
    "ima_sign_verification_keys",
    "measured_boot_policy_name",
    "mb_policy_name",
    "policies",
    "facts",
    "options",
    "evidence",
    "agent_id",
};

/** Where Keylime's own policies go. */
static const struct {
    const char *member, *validator;
} own_policies[] = {{"tpm_policy", "tpm-policy"}, {"runtime_policy", "ima"}, {"mb_policy", "mboot"}};

/** A call on its way. */
struct oneshot {
    const struct ql_registry *registry;
    const json_t *data;
    struct ql_outcome out; /* failures found before the verdict go here too */
    struct ql_verdict_in in;
    struct ql_tpm_public ak;
    struct ql_key *ak_key;
    struct ql_digester *digester;
    struct ql_accept accept;
    struct ql_clock previous;
    uint8_t nonce[QL_NONCE_MAX_LEN];
    json_t *options;
    struct ql_policy *policies[QL_POLICIES_MAX];
    struct ql_kept_state states[QL_POLICIES_MAX];
    uint8_t *states_blob;
};

static void oneshot_done(struct oneshot *s)
{
    ql_outcome_done(&s->out);
    ql_key_free(s->ak_key);
    ql_digester_free(s->digester);
    json_decref(s->options);
    for (size_t i = 0; i < s->in.policy_count; i++)
        ql_policy_free(s->policies[i]);
    free(s->states_blob);
}

/* Steps: QL_OK to go on, NOT_VALID when the failure is recorded, else an internal fault. */
enum {
    NOT_VALID = 1
};

static int not_valid(int r)
{
    return r == QL_OK ? NOT_VALID : r;
}

/* A parameter that is there but of no use. */
static int bad_param(struct oneshot *s, const char *name, const char *why)
{
    return not_valid(
        ql_outcome_failf(&s->out, "default.invalid_param", false, "parameter \"%s\": %s", name, why));
}

static const json_t *member(const struct oneshot *s, const char *name)
{
    const json_t *j = json_object_get(s->data, name);

    return json_is_null(j) ? NULL : j;
}

/* Text that must be there, and not empty. */
static int check_present(struct oneshot *s)
{
    static const char *const needed[] = {"quote", "nonce", "hash_alg", "tpm_ek", "tpm_ak"};

    for (size_t i = 0; i < QL_ARRAY_LEN(needed); i++) {
        const json_t *j = member(s, needed[i]);

        if (strcmp(needed[i], "nonce") == 0 && member(s, "nonce_hex"))
            continue;
        if (!json_is_string(j) || json_string_length(j) == 0)
            return not_valid(ql_outcome_failf(&s->out, "default.missing_param", false,
                                              "missing parameter \"%s\"", needed[i]));
    }
    return QL_OK;
}

static int read_nonce(struct oneshot *s)
{
    const json_t *hex = member(s, "nonce_hex"), *text = member(s, "nonce");
    size_t len = json_string_length(text);

    if (hex &&
        (!json_is_string(hex) || ql_hex_decode_upto(json_string_value(hex), json_string_length(hex), s->nonce,
                                                    sizeof s->nonce, &s->in.nonce_len, NULL) < 0))
        return bad_param(s, "nonce_hex", "not hex of at most 64 bytes");
    if (hex) {
        s->in.nonce = (const char *)s->nonce;
        return s->in.nonce_len > 0 ? QL_OK : bad_param(s, "nonce_hex", "empty");
    }
    if (len > QL_NONCE_MAX_LEN)
        return bad_param(s, "nonce", "more than 64 bytes");
    s->in.nonce = json_string_value(text);
    s->in.nonce_len = len;
    return QL_OK;
}

static int read_ak(struct oneshot *s, struct ql_err *err)
{
    const json_t *text = member(s, "tpm_ak");
    struct ql_err why = QL_ERR_INIT;
    int r =
        ql_tpm_public_from_text(json_string_value(text), json_string_length(text), &s->ak, NULL, NULL, &why);

    if (r == QL_OK)
        r = ql_tpm_check_ak(&s->ak, &why);
    if (r == QL_OK)
        r = ql_tpm_public_key(&s->ak, &s->ak_key, &why);
    if (r == QL_ENOMEM)
        return ql_fail_nomem(err);
    if (r < 0)
        return not_valid(ql_outcome_failf(&s->out, "qoute_validation.invalid_quote", false,
                                          "Quote validation failed: tpm_ak: %s", why.text));
    s->in.ak = &s->ak;
    s->in.ak_key = s->ak_key;
    return QL_OK;
}

static int read_accept(struct oneshot *s, struct ql_err *err)
{
    static const char *const names[] = {"accept_tpm_hash_algs", "accept_tpm_encryption_algs",
                                        "accept_tpm_signing_algs"};
    struct ql_err why = QL_ERR_INIT;
    int r;

    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++) {
        const json_t *list = member(s, names[i]), *name;
        size_t n;

        if (list && !json_is_array(list))
            return bad_param(s, names[i], "not a list of names");
        json_array_foreach(list, n, name) {
            if (!json_is_string(name))
                return bad_param(s, names[i], "not a list of names");
        }
    }
    r = ql_accept_from_json(member(s, names[0]), member(s, names[1]), member(s, names[2]), &s->accept, &why);
    if (r == QL_ENOMEM)
        return ql_fail_nomem(err);
    return r < 0 ? bad_param(s, "accept_tpm_…_algs", why.text) : QL_OK;
}

static int read_extensions(struct oneshot *s, struct ql_err *err)
{
    const json_t *mask = member(s, "mask"), *pubkey = member(s, "pubkey"),
                 *clock = member(s, "previous_clock"), *entry = member(s, "ima_measurement_list_entry"),
                 *facts = member(s, "facts"), *id = member(s, "agent_id");
    struct ql_err why = QL_ERR_INIT;

    if (json_is_integer(mask) && json_integer_value(mask) >= 0 && json_integer_value(mask) <= UINT32_MAX)
        s->in.mask = (uint32_t)json_integer_value(mask);
    else if (mask &&
             (!json_is_string(mask) ||
              ql_parse_hex_u32(json_string_value(mask), json_string_length(mask), &s->in.mask, NULL) < 0))
        return bad_param(s, "mask", "not a hex number of 32 bits");
    if (s->in.mask >> QL_PCR_COUNT)
        return bad_param(s, "mask", "PCRs above 23");
    if (id && (!json_is_string(id) || !ql_agent_id_ok(json_string_value(id), json_string_length(id))))
        return bad_param(s, "agent_id", "no id of an agent");
    if (pubkey && (!json_is_string(pubkey) || json_string_length(pubkey) == 0 ||
                   strlen(json_string_value(pubkey)) != json_string_length(pubkey)))
        return bad_param(s, "pubkey", "not text");
    if (clock && ql_clock_read(clock, &s->previous, &why) < 0)
        return bad_param(s, "previous_clock", why.text);
    if (clock)
        s->in.previous = &s->previous;
    if (entry && (!json_is_integer(entry) || json_integer_value(entry) < 0))
        return bad_param(s, "ima_measurement_list_entry", "not a number from 0");
    /* The file says where its list begins; there is no request that could have asked for something else. */
    s->in.expected_ima_entry = (uint64_t)json_integer_value(entry);
    if (facts && !json_is_object(facts))
        return bad_param(s, "facts", "not an object");
    s->in.facts = facts;
    s->in.asked_evidence = member(s, "evidence") != NULL;
    (void)err; /* nothing here needs memory */
    return QL_OK;
}

/* What validators are told beside the policy: the caller's options and Keylime's two further parameters. */
static int read_options(struct oneshot *s, struct ql_err *err)
{
    static const struct {
        const char *member, *option;
    } further[] = {{"ima_sign_verification_keys", "ima_sign_verification_keys"},
                   {"mb_policy_name", "measured_boot_policy_name"},
                   {"measured_boot_policy_name", "measured_boot_policy_name"}};
    const json_t *options = member(s, "options");

    if (options && !json_is_object(options))
        return bad_param(s, "options", "not an object");
    s->options = options ? json_copy((json_t *)(uintptr_t)options) : json_object();
    if (!s->options)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < QL_ARRAY_LEN(further); i++) {
        const json_t *j = member(s, further[i].member);

        if (j && !json_is_string(j))
            return bad_param(s, further[i].member, "not text");
        if (j && json_object_set(s->options, further[i].option, (json_t *)(uintptr_t)j) != 0)
            return ql_fail_nomem(err);
    }
    s->in.options = s->options;
    return QL_OK;
}

static int add_policy(struct oneshot *s, const char *validator, const json_t *text, struct ql_err *err)
{
    struct ql_err why = QL_ERR_INIT;
    int r;

    if (!ql_component_name_ok(validator, strlen(validator)))
        return bad_param(s, "policies", "name of a validator is not 1 to 32 characters out of a-z0-9-");
    if (!json_is_string(text))
        return not_valid(ql_outcome_fail_of(&s->out, validator, "invalid_policy", "policy is not text"));
    if (s->in.policy_count == QL_POLICIES_MAX)
        return bad_param(s, "policies", "more than 16");
    /* What is wrong with a boot policy is found under Keylime's event ids, and the script may be named by the call. */
    r = ql_policy_compile(s->registry, validator, (const uint8_t *)json_string_value(text),
                          json_string_length(text),
                          strcmp(validator, "mboot") == 0 ? QL_ORIGIN_STORED : QL_ORIGIN_UPLOAD,
                          &s->policies[s->in.policy_count], &why);
    if (r == QL_OK) {
        s->in.policy_count++;
        return QL_OK;
    }
    if (r == QL_ENOMEM)
        return ql_fail_nomem(err);
    /* Never skipped: what nobody here can judge has not been judged. */
    return not_valid(
        r == QL_ENOTFOUND && !ql_registry_find(s->registry, QL_KIND_VALIDATOR, validator).head
            ? ql_outcome_fail_of(&s->out, validator, "error", "no validator %s is loaded", validator)
            : ql_outcome_fail_of(&s->out, validator, "invalid_policy", "%s", why.text));
}

static int read_policies(struct oneshot *s, struct ql_err *err)
{
    const json_t *more = member(s, "policies"), *text;
    const char *validator;
    bool any = json_object_size(more) > 0;
    int r = QL_OK;

    for (size_t i = 0; i < QL_ARRAY_LEN(own_policies); i++) {
        text = member(s, own_policies[i].member);
        any = any || (text && !(json_is_string(text) && json_string_length(text) == 0));
    }
    if (!any)
        return not_valid(
            ql_outcome_failf(&s->out, "default.missing_policy", false,
                             "at least one policy (tpm_policy, runtime_policy, or mb_policy) must be "
                             "provided"));
    if (more && !json_is_object(more))
        return bad_param(s, "policies", "not an object");
    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(own_policies); i++) {
        text = member(s, own_policies[i].member);
        if (text && !(json_is_string(text) && json_string_length(text) == 0))
            r = add_policy(s, own_policies[i].validator, text, err);
    }
    json_object_foreach((json_t *)(uintptr_t)more, validator, text) {
        if (r != QL_OK)
            break;
        r = add_policy(s, validator, text, err);
    }
    s->in.policies = s->policies;
    return r;
}

static int read_state(struct oneshot *s, const json_t *state, struct ql_err *err)
{
    const json_t *clock = json_object_get(state, "clock"), *blob = json_object_get(state, "states");
    size_t len = 0;
    int r;

    s->in.states = s->states;
    if (clock && !s->in.previous) {
        r = ql_clock_read(clock, &s->previous, err);
        if (r < 0)
            return r;
        s->in.previous = &s->previous;
    }
    if (!blob)
        return QL_OK;
    if (!json_is_string(blob))
        return ql_fail(err, QL_EPARSE, "state: \"states\" is not text");
    r = ql_base64_decode_dup(json_string_value(blob), json_string_length(blob), QL_STATES_MAX_LEN,
                             &s->states_blob, &len, err);
    return r == QL_OK ? ql_states_read(s->states_blob, len, s->states, &s->in.state_count, err) : r;
}

static json_t *state_object(const struct oneshot *s)
{
    struct ql_kept_state all[QL_POLICIES_MAX];
    ql_auto_free char *clock = ql_clock_text(&s->out.quote.clock), *text = NULL;
    ql_auto_free uint8_t *blob = NULL;
    size_t count = 0, len = 0;
    ql_auto_json json_t *clock_object = NULL;

    for (size_t i = 0; i < s->in.policy_count; i++) {
        const struct ql_policy *p = s->policies[i];
        const struct ql_kept_state *found = NULL;

        for (size_t k = 0; k < s->in.state_count && !s->out.quote.rebooted; k++)
            if (memcmp(s->states[k].policy, p->digest, 32) == 0 &&
                strcmp(s->states[k].validator, p->validator->head.name) == 0)
                found = &s->states[k];
        for (size_t k = 0; k < s->out.state_count; k++)
            if (memcmp(s->out.states[k].policy, p->digest, 32) == 0 &&
                strcmp(s->out.states[k].validator, p->validator->head.name) == 0)
                found = &s->out.states[k];
        if (found && found->len > 0)
            all[count++] = *found;
    }
    if (!clock || ql_json_parse(clock, strlen(clock), SMALL_MAX, &clock_object, NULL) < 0 ||
        ql_states_write(all, count, &blob, &len, NULL) < 0 || !(text = ql_base64_dup(blob, len)))
        return NULL;
    return json_pack("{s:O, s:s}", "clock", clock_object, "states", text);
}

/** Finds the text of the member `data` in the body. */
struct data_span {
    bool next, inside;
    size_t at, end;
};

static int find_data(void *arg, const struct ql_scan_event *e, struct ql_err *err)
{
    struct data_span *span = arg;

    (void)err; /* nothing can fail here */
    if (e->kind == QL_SCAN_KEY && e->depth == 1)
        span->next = ql_text_is(&e->text, "data");
    if (e->kind == QL_SCAN_OBJECT && e->depth == 2 && span->next) {
        span->at = e->at;
        span->inside = true;
        span->next = false;
    }
    if (e->kind == QL_SCAN_OBJECT_END && e->depth == 2 && span->inside) {
        span->end = e->end;
        span->inside = false;
    }
    return QL_OK;
}

static int judge_tpm(struct oneshot *s, const char *body, size_t len, const json_t *state, struct ql_err *err)
{
    struct data_span span = {0};
    struct ql_outcome out = {0};
    int r = check_present(s);

    if (r == QL_OK)
        r = read_nonce(s);
    if (r == QL_OK)
        r = read_accept(s, err);
    if (r == QL_OK)
        r = read_extensions(s, err);
    if (r == QL_OK)
        r = read_options(s, err);
    if (r == QL_OK)
        r = read_policies(s, err);
    if (r == QL_OK)
        r = read_ak(s, err);
    if (r == QL_OK)
        r = read_state(s, state, err);
    if (r == QL_OK)
        r = ql_digester_new(&s->digester, err);
    if (r == QL_OK)
        r = ql_scan(body, len, find_data, &span, err);
    if (r != QL_OK)
        return r;
    s->in.registry = s->registry;
    s->in.agent_id = member(s, "agent_id") ? json_string_value(member(s, "agent_id")) : "oneshot";
    s->in.digester = s->digester;
    s->in.accept = &s->accept;
    s->in.answer = body + span.at;
    s->in.answer_len = span.end - span.at;
    r = ql_verdict(&s->in, &out, err);
    if (r < 0)
        return r;
    ql_outcome_done(&s->out);
    s->out = out;
    if (out.kind == QL_VERDICT_RETRY)
        return not_valid(
            ql_outcome_failf(&s->out, "qoute_validation.retry", false, "%s",
                             out.retry_reason ? out.retry_reason : "evidence and quote do not fit"));
    return out.kind == QL_VERDICT_PASS ? QL_OK : NOT_VALID;
}

/*
 * Evidence of confidential machines is judged by a plugin, when there is one: here only the parameters are
 * looked at.
 */
static int judge_tee(struct oneshot *s)
{
    static const char *const needed[] = {"tee-evidence", "nonce", "tee-pubkey-x-b64", "tee-pubkey-y-b64"};
    const json_t *evidence = member(s, "tee-evidence"), *tee = json_object_get(evidence, "tee"),
                 *snp = json_object_get(json_object_get(evidence, "evidence"), "snp-report");
    uint8_t report[0x188 + 3];
    size_t len = 0;

    for (size_t i = 0; i < QL_ARRAY_LEN(needed); i++)
        if (!member(s, needed[i]))
            return not_valid(ql_outcome_failf(&s->out, "tee_attestation.missing_param", false,
                                              "missing parameter \"%s\"", needed[i]));
    if (!json_is_string(tee) || strcmp(json_string_value(tee), "snp") != 0)
        return not_valid(
            ql_outcome_failf(&s->out, "tee_attestation.invalid.tee", false, "invalid tee argument"));
    if (!json_is_string(snp))
        return not_valid(ql_outcome_failf(&s->out, "tee_attestation.missing_param", false,
                                          "missing parameter \"snp-report\""));
    /* Longer than the buffer is long enough. */
    if (ql_base64_decode(json_string_value(snp), json_string_length(snp), report, sizeof report, &len,
                         NULL) != QL_ELIMIT &&
        len < 0x188)
        return not_valid(ql_outcome_failf(&s->out, "tee_attestation.invalid_input", false,
                                          "SEV-SNP attestation report input invalid"));
    return not_valid(ql_outcome_failf(&s->out, "tee_attestation.error", false,
                                      "no validator for SEV-SNP evidence is loaded"));
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static json_t *result_object(const struct oneshot *s, bool valid, int *http)
{
    ql_auto_json json_t *failures = json_array(), *claims = NULL;

    *http = 200;
    for (size_t i = 0; failures && i < s->out.failure_count; i++) {
        const struct ql_failure *f = &s->out.failures[i];
        json_t *j = json_pack("{s:s, s:O}", "type", f->event_id, "context", f->context);

        if (ends_with(f->event_id, ".missing_param") || ends_with(f->event_id, ".missing_policy"))
            *http = 400;
        if (!j || json_array_append_new(failures, j) != 0)
            return NULL;
    }
    claims = valid ? json_incref((json_t *)(uintptr_t)s->data) : json_object();
    return json_pack("{s:b, s:O, s:O}", "valid", valid ? 1 : 0, "claims", claims, "failures", failures);
}

static int refuse_extensions(const json_t *data, struct ql_err *err)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(extension_members); i++)
        if (json_object_get(data, extension_members[i]))
            return ql_fail(err, QL_EPARSE, "parameter '%s' is for administrators", extension_members[i]);
    return QL_OK;
}

int ql_verify_oneshot(const struct ql_registry *registry, const char *body, size_t len, bool extensions,
                      const json_t *state, json_t **new_state, json_t **result, int *http, struct ql_err *err)
{
    struct oneshot s = {.registry = registry};
    ql_auto_json json_t *parsed = NULL, *answer = NULL;
    const json_t *type;
    bool tpm;
    int r = ql_json_parse_object(body, len, BODY_MAX, &parsed, err);

    *http = 400;
    if (r < 0)
        return r == QL_ENOMEM ? r : QL_EPARSE;
    type = json_object_get(parsed, "type");
    s.data = json_object_get(parsed, "data");
    if (!type || json_is_null(type))
        return ql_fail(err, QL_EPARSE, "missing parameter 'type'");
    if (!s.data || json_is_null(s.data))
        return ql_fail(err, QL_EPARSE, "missing parameter 'data'");
    tpm = json_is_string(type) && strcmp(json_string_value(type), "tpm") == 0;
    if (!tpm && !(json_is_string(type) && strcmp(json_string_value(type), "tee") == 0))
        return ql_fail(err, QL_EUNSUPPORTED, "invalid evidence type");
    if (!json_is_object(s.data))
        return ql_fail(err, QL_EUNSUPPORTED, "parameter 'data' is not an object");
    if (!extensions && (r = refuse_extensions(s.data, err)) < 0)
        return r;
    r = tpm ? judge_tpm(&s, body, len, state, err) : judge_tee(&s);
    if (r >= 0) {
        answer = result_object(&s, r == QL_OK, http);
        if (answer && new_state && r == QL_OK && tpm)
            *new_state = state_object(&s);
        r = answer ? QL_OK : ql_fail_nomem(err);
    }
    oneshot_done(&s);
    if (r < 0)
        return r;
    *result = ql_steal(answer);
    return QL_OK;
}
