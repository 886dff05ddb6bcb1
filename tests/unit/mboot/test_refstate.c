/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>

#include "logs.h"
#include "makelog.h"
#include "refstate.h"
#include "vectors.h"

static char warnings[2000];

static void note(void *arg, const char *text)
{
    (void)arg;
    strncat(warnings, text, sizeof warnings - strlen(warnings) - 2);
    strcat(warnings, "\n");
}

/** Make one of a log's bytes; NULL when refused, with the reason in @p err. */
static json_t *make(const uint8_t *bytes, size_t len, bool without_secureboot, int *ret, struct ql_err *err)
{
    struct mb_hasher *h = test_hasher();
    struct bytes b = {.p = (uint8_t *)(uintptr_t)bytes, .len = len};
    struct mb_log *log = parse_ok(&b);
    json_t *state = NULL;
    const int bank = mb_log_bank(log, "sha256");

    warnings[0] = '\0';
    if (bank >= 0)
        assert_int_equal(mb_log_check_digests(h, log, bank, NULL, NULL), QL_OK);
    *ret = mb_refstate_from_log(log, without_secureboot, note, NULL, &state, err);
    mb_log_free(log);
    mb_hasher_free(h);
    return state;
}

static void every_recorded_reference_state_is_made_again(void **state)
{
    DIR *d = opendir(QL_SHARED_DIR "/vectors/mboot/refstate");
    size_t same = 0, refused = 0;

    (void)state;
    if (!d) {
        print_message("no vectors at " QL_SHARED_DIR "/vectors/mboot\n");
        skip();
    }
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        char file[400];
        json_t *want, *got, *expect;
        struct bytes b;
        struct ql_err err = QL_ERR_INIT;
        int r;

        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "mboot/expect/%s", e->d_name);
        expect = load_vectors(file);
        if (strcmp(vector_text(json_object_get(expect, "expect"), "parse"), "ok") != 0) {
            json_decref(expect);
            continue;
        }
        snprintf(file, sizeof file, "mboot/refstate/%s", e->d_name);
        want = load_vectors(file);
        snprintf(file, sizeof file, "mboot/logs/%.*s.bin", (int)strcspn(e->d_name, "."), e->d_name);
        b = read_vector(file);
        got = make(b.p, b.len, true, &r, &err);
        if (!json_object_get(want, "kernels")) {
            /* Without kernels no node could ever pass: that is refused here. */
            assert_null(got);
            assert_non_null(strstr(err.text, "applications"));
            refused++;
        } else {
            if (r != QL_OK)
                fail_msg("%s: %s", file, err.text);
            if (!json_equal(got, want))
                fail_msg("%s: %s", file, json_dumps(got, JSON_SORT_KEYS));
            same++;
        }
        json_decref(got);
        json_decref(want);
        json_decref(expect);
        free(b.p);
    }
    closedir(d);
    assert_true(same >= 11 && refused >= 2);
    assert_int_equal(host_live, 0);
}

/** A boot with Secure Boot and what @p command names on PCR 8. */
static struct made_log boot(const char *command, size_t revoked, bool with_kernel)
{
    struct made_log l;
    struct made m;
    const char *measured = strchr(command, ' ') + 1;

    make_log(&l, &MADE_SHA256, 1);
    make_boot(&l, 40, revoked, 0);
    if (with_kernel) {
        m = make_image("\\vmlinuz");
        make_event_of(&l, 4, 0x80000003, &m, "kernel", 6);
    }
    make_event(&l, 8, 0xd, command, strlen(command) + 1, measured, strlen(measured));
    return l;
}

static json_t *make_log_state(struct made_log *l, bool without_secureboot, int *r, struct ql_err *err)
{
    json_t *state = make(l->bytes.p, l->bytes.len, without_secureboot, r, err);

    make_done(&l->bytes);
    return state;
}

static void refstate_refuses_a_boot_that_is_none_of_shim_and_grub(void **state)
{
    struct made_log l = boot("grub_cmd: x", 1, false);
    struct ql_err err = QL_ERR_INIT;
    int r;

    (void)state;
    assert_null(make_log_state(&l, false, &r, &err));
    assert_int_equal(r, QL_ERANGE);
    assert_non_null(strstr(err.text, "loaded 2 applications"));
}

static void refstate_refuses_a_log_that_was_altered(void **state)
{
    struct made_log l = boot("grub_cmd: x", 1, true);
    struct ql_err err = QL_ERR_INIT;
    int r;

    (void)state;
    make_event(&l, 7, 4, "\0\0\0", 4, "other", 5);
    assert_null(make_log_state(&l, false, &r, &err));
    assert_int_equal(r, QL_ECRYPTO);
    assert_non_null(strstr(err.text, "is not that of the data"));
}

static void refstate_wants_a_word_for_a_boot_without_secure_boot(void **state)
{
    struct made_log l;
    struct made m;
    struct ql_err err = QL_ERR_INIT;
    json_t *made;
    int r;

    (void)state;
    for (int with = 0; with < 2; with++) {
        make_log(&l, &MADE_SHA256, 1);
        for (int i = 0; i < 2; i++) {
            m = make_image("\\x.efi");
            make_event_of(&l, 4, 0x80000003, &m, "image", 5);
        }
        made = make_log_state(&l, with, &r, &err);
        assert_int_equal(r, with ? QL_OK : QL_ERANGE);
        assert_non_null(strstr(warnings, "does not say whether Secure Boot is on"));
        if (with)
            assert_true(json_is_false(json_object_get(made, "has_secureboot")));
        else
            assert_non_null(strstr(err.text, "Secure Boot is off"));
        json_decref(made);
    }
    l = boot("grub_cmd: x", 1, true);
    made = make_log_state(&l, true, &r, &err);
    assert_true(json_is_true(json_object_get(made, "has_secureboot")));
    assert_non_null(strstr(warnings, "asks for it all the same"));
    json_decref(made);
}

static void refstate_escapes_the_command_line(void **state)
{
    struct made_log l;
    struct made m;
    struct ql_err err = QL_ERR_INIT;
    const json_t *kernel;
    json_t *made;
    int r;

    (void)state;
    make_log(&l, &MADE_SHA256, 1);
    make_event(&l, 8, 0xd, "kernel_cmdline: /v-6.1 a=b#c \xc3\xa9", 32, "/v-6.1 a=b#c \xc3\xa9", 15);
    for (int i = 0; i < 2; i++) {
        m = make_image("\\x.efi");
        make_event_of(&l, 4, 0x80000003, &m, "image", 5);
    }
    made = make_log_state(&l, true, &r, &err);
    if (r != QL_OK)
        fail_msg("%s", err.text);
    kernel = json_array_get(json_object_get(made, "kernels"), 0);
    assert_string_equal(json_string_value(json_object_get(kernel, "kernel_cmdline")),
                        "/v\\-6\\.1\\ a=b\\#c\\ \xc3\xa9");
    json_decref(made);
}

static void refstates_of_several_nodes_become_one_that_accepts_each(void **state)
{
    struct made_log l = boot("kernel_cmdline: /vmlinuz one", 3, true);
    struct ql_err err = QL_ERR_INIT;
    json_t *one, *two, *off;
    int r;

    (void)state;
    one = make_log_state(&l, false, &r, &err);
    l = boot("kernel_cmdline: /vmlinuz one", 2, true);
    two = make_log_state(&l, false, &r, &err);
    assert_int_equal(json_array_size(json_object_get(one, "dbx")), 3);
    assert_int_equal(mb_refstate_merge(&test_host, one, two, &err), QL_OK);
    assert_int_equal(json_array_size(json_object_get(one, "dbx")), 2); /* what both have revoked */
    assert_int_equal(json_array_size(json_object_get(one, "kernels")), 1);
    assert_int_equal(json_array_size(json_object_get(one, "pk")), 1);
    json_object_set_new(json_array_get(json_object_get(two, "kernels"), 0), "kernel_cmdline",
                        json_string("other"));
    assert_int_equal(mb_refstate_merge(&test_host, one, two, &err), QL_OK);
    assert_int_equal(json_array_size(json_object_get(one, "kernels")), 2);
    off = json_pack("{s:b}", "has_secureboot", 0);
    assert_int_equal(mb_refstate_merge(&test_host, one, off, &err), QL_ECONFLICT);
    json_decref(one);
    json_decref(two);
    json_decref(off);
    assert_int_equal(host_live, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_reference_state_is_made_again),
        cmocka_unit_test(refstate_refuses_a_boot_that_is_none_of_shim_and_grub),
        cmocka_unit_test(refstate_refuses_a_log_that_was_altered),
        cmocka_unit_test(refstate_wants_a_word_for_a_boot_without_secure_boot),
        cmocka_unit_test(refstate_escapes_the_command_line),
        cmocka_unit_test(refstates_of_several_nodes_become_one_that_accepts_each),
    };

    return cmocka_run_group_tests_name("reference states", tests, NULL, NULL);
}
