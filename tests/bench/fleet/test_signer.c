/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet's quotes pass the check that verifiers use, and nothing but what they say passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "error.h"
#include "quote.h"
#include "signer.h"

#define NONCE "abcdefghij0123456789"
#define MASK  UINT32_C(0x8400)

/** A checker for quotes of one agent. */
struct checker {
    struct signer *signer;
    struct ql_tpm_public ak;
    struct ql_key *key;
    struct ql_digester *digester;
    struct ql_accept accept;
    struct ql_quote_in in;
    struct ql_quote quote;
    enum ql_quote_stage stage;
};

static void begin(struct checker *c, bool is_rsa, size_t agent)
{
    struct ql_err err = QL_ERR_INIT;

    memset(c, 0, sizeof *c);
    assert_int_equal(signer_new(is_rsa, 2, &c->signer, &err), QL_OK);
    assert_int_equal(ql_tpm_public_from_text(signer_ak(c->signer, agent), strlen(signer_ak(c->signer, agent)),
                                             &c->ak, NULL, NULL, &err),
                     QL_OK);
    assert_int_equal(ql_tpm_check_ak(&c->ak, &err), QL_OK);
    assert_int_equal(ql_tpm_public_key(&c->ak, &c->key, &err), QL_OK);
    assert_int_equal(ql_digester_new(&c->digester, &err), QL_OK);
    assert_int_equal(ql_accept_from_json(NULL, NULL, NULL, &c->accept, &err), QL_OK);
    c->in = (struct ql_quote_in){.ak_key = c->key,
                                 .ak = &c->ak,
                                 .digester = c->digester,
                                 .hash_alg = "sha256",
                                 .enc_alg = signer_enc_alg(c->signer, 0x206),
                                 .sign_alg = signer_sign_alg(c->signer),
                                 .accept = &c->accept,
                                 .nonce = (const uint8_t *)NONCE,
                                 .nonce_len = strlen(NONCE),
                                 .mask = MASK,
                                 .exact_mask = true,
                                 .pubkey = signer_pubkey(c->signer),
                                 .pubkey_len = strlen(signer_pubkey(c->signer))};
}

static void end(struct checker *c)
{
    ql_digester_free(c->digester);
    ql_key_free(c->key);
    signer_free(c->signer);
}

static int check(struct checker *c, size_t agent, const char *nonce, uint64_t clock_ms)
{
    char *quote = signer_quote(c->signer, agent, nonce, MASK, clock_ms);
    int r;

    assert_non_null(quote);
    c->in.quote = quote;
    c->in.quote_len = strlen(quote);
    r = ql_quote_check(&c->in, &c->quote, &c->stage, NULL, NULL);
    free(quote);
    return r;
}

static void passes(bool is_rsa)
{
    uint8_t pcr15[32];
    struct checker c;

    memset(pcr15, 16, sizeof pcr15);
    begin(&c, is_rsa, 1);
    assert_int_equal(check(&c, 1, NONCE, 5), QL_OK);
    assert_int_equal(c.quote.clock.clock, 5);
    assert_int_equal(c.quote.mask, MASK | UINT32_C(1) << QL_DATA_PCR);
    assert_memory_equal(c.quote.pcr[15], pcr15, sizeof pcr15);
    end(&c);
}

static void quotes_by_rsa_pass_with_the_payload_key_bound(void **state)
{
    (void)state;
    passes(true);
}

static void quotes_by_p256_pass_with_the_payload_key_bound(void **state)
{
    (void)state;
    passes(false);
}

static void quotes_over_another_nonce_fail_for_the_nonce(void **state)
{
    struct checker c;

    (void)state;
    begin(&c, false, 0);
    assert_int_not_equal(check(&c, 0, "anotherNonce12345678", 5), QL_OK);
    assert_int_equal(c.stage, QL_STAGE_NONCE);
    end(&c);
}

static void agents_share_keys_in_turn(void **state)
{
    struct checker c;

    (void)state;
    begin(&c, false, 0);
    assert_string_equal(signer_ak(c.signer, 0), signer_ak(c.signer, 2));
    assert_string_not_equal(signer_ak(c.signer, 0), signer_ak(c.signer, 1));
    assert_int_equal(check(&c, 2, NONCE, 5), QL_OK);
    assert_int_not_equal(check(&c, 1, NONCE, 5), QL_OK);
    assert_int_equal(c.stage, QL_STAGE_SIGNATURE);
    end(&c);
}

static void another_payload_key_is_not_bound(void **state)
{
    struct checker c;

    (void)state;
    begin(&c, false, 0);
    c.in.pubkey_len--;
    assert_int_not_equal(check(&c, 0, NONCE, 5), QL_OK);
    assert_int_equal(c.stage, QL_STAGE_DATA_PCR);
    end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_by_rsa_pass_with_the_payload_key_bound),
        cmocka_unit_test(quotes_by_p256_pass_with_the_payload_key_bound),
        cmocka_unit_test(quotes_over_another_nonce_fail_for_the_nonce),
        cmocka_unit_test(agents_share_keys_in_turn),
        cmocka_unit_test(another_payload_key_is_not_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
