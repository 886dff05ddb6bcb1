/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "error.h"
#include "payload_user.h"

static void users_are_named_with_their_group(void **state)
{
    ql_auto(ql_run_as_done) struct ql_run_as user = {0};

    (void)state;
    assert_int_equal(ql_payload_user_parse("nobody:nogroup", &user, NULL), QL_OK);
    assert_true(user.uid > 0 && user.gid > 0 && user.group_count > 0);
}

static void root_is_allowed_when_it_is_spelled_out(void **state)
{
    ql_auto(ql_run_as_done) struct ql_run_as user = {.uid = 7, .gid = 7};

    (void)state;
    assert_int_equal(ql_payload_user_parse("root:root", &user, NULL), QL_OK);
    assert_int_equal(user.uid, 0);
    assert_int_equal(user.gid, 0);
    assert_int_equal(ql_payload_user_parse("root:nogroup", &user, NULL), QL_ERANGE);
}

static void other_forms_are_refused_and_name_the_option(void **state)
{
    static const char *const bad[] = {"",
                                      "root",
                                      ":",
                                      "root:",
                                      ":root",
                                      "no-such-user:nogroup",
                                      "nobody:no-such-group",
                                      "nobody:nogroup:x"};
    struct ql_run_as user = {.uid = 7};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ql_err err = QL_ERR_INIT;

        assert_true(ql_payload_user_parse(bad[i], &user, &err) < 0);
        assert_non_null(strstr(err.text, "payload_run_as: "));
        assert_int_equal(user.uid, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_named_with_their_group),
        cmocka_unit_test(root_is_allowed_when_it_is_spelled_out),
        cmocka_unit_test(other_forms_are_refused_and_name_the_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
