/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include "dm.h"
#include "dm_event.h"

#define META "name=test,uuid=U-1,major=253,minor=0,minor_count=1,num_targets=1"
#define VER  "dm_version=4.45.0;"
#define CAP  "current_device_capacity=204808;"
#define LINEAR                                                                                               \
    "target_index=0,target_begin=0,target_len=8,target_name=linear,target_version=1.4.0,device_name=7:2,"    \
    "start=512;"
#define CRYPT                                                                                                \
    "target_index=0,target_begin=0,target_len=8,target_name=crypt,target_version=1.24.0,allow_discards=y,"   \
    "same_cpu_crypt=n,submit_from_crypt_cpus=n,no_read_workqueue=n,no_write_workqueue=n,iv_large_sectors=n," \
    "cipher_string=aes-xts-plain64,key_size=32,key_parts=1,key_extra_size=0,key_mac_size=0;"
#define MIRROR                                                                                               \
    "target_index=0,target_begin=0,target_len=8,target_name=mirror,target_version=1.14.0,nr_mirrors=2,"      \
    "mirror_device_0=7:1,mirror_device_0_status=A,mirror_device_1=7:2,mirror_device_1_status=A,handle_"      \
    "errors=y,"                                                                                              \
    "keep_log=n,log_type_status=;"

static const struct {
    enum ima_dm_kind kind;
    const char *text;
} GOOD[] = {
    {IMA_DM_LOAD, VER META ";" LINEAR},
    {IMA_DM_LOAD, VER META ";" CRYPT},
    {IMA_DM_LOAD, VER META ";" MIRROR},
    {IMA_DM_LOAD, VER META ";" LINEAR LINEAR},
    {IMA_DM_RESUME, VER META ";active_table_hash=sha256:aa;" CAP},
    {IMA_DM_REMOVE, VER "device_active_metadata=" META ";active_table_hash=sha256:aa,remove_all=n;" CAP},
    {IMA_DM_REMOVE, VER "device_active_metadata=" META ";device_inactive_metadata=" META
                        ";active_table_hash=sha256:aa;inactive_table_hash=sha256:aa,remove_all=n;" CAP},
    {IMA_DM_CLEAR, VER "name=test,uuid=;table_clear=no_data;" CAP},
    {IMA_DM_RENAME, VER META ";new_name=b,new_uuid=U-1;" CAP},
    {IMA_DM_UPDATE, VER META ";" LINEAR},
};

static int read_event(enum ima_dm_kind kind, const char *text, size_t len, json_t **ret, struct ql_err *err)
{
    /* Of just this size on the heap, so that a sanitizer sees a step too far. */
    uint8_t *copy = malloc(len > 0 ? len : 1);
    int r;

    assert_non_null(copy);
    memcpy(copy, text, len);
    r = ima_dm_event_read(&ql_tool_host, kind, (struct ima_bytes){copy, len}, ret, err);
    free(copy);
    return r;
}

static void every_event_is_read_and_no_part_of_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        const size_t len = strlen(GOOD[i].text);
        struct ql_err err = QL_ERR_INIT;
        json_t *event = NULL;
        char more[2048];

        if (read_event(GOOD[i].kind, GOOD[i].text, len, &event, &err) != QL_OK)
            fail_msg("%s: %s", GOOD[i].text, err.text);
        assert_string_equal(vector_text(event, "name"), "test");
        json_decref(event);
        for (size_t cut = 0; cut < len; cut++) {
            const bool whole_target =
                cut >= 2 && strcmp(GOOD[i].text + cut, LINEAR) == 0 &&
                strstr(GOOD[i].text, LINEAR LINEAR); /* one target less is a table, too */

            event = NULL;
            if ((read_event(GOOD[i].kind, GOOD[i].text, cut, &event, NULL) == QL_OK) != whole_target)
                fail_msg("the first %zu bytes of %s", cut, GOOD[i].text);
            json_decref(event);
        }
        snprintf(more, sizeof more, "%sx", GOOD[i].text);
        assert_int_equal(read_event(GOOD[i].kind, more, len + 1, &event, NULL), QL_EPARSE);
    }
}

static void nul_bytes_between_tokens_count_for_nothing(void **state)
{
    static const char text[] =
        "dm_version=4.45.0;\0\0name=test,uuid=;\0table_clear=no_data;\0\0\0" CAP "\0\0";
    json_t *event = NULL;

    (void)state;
    assert_int_equal(read_event(IMA_DM_CLEAR, text, sizeof text - 1, &event, NULL), QL_OK);
    assert_true(json_is_null(json_object_get(event, "uuid")));
    json_decref(event);
}

static void what_says_nothing_about_a_device_is_refused_with_its_place(void **state)
{
    static const struct {
        enum ima_dm_kind kind;
        const char *text, *words;
    } rows[] = {
        {IMA_DM_LOAD, "hello", "expected dm_version= at byte 0"},
        {IMA_DM_LOAD,
         VER META ";target_index=0,target_begin=0,target_len=8,target_name=raid,target_version=1.1.1,x=1;",
         "known kind of target"},
        {IMA_DM_LOAD, VER "name=,uuid=", "a text"},
        {IMA_DM_LOAD, "dm_version=4.45;", "."},
        {IMA_DM_LOAD, "dm_version=99999999999999999999.1.1;", "2^63"},
        {IMA_DM_RESUME, VER META ";device_resume=no_data;" CAP, "active_table_hash="},
        {IMA_DM_REMOVE, VER "device_remove=no_data;remove_all=n;" CAP, "device_active_metadata="},
        {IMA_DM_REMOVE, VER "device_inactive_metadata=" META ";inactive_table_hash=a,remove_all=n;" CAP,
         "device_active_metadata="},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ql_err err = QL_ERR_INIT;
        json_t *event = NULL;

        assert_int_equal(read_event(rows[i].kind, rows[i].text, strlen(rows[i].text), &event, &err),
                         QL_EPARSE);
        if (!strstr(err.text, rows[i].words))
            fail_msg("\"%s\" does not say \"%s\"", err.text, rows[i].words);
    }
}

/* ---- judged ---- */

static char found[4096];

static int note(struct ql_report *r, const char *event_id, const char *severity, uint32_t recoverable,
                const json_t *context)
{
    (void)r;
    (void)severity;
    (void)recoverable;
    (void)context;
    strcat(found, event_id + strlen("ima.validation.dm."));
    strcat(found, " ");
    return QL_OK;
}

static const char RULES[] = "{\"version\":1,\"match_on\":\"uuid\",\"rules\":{\"r\":{\"required\":true,"
                            "\"device_resume_required\":true,"
                            "\"allow_clear\":true,\"device_rename\":{\"valid_name\":\"test|b\",\"valid_"
                            "uuid\":\"U-.*\"},\"device_remove\":{"
                            "\"allow_removal\":true},\"table_load\":{\"allow_multiple_loads\":false,\"name\":"
                            "\"test\",\"uuid\":\"U-.*\",\"major\":253,"
                            "\"minor\":null,\"minor_count\":true,\"num_targets\":1,\"targets\":[{\"target_"
                            "name\":\"linear\",\"start\":512}]}}}}";

static void judge(struct ima_dm *dm, enum ima_dm_kind kind, const char *text, char digest)
{
    struct ql_report report = {.size = sizeof report, .fail = note};
    struct ima_findings f = {.report = &report, .max = 100};
    uint8_t bytes[1] = {(uint8_t)digest};
    const struct ima_entry e = {
        .name = {(const uint8_t *)ima_dm_kind_name(kind), strlen(ima_dm_kind_name(kind))},
        .buffer = {(const uint8_t *)text, strlen(text)},
        .digest = {.alg = {(const uint8_t *)"sha256", 6}, .bytes = {bytes, 1}},
    };

    assert_int_equal(ima_dm_entry(dm, &f, &e, true, NULL), QL_OK);
}

static void conclude(struct ima_dm *dm)
{
    struct ql_report report = {.size = sizeof report, .fail = note};
    struct ima_findings f = {.report = &report, .max = 100};
    struct ima_bytes kept;

    assert_int_equal(ima_dm_keep(dm, &kept, NULL), QL_OK);
    assert_int_equal(ima_dm_conclude(dm, kept, &f, NULL), QL_OK);
}

static void a_device_is_known_by_its_new_uuid_after_a_renaming(void **state)
{
    json_t *policy = json_loads(RULES, 0, NULL);
    struct ima_dm *dm = NULL;

    (void)state;
    found[0] = '\0';
    assert_int_equal(ima_dm_new(&ql_tool_host, policy, (struct ima_bytes){0}, &dm, NULL), QL_OK);
    judge(dm, IMA_DM_LOAD, VER META ";" LINEAR, '\xaa');
    judge(dm, IMA_DM_RESUME, VER META ";active_table_hash=sha256:aa;" CAP, 'x');
    judge(dm, IMA_DM_RENAME, VER META ";new_name=b,new_uuid=U-2;" CAP, 'x');
    conclude(dm);
    assert_string_equal(found, "");
    judge(dm, IMA_DM_UPDATE, VER META ";" LINEAR, 'x');
    assert_string_equal(found, "dm_target_update.update_before_table_load ");
    found[0] = '\0';
    judge(dm, IMA_DM_REMOVE,
          VER "device_active_metadata=name=b,uuid=U-2,major=253,minor=0,minor_count=1,num_targets=1;active_"
              "table_hash="
              "sha256:aa,remove_all=n;" CAP,
          'x');
    assert_string_equal(found, "");
    conclude(dm);
    assert_string_equal(found, "required_policy_not_in_use ");
    ima_dm_free(dm);
    json_decref(policy);
}

static void a_table_that_was_not_loaded_cannot_be_resumed(void **state)
{
    json_t *policy = json_loads(RULES, 0, NULL);
    struct ima_dm *dm = NULL;

    (void)state;
    found[0] = '\0';
    assert_int_equal(ima_dm_new(&ql_tool_host, policy, (struct ima_bytes){0}, &dm, NULL), QL_OK);
    judge(dm, IMA_DM_LOAD, VER META ";" LINEAR, '\xaa');
    judge(dm, IMA_DM_RESUME, VER META ";active_table_hash=sha256:bb;" CAP, 'x');
    conclude(dm);
    assert_string_equal(
        found, "dm_device_resume.active_table_mismatch device_invalid_state required_policy_not_in_use ");
    ima_dm_free(dm);
    json_decref(policy);
}

static void devices_that_are_kept_go_on_in_the_next_list(void **state)
{
    json_t *policy = json_loads(RULES, 0, NULL);
    struct ima_dm *first = NULL, *second = NULL;
    struct ima_bytes kept;

    (void)state;
    found[0] = '\0';
    assert_int_equal(ima_dm_new(&ql_tool_host, policy, (struct ima_bytes){0}, &first, NULL), QL_OK);
    judge(first, IMA_DM_LOAD, VER META ";" LINEAR, '\xaa');
    assert_int_equal(ima_dm_keep(first, &kept, NULL), QL_OK);
    assert_int_equal(ima_dm_new(&ql_tool_host, policy, kept, &second, NULL), QL_OK);
    judge(second, IMA_DM_RESUME, VER META ";active_table_hash=sha256:aa;" CAP, 'x');
    conclude(second);
    assert_string_equal(found, "");
    ima_dm_free(first);
    ima_dm_free(second);
    json_decref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_is_read_and_no_part_of_one),
        cmocka_unit_test(nul_bytes_between_tokens_count_for_nothing),
        cmocka_unit_test(what_says_nothing_about_a_device_is_refused_with_its_place),
        cmocka_unit_test(a_device_is_known_by_its_new_uuid_after_a_renaming),
        cmocka_unit_test(a_table_that_was_not_loaded_cannot_be_resumed),
        cmocka_unit_test(devices_that_are_kept_go_on_in_the_next_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
