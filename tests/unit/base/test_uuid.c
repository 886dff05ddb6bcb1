/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "uuid.h"

static const char normal[] = "d432fbb3-d2f1-4a97-9ef7-75bd81c00000";

static void random_uuids_are_version_4_and_differ(void **state)
{
    char a[QL_UUID_LEN + 1], b[QL_UUID_LEN + 1], again[QL_UUID_LEN + 1];

    (void)state;
    for (int i = 0; i < 200; i++) {
        ql_uuid_random(a);
        ql_uuid_random(b);
        assert_int_equal(strlen(a), QL_UUID_LEN);
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
        assert_string_not_equal(a, b);
        assert_int_equal(ql_uuid_normalise(a, QL_UUID_LEN, again, NULL), QL_OK);
        assert_string_equal(a, again);
    }
}

static void known_spellings_become_one(void **state)
{
    static const char *const texts[] = {
        "d432fbb3-d2f1-4a97-9ef7-75bd81c00000",
        "D432FBB3-D2F1-4A97-9EF7-75BD81C00000",
        "d432fbb3d2f14a979ef775bd81c00000",
        "{d432fbb3-d2f1-4a97-9ef7-75bd81c00000}",
        "urn:uuid:d432fbb3-d2f1-4a97-9ef7-75bd81c00000",
        "{D432FBB3D2F14A979EF775BD81C00000}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char out[QL_UUID_LEN + 1] = "";

        assert_int_equal(ql_uuid_normalise(texts[i], strlen(texts[i]), out, NULL), QL_OK);
        assert_string_equal(out, normal);
    }
}

static void other_texts_are_refused_and_out_is_untouched(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "d432fbb3-d2f1-4a97-9ef7-75bd81c0000",
        "d432fbb3-d2f1-4a97-9ef7-75bd81c000000",
        "d432fbb3-d2f1-4a97-9ef7-75bd81c0000g",
        "d432fbb3d-2f1-4a97-9ef7-75bd81c00000",
        "{d432fbb3-d2f1-4a97-9ef7-75bd81c00000",
        "d432fbb3-d2f1-4a97-9ef7-75bd81c0000-",
        "d432fbb3 d2f1 4a97 9ef7 75bd81c00000",
        "-----------------------------------",
    };
    char out[QL_UUID_LEN + 1] = "untouched";

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(ql_uuid_normalise(texts[i], strlen(texts[i]), out, NULL), QL_EPARSE);
    for (size_t len = 0; len < QL_UUID_LEN; len++)
        assert_int_equal(ql_uuid_normalise(normal, len, out, NULL), QL_EPARSE);
    assert_string_equal(out, "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_uuids_are_version_4_and_differ),
        cmocka_unit_test(known_spellings_become_one),
        cmocka_unit_test(other_texts_are_refused_and_out_is_untouched),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
