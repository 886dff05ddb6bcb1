/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file failing.h
 * A failure as a record: what the transaction needs that turns it into a row and a notification. Made on the loop, used
 * on the store thread, kept as a line of the journal while the database is away.
 */
#pragma once
#include "agent.h"
#include "config.h"
#include "severity.h"

struct ql_failing {
    char id[81];
    int64_t generation, claim_no; /**< of the row it applies to; others: it came too late */
    int64_t state;                /**< 7 or 9 */
    int64_t severity;
    char *label, *event_id, *context; /**< context: JSON text */
    char *message_type;               /**< NULL: nobody is told */
    int64_t time_ns, expires_ns;
    int64_t last_received_quote, attestation_count, last_successful_attestation;
    struct ql_live *live;       /**< NULL: read back from the journal */
    const struct ql_seal *seal; /**< borrowed */
    bool ends;                  /**< polling ends with it */
    bool journaled;
    /* what came out */
    int64_t stored_generation; /**< -1: the row was of another generation, or gone */
    bool is_unsigned;          /**< there is a revocation key, but it could not sign */
    struct ql_err sign_err;
    int journal_result;
    struct ql_err journal_err;
};

/** Transaction: row and outbox. A row of another generation is left alone. `arg` is the struct ql_failing. */
int ql_failing_write(struct ql_txn *t, void *arg, struct ql_err *err);
/** One line of JSON; caller frees; NULL: no memory. */
char *ql_failing_line(const struct ql_failing *f);
/** Back from a line. @retval QL_EPARSE */
int ql_failing_read(const char *line, size_t len, const struct ql_seal *seal, struct ql_failing **ret,
                    struct ql_err *err);
