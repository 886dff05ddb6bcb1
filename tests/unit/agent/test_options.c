/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent.h"
#include "tempdir.h"

/** An agent with one option set. */
static struct ql_agent with(const char *dir, const char *name, const char *text)
{
    const struct ql_setting setting = {"agent", name, text};
    struct ql_agent a = {.dir = (char *)(uintptr_t) "/state"};
    struct ql_err err = QL_ERR_INIT;

    if (ql_config_load("agent", QL_AGENT_GROUPS, dir, &setting, 1, &a.start.config, &err) < 0)
        fail_msg("%s", err.text);
    a.config = a.start.config;
    return a;
}

static void expect_versions(const char *dir, const char *text, const char *want)
{
    struct ql_agent a = with(dir, "api_versions", text);
    unsigned versions[QL_AGENT_VERSIONS + 1];
    char got[64] = "";

    ql_agent_versions(&a, versions);
    for (size_t i = 0; versions[i] != 0; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%u.%u", i ? " " : "", versions[i] >> 8,
                 versions[i] & 0xff);
    assert_string_equal(got, want);
    ql_config_free(a.start.config);
}

static void versions_are_all_the_latest_or_a_list(void **state)
{
    const char *all = "2.1 2.2 2.3 2.4 2.5 2.6";

    expect_versions(*state, "default", all);
    expect_versions(*state, "latest", "2.6");
    expect_versions(*state, "2.4,2.2", "2.2 2.4");
    expect_versions(*state, "2.4,3.0,9.9,x,2.0", "2.4");
    expect_versions(*state, "3.0,x", all);
}

static void paths_are_below_the_folder_unless_absolute(void **state)
{
    static const char *const rows[][2] = {{"", "/state/server-private.pem"},
                                          {"default", "/state/server-private.pem"},
                                          {"keys/one.pem", "/state/keys/one.pem"},
                                          {"/etc/one.pem", "/etc/one.pem"}};

    for (size_t i = 0; i < QL_ARRAY_LEN(rows); i++) {
        struct ql_agent a = with(*state, "server_key", rows[i][0]);
        char *path = ql_agent_path(&a, "server_key", "server-private.pem");

        assert_string_equal(path, rows[i][1]);
        free(path);
        ql_config_free(a.start.config);
    }
}

static void passwords_are_text_or_hex_and_never_repeated_in_messages(void **state)
{
    struct ql_agent a = with(*state, "tpm_ownerpassword", "hex:00fFhidden");
    struct ql_secret *secret = NULL;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(ql_agent_password(&a, "tpm_ownerpassword", &secret, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "tpm_ownerpassword"));
    assert_null(strstr(err.text, "hidden"));
    ql_config_free(a.start.config);

    a = with(*state, "tpm_ownerpassword", "hex:00fF");
    assert_int_equal(ql_agent_password(&a, "tpm_ownerpassword", &secret, &err), QL_OK);
    assert_int_equal(ql_secret_len(secret), 2);
    assert_memory_equal(ql_secret_data(secret), "\x00\xff", 2);
    ql_secret_free(secret);
    ql_config_free(a.start.config);

    a = with(*state, "tpm_ownerpassword", "plain");
    assert_int_equal(ql_agent_password(&a, "tpm_ownerpassword", &secret, &err), QL_OK);
    assert_int_equal(ql_secret_len(secret), 5);
    ql_secret_free(secret);
    ql_config_free(a.start.config);

    a = with(*state, "tpm_ownerpassword", "");
    assert_int_equal(ql_agent_password(&a, "tpm_ownerpassword", &secret, &err), QL_OK);
    assert_null(secret);
    ql_config_free(a.start.config);
}

static void handles_are_hex_or_nothing(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint32_t handle;
    } rows[] = {{"generate", QL_OK, 0},
                {"", QL_OK, 0},
                {"81010001", QL_OK, 0x81010001},
                {"0x81010001", QL_OK, 0x81010001},
                {"0", QL_EPARSE, 0},
                {"0x", QL_EPARSE, 0},
                {"181010001", QL_EPARSE, 0},
                {"8101 0001", QL_EPARSE, 0}};

    for (size_t i = 0; i < QL_ARRAY_LEN(rows); i++) {
        struct ql_agent a = with(*state, "ek_handle", rows[i].text);
        struct ql_err err = QL_ERR_INIT;
        uint32_t handle = 0;

        assert_int_equal(ql_agent_handle(&a, "ek_handle", &handle, &err), rows[i].result);
        assert_int_equal(handle, rows[i].handle);
        ql_config_free(a.start.config);
    }
}

static void hosts_are_names_or_addresses(void **state)
{
    static const char *const good[] = {"127.0.0.1",          "::1", "[::1]", "fe80::1%eth0",
                                       "node-7.example.org", "a"};
    static const char *const bad[] = {"",   "a b",  "-a",  "a-",       "a..b", ".a",
                                      "a.", "a-.b", "a_b", "http://a", "*",    "::1/x"};

    for (size_t i = 0; i < QL_ARRAY_LEN(good) + QL_ARRAY_LEN(bad); i++) {
        const bool is_good = i < QL_ARRAY_LEN(good);
        const char *text = is_good ? good[i] : bad[i - QL_ARRAY_LEN(good)];
        struct ql_agent a = with(*state, "contact_ip", text);
        struct ql_err err = QL_ERR_INIT;

        if (ql_agent_check_options(&a, &err) != (is_good ? QL_OK : QL_ERANGE))
            fail_msg("\"%s\"", text);
        ql_config_free(a.start.config);
    }
}

static void a_star_listens_everywhere_but_is_no_address_to_contact(void **state)
{
    struct ql_agent a = with(*state, "ip", "*");

    assert_int_equal(ql_agent_check_options(&a, NULL), QL_OK);
    ql_config_free(a.start.config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(versions_are_all_the_latest_or_a_list, tempdir_make, tempdir_remove),
        cmocka_unit_test_setup_teardown(paths_are_below_the_folder_unless_absolute, tempdir_make,
                                        tempdir_remove),
        cmocka_unit_test_setup_teardown(passwords_are_text_or_hex_and_never_repeated_in_messages,
                                        tempdir_make, tempdir_remove),
        cmocka_unit_test_setup_teardown(handles_are_hex_or_nothing, tempdir_make, tempdir_remove),
        cmocka_unit_test_setup_teardown(hosts_are_names_or_addresses, tempdir_make, tempdir_remove),
        cmocka_unit_test_setup_teardown(a_star_listens_everywhere_but_is_no_address_to_contact, tempdir_make,
                                        tempdir_remove),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
