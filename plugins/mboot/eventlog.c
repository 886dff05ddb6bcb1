/* SPDX-License-Identifier: Apache-2.0 */
#include "eventlog.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "hasher.h"
#include "payload.h"

enum {
    SHA1_LEN = 20,
    SHA1_HEAD_LEN = 32,  /* PCR, type, digest, size */
    EVENT_HEAD_LEN = 12, /* PCR, type, number of digests */
    SPEC_LEN = 28,       /* Spec ID structure before its table of algorithms */
    FIRST_ROOM = 64      /* events; grows by doubling */
};

static const char SPEC_SIGNATURE[16] = "Spec ID Event03";

/** Where the parser stands. */
struct parser {
    struct mb_log *log;
    size_t at;
    uint32_t room;      /* events allocated */
    bool has_locality;  /* a StartupLocality event came */
    bool pcr0_extended; /* an event extended PCR 0 */
    struct ql_err *err;
    int code; /* of the last call that answers with NULL */
};

static size_t left(const struct parser *p)
{
    return p->log->len - p->at;
}

static int refuse(const struct parser *p, const char *what)
{
    return p->log->host->fail(p->err, QL_EPARSE, "event %u at byte %zu: %s", p->log->event_count, p->at,
                              what);
}

/** @return the next free event, zeroed, with its index; NULL: p->code says why. event_count is not raised yet */
static struct mb_event *next_event(struct parser *p)
{
    struct mb_log *log = p->log;
    struct mb_event *e;

    if (log->event_count == MB_EVENTS_MAX) {
        p->code = log->host->fail(p->err, QL_ELIMIT, "event log of more than %d events", MB_EVENTS_MAX);
        return NULL;
    }
    if (log->event_count == p->room) {
        const uint32_t room = p->room > 0 ? 2 * p->room : FIRST_ROOM;
        struct mb_event *events = log->host->realloc(log->host, log->events, room * sizeof *events);

        if (!events) {
            p->code = log->host->fail(p->err, QL_ENOMEM, "out of memory");
            return NULL;
        }
        log->events = events;
        p->room = room;
    }
    e = &log->events[log->event_count];
    memset(e, 0, sizeof *e);
    e->index = log->event_count;
    e->at = (uint32_t)p->at;
    return e;
}

static int check_pcr(const struct parser *p, const struct mb_event *e)
{
    char what[64];

    if (e->pcr < MB_PCR_COUNT || (e->pcr == MB_PCR_NONE && e->type == MB_EV_NO_ACTION))
        return QL_OK;
    snprintf(what, sizeof what, "PCR %u, at most %d", e->pcr, MB_PCR_COUNT - 1);
    return refuse(p, what);
}

/** What an event says about where PCR 0 starts. */
static int note_start(struct parser *p, const struct mb_event *e)
{
    uint8_t locality;

    if (e->pcr != 0)
        return QL_OK;
    if (e->type != MB_EV_NO_ACTION) {
        p->pcr0_extended = true;
        p->log->has_hcrtm |= e->type == MB_EV_EFI_HCRTM_EVENT;
        return QL_OK;
    }
    if (!mb_startup_locality(e->payload, e->payload_len, &locality))
        return QL_OK;
    if (p->has_locality)
        return refuse(p, "StartupLocality a second time");
    if (p->pcr0_extended)
        return refuse(p, "StartupLocality after PCR 0 was extended");
    if (locality != 0 && locality != 3 && locality != 4)
        return refuse(p, "StartupLocality is none of 0, 3 and 4");
    p->has_locality = true;
    p->log->locality = locality;
    return QL_OK;
}

/** Read the payload after its size, which was read from @p size_at; moves p->at behind it and counts the event. */
static int take_payload(struct parser *p, struct mb_event *e, size_t size_at)
{
    const struct mb_log *log = p->log;
    const uint32_t len = mb_u32(log->bytes + size_at);
    const size_t from = size_at + 4;
    const char *wrong;
    char what[96];
    int r;

    if (len > log->len - from) {
        snprintf(what, sizeof what, "EventSize %u, %zu bytes left", len, log->len - from);
        return refuse(p, what);
    }
    if (len > MB_PAYLOAD_MAX)
        return log->host->fail(p->err, QL_ELIMIT, "event %u at byte %zu: EventSize %u, at most %d", e->index,
                               p->at, len, MB_PAYLOAD_MAX);
    e->payload = log->bytes + from;
    e->payload_len = len;
    wrong = mb_payload_check(e->type, e->payload, len);
    if (wrong) {
        snprintf(what, sizeof what, "%s: %s", mb_event_type_name(e->type), wrong);
        return refuse(p, what);
    }
    r = note_start(p, e);
    if (r < 0)
        return r;
    p->at = from + len;
    p->log->event_count++;
    return QL_OK;
}

/** One event of the older form. */
static int take_sha1_event(struct parser *p)
{
    const uint8_t *head = p->log->bytes + p->at;
    struct mb_event *e = next_event(p);
    int r;

    if (!e)
        return p->code;
    if (left(p) < SHA1_HEAD_LEN)
        return refuse(p, "the log ends inside the event's head");
    e->pcr = mb_u32(head);
    e->type = mb_u32(head + 4);
    e->digests_at = (uint32_t)p->at + 8;
    e->digest_count = 1;
    e->digest_at[0] = e->digests_at;
    r = check_pcr(p, e);
    return r < 0 ? r : take_payload(p, e, p->at + 28);
}

static int find_alg(const struct mb_log *log, uint16_t alg)
{
    for (uint32_t i = 0; i < log->bank_count; i++)
        if (log->banks[i].alg == alg)
            return (int)i;
    return -1;
}

/** Read the digests from @p at on. @param[out] ret the byte behind them */
static int take_digests(struct parser *p, struct mb_event *e, size_t at, size_t *ret)
{
    const struct mb_log *log = p->log;
    char what[64];

    for (uint32_t i = 0; i < e->digest_count; i++) {
        uint16_t alg;
        int bank;

        if (log->len - at < 2)
            return refuse(p, "the log ends inside the event's digests");
        alg = mb_u16(log->bytes + at);
        bank = find_alg(log, alg);
        if (bank < 0 || e->digest_at[bank] != 0) {
            snprintf(what, sizeof what, "digest algorithm 0x%04x %s", alg,
                     bank < 0 ? "is not in the log's header" : "twice");
            return refuse(p, what);
        }
        at += 2;
        if (log->len - at < log->banks[bank].digest_len)
            return refuse(p, "the log ends inside the event's digests");
        e->digest_at[bank] = (uint32_t)at;
        at += log->banks[bank].digest_len;
    }
    *ret = at;
    return QL_OK;
}

/** One event of the crypto-agile form. */
static int take_event(struct parser *p)
{
    const struct mb_log *log = p->log;
    const uint8_t *head = log->bytes + p->at;
    struct mb_event *e = next_event(p);
    size_t at = 0;
    char what[96];
    int r;

    if (!e)
        return p->code;
    if (left(p) < EVENT_HEAD_LEN)
        return refuse(p, "the log ends inside the event's head");
    e->pcr = mb_u32(head);
    e->type = mb_u32(head + 4);
    e->digest_count = mb_u32(head + 8);
    e->digests_at = (uint32_t)p->at + EVENT_HEAD_LEN;
    r = check_pcr(p, e);
    if (r < 0)
        return r;
    if (e->digest_count > log->bank_count ||
        (e->digest_count < log->bank_count && e->type != MB_EV_NO_ACTION)) {
        snprintf(what, sizeof what, "%u digests, the log's header has %u algorithms", e->digest_count,
                 log->bank_count);
        return refuse(p, what);
    }
    r = take_digests(p, e, e->digests_at, &at);
    if (r < 0)
        return r;
    if (log->len - at < 4)
        return refuse(p, "the log ends before the event's size");
    return take_payload(p, e, at);
}

/** The table of algorithms of the Spec ID structure. */
static int take_banks(struct parser *p, const uint8_t *at, uint32_t count)
{
    struct mb_log *log = p->log;
    char what[80];

    for (uint32_t i = 0; i < count; i++, at += 4) {
        struct mb_bank *bank = &log->banks[i];
        size_t own_len;

        bank->alg = mb_u16(at);
        bank->digest_len = mb_u16(at + 2);
        own_len = mb_alg_digest_len(bank->alg);
        if (bank->digest_len == 0 || (own_len > 0 && own_len != bank->digest_len)) {
            snprintf(what, sizeof what, "digests of %u bytes for algorithm 0x%04x", bank->digest_len,
                     bank->alg);
            return refuse(p, what);
        }
        if (find_alg(log, bank->alg) >= 0) {
            snprintf(what, sizeof what, "algorithm 0x%04x twice in the header", bank->alg);
            return refuse(p, what);
        }
        bank->is_known = mb_alg_is_bank(bank->alg);
        bank->name = mb_alg_name(bank->alg);
        if (!bank->name) {
            snprintf(bank->name_buf, sizeof bank->name_buf, "0x%04x", bank->alg);
            bank->name = bank->name_buf;
        }
        log->bank_count++;
    }
    return QL_OK;
}

/** The first event of a crypto-agile log. */
static int take_spec_id(struct parser *p)
{
    static const uint8_t zeros[SHA1_LEN];
    const uint8_t *head = p->log->bytes, *spec = head + SHA1_HEAD_LEN;
    const uint32_t len = mb_u32(head + 28);
    struct mb_event *e = next_event(p);
    uint32_t count;
    int r;

    if (!e)
        return p->code;
    if (mb_u32(head) != 0)
        return refuse(p, "the Spec ID event does not stand on PCR 0");
    if (memcmp(head + 8, zeros, sizeof zeros) != 0)
        return refuse(p, "the Spec ID event has a digest");
    if (len > left(p) - SHA1_HEAD_LEN || len < SPEC_LEN)
        return refuse(p, "the Spec ID structure is cut short");
    if (memcmp(spec, SPEC_SIGNATURE, sizeof SPEC_SIGNATURE) != 0)
        return refuse(p, "the signature is not \"Spec ID Event03\"");
    count = mb_u32(spec + 24);
    if (count == 0 || count > MB_BANKS_MAX)
        return refuse(p, "numberOfAlgorithms is not 1 to 8");
    /* The table, the size of the vendor's information and that itself. */
    if (len - SPEC_LEN < 4 * count + 1 || spec[SPEC_LEN + 4 * count] > len - SPEC_LEN - 4 * count - 1)
        return refuse(p, "the table of algorithms or vendorInfo does not fit the Spec ID structure");
    r = take_banks(p, spec + SPEC_LEN, count);
    if (r < 0)
        return r;
    e->type = MB_EV_NO_ACTION;
    e->digests_at = 8;
    e->payload = spec;
    e->payload_len = len;
    p->at = SHA1_HEAD_LEN + (size_t)len;
    p->log->event_count++;
    return QL_OK;
}

static int parse(struct parser *p)
{
    struct mb_log *log = p->log;
    int r = QL_OK;

    if (log->len < SHA1_HEAD_LEN)
        return refuse(p, "the log is shorter than one event's head");
    if (mb_u32(log->bytes + 4) == MB_EV_NO_ACTION) {
        r = take_spec_id(p);
    } else {
        log->is_sha1_format = true;
        log->bank_count = 1;
        log->banks[0] =
            (struct mb_bank){.alg = MB_ALG_SHA1, .digest_len = SHA1_LEN, .is_known = true, .name = "sha1"};
    }
    while (r == QL_OK && left(p) > 0)
        r = log->is_sha1_format ? take_sha1_event(p) : take_event(p);
    return r;
}

int mb_log_parse(const struct ql_host *host, const uint8_t *bytes, size_t len, struct mb_log **ret,
                 struct ql_err *err)
{
    struct parser p = {.err = err};
    int r;

    if (len > MB_LOG_MAX)
        return host->fail(err, QL_ELIMIT, "event log of %zu bytes, at most %d", len, MB_LOG_MAX);
    p.log = host->alloc(host, sizeof *p.log);
    if (!p.log)
        return host->fail(err, QL_ENOMEM, "out of memory");
    *p.log = (struct mb_log){.host = host, .bytes = bytes, .len = len};
    r = parse(&p);
    if (r < 0) {
        mb_log_free(p.log);
        return r;
    }
    *ret = p.log;
    return QL_OK;
}

void mb_log_free(struct mb_log *log)
{
    if (!log)
        return;
    log->host->free(log->host, log->events);
    log->host->free(log->host, log);
}

int mb_log_bank(const struct mb_log *log, const char *name)
{
    for (uint32_t i = 0; i < log->bank_count; i++)
        if (log->banks[i].is_known && strcmp(log->banks[i].name, name) == 0)
            return (int)i;
    return -1;
}

static const struct {
    uint32_t type;
    const char *name;
} TYPES[] = {
    {0x0, "EV_PREBOOT_CERT"},
    {0x1, "EV_POST_CODE"},
    {0x2, "EV_UNUSED"},
    {0x3, "EV_NO_ACTION"},
    {0x4, "EV_SEPARATOR"},
    {0x5, "EV_ACTION"},
    {0x6, "EV_EVENT_TAG"},
    {0x7, "EV_S_CRTM_CONTENTS"},
    {0x8, "EV_S_CRTM_VERSION"},
    {0x9, "EV_CPU_MICROCODE"},
    {0xa, "EV_PLATFORM_CONFIG_FLAGS"},
    {0xb, "EV_TABLE_OF_DEVICES"},
    {0xc, "EV_COMPACT_HASH"},
    {0xd, "EV_IPL"},
    {0xe, "EV_IPL_PARTITION_DATA"},
    {0xf, "EV_NONHOST_CODE"},
    {0x10, "EV_NONHOST_CONFIG"},
    {0x11, "EV_NONHOST_INFO"},
    {0x12, "EV_OMIT_BOOT_DEVICE_EVENTS"},
    {0x80000001, "EV_EFI_VARIABLE_DRIVER_CONFIG"},
    {0x80000002, "EV_EFI_VARIABLE_BOOT"},
    {0x80000003, "EV_EFI_BOOT_SERVICES_APPLICATION"},
    {0x80000004, "EV_EFI_BOOT_SERVICES_DRIVER"},
    {0x80000005, "EV_EFI_RUNTIME_SERVICES_DRIVER"},
    {0x80000006, "EV_EFI_GPT_EVENT"},
    {0x80000007, "EV_EFI_ACTION"},
    {0x80000008, "EV_EFI_PLATFORM_FIRMWARE_BLOB"},
    {0x80000009, "EV_EFI_HANDOFF_TABLES"},
    {0x8000000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"},
    {0x8000000b, "EV_EFI_HANDOFF_TABLES2"},
    {0x8000000c, "EV_EFI_VARIABLE_BOOT2"},
    {0x80000010, "EV_EFI_HCRTM_EVENT"},
    {0x800000e0, "EV_EFI_VARIABLE_AUTHORITY"},
};

const char *mb_event_type_name(uint32_t type)
{
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++)
        if (TYPES[i].type == type)
            return TYPES[i].name;
    return "Unknown event type";
}
