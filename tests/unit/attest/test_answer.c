/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "answer.h"
#include "cleanup.h"

static int read_body(const char *text, struct ql_answer *a, struct ql_err *err)
{
    return ql_answer_read(text, strlen(text), true, a, err);
}

static void answer_finds_its_members_in_the_body(void **state)
{
    static const char body[] =
        "{\"status\":\"Success\",\"code\":200,\"other\":{\"quote\":\"no\"},\"results\":{\"quote\":\"rA:B:C\","
        "\"hash_alg\":\"sha256\",\"enc_alg\":\"rsa\",\"sign_alg\":\"rsassa\",\"pubkey\":\"a\\nb\","
        "\"boottime\":17,"
        "\"ima_measurement_list\":\"10 "
        "x\\n\",\"ima_measurement_list_entry\":5,\"mb_measurement_list\":\"AAA=\","
        "\"nested\":{\"quote\":\"no\",\"evidence\":{\"x\":1}},\"evidence\":{\"gpu\":{\"data\":\"QQ==\","
        "\"cursor\":9},"
        "\"sbom\":{\"cursor\":3,\"from\":2,\"more\":[1],\"data\":\"\"}}},\"quote\":\"no\"}";
    struct ql_answer a;

    (void)state;
    assert_int_equal(read_body(body, &a, NULL), QL_OK);
    assert_true(ql_text_is(&a.quote, "rA:B:C"));
    assert_true(ql_text_is(&a.hash_alg, "sha256"));
    assert_true(ql_text_is(&a.enc_alg, "rsa"));
    assert_true(ql_text_is(&a.sign_alg, "rsassa"));
    assert_true(ql_text_is(&a.pubkey, "a\nb"));
    assert_true(a.pubkey.escaped);
    assert_true(ql_text_is(&a.ima_list, "10 x\n"));
    assert_true(ql_text_is(&a.mb_log, "AAA="));
    assert_true(a.has_boottime && a.boottime == 17);
    assert_true(a.has_entry && a.entry == 5);
    assert_true(a.has_evidence);
    assert_int_equal(a.evidence_count, 2);
    assert_string_equal(a.evidence[0].name, "gpu");
    assert_true(ql_text_is(&a.evidence[0].data, "QQ=="));
    assert_int_equal(a.evidence[0].cursor, 9);
    assert_int_equal(a.evidence[1].cursor, 3);
    assert_int_equal(a.evidence[1].from, 2);
}

static void null_is_as_good_as_absent(void **state)
{
    struct ql_answer a;

    (void)state;
    assert_int_equal(
        read_body("{\"results\":{\"quote\":null,\"boottime\":null,\"evidence\":null}}", &a, NULL), QL_OK);
    assert_null(a.quote.raw);
    assert_false(a.has_boottime);
    assert_false(a.has_evidence);
}

static void strings_stay_where_they_are(void **state)
{
    static const char bare[] = "{\"quote\":\"rX\",\"mb_log\":\"AA==\"}";
    struct ql_answer a;

    (void)state;
    assert_int_equal(ql_answer_read(bare, strlen(bare), false, &a, NULL), QL_OK);
    assert_ptr_equal(a.quote.raw, bare + 10);
    assert_int_equal(a.quote.raw_len, 2);
    assert_true(ql_text_is(&a.mb_log, "AA=="));
}

static void answer_of_the_wrong_form_names_the_member(void **state)
{
    static const struct {
        const char *body, *text;
    } bad[] = {
        {"{}", "answer has no results"},
        {"[]", "answer is not an object"},
        {"{\"results\":null}", "member \"results\" must be an object"},
        {"{\"results\":[1]}", "member \"results\" must be an object"},
        {"{\"results\":\"a\"}", "member \"results\" must be an object"},
        {"{\"results\":{\"quote\":1}}", "member \"quote\" must be text"},
        {"{\"results\":{\"quote\":{\"a\":1}}}", "member \"quote\" must be text"},
        {"{\"results\":{\"boottime\":\"1\"}}", "member \"boottime\" must be an integer of 64 bits"},
        {"{\"results\":{\"boottime\":1.5}}", "member \"boottime\" must be an integer of 64 bits"},
        {"{\"results\":{\"evidence\":[]}}", "member \"evidence\" must be an object"},
        {"{\"results\":{\"evidence\":{\"a\":1}}}", "evidence \"a\" must be an object"},
        {"{\"results\":{\"evidence\":{\"a\":{}}}}", "evidence \"a\" has no data"},
        {"{\"results\":{\"evidence\":{\"a\":{\"data\":1}}}}",
         "evidence \"a\": data must be text, cursor and from numbers from 0"},
        {"{\"results\":{\"evidence\":{\"a\":{\"data\":\"\",\"cursor\":-1}}}}",
         "evidence \"a\": data must be text, cursor and from numbers from 0"},
        {"{\"results\":{\"evidence\":{\"A\":{\"data\":\"\"}}}}",
         "evidence with a name that is not 1 to 32 characters out of a-z0-9-"},
        {"{\"results\":{\"evidence\":{\"\":{\"data\":\"\"}}}}",
         "evidence with a name that is not 1 to 32 characters out of a-z0-9-"},
        {"{\"results\":{\"quote\":\"a\",\"quote\":\"b\"}}",
         "JSON: key that the object has already at byte 31"},
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        struct ql_answer a = {.boottime = 1234};
        struct ql_err err = QL_ERR_INIT;

        assert_int_equal(read_body(bad[i].body, &a, &err), QL_EPARSE);
        assert_string_equal(err.text, bad[i].text);
        assert_int_equal(a.boottime, 1234);
    }
}

static void boot_log_under_two_names_is_refused(void **state)
{
    static const char bare[] = "{\"mb_log\":\"AA==\",\"mb_measurement_list\":\"\"}";
    struct ql_answer a;

    (void)state;
    assert_int_equal(ql_answer_read(bare, strlen(bare), false, &a, NULL), QL_EPARSE);
}

static void evidence_is_bounded(void **state)
{
    char body[4096] = "{\"results\":{\"evidence\":{";
    struct ql_answer a;
    struct ql_err err = QL_ERR_INIT;
    size_t len = strlen(body);

    (void)state;
    for (int i = 0; i <= QL_EVIDENCE_MAX; i++)
        len += (size_t)snprintf(body + len, sizeof body - len, "%s\"e%d\":{\"data\":\"\"}", i ? "," : "", i);
    snprintf(body + len, sizeof body - len, "}}}");
    assert_int_equal(read_body(body, &a, &err), QL_ELIMIT);
    assert_string_equal(err.text, "more than 32 evidence items");
}

static void a_list_may_hold_bytes_that_are_no_text_and_nothing_else_may(void **state)
{
    const char *list = "{\"quote\": \"r\", \"ima_measurement_list\": \"/x\\udcff\\udc80\\u00e9\"}";
    static const char *const refused[] = {
        "{\"quote\": \"r\\udcff\"}",
        "{\"quote\": \"r\", \"pubkey\": \"\\udc80\"}",
        "{\"quote\": \"r\", \"ima_measurement_list\": \"\\udc7f\"}",
        "{\"quote\": \"r\", \"ima_measurement_list\": \"\\udd00\"}",
        "{\"quote\": \"r\", \"evidence\": {\"x\": {\"data\": \"\\udcff\", \"cursor\": 1}}}",
    };
    struct ql_answer a;
    char out[32];

    (void)state;
    assert_int_equal(ql_answer_read(list, strlen(list), false, &a, NULL), QL_OK);
    assert_int_equal(ql_text_unescape(&a.ima_list, out), 6);
    assert_memory_equal(out, "/x\xff\x80\xc3\xa9", 6);
    for (size_t i = 0; i < QL_ARRAY_LEN(refused); i++)
        if (ql_answer_read(refused[i], strlen(refused[i]), false, &a, NULL) != QL_EPARSE)
            fail_msg("was taken: %s", refused[i]);
}

static void unescaping_never_grows(void **state)
{
    static const char body[] = "{\"results\":{\"quote\":\"\\u0041\\ud83d\\ude00\\u20ac\\u00e9\\\\\\/\\b\"}}";
    static const char want[] = "A\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9\\/\b";
    struct ql_answer a;
    ql_auto_free char *text = NULL;
    size_t len;

    (void)state;
    assert_int_equal(read_body(body, &a, NULL), QL_OK);
    text = ql_text_dup(&a.quote, &len);
    assert_int_equal(len, strlen(want));
    assert_string_equal(text, want);
    assert_true(len <= a.quote.raw_len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answer_finds_its_members_in_the_body),
        cmocka_unit_test(null_is_as_good_as_absent),
        cmocka_unit_test(strings_stay_where_they_are),
        cmocka_unit_test(answer_of_the_wrong_form_names_the_member),
        cmocka_unit_test(boot_log_under_two_names_is_refused),
        cmocka_unit_test(evidence_is_bounded),
        cmocka_unit_test(a_list_may_hold_bytes_that_are_no_text_and_nothing_else_may),
        cmocka_unit_test(unescaping_never_grows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
