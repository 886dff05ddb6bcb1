/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "identity.h"

static char *resolve(const char *option, const struct ql_identity_sources *s, int want)
{
    struct ql_err err = QL_ERR_INIT;
    char *id = NULL;

    assert_int_equal(ql_identity_resolve(option, s, &id, &err), want);
    if (want != QL_OK) {
        assert_null(id);
        assert_true(strlen(err.text) > 0);
    }
    return id;
}

static void expect(const char *option, const struct ql_identity_sources *s, const char *want)
{
    char *id = resolve(option, s, QL_OK);

    assert_string_equal(id, want);
    free(id);
}

static void a_uuid_is_normalised(void **state)
{
    (void)state;
    expect("D432FBB3-D2F1-4A97-9EF7-75BD81C00000", NULL, "d432fbb3-d2f1-4a97-9ef7-75bd81c00000");
    expect("{d432fbb3-d2f1-4a97-9ef7-75bd81c00000}", NULL, "d432fbb3-d2f1-4a97-9ef7-75bd81c00000");
    expect("urn:uuid:d432fbb3-d2f1-4a97-9ef7-75bd81c00000", NULL, "d432fbb3-d2f1-4a97-9ef7-75bd81c00000");
    expect("d432fbb3d2f14a979ef775bd81c00000", NULL, "d432fbb3-d2f1-4a97-9ef7-75bd81c00000");
}

static void a_literal_id_is_kept_as_it_is(void **state)
{
    char longest[82];

    (void)state;
    expect("Node-7.rack_3", NULL, "Node-7.rack_3");
    memset(longest, 'a', 80);
    longest[80] = '\0';
    expect(longest, NULL, longest);
    longest[80] = 'a';
    longest[81] = '\0';
    resolve(longest, NULL, QL_ERANGE);
}

static void what_is_no_id_is_an_error_and_not_a_random_one(void **state)
{
    static const char *const bad[] = {"", " ", "a b", "a/b", "../x", "id\n", "n\xc3\xb6te", "{d432fbb3}"};
    struct ql_err err = QL_ERR_INIT;
    char *id = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        resolve(bad[i], NULL, QL_ERANGE);
    assert_int_equal(ql_identity_resolve("a b", NULL, &id, &err), QL_ERANGE);
    assert_non_null(strstr(err.text, "\"a b\""));
    assert_non_null(strstr(err.text, "hash_ek"));
}

static void generate_makes_another_one_each_time(void **state)
{
    char *one = resolve("generate", NULL, QL_OK), *two = resolve("generate", NULL, QL_OK);

    (void)state;
    assert_int_equal(strlen(one), 36);
    assert_int_equal(one[14], '4');
    assert_string_not_equal(one, two);
    free(one);
    free(two);
}

static void environment_takes_the_variable_and_misses_it(void **state)
{
    (void)state;
    setenv("KEYLIME_AGENT_UUID", "D432FBB3-D2F1-4A97-9EF7-75BD81C00001", 1);
    expect("environment", NULL, "d432fbb3-d2f1-4a97-9ef7-75bd81c00001");
    setenv("KEYLIME_AGENT_UUID", "not an id", 1);
    resolve("environment", NULL, QL_ERANGE);
    unsetenv("KEYLIME_AGENT_UUID");
    resolve("environment", NULL, QL_ENOTFOUND);
}

static void dmidecode_reads_the_firmware_file(void **state)
{
    char path[] = "/tmp/ql-product-uuid-XXXXXX";
    const struct ql_identity_sources s = {.product_uuid = path}, none = {.product_uuid = "/nonexistent/uuid"};
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "4C4C4544-0042-3510-8052-B4C04F565432\n", 37), 37);
    expect("dmidecode", &s, "4c4c4544-0042-3510-8052-b4c04f565432");
    assert_int_equal(ftruncate(fd, 20), 0);
    resolve("dmidecode", &s, QL_EPARSE);
    resolve("dmidecode", &none, QL_ENOTFOUND);
    close(fd);
    unlink(path);
}

static void hostname_is_an_id_like_any_other(void **state)
{
    const struct ql_identity_sources s = {.hostname = "node7.example.org"}, odd = {.hostname = "node 7"};
    char *id = resolve("hostname", NULL, QL_OK);

    (void)state;
    assert_true(strlen(id) > 0);
    free(id);
    expect("hostname", &s, "node7.example.org");
    resolve("hostname", &odd, QL_ERANGE);
}

static void hash_ek_waits_for_the_ek(void **state)
{
    (void)state;
    assert_null(resolve("hash_ek", NULL, QL_OK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uuid_is_normalised),
        cmocka_unit_test(a_literal_id_is_kept_as_it_is),
        cmocka_unit_test(what_is_no_id_is_an_error_and_not_a_random_one),
        cmocka_unit_test(generate_makes_another_one_each_time),
        cmocka_unit_test(environment_takes_the_variable_and_misses_it),
        cmocka_unit_test(dmidecode_reads_the_firmware_file),
        cmocka_unit_test(hostname_is_an_id_like_any_other),
        cmocka_unit_test(hash_ek_waits_for_the_ek),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
