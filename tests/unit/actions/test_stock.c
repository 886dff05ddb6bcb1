/* SPDX-License-Identifier: Apache-2.0 */
/* The stock actions of plugins/revocation-actions, run as an agent runs them. */
#include "tempdir.h"

#include <sys/stat.h>

#include "job.h"

#define ID "5c3a1f0e-7d24-4b8e-9a61-2f0c4d7e8b91"

/** A stock action where only its owner may write, whatever the mode of the source tree. */
static char *copy_action(const char *dir, const char *action)
{
    char name[64];
    ql_auto_free char *text = NULL;

    (void)snprintf(name, sizeof name, "%s.lua", action);
    text = tempdir_get(QL_SOURCE_DIR "/plugins/revocation-actions", name);
    tempdir_put(dir, name, text);
    assert_int_equal(chmod(tempdir_path(dir, name), 0600), 0);
    return strdup(tempdir_path(dir, name));
}

static json_t *list(const char *item)
{
    return item ? json_pack("[s]", item) : json_array();
}

/** Run one. @param settings  NAME=VALUE with commas between them */
static int run(const char *dir, const char *action, const char *settings, const char *meta, const char *exec,
               bool dry, struct ql_err *err)
{
    ql_auto_free char *msg = NULL, *body = NULL, *file = NULL, *text = NULL, *copy = strdup(settings);
    ql_auto_json json_t *inner =
        json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s}", "type", "revocation", "ip", "10.1.2.3",
                  "agent_id", ID, "port", 9002, "meta_data", meta, "event_time", "Sun Nov 22 22:28:10 2026",
                  "event_id", "pcr_validation.invalid_pcr_10", "severity_label", "emergency");
    ql_auto_json json_t *outer = NULL, *set = json_object(), *execs = list(exec), *files = list(dir);
    struct ql_notice *n = NULL;
    struct ql_job job = {.site = QL_SITE_AGENT, .work_dir = dir, .timeout_ms = 20000, .dry_run = dry};
    int r;

    for (char *save = NULL, *one = strtok_r(copy, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(one, '=');

        *equals = '\0';
        json_object_set_new(set, one, json_string(equals + 1));
    }
    msg = json_dumps(inner, 0);
    outer = json_pack("{s:s, s:s}", "msg", msg, "signature", "");
    body = json_dumps(outer, 0);
    assert_int_equal(ql_notice_parse(body, strlen(body), &n, NULL), QL_OK);
    file = copy_action(dir, action);
    job.file = file;
    job.notice = n;
    job.settings = set;
    job.exec = execs;
    job.files = files;
    text = ql_job_text(&job);
    assert_non_null(text);
    r = ql_job_run(text, strlen(text), err);
    ql_notice_free(n);
    return r;
}

static void good(const char *dir, const char *action, const char *settings, const char *meta,
                 const char *exec)
{
    struct ql_err err = QL_ERR_INIT;

    if (run(dir, action, settings, meta, exec, false, &err) != QL_OK)
        fail_msg("%s: %s", action, err.text);
}

/** A program that writes down its arguments. */
static char *recorder(const char *dir, int status)
{
    ql_auto_free char *text = NULL;
    const char *path = tempdir_path(dir, "record");

    assert_true(asprintf(&text, "#!/bin/sh\necho \"$*\" >>%s/calls\nexit %d\n", dir, status) > 0);
    tempdir_put(dir, "record", text);
    assert_int_equal(chmod(path, 0755), 0);
    return strdup(path);
}

/** Text in new memory. */
static char *textf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *textf(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    assert_true(vasprintf(&text, fmt, ap) > 0);
    va_end(ap);
    return text;
}

static void expect(const char *dir, const char *file, const char *want)
{
    ql_auto_free char *text = tempdir_get(dir, file);

    assert_string_equal(text, want);
}

static void log_only_changes_nothing(void **state)
{
    good(*state, "log-only", "", "{}", NULL);
}

static void keys_of_the_node_alone_are_removed(void **state)
{
    ql_auto_free char *set = textf("file=%s", tempdir_path(*state, "keys"));
    static const char *const kept = "# node@" ID "\n\nssh-ed25519 AAA1 admin\nssh-rsa AAA2 x" ID "\n";
    ql_auto_free char *all =
        textf("%sssh-rsa AAA3 node@" ID "\nfrom=\"10.0.0.1\" ssh-rsa AAA4 " ID "\nssh-rsa META who\n", kept);

    tempdir_put(*state, "keys", all);
    assert_int_equal(chmod(tempdir_path(*state, "keys"), 0640), 0);
    for (int i = 0; i < 2; i++) { /* again: nothing more */
        struct stat st;

        good(*state, "remove-ssh-key", set, "{\"ssh_key\": \"ssh-rsa META who\"}", NULL);
        expect(*state, "keys", kept);
        assert_int_equal(stat(tempdir_path(*state, "keys"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0640);
    }
}

static void a_missing_file_or_setting_of_keys_is_dealt_with(void **state)
{
    ql_auto_free char *set = textf("file=%s", tempdir_path(*state, "none"));
    struct ql_err err = QL_ERR_INIT;

    good(*state, "remove-ssh-key", set, "{}", NULL);
    assert_int_not_equal(access(tempdir_path(*state, "none"), F_OK), 0);
    assert_int_not_equal(run(*state, "remove-ssh-key", "x=y", "{}", NULL, false, &err), QL_OK);
    assert_non_null(strstr(err.text, "remove-ssh-key.file is missing"));
}

static void metadata_that_is_odd_does_no_harm(void **state)
{
    static const char *const odd[] = {"", "[]", "no JSON",
                                      "{\"ssh_key\": 3, \"cert_serial\": \"x\", \"wireguard_key\": {}}"};
    ql_auto_free char *keys = textf("file=%s", tempdir_path(*state, "keys")),
                      *list_file = textf("list=%s", tempdir_path(*state, "list"));

    tempdir_put(*state, "keys", "ssh-rsa AAA1 admin\n");
    for (size_t i = 0; i < QL_ARRAY_LEN(odd); i++) {
        good(*state, "remove-ssh-key", keys, odd[i], NULL);
        good(*state, "revoke-certificate", list_file, odd[i], NULL);
        good(*state, "wireguard-peer", "", odd[i], NULL);
    }
    expect(*state, "keys", "ssh-rsa AAA1 admin\n");
}

static void the_address_is_dropped(void **state)
{
    ql_auto_free char *nft = recorder(*state, 0), *set = textf("nft=%s", nft);

    good(*state, "nftables-drop", set, "{}", nft);
    expect(*state, "calls", "add element inet quicklime revoked { 10.1.2.3 }\n");
}

static void a_program_that_fails_fails_the_action(void **state)
{
    ql_auto_free char *nft = recorder(*state, 1), *set = textf("nft=%s", nft);
    struct ql_err err = QL_ERR_INIT;

    assert_int_not_equal(run(*state, "nftables-drop", set, "{}", nft, false, &err), QL_OK);
    assert_int_not_equal(run(*state, "nftables-drop", set, "{}", NULL, false, &err), QL_OK);
    assert_non_null(strstr(err.text, "not granted"));
}

static void the_certificate_goes_and_its_number_is_listed_once(void **state)
{
    ql_auto_free char *set = textf("list=%s,folder=%s", tempdir_path(*state, "list"), (char *)*state);

    tempdir_put(*state, "list", "1f\n");
    tempdir_put(*state, ID ".crt", "x");
    for (int i = 0; i < 2; i++)
        good(*state, "revoke-certificate", set, "{\"cert_serial\": 255}", NULL);
    expect(*state, "list", "1f\nff\n");
    assert_int_not_equal(access(tempdir_path(*state, ID ".crt"), F_OK), 0);
}

static void the_wireguard_peer_is_removed(void **state)
{
    ql_auto_free char *wg = recorder(*state, 0), *set = textf("wg=%s,folder=%s", wg, (char *)*state);

    tempdir_put(*state, ID ".pub", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    good(*state, "wireguard-peer", set, "{}", wg);
    expect(*state, "calls", "set wg0 peer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= remove\n");
}

static void the_unit_is_stopped_for_the_node_it_is_about(void **state)
{
    ql_auto_free char *systemctl = recorder(*state, 0),
                      *set = textf("systemctl=%s,unit=tunnel@x.service,agent=%s", systemctl, "other"),
                      *mine = textf("systemctl=%s,unit=tunnel@x.service,agent=%s", systemctl, ID);
    struct ql_err err = QL_ERR_INIT;

    good(*state, "stop-unit", set, "{}", systemctl);
    assert_int_not_equal(access(tempdir_path(*state, "calls"), F_OK), 0);
    good(*state, "stop-unit", mine, "{}", systemctl);
    expect(*state, "calls", "stop tunnel@x.service\n");
    assert_int_not_equal(run(*state, "stop-unit", "unit=--no-block", "{}", NULL, false, &err), QL_OK);
}

static void a_dry_run_of_each_changes_nothing(void **state)
{
    static const char *const names[] = {"log-only",           "remove-ssh-key", "nftables-drop",
                                        "revoke-certificate", "wireguard-peer", "stop-unit"};
    ql_auto_free char *program = recorder(*state, 0), *set = NULL;
    struct ql_err err = QL_ERR_INIT;

    tempdir_put(*state, "keys", "ssh-rsa AAA node@" ID "\n");
    tempdir_put(*state, "list", "");
    tempdir_put(*state, ID ".crt", "x");
    tempdir_put(*state, ID ".pub", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    assert_true(asprintf(&set, "file=%s/keys,list=%s/list,folder=%s,nft=%s,wg=%s,systemctl=%s,unit=x.service",
                         (char *)*state, (char *)*state, (char *)*state, program, program, program) > 0);
    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++)
        if (run(*state, names[i], set, "{\"cert_serial\": 1}", program, true, &err) != QL_OK)
            fail_msg("%s: %s", names[i], err.text);
    expect(*state, "keys", "ssh-rsa AAA node@" ID "\n");
    expect(*state, "list", "");
    assert_int_equal(access(tempdir_path(*state, ID ".crt"), F_OK), 0);
    assert_int_not_equal(access(tempdir_path(*state, "calls"), F_OK), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(log_only_changes_nothing),
        TEST(keys_of_the_node_alone_are_removed),
        TEST(a_missing_file_or_setting_of_keys_is_dealt_with),
        TEST(metadata_that_is_odd_does_no_harm),
        TEST(the_address_is_dropped),
        TEST(a_program_that_fails_fails_the_action),
        TEST(the_certificate_goes_and_its_number_is_listed_once),
        TEST(the_wireguard_peer_is_removed),
        TEST(the_unit_is_stopped_for_the_node_it_is_about),
        TEST(a_dry_run_of_each_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
