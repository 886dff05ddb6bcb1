/* SPDX-License-Identifier: Apache-2.0 */
#include "describe.h"
#include "handoff.h"
#include "logs.h"
#include "makelog.h"
#include "tag.h"

/** Words of one event; valid until the next call. */
static const char *words_of(uint32_t pcr, uint32_t type, const void *payload, size_t len)
{
    static char out[MB_DESCRIPTION_MAX + 1];
    struct made_log l;
    struct mb_log *log = NULL;
    struct mb_text t;
    struct ql_err err = QL_ERR_INIT;

    make_log(&l, &MADE_SHA256, 1);
    make_event(&l, pcr, type, payload, len, NULL, 0);
    if (mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, &err) != QL_OK)
        fail_msg("%s", err.text);
    mb_text_init(&t);
    mb_event_describe(log, &log->events[1], &t);
    assert_false(t.failed);
    assert_true(t.len > 0 && t.len <= MB_DESCRIPTION_MAX);
    memcpy(out, t.p, t.len);
    out[t.len] = '\0';
    assert_int_equal(strlen(out), t.len);
    mb_text_done(&t);
    mb_log_free(log);
    make_done(&l.bytes);
    return out;
}

static const char *words_of_made(uint32_t pcr, uint32_t type, struct made *m)
{
    const char *words = words_of(pcr, type, m->p, m->len);

    make_done(m);
    return words;
}

static void describe_names_variables_and_images(void **state)
{
    struct made m = make_variable(MAKE_GLOBAL, "SecureBoot", "\1", 1);

    (void)state;
    assert_string_equal(words_of_made(7, 0x80000001, &m), "PCR 7, variable SecureBoot: on");
    m = make_variable(MAKE_SECURITY, "db", MAKE_OWNER "x", 17);
    assert_string_equal(words_of_made(7, 0x800000e0, &m), "PCR 7, authority db of 17 bytes");
    m = make_variable(MAKE_GLOBAL, "SbatLevel", "sbat,1\nshim,2\n", 14);
    assert_string_equal(words_of_made(7, 0x800000e0, &m), "PCR 7, authority SbatLevel: \"sbat,1 shim,2 \"");
    m = make_image("\\EFI\\x.efi");
    assert_string_equal(words_of_made(4, 0x80000003, &m),
                        "PCR 4, application said to come from PciRoot(0x0)/File(\\EFI\\x.efi)");
}

static void describe_tells_what_boot_loaders_measure(void **state)
{
    (void)state;
    assert_string_equal(words_of(8, 0xd, "grub_cmd: set x", 16), "PCR 8, text \"grub_cmd: set x\"");
    assert_string_equal(words_of(9, 0xd, "/vmlinuz", 9), "PCR 9, file \"/vmlinuz\"");
    assert_string_equal(words_of(14, 0xd, "MokListX", 9), "PCR 14, shim's \"MokListX\"");
    assert_string_equal(words_of(12, 0xd, "r\0o\0\0\0", 6), "PCR 12, text \"ro\"");
    assert_string_equal(words_of(11, 0xd, ".\0l\0i\0n\0u\0x\0\0\0", 14),
                        "PCR 11, section of the unified kernel image \".linux\"");
    assert_string_equal(words_of(9, 6, "\xec\x22\x3b\x8f\x0d\0\0\0Linux initrd", 21),
                        "PCR 9, initrd, by the kernel's EFI stub \"Linux initrd\"");
    assert_string_equal(words_of(9, 6, "\1\2\3\4\0\0\0\0", 8), "PCR 9, tag 0x04030201");
    assert_string_equal(words_of(9, 6, "\1\2\3\4\1\0\0\0", 8), "PCR 9, a tagged event that is cut short");
}

static void describe_tells_what_firmware_measures(void **state)
{
    static const uint8_t one[] = "\1\0\0\0\0\0\0\0"
                                 "\x44\x15\xfd\xf2\x94\x97\x2c\x4a\x99\x2e\xe5\xbb\xcf\x20\xe3\x94"
                                 "\0\0\0\x7f\0\0\0\0";

    (void)state;
    assert_string_equal(words_of(1, 0x80000009, one, 32), "PCR 1, tables for the system: SMBIOS 3");
    assert_string_equal(words_of(1, 0x80000009, one, 31), "PCR 1, tables for the system, in no known form");
    assert_string_equal(words_of(1, 0x8000000b, "\4made\0\0\0\0\0\0\0", 13),
                        "PCR 1, tables for the system: \"made\"");
    assert_string_equal(words_of(0, 0x8, "1\0.\0002\0\0", 8), "PCR 0, firmware version \"1.2\"");
    assert_string_equal(words_of(0, 3, "StartupLocality\0\3", 17),
                        "PCR 0, the TPM was started from locality 3");
    assert_string_equal(words_of(7, 4, "\0\0\0", 4), "PCR 7, separator");
    assert_string_equal(words_of(7, 4, "\1\0\0", 4), "PCR 7, separator of a firmware that failed");
    assert_string_equal(words_of(4, 0x80000007, "Exit", 4), "PCR 4, action \"Exit\"");
    assert_string_equal(words_of(1, 0x9, "abc", 3), "PCR 1, EV_CPU_MICROCODE of 3 bytes");
}

static void describe_gives_one_short_line_without_controls(void **state)
{
    char text[1000];

    (void)state;
    assert_string_equal(words_of(5, 5, "\x1b[2J\n\xc2\x9b\xff", 8), "PCR 5, action \" [2J   \xef\xbf\xbd\"");
    memset(text, '\xc3', sizeof text);
    for (size_t i = 1; i < sizeof text; i += 2)
        text[i] = '\xa9';
    assert_non_null(strstr(words_of(5, 5, text, sizeof text), "\xc3\xa9\""));
    memset(text, 'x', sizeof text);
    {
        struct made m = make_image("\\");

        make_done(&m);
        text[600] = '\0';
        m = make_image(text);
        assert_non_null(strstr(words_of_made(4, 0x80000003, &m), "xxx…"));
    }
}

static void tag_and_tables_refuse_every_truncation(void **state)
{
    static const uint8_t tagged[] = "\1\2\3\4\3\0\0\0abc";
    static const uint8_t tables[] = "\2hi\1\0\0\0\0\0\0\0" MAKE_OWNER "\0\0\0\x7f\0\0\0\0";
    struct mb_tag tag;
    struct mb_handoff h;

    (void)state;
    for (size_t len = 0; len <= 11; len++)
        assert_int_equal(mb_tag_read(tagged, len, &tag), len == 11);
    assert_int_equal(tag.data_len, 3);
    for (size_t len = 0; len <= 36; len++)
        assert_int_equal(mb_handoff_read(true, tables, len, &h), len == 35);
    assert_int_equal(h.text_len, 2);
    assert_int_equal(h.count, 1);
}

static void every_event_of_every_recorded_log_has_words(void **state)
{
    struct bytes b = read_vector("vm/secureboot-ima-ng/bios.bin");
    struct mb_log *log = parse_ok(&b);

    (void)state;
    for (uint32_t i = 0; i < log->event_count; i++) {
        struct mb_text t;

        mb_text_init(&t);
        mb_event_describe(log, &log->events[i], &t);
        assert_true(t.len > 0 && t.len <= MB_DESCRIPTION_MAX);
        mb_text_done(&t);
    }
    mb_log_free(log);
    free(b.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describe_names_variables_and_images),
        cmocka_unit_test(describe_tells_what_boot_loaders_measure),
        cmocka_unit_test(describe_tells_what_firmware_measures),
        cmocka_unit_test(describe_gives_one_short_line_without_controls),
        cmocka_unit_test(tag_and_tables_refuse_every_truncation),
        cmocka_unit_test(every_event_of_every_recorded_log_has_words),
    };

    return cmocka_run_group_tests_name("events in words", tests, NULL, NULL);
}
