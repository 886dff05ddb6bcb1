/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/mman.h>

#include "logs.h"
#include "makelog.h"
#include "replay.h"
#include "tree.h"

static const struct mb_tree_options ALL = {.bank = MB_ALL_BANKS};

/** Parse a copy of exactly this size, so that a sanitizer sees a byte too many. */
static int parse_copy(const uint8_t *bytes, size_t len, struct ql_err *err)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    static struct mb_hasher *h; /* making one takes longer than all that follows */
    struct mb_log *log = NULL;
    json_t *tree = NULL;
    int r;

    assert_non_null(copy);
    if (!h) {
        h = test_hasher();
        host_live--;
    }
    if (len > 0)
        memcpy(copy, bytes, len);
    r = mb_log_parse(&test_host, copy, len, &log, err);
    if (r == QL_OK) {
        for (uint32_t bank = 0; bank < log->bank_count; bank++)
            if (log->banks[bank].is_known)
                assert_int_equal(mb_log_check_digests(h, log, (int)bank, NULL, NULL), QL_OK);
        assert_int_equal(mb_tree_json(h, log, &ALL, &tree, NULL), QL_OK);
        assert_int_equal(json_array_size(json_object_get(tree, "events")), log->event_count);
        json_decref(tree);
    } else {
        assert_null(log);
    }
    mb_log_free(log);
    free(copy);
    return r;
}

/** A boot of shim and GRUB in two banks, small. */
static struct made_log small_log(void)
{
    struct made_log l;

    make_log(&l, (const struct made_bank[]){MADE_SHA1, MADE_SHA256}, 2);
    make_boot(&l, 40, 2, 1);
    return l;
}

/** Expect a refusal whose text holds @p words. */
static void refuse(struct made_log *l, int code, const char *words)
{
    struct ql_err err = QL_ERR_INIT;

    if (parse_copy(l->bytes.p, l->bytes.len, &err) != code || !strstr(err.text, words))
        fail_msg("got %d \"%s\", wanted %d \"%s\"", err.code, err.text, code, words);
    make_done(&l->bytes);
    assert_int_equal(host_live, 0);
}

static void accept_log(struct made_log *l)
{
    struct ql_err err = QL_ERR_INIT;

    if (parse_copy(l->bytes.p, l->bytes.len, &err) != QL_OK)
        fail_msg("%s", err.text);
    make_done(&l->bytes);
    assert_int_equal(host_live, 0);
}

/** Every prefix is refused but those that end where an event ends, and so is a byte more. */
static void try_prefixes(const uint8_t *bytes, size_t len)
{
    struct mb_log *whole = NULL;
    uint32_t next = 1;

    assert_int_equal(mb_log_parse(&test_host, bytes, len, &whole, NULL), QL_OK);
    for (size_t cut = 0; cut < len; cut++) {
        const bool at_end = next < whole->event_count && cut == whole->events[next].at;
        uint8_t *copy = malloc(cut > 0 ? cut : 1);
        struct mb_log *log = NULL;
        int r;

        assert_non_null(copy);
        memcpy(copy, bytes, cut);
        r = mb_log_parse(&test_host, copy, cut, &log, NULL);
        if (r != (at_end ? QL_OK : QL_EPARSE))
            fail_msg("prefix of %zu bytes: %d", cut, r);
        if (at_end) {
            assert_int_equal(log->event_count, next);
            next++;
        }
        mb_log_free(log);
        free(copy);
    }
    mb_log_free(whole);
}

static void eventlog_refuses_every_truncation_of_a_made_log(void **state)
{
    struct made_log l = small_log();

    (void)state;
    try_prefixes(l.bytes.p, l.bytes.len);
    make_done(&l.bytes);
    assert_int_equal(host_live, 0);
}

static void eventlog_refuses_every_truncation_of_a_real_log(void **state)
{
    struct bytes b = read_vector("mboot/logs/keylime-mb_log.bin");

    (void)state;
    try_prefixes(b.p, b.len);
    free(b.p);
}

static void eventlog_refuses_one_byte_more(void **state)
{
    struct made_log l = small_log();

    (void)state;
    make_number(&l.bytes, 0, 1);
    refuse(&l, QL_EPARSE, "the log ends inside the event's head");
}

static void eventlog_survives_extreme_values_at_every_byte(void **state)
{
    static const size_t widths[] = {1, 2, 4, 8};
    struct made_log l;

    (void)state;
    make_log(&l, &MADE_SHA256, 1);
    make_boot(&l, 40, 1, 1);
    for (size_t w = 0; w < 4; w++)
        for (size_t at = 0; at + widths[w] <= l.bytes.len; at++) {
            static const uint64_t values[] = {0, 1, UINT64_MAX, UINT64_MAX - 1};
            uint8_t kept[8];

            /* Certificates: nothing there is a length. */
            if (w > 0 && l.bytes.p[at] == (uint8_t)(l.bytes.p[at + 1] - 1))
                continue;
            memcpy(kept, l.bytes.p + at, widths[w]);
            for (size_t v = 0; v < 4; v++) {
                struct mb_log *log = NULL;

                memcpy(l.bytes.p + at, &values[v], widths[w]);
                if (mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL) == QL_OK) {
                    const struct mb_event *last = &log->events[log->event_count - 1];

                    assert_ptr_equal(last->payload + last->payload_len, l.bytes.p + l.bytes.len);
                    mb_log_free(log);
                    if (widths[w] == 4)
                        (void)parse_copy(l.bytes.p, l.bytes.len, NULL);
                }
            }
            memcpy(l.bytes.p + at, kept, widths[w]);
        }
    make_done(&l.bytes);
    assert_int_equal(host_live, 0);
}

/** A log whose last event has this payload; the caller looks for the refusal. */
static struct made_log one_event(uint32_t pcr, uint32_t type, struct made *payload)
{
    struct made_log l;

    make_log(&l, &MADE_SHA256, 1);
    make_event_of(&l, pcr, type, payload, NULL, 0);
    return l;
}

/** Set @p len bytes of the last event's payload at @p at to each extreme that differs from what is there. */
static void try_length(struct made (*make)(void), uint32_t type, size_t at, size_t len, const char *words)
{
    static const uint64_t values[] = {0, 1, UINT64_MAX, UINT64_MAX - 1};

    for (size_t v = 0; v < 4; v++) {
        struct made payload = make();
        struct made_log l;

        if (memcmp(payload.p + at, &values[v], len) == 0) {
            make_done(&payload);
            continue;
        }
        memcpy(payload.p + at, &values[v], len);
        l = one_event(7, type, &payload);
        refuse(&l, QL_EPARSE, words);
    }
}

static struct made db_payload(void)
{
    struct made list = make_siglist(MAKE_SHA256, 2, 32),
                m = make_variable(MAKE_SECURITY, "db", list.p, list.len);

    make_done(&list);
    return m;
}

static struct made gpt_payload(void)
{
    return make_gpt(2);
}

static void eventlog_refuses_extreme_lengths_inside_payloads(void **state)
{
    (void)state;
    /* A name that is too short leaves its last characters to the data: the name is then another one. */
    try_length(gpt_payload, 0x80000006, 92, 8, "NumberOfPartitions");
    try_length(db_payload, 0x80000001, 36 + 16, 4, "SignatureListSize does not fit");
    try_length(db_payload, 0x80000001, 36 + 24, 4, "SignatureSize does not divide the list");
    for (uint64_t huge = UINT64_MAX; huge > UINT64_MAX - 2; huge--) {
        struct made m = db_payload();
        struct made_log l;

        memcpy(m.p + 16, &huge, 8);
        l = one_event(7, 0x80000001, &m);
        refuse(&l, QL_EPARSE, "UnicodeNameLength does not fit");
        m = db_payload();
        memcpy(m.p + 24, &huge, 8);
        l = one_event(7, 0x80000001, &m);
        refuse(&l, QL_EPARSE, "VariableDataLength does not fit");
        m = db_payload();
        memcpy(m.p + 36 + 20, &huge, 4);
        l = one_event(7, 0x80000001, &m);
        refuse(&l, QL_EPARSE, "SignatureHeaderSize does not fit");
        m = make_image("\\x");
        memcpy(m.p + 24, &huge, 8);
        l = one_event(4, 0x80000003, &m);
        refuse(&l, QL_EPARSE, "LengthOfDevicePath does not fit");
    }
}

static void eventlog_refuses_a_partition_table_with_bytes_left_over(void **state)
{
    struct made m = make_gpt(2);
    struct made_log l;

    (void)state;
    make_number(&m, 0, 1);
    l = one_event(5, 0x80000006, &m);
    refuse(&l, QL_EPARSE, "NumberOfPartitions does not agree with the event's size");
}

static void eventlog_names_event_and_byte_of_what_it_refuses(void **state)
{
    struct made_log l = small_log();
    struct mb_log *log = NULL;
    char words[64];

    (void)state;
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    snprintf(words, sizeof words, "event %u at byte %zu: EventSize 4294967295", log->event_count,
             l.bytes.len);
    mb_log_free(log);
    make_event(&l, 5, 4, "", 0, NULL, 0);
    memset(l.bytes.p + l.bytes.len - 4, 0xff, 4);
    refuse(&l, QL_EPARSE, words);
}

static void eventlog_wants_exactly_the_banks_of_its_header(void **state)
{
    struct made_log l;
    const size_t event = 12; /* PCR, type, count */

    (void)state;
    /* count 0, 1, one too many, the largest */
    for (uint64_t count = 0; count < 4; count++) {
        static const uint32_t counts[] = {0, 1, 3, UINT32_MAX};
        size_t at;

        l = small_log();
        at = l.bytes.len;
        make_event(&l, 5, 5, "x", 1, NULL, 0);
        memcpy(l.bytes.p + at + 8, &counts[count], 4);
        refuse(&l, QL_EPARSE, "digests, the log's header has 2 algorithms");
    }
    l = small_log();
    make_event(&l, 5, 5, "x", 1, NULL, 0);
    l.bytes.p[l.bytes.len - 5 - 34 - 22] = 0x0b; /* the first digest's algorithm: sha1 becomes sha256 */
    refuse(&l, QL_EPARSE, "");
    l = small_log();
    make_event(&l, 5, 5, "x", 1, NULL, 0);
    l.bytes.p[l.bytes.len - 5 - 34] = 0x0c;
    refuse(&l, QL_EPARSE, "digest algorithm 0x000c is not in the log's header");
    l = small_log();
    {
        const size_t at = l.bytes.len;

        make_event(&l, 5, 5, "x", 1, NULL, 0);
        memcpy(l.bytes.p + at + event + 22, "\x04\x00", 2);
        refuse(&l, QL_EPARSE, "digest algorithm 0x0004 twice");
    }
}

static void eventlog_takes_no_action_events_with_fewer_digests_and_no_register(void **state)
{
    struct made_log l = small_log();

    (void)state;
    make_number(&l.bytes, 0xffffffff, 4);
    make_number(&l.bytes, 3, 4);
    make_number(&l.bytes, 0, 4);
    make_number(&l.bytes, 2, 4);
    make_bytes(&l.bytes, "hi", 2);
    accept_log(&l);
    l = small_log();
    make_event(&l, 0xffffffff, 4, "\0\0\0", 4, NULL, 0);
    refuse(&l, QL_EPARSE, "PCR 4294967295, at most 23");
    l = small_log();
    make_event(&l, 24, 3, "", 0, NULL, 0);
    refuse(&l, QL_EPARSE, "PCR 24, at most 23");
}

/** A header with these algorithms, made from their parts. */
static struct made_log header(const uint16_t (*rows)[2], size_t count)
{
    struct made_bank banks[16];
    struct made_log l;

    for (size_t i = 0; i < count; i++)
        banks[i] = (struct made_bank){.alg = rows[i][0], .digest_len = rows[i][1]};
    make_log(&l, banks, count < 8 ? count : 8);
    return l;
}

static void eventlog_checks_the_algorithms_of_its_header(void **state)
{
    struct made_log l;

    (void)state;
    l = header((const uint16_t[][2]){{0x000b, 20}}, 1);
    refuse(&l, QL_EPARSE, "digests of 20 bytes for algorithm 0x000b");
    l = header((const uint16_t[][2]){{0x0027, 48}}, 1);
    refuse(&l, QL_EPARSE, "digests of 48 bytes for algorithm 0x0027");
    l = header((const uint16_t[][2]){{0x7777, 0}}, 1);
    refuse(&l, QL_EPARSE, "digests of 0 bytes");
    l = header((const uint16_t[][2]){{0x000b, 32}, {0x000b, 32}}, 2);
    refuse(&l, QL_EPARSE, "algorithm 0x000b twice");
    l = header((const uint16_t[][2]){{0x000b, 32}}, 1);
    l.bytes.p[32 + 24] = 9;
    refuse(&l, QL_EPARSE, "numberOfAlgorithms is not 1 to 8");
    l = header((const uint16_t[][2]){{0x000b, 32}}, 1);
    l.bytes.p[32 + 24] = 2;
    refuse(&l, QL_EPARSE, "does not fit the Spec ID structure");
    l = header((const uint16_t[][2]){{0x000b, 32}}, 1);
    l.bytes.p[l.bytes.len - 1] = 1;
    refuse(&l, QL_EPARSE, "vendorInfo does not fit");
}

static void eventlog_carries_a_bank_that_it_cannot_compute(void **state)
{
    static const struct made_bank banks[] = {{0x7777, 5, NULL}, {0x000b, 32, "SHA256"}};
    struct made_log l;
    struct mb_log *log = NULL;

    (void)state;
    make_log(&l, banks, 2);
    make_boot(&l, 40, 1, 1);
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    assert_false(log->banks[0].is_known);
    assert_string_equal(log->banks[0].name, "0x7777");
    assert_int_equal(mb_log_bank(log, "0x7777"), -1);
    assert_int_equal(mb_log_bank(log, "sha256"), 1);
    assert_int_equal(mb_log_bank(log, "sha1"), -1);
    mb_log_free(log);
    accept_log(&l);
}

static void eventlog_of_64_megabytes_is_refused_unread(void **state)
{
    const size_t len = (size_t)64 * 1024 * 1024;
    uint8_t *hole = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct mb_log *log = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_true(hole != MAP_FAILED);
    assert_int_equal(mb_log_parse(&test_host, hole, len, &log, &err), QL_ELIMIT);
    assert_string_equal(err.text, "event log of 67108864 bytes, at most 4194304");
    assert_null(log);
    munmap(hole, len);
}

static void eventlog_has_a_limit_of_events(void **state)
{
    struct made_log l;
    struct mb_log *log = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    make_log(&l, &MADE_SHA256, 1);
    while (l.bytes.len < 65 + (size_t)(MB_EVENTS_MAX - 1) * 50)
        make_event(&l, 0, 0x77, "", 0, "x", 1);
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    assert_int_equal(log->event_count, MB_EVENTS_MAX);
    mb_log_free(log);
    log = NULL;
    make_event(&l, 0, 0x77, "", 0, "x", 1);
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, &err), QL_ELIMIT);
    assert_string_equal(err.text, "event log of more than 20000 events");
    make_done(&l.bytes);
    assert_int_equal(host_live, 0);
}

static void eventlog_has_a_limit_of_payload_and_of_signatures(void **state)
{
    struct made m = {0};
    struct made_log l;

    (void)state;
    make_log(&l, &MADE_SHA256, 1);
    m.p = calloc(1, MB_PAYLOAD_MAX + 1);
    m.len = MB_PAYLOAD_MAX + 1;
    make_event_of(&l, 0, 0x77, &m, NULL, 0);
    refuse(&l, QL_ELIMIT, "EventSize 1048577, at most 1048576");
    for (size_t count = MB_SIGNATURES_MAX; count <= MB_SIGNATURES_MAX + 1; count++) {
        struct made list = make_siglist(MAKE_SHA256, count, 1);

        make_log(&l, &MADE_SHA256, 1);
        make_variable_event(&l, 7, 0x80000001, MAKE_SECURITY, "dbx", &list);
        if (count == MB_SIGNATURES_MAX)
            accept_log(&l);
        else
            refuse(&l, QL_EPARSE, "more signatures than 8192");
    }
}

static void eventlog_takes_one_locality_before_pcr_0_is_extended(void **state)
{
    static const char three[] = "StartupLocality\0\3", two[] = "StartupLocality\0\2";
    struct made_log l;
    struct mb_log *log = NULL;

    (void)state;
    make_log(&l, &MADE_SHA256, 1);
    make_event(&l, 1, 4, "\0\0\0", 4, NULL, 0);
    make_event(&l, 0, 3, three, 17, NULL, 0);
    make_event(&l, 0, 4, "\0\0\0", 4, NULL, 0);
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    assert_int_equal(log->locality, 3);
    mb_log_free(log);
    make_event(&l, 0, 3, three, 17, NULL, 0);
    refuse(&l, QL_EPARSE, "StartupLocality a second time");
    make_log(&l, &MADE_SHA256, 1);
    make_event(&l, 0, 4, "\0\0\0", 4, NULL, 0);
    make_event(&l, 0, 3, three, 17, NULL, 0);
    refuse(&l, QL_EPARSE, "StartupLocality after PCR 0 was extended");
    make_log(&l, &MADE_SHA256, 1);
    make_event(&l, 0, 3, two, 17, NULL, 0);
    refuse(&l, QL_EPARSE, "StartupLocality is none of 0, 3 and 4");
    make_log(&l, &MADE_SHA256, 1);
    make_event(&l, 0, 3, three, 16, NULL, 0); /* the text alone is another event */
    make_event(&l, 5, 3, two, 17, NULL, 0);   /* another PCR's start is nobody's business */
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    assert_int_equal(log->locality, 0);
    mb_log_free(log);
    make_done(&l.bytes);
}

static void eventlog_of_an_hcrtm_starts_pcr_0_at_4(void **state)
{
    struct mb_hasher *h = test_hasher();
    struct made_log l;
    struct mb_log *log = NULL;
    struct mb_pcrs pcrs;
    uint8_t start[64] = {[31] = 4}, want[32];

    (void)state;
    make_log(&l, &MADE_SHA256, 1);
    make_event(&l, 0, 3, "StartupLocality\0\3", 17, NULL, 0);
    make_event(&l, 0, 0x80000010, "HCRTM", 5, "code", 4);
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    assert_int_equal(mb_replay(h, log, 0, &pcrs, NULL), QL_OK);
    memcpy(start + 32, mb_event_digest(log, &log->events[2], 0), 32);
    assert_int_equal(mb_hash(h, MB_ALG_SHA256, start, 64, NULL, 0, want), QL_OK);
    assert_memory_equal(pcrs.value[0], want, 32);
    mb_log_free(log);
    make_done(&l.bytes);
    make_log(&l, &MADE_SHA256, 1);
    make_event(&l, 0, 0x80000010, "hcrtm", 5, "code", 4);
    mb_hasher_free(h);
    refuse(&l, QL_EPARSE, "EV_EFI_HCRTM_EVENT: it does not say HCRTM");
}

static void eventlog_of_the_older_form_has_one_bank(void **state)
{
    struct mb_hasher *h = test_hasher();
    struct made_log l = {.bank_count = 0};
    struct mb_log *log = NULL;
    struct mb_check found;
    uint8_t digest[64];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        make_number(&l.bytes, i, 4);
        make_number(&l.bytes, 4, 4);
        assert_int_equal(mb_hash(h, MB_ALG_SHA1, "\0\0\0", 4, NULL, 0, digest), QL_OK);
        make_bytes(&l.bytes, digest, 20);
        make_number(&l.bytes, 4, 4);
        make_bytes(&l.bytes, "\0\0\0", 4);
    }
    try_prefixes(l.bytes.p, l.bytes.len);
    assert_int_equal(mb_log_parse(&test_host, l.bytes.p, l.bytes.len, &log, NULL), QL_OK);
    assert_true(log->is_sha1_format);
    assert_int_equal(log->event_count, 3);
    assert_int_equal(mb_log_bank(log, "sha1"), 0);
    assert_int_equal(mb_log_check_digests(h, log, 0, &found, NULL), QL_OK);
    assert_int_equal(found.verified, 3);
    mb_log_free(log);
    make_done(&l.bytes);
    mb_hasher_free(h);
    assert_int_equal(host_live, 0);
}

static size_t allocs_left;

static void *scarce_alloc(const struct ql_host *h, size_t len)
{
    return allocs_left-- > 0 ? host_alloc(h, len) : NULL;
}

static void *scarce_realloc(const struct ql_host *h, void *p, size_t len)
{
    return allocs_left-- > 0 ? host_realloc(h, p, len) : NULL;
}

static void eventlog_without_memory_says_so_and_leaks_nothing(void **state)
{
    struct ql_host scarce = test_host;
    struct made_log l;

    (void)state;
    scarce.alloc = scarce_alloc;
    scarce.realloc = scarce_realloc;
    make_log(&l, &MADE_SHA256, 1);
    make_boot(&l, 40, 1, 200); /* the array of events grows three times */
    for (size_t n = 0; n < 4; n++) {
        struct mb_log *log = NULL;
        struct ql_err err = QL_ERR_INIT;

        allocs_left = n;
        assert_int_equal(mb_log_parse(&scarce, l.bytes.p, l.bytes.len, &log, &err), QL_ENOMEM);
        assert_null(log);
        assert_int_equal(host_live, 0);
    }
    make_done(&l.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eventlog_refuses_every_truncation_of_a_made_log),
        cmocka_unit_test(eventlog_refuses_every_truncation_of_a_real_log),
        cmocka_unit_test(eventlog_refuses_one_byte_more),
        cmocka_unit_test(eventlog_survives_extreme_values_at_every_byte),
        cmocka_unit_test(eventlog_refuses_extreme_lengths_inside_payloads),
        cmocka_unit_test(eventlog_refuses_a_partition_table_with_bytes_left_over),
        cmocka_unit_test(eventlog_names_event_and_byte_of_what_it_refuses),
        cmocka_unit_test(eventlog_wants_exactly_the_banks_of_its_header),
        cmocka_unit_test(eventlog_takes_no_action_events_with_fewer_digests_and_no_register),
        cmocka_unit_test(eventlog_checks_the_algorithms_of_its_header),
        cmocka_unit_test(eventlog_carries_a_bank_that_it_cannot_compute),
        cmocka_unit_test(eventlog_of_64_megabytes_is_refused_unread),
        cmocka_unit_test(eventlog_has_a_limit_of_events),
        cmocka_unit_test(eventlog_has_a_limit_of_payload_and_of_signatures),
        cmocka_unit_test(eventlog_takes_one_locality_before_pcr_0_is_extended),
        cmocka_unit_test(eventlog_of_an_hcrtm_starts_pcr_0_at_4),
        cmocka_unit_test(eventlog_of_the_older_form_has_one_bank),
        cmocka_unit_test(eventlog_without_memory_says_so_and_leaks_nothing),
    };

    return cmocka_run_group_tests_name("event log", tests, NULL, NULL);
}
