/* SPDX-License-Identifier: Apache-2.0 */
#include "encode.h"
#include "softquote.h"
#include "vault.h"

#define NONCE "0123456789abcdefghij"
#define MASK  (1u << 22 | 1u << 16)

struct desk {
    struct soft soft;
    struct ql_registry *registry;
    struct ql_vault *vault;
    struct ql_tpm_public ak;
    struct ql_digester *digester;
    struct ql_accept accept;
    struct ql_policy *policies[4];
    struct ql_verdict_in in;
    struct ql_outcome out;
    json_t *answer;
    char *text;
};

static int setup(void **state)
{
    static const char *const names[] = {"tpm-policy"};
    static const char *const others[] = {"hostile", "upgrades"};
    struct desk *d = calloc(1, sizeof *d);
    struct ql_err err = QL_ERR_INIT;

    *state = d;
    soft_new(&d->soft, false);
    d->registry = load_plugins(QL_BINARY_DIR "/plugins", names, 1);
    for (size_t i = 0; i < QL_ARRAY_LEN(others); i++) {
        struct ql_plugin_file f = {.fd = -1};

        if (ql_plugin_file_open(QL_BINARY_DIR "/tests/sdk/bad-attest", others[i], &f, &err) < 0 ||
            ql_registry_load(d->registry, &f, NULL, &err) < 0)
            fail_msg("%s", err.text);
        ql_plugin_file_close(&f);
    }
    assert_int_equal(ql_registry_order(d->registry, &err), QL_OK);
    assert_int_equal(ql_tpm_public_parse(d->soft.ak, d->soft.ak_len, &d->ak, NULL), QL_OK);
    assert_int_equal(ql_digester_new(&d->digester, NULL), QL_OK);
    assert_int_equal(ql_accept_from_json(NULL, NULL, NULL, &d->accept, NULL), QL_OK);
    assert_int_equal(ql_vault_new(ql_verdict_vault_len(), &d->vault, NULL), QL_OK);
    d->answer = soft_answer(&d->soft, NONCE, strlen(NONCE), MASK);
    d->in = (struct ql_verdict_in){.registry = d->registry,
                                   .agent_id = "agent",
                                   .ak = &d->ak,
                                   .ak_key = d->soft.key,
                                   .digester = d->digester,
                                   .accept = &d->accept,
                                   .nonce = NONCE,
                                   .nonce_len = strlen(NONCE),
                                   .mask = 1u << 22,
                                   .exact_mask = true,
                                   .pubkey_expected = true,
                                   .policies = d->policies,
                                   .vault = d->vault};
    return 0;
}

static int teardown(void **state)
{
    struct desk *d = *state;

    ql_outcome_done(&d->out);
    for (size_t i = 0; i < d->in.policy_count; i++)
        ql_policy_free(d->policies[i]);
    ql_digester_free(d->digester);
    ql_vault_free(d->vault);
    ql_registry_free(d->registry);
    json_decref(d->answer);
    free(d->text);
    soft_done(&d->soft);
    free(d);
    return 0;
}

static void under(struct desk *d, const char *validator, const char *policy)
{
    struct ql_err err = QL_ERR_INIT;

    if (ql_policy_compile(d->registry, validator, (const uint8_t *)policy, strlen(policy), QL_ORIGIN_UPLOAD,
                          &d->policies[d->in.policy_count], &err) < 0)
        fail_msg("%s", err.text);
    d->in.policy_count++;
}

static void verdict(struct desk *d, enum ql_verdict_kind kind)
{
    struct ql_err err = QL_ERR_INIT;

    ql_outcome_done(&d->out);
    free(d->text);
    d->text = json_dumps(d->answer, 0);
    d->in.answer = d->text;
    d->in.answer_len = strlen(d->text);
    if (ql_verdict(&d->in, &d->out, &err) < 0)
        fail_msg("internal: %s", err.text);
    if (d->out.kind != kind)
        fail_msg("verdict %d, %zu failures, first %s", (int)d->out.kind, d->out.failure_count,
                 d->out.failure_count ? d->out.failures[0].event_id : "none");
}

static const char *message(const struct ql_failure *f)
{
    return text_of(f->context, "message");
}

static void first_failure(struct desk *d, const char *event_id, bool recoverable)
{
    verdict(d, QL_VERDICT_FAIL);
    assert_string_equal(d->out.failures[0].event_id, event_id);
    assert_int_equal(d->out.failures[0].recoverable, recoverable);
}

static void good_answer_passes_without_any_policy(void **state)
{
    struct desk *d = *state;

    verdict(d, QL_VERDICT_PASS);
    assert_true(d->out.quote_ok);
    assert_int_equal(d->out.quote.clock.clock, 1000);
    assert_string_equal(d->out.enc_alg, "ecc");
}

static void answer_without_quote_or_form_is_invalid_data(void **state)
{
    struct desk *d = *state;

    json_object_del(d->answer, "quote");
    first_failure(d, "qoute_validation.invalid_data", false);
    json_object_set_new(d->answer, "quote", json_integer(1));
    first_failure(d, "qoute_validation.invalid_data", false);
    assert_non_null(strstr(message(&d->out.failures[0]), "member \"quote\" must be text"));
}

static void key_must_come_or_be_known(void **state)
{
    struct desk *d = *state;

    json_object_del(d->answer, "pubkey");
    first_failure(d, "qoute_validation.no_pubkey", false);
    d->in.stored_pubkey = d->soft.nk_pem;
    verdict(d, QL_VERDICT_PASS);
    assert_null(d->out.pubkey);
    d->in.stored_pubkey = "-----BEGIN PUBLIC KEY-----\nother";
    first_failure(d, "pcr_validation.invalid_pcr_16", true);
    assert_non_null(text_of(d->out.failures[0].context, "got"));
    assert_non_null(text_of(d->out.failures[0].context, "expected"));
}

static void key_that_the_quote_binds_must_be_a_key(void **state)
{
    struct desk *d = *state;

    free(d->soft.nk_pem);
    d->soft.nk_pem = strdup("no key");
    json_decref(d->answer);
    d->answer = soft_answer(&d->soft, NONCE, strlen(NONCE), MASK);
    first_failure(d, "qoute_validation.invalid_data", false);
    assert_non_null(strstr(message(&d->out.failures[0]), "public key cannot be read"));
}

static void algorithms_are_checked_before_the_quote(void **state)
{
    static const struct {
        const char *member, *value, *event;
    } bad[] = {
        {"hash_alg", "sha1", "qoute_validation.invalid_hash_alg"},
        {"hash_alg", "md5", "qoute_validation.invalid_hash_alg"},
        {"hash_alg", "", "qoute_validation.invalid_hash_alg"},
        {"hash_alg", "sha256\n", "qoute_validation.invalid_hash_alg"},
        {"enc_alg", "rsa1024", "qoute_validation.invalid_enc_alg"},
        {"enc_alg", "", "qoute_validation.invalid_enc_alg"},
        {"sign_alg", "rsapss", "qoute_validation.invalid_sign_alg"},
        {"sign_alg", "", "qoute_validation.invalid_sign_alg"},
    };
    struct desk *d = *state;

    json_object_set_new(d->answer, "quote", json_string("not even a quote"));
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        json_t *kept = json_incref(json_object_get(d->answer, bad[i].member));

        json_object_set_new(d->answer, bad[i].member, json_string(bad[i].value));
        first_failure(d, bad[i].event, false);
        json_object_del(d->answer, bad[i].member);
        first_failure(d, bad[i].event, false);
        json_object_set_new(d->answer, bad[i].member, kept);
    }
    first_failure(d, "qoute_validation.invalid_quote", false);
}

static void list_begins_at_0_or_where_asked(void **state)
{
    struct desk *d = *state;

    json_object_set_new(d->answer, "ima_measurement_list_entry", json_integer(5));
    first_failure(d, "qoute_validation.invalid_ima_entry_nb", false);
    d->in.expected_ima_entry = 5;
    verdict(d, QL_VERDICT_PASS);
    json_object_set_new(d->answer, "ima_measurement_list_entry", json_integer(0));
    verdict(d, QL_VERDICT_PASS);
    json_object_set_new(d->answer, "ima_measurement_list_entry", json_integer(-5));
    first_failure(d, "qoute_validation.invalid_ima_entry_nb", false);
}

static void pcrs_asked_for_must_be_quoted_and_no_others(void **state)
{
    struct desk *d = *state;
    char *list;

    d->in.mask = 1u << 22 | 1u << 3 | 1u << 12;
    first_failure(d, "pcr_validation.missing_pcrs", false);
    assert_string_equal(text_of(d->out.failures[0].context, "context"), "PCRs are missing in quote");
    list = json_dumps(json_object_get(d->out.failures[0].context, "data"), JSON_COMPACT);
    assert_string_equal(list, "[3,12]");
    free(list);
    d->in.mask = 0;
    first_failure(d, "qoute_validation.quote_validation", false);
    d->in.exact_mask = false;
    verdict(d, QL_VERDICT_PASS);
}

static void data_pcr_must_be_quoted(void **state)
{
    struct desk *d = *state;

    json_decref(d->answer);
    d->answer = soft_answer(&d->soft, NONCE, strlen(NONCE), 1u << 22);
    first_failure(d, "pcr_validation.missing_pcr_16", false);
}

static void pcr_10_is_worth_nothing_without_its_list_and_a_policy(void **state)
{
    struct desk *d = *state;

    d->in.mask |= 1u << 10;
    json_decref(d->answer);
    d->answer = soft_answer(&d->soft, NONCE, strlen(NONCE), MASK | 1u << 10);
    first_failure(d, "pcr_validation.unused_pcr_10", true);
    json_object_set_new(d->answer, "ima_measurement_list", json_string(""));
    first_failure(d, "pcr_validation.unused_pcr_10", true);
}

static void clock_must_go_on(void **state)
{
    struct desk *d = *state;
    struct ql_clock before = {.clock = 1000, .reset_count = 1, .safe = true};

    d->in.previous = &before;
    first_failure(d, "qoute_validation.quote_validation", false);
    before.clock = 999;
    verdict(d, QL_VERDICT_PASS);
    before.reset_count = 2;
    first_failure(d, "qoute_validation.quote_validation", false);
}

static void several_failures_are_all_reported(void **state)
{
    struct desk *d = *state;

    under(d, "hostile", "own-id");
    under(d, "tpm-policy", "{\"22\": \"1111111111111111111111111111111111111111111111111111111111111111\"}");
    under(d, "hostile", "error");
    verdict(d, QL_VERDICT_FAIL);
    assert_int_equal(d->out.failure_count, 3);
    assert_string_equal(d->out.failures[0].severity ? d->out.failures[0].severity : "none",
                        failure_of(&d->out, "hostile.event") == &d->out.failures[0] ? "notice" : "none");
    assert_string_equal(text_of(failure_of(&d->out, "hostile.event")->context, "why"), "because");
    assert_non_null(failure_of(&d->out, "pcr_validation.invalid_pcr_22"));
    assert_string_equal(message(failure_of(&d->out, "hostile.error")), "hostile: cannot judge");
    assert_string_equal(ql_outcome_first(&d->out)->event_id, "hostile.error");
}

static void event_under_another_name_stays_a_failure(void **state)
{
    struct desk *d = *state;

    under(d, "hostile", "wrong-id");
    first_failure(d, "hostile.error", false);
    assert_string_equal(message(&d->out.failures[0]),
                        "event id \"other.event\" does not begin with \"hostile.\"");
}

static void contexts_and_failures_are_bounded(void **state)
{
    struct desk *d = *state;

    under(d, "hostile", "huge-context");
    first_failure(d, "hostile.event", false);
    assert_string_equal(message(&d->out.failures[0]), "context left out: too long");
    ql_policy_free(d->policies[0]);
    d->in.policy_count = 0;
    under(d, "hostile", "flood");
    verdict(d, QL_VERDICT_FAIL);
    assert_int_equal(d->out.failure_count, QL_FAILURES_MAX);
    assert_int_equal(d->out.failures_dropped, 1001 - QL_FAILURES_MAX);
    assert_string_equal(ql_outcome_first(&d->out)->event_id, "hostile.last");
}

static void retry_is_granted_three_times(void **state)
{
    struct desk *d = *state;

    under(d, "hostile", "retry");
    for (d->in.retries = 0; d->in.retries < QL_RETRIES_IN_A_ROW; d->in.retries++) {
        verdict(d, QL_VERDICT_RETRY);
        assert_string_equal(d->out.retry_reason, "hostile: log ahead");
    }
    first_failure(d, "hostile.retries", false);
}

static void failure_beats_retry(void **state)
{
    struct desk *d = *state;

    under(d, "hostile", "retry-and-fail");
    first_failure(d, "hostile.event", true);
    assert_null(d->out.retry_reason);
}

static void facts_come_with_a_pass_alone(void **state)
{
    struct desk *d = *state;

    under(d, "hostile", "facts");
    verdict(d, QL_VERDICT_PASS);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(d->out.facts, "hostile.found"), "answer")), 42);
    under(d, "tpm-policy", "{\"22\": \"1111111111111111111111111111111111111111111111111111111111111111\"}");
    verdict(d, QL_VERDICT_FAIL);
    assert_null(d->out.facts);
}

static void options_reach_the_validator(void **state)
{
    struct desk *d = *state;
    json_t *options = json_pack("{s:i}", "depth", 3);

    under(d, "hostile", "options");
    verdict(d, QL_VERDICT_PASS);
    assert_int_equal(json_object_size(json_object_get(d->out.facts, "hostile.options")), 0);
    d->in.options = options;
    verdict(d, QL_VERDICT_PASS);
    assert_true(json_equal(json_object_get(d->out.facts, "hostile.options"), options));
    json_decref(options);
}

static void boot_aggregates_are_made_of_quoted_pcrs(void **state)
{
    struct desk *d = *state;
    uint8_t all[10 * 32], digest[32];
    char hex[65];
    const json_t *list;

    under(d, "hostile", "aggregates");
    d->in.mask |= 0x3ff;
    for (int i = 0; i < 10; i++) {
        memset(d->soft.pcr[i], i + 1, 32);
        memset(all + 32 * i, i + 1, 32);
    }
    json_decref(d->answer);
    d->answer = soft_answer(&d->soft, NONCE, strlen(NONCE), MASK | 0x3ff);
    verdict(d, QL_VERDICT_PASS);
    list = json_object_get(json_object_get(d->out.facts, "hostile.aggregates"), "sha256");
    assert_int_equal(json_array_size(list), 2);
    ql_digest_once(QL_SHA256, all, 8 * 32, digest);
    ql_hex_encode(digest, 32, hex);
    assert_string_equal(json_string_value(json_array_get(list, 0)), hex);
    ql_digest_once(QL_SHA256, all, 10 * 32, digest);
    ql_hex_encode(digest, 32, hex);
    assert_string_equal(json_string_value(json_array_get(list, 1)), hex);
}

static void state_is_kept_for_validator_and_policy_and_ends_with_the_boot(void **state)
{
    struct desk *d = *state;
    struct ql_kept_state kept[2];
    struct ql_clock before = {.clock = 10, .reset_count = 1, .safe = true};

    under(d, "hostile", "state");
    verdict(d, QL_VERDICT_PASS);
    assert_int_equal(d->out.state_count, 1);
    kept[0] = d->out.states[0];
    kept[0].data = (const uint8_t *)"a";
    assert_int_equal(kept[0].len, 1);
    assert_int_equal(kept[0].version, 3);
    d->in.states = kept;
    d->in.state_count = 1;
    verdict(d, QL_VERDICT_PASS);
    assert_int_equal(d->out.states[0].len, 2);
    assert_memory_equal(d->out.states[0].data, "ab", 2);
    kept[0].policy[5] ^= 1; /* of another policy */
    verdict(d, QL_VERDICT_PASS);
    assert_int_equal(d->out.states[0].len, 1);
    kept[0].policy[5] ^= 1;
    d->in.previous = &before;
    verdict(d, QL_VERDICT_PASS);
    assert_int_equal(d->out.states[0].len, 2);
    before.reset_count = 0; /* rebooted since */
    verdict(d, QL_VERDICT_PASS);
    assert_int_equal(d->out.states[0].len, 1);
}

static void state_of_an_older_version_is_brought_forward_and_of_an_unknown_one_dropped(void **state)
{
    static const struct {
        uint32_t version;
        const char *data, *after;
    } cases[] = {{1, "a", "two:ax"}, {2, "a", "ax"}, {3, "a", "x"}, {0, "a", "x"}};
    struct desk *d = *state;
    struct ql_kept_state kept;

    under(d, "upgrades", "");
    verdict(d, QL_VERDICT_PASS);
    assert_int_equal(d->out.states[0].version, 2);
    assert_memory_equal(d->out.states[0].data, "x", 1);
    kept = d->out.states[0];
    d->in.states = &kept;
    d->in.state_count = 1;
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        kept.version = cases[i].version;
        kept.data = (const uint8_t *)cases[i].data;
        kept.len = strlen(cases[i].data);
        verdict(d, QL_VERDICT_PASS);
        assert_int_equal(d->out.state_count, 1);
        assert_int_equal(d->out.states[0].version, 2);
        assert_int_equal(d->out.states[0].len, strlen(cases[i].after));
        assert_memory_equal(d->out.states[0].data, cases[i].after, strlen(cases[i].after));
    }
}

static void state_of_a_failure_is_thrown_away_and_huge_state_is_one(void **state)
{
    struct desk *d = *state;

    under(d, "hostile", "state-and-fail");
    first_failure(d, "hostile.event", true);
    assert_int_equal(d->out.state_count, 0);
    ql_policy_free(d->policies[0]);
    d->in.policy_count = 0;
    under(d, "hostile", "huge-state");
    first_failure(d, "hostile.error", false);
    assert_non_null(strstr(message(&d->out.failures[0]), "at most 262144"));
}

static void digest_of(const char *const *names, const char *const *data, size_t count, uint8_t *out)
{
    struct ql_buf b = ql_buf_init(4096);
    uint8_t digest[32];

    ql_buf_add_text(&b, "quicklime-evidence-1");
    ql_buf_add_tpm2b(&b, NONCE, strlen(NONCE));
    for (size_t i = 0; i < count; i++) {
        ql_buf_add_tpm2b(&b, names[i], strlen(names[i]));
        ql_digest_once(QL_SHA256, data[i], strlen(data[i]), digest);
        ql_buf_add(&b, digest, 32);
    }
    ql_digest_once(QL_SHA256, b.data, b.len, out);
    ql_buf_done(&b);
}

static void answer_with_evidence(struct desk *d, const char *name, const char *data, const uint8_t *nonce)
{
    char *base64 = ql_base64_dup(data, strlen(data));

    json_decref(d->answer);
    d->answer =
        nonce ? soft_answer(&d->soft, nonce, 32, MASK) : soft_answer(&d->soft, NONCE, strlen(NONCE), MASK);
    json_object_set_new(d->answer, "evidence",
                        json_pack("{s:{s:s, s:i}}", name, "data", base64, "cursor", 9));
    free(base64);
}

static void evidence_is_bound_by_the_quoted_digest(void **state)
{
    static const char *const names[] = {"widget"}, *const data[] = {"proof"};
    struct desk *d = *state;
    uint8_t nonce[32];

    under(d, "hostile", "evidence");
    d->in.asked_evidence = true;
    digest_of(names, data, 1, nonce);
    answer_with_evidence(d, "widget", "proof", nonce);
    verdict(d, QL_VERDICT_PASS);
    assert_int_equal(json_integer_value(json_object_get(d->out.cursors, "widget")), 9);
    /* changed evidence, the plain nonce, no evidence at all, evidence that nobody asked for */
    answer_with_evidence(d, "widget", "other", nonce);
    first_failure(d, "qoute_validation.quote_validation", false);
    answer_with_evidence(d, "widget", "proof", NULL);
    first_failure(d, "qoute_validation.quote_validation", false);
    json_object_del(d->answer, "evidence");
    first_failure(d, "qoute_validation.quote_validation", false);
    answer_with_evidence(d, "gadget", "proof", nonce);
    first_failure(d, "qoute_validation.invalid_data", false);
    answer_with_evidence(d, "widget", "proof", nonce);
    json_object_set_new(json_object_get(json_object_get(d->answer, "evidence"), "widget"), "data",
                        json_string("*"));
    first_failure(d, "qoute_validation.invalid_data", false);
}

static void missing_evidence_is_a_failure_never_a_skip(void **state)
{
    struct desk *d = *state;
    uint8_t nonce[32];

    under(d, "hostile", "evidence");
    first_failure(d, "hostile.missing_evidence", false);
    assert_string_equal(message(&d->out.failures[0]), "evidence widget is needed and not in the answer");
    /* not asked for: the binding of a member that comes nevertheless is not known */
    answer_with_evidence(d, "widget", "proof", NULL);
    first_failure(d, "hostile.missing_evidence", false);
    d->in.asked_evidence = true;
    digest_of(NULL, NULL, 0, nonce);
    json_decref(d->answer);
    d->answer = soft_answer(&d->soft, nonce, 32, MASK);
    first_failure(d, "hostile.missing_evidence", false);
}

static void evidence_bound_by_a_pcr_is_not_in_the_digest(void **state)
{
    struct desk *d = *state;
    uint8_t nonce[32];

    under(d, "hostile", "pcr-evidence");
    d->in.asked_evidence = true;
    digest_of(NULL, NULL, 0, nonce);
    answer_with_evidence(d, "widget", "proof", nonce);
    verdict(d, QL_VERDICT_PASS);
}

static void evidence_is_shown_only_where_it_is_needed(void **state)
{
    static const char *const names[] = {"widget"}, *const data[] = {"proof"};
    struct desk *d = *state;
    uint8_t nonce[32];

    under(d, "hostile", "evidence");
    under(d, "hostile", "undeclared");
    d->in.asked_evidence = true;
    digest_of(names, data, 1, nonce);
    answer_with_evidence(d, "widget", "proof", nonce);
    verdict(d, QL_VERDICT_PASS);
}

static void entered(void *arg, const char *validator)
{
    strcat(arg, validator);
    strcat(arg, ",");
}

static void validators_are_announced_in_order(void **state)
{
    struct desk *d = *state;
    char names[128] = "";

    under(d, "hostile", "nothing");
    under(d, "tpm-policy", "{}");
    under(d, "hostile", "facts");
    d->in.entering = entered;
    d->in.entering_arg = names;
    verdict(d, QL_VERDICT_PASS);
    assert_true(strcmp(names, "tpm-policy,hostile,hostile,") == 0 ||
                strcmp(names, "hostile,hostile,tpm-policy,") == 0);
}

static void same_input_gives_the_same_verdict(void **state)
{
    struct desk *d = *state;
    char *first;

    under(d, "hostile", "facts");
    under(d, "tpm-policy", "{\"22\": \"1111111111111111111111111111111111111111111111111111111111111111\"}");
    verdict(d, QL_VERDICT_FAIL);
    first = json_dumps(d->out.failures[0].context, 0);
    for (int i = 0; i < 50; i++) {
        char *again;

        verdict(d, QL_VERDICT_FAIL);
        again = json_dumps(d->out.failures[0].context, 0);
        assert_string_equal(first, again);
        free(again);
    }
    free(first);
}

static void answer_may_be_the_http_body(void **state)
{
    struct desk *d = *state;

    d->in.whole_body = true;
    d->answer = json_pack("{s:i, s:s, s:o}", "code", 200, "status", "Success", "results", d->answer);
    verdict(d, QL_VERDICT_PASS);
}

static void answer_cut_anywhere_fails(void **state)
{
    struct desk *d = *state;
    struct ql_err err = QL_ERR_INIT;
    char *whole = json_dumps(d->answer, 0);

    for (size_t cut = 0; cut < strlen(whole); cut += 1 + cut / 100) {
        ql_outcome_done(&d->out);
        d->in.answer = whole;
        d->in.answer_len = cut;
        assert_int_equal(ql_verdict(&d->in, &d->out, &err), QL_OK);
        assert_int_equal(d->out.kind, QL_VERDICT_FAIL);
        assert_string_equal(d->out.failures[0].event_id, "qoute_validation.invalid_data");
    }
    free(whole);
}

int main(void)
{
#define VERDICT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        VERDICT_TEST(good_answer_passes_without_any_policy),
        VERDICT_TEST(answer_without_quote_or_form_is_invalid_data),
        VERDICT_TEST(key_must_come_or_be_known),
        VERDICT_TEST(key_that_the_quote_binds_must_be_a_key),
        VERDICT_TEST(algorithms_are_checked_before_the_quote),
        VERDICT_TEST(list_begins_at_0_or_where_asked),
        VERDICT_TEST(pcrs_asked_for_must_be_quoted_and_no_others),
        VERDICT_TEST(data_pcr_must_be_quoted),
        VERDICT_TEST(pcr_10_is_worth_nothing_without_its_list_and_a_policy),
        VERDICT_TEST(clock_must_go_on),
        VERDICT_TEST(several_failures_are_all_reported),
        VERDICT_TEST(event_under_another_name_stays_a_failure),
        VERDICT_TEST(contexts_and_failures_are_bounded),
        VERDICT_TEST(retry_is_granted_three_times),
        VERDICT_TEST(failure_beats_retry),
        VERDICT_TEST(facts_come_with_a_pass_alone),
        VERDICT_TEST(options_reach_the_validator),
        VERDICT_TEST(boot_aggregates_are_made_of_quoted_pcrs),
        VERDICT_TEST(state_is_kept_for_validator_and_policy_and_ends_with_the_boot),
        VERDICT_TEST(state_of_an_older_version_is_brought_forward_and_of_an_unknown_one_dropped),
        VERDICT_TEST(state_of_a_failure_is_thrown_away_and_huge_state_is_one),
        VERDICT_TEST(evidence_is_bound_by_the_quoted_digest),
        VERDICT_TEST(missing_evidence_is_a_failure_never_a_skip),
        VERDICT_TEST(evidence_bound_by_a_pcr_is_not_in_the_digest),
        VERDICT_TEST(evidence_is_shown_only_where_it_is_needed),
        VERDICT_TEST(validators_are_announced_in_order),
        VERDICT_TEST(same_input_gives_the_same_verdict),
        VERDICT_TEST(answer_may_be_the_http_body),
        VERDICT_TEST(answer_cut_anywhere_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
