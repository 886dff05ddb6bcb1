/* SPDX-License-Identifier: Apache-2.0 */
#include "logs.h"
#include "makelog.h"

/** Status of one event with this payload whose digest is of @p measured. */
static enum mb_status status_of(uint32_t pcr, uint32_t type, const void *payload, size_t len,
                                const void *measured, size_t measured_len)
{
    struct mb_hasher *h = test_hasher();
    struct made_log l;
    struct mb_log *log = NULL;
    struct mb_check found;
    struct ql_err err = QL_ERR_INIT;
    enum mb_status status;

    make_log(&l, (const struct made_bank[]){MADE_SHA1, MADE_SHA256}, 2);
    make_event(&l, pcr, type, payload, len, measured, measured_len);
    if (mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, &err) != QL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(mb_log_check_digests(h, log, 1, &found, NULL), QL_OK);
    status = (enum mb_status)log->events[1].status[1];
    assert_int_equal(log->events[1].status[0], MB_UNVERIFIED); /* nobody asked about this bank */
    assert_int_equal(found.verified, status == MB_VERIFIED);
    assert_int_equal(found.mismatch, status == MB_MISMATCH);
    if (status == MB_MISMATCH)
        assert_int_equal(found.first, 1);
    mb_log_free(log);
    make_done(&l.bytes);
    mb_hasher_free(h);
    return status;
}

static void digests_that_must_cover_the_payload_do_or_mismatch(void **state)
{
    struct made variable = make_variable(MAKE_GLOBAL, "SecureBoot", "\1", 1), table = make_gpt(1);
    const struct {
        uint32_t type;
        const void *payload;
        size_t len;
    } rows[] = {{0x4, "\0\0\0", 4},
                {0x5, "action", 6},
                {0x8, "v\0", 2},
                {0x80000007, "Exit Boot Services Invocation", 29},
                {0x80000001, variable.p, variable.len},
                {0x80000006, table.p, table.len}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(status_of(7, rows[i].type, rows[i].payload, rows[i].len, NULL, 0), MB_VERIFIED);
        assert_int_equal(status_of(7, rows[i].type, rows[i].payload, rows[i].len, "other", 5), MB_MISMATCH);
    }
    make_done(&variable);
    make_done(&table);
}

static void boot_variables_are_measured_whole_or_by_their_data(void **state)
{
    static const uint32_t types[] = {0x80000002, 0x8000000c};
    struct made m = make_variable(MAKE_GLOBAL, "BootOrder", "\1\0", 2);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(status_of(1, types[i], m.p, m.len, NULL, 0), MB_VERIFIED);
        assert_int_equal(status_of(1, types[i], m.p, m.len, "\1\0", 2), MB_VERIFIED);
        assert_int_equal(status_of(1, types[i], m.p, m.len, "\1", 1), MB_MISMATCH);
    }
    make_done(&m);
}

static void commands_of_grub_are_measured_without_label(void **state)
{
    static const char command[] = "grub_cmd: set x", old[] = "kernel_cmdline /vmlinuz ro";

    (void)state;
    assert_int_equal(status_of(8, 0xd, command, sizeof command, "set x", 5), MB_VERIFIED);
    assert_int_equal(status_of(8, 0xd, command, sizeof command, "set x", 6), MB_VERIFIED);
    assert_int_equal(status_of(8, 0xd, command, sizeof command, "set y", 5), MB_MISMATCH);
    assert_int_equal(status_of(8, 0xd, command, sizeof command, command, sizeof command), MB_MISMATCH);
    assert_int_equal(status_of(8, 0xd, old, sizeof old, "/vmlinuz ro", 11), MB_VERIFIED);
    assert_int_equal(status_of(8, 0xd, command, sizeof command - 1, "set ", 4),
                     MB_MISMATCH); /* only NUL may be left out */
    /* No label: nothing says what is measured. */
    assert_int_equal(status_of(8, 0xd, "9lives: x", 9, "x", 1), MB_UNVERIFIED);
    assert_int_equal(status_of(8, 0xd, ": x", 3, "x", 1), MB_UNVERIFIED);
    assert_int_equal(status_of(8, 0xd, "label:x", 7, "x", 1), MB_UNVERIFIED);
    /* The label alone: the empty text is what follows. */
    assert_int_equal(status_of(8, 0xd, "label: ", 7, "x", 1), MB_MISMATCH);
    /* Elsewhere a label has no meaning. */
    assert_int_equal(status_of(9, 0xd, command, sizeof command, "set x", 5), MB_UNVERIFIED);
}

static void texts_of_boot_loaders_may_lack_or_have_a_last_nul(void **state)
{
    (void)state;
    assert_int_equal(status_of(12, 0xd, "r\0o\0\0\0", 6, NULL, 0), MB_VERIFIED);
    assert_int_equal(status_of(12, 0xd, "r\0o\0\0\0", 6, "r\0o\0", 4), MB_VERIFIED);
    assert_int_equal(status_of(8, 0xd, "r\0o", 3, "r\0o\0", 4), MB_VERIFIED);
    assert_int_equal(status_of(12, 0xd, "r\0o\0", 4, "r\0", 2), MB_UNVERIFIED);
    assert_int_equal(status_of(9, 0xd, "/vmlinuz", 9, "a kernel", 8), MB_UNVERIFIED);
}

static void other_events_are_verified_when_their_payload_was_measured(void **state)
{
    struct made m = make_variable(MAKE_SECURITY, "db", MAKE_OWNER "x", 17), image = make_image("\\x.efi");

    (void)state;
    assert_int_equal(status_of(7, 0x800000e0, m.p, m.len, NULL, 0), MB_VERIFIED);
    assert_int_equal(status_of(7, 0x800000e0, m.p, m.len, "x", 1), MB_UNVERIFIED);
    assert_int_equal(status_of(4, 0x80000003, image.p, image.len, "image", 5), MB_UNVERIFIED);
    assert_int_equal(status_of(1, 0x9, "microcode", 9, NULL, 0), MB_VERIFIED);
    assert_int_equal(status_of(0, 0x3, "note", 4, NULL, 0), MB_UNVERIFIED);
    make_done(&m);
    make_done(&image);
}

static void checks_want_a_bank_that_is_there_and_known(void **state)
{
    static const struct made_bank banks[] = {{0x7777, 5, NULL}, {0x000b, 32, "SHA256"}};
    struct mb_hasher *h = test_hasher();
    struct made_log l;
    struct mb_log *log = NULL;

    (void)state;
    make_log(&l, banks, 2);
    make_event(&l, 0, 4, "\0\0\0", 4, NULL, 0);
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    assert_int_equal(mb_log_check_digests(h, log, -1, NULL, NULL), QL_ERANGE);
    assert_int_equal(mb_log_check_digests(h, log, 0, NULL, NULL), QL_ERANGE);
    assert_int_equal(mb_log_check_digests(h, log, 1, NULL, NULL), QL_OK);
    assert_int_equal(mb_log_check_digests(h, log, 2, NULL, NULL), QL_ERANGE);
    mb_log_free(log);
    make_done(&l.bytes);
    mb_hasher_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_that_must_cover_the_payload_do_or_mismatch),
        cmocka_unit_test(boot_variables_are_measured_whole_or_by_their_data),
        cmocka_unit_test(commands_of_grub_are_measured_without_label),
        cmocka_unit_test(texts_of_boot_loaders_may_lack_or_have_a_last_nul),
        cmocka_unit_test(other_events_are_verified_when_their_payload_was_measured),
        cmocka_unit_test(checks_want_a_bank_that_is_there_and_known),
    };

    return cmocka_run_group_tests_name("digest check", tests, NULL, NULL);
}
