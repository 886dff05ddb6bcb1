/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "error.h"
#include "import.h"

static const uint8_t der[] = {0x30, 0x03, 0x02, 0x01, 0x00};

static struct ql_cell cell(const char *text)
{
    return (struct ql_cell){.text = text, .len = text ? strlen(text) : 0};
}

static int cert(const char *text, uint8_t **ret, size_t *len)
{
    struct ql_cell c = cell(text);
    struct ql_err err = QL_ERR_INIT;

    *ret = NULL;
    *len = 0;
    return ql_cell_cert(&c, ret, len, &err);
}

static void a_certificate_may_be_pem_base64_or_hex(void **state)
{
    static const char *const forms[] = {
        "-----BEGIN CERTIFICATE-----\nMAMC\r\nAQA=\n-----END CERTIFICATE-----\n",
        "x\n-----BEGIN CERTIFICATE-----MAMCAQA=-----END CERTIFICATE-----",
        "MAMCAQA=",
        "MAMC\nAQA=\n",
        "3003020100",
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(forms); i++) {
        uint8_t *out;
        size_t len;

        assert_int_equal(cert(forms[i], &out, &len), QL_OK);
        assert_int_equal(len, sizeof der);
        assert_memory_equal(out, der, sizeof der);
        free(out);
    }
}

static void what_is_no_certificate_is_refused(void **state)
{
    static const char *const forms[] = {
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
        "MA==",
        "AAAA",
        "3",
        "30",
        "300",
        "disabled",
        "3003020100z",
        "MAMCAQA",
        "{}",
        "-----END CERTIFICATE----------BEGIN CERTIFICATE-----",
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(forms); i++) {
        uint8_t *out;
        size_t len;

        assert_true(cert(forms[i], &out, &len) < 0);
        assert_null(out);
    }
}

static void no_prefix_of_a_certificate_is_one(void **state)
{
    static const char pem[] = "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----";
    char text[sizeof pem + 1];

    (void)state;
    for (size_t n = 1; n < sizeof pem - 1; n++) {
        uint8_t *out;
        size_t len;

        memcpy(text, pem, n);
        text[n] = '\0';
        assert_true(cert(text, &out, &len) < 0);
    }
}

static void nothing_stays_nothing(void **state)
{
    struct ql_cell null = cell(NULL), empty = cell("");
    struct ql_err err = QL_ERR_INIT;
    uint8_t *bytes = NULL;
    char *text = NULL;
    size_t len = 0;
    int64_t number = 0;

    (void)state;
    assert_int_equal(ql_cell_cert(&null, &bytes, &len, &err), QL_OK);
    assert_int_equal(ql_cell_base64(&empty, &bytes, &len, &err), QL_OK);
    assert_null(bytes);
    assert_int_equal(ql_cell_text(&null, &text, &err), QL_OK);
    assert_null(text);
    assert_int_equal(ql_cell_int(&null, -7, &number, &err), QL_OK);
    assert_int_equal(number, -7);
}

static void booleans_of_all_servers_are_numbers(void **state)
{
    static const struct {
        const char *text;
        int64_t number;
    } known[] = {{"t", 1}, {"f", 0}, {"1", 1}, {"0", 0}, {"-9", -9}};
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(known); i++) {
        struct ql_cell c = cell(known[i].text), worse = cell("1x");
        int64_t number = 99;

        assert_int_equal(ql_cell_int(&c, 0, &number, &err), QL_OK);
        assert_int_equal(number, known[i].number);
        assert_true(ql_cell_int(&worse, 0, &number, &err) < 0);
    }
}

static void text_with_a_nul_or_bytes_is_refused(void **state)
{
    struct ql_cell nul = {"a\0b", 3}, bytes = cell("\xff"), json = cell("{"),
                   large = {"", QL_IMPORT_TEXT_MAX + 1};
    struct ql_err err = QL_ERR_INIT;
    char *text = NULL;

    (void)state;
    assert_int_equal(ql_cell_text(&nul, &text, &err), QL_EPARSE);
    assert_int_equal(ql_cell_text(&bytes, &text, &err), QL_EPARSE);
    assert_int_equal(ql_cell_json(&json, &text, &err), QL_EPARSE);
    assert_int_equal(ql_cell_text(&large, &text, &err), QL_ELIMIT);
    assert_null(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_may_be_pem_base64_or_hex),
        cmocka_unit_test(what_is_no_certificate_is_refused),
        cmocka_unit_test(no_prefix_of_a_certificate_is_one),
        cmocka_unit_test(nothing_stays_nothing),
        cmocka_unit_test(booleans_of_all_servers_are_numbers),
        cmocka_unit_test(text_with_a_nul_or_bytes_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
