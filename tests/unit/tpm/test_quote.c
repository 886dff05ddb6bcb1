/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "encode.h"
#include "parse.h"
#include "quote.h"
#include "quote_parts.h"

/** One case, ready to be checked. */
struct setup {
    struct ql_tpm_public ak;
    struct ql_key *key;
    struct ql_digester *digester;
    struct ql_accept accept;
    struct ql_clock previous;
    struct ql_quote_in in;
};

static void set_up(struct setup *s, const json_t *c)
{
    const char *ak = vector_text(c, "ak_tpm"), *mask = vector_text(c, "mask");
    const json_t *clock = json_object_get(c, "previous_clock");
    struct ql_err err = QL_ERR_INIT;
    uint32_t bits;

    memset(s, 0, sizeof *s);
    if (ql_tpm_public_from_text(ak, strlen(ak), &s->ak, NULL, NULL, &err) < 0)
        fail_msg("%s: %s", vector_text(c, "name"), err.text);
    assert_int_equal(ql_tpm_public_key(&s->ak, &s->key, NULL), QL_OK);
    assert_int_equal(ql_digester_new(&s->digester, NULL), QL_OK);
    assert_int_equal(ql_parse_hex_u32(mask, strlen(mask), &bits, NULL), QL_OK);
    /* Every name there is, so that refusals come from the quote and not from the lists. */
    s->accept = (struct ql_accept){UINT32_MAX, UINT32_MAX, UINT32_MAX};
    s->in = (struct ql_quote_in){
        .ak_key = s->key,
        .ak = &s->ak,
        .digester = s->digester,
        .quote = vector_text(c, "quote"),
        .quote_len = strlen(vector_text(c, "quote")),
        .hash_alg = vector_text(c, "hash_alg"),
        .enc_alg = vector_text(c, "enc_alg"),
        .sign_alg = vector_text(c, "sign_alg"),
        .accept = &s->accept,
        .nonce = (const uint8_t *)vector_text(c, "nonce"),
        .nonce_len = strlen(vector_text(c, "nonce")),
        .mask = bits,
        .exact_mask = true,
        .pubkey = vector_text(c, "nk_pub_pem"),
        .pubkey_len = strlen(vector_text(c, "nk_pub_pem")),
    };
    if (json_is_object(clock)) {
        s->previous = (struct ql_clock){
            .clock = (uint64_t)json_integer_value(json_object_get(clock, "clock")),
            .reset_count = (uint32_t)json_integer_value(json_object_get(clock, "resetCount")),
            .restart_count = (uint32_t)json_integer_value(json_object_get(clock, "restartCount")),
            .safe = true,
        };
        s->in.previous = &s->previous;
    }
}

static void tear_down(struct setup *s)
{
    ql_key_free(s->key);
    ql_digester_free(s->digester);
}

static bool required_pass(const json_t *c, const char *key)
{
    const json_t *required = json_object_get(c, key);

    if (json_is_object(required))
        required = json_object_get(required, "pass");
    assert_true(json_is_boolean(required));
    return json_is_true(required);
}

static void check_file(const char *name, bool identity)
{
    json_t *v = load_vectors(name);
    json_t *cases = json_object_get(v, "cases");

    assert_true(json_array_size(cases) >= 20);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const char *stage_wanted =
            json_string_value(json_object_get(json_object_get(c, "required"), "stage"));
        bool wanted = required_pass(c, identity ? "required_identity" : "required");
        enum ql_quote_stage stage = QL_STAGE_NONE;
        struct ql_err err = QL_ERR_INIT;
        struct ql_quote quote;
        struct setup s;
        int r;

        /* What the policy and the IMA list have to say is not the quote check's business. */
        if (!identity && stage_wanted &&
            (strcmp(stage_wanted, "tpm_policy") == 0 || strcmp(stage_wanted, "ima_list_missing") == 0))
            wanted = true;
        set_up(&s, c);
        if (identity) {
            s.in.mask = 0;
            s.in.exact_mask = false;
            s.in.pubkey = NULL;
            s.in.any_clock = true;
        }
        r = ql_quote_check(&s.in, &quote, &stage, NULL, &err);
        if ((r == QL_OK) != wanted)
            fail_msg("%s: %s at %s (%s), wanted %s %s", vector_text(c, "name"),
                     r == QL_OK ? "passed" : "failed", ql_quote_stage_name(stage), err.text,
                     wanted ? "pass" : "failure at", stage_wanted ? stage_wanted : "");
        assert_int_equal(r == QL_OK, stage == QL_STAGE_NONE);
        tear_down(&s);
    }
    json_decref(v);
}

static void quote_passes_what_is_genuine(void **state)
{
    (void)state;
    check_file("agent/quotes_valid.json", false);
    check_file("agent/quotes_valid.json", true);
}

static void quote_refuses_what_is_not(void **state)
{
    (void)state;
    check_file("agent/quotes_invalid.json", false);
}

static void quote_judges_identity_without_pcrs_and_clock(void **state)
{
    (void)state;
    check_file("agent/quotes_invalid.json", true);
}

/* The first genuine case, to be changed by a test. */
static json_t *genuine(struct setup *s)
{
    json_t *v = load_vectors("agent/quotes_valid.json");

    set_up(s, json_array_get(json_object_get(v, "cases"), 2));
    return v;
}

static int check(struct setup *s, enum ql_quote_stage *stage)
{
    struct ql_quote quote;

    return ql_quote_check(&s->in, &quote, stage, NULL, NULL);
}

static void quote_refuses_every_truncation(void **state)
{
    struct setup s;
    enum ql_quote_stage stage;
    json_t *v = genuine(&s);
    size_t whole = s.in.quote_len;

    (void)state;
    assert_int_equal(check(&s, &stage), QL_OK);
    for (size_t len = 0; len < whole; len++) {
        s.in.quote_len = len;
        assert_int_not_equal(check(&s, &stage), QL_OK);
    }
    tear_down(&s);
    json_decref(v);
}

static void quote_refuses_any_changed_character(void **state)
{
    struct setup s;
    enum ql_quote_stage stage;
    json_t *v = genuine(&s);
    char *text = strdup(s.in.quote);

    (void)state;
    s.in.quote = text;
    /* Every seventh place: with a character that base64 knows, so that the structures behind it are reached. */
    for (size_t i = 0; i < s.in.quote_len; i += 7) {
        char was = text[i];

        text[i] = was == 'A' ? 'B' : 'A';
        if (check(&s, &stage) == QL_OK)
            fail_msg("character %zu changed from %c, still passed", i, was);
        text[i] = was;
    }
    assert_int_equal(check(&s, &stage), QL_OK);
    free(text);
    tear_down(&s);
    json_decref(v);
}

static void quote_refuses_algorithms_that_are_not_accepted(void **state)
{
    struct setup s;
    enum ql_quote_stage stage;
    json_t *v = genuine(&s);

    (void)state;
    s.accept.hash = 0;
    assert_int_not_equal(check(&s, &stage), QL_OK);
    assert_int_equal(stage, QL_STAGE_HASH_ALG);
    s.accept = (struct ql_accept){UINT32_MAX, 0, UINT32_MAX};
    assert_int_not_equal(check(&s, &stage), QL_OK);
    assert_int_equal(stage, QL_STAGE_ENC_ALG);
    s.accept = (struct ql_accept){UINT32_MAX, UINT32_MAX, 0};
    assert_int_not_equal(check(&s, &stage), QL_OK);
    assert_int_equal(stage, QL_STAGE_SIGN_ALG);
    tear_down(&s);
    json_decref(v);
}

static void quote_refuses_pcrs_that_nobody_asked_for(void **state)
{
    struct setup s;
    enum ql_quote_stage stage;
    json_t *v = genuine(&s);

    (void)state;
    s.in.mask &= ~UINT32_C(1);
    assert_int_not_equal(check(&s, &stage), QL_OK);
    assert_int_equal(stage, QL_STAGE_SELECTION);
    s.in.exact_mask = false;
    assert_int_equal(check(&s, &stage), QL_OK);
    tear_down(&s);
    json_decref(v);
}

static void quote_names_the_pcrs_that_are_missing(void **state)
{
    struct setup s;
    enum ql_quote_stage stage;
    struct ql_quote quote;
    json_t *v = genuine(&s);
    uint32_t missing = 0;

    (void)state;
    s.in.mask |= UINT32_C(1) << 11;
    assert_int_not_equal(ql_quote_check(&s.in, &quote, &stage, &missing, NULL), QL_OK);
    assert_int_equal(stage, QL_STAGE_PCR_MISSING);
    assert_int_equal(missing, UINT32_C(1) << 11);
    tear_down(&s);
    json_decref(v);
}

static void quote_encode_writes_what_the_check_reads(void **state)
{
    struct setup s;
    enum ql_quote_stage stage;
    struct ql_quote quote;
    json_t *v = genuine(&s);
    uint8_t attest[QL_ATTEST_MAX_LEN], signature[QL_SIGNATURE_MAX_LEN], values[QL_PCR_COUNT][QL_DIGEST_MAX];
    size_t attest_len, signature_len, count = 0;
    const char *colon = strchr(s.in.quote, ':'), *second = strchr(colon + 1, ':');
    char *text = NULL;

    (void)state;
    assert_int_equal(ql_quote_check(&s.in, &quote, &stage, NULL, NULL), QL_OK);
    assert_int_equal(ql_base64_decode(s.in.quote + 1, (size_t)(colon - s.in.quote - 1), attest, sizeof attest,
                                      &attest_len, NULL),
                     QL_OK);
    assert_int_equal(ql_base64_decode(colon + 1, (size_t)(second - colon - 1), signature, sizeof signature,
                                      &signature_len, NULL),
                     QL_OK);
    for (unsigned pcr = 0; pcr < QL_PCR_COUNT; pcr++)
        if (quote.mask & UINT32_C(1) << pcr)
            memcpy(values[count++], quote.pcr[pcr], QL_DIGEST_MAX);
    assert_int_equal(ql_quote_encode(attest, attest_len, signature, signature_len, quote.bank, quote.mask,
                                     values, count, &text, NULL),
                     QL_OK);
    assert_string_equal(text, s.in.quote);
    free(text);
    tear_down(&s);
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quote_passes_what_is_genuine),
        cmocka_unit_test(quote_refuses_what_is_not),
        cmocka_unit_test(quote_judges_identity_without_pcrs_and_clock),
        cmocka_unit_test(quote_refuses_every_truncation),
        cmocka_unit_test(quote_refuses_any_changed_character),
        cmocka_unit_test(quote_refuses_algorithms_that_are_not_accepted),
        cmocka_unit_test(quote_refuses_pcrs_that_nobody_asked_for),
        cmocka_unit_test(quote_names_the_pcrs_that_are_missing),
        cmocka_unit_test(quote_encode_writes_what_the_check_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
