/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"
#include "query.h"

static int parse(struct ql_query *q, const char *text)
{
    return ql_query_parse(q, text, strlen(text), NULL);
}

static void query_values_are_form_decoded(void **state)
{
    struct ql_query q = {0};

    (void)state;
    assert_int_equal(parse(&q, "nonce=a+b%2Bc&mask=0x408&empty=&bare&a%3Db=c%26d&&pct=%zz%4"), QL_OK);
    assert_string_equal(ql_query_get(&q, "nonce"), "a b+c");
    assert_string_equal(ql_query_get(&q, "mask"), "0x408");
    assert_string_equal(ql_query_get(&q, "empty"), "");
    assert_string_equal(ql_query_get(&q, "bare"), "");
    assert_string_equal(ql_query_get(&q, "a=b"), "c&d");
    assert_string_equal(ql_query_get(&q, "pct"), "%zz%4");
    assert_null(ql_query_get(&q, "absent"));
    assert_null(ql_query_get(&q, ""));
    ql_query_done(&q);
}

static void of_repeated_parameters_the_first_counts_and_the_number_is_known(void **state)
{
    struct ql_query q = {0};

    (void)state;
    assert_int_equal(parse(&q, "a=1&b=x&a=2&a"), QL_OK);
    assert_string_equal(ql_query_get(&q, "a"), "1");
    assert_int_equal(ql_query_count(&q, "a"), 3);
    assert_int_equal(ql_query_count(&q, "b"), 1);
    assert_int_equal(ql_query_count(&q, "c"), 0);
    ql_query_done(&q);
}

static void an_object_is_used_again_for_longer_and_shorter_queries(void **state)
{
    struct ql_query q = {0};

    (void)state;
    assert_int_equal(parse(&q, "a&b&c&d&e&f&g&h"), QL_OK);
    assert_int_equal(q.count, 8);
    assert_int_equal(parse(&q, "x=0123456789012345678901234567890123456789"), QL_OK);
    assert_int_equal(q.count, 1);
    assert_int_equal(parse(&q, ""), QL_OK);
    assert_int_equal(q.count, 0);
    assert_int_equal(parse(&q, "&"), QL_OK);
    assert_int_equal(q.count, 0);
    ql_query_done(&q);
}

static void encoded_nul_and_too_many_parameters_are_refused(void **state)
{
    struct ql_query q = {0};
    char many[4 * QL_QUERY_MAX + 8] = "";

    (void)state;
    assert_int_equal(parse(&q, "a=%00"), QL_EPARSE);
    assert_int_equal(q.count, 0);
    assert_int_equal(parse(&q, "b=1&%00a=1"), QL_EPARSE);
    assert_null(ql_query_get(&q, "b"));
    for (int i = 0; i < QL_QUERY_MAX; i++)
        strcat(many, "a=1&");
    assert_int_equal(parse(&q, many), QL_OK);
    strcat(many, "b=1");
    assert_int_equal(parse(&q, many), QL_ELIMIT);
    ql_query_done(&q);
}

static void every_prefix_of_a_query_is_read_without_overrun(void **state)
{
    const char text[] = "nonce=a+b%2Bc&mask=0x408&empty=&bare&a%3Db=c%26d&&pct=%zz%4";
    struct ql_query q = {0};

    (void)state;
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *copy = malloc(len ? len : 1);

        memcpy(copy, text, len);
        assert_int_equal(ql_query_parse(&q, copy, len, NULL), QL_OK);
        free(copy);
        ql_query_done(&q);
    }
}

static void url_encoding_round_trips_every_byte(void **state)
{
    char all[256], *encoded, query[1024];
    struct ql_query q = {0};

    (void)state;
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    encoded = ql_url_encode(all);
    assert_non_null(encoded);
    for (const char *p = encoded; *p; p++)
        assert_true((unsigned char)*p > ' ' && (unsigned char)*p < 0x7f && *p != '&' && *p != '+');
    snprintf(query, sizeof query, "x=%s", encoded);
    assert_int_equal(parse(&q, query), QL_OK);
    assert_string_equal(ql_query_get(&q, "x"), all);
    free(encoded);
    ql_query_done(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(query_values_are_form_decoded),
        cmocka_unit_test(of_repeated_parameters_the_first_counts_and_the_number_is_known),
        cmocka_unit_test(an_object_is_used_again_for_longer_and_shorter_queries),
        cmocka_unit_test(encoded_nul_and_too_many_parameters_are_refused),
        cmocka_unit_test(every_prefix_of_a_query_is_read_without_overrun),
        cmocka_unit_test(url_encoding_round_trips_every_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
