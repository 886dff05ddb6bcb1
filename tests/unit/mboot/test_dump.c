/* SPDX-License-Identifier: Apache-2.0 */
#include "dump.h"
#include "logs.h"
#include "makelog.h"

static int sink_write(struct ql_text_sink *s, const void *data, size_t len)
{
    make_bytes(s->ctx, data, len);
    return QL_OK;
}

/** The text of a made log, NUL-terminated; frees the log. */
static struct made dump(struct made_log *l)
{
    struct mb_hasher *h = test_hasher();
    struct mb_log *log = NULL;
    struct made out = {0};
    struct ql_text_sink sink = {.size = sizeof sink, .ctx = &out, .write = sink_write};
    struct ql_err err = QL_ERR_INIT;

    if (mb_log_parse(&test_host, l->bytes.p, l->bytes.len, &log, &err) != QL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(mb_dump(h, log, &sink, &err), QL_OK);
    make_number(&out, 0, 1);
    mb_log_free(log);
    mb_hasher_free(h);
    make_done(&l->bytes);
    assert_int_equal(host_live, 0);
    return out;
}

/** Expect @p want behind "EventSize: N" of the only event with this payload. */
static void shows(uint32_t type, const void *payload, size_t len, const char *want)
{
    struct made_log l;
    struct made out;
    const char *at, *end;
    char size[32];

    make_log(&l, &MADE_SHA256, 1);
    make_event(&l, 5, type, payload, len, NULL, 0);
    out = dump(&l);
    snprintf(size, sizeof size, "  EventSize: %zu\n", len);
    at = strstr((const char *)out.p, size);
    assert_non_null(at);
    at += strlen(size);
    end = strstr(at, "pcrs:\n");
    assert_non_null(end);
    if ((size_t)(end - at) != strlen(want) || strncmp(at, want, strlen(want)) != 0)
        fail_msg("got\n%.*swanted\n%s", (int)(end - at), at, want);
    make_done(&out);
}

static void dump_prints_what_tpm2_eventlog_prints(void **state)
{
    static const char want[] =
        "---\n"
        "version: 2\n"
        "events:\n"
        "- EventNum: 0\n"
        "  PCRIndex: 0\n"
        "  EventType: EV_NO_ACTION\n"
        "  Digest: \"0000000000000000000000000000000000000000\"\n"
        "  EventSize: 33\n"
        "  SpecID:\n"
        "  - Signature: Spec ID Event03\n"
        "    platformClass: 0\n"
        "    specVersionMinor: 0\n"
        "    specVersionMajor: 2\n"
        "    specErrata: 0\n"
        "    uintnSize: 2\n"
        "    numberOfAlgorithms: 1\n"
        "    Algorithms:\n"
        "    - Algorithm[0]:\n"
        "      algorithmId: sha256\n"
        "      digestSize: 32\n"
        "    vendorInfoSize: 0\n"
        "- EventNum: 1\n"
        "  PCRIndex: 7\n"
        "  EventType: EV_SEPARATOR\n"
        "  DigestCount: 1\n"
        "  Digests:\n"
        "  - AlgorithmId: sha256\n"
        "    Digest: \"df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119\"\n"
        "  EventSize: 4\n"
        "  Event: \"00000000\"\n"
        "pcrs:\n"
        "  sha256:\n"
        "    7  : 0x3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969\n";
    struct made_log l;
    struct made out;

    (void)state;
    make_log(&l, &MADE_SHA256, 1);
    make_event(&l, 7, 4, "\0\0\0", 4, NULL, 0);
    out = dump(&l);
    assert_string_equal((const char *)out.p, want);
    make_done(&out);
}

static void dump_writes_texts_so_that_they_read_back(void **state)
{
    (void)state;
    shows(0xd, "grub_cmd: x", 12, "  Event:\n    String: \"grub_cmd: x\\0\"\n");
    shows(0xd, "one\n two\n", 9, "  Event:\n    String: \"one\\n\\\n      \\x20two\\n\"\n");
    shows(0xd, "r\0o\0", 4, "  Event:\n    String: \"r\\0o\\0\"\n");
    shows(0xd, "a\"b\\c\x1b\x01", 7, "  Event:\n    String: \"a\\\"b\\\\c\\e\\x01\"\n");
    shows(0x80000007, "Exit Boot Services Invocation", 29,
          "  Event: |-\n    Exit Boot Services Invocation\n");
    shows(0x80000007, "x\n- EventNum: 7", 15, "  Event: \"x\\n- EventNum: 7\"\n");
    shows(0x80000007, " x", 2, "  Event: \" x\"\n");
}

static void dump_quotes_names_that_are_more_than_a_word(void **state)
{
    static const struct {
        const char *name, *shown;
    } rows[] = {{"SecureBoot1", "SecureBoot1"}, {"true", "\"true\""}, {"12", "\"12\""},
                {"a: b", "\"a: b\""},           {"", "\"\""},         {"x\ny", "\"x\\ny\""}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct made m = make_variable(MAKE_GLOBAL, rows[i].name, "", 0);
        char want[256];

        snprintf(
            want, sizeof want,
            "  Event:\n    VariableName: 8be4df61-93ca-11d2-aa0d-00e098032b8c\n    UnicodeNameLength: %zu\n"
            "    VariableDataLength: 0\n    UnicodeName: %s\n",
            strlen(rows[i].name), rows[i].shown);
        shows(0x80000001, m.p, m.len, want);
        make_done(&m);
    }
}

static void dump_prints_lists_numbers_and_nothing(void **state)
{
    struct made list = make_siglist(MAKE_SHA256, 1, 2),
                m = make_variable(MAKE_SECURITY, "db", list.p, list.len);

    (void)state;
    shows(0x80000001, m.p, m.len,
          "  Event:\n    VariableName: d719b2cb-3d3a-4596-a3bc-dad00e67656f\n    UnicodeNameLength: 2\n"
          "    VariableDataLength: 46\n    UnicodeName: db\n    VariableData:\n"
          "    - SignatureType: c1c41626-504c-4092-aca9-41f936934328\n      SignatureListSize: 46\n"
          "      SignatureHeaderSize: 0\n      SignatureSize: 18\n      Keys:\n"
          "      - SignatureOwner: 04030201-0605-0807-090a-0b0c0d0e0f10\n        SignatureData: \"0001\"\n");
    make_done(&list);
    make_done(&m);
    m = make_variable(MAKE_SECURITY, "BootOrder", "\1\0\2\0", 4);
    shows(0x80000002, m.p, m.len,
          "  Event:\n    VariableName: d719b2cb-3d3a-4596-a3bc-dad00e67656f\n    UnicodeNameLength: 9\n"
          "    VariableDataLength: 4\n    UnicodeName: BootOrder\n    VariableData:\n    - Boot0001\n"
          "    - Boot0002\n");
    make_done(&m);
    shows(0x80000008, "\0\0\x82\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16,
          "  Event:\n    BlobBase: 0x820000\n    BlobLength: 0xffffffffffffffff\n");
    shows(0x9, "", 0, "");
    m = make_image("\\it's.efi");
    shows(0x80000003, m.p, m.len,
          "  Event:\n    ImageLocationInMemory: 0x7a000000\n    ImageLengthInMemory: 1048576\n"
          "    ImageLinkTimeAddress: 0x0\n    LengthOfDevicePath: 40\n"
          "    DevicePath: 'PciRoot(0x0)/File(\\it''s.efi)'\n");
    make_done(&m);
}

static int sink_full(struct ql_text_sink *s, const void *data, size_t len)
{
    size_t *left = s->ctx;

    (void)data;
    if (len > *left)
        return QL_EFULL;
    *left -= len;
    return QL_OK;
}

static void dump_stops_where_the_sink_refuses(void **state)
{
    struct mb_hasher *h = test_hasher();
    struct made_log l;
    struct mb_log *log = NULL;

    (void)state;
    make_log(&l, &MADE_SHA256, 1);
    make_boot(&l, 40, 1, 1);
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    for (size_t room = 0; room < 4000; room += 500) {
        size_t left = room;
        struct ql_text_sink sink = {.size = sizeof sink, .ctx = &left, .write = sink_full};

        assert_int_equal(mb_dump(h, log, &sink, NULL), QL_EFULL);
    }
    mb_log_free(log);
    make_done(&l.bytes);
    mb_hasher_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dump_prints_what_tpm2_eventlog_prints),
        cmocka_unit_test(dump_writes_texts_so_that_they_read_back),
        cmocka_unit_test(dump_quotes_names_that_are_more_than_a_word),
        cmocka_unit_test(dump_prints_lists_numbers_and_nothing),
        cmocka_unit_test(dump_stops_where_the_sink_refuses),
    };

    return cmocka_run_group_tests_name("event log as text", tests, NULL, NULL);
}
