/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "refstate_lint.h"
#include "toolhost.h"

#define KERNEL "{\"kernel_cmdline\": \"/vmlinuz ro\"}"
#define KEYS   "\"pk\": [1], \"kek\": [1], \"db\": [1], \"dbx\": [1]"

static void note(void *arg, const char *text)
{
    char *all = arg;

    assert_true(strlen(all) + strlen(text) + 2 < 4096);
    strcat(all, text);
    strcat(all, "\n");
}

static size_t lint(const char *text, char all[4096])
{
    json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);
    size_t n;

    assert_non_null(j);
    all[0] = '\0';
    n = ql_refstate_lint(&ql_tool_host, "example", j, note, all);
    json_decref(j);
    return n;
}

static void each_finding_is_named(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{}", "judges nothing"},
        {"[]", "judges nothing"},
        {"0", "judges nothing"},
        {"\"\"", "judges nothing"},
        {"false", "judges nothing"},
        {"{\"kernels\": [], \"scrtm_and_bios\": [1], " KEYS "}", "\"kernels\" is empty: no node can pass"},
        {"{\"kernels\": [" KERNEL "], " KEYS "}", "\"scrtm_and_bios\" is empty: no node can pass"},
        {"{\"kernels\": [" KERNEL "], \"scrtm_and_bios\": [1], \"has_secureboot\": false}",
         "must boot without Secure Boot"},
        {"{\"kernels\": [" KERNEL
         "], \"scrtm_and_bios\": [1], \"pk\": [1], \"kek\": [], \"db\": [1], \"dbx\": "
         "[1]}",
         "\"kek\" is empty"},
        {"{\"kernels\": [" KERNEL "], \"scrtm_and_bios\": [1], \"pk\": [1], \"kek\": [1], \"db\": [1]}",
         "\"dbx\" is empty: no revoked hash"},
        {"{\"kernel\": 1, \"kernels\": [" KERNEL "], \"scrtm_and_bios\": [1], " KEYS "}",
         "\"kernel\" is no key"},
        {"{\"kernels\": [{\"shim\": 1, \"kernel_cmdline\": \"a\"}], \"scrtm_and_bios\": [1], " KEYS "}",
         "kernels[0]: \"shim\" is no key"},
        {"{\"kernels\": [" KERNEL ", {\"kernel_cmdline\": \"(?s).*\"}], \"scrtm_and_bios\": [1], " KEYS "}",
         "kernels[1].kernel_cmdline accepts any command line"},
        {"{\"kernels\": [{\"kernel_cmdline\": \"a\", \"vmlinuz_plain_sha256\": \"\"}], \"scrtm_and_bios\": "
         "[1], " KEYS "}",
         "vmlinuz_plain_sha256 is not looked at"},
    };
    char all[4096];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (lint(cases[i].text, all) != 1 || !strstr(all, cases[i].words))
            fail_msg("%s: %s", cases[i].text, all);
    }
}

static void a_whole_reference_state_and_what_is_none_give_no_findings(void **state)
{
    char all[4096];

    (void)state;
    assert_int_equal(lint("{\"kernels\": [" KERNEL "], \"scrtm_and_bios\": [1], " KEYS "}", all), 0);
    assert_int_equal(lint("7", all), 0);
    assert_int_equal(lint("{\"kernels\": [7, null], \"scrtm_and_bios\": [1], " KEYS "}", all), 0);
}

static void reference_states_of_real_nodes_give_no_findings(void **state)
{
    static const char *const names[] = {"keylime-mb_log", "keylime-bios_measurements-secureboot"};
    char all[4096] = "", path[256];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *j;

        snprintf(path, sizeof path, "mboot/refstate/%s.json", names[i]);
        j = load_vectors(path);
        if (ql_refstate_lint(&ql_tool_host, "example", j, note, all) != 0)
            fail_msg("%s: %s", names[i], all);
        json_decref(j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_finding_is_named),
        cmocka_unit_test(a_whole_reference_state_and_what_is_none_give_no_findings),
        cmocka_unit_test(reference_states_of_real_nodes_give_no_findings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
