/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "key.h"

static struct ql_key *rsa, *p256, *p521;
static struct ql_digester *digester;

static int keys_make(void **state)
{
    (void)state;
    return ql_key_generate_rsa(2048, &rsa, NULL) < 0 || ql_key_generate_ec(QL_P256, &p256, NULL) < 0 ||
                   ql_key_generate_ec(QL_P521, &p521, NULL) < 0 || ql_digester_new(&digester, NULL) < 0
               ? -1
               : 0;
}

static int keys_done(void **state)
{
    (void)state;
    ql_key_free(rsa);
    ql_key_free(p256);
    ql_key_free(p521);
    ql_digester_free(digester);
    return 0;
}

/** A signature as a TPM gives it. */
struct signature {
    uint8_t r[512], s[66];
    size_t r_len, s_len;
};

static const char text[] = "what is signed";

/* By OpenSSL itself. @param salt PSS salt length, 0 without PSS meaning PKCS#1 v1.5 */
static struct signature sign(const struct ql_key *k, const EVP_MD *md, bool pss, int salt)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;
    struct signature out = {.r_len = sizeof out.r};

    assert_int_equal(EVP_DigestSignInit(ctx, &pctx, md, NULL, ql_key_native(k)), 1);
    if (pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt), 1);
    }
    assert_int_equal(EVP_DigestSign(ctx, out.r, &out.r_len, (const uint8_t *)text, strlen(text)), 1);
    EVP_MD_CTX_free(ctx);
    if (!ql_key_is_rsa(k)) {
        const uint8_t *at = out.r;
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)out.r_len);

        out.r_len = (size_t)BN_bn2bin(ECDSA_SIG_get0_r(sig), out.r);
        out.s_len = (size_t)BN_bn2bin(ECDSA_SIG_get0_s(sig), out.s);
        ECDSA_SIG_free(sig);
    }
    return out;
}

static int verify(const struct ql_key *k, enum ql_scheme scheme, enum ql_hash hash, const struct signature *s,
                  int salt)
{
    return ql_key_verify(k, scheme, hash, text, strlen(text), s->r, s->r_len, s->s, s->s_len, salt, NULL);
}

static int verify_kept(const struct ql_key *k, enum ql_scheme scheme, enum ql_hash hash,
                       const struct signature *s)
{
    return ql_key_verify_kept(k, digester, scheme, hash, text, strlen(text), s->r, s->r_len, s->s, s->s_len,
                              NULL);
}

static const struct {
    enum ql_hash hash;
    const EVP_MD *(*md)(void);
} hashes[] = {{QL_SHA256, EVP_sha256}, {QL_SHA384, EVP_sha384}, {QL_SHA512, EVP_sha512}, {QL_SHA1, EVP_sha1}};

static void both_ways_accept_every_hash_and_refuse_every_other(void **state)
{
    const struct {
        const struct ql_key *key;
        enum ql_scheme scheme;
    } kinds[] = {{rsa, QL_RSASSA}, {p256, QL_ECDSA}, {p521, QL_ECDSA}};

    (void)state;
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < 4; i++) {
            struct signature s = sign(kinds[k].key, hashes[i].md(), false, 0);

            for (size_t j = 0; j < 4; j++) {
                int wanted = i == j ? QL_OK : QL_ECRYPTO;

                assert_int_equal(verify(kinds[k].key, kinds[k].scheme, hashes[j].hash, &s, 0), wanted);
                assert_int_equal(verify_kept(kinds[k].key, kinds[k].scheme, hashes[j].hash, &s), wanted);
            }
        }
}

static void a_changed_or_cut_signature_is_refused_both_ways(void **state)
{
    const struct ql_key *const keys[] = {rsa, p256, p521};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        enum ql_scheme scheme = k == 0 ? QL_RSASSA : QL_ECDSA;
        const struct signature good = sign(keys[k], EVP_sha256(), false, 0);

        for (size_t i = 0; i < good.r_len; i++) {
            struct signature bad = good;

            bad.r[i] ^= 1;
            assert_int_equal(verify(keys[k], scheme, QL_SHA256, &bad, 0), QL_ECRYPTO);
            assert_int_equal(verify_kept(keys[k], scheme, QL_SHA256, &bad), QL_ECRYPTO);
            bad = good;
            bad.r_len = i;
            assert_int_equal(verify(keys[k], scheme, QL_SHA256, &bad, 0), QL_ECRYPTO);
            assert_int_equal(verify_kept(keys[k], scheme, QL_SHA256, &bad), QL_ECRYPTO);
        }
        for (size_t i = 0; i < good.s_len; i++) {
            struct signature bad = good;

            bad.s[i] ^= 0x80;
            assert_int_equal(verify_kept(keys[k], scheme, QL_SHA256, &bad), QL_ECRYPTO);
            bad = good;
            bad.s_len = i;
            assert_int_equal(verify_kept(keys[k], scheme, QL_SHA256, &bad), QL_ECRYPTO);
        }
        assert_int_equal(ERR_peek_error(), 0); /* nothing is left for the next caller to stumble over */
        assert_int_equal(verify_kept(keys[k], scheme, QL_SHA256, &good), QL_OK);
    }
}

static void integers_of_zero_and_beyond_the_field_are_refused(void **state)
{
    struct signature zero = {.r_len = 32, .s_len = 32}, large = {.r_len = 67, .s_len = 32},
                     ones = {.r_len = 32, .s_len = 32};

    (void)state;
    memset(large.r, 1, 67);
    memset(ones.r, 0xff, 32);
    memset(ones.s, 0xff, 32);
    assert_int_equal(verify_kept(p256, QL_ECDSA, QL_SHA256, &zero), QL_ECRYPTO);
    assert_int_equal(verify_kept(p256, QL_ECDSA, QL_SHA256, &large), QL_ECRYPTO);
    assert_int_equal(verify_kept(p256, QL_ECDSA, QL_SHA256, &ones), QL_ECRYPTO);
    assert_int_equal(verify(p256, QL_ECDSA, QL_SHA256, &zero, 0), QL_ECRYPTO);
    assert_int_equal(verify(p256, QL_ECDSA, QL_SHA256, &large, 0), QL_ECRYPTO);
}

static void scheme_must_fit_the_key(void **state)
{
    struct signature r = sign(rsa, EVP_sha256(), false, 0), e = sign(p256, EVP_sha256(), false, 0),
                     pss = sign(rsa, EVP_sha256(), true, RSA_PSS_SALTLEN_DIGEST);

    (void)state;
    assert_int_equal(verify(rsa, QL_ECDSA, QL_SHA256, &r, 0), QL_ECRYPTO);
    assert_int_equal(verify(p256, QL_RSASSA, QL_SHA256, &e, 0), QL_ECRYPTO);
    assert_int_equal(verify(p256, QL_ECSCHNORR, QL_SHA256, &e, 0), QL_ECRYPTO);
    assert_int_equal(verify_kept(rsa, QL_ECDSA, QL_SHA256, &r), QL_ECRYPTO);
    assert_int_equal(verify_kept(p256, QL_RSASSA, QL_SHA256, &e), QL_ECRYPTO);
    assert_int_equal(verify_kept(p256, QL_ECSCHNORR, QL_SHA256, &e), QL_ECRYPTO);
    assert_int_equal(verify_kept(rsa, QL_RSAPSS, QL_SHA256, &pss),
                     QL_ECRYPTO); /* quotes by PSS are refused */
    assert_int_equal(verify_kept(rsa, QL_RSASSA, QL_SHA256, &pss), QL_ECRYPTO);
    assert_int_equal(verify(rsa, QL_RSASSA, (enum ql_hash)0x12, &r, 0), QL_ECRYPTO);
    assert_int_equal(verify_kept(rsa, QL_RSASSA, (enum ql_hash)0x12, &r), QL_ECRYPTO);
}

static void pss_salt_must_have_the_length_that_is_demanded(void **state)
{
    static const int salts[] = {0, 20, 32, 222};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct signature s = sign(rsa, EVP_sha256(), true, salts[i]);

        assert_int_equal(verify(rsa, QL_RSAPSS, QL_SHA256, &s, -1), salts[i] == 32 ? QL_OK : QL_ECRYPTO);
        assert_int_equal(verify(rsa, QL_RSAPSS, QL_SHA256, &s, -2), salts[i] == 222 ? QL_OK : QL_ECRYPTO);
        assert_int_equal(verify(rsa, QL_RSAPSS, QL_SHA256, &s, salts[i]), QL_OK);
    }
}

static void keys_read_back_from_pem_with_their_password_alone(void **state)
{
    struct ql_secret *word = NULL, *wrong = NULL, *pem = NULL;
    struct ql_key *again = NULL;
    const char *at;

    (void)state;
    assert_int_equal(ql_secret_new("word", 4, &word, NULL), QL_OK);
    assert_int_equal(ql_secret_new("wrong", 5, &wrong, NULL), QL_OK);
    assert_int_equal(ql_key_private_pem(p256, word, &pem, NULL), QL_OK);
    at = (const char *)ql_secret_data(pem);
    assert_non_null(strstr(at, "BEGIN ENCRYPTED PRIVATE KEY"));
    assert_int_equal(ql_key_from_private_pem(at, strlen(at), NULL, &again, NULL), QL_ECRYPTO);
    assert_int_equal(ql_key_from_private_pem(at, strlen(at), wrong, &again, NULL), QL_ECRYPTO);
    assert_null(again);
    assert_int_equal(ql_key_from_private_pem(at, strlen(at), word, &again, NULL), QL_OK);
    assert_true(ql_key_equal(again, p256));
    assert_false(ql_key_equal(again, p521));
    assert_false(ql_key_equal(again, rsa));
    ql_key_free(again);
    ql_secret_free(pem);
    ql_secret_free(word);
    ql_secret_free(wrong);
}

static void parts_of_a_key_make_the_same_key(void **state)
{
    struct ql_key *again = NULL;
    uint8_t n[512], x[66], y[66];
    enum ql_curve curve;
    size_t len;
    uint32_t e;

    (void)state;
    assert_int_equal(ql_key_rsa_parts(rsa, n, sizeof n, &len, &e), QL_OK);
    assert_int_equal(e, 65537);
    assert_int_equal(ql_key_from_rsa(n, len, 0, &again, NULL), QL_OK);
    assert_true(ql_key_equal(again, rsa));
    ql_key_free(again);
    again = NULL;
    assert_int_equal(ql_key_rsa_parts(rsa, n, 255, &len, &e), QL_ELIMIT);
    assert_int_equal(ql_key_rsa_parts(p256, n, sizeof n, &len, &e), QL_EUNSUPPORTED);
    assert_int_equal(ql_key_ec_parts(p521, &curve, x, y, sizeof x, &len), QL_OK);
    assert_int_equal(curve, QL_P521);
    assert_int_equal(len, 66);
    /* TPMs may leave out the top byte of P-521, which is 0 or 1. */
    assert_int_equal(ql_key_from_ec(QL_P521, x + (x[0] == 0), 66 - (x[0] == 0), y + (y[0] == 0),
                                    66 - (y[0] == 0), &again, NULL),
                     QL_OK);
    assert_true(ql_key_equal(again, p521));
    ql_key_free(again);
    assert_int_equal(ql_key_ec_parts(p521, &curve, x, y, 65, &len), QL_ELIMIT);
    assert_int_equal(ql_key_ec_parts(rsa, &curve, x, y, sizeof x, &len), QL_EUNSUPPORTED);
}

static void public_pem_that_claims_to_be_encrypted_asks_nobody(void **state)
{
    static const char pem[] = "-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\n"
                              "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
                              "AAAAAAAAAAAAAAAAAAAAAA==\n-----END PUBLIC KEY-----\n";
    struct ql_key *key = NULL;

    (void)state;
    assert_int_equal(ql_key_from_pem(pem, strlen(pem), &key, NULL), QL_ECRYPTO);
    assert_null(key);
}

/** What each thread gets: the key is shared, the digester is its own. */
struct shared {
    const struct ql_key *key;
    struct signature s;
    int failures;
};

static void *check_many(void *arg)
{
    struct shared *w = arg;
    struct ql_digester *d = NULL;

    w->failures = ql_digester_new(&d, NULL) < 0;
    for (unsigned i = 0; i < 500 && w->failures == 0; i++)
        w->failures +=
            ql_key_verify_kept(w->key, d, ql_key_is_rsa(w->key) ? QL_RSASSA : QL_ECDSA, QL_SHA384, text,
                               strlen(text), w->s.r, w->s.r_len, w->s.s, w->s.s_len, NULL) != QL_OK;
    ql_digester_free(d);
    return NULL;
}

static void threads_may_share_a_key(void **state)
{
    const struct ql_key *const keys[] = {rsa, p256};

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct shared work[4];
        pthread_t threads[4];

        for (size_t i = 0; i < 4; i++) {
            work[i] = (struct shared){keys[k], sign(keys[k], EVP_sha384(), false, 0), 0};
            assert_int_equal(pthread_create(&threads[i], NULL, check_many, &work[i]), 0);
        }
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(work[i].failures, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_accept_every_hash_and_refuse_every_other),
        cmocka_unit_test(a_changed_or_cut_signature_is_refused_both_ways),
        cmocka_unit_test(integers_of_zero_and_beyond_the_field_are_refused),
        cmocka_unit_test(scheme_must_fit_the_key),
        cmocka_unit_test(pss_salt_must_have_the_length_that_is_demanded),
        cmocka_unit_test(keys_read_back_from_pem_with_their_password_alone),
        cmocka_unit_test(parts_of_a_key_make_the_same_key),
        cmocka_unit_test(threads_may_share_a_key),
        cmocka_unit_test(public_pem_that_claims_to_be_encrypted_asks_nobody),
    };

    return cmocka_run_group_tests(tests, keys_make, keys_done);
}
