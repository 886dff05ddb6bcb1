/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file eventlog.h
 * The firmware's event log: one pass over the bytes, an array of events that point into them, and the check of each digest
 * against what its event says.
 *
 * Both forms are read: crypto-agile logs (TCG PC Client Platform Firmware Profile, "Spec ID Event03") and the older SHA-1 logs.
 * A log that breaks a rule is refused as a whole, with the event and the byte; nothing is repaired or skipped:
 *  - the first event of a crypto-agile log stands on PCR 0, has a zero digest and a whole, consistent Spec ID structure;
 *  - every event but EV_NO_ACTION has exactly one digest for each algorithm of the header; EV_NO_ACTION has at most that;
 *  - PCRs are 0 to 23; EV_NO_ACTION may also have 0xffffffff;
 *  - every structured payload (variable, image, GPT, blob …) is whole, see payload.h;
 *  - StartupLocality is 0, 3 or 4, comes once and before the first event that extends PCR 0;
 *  - nothing follows the last event.
 *
 * Layer: plugin mboot. Pure: no I/O; an object is used by one thread at a time.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/plugin.h>

struct mb_hasher;

enum {
    MB_LOG_MAX = 4 * 1024 * 1024,  /**< bytes of a log; real ones have 3 to 100 KiB */
    MB_EVENTS_MAX = 20000,         /**< events of a log; real ones have some 100 */
    MB_BANKS_MAX = 8,              /**< algorithms in the header; TPMs have up to 5 banks */
    MB_PAYLOAD_MAX = 1024 * 1024,  /**< bytes of one event's payload; a large dbx has some 100 KiB */
    MB_SIGNATURES_MAX = 8192,      /**< entries of the signature lists of one variable */
    MB_PCR_COUNT = 24,             /**< PC Client profile: PCR 0 to 23 */
    MB_DIGEST_MAX = 64,            /**< bytes of the longest digest that is computed here */
    MB_TREE_MAX = 16 * 1024 * 1024 /**< bytes of a log's tree as text */
};

/** No register: only EV_NO_ACTION events have it. */
#define MB_PCR_NONE UINT32_C(0xffffffff)
/** In place of a bank's index: all of them. */
#define MB_ALL_BANKS (-1)

/** Event types that the code needs by name; the rest is in mb_event_type_name(). */
enum {
    MB_EV_POST_CODE = 0x1,
    MB_EV_NO_ACTION = 0x3,
    MB_EV_SEPARATOR = 0x4,
    MB_EV_ACTION = 0x5,
    MB_EV_EVENT_TAG = 0x6,
    MB_EV_S_CRTM_CONTENTS = 0x7,
    MB_EV_S_CRTM_VERSION = 0x8,
    MB_EV_IPL = 0xd,
};
#define MB_EV_EFI_VARIABLE_DRIVER_CONFIG    UINT32_C(0x80000001)
#define MB_EV_EFI_VARIABLE_BOOT             UINT32_C(0x80000002)
#define MB_EV_EFI_BOOT_SERVICES_APPLICATION UINT32_C(0x80000003)
#define MB_EV_EFI_BOOT_SERVICES_DRIVER      UINT32_C(0x80000004)
#define MB_EV_EFI_RUNTIME_SERVICES_DRIVER   UINT32_C(0x80000005)
#define MB_EV_EFI_GPT_EVENT                 UINT32_C(0x80000006)
#define MB_EV_EFI_ACTION                    UINT32_C(0x80000007)
#define MB_EV_EFI_PLATFORM_FIRMWARE_BLOB    UINT32_C(0x80000008)
#define MB_EV_EFI_HANDOFF_TABLES            UINT32_C(0x80000009)
#define MB_EV_EFI_PLATFORM_FIRMWARE_BLOB2   UINT32_C(0x8000000a)
#define MB_EV_EFI_HANDOFF_TABLES2           UINT32_C(0x8000000b)
#define MB_EV_EFI_VARIABLE_BOOT2            UINT32_C(0x8000000c)
#define MB_EV_EFI_HCRTM_EVENT               UINT32_C(0x80000010)
#define MB_EV_EFI_VARIABLE_AUTHORITY        UINT32_C(0x800000e0)

/** What the check of an event's digest in one bank gave. */
enum mb_status {
    MB_UNVERIFIED, /**< the digest does not cover the payload (or the bank was not checked): believe the digest alone */
    MB_VERIFIED, /**< the digest is that of the payload, or of the part of it that is measured */
    MB_MISMATCH  /**< it must be and is not: the payload was altered */
};

/** One algorithm of the header, in the header's order. */
struct mb_bank {
    uint16_t alg;        /**< TPM_ALG_… */
    uint16_t digest_len; /**< bytes, as the header says */
    bool is_known;       /**< its digests can be computed here; others are carried along and shown */
    const char *name;    /**< "sha256"; of an unknown one "0x0099". Lives as long as the log */
    char name_buf[8];    /**< private */
};

/** One event; pointers lead into the log's bytes. */
struct mb_event {
    uint32_t index;         /**< the tree's EventNum: 0 is the Spec ID event of a crypto-agile log */
    uint32_t pcr;           /**< 0 to 23, or MB_PCR_NONE */
    uint32_t type;          /**< as in the log; may be unknown */
    uint32_t at;            /**< byte where the event begins */
    uint32_t digests_at;    /**< byte where its digests begin */
    uint32_t digest_count;  /**< 0 on the Spec ID event, which has no digests of its own */
    const uint8_t *payload; /**< payload_len bytes, borrowed */
    uint32_t payload_len;
    uint32_t digest_at[MB_BANKS_MAX]; /**< by bank: byte of the digest, 0: none (EV_NO_ACTION only) */
    uint8_t
        status[MB_BANKS_MAX]; /**< by bank: enum mb_status; all MB_UNVERIFIED until mb_log_check_digests() */
};

/** A parsed log. To be read only; made by mb_log_parse(). */
struct mb_log {
    const struct ql_host *host;
    const uint8_t *bytes; /**< borrowed from the caller of mb_log_parse() */
    size_t len;
    bool is_sha1_format; /**< the older form: one bank "sha1", no Spec ID event */
    bool has_hcrtm;      /**< an EV_EFI_HCRTM_EVENT stands on PCR 0 */
    uint8_t locality;    /**< of the StartupLocality event; 0 without one */
    struct mb_bank banks[MB_BANKS_MAX];
    uint32_t bank_count;
    struct mb_event *events;
    uint32_t event_count;
};

/**
 * Parse a log and check the structure of every payload.
 *
 * @param host  for memory and errors; must outlive the log
 * @param bytes the log as the kernel gives it; must outlive the log
 * @param len   bytes, at most MB_LOG_MAX
 * @param[out] ret owned by the caller: mb_log_free(). Memory grows with the events that are really there
 * @param[out] err names the event, the byte and the rule
 * @retval QL_EPARSE a rule above is broken @retval QL_ELIMIT @retval QL_ENOMEM
 */
int mb_log_parse(const struct ql_host *host, const uint8_t *bytes, size_t len, struct mb_log **ret,
                 struct ql_err *err);
/** Free; NULL is allowed. */
void mb_log_free(struct mb_log *log);
static inline void mb_log_freep(struct mb_log **p)
{
    mb_log_free(*p);
}

/** @param name "sha256" and so on @return index of a bank whose digests can be computed, -1: the log has none of that name */
int mb_log_bank(const struct mb_log *log, const char *name);

/** @return the event's digest in a bank, banks[bank].digest_len bytes, borrowed; NULL: none */
static inline const uint8_t *mb_event_digest(const struct mb_log *log, const struct mb_event *e, int bank)
{
    if (bank < 0 || (uint32_t)bank >= log->bank_count || e->digest_at[bank] == 0)
        return NULL;
    return log->bytes + e->digest_at[bank];
}

/** @return "EV_SEPARATOR" and so on, or "Unknown event type"; never NULL, static */
const char *mb_event_type_name(uint32_t type);

/** What mb_log_check_digests() found. */
struct mb_check {
    uint32_t verified; /**< events whose digest covers their payload */
    uint32_t mismatch; /**< events whose digest should and does not */
    uint32_t first;    /**< index of the first mismatch; meaningful with mismatch > 0 */
};
/**
 * Compute the digests of one bank again from the payloads, wherever they are known to cover them, and set the events'
 * status[bank]. Each payload is hashed at most three times.
 *
 * | event | what is measured | no match |
 * | EV_SEPARATOR, EV_S_CRTM_VERSION, EV_ACTION, EV_EFI_ACTION, variables of the driver configuration, GPT | payload | mismatch |
 * | VARIABLE_BOOT, VARIABLE_BOOT2 | payload, or the variable's data alone | mismatch |
 * | EV_IPL on PCR 8 with a label ("kernel_cmdline: …") | what follows the first blank, with or without a last NUL | mismatch |
 * | other EV_IPL | payload; with a zero byte added when its length is odd; without its last UTF-16 NUL | unverified |
 * | EV_NO_ACTION | nothing | unverified |
 * | all others | payload | unverified |
 *
 * @param bank index of a known bank
 * @param[out] ret may be NULL
 * @retval QL_OK also with mismatches: the caller judges them @retval QL_ERANGE no such bank, or an unknown one
 * @retval QL_ECRYPTO the library refuses
 */
int mb_log_check_digests(struct mb_hasher *hasher, struct mb_log *log, int bank, struct mb_check *ret,
                         struct ql_err *err);
