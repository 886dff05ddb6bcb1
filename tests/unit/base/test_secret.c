/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "secret.h"

static void secret_keeps_a_copy_followed_by_nul(void **state)
{
    char source[] = "hunter2";
    ql_auto(ql_secret_freep) struct ql_secret *s = NULL;

    (void)state;
    assert_int_equal(ql_secret_new(source, 7, &s, NULL), QL_OK);
    ql_wipe(source, sizeof source);
    assert_int_equal(source[0], 0);
    assert_int_equal(ql_secret_len(s), 7);
    assert_string_equal((const char *)ql_secret_data(s), "hunter2");
}

static void empty_secret_is_zero_and_writable(void **state)
{
    ql_auto(ql_secret_freep) struct ql_secret *s = NULL;
    static const uint8_t zero[5000];

    (void)state;
    assert_int_equal(ql_secret_new_empty(sizeof zero, &s, NULL), QL_OK);
    assert_memory_equal(ql_secret_data(s), zero, sizeof zero);
    memset(ql_secret_writable(s), 7, sizeof zero);
    assert_int_equal(ql_secret_data(s)[4999], 7);
    assert_int_equal(ql_secret_data(s)[5000], 0);
}

static void secret_of_no_bytes_works(void **state)
{
    ql_auto(ql_secret_freep) struct ql_secret *s = NULL;

    (void)state;
    assert_int_equal(ql_secret_new(NULL, 0, &s, NULL), QL_OK);
    assert_int_equal(ql_secret_len(s), 0);
    assert_string_equal((const char *)ql_secret_data(s), "");
    ql_secret_free(NULL);
}

static void secret_has_a_limit(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_secret *s = NULL;

    (void)state;
    assert_int_equal(ql_secret_new_empty(QL_SECRET_MAX + 1, &s, &err), QL_ELIMIT);
    assert_null(s);
    assert_non_null(strstr(err.text, "4194304"));
}

/* The kernel says "dd" in VmFlags of a mapping that core files leave out. */
static void secret_stays_out_of_core_files(void **state)
{
    ql_auto(ql_secret_freep) struct ql_secret *s = NULL;
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    bool here = false, left_out = false;

    (void)state;
    assert_non_null(f);
    fclose(f);
    assert_int_equal(ql_secret_new("key", 3, &s, NULL), QL_OK);
    f = fopen("/proc/self/smaps", "r");
    while (fgets(line, sizeof line, f)) {
        char *end;
        uintptr_t from = strtoul(line, &end, 16), to = *end == '-' ? strtoul(end + 1, NULL, 16) : 0;

        if (to > 0)
            here = (uintptr_t)ql_secret_data(s) >= from && (uintptr_t)ql_secret_data(s) < to;
        if (here && strncmp(line, "VmFlags:", 8) == 0)
            left_out = strstr(line, " dd") != NULL;
    }
    fclose(f);
    assert_true(left_out);
}

static void comparison_sees_every_bit(void **state)
{
    uint8_t a[64], b[64];

    (void)state;
    memset(a, 0x5a, sizeof a);
    memcpy(b, a, sizeof b);
    assert_true(ql_equal_ct(a, b, sizeof a));
    assert_true(ql_equal_ct(a, b, 0));
    for (size_t i = 0; i < sizeof a; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            b[i] ^= (uint8_t)(1u << bit);
            assert_false(ql_equal_ct(a, b, sizeof a));
            b[i] = a[i];
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secret_keeps_a_copy_followed_by_nul),
        cmocka_unit_test(empty_secret_is_zero_and_writable),
        cmocka_unit_test(secret_of_no_bytes_works),
        cmocka_unit_test(secret_has_a_limit),
        cmocka_unit_test(secret_stays_out_of_core_files),
        cmocka_unit_test(comparison_sees_every_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
