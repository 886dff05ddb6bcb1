/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file replay.h
 * The PCR as the list makes it: one value extended after the other.
 *
 * Layer: plugin ima. Pure. Source: TPM 2.0 PCR_Extend; Linux ima_queue.c.
 */
#pragma once
#include "hash.h"

struct ima_replay {
    struct ima_hasher *hasher;
    enum ima_alg bank;
    size_t len;                   /**< bytes of the bank's digests */
    uint8_t run[IMA_HASH_MAX];    /**< PCR after the entries so far */
    uint8_t quoted[IMA_HASH_MAX]; /**< PCR as quoted */
    bool padded;                  /**< the kernel extends SHA-1 with zeros behind it (before Linux 5.8) */
};

/** Begin at zero. @param quoted of the bank's size */
void ima_replay_begin(struct ima_replay *r, struct ima_hasher *hasher, enum ima_alg bank,
                      const uint8_t *quoted);
/** @return false: hashing failed */
bool ima_replay_extend(struct ima_replay *r, const uint8_t *value);
bool ima_replay_fits(const struct ima_replay *r);
