/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file evidence_set.h
 * The evidence components of the loaded plugins, and what a quote request asks of them (decision 18, design section 5
 * "Rule of binding"). Everything but parsing runs on the TPM thread.
 */
#pragma once
#include "buf.h"
#include "digest.h"
#include "json.h"
#include "registry.h"

enum {
    QL_EVIDENCE_ASKED_MAX = 16,   /**< names in one request */
    QL_EVIDENCE_QUERY_MAX = 8192, /**< characters of the query value */
    QL_EVIDENCE_TIME_MS = 30000   /**< a component's time for one collection */
};

struct ql_evidence_set;

/** Open every evidence component. Called before the privilege drop. @retval QL_ERANGE a component's table is unfit */
int ql_evidence_set_open(struct ql_registry *registry, struct ql_evidence_set **ret, struct ql_err *err);
void ql_evidence_set_close(struct ql_evidence_set *s);
QL_DEFINE_CLEANUP(struct ql_evidence_set, ql_evidence_set_close)
/** Names served, as a JSON list of text; NULL: no memory. Any thread. */
json_t *ql_evidence_set_names(const struct ql_evidence_set *s);

/** One item asked for by name. */
struct ql_evidence_ask {
    char name[33];
    uint64_t cursor;
    char parameters[QL_NEED_PARAMETERS_MAX + 1]; /**< JSON text; "": none */
};
struct ql_evidence_asked {
    struct ql_evidence_ask items[QL_EVIDENCE_ASKED_MAX];
    size_t count;
};
/**
 * Parse "NAME:CURSOR[:PARAMETERS][,…]"; PARAMETERS are the hex digits of JSON text.
 * @retval QL_EPARSE @retval QL_ELIMIT @retval QL_EEXIST a name twice
 */
int ql_evidence_asked_parse(const char *text, struct ql_evidence_asked *ret, struct ql_err *err);

/** Which half of a collection: before the quote (bound by nonce) or after it (bound by a PCR, in PCR order). */
enum ql_evidence_phase {
    QL_EVIDENCE_BEFORE,
    QL_EVIDENCE_AFTER
};

/** What one quote answer carries. All zero at first; ql_evidence_answer_done() */
struct ql_evidence_answer {
    json_t *by_name; /**< {NAME: {data, cursor, from}} of the items asked for; NULL: none were asked for */
    json_t *legacy;  /**< members of Keylime's answer, by name */
    struct {
        char name[33];
        uint8_t digest[32];         /**< SHA-256 of the data */
    } bound[QL_EVIDENCE_ASKED_MAX]; /**< collected before the quote, ordered by name */
    size_t bound_count;
};
void ql_evidence_answer_done(struct ql_evidence_answer *a);

/** What to collect. */
struct ql_evidence_want {
    const struct ql_evidence_asked *asked; /**< NULL: the request has no `evidence` parameter */
    bool legacy;                           /**< integrity quote: members that Keylime's verifiers expect */
    uint32_t mask;                         /**< as asked */
    uint64_t ima_entry;
    size_t max_len; /**< bytes of one item */
};
/**
 * Collect one phase into @p a. A component that fails leaves its name out; a log line says why.
 * Text members may hold bytes that are no UTF-8: they are to be written by ql_json_text_bytes().
 * @retval QL_ENOMEM
 */
int ql_evidence_collect(struct ql_evidence_set *s, const struct ql_evidence_want *want,
                        enum ql_evidence_phase phase, struct ql_evidence_answer *a, struct ql_err *err);
/** Qualifying data of a quote that evidence was asked with: SHA-256 over tag, nonce and the items collected before it. */
int ql_evidence_qualifying(const struct ql_evidence_answer *a, const char *nonce, uint8_t out[32]);
