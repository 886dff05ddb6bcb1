/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "error.h"
#include "file.h"
#include "pcr_text.h"

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "22222222222222222222222222222222222222222222222222222222222222AA"

static const char good[] = "  sha1:\n"
                           "    0 : 0x1111111111111111111111111111111111111111\n"
                           "  sha256:\n"
                           "    0 : 0x" ONES "\n"
                           "    10: 0x" TWOS "\n\n";

static void values_of_the_bank_are_read_and_others_passed_over(void **state)
{
    struct ql_pcr_values v;

    (void)state;
    assert_int_equal(ql_pcr_text_read(good, sizeof good - 1, "sha256", &v, NULL), QL_OK);
    assert_int_equal(v.digest_len, 32);
    assert_int_equal(v.present, 1 | 1 << 10);
    assert_int_equal(v.value[0][0], 0x11);
    assert_int_equal(v.value[10][31], 0xaa);
    assert_int_equal(ql_pcr_text_read(good, sizeof good - 1, "sha1", &v, NULL), QL_OK);
    assert_int_equal(v.digest_len, 20);
    assert_int_equal(v.present, 1);
}

static void lines_that_are_neither_bank_nor_pcr_are_refused_with_their_number(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"sha256:\n0 : 0x" ONES "\n0 : 0x" ONES "\n", "line 3: PCR 0 comes twice"},
        {"sha256:\n24 : 0x" ONES "\n", "line 2: "},
        {"sha256:\n-1 : 0x" ONES "\n", "line 2: "},
        {"sha256:\n0 : 0x" ONES "11\n", "line 2: "},
        {"sha256:\n0 : 0x11\n", "line 2: "},
        {"sha256:\n0 : 0xzz\n", "line 2: "},
        {"sha256:\n: 0x" ONES "\n", "line 2: neither"},
        {"sha256:\nwords\n", "line 2: neither"},
        {"sha1:\n", "no bank sha256"},
        {"", "no bank sha256"},
    };
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ql_pcr_values v = {.present = 7};

        assert_true(ql_pcr_text_read(cases[i].text, strlen(cases[i].text), "sha256", &v, &err) < 0);
        if (!strstr(err.text, cases[i].words))
            fail_msg("%s: %s", cases[i].words, err.text);
        assert_int_equal(v.present, 7);
    }
}

static void every_truncation_is_judged_without_a_fault(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof good; len++) {
        char *cut = malloc(len + (len == 0)); /* a byte too far is found by the sanitizer */
        struct ql_pcr_values v = {0};

        memcpy(cut, good, len);
        if (ql_pcr_text_read(cut, len, "sha256", &v, NULL) == QL_OK)
            assert_int_equal(v.digest_len, 32);
        free(cut);
    }
}

static void long_text_and_unknown_banks_are_refused(void **state)
{
    char *text = calloc(1, QL_PCR_TEXT_MAX + 1);
    struct ql_pcr_values v;

    (void)state;
    memset(text, '\n', QL_PCR_TEXT_MAX + 1);
    assert_int_equal(ql_pcr_text_read(text, QL_PCR_TEXT_MAX + 1, "sha256", &v, NULL), QL_ELIMIT);
    assert_int_equal(ql_pcr_text_read(text, QL_PCR_TEXT_MAX, "md5", &v, NULL), QL_ENOTFOUND);
    free(text);
}

static void what_the_tool_printed_of_a_machine_is_read(void **state)
{
    uint8_t *text = NULL;
    struct ql_pcr_values v;
    size_t len = 0;

    (void)state;
    if (ql_file_read(QL_SHARED_DIR "/vectors/vm/secureboot-ima-ng/pcrs.yaml", QL_PCR_TEXT_MAX, &text, &len,
                     NULL) < 0) {
        print_message("no vectors\n");
        skip();
    }
    assert_int_equal(ql_pcr_text_read((const char *)text, len, "sha384", &v, NULL), QL_OK);
    assert_int_equal(v.digest_len, 48);
    assert_int_equal(v.present, 0xffffff);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_the_bank_are_read_and_others_passed_over),
        cmocka_unit_test(lines_that_are_neither_bank_nor_pcr_are_refused_with_their_number),
        cmocka_unit_test(every_truncation_is_judged_without_a_fault),
        cmocka_unit_test(long_text_and_unknown_banks_are_refused),
        cmocka_unit_test(what_the_tool_printed_of_a_machine_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
