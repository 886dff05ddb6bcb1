/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

static int read_policy(const char *json, uint32_t *mask, char *text, bool *has_pcrs)
{
    return ql_tpm_policy_read(json, strlen(json), mask, text, has_pcrs, NULL);
}

static void tpm_policy_gives_its_mask_as_written(void **state)
{
    uint32_t mask = 7;
    char text[16];
    bool has_pcrs = false;

    (void)state;
    assert_int_equal(read_policy("{\"mask\": \"0x408400\"}", &mask, text, &has_pcrs), QL_OK);
    assert_int_equal(mask, 0x408400);
    assert_string_equal(text, "0x408400");
    assert_false(has_pcrs);
    assert_int_equal(read_policy("{\"15\": [\"00\"], \"mask\": \"8000\"}", &mask, text, &has_pcrs), QL_OK);
    assert_int_equal(mask, 0x8000);
    assert_string_equal(text, "8000");
    assert_true(has_pcrs);
    assert_int_equal(read_policy("{}", &mask, text, &has_pcrs), QL_OK);
    assert_int_equal(mask, 0);
    assert_string_equal(text, "");
    assert_false(has_pcrs);
    assert_int_equal(read_policy("{\"15\": []}", &mask, text, &has_pcrs), QL_OK);
    assert_true(has_pcrs);
}

static void tpm_policy_refuses_what_is_no_mask(void **state)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "nonsense",
        "{\"mask\": 1024}",
        "{\"mask\": \"\"}",
        "{\"mask\": \"0x\"}",
        "{\"mask\": \"zz\"}",
        "{\"mask\": \"0x1000000\"}",
        "{\"mask\": \"0x00000000000001\"}",
        "{\"mask\": \"0x1\", \"mask\": \"0x2\"}",
        "{\"mask\": \"0x1&x=1\"}",
        "{\"mask\": \"0x1\"}x",
    };
    uint32_t mask;
    char text[16];
    bool has_pcrs;

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++)
        if (read_policy(bad[i], &mask, text, &has_pcrs) == QL_OK)
            fail_msg("%s was taken", bad[i]);
}

static void tpm_policy_refuses_every_truncation(void **state)
{
    static const char whole[] = "{\"15\": [\"00\"], \"mask\": \"0x8000\"}";
    uint32_t mask;
    char text[16];
    bool has_pcrs;

    (void)state;
    for (size_t len = 0; len < sizeof whole - 1; len++)
        assert_true(ql_tpm_policy_read(whole, len, &mask, text, &has_pcrs, NULL) < 0);
    assert_int_equal(ql_tpm_policy_read(whole, sizeof whole - 1, &mask, text, &has_pcrs, NULL), QL_OK);
}

static void needs_name_each_evidence_once_and_leave_keylimes_out(void **state)
{
    ql_auto_free char *names = NULL;
    char *none = NULL;

    (void)state;
    assert_int_equal(
        ql_needs_evidence("[{\"evidence\": \"ima\"}, {\"evidence\": \"disk\"}, {\"evidence\": \"mboot\"},"
                          " {\"evidence\": \"dis\"}, {\"evidence\": \"disk\"}, {\"evidence\": \"sk\"}]",
                          &names, NULL),
        QL_OK);
    assert_string_equal(names, "disk,dis,sk");
    free(names);
    names = NULL;
    assert_int_equal(
        ql_needs_evidence("[{\"evidence\": \"disk\", \"parameters\": {\"n\": 1}}, {\"evidence\": \"sk\"}]",
                          &names, NULL),
        QL_OK);
    assert_string_equal(names, "disk/7b226e223a317d,sk");
    assert_int_equal(ql_needs_evidence("[{\"evidence\": \"ima\"}]", &none, NULL), QL_OK);
    assert_null(none);
    assert_int_equal(ql_needs_evidence("[]", &none, NULL), QL_OK);
    assert_null(none);
    assert_true(ql_needs_evidence("[{\"evidence\": \"a&b\"}]", &none, NULL) < 0);
    assert_true(ql_needs_evidence("[{}]", &none, NULL) < 0);
    assert_true(ql_needs_evidence("[", &none, NULL) < 0);
}

static void needs_refuse_more_names_than_fit(void **state)
{
    ql_auto_json json_t *list = json_array();
    ql_auto_free char *text = NULL;
    char *names = NULL, name[33];

    (void)state;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "evidence-with-a-long-name-%06d", i);
        assert_int_equal(json_array_append_new(list, json_pack("{s:s}", "evidence", name)), 0);
    }
    text = ql_json_text(list);
    assert_int_equal(ql_needs_evidence(text, &names, NULL), QL_ELIMIT);
    assert_null(names);
}

static void pem_gives_its_bytes(void **state)
{
    static const char *const same[] = {
        "-----BEGIN CERTIFICATE-----\nMAMC\nAQU=\n-----END CERTIFICATE-----\n",
        "before\r\n-----BEGIN CERTIFICATE-----\r\nMAMCAQU=\r\n-----END CERTIFICATE-----\r\nbehind",
        "MAMCAQU=",
        " MAMC AQU= \n",
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(same); i++) {
        ql_auto_free uint8_t *der = NULL;
        size_t len = 0;

        assert_int_equal(ql_pem_der(same[i], &der, &len, NULL), QL_OK);
        assert_int_equal(len, 5);
        assert_memory_equal(der, "\x30\x03\x02\x01\x05", 5);
    }
}

static void pem_refuses_what_is_none(void **state)
{
    static const char *const bad[] = {
        "",
        "disabled!",
        "-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMAMCAQ\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMAMC*AQU=\n-----END CERTIFICATE-----",
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        uint8_t *der = NULL;
        size_t len = 0;

        assert_true(ql_pem_der(bad[i], &der, &len, NULL) < 0);
        assert_null(der);
    }
}

static void policies_of_a_row_come_with_their_digests(void **state)
{
    static const char text[] =
        "{\"tpm-policy\": {\"digest\": \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"},"
        " \"mboot\": {\"name\": \"empty\"}}";
    struct ql_loaded loaded = {.row = {.agent_id = TEXT("x"), .policies = (char *)(uintptr_t)text}};

    (void)state;
    assert_int_equal(ql_loaded_refs(&loaded, NULL), QL_OK);
    assert_int_equal(loaded.policy_count, 1);
    assert_string_equal(loaded.policies[0].validator, "tpm-policy");
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(loaded.policies[0].digest[i], i);
}

static void policies_of_a_damaged_row_are_an_error(void **state)
{
    static const char *const bad[] = {
        "[]",
        "{",
        "{\"a\": {\"digest\": \"00\"}}",
        "{\"AB\":{\"digest\":\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}}",
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        struct ql_loaded loaded = {.row = {.agent_id = TEXT("x"), .policies = (char *)(uintptr_t)bad[i]}};

        assert_int_equal(ql_loaded_refs(&loaded, NULL), QL_ECORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tpm_policy_gives_its_mask_as_written),
        cmocka_unit_test(tpm_policy_refuses_what_is_no_mask),
        cmocka_unit_test(tpm_policy_refuses_every_truncation),
        cmocka_unit_test(needs_name_each_evidence_once_and_leave_keylimes_out),
        cmocka_unit_test(needs_refuse_more_names_than_fit),
        cmocka_unit_test(pem_gives_its_bytes),
        cmocka_unit_test(pem_refuses_what_is_none),
        cmocka_unit_test(policies_of_a_row_come_with_their_digests),
        cmocka_unit_test(policies_of_a_damaged_row_are_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
