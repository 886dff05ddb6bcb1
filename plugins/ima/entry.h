/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file entry.h
 * One entry against the policy: is its hash its own, is the file allowed, is a key to be learned.
 *
 * Layer: plugin ima. Pure. Source: Keylime's rules for an entry (template by template).
 */
#pragma once
#include "policy.h"
#include "replay.h"
#include "report.h"
#include "rings.h"
#include "template.h"

struct ima_dm;

/** What entries are judged by, and what judging them has found. */
struct ima_judge {
    const struct ql_host *host;
    struct ima_hasher *hasher;
    const struct ima_policy *policy;
    struct ima_findings *findings;
    struct ima_rings *rings;
    struct ima_dm *dm;             /**< NULL: device mapper data is looked up as any other */
    const json_t *boot_aggregates; /**< object: algorithm to list of hex; NULL: none proven */
    enum ima_alg log_alg;          /**< of the second column */
    bool violations_fail;
    uint64_t violations, weak;
};

/**
 * This entry is judged after the next one or two: have memory fetch what its lookup needs. A large policy does not fit a
 * cache, and one would wait for it longer than hashing takes.
 * @return for ima_judge_extend()
 */
uint64_t ima_judge_soon(const struct ima_judge *j, const struct ima_entry *e);
/**
 * Make the value that the kernel extended, and extend it.
 * @param soon          of ima_judge_soon()
 * @param[out] log_hash hash of the template data by log_alg, of its size
 */
int ima_judge_extend(struct ima_judge *j, struct ima_replay *replay, const struct ima_entry *e, uint64_t soon,
                     uint8_t *log_hash, struct ql_err *err);
/** Judge an entry after it was extended. @param can_look_up false: an entry without digest or name */
int ima_judge_entry(struct ima_judge *j, const struct ima_entry *e, bool can_look_up, const uint8_t *log_hash,
                    struct ql_err *err);
/** @return true: the kernel could not say what was used */
bool ima_entry_is_violation(const struct ima_entry *e, enum ima_alg log_alg);
