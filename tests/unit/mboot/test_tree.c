/* SPDX-License-Identifier: Apache-2.0 */
#include "logs.h"
#include "makelog.h"
#include "tree.h"

/** A log of one event behind the header, and its object. */
struct one {
    struct made_log made;
    struct mb_log *log;
    json_t *event;
};

static struct one one_event(uint32_t pcr, uint32_t type, const void *payload, size_t len)
{
    static const struct mb_tree_options all = {.bank = MB_ALL_BANKS};
    struct one o = {0};
    struct ql_err err = QL_ERR_INIT;

    make_log(&o.made, &MADE_SHA256, 1);
    make_event(&o.made, pcr, type, payload, len, NULL, 0);
    if (mb_log_parse(&test_host, o.made.bytes.p, o.made.bytes.len, &o.log, &err) != QL_OK)
        fail_msg("%s", err.text);
    o.event = mb_event_json(o.log, 1, &all);
    assert_non_null(o.event);
    return o;
}

static void one_done(struct one *o)
{
    json_decref(o->event);
    mb_log_free(o->log);
    make_done(&o->made.bytes);
}

/** Expect `Event` to be this JSON text. */
static void shows(uint32_t pcr, uint32_t type, const void *payload, size_t len, const char *want)
{
    struct one o = one_event(pcr, type, payload, len);
    json_t *value = json_loads(want, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_t *alone = mb_payload_json(o.log, &o.log->events[1]);

    assert_non_null(value);
    if (!json_equal(json_object_get(o.event, "Event"), value))
        fail_msg("got %s, wanted %s", json_dumps(json_object_get(o.event, "Event"), JSON_ENCODE_ANY), want);
    assert_true(json_equal(alone, value));
    json_decref(alone);
    json_decref(value);
    one_done(&o);
}

/** The same for a variable's value. */
static void shows_value(uint32_t type, const char *guid, const char *name, const void *data, size_t len,
                        const char *want)
{
    struct made m = make_variable(guid, name, data, len);
    struct one o = one_event(7, type, m.p, m.len);
    json_t *value = json_loads(want, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    const json_t *got = json_object_get(json_object_get(o.event, "Event"), "VariableData");

    if (!json_equal(got, value))
        fail_msg("%s: got %s, wanted %s", name, got ? json_dumps(got, JSON_ENCODE_ANY) : "nothing", want);
    json_decref(value);
    one_done(&o);
    make_done(&m);
}

static void tree_shows_payloads_without_form_as_hex_of_their_first_1024_bytes(void **state)
{
    uint8_t long_one[1030];
    struct one o;

    (void)state;
    shows(0, 4, "\0\0\0", 4, "\"00000000\"");
    shows(0, 0xf00d, "\xff\xfe", 2, "\"fffe\"");
    shows(9, 6, "\xec\x22\x3b\x8f\1\0\0\0x", 9, "\"ec223b8f0100000078\"");
    memset(long_one, 0xab, sizeof long_one);
    o = one_event(1, 0x80000009, long_one, sizeof long_one);
    assert_int_equal(json_string_length(json_object_get(o.event, "Event")), 2048);
    assert_int_equal(json_integer_value(json_object_get(o.event, "EventSize")), 1030);
    one_done(&o);
}

static void tree_leaves_out_what_an_empty_payload_does_not_have(void **state)
{
    struct one o = one_event(1, 9, "", 0);

    (void)state;
    assert_null(json_object_get(o.event, "Event"));
    assert_null(mb_payload_json(o.log, &o.log->events[1]));
    assert_null(mb_payload_json(o.log, &o.log->events[0]));
    assert_string_equal(json_string_value(json_object_get(o.event, "EventType")), "EV_CPU_MICROCODE");
    one_done(&o);
}

static void tree_keeps_nul_inside_texts_and_drops_one_at_the_end(void **state)
{
    (void)state;
    shows(8, 0xd, "grub_cmd: x", 12, "{\"String\": \"grub_cmd: x\"}");
    shows(12, 0xd, "r\0o\0\0\0", 6, "{\"String\": \"r\\u0000o\\u0000\\u0000\"}");
    shows(5, 0x80000007, "two\nlines", 9, "\"two\\nlines\"");
    shows(0, 1, "ACPI DATA", 9, "\"ACPI DATA\"");
}

static void tree_replaces_each_byte_that_is_no_utf8(void **state)
{
    (void)state;
    shows(5, 0x80000007, "a\xff\xc3\xa9\xc3", 5, "\"a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\"");
    shows(5, 0x80000007, "\xc0\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    shows(5, 0x80000007, "\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    shows(5, 0x80000007, "\xf4\x90\x80\x80", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    shows(5, 0x80000007, "\xe0\x80\xaf", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    shows(5, 0x80000007, "\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"");
}

static void tree_replaces_lone_surrogates_of_a_name(void **state)
{
    static const uint8_t units[] = {0x61, 0,    0x00, 0xd8, 0x62, 0, 0x3d, 0xd8,
                                    0x00, 0xde, 0x00, 0xdc, 0,    0, 0x7a, 0};
    struct made m = {0};
    struct one o;

    (void)state;
    make_bytes(&m, MAKE_GLOBAL, 16);
    make_number(&m, sizeof units / 2, 8);
    make_number(&m, 0, 8);
    make_bytes(&m, units, sizeof units);
    o = one_event(7, 0x80000001, m.p, m.len);
    assert_string_equal(json_string_value(json_object_get(json_object_get(o.event, "Event"), "UnicodeName")),
                        "a\xef\xbf\xbd"
                        "b\xf0\x9f\x98\x80\xef\xbf\xbd");
    assert_null(json_object_get(json_object_get(o.event, "Event"), "VariableData"));
    one_done(&o);
    make_done(&m);
}

static void tree_shows_variables_by_type_and_name(void **state)
{
    static const char owner[] = "04030201-0605-0807-090a-0b0c0d0e0f10";
    char want[512];

    (void)state;
    shows_value(0x80000001, MAKE_GLOBAL, "SecureBoot", "\1", 1, "{\"Enabled\": \"Yes\"}");
    shows_value(0x80000001, MAKE_GLOBAL, "SecureBoot", "\0", 1, "{\"Enabled\": \"No\"}");
    shows_value(0x80000001, MAKE_GLOBAL, "SecureBoot", "", 0, "{\"Enabled\": \"No\"}");
    shows_value(0x80000001, MAKE_GLOBAL, "PK", "", 0, "null");
    shows_value(0x80000001, MAKE_GLOBAL, "Other", "\1\2", 2, "\"0102\"");
    shows_value(0x800000e0, MAKE_GLOBAL, "SecureBoot", "\1", 1, "\"01\"");
    shows_value(0x800000e0, MAKE_GLOBAL, "MokListTrusted", "\1", 1, "{\"Enabled\": \"Yes\"}");
    shows_value(0x800000e0, MAKE_GLOBAL, "SbatLevel", "sbat,1\n", 7, "{\"String\": \"sbat,1\\n\"}");
    snprintf(want, sizeof want, "[{\"SignatureOwner\": \"%s\", \"SignatureData\": \"ab\"}]", owner);
    shows_value(0x800000e0, MAKE_SECURITY, "vendor_db", MAKE_OWNER "\xab", 17, want);
    shows_value(0x800000e0, MAKE_SECURITY, "Shim", MAKE_OWNER "\xab", 17, want);
    shows_value(0x80000002, MAKE_GLOBAL, "BootOrder", "\1\0\x2a\0", 4, "[\"Boot0001\", \"Boot002a\"]");
    shows_value(0x80000002, MAKE_GLOBAL, "BootOrder", "", 0, "null");
    shows_value(0x80000002, MAKE_GLOBAL, "BootNext", "\1\0", 2, "\"0100\"");
    shows_value(0x8000000c, MAKE_GLOBAL, "Boot00fF", "\0\0\0\0\4\0h\0i\0\0\0\x7f\xff\4\0", 16,
                "{\"Enabled\": \"No\", \"FilePathListLength\": 4, \"Description\": \"hi\", "
                "\"DevicePath\": \"7fff0400\"}");
}

static void tree_shows_a_signature_list_without_entries_as_null(void **state)
{
    struct made list = make_siglist(MAKE_SHA256, 0, 32);

    (void)state;
    shows_value(0x80000001, MAKE_SECURITY, "db", list.p, list.len,
                "[{\"SignatureType\": \"c1c41626-504c-4092-aca9-41f936934328\", \"SignatureListSize\": 28, "
                "\"SignatureHeaderSize\": 0, \"SignatureSize\": 48, \"Keys\": null}]");
    make_done(&list);
}

static void tree_keeps_owners_apart_inside_a_list(void **state)
{
    struct made list = make_siglist(MAKE_SHA256, 3, 1);

    (void)state;
    list.p[28 + 17] = 0xee; /* the second entry's owner begins here */
    shows_value(
        0x80000001, MAKE_SECURITY, "db", list.p, list.len,
        "[{\"SignatureType\": \"c1c41626-504c-4092-aca9-41f936934328\", \"SignatureListSize\": 79, "
        "\"SignatureHeaderSize\": 0, \"SignatureSize\": 17, \"Keys\": ["
        "{\"SignatureOwner\": \"04030201-0605-0807-090a-0b0c0d0e0f10\", \"SignatureData\": \"00\"}, "
        "{\"SignatureOwner\": \"040302ee-0605-0807-090a-0b0c0d0e0f10\", \"SignatureData\": \"01\"}, "
        "{\"SignatureOwner\": \"04030201-0605-0807-090a-0b0c0d0e0f10\", \"SignatureData\": \"02\"}]}]");
    make_done(&list);
}

static void tree_shows_numbers_of_2_to_the_63_and_more_as_strings(void **state)
{
    (void)state;
    shows(0, 0x80000008, "\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0\0\0\0\0\x80", 16,
          "{\"BlobBase\": 9223372036854775807, \"BlobLength\": \"9223372036854775808\"}");
}

static void tree_of_one_bank_holds_that_bank_alone(void **state)
{
    struct mb_hasher *h = test_hasher();
    struct made_log l;
    struct mb_log *log = NULL;
    struct mb_tree_options options;
    json_t *tree = NULL, *event;
    size_t i;

    (void)state;
    make_log(&l, (const struct made_bank[]){MADE_SHA1, MADE_SHA256, MADE_SHA384}, 3);
    make_boot(&l, 40, 1, 1);
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    options = (struct mb_tree_options){.bank = mb_log_bank(log, "sha256"), .has_verified = true};
    assert_int_equal(mb_log_check_digests(h, log, options.bank, NULL, NULL), QL_OK);
    assert_int_equal(mb_tree_json(h, log, &options, &tree, NULL), QL_OK);
    assert_int_equal(json_object_size(json_object_get(tree, "pcrs")), 1);
    assert_non_null(json_object_get(json_object_get(tree, "pcrs"), "sha256"));
    assert_int_equal(json_object_size(json_object_get(tree, "boot_aggregates")), 1);
    json_array_foreach(json_object_get(tree, "events"), i, event) {
        const json_t *digests = json_object_get(event, "Digests");
        json_t *alone = mb_event_json(log, (uint32_t)i, &options);

        assert_true(json_equal(alone, event));
        json_decref(alone);
        if (i == 0)
            continue;
        assert_int_equal(json_array_size(digests), 1);
        assert_int_equal(json_integer_value(json_object_get(event, "DigestCount")), 1);
        assert_string_equal(json_string_value(json_object_get(json_array_get(digests, 0), "AlgorithmId")),
                            "sha256");
        assert_true(json_is_boolean(json_object_get(event, "verified")));
        assert_int_equal(json_is_true(json_object_get(event, "verified")),
                         log->events[i].status[options.bank] == MB_VERIFIED);
    }
    assert_null(mb_event_json(log, log->event_count, &options));
    json_decref(tree);
    mb_log_free(log);
    make_done(&l.bytes);
    mb_hasher_free(h);
    assert_int_equal(host_live, 0);
}

static void tree_has_a_limit_of_text(void **state)
{
    static const struct mb_tree_options all = {.bank = MB_ALL_BANKS};
    struct mb_hasher *h = test_hasher();
    struct made zeros = {.p = calloc(1, MB_PAYLOAD_MAX), .len = MB_PAYLOAD_MAX};
    struct made_log l;
    struct mb_log *log = NULL;
    struct ql_err err = QL_ERR_INIT;
    json_t *tree = NULL;

    (void)state;
    make_log(&l, &MADE_SHA256, 1);
    for (int i = 0; i < 3; i++) /* six characters of text for each NUL */
        make_event(&l, 9, 0xd, zeros.p, zeros.len, "x", 1);
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    assert_int_equal(mb_tree_json(h, log, &all, &tree, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "16777216"));
    assert_null(tree);
    mb_log_free(log);
    make_done(&l.bytes);
    make_done(&zeros);
    mb_hasher_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_shows_payloads_without_form_as_hex_of_their_first_1024_bytes),
        cmocka_unit_test(tree_leaves_out_what_an_empty_payload_does_not_have),
        cmocka_unit_test(tree_keeps_nul_inside_texts_and_drops_one_at_the_end),
        cmocka_unit_test(tree_replaces_each_byte_that_is_no_utf8),
        cmocka_unit_test(tree_replaces_lone_surrogates_of_a_name),
        cmocka_unit_test(tree_shows_variables_by_type_and_name),
        cmocka_unit_test(tree_shows_a_signature_list_without_entries_as_null),
        cmocka_unit_test(tree_keeps_owners_apart_inside_a_list),
        cmocka_unit_test(tree_shows_numbers_of_2_to_the_63_and_more_as_strings),
        cmocka_unit_test(tree_of_one_bank_holds_that_bank_alone),
        cmocka_unit_test(tree_has_a_limit_of_text),
    };

    return cmocka_run_group_tests_name("event tree", tests, NULL, NULL);
}
