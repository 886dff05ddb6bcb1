/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file state.h
 * What is kept of one agent between two quotes: where its list goes on, and the PCR up to there.
 *
 * Layer: plugin ima. Pure. Own format, version 1: fixed fields big-endian, then two blocks with their lengths.
 */
#pragma once
#include <quicklime/validator.h>

#include "hash.h"
#include "line.h"

enum {
    IMA_STATE_VERSION = 1
};

struct ima_state {
    uint64_t next; /**< entry that the next list begins with; 0: nothing is kept */
    enum ima_alg bank;
    uint8_t pcr[IMA_HASH_MAX]; /**< PCR 10 before that entry, of the bank's size */
    int64_t boottime;          /**< as the agent reported it; 0: it reports none */
    uint64_t position, lines;  /**< of the last list: lines up to the match, and all */
    uint64_t violations;       /**< since the list began */
    uint64_t weak;             /**< signatures of weak keys or hashes, since the list began */
    struct ima_bytes rings;    /**< rings.h; borrowed */
    struct ima_bytes devices;  /**< dm.h; borrowed */
};

/** @return false: nothing is kept, or it is not of this version: the next list begins at its start */
bool ima_state_read(uint32_t version, const uint8_t *data, size_t len, struct ima_state *ret);
/** @param[out] ret made with host->alloc @retval QL_ELIMIT above QL_STATE_MAX_LEN @retval QL_ENOMEM */
int ima_state_write(const struct ql_host *host, const struct ima_state *s, uint8_t **ret, size_t *ret_len,
                    struct ql_err *err);
