/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "regex.h"

static int match(const char *pattern, enum ql_regex_mode mode, const char *subject)
{
    ql_auto(ql_regex_freep) struct ql_regex *re = NULL;

    assert_int_equal(ql_regex_new(pattern, strlen(pattern), mode, &re, NULL), QL_OK);
    return ql_regex_match(re, subject, strlen(subject), NULL);
}

static void modes_differ_in_their_anchors(void **state)
{
    (void)state;
    assert_int_equal(match("a|ab", QL_REGEX_FULL, "ab"), 1);
    assert_int_equal(match("ab", QL_REGEX_FULL, "abc"), 0);
    assert_int_equal(match("ab", QL_REGEX_FULL, "xab"), 0);
    assert_int_equal(match("ab", QL_REGEX_START, "abc"), 1);
    assert_int_equal(match("ab", QL_REGEX_START, "xab"), 0);
    assert_int_equal(match("x|ab", QL_REGEX_START, "yab"), 0);
    assert_int_equal(match("ab", QL_REGEX_SEARCH, "xabc"), 1);
    assert_int_equal(match("ab", QL_REGEX_SEARCH, "xac"), 0);
    assert_int_equal(match("", QL_REGEX_FULL, ""), 1);
    assert_int_equal(match("", QL_REGEX_FULL, "a"), 0);
}

static void line_ends_are_as_in_python(void **state)
{
    (void)state;
    assert_int_equal(match("ab$", QL_REGEX_START, "ab\n"), 1);
    assert_int_equal(match("ab$", QL_REGEX_START, "ab\nx"), 0);
    assert_int_equal(match("ab$", QL_REGEX_FULL, "ab\n"), 0);
    assert_int_equal(match("a.b", QL_REGEX_FULL, "a\nb"), 0);
    assert_int_equal(match("a.b", QL_REGEX_FULL, "a\rb"), 1);
}

static void look_ahead_and_unicode_work(void **state)
{
    (void)state;
    assert_int_equal(match("^/(?!oem/|usr/local/)", QL_REGEX_START, "/usr/bin/x"), 1);
    assert_int_equal(match("^/(?!oem/|usr/local/)", QL_REGEX_START, "/usr/local/x"), 0);
    assert_int_equal(match("\\w", QL_REGEX_FULL, "\xc3\xa9"), 1);
    assert_int_equal(match(".", QL_REGEX_FULL, "\xf0\x9f\x98\x80"), 1);
}

static void pattern_error_names_its_place(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_regex *re = NULL;

    (void)state;
    assert_int_equal(ql_regex_new("ab(c", 4, QL_REGEX_FULL, &re, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "character 4"));
    assert_int_equal(ql_regex_new("a**b[", 5, QL_REGEX_FULL, &re, &err), QL_EPARSE);
    assert_int_equal(ql_regex_new("\\C", 2, QL_REGEX_FULL, &re, &err), QL_EPARSE);
    assert_int_equal(ql_regex_new("\xff", 1, QL_REGEX_FULL, &re, &err), QL_EPARSE);
    assert_null(re);
}

static void pattern_and_subject_have_limits(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_regex *re = NULL;
    char *text = malloc(QL_REGEX_PATTERN_MAX + 1);

    (void)state;
    assert_non_null(text);
    memset(text, 'a', QL_REGEX_PATTERN_MAX + 1);
    assert_int_equal(ql_regex_new(text, QL_REGEX_PATTERN_MAX + 1, QL_REGEX_FULL, &re, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "65536"));
    assert_null(re);
    assert_int_equal(ql_regex_new("a*", 2, QL_REGEX_FULL, &re, &err), QL_OK);
    assert_int_equal(ql_regex_match(re, text, QL_REGEX_SUBJECT_MAX, &err), 1);
    assert_int_equal(ql_regex_match(re, text, QL_REGEX_SUBJECT_MAX + 1, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "16384"));
    ql_regex_free(re);
    free(text);
}

static void bomb_is_an_error_and_not_a_miss(void **state)
{
    ql_auto(ql_regex_freep) struct ql_regex *re = NULL;
    struct ql_err err = QL_ERR_INIT;
    int64_t start = ql_mono_ns();

    (void)state;
    assert_int_equal(ql_regex_new("(a+)+$", 6, QL_REGEX_START, &re, NULL), QL_OK);
    assert_int_equal(ql_regex_match(re, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", 41, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "100000"));
    assert_true(ql_mono_ns() - start < 2 * QL_NS_PER_S);
    assert_int_equal(ql_regex_match(re, "aaa", 3, &err), 1);
}

static void scan_from_every_start_ends_in_time(void **state)
{
    static const char pattern[] = "\\w*+[!?]";
    ql_auto(ql_regex_freep) struct ql_regex *re = NULL;
    char *subject = malloc(QL_REGEX_SUBJECT_MAX);
    int64_t start;

    (void)state;
    assert_non_null(subject);
    memset(subject, 'a', QL_REGEX_SUBJECT_MAX);
    assert_int_equal(ql_regex_new(pattern, sizeof pattern - 1, QL_REGEX_SEARCH, &re, NULL), QL_OK);
    start = ql_mono_ns();
    assert_true(ql_regex_match(re, subject, QL_REGEX_SUBJECT_MAX, NULL) != 1);
    assert_true(ql_mono_ns() - start < 30 * QL_NS_PER_S);
    free(subject);
}

static void subject_must_be_utf8(void **state)
{
    ql_auto(ql_regex_freep) struct ql_regex *re = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_regex_new(".*", 2, QL_REGEX_START, &re, NULL), QL_OK);
    assert_int_equal(ql_regex_match(re, "a\xff", 2, &err), QL_EPARSE);
    assert_int_equal(ql_regex_match(re, "\xe2\x82", 2, &err), QL_EPARSE);
    assert_string_equal(err.text, "subject is not UTF-8");
    assert_int_equal(ql_regex_match(re, NULL, 0, &err), 1);
}

static void *match_often(void *arg)
{
    const struct ql_regex *re = arg;
    intptr_t wrong = 0;

    for (int i = 0; i < 5000; i++) {
        wrong += ql_regex_match(re, "/usr/share/doc/x", 16, NULL) != 1;
        wrong += ql_regex_match(re, "/usr/bin/x", 10, NULL) != 0;
    }
    return (void *)wrong;
}

static void one_regex_serves_several_threads(void **state)
{
    ql_auto(ql_regex_freep) struct ql_regex *re = NULL;
    pthread_t threads[4];

    (void)state;
    assert_int_equal(ql_regex_new("(/usr/(share|lib)/(.*))x", 24, QL_REGEX_FULL, &re, NULL), QL_OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, match_often, re), 0);
    for (size_t i = 0; i < 4; i++) {
        void *wrong = NULL;

        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_differ_in_their_anchors),
        cmocka_unit_test(line_ends_are_as_in_python),
        cmocka_unit_test(look_ahead_and_unicode_work),
        cmocka_unit_test(pattern_error_names_its_place),
        cmocka_unit_test(pattern_and_subject_have_limits),
        cmocka_unit_test(bomb_is_an_error_and_not_a_miss),
        cmocka_unit_test(scan_from_every_start_ends_in_time),
        cmocka_unit_test(subject_must_be_utf8),
        cmocka_unit_test(one_regex_serves_several_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
