/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "algs.h"
#include "cleanup.h"
#include "json.h"

static bool takes(bool (*accepts)(const struct ql_accept *, const char *, size_t), const struct ql_accept *a,
                  const char *name)
{
    return accepts(a, name, strlen(name));
}

static void defaults_are_keylimes_and_ecdsa(void **state)
{
    static const struct {
        const char *name;
        bool taken;
    } hash[] = {{"sha1", false},  {"sha256", true},   {"sha384", true},
                {"sha512", true}, {"sm3_256", false}, {"md5", false}},
      enc[] = {{"rsa", true},      {"rsa2048", true}, {"ecc", true}, {"ecc256", true},
               {"rsa4096", false}, {"ecc384", false}, {"", false}},
      sign[] = {{"rsassa", true},  {"ecdsa", true},  {"ecschnorr", true},
                {"rsapss", false}, {"rsass", false}, {"rsassaa", false}};
    struct ql_accept a;

    (void)state;
    assert_int_equal(ql_accept_from_json(NULL, NULL, NULL, &a, NULL), QL_OK);
    for (size_t i = 0; i < QL_ARRAY_LEN(hash); i++)
        assert_int_equal(takes(ql_accepts_hash, &a, hash[i].name), hash[i].taken);
    for (size_t i = 0; i < QL_ARRAY_LEN(enc); i++)
        assert_int_equal(takes(ql_accepts_enc, &a, enc[i].name), enc[i].taken);
    for (size_t i = 0; i < QL_ARRAY_LEN(sign); i++)
        assert_int_equal(takes(ql_accepts_sign, &a, sign[i].name), sign[i].taken);
}

static void lists_replace_the_defaults_and_unknown_names_accept_nothing(void **state)
{
    ql_auto_json json_t *hash = json_pack("[s,s]", "sha1", "sha3_256"), *enc = json_pack("[s]", "rsa"),
                        *sign = json_array();
    struct ql_accept a;

    (void)state;
    assert_int_equal(ql_accept_from_json(hash, enc, sign, &a, NULL), QL_OK);
    assert_true(takes(ql_accepts_hash, &a, "sha1"));
    assert_false(takes(ql_accepts_hash, &a, "sha256"));
    assert_false(takes(ql_accepts_hash, &a, "sha3_256"));
    assert_true(takes(ql_accepts_enc, &a, "rsa2048"));
    assert_false(takes(ql_accepts_enc, &a, "ecc"));
    assert_false(takes(ql_accepts_sign, &a, "rsassa"));
}

static void lists_of_other_types_are_refused_and_change_nothing(void **state)
{
    ql_auto_json json_t *text = json_string("sha256"), *numbers = json_pack("[i]", 1),
                        *good = json_pack("[s]", "sha1");
    struct ql_accept a = {7, 7, 7};

    (void)state;
    assert_int_equal(ql_accept_from_json(text, NULL, NULL, &a, NULL), QL_EPARSE);
    assert_int_equal(ql_accept_from_json(good, numbers, NULL, &a, NULL), QL_EPARSE);
    assert_int_equal(ql_accept_from_json(good, NULL, json_null(), &a, NULL), QL_EPARSE);
    assert_int_equal(a.hash, 7);
}

static void key_names_are_compared_by_meaning(void **state)
{
    (void)state;
    assert_true(ql_same_enc("rsa", "rsa2048"));
    assert_true(ql_same_enc("ecc256", "ecc"));
    assert_false(ql_same_enc("ecc", "ecc384"));
    assert_false(ql_same_enc("rsa", "ecc"));
    assert_false(ql_same_enc("nothing", "nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_keylimes_and_ecdsa),
        cmocka_unit_test(lists_replace_the_defaults_and_unknown_names_accept_nothing),
        cmocka_unit_test(lists_of_other_types_are_refused_and_change_nothing),
        cmocka_unit_test(key_names_are_compared_by_meaning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
