/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file replay.h
 * What the PCRs must hold after the events of a log, and the boot aggregates made from PCR values.
 *
 * PCR 0 starts at the StartupLocality (last byte), or at 4 where the log has an H-CRTM event; every other one at zeros.
 * EV_NO_ACTION extends nothing. Layer: plugin mboot. Pure.
 */
#pragma once
#include "eventlog.h"

/** PCR values of one bank. */
struct mb_pcrs {
    uint16_t alg;      /**< of the bank */
    size_t digest_len; /**< bytes of each value */
    uint32_t extended; /**< bit n: an event extended PCR n; others hold their start value */
    uint8_t value[MB_PCR_COUNT][MB_DIGEST_MAX];
};

/**
 * Replay one bank.
 * @param bank index of a known bank
 * @param[out] ret untouched on failure
 * @retval QL_ERANGE no such bank, or an unknown one @retval QL_EUNSUPPORTED the library has no such hash @retval QL_ECRYPTO
 */
int mb_replay(struct mb_hasher *hasher, const struct mb_log *log, int bank, struct mb_pcrs *ret,
              struct ql_err *err);

/** How many PCRs enter a boot aggregate: the first 8, or (Linux 5.8 and later, except for SHA-1) the first 10. */
enum mb_aggregate {
    MB_AGGREGATE_8 = 8,
    MB_AGGREGATE_10 = 10
};
/**
 * Digest over the values of PCR 0 to @p count - 1, as IMA's boot_aggregate.
 * @param out room for MB_DIGEST_MAX bytes; digest_len are written
 */
int mb_boot_aggregate(struct mb_hasher *hasher, const struct mb_pcrs *pcrs, enum mb_aggregate count,
                      uint8_t *out);
