/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of the quote check one by one, with keys in software that sign whatever the test wants signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tpm/softquote.h"

static const char nonce[] = "abcdefghij0123456789";

/** Keys are made once: an RSA key takes a while. */
struct world {
    struct soft_ak rsa, ecc, p384, p521;
    struct ql_digester *digester;
    struct ql_accept accept;
};
static struct world world;

static int world_make(void **state)
{
    *state = &world;
    soft_ak_make(&world.rsa, 0);
    soft_ak_make(&world.ecc, QL_P256);
    soft_ak_make(&world.p384, QL_P384);
    soft_ak_make(&world.p521, QL_P521);
    return ql_accept_from_json(NULL, NULL, NULL, &world.accept, NULL) < 0 ||
                   ql_accept_enc(&world.accept, "ecc384") < 0 || ql_accept_enc(&world.accept, "ecc521") < 0 ||
                   ql_digester_new(&world.digester, NULL) < 0
               ? -1
               : 0;
}

static int world_done(void **state)
{
    (void)state;
    soft_ak_done(&world.rsa);
    soft_ak_done(&world.ecc);
    soft_ak_done(&world.p384);
    soft_ak_done(&world.p521);
    ql_digester_free(world.digester);
    return 0;
}

/** A quote that passes, for tests to spoil. */
struct trial {
    struct soft_said said;
    const struct soft_ak *ak;
    struct ql_quote_in in;
    struct ql_quote quote;
    enum ql_quote_stage stage;
    uint32_t missing;
    struct ql_err err;
};

static void trial_begin(struct trial *t, const struct soft_ak *ak, uint32_t mask)
{
    memset(t, 0, sizeof *t);
    t->ak = ak;
    t->said = soft_said(nonce, mask);
    t->in = (struct ql_quote_in){.ak_key = ak->key,
                                 .ak = &ak->area,
                                 .digester = world.digester,
                                 .hash_alg = "sha256",
                                 .enc_alg = ql_tpm_enc_alg(&ak->area),
                                 .sign_alg = ak->area.is_rsa ? "rsassa" : "ecdsa",
                                 .accept = &world.accept,
                                 .nonce = (const uint8_t *)nonce,
                                 .nonce_len = strlen(nonce),
                                 .mask = mask & ~(UINT32_C(1) << QL_DATA_PCR),
                                 .exact_mask = true};
    t->err.size = sizeof t->err;
}

static int judge(struct trial *t)
{
    char *text = soft_quote(t->ak, &t->said);
    int r;

    t->in.quote = text;
    t->in.quote_len = strlen(text);
    r = ql_quote_check(&t->in, &t->quote, &t->stage, &t->missing, &t->err);
    assert_int_equal(r == QL_OK, t->stage == QL_STAGE_NONE);
    free(text);
    return r;
}

static void assert_fails_at(struct trial *t, enum ql_quote_stage stage)
{
    static const struct ql_quote nothing;

    memset(&t->quote, 0, sizeof t->quote);
    if (judge(t) == QL_OK)
        fail_msg("passed, wanted failure at %s", ql_quote_stage_name(stage));
    if (t->stage != stage)
        fail_msg("failed at %s (%s), wanted %s", ql_quote_stage_name(t->stage), t->err.text,
                 ql_quote_stage_name(stage));
    assert_memory_equal(&t->quote, &nothing, sizeof nothing); /* nothing is proven */
    assert_true(t->err.text[0] != '\0');
}

static void assert_passes(struct trial *t)
{
    if (judge(t) != QL_OK)
        fail_msg("failed at %s: %s", ql_quote_stage_name(t->stage), t->err.text);
}

static void quote_of_each_key_type_passes_and_proves_its_pcrs(void **state)
{
    const struct soft_ak *const keys[] = {&world.rsa, &world.ecc, &world.p384, &world.p521};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(keys); i++) {
        struct trial t;

        trial_begin(&t, keys[i], 0x810401);
        t.in.mask = 0x810401;
        assert_passes(&t);
        assert_int_equal(t.quote.bank, QL_SHA256);
        assert_int_equal(t.quote.mask, 0x810401);
        assert_int_equal(t.quote.pcr[0][0], 1);
        assert_int_equal(t.quote.pcr[10][31], 2);
        assert_int_equal(t.quote.pcr[16][0], 3);
        assert_int_equal(t.quote.pcr[23][0], 4);
        assert_int_equal(t.quote.pcr[1][0], 0);
        assert_int_equal(t.quote.clock.clock, 1000);
        assert_int_equal(t.quote.clock.reset_count, 2);
        assert_true(t.quote.firmware_version == 0x2019102300163636);
        assert_false(t.quote.rebooted);
    }
}

static void nonce_must_be_the_very_bytes(void **state)
{
    static const char *const others[] = {"abcdefghij012345678", "abcdefghij01234567890",
                                         "Abcdefghij0123456789", ""};
    struct trial t;

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(others); i++) {
        trial_begin(&t, &world.ecc, 0x10000);
        t.said.nonce = others[i];
        assert_fails_at(&t, QL_STAGE_NONCE);
    }
    /* Expecting nothing is no way to pass either. */
    trial_begin(&t, &world.ecc, 0x10000);
    t.said.nonce = "";
    t.in.nonce_len = 0;
    assert_fails_at(&t, QL_STAGE_NONCE);
}

static void what_is_no_quote_by_a_tpm_is_refused_though_signed(void **state)
{
    struct trial t;

    (void)state;
    trial_begin(&t, &world.rsa, 0x10000);
    t.said.magic = 0xff544348;
    assert_fails_at(&t, QL_STAGE_MAGIC);
    trial_begin(&t, &world.rsa, 0x10000);
    t.said.type = QL_TPM_ATTEST_CERTIFY;
    assert_fails_at(&t, QL_STAGE_MAGIC);
}

static void another_key_of_the_same_type_does_not_do(void **state)
{
    struct soft_ak other;
    struct trial t;

    (void)state;
    soft_ak_make(&other, QL_P256);
    trial_begin(&t, &world.ecc, 0x10000);
    t.ak = &other;
    assert_fails_at(&t, QL_STAGE_SIGNATURE);
    assert_string_equal(t.err.text, "signature is wrong");
    soft_ak_done(&other);
    trial_begin(&t, &world.ecc, 0x10000);
    t.ak = &world.rsa;
    t.in.sign_alg = NULL;
    assert_fails_at(&t, QL_STAGE_SIGN_ALG);
}

static void clock_rules_follow_reset_and_restart_counts(void **state)
{
    static const struct {
        struct ql_clock before, now;
        bool passes, rebooted;
        const char *why;
    } cases[] = {
        {{1000, 2, 1, true}, {1001, 2, 1, true}, true, false, "clock advances"},
        {{1000, 2, 1, true}, {1000, 2, 1, true}, false, false, "clock stands still"},
        {{1000, 2, 1, true}, {999, 2, 1, true}, false, false, "clock runs back"},
        {{1000, 2, 1, true}, {999, 2, 2, true}, true, false, "resumed: restarts up"},
        {{1000, 2, 1, true}, {2000, 2, 0, true}, false, false, "restarts down without a reset"},
        {{1000, 2, 1, true}, {2000, 1, 9, true}, false, false, "resets down"},
        {{1000, 2, 5, true}, {1001, 3, 0, true}, true, true, "rebooted after a suspend"},
        {{1000, 2, 5, true}, {1, 3, 0, true}, true, true, "rebooted, clock lower"},
        {{1000, 2, 5, true}, {1001, 3, 6, true}, true, true, "both up"},
        {{1000, 2, 1, true}, {1001, 2, 1, false}, false, false, "not safe"},
        {{1000, 2, 5, true}, {1001, 3, 0, false}, false, false, "rebooted, not safe"},
        {{UINT64_MAX, UINT32_MAX, UINT32_MAX, true},
         {UINT64_MAX, UINT32_MAX, UINT32_MAX, true},
         false,
         false,
         "at the end of the range"},
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        struct trial t;

        trial_begin(&t, &world.ecc, 0x10000);
        t.said.clock = cases[i].now;
        t.in.previous = &cases[i].before;
        if ((judge(&t) == QL_OK) != cases[i].passes)
            fail_msg("%s: %s", cases[i].why, t.err.text);
        if (cases[i].passes)
            assert_int_equal(t.quote.rebooted, cases[i].rebooted);
        else
            assert_int_equal(t.stage, QL_STAGE_CLOCK);
        t.in.any_clock = true;
        assert_passes(&t);
        assert_false(t.quote.rebooted);
    }
}

static void first_quote_needs_a_safe_clock(void **state)
{
    struct trial t;

    (void)state;
    trial_begin(&t, &world.ecc, 0x10000);
    t.said.clock.safe = false;
    assert_fails_at(&t, QL_STAGE_CLOCK);
    t.in.any_clock = true;
    assert_passes(&t);
}

static void pcrs_beyond_the_mask_pass_only_where_they_may(void **state)
{
    struct trial t;

    (void)state;
    trial_begin(&t, &world.ecc, 0x10400);
    t.in.mask = 0;
    assert_fails_at(&t, QL_STAGE_SELECTION);
    assert_string_equal(t.err.text, "quote holds PCRs 0x000400 that were not asked for");
    t.in.exact_mask = false;
    assert_passes(&t);
    trial_begin(&t, &world.ecc, 0x10400);
    t.in.mask = 0xc01; /* 0, 10 and 11 */
    assert_fails_at(&t, QL_STAGE_PCR_MISSING);
    assert_int_equal(t.missing, 0x801);
}

static void selection_is_one_bank_and_nothing_beside(void **state)
{
    struct trial t;

    (void)state;
    trial_begin(&t, &world.ecc, 0x10001);
    t.said.selections = 2; /* the second is empty: digest and first selection are right */
    assert_fails_at(&t, QL_STAGE_SELECTION);
    assert_string_equal(t.err.text, "quote selects PCRs of 2 banks, not of one");
    t.said.selections = 0;
    assert_fails_at(&t, QL_STAGE_SELECTION);
    t.said.selections = 17;
    assert_fails_at(&t, QL_STAGE_ATTEST);
}

static void selection_may_be_of_four_bytes_but_names_no_pcr_above_23(void **state)
{
    struct trial t;

    (void)state;
    trial_begin(&t, &world.ecc, 0x10001);
    t.said.select_len = 4;
    assert_passes(&t);
    t.said.fourth = 1;
    assert_fails_at(&t, QL_STAGE_ATTEST);
    t.said.fourth = 0;
    t.said.select_len = 5;
    assert_fails_at(&t, QL_STAGE_ATTEST);
}

static void signed_digest_must_have_the_length_of_the_bank(void **state)
{
    struct trial t;

    (void)state;
    trial_begin(&t, &world.ecc, 0x10001);
    t.said.digest_more = 1; /* begins with the right one */
    assert_fails_at(&t, QL_STAGE_PCR_DIGEST);
}

static void data_pcr_binds_the_key_text_to_the_byte(void **state)
{
    static const char key[] = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    uint8_t extend[2 * QL_DIGEST_MAX] = {0};
    struct trial t;

    (void)state;
    trial_begin(&t, &world.ecc, 0x10000);
    assert_int_equal(ql_digest_once(QL_SHA256, key, strlen(key), extend + 32), QL_OK);
    assert_int_equal(ql_digest_once(QL_SHA256, extend, 64, t.said.pcr[0]), QL_OK);
    t.in.pubkey = key;
    t.in.pubkey_len = strlen(key);
    assert_passes(&t);
    t.in.pubkey_len--; /* without the final newline */
    assert_fails_at(&t, QL_STAGE_DATA_PCR);
    trial_begin(&t, &world.ecc, 0x400);
    t.in.pubkey = key;
    t.in.pubkey_len = strlen(key);
    assert_fails_at(&t, QL_STAGE_DATA_PCR_MISSING);
}

static void names_of_algorithms_must_be_those_of_the_quote(void **state)
{
    static const char *const rsa_names[] = {"rsa", "rsa2048"}, *const ecc_names[] = {"ecc", "ecc256"};
    struct trial t;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        trial_begin(&t, &world.rsa, 0x10000);
        t.in.enc_alg = rsa_names[i];
        assert_passes(&t);
        t.in.enc_alg = ecc_names[i];
        assert_fails_at(&t, QL_STAGE_ENC_ALG);
        trial_begin(&t, &world.ecc, 0x10000);
        t.in.enc_alg = ecc_names[i];
        assert_passes(&t);
        t.in.enc_alg = rsa_names[i];
        assert_fails_at(&t, QL_STAGE_ENC_ALG);
    }
    trial_begin(&t, &world.rsa, 0x10000);
    t.in.enc_alg = "rsa3072";
    assert_fails_at(&t, QL_STAGE_ENC_ALG);
    t.in.enc_alg = "";
    assert_fails_at(&t, QL_STAGE_ENC_ALG);
    trial_begin(&t, &world.rsa, 0x10000);
    t.in.sign_alg = "rsapss";
    assert_fails_at(&t, QL_STAGE_SIGN_ALG);
    t.in.sign_alg = "";
    assert_fails_at(&t, QL_STAGE_SIGN_ALG);
    t.in.sign_alg = t.in.enc_alg = NULL; /* a one-shot call that has none */
    assert_passes(&t);
    t.in.hash_alg = "sha384";
    assert_fails_at(&t, QL_STAGE_HASH_ALG);
    t.in.hash_alg = "sha25";
    assert_fails_at(&t, QL_STAGE_HASH_ALG);
    t.in.hash_alg = NULL;
    assert_fails_at(&t, QL_STAGE_HASH_ALG);
}

static void bank_must_be_that_of_the_signatures_hash(void **state)
{
    struct trial t;

    (void)state;
    trial_begin(&t, &world.ecc, 0x10000);
    t.said.bank = QL_SHA384; /* signed with SHA-256 */
    assert_fails_at(&t, QL_STAGE_HASH_ALG);
    t.in.hash_alg = "sha384";
    assert_fails_at(&t, QL_STAGE_HASH_ALG);
}

static void sha1_is_refused_unless_it_is_accepted(void **state)
{
    struct trial t;

    (void)state;
    trial_begin(&t, &world.ecc, 0x10000);
    t.in.hash_alg = "sha1";
    assert_fails_at(&t, QL_STAGE_HASH_ALG);
    assert_string_equal(t.err.text, "hash algorithm sha1 is not accepted");
}

static void ecdsa_integers_without_leading_zeros_verify(void **state)
{
    unsigned shorter = 0;

    (void)state;
    /* One in 128 signatures has an integer whose first byte is zero. */
    for (unsigned i = 0; i < 5000 && shorter < 3; i++) {
        struct soft_said said = soft_said(nonce, 0x10000);
        struct ql_signature sig;
        size_t attest_len, sig_len;
        uint8_t *attest, *bytes, longer[33] = {0};

        said.clock.clock = i;
        attest = soft_attest(&said, &attest_len);
        bytes = soft_sign(&world.ecc, attest, attest_len, &sig_len);
        assert_int_equal(ql_signature_read(bytes, sig_len, &sig, NULL), QL_OK);
        if (sig.r_len < 32) {
            shorter++;
            assert_int_equal(ql_key_verify_kept(world.ecc.key, world.digester, QL_ECDSA, QL_SHA256, attest,
                                                attest_len, sig.r, sig.r_len, sig.s, sig.s_len, NULL),
                             QL_OK);
            memcpy(longer + 33 - sig.r_len, sig.r, sig.r_len);
            assert_int_equal(ql_key_verify(world.ecc.key, QL_ECDSA, QL_SHA256, attest, attest_len, longer, 33,
                                           sig.s, sig.s_len, 0, NULL),
                             QL_OK);
        }
        free(attest);
        free(bytes);
    }
    assert_true(shorter > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quote_of_each_key_type_passes_and_proves_its_pcrs),
        cmocka_unit_test(nonce_must_be_the_very_bytes),
        cmocka_unit_test(what_is_no_quote_by_a_tpm_is_refused_though_signed),
        cmocka_unit_test(another_key_of_the_same_type_does_not_do),
        cmocka_unit_test(clock_rules_follow_reset_and_restart_counts),
        cmocka_unit_test(first_quote_needs_a_safe_clock),
        cmocka_unit_test(pcrs_beyond_the_mask_pass_only_where_they_may),
        cmocka_unit_test(selection_is_one_bank_and_nothing_beside),
        cmocka_unit_test(selection_may_be_of_four_bytes_but_names_no_pcr_above_23),
        cmocka_unit_test(signed_digest_must_have_the_length_of_the_bank),
        cmocka_unit_test(data_pcr_binds_the_key_text_to_the_byte),
        cmocka_unit_test(names_of_algorithms_must_be_those_of_the_quote),
        cmocka_unit_test(bank_must_be_that_of_the_signatures_hash),
        cmocka_unit_test(sha1_is_refused_unless_it_is_accepted),
        cmocka_unit_test(ecdsa_integers_without_leading_zeros_verify),
    };

    return cmocka_run_group_tests(tests, world_make, world_done);
}
