/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "digest.h"
#include "encode.h"

/** FIPS 180-4 examples: "abc" and the 448-bit message. */
static const struct {
    enum ql_hash alg;
    const char *name, *abc, *longer;
} known[] = {
    {QL_SHA1, "sha1", "a9993e364706816aba3e25717850c26c9cd0d89d", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    {QL_SHA256, "sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {QL_SHA384, "sha384",
     "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
     "3391fdddfc8dc7393707a65b1b4709397cf8b1d162af05abfe8f450de5f36bc6b0455a8520bc4e6f5fe95b1fe3c8452b"},
    {QL_SHA512, "sha512",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
     "454d4423643ce80e2a9ac94fa54ca49f",
     "204a8fc6dda82f0a0ced7beb8e08a41657c16ef468b228a8279be331a703c33596fd15c13b1b07f9aa1d3bea57789ca0"
     "31ad85c7a71dd70354ec631238ca3445"},
};
static const char longer_text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

static void assert_hex(const uint8_t *got, const char *hex)
{
    char text[2 * QL_DIGEST_MAX + 1];

    ql_hex_encode(got, strlen(hex) / 2, text);
    assert_string_equal(text, hex);
}

static void digests_are_the_standards(void **state)
{
    struct ql_digester *d = NULL;
    uint8_t out[QL_DIGEST_MAX];

    (void)state;
    assert_int_equal(ql_digester_new(&d, NULL), QL_OK);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct ql_piece abc = {"abc", 3}, pieces[] = {{"a", 1}, {"", 0}, {NULL, 0}, {"bc", 2}};

        assert_int_equal(ql_digest(d, known[i].alg, &abc, 1, out), QL_OK);
        assert_hex(out, known[i].abc);
        assert_int_equal(ql_digest(d, known[i].alg, pieces, 4, out), QL_OK);
        assert_hex(out, known[i].abc);
        assert_int_equal(ql_digest_once(known[i].alg, longer_text, strlen(longer_text), out), QL_OK);
        assert_hex(out, known[i].longer);
        assert_int_equal(ql_hash_len(known[i].alg), strlen(known[i].abc) / 2);
        assert_string_equal(ql_hash_name(known[i].alg), known[i].name);
    }
    assert_int_equal(ql_digest(d, (enum ql_hash)0x12, NULL, 0, out), QL_ECRYPTO);
    assert_int_equal(ql_digest(d, QL_SHA256, NULL, 0, out), QL_OK);
    assert_hex(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ql_digester_free(d);
    ql_digester_free(NULL);
}

static void hash_names_are_exact(void **state)
{
    enum ql_hash alg = QL_SHA1;

    (void)state;
    assert_int_equal(ql_hash_by_name("sha384", 6, &alg), QL_OK);
    assert_int_equal(alg, QL_SHA384);
    assert_int_equal(ql_hash_by_name("sha3845", 6, &alg), QL_OK); /* the length counts, not a NUL */
    assert_int_equal(ql_hash_by_name("SHA256", 6, &alg), QL_ENOTFOUND);
    assert_int_equal(ql_hash_by_name("sha25", 5, &alg), QL_ENOTFOUND);
    assert_int_equal(ql_hash_by_name("", 0, &alg), QL_ENOTFOUND);
    assert_int_equal(alg, QL_SHA384);
    assert_int_equal(ql_hash_len(0), 0);
    assert_null(ql_hash_name(0x12));
}

static void hmac_is_rfc_4231s(void **state)
{
    struct ql_piece pieces[] = {{"what do ya want ", 16}, {"for nothing?", 12}};
    uint8_t out[QL_DIGEST_MAX], key[131];
    struct ql_piece large = {"Test Using Larger Than Block-Size Key - Hash Key First", 54};

    (void)state;
    assert_int_equal(ql_hmac(QL_SHA256, "Jefe", 4, pieces, 2, out), QL_OK);
    assert_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_int_equal(ql_hmac(QL_SHA384, "Jefe", 4, pieces, 2, out), QL_OK);
    assert_hex(
        out,
        "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649");
    memset(key, 0xaa, sizeof key);
    assert_int_equal(ql_hmac(QL_SHA256, key, sizeof key, &large, 1, out), QL_OK);
    assert_hex(out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_int_equal(ql_hmac((enum ql_hash)0, "k", 1, pieces, 1, out), QL_ECRYPTO);
}

static void random_text_draws_every_symbol_evenly(void **state)
{
    enum {
        SYMBOLS = 62,
        DRAWS = 62000
    };
    static char text[DRAWS + 1];
    unsigned count[256] = {0};
    double chi = 0;

    (void)state;
    ql_random_alnum(text, DRAWS);
    assert_int_equal(strlen(text), DRAWS);
    for (size_t i = 0; i < DRAWS; i++)
        count[(unsigned char)text[i]]++;
    for (const char *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"; *c; c++) {
        double off = (double)count[(unsigned char)*c] - 1000;

        chi += off * off / 1000;
    }
    /* 61 degrees of freedom: above 150 once in 10^9 runs; a modulo without rejection gives about 1,900. */
    assert_true(chi < 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_the_standards),
        cmocka_unit_test(hash_names_are_exact),
        cmocka_unit_test(hmac_is_rfc_4231s),
        cmocka_unit_test(random_text_draws_every_symbol_evenly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
