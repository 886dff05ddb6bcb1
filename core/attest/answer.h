/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file answer.h
 * An agent's answer to a quote request (spec/agent.md 3.3): one pass, strings stay where they are (decision
 * 15).
 *
 * Absent and null are alike. A member of the wrong type, a key named twice, and anything scan.h refuses make
 * the whole answer unreadable. Members that this release does not know are skipped.
 */
#pragma once
#include "scan.h"

enum {
    QL_EVIDENCE_MAX = 32,                 /**< names in the member `evidence` */
    QL_ANSWER_MAX_LEN = 512 * 1024 * 1024 /**< bytes; what daemons keep of an answer (decision 15) */
};

/** One item of the member `evidence`. */
struct ql_answer_evidence {
    char name[33];
    struct ql_text data; /**< base64 */
    uint64_t cursor;     /**< where to go on */
    uint64_t from;       /**< where the bytes begin; 0 when absent */
};

/** Members of the answer. Texts are borrowed from its bytes. */
struct ql_answer {
    struct ql_text quote, hash_alg, enc_alg, sign_alg, pubkey, ima_list, mb_log;
    bool has_boottime, has_entry, has_evidence;
    int64_t boottime; /**< seconds since the epoch; the Python agent sends it */
    int64_t entry;    /**< number of the first entry of ima_list */
    struct ql_answer_evidence evidence[QL_EVIDENCE_MAX];
    size_t evidence_count;
};

/**
 * Read an answer.
 * @param whole_body  the bytes are an HTTP body `{"code", "status", "results": {…}}`; else the results object
 *                    itself (or the `data` object of a one-shot call, whose boot log is named mb_log)
 * @param[out] ret    written only on QL_OK
 * @retval QL_EPARSE with the offset or the member @retval QL_ELIMIT
 */
int ql_answer_read(const char *text, size_t len, bool whole_body, struct ql_answer *ret, struct ql_err *err);
