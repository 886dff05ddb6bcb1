/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file judge.h
 * A boot log judged from its bytes: parsed, digests checked, replayed, asked about by a policy. What the validator does with a
 * quote, and `quicklime-policy check` without one.
 *
 * Layer: plugin mboot. One thread at a time.
 */
#pragma once
#include "policy.h"
#include "replay.h"

enum {
    MB_REFSTATE_MAX =
        8 * 1024 * 1024 /**< bytes of a reference state; a merged one of many nodes has some 100 KiB */
};

/** How far a log came, and thereby who refused it. */
enum mb_stage {
    MB_STAGE_PARSE,  /**< does not parse */
    MB_STAGE_BANK,   /**< has no such bank */
    MB_STAGE_DIGEST, /**< a digest is not that of its data */
    MB_STAGE_POLICY, /**< the policy rejects */
    MB_STAGE_ACCEPT  /**< nobody */
};

/** What mb_judge_open() found; free with mb_judged_done(). */
struct mb_judged {
    enum mb_stage stage;
    char why[MB_REASON_MAX]; /**< "" when accepted */
    struct mb_log *log;      /**< NULL: does not parse; points into the caller's bytes */
    int bank;                /**< index of the bank that was judged, -1: none */
    struct mb_check check;   /**< from MB_STAGE_DIGEST on */
};

/** One line of an explanation. */
struct mb_explained {
    const struct mb_event *event; /**< of the log */
    const char *label;            /**< "event 25 (PCR 4, EV_SEPARATOR)" */
    bool accepted;
    const char *text; /**< what was compared with what, or why not */
};
typedef void (*mb_explain_fn)(void *arg, const struct mb_explained *line);

/**
 * Reference state of a policy's text. Empty text is an empty object.
 * @param[out] ret  any value but null: what is no object is for the policy to refuse; owned by the caller
 * @retval QL_EPARSE no JSON, with line and column, or null @retval QL_ELIMIT @retval QL_ENOMEM
 */
int mb_refstate_load(const struct ql_host *host, const uint8_t *text, size_t len, json_t **ret,
                     struct ql_err *err);
/** Keylime's word for "measured boot is off": `{}`, `[]`, `0`, `""`, `false`. */
bool mb_refstate_is_off(const json_t *refstate);

/**
 * Parse, choose the bank, check digests; does not ask a policy.
 * @param bank  name; NULL: sha256 where the log has it, else the first that is known
 * @param[out] ret  stage MB_STAGE_ACCEPT when nothing was found
 * @retval QL_OK also when something was found @retval QL_ECRYPTO, QL_ENOMEM nothing can be said
 */
int mb_judge_open(const struct mb_workshop *shop, const uint8_t *bytes, size_t len, const char *bank,
                  struct mb_judged *ret, struct ql_err *err);
/** Go on with the policy, where `stage` is MB_STAGE_ACCEPT. @param explain told of every event; NULL: no one */
void mb_judge_ask(const struct mb_policy *policy, struct mb_judged *j, mb_explain_fn explain, void *arg);
void mb_judged_done(struct mb_judged *j);
