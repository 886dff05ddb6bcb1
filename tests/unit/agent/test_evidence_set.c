/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "digest.h"
#include "evidence_set.h"
#include "file.h"
#include "tempdir.h"

static int parse(const char *text, struct ql_evidence_asked *ret)
{
    struct ql_err err = QL_ERR_INIT;
    int r = ql_evidence_asked_parse(text, ret, &err);

    if (r < 0)
        assert_true(strlen(err.text) > 0);
    return r;
}

static void names_and_cursors_are_read(void **state)
{
    struct ql_evidence_asked asked = {0};

    (void)state;
    assert_int_equal(parse("ima:0", &asked), QL_OK);
    assert_int_equal(asked.count, 1);
    assert_string_equal(asked.items[0].name, "ima");
    assert_int_equal(asked.items[0].cursor, 0);
    assert_int_equal(parse("a-1:18446744073709551615,bb:7", &asked), QL_OK);
    assert_int_equal(asked.count, 2);
    assert_true(asked.items[0].cursor == UINT64_MAX);
    assert_string_equal(asked.items[1].name, "bb");
    assert_int_equal(asked.items[1].cursor, 7);
}

static void what_is_not_name_and_cursor_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      ":",
                                      "ima",
                                      "ima:",
                                      ":0",
                                      "ima:0,",
                                      ",ima:0",
                                      "ima:-1",
                                      "ima:x",
                                      "IMA:0",
                                      "i ma:0",
                                      "ima:0x1",
                                      "ima:1:2",
                                      "ima:0 ",
                                      "ima:18446744073709551616",
                                      "a_b:0",
                                      "ima:,b:1",
                                      "a,b:1",
                                      "abcdefghijklmnopqrstuvwxyz0123456:0"};
    struct ql_evidence_asked asked = {0};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(bad[i], &asked), QL_EPARSE);
    assert_int_equal(asked.count, 0);
}

static void parameters_are_the_hex_digits_of_json(void **state)
{
    static const char *const bad[] = {"a:0:",      "a:0:7",  "a:0:7b",    "a:0:zz",
                                      "a:0:7b7d:", "a:0:00", "a:0:22ff22"};
    struct ql_evidence_asked asked = {0};
    char text[2 * QL_NEED_PARAMETERS_MAX + 32] = "a:0:22";

    (void)state;
    assert_int_equal(parse("a:1:7b226e223a317d,b:2", &asked), QL_OK);
    assert_int_equal(asked.items[0].cursor, 1);
    assert_string_equal(asked.items[0].parameters, "{\"n\":1}");
    assert_string_equal(asked.items[1].parameters, "");
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++)
        if (parse(bad[i], &asked) != QL_EPARSE)
            fail_msg("%s", bad[i]);
    /* A text of exactly the limit, and one byte more. */
    for (size_t i = 1; i + 1 < QL_NEED_PARAMETERS_MAX; i++)
        strcat(text, "61");
    strcat(text, "22");
    assert_int_equal(parse(text, &asked), QL_OK);
    assert_int_equal(strlen(asked.items[0].parameters), QL_NEED_PARAMETERS_MAX);
    memcpy(text + strlen(text) - 2, "6122", 5);
    assert_int_equal(parse(text, &asked), QL_EPARSE);
}

static void limits_and_repeated_names_are_refused(void **state)
{
    struct ql_evidence_asked asked = {0};
    char text[QL_EVIDENCE_QUERY_MAX + 2] = "";

    (void)state;
    assert_int_equal(parse("a:1,b:2,a:3", &asked), QL_EEXIST);
    for (int i = 0; i < QL_EVIDENCE_ASKED_MAX; i++)
        sprintf(text + strlen(text), "%sn%d:0", i ? "," : "", i);
    assert_int_equal(parse(text, &asked), QL_OK);
    assert_int_equal(asked.count, QL_EVIDENCE_ASKED_MAX);
    strcat(text, ",more:0");
    assert_int_equal(parse(text, &asked), QL_ELIMIT);
    memset(text, 'a', sizeof text - 1);
    assert_int_equal(parse(text, &asked), QL_ELIMIT);
}

static void every_truncation_of_a_query_is_judged_alone(void **state)
{
    static const char whole[] = "ima:12,boot-log:3";
    struct ql_evidence_asked asked = {0};
    char text[sizeof whole];

    (void)state;
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        const bool complete = len == 5 || len == 6 || len == sizeof whole - 2 + 1;

        snprintf(text, sizeof text, "%.*s", (int)len, whole);
        assert_int_equal(parse(text, &asked), complete ? QL_OK : QL_EPARSE);
    }
}

/** Written out by hand from the rule: tag, u16 and nonce, then for each item u16 and name, and the digest of its data. */
static void the_qualifying_data_follow_the_rule_of_binding(void **state)
{
    static const char message[] = "quicklime-evidence-1\0\x05nonce\0\x01"
                                  "a";
    struct ql_evidence_answer a = {.bound_count = 2};
    uint8_t bytes[256], want[QL_DIGEST_MAX], got[32];
    size_t len = sizeof message - 1;

    (void)state;
    strcpy(a.bound[0].name, "a");
    memset(a.bound[0].digest, 0x11, 32);
    strcpy(a.bound[1].name, "bc");
    memset(a.bound[1].digest, 0x22, 32);
    memcpy(bytes, message, len);
    memset(bytes + len, 0x11, 32);
    len += 32;
    memcpy(bytes + len,
           "\0\x02"
           "bc",
           4);
    len += 4;
    memset(bytes + len, 0x22, 32);
    len += 32;
    assert_int_equal(ql_digest_once(QL_SHA256, bytes, len, want), QL_OK);
    assert_int_equal(ql_evidence_qualifying(&a, "nonce", got), QL_OK);
    assert_memory_equal(got, want, 32);

    a.bound_count = 0;
    assert_int_equal(ql_digest_once(QL_SHA256, message, 20 + 2 + 5, want), QL_OK);
    assert_int_equal(ql_evidence_qualifying(&a, "nonce", got), QL_OK);
    assert_memory_equal(got, want, 32);
}

/* ---- with a plugin ---- */

/** The probe plugin over files of a folder of the test's own. */
struct probe {
    char *dir;
    struct ql_config *config;
    struct ql_registry *registry;
    struct ql_evidence_set *set;
};

static void put(const struct probe *p, const char *name, const char *text)
{
    assert_int_equal(ql_file_write(tempdir_path(p->dir, name), 0600, text, strlen(text), NULL), QL_OK);
}

static int probe_start(void **state)
{
    static const struct ql_option_group groups[] = {{0}};
    static const char *const files[] = {"note", "lines", "blob"};
    static const char *const names[] = {"probe"};
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_EVIDENCE};
    struct probe *p = calloc(1, sizeof *p);
    struct ql_setting settings[3];
    struct ql_err err = QL_ERR_INIT;
    char paths[3][512];
    void *dir = NULL;

    assert_int_equal(tempdir_make(&dir), 0);
    p->dir = dir;
    for (size_t i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s", tempdir_path(p->dir, files[i]));
        settings[i] = (struct ql_setting){"probe", files[i], paths[i]};
    }
    if (ql_config_load("agent", groups, p->dir, settings, 3, &p->config, &err) < 0 ||
        ql_registry_new(&config, &p->registry, &err) < 0 ||
        ql_registry_load_all(p->registry, QL_BINARY_DIR "/tests/agent-plugins", names, 1, p->config, &err) <
            0 ||
        ql_evidence_set_open(p->registry, &p->set, &err) < 0)
        fail_msg("%s", err.text);
    *state = p;
    return 0;
}

static int probe_stop(void **state)
{
    struct probe *p = *state;
    void *dir = p->dir;

    ql_evidence_set_close(p->set);
    ql_registry_free(p->registry);
    ql_config_free(p->config);
    tempdir_remove(&dir);
    free(p);
    return 0;
}

static struct ql_evidence_answer collect(const struct probe *p, const struct ql_evidence_want *want)
{
    struct ql_evidence_answer a = {0};
    struct ql_err err = QL_ERR_INIT;

    if (ql_evidence_collect(p->set, want, QL_EVIDENCE_BEFORE, &a, &err) < 0 ||
        ql_evidence_collect(p->set, want, QL_EVIDENCE_AFTER, &a, &err) < 0)
        fail_msg("%s", err.text);
    return a;
}

static const char *text_in(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void every_component_is_named(void **state)
{
    const struct probe *p = *state;
    json_t *names = ql_evidence_set_names(p->set);

    assert_int_equal(json_array_size(names), 5);
    json_decref(names);
}

static void keylimes_members_are_fed_without_being_asked_for(void **state)
{
    const struct probe *p = *state;
    struct ql_evidence_want want = {.legacy = true, .mask = 0x401, .max_len = 4096};
    struct ql_evidence_answer a;

    put(p, "lines", "one\ntwo\nthree\n");
    put(p, "blob", "B");
    a = collect(p, &want);
    assert_string_equal(text_in(a.legacy, "ima_measurement_list"), "one\ntwo\nthree\n");
    assert_int_equal(json_integer_value(json_object_get(a.legacy, "ima_measurement_list_entry")), 0);
    assert_string_equal(text_in(a.legacy, "mb_measurement_list"), "Qg==");
    assert_null(a.by_name);
    ql_evidence_answer_done(&a);

    want.ima_entry = 2;
    want.mask = 0x400; /* the boot log only with PCR 0 */
    a = collect(p, &want);
    assert_string_equal(text_in(a.legacy, "ima_measurement_list"), "three\n");
    assert_int_equal(json_integer_value(json_object_get(a.legacy, "ima_measurement_list_entry")), 2);
    assert_null(json_object_get(a.legacy, "mb_measurement_list"));
    ql_evidence_answer_done(&a);

    want.ima_entry = 3;
    a = collect(p, &want);
    assert_string_equal(text_in(a.legacy, "ima_measurement_list"), "");
    assert_int_equal(json_integer_value(json_object_get(a.legacy, "ima_measurement_list_entry")), 3);
    ql_evidence_answer_done(&a);

    want.ima_entry = 4; /* beyond the end: everything from the start, and it says so */
    a = collect(p, &want);
    assert_string_equal(text_in(a.legacy, "ima_measurement_list"), "one\ntwo\nthree\n");
    assert_int_equal(json_integer_value(json_object_get(a.legacy, "ima_measurement_list_entry")), 0);
    ql_evidence_answer_done(&a);

    want.legacy = false; /* an identity quote */
    a = collect(p, &want);
    assert_null(a.legacy);
    ql_evidence_answer_done(&a);
}

static void what_is_asked_by_name_comes_by_name_alone(void **state)
{
    const struct probe *p = *state;
    struct ql_evidence_asked asked = {0};
    const struct ql_evidence_want want = {.asked = &asked, .legacy = true, .mask = 0x401, .max_len = 4096};
    struct ql_evidence_answer a;
    uint8_t digest[QL_DIGEST_MAX];
    const json_t *item;

    put(p, "lines", "one\ntwo\n");
    put(p, "blob", "B");
    put(p, "note", "hello");
    assert_int_equal(parse("lines:1,note:0,alpha:0,nobody:0", &asked), QL_OK);
    a = collect(p, &want);
    item = json_object_get(a.by_name, "lines");
    assert_string_equal(text_in(item, "data"), "dHdvCg==");
    assert_int_equal(json_integer_value(json_object_get(item, "cursor")), 2);
    assert_int_equal(json_integer_value(json_object_get(item, "from")), 1);
    assert_null(json_object_get(a.legacy, "ima_measurement_list"));
    assert_non_null(json_object_get(a.legacy, "mb_measurement_list"));
    assert_string_equal(text_in(json_object_get(a.by_name, "note"), "data"), "aGVsbG8=");
    assert_null(json_object_get(a.by_name, "nobody"));
    assert_int_equal(json_object_size(a.by_name), 3);
    /* Bound by the nonce: those two, by name; the list is bound by its PCR. */
    assert_int_equal(a.bound_count, 2);
    assert_string_equal(a.bound[0].name, "alpha");
    assert_string_equal(a.bound[1].name, "note");
    assert_int_equal(ql_digest_once(QL_SHA256, "hello", 5, digest), QL_OK);
    assert_memory_equal(a.bound[1].digest, digest, 32);
    ql_evidence_answer_done(&a);
}

static void a_component_that_fails_leaves_its_name_out(void **state)
{
    const struct probe *p = *state;
    struct ql_evidence_asked asked = {0};
    const struct ql_evidence_want want = {.asked = &asked, .legacy = true, .mask = 1, .max_len = 4096};
    struct ql_evidence_answer a;

    put(p, "lines", "one\n");
    assert_int_equal(parse("note:0", &asked), QL_OK);
    a = collect(p, &want);
    assert_non_null(a.by_name);
    assert_int_equal(json_object_size(a.by_name), 0);
    assert_int_equal(a.bound_count, 0);
    assert_null(json_object_get(a.legacy, "mb_measurement_list"));
    assert_non_null(json_object_get(a.legacy, "ima_measurement_list"));
    ql_evidence_answer_done(&a);
}

static void an_item_never_exceeds_its_limit(void **state)
{
    const struct probe *p = *state;
    struct ql_evidence_asked asked = {0};
    struct ql_evidence_want want = {.asked = &asked, .max_len = 5};
    struct ql_evidence_answer a;

    put(p, "note", "12345");
    assert_int_equal(parse("note:0", &asked), QL_OK);
    a = collect(p, &want);
    assert_string_equal(text_in(json_object_get(a.by_name, "note"), "data"), "MTIzNDU=");
    ql_evidence_answer_done(&a);
    want.max_len = 4;
    a = collect(p, &want);
    assert_string_equal(text_in(json_object_get(a.by_name, "note"), "data"), "");
    ql_evidence_answer_done(&a);
}

static void bytes_that_are_no_text_go_out_as_they_are(void **state)
{
    const struct probe *p = *state;
    const struct ql_evidence_want want = {.legacy = true, .max_len = 4096};
    struct ql_evidence_answer a = {0};
    char *text;

    put(p, "lines", "\xff\n");
    assert_int_equal(ql_evidence_collect(p->set, &want, QL_EVIDENCE_AFTER, &a, NULL), QL_OK);
    text = ql_json_text_bytes(json_object_get(a.legacy, "ima_measurement_list"));
    assert_string_equal(text, "\"\\udcff\\n\"");
    free(text);
    ql_evidence_answer_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_cursors_are_read),
        cmocka_unit_test(what_is_not_name_and_cursor_is_refused),
        cmocka_unit_test(parameters_are_the_hex_digits_of_json),
        cmocka_unit_test(limits_and_repeated_names_are_refused),
        cmocka_unit_test(every_truncation_of_a_query_is_judged_alone),
        cmocka_unit_test(the_qualifying_data_follow_the_rule_of_binding),
        cmocka_unit_test_setup_teardown(every_component_is_named, probe_start, probe_stop),
        cmocka_unit_test_setup_teardown(keylimes_members_are_fed_without_being_asked_for, probe_start,
                                        probe_stop),
        cmocka_unit_test_setup_teardown(what_is_asked_by_name_comes_by_name_alone, probe_start, probe_stop),
        cmocka_unit_test_setup_teardown(a_component_that_fails_leaves_its_name_out, probe_start, probe_stop),
        cmocka_unit_test_setup_teardown(an_item_never_exceeds_its_limit, probe_start, probe_stop),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_text_go_out_as_they_are, probe_start, probe_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
