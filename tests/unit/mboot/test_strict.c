/* SPDX-License-Identifier: Apache-2.0 */
/* The policy strict on the log of a real machine with Secure Boot, and on what an attacker would make of it. */
#include "policies.h"
#include "refstate.h"

/** A log, its reference state and the place where they are judged. */
struct bench {
    struct shop *s;
    struct bytes b;
    struct mb_log *log;
    int bank;
    json_t *ref;
};

static void open_bench(struct bench *b, const char *file)
{
    struct ql_err err = QL_ERR_INIT;

    b->b = read_vector(file);
    b->s = shop_open();
    if (mb_log_parse(b->s->shop.host, b->b.p, b->b.len, &b->log, &err) != QL_OK)
        fail_msg("%s", err.text);
    b->bank = mb_log_bank(b->log, "sha256");
    assert_int_equal(mb_log_check_digests(b->s->shop.hasher, b->log, b->bank, NULL, NULL), QL_OK);
    assert_int_equal(mb_refstate_from_log(b->log, false, NULL, NULL, &b->ref, &err), QL_OK);
    assert_int_equal(mb_refstate_add_strict(b->log, b->ref, &err), QL_OK);
}

static void close_bench(struct bench *b)
{
    json_decref(b->ref);
    mb_log_free(b->log);
    shop_close(b->s);
    free(b->b.p);
}

static bool asks(struct bench *b, json_t *ref, const struct mb_log *log, char why[MB_REASON_MAX])
{
    const struct mb_question q = {.log = log, .bank = b->bank};
    struct mb_policy *p = NULL;
    struct ql_err err = QL_ERR_INIT;
    bool accepted;

    why[0] = '\0';
    if (mb_policy_new(&b->s->shop, "strict", ref, &p, &err) != QL_OK) {
        snprintf(why, MB_REASON_MAX, "%s", err.text);
        return false;
    }
    accepted = mb_policy_accepts(p, &q, why);
    mb_policy_free(p);
    return accepted;
}

static void real_logs_pass_with_their_own_values(void **state)
{
    static const char *const files[] = {"vm/secureboot-ima-ng/bios.bin", "mboot/logs/keylime-mb_log.bin"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bench b;
        char why[MB_REASON_MAX];

        open_bench(&b, files[i]);
        if (!asks(&b, b.ref, b.log, why))
            fail_msg("%s: %s", files[i], why);
        close_bench(&b);
    }
}

static void each_component_that_changes_is_refused(void **state)
{
    static const struct {
        const char *patch, *why;
    } rows[] = {
        {"[{\"op\":\"remove\",\"path\":\"/boot_files/0\"}]", "PCR 9"},
        {"[{\"op\":\"remove\",\"path\":\"/grub_commands/0\"}]", "PCR 8"},
        {"[{\"op\":\"remove\",\"path\":\"/db/0\"}]", "variable db"},
        {"[{\"op\":\"replace\",\"path\":\"/pk\",\"value\":[]}]", "variable PK"},
        {"[{\"op\":\"replace\",\"path\":\"/mokdig\",\"value\":[]}]", "PCR 14"},
        {"[{\"op\":\"replace\",\"path\":\"/kernels/0/kernel_cmdline\",\"value\":\"quiet\"}]",
         "kernel_cmdline"},
        {"[{\"op\":\"replace\",\"path\":\"/kernels/0/grub_authcode_sha256\",\"value\":\"0x00\"}]",
         "number 2"},
        {"[{\"op\":\"replace\",\"path\":\"/scrtm_and_bios/0/platform_firmware\",\"value\":[]}]",
         "platform_firmware"},
        {"[{\"op\":\"add\",\"path\":\"/sbat_levels\",\"value\":[\"sbat,1,1\"]}]", "SBAT level"},
        {"[{\"op\":\"replace\",\"path\":\"/has_secureboot\",\"value\":false}]", "Secure Boot"},
        {"[{\"op\":\"add\",\"path\":\"/dbx/"
         "-\",\"value\":{\"SignatureOwner\":\"77fa9abd-0359-4d32-bd60-28f4e78f784b\","
         "\"SignatureData\":\"0x0011\"}}]",
         "variable dbx"},
    };
    struct bench b;

    (void)state;
    open_bench(&b, "vm/secureboot-ima-ng/bios.bin");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *patch = json_loads(rows[i].patch, 0, NULL), *ref = patched(b.ref, patch);
        char why[MB_REASON_MAX];

        if (asks(&b, ref, b.log, why))
            fail_msg("%s: accepted", rows[i].patch);
        if (!strstr(why, rows[i].why))
            fail_msg("%s: %s", rows[i].patch, why);
        json_decref(patch);
        json_decref(ref);
    }
    close_bench(&b);
}

static void applications_may_be_a_list(void **state)
{
    json_t *app;
    struct bench b;
    char why[MB_REASON_MAX], hex[80] = "0x";

    (void)state;
    open_bench(&b, "vm/secureboot-ima-ng/bios.bin");
    json_object_set_new(b.ref, "command_lines", json_pack("[s]", ".*"));
    json_object_del(b.ref, "kernels");
    app = json_array();
    json_object_set_new(b.ref, "applications", app);
    assert_false(asks(&b, b.ref, b.log, why));
    for (uint32_t i = 0; i < b.log->event_count; i++) {
        const uint8_t *digest = mb_event_digest(b.log, &b.log->events[i], b.bank);

        if (b.log->events[i].type != MB_EV_EFI_BOOT_SERVICES_APPLICATION)
            continue;
        for (size_t k = 0; k < 32; k++)
            snprintf(hex + 2 + 2 * k, 3, "%02x", digest[k]);
        json_array_append_new(app, json_pack("{s:s}", "sha256", hex));
    }
    if (!asks(&b, b.ref, b.log, why))
        fail_msg("%s", why);
    json_object_set_new(b.ref, "command_lines", json_pack("[s]", "quiet"));
    assert_false(asks(&b, b.ref, b.log, why));
    close_bench(&b);
}

/* Labels are not covered by digests: neither may a label be changed to hide a command line, nor may an event move. */
static void relabelled_and_moved_events_are_refused(void **state)
{
    struct bench b;
    char why[MB_REASON_MAX];

    (void)state;
    open_bench(&b, "vm/secureboot-ima-ng/bios.bin");
    for (uint32_t i = 0; i < b.log->event_count; i++) {
        struct mb_event *e = &b.log->events[i], kept = *e;
        static const char linux_command[] = "grub_cmd: linux ";
        char text[600];

        if (e->type == MB_EV_IPL && e->pcr == 8 && e->payload_len < 500 &&
            memcmp(e->payload, linux_command, sizeof linux_command - 1) == 0) {
            snprintf(text, sizeof text, "grub_cmd: boot");
            e->payload = (const uint8_t *)text; /* the loading command is gone */
            e->payload_len = 14;
            assert_false(asks(&b, b.ref, b.log, why));
            assert_non_null(strstr(why, "no command of GRUB loaded"));
        } else if (e->type == MB_EV_SEPARATOR && e->pcr == 7) {
            e->pcr = 6; /* none is left on PCR 7 */
            assert_false(asks(&b, b.ref, b.log, why));
        } else if (e->type == MB_EV_EFI_VARIABLE_DRIVER_CONFIG) {
            e->pcr = 9;
            assert_false(asks(&b, b.ref, b.log, why));
        }
        *e = kept;
    }
    assert_true(asks(&b, b.ref, b.log, why));
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_logs_pass_with_their_own_values),
        cmocka_unit_test(each_component_that_changes_is_refused),
        cmocka_unit_test(applications_may_be_a_list),
        cmocka_unit_test(relabelled_and_moved_events_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
