/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "hash.h"
#include "toolhost.h"
#include <openssl/evp.h>

#include "line.h"

/* Of every length around the ends of blocks, and of the library's own making. */
static void digests_are_the_librarys(void **state)
{
    struct ima_hasher *h = NULL;
    uint8_t data[300], got[64], expected[64];
    unsigned len;

    (void)state;
    assert_int_equal(ima_hasher_new(&ql_tool_host, &h, NULL), QL_OK);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (int alg = 0; alg < IMA_ALG_COUNT; alg++) {
        const char *name = ima_alg_name((enum ima_alg)alg);
        EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);

        if (!md)
            continue;
        for (size_t n = 0; n <= sizeof data; n++) {
            assert_true(ima_hash(h, (enum ima_alg)alg, data, n, got));
            assert_int_equal(EVP_Digest(data, n, expected, &len, md, NULL), 1);
            assert_int_equal(len, ima_alg_len((enum ima_alg)alg));
            if (memcmp(got, expected, len) != 0)
                fail_msg("%s of %zu bytes", name, n);
        }
        EVP_MD_free(md);
    }
    ima_hasher_free(h);
}

static void algorithms_are_found_by_the_kernels_names_alone(void **state)
{
    static const char *const unknown[] = {"", "SHA1", "sha", "sha2566", "sha3-256"};
    enum ima_alg alg;

    (void)state;
    assert_true(ima_alg_by_name((const uint8_t *)"sha512", 6, &alg));
    assert_int_equal(alg, IMA_SHA512);
    assert_true(ima_alg_by_name((const uint8_t *)"sm3_256", 7, &alg));
    assert_int_equal(alg, IMA_SM3);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_false(ima_alg_by_name((const uint8_t *)unknown[i], strlen(unknown[i]), &alg));
}

/* Each byte value at each place of a word and of what is left. */
static void hex_is_digits_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++)
        for (size_t at = 0; at < 12; at++) {
            uint8_t text[12] = "0a1B2c3D4e5F", out[6];
            const bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
            char pair[3] = "";

            text[at] = (uint8_t)c;
            if (ima_hex_decode(text, sizeof text, out) != is_digit)
                fail_msg("byte 0x%02x at %zu", c, at);
            for (size_t i = 0; is_digit && i < sizeof out; i++) {
                memcpy(pair, text + 2 * i, 2);
                assert_int_equal(out[i], strtoul(pair, NULL, 16));
            }
        }
    assert_false(ima_hex_decode((const uint8_t *)"abc", 3, (uint8_t[2]){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_the_librarys),
        cmocka_unit_test(algorithms_are_found_by_the_kernels_names_alone),
        cmocka_unit_test(hex_is_digits_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
