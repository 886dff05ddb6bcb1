/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file failures.h
 * Recording failures in an outcome, and Keylime's event ids for what core finds by itself (spec/server.md 4).
 */
#pragma once
#include "verdict.h"

enum {
    QL_EVENT_ID_MAX = 128 /**< characters of an event id; Keylime's longest has 61 */
};

/**
 * Record a failure. Beyond QL_FAILURES_MAX they are only counted: the verdict is failure either way.
 * @param severity  label or NULL
 * @param context   object, taken over; NULL (no memory to build one): an empty object
 * @retval QL_OK @retval QL_ENOMEM
 */
int ql_outcome_fail(struct ql_outcome *o, const char *event_id, const char *severity, bool recoverable,
                    json_t *context);
/** With context {"message": text by format}. */
int ql_outcome_failf(struct ql_outcome *o, const char *event_id, bool recoverable, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** As ql_outcome_failf() with the event id "VALIDATOR.WHAT", irrecoverable. */
int ql_outcome_fail_of(struct ql_outcome *o, const char *validator, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/**
 * Record that the quote did not verify: event id, recoverability and context by the check that failed.
 * @param missing  PCRs not quoted, with QL_STAGE_PCR_MISSING
 * @param why      text of the check's error
 */
int ql_outcome_fail_quote(struct ql_outcome *o, enum ql_quote_stage stage, uint32_t missing, const char *why);

/**
 * @return true when a validator of this name may report this event: begins with "NAME.", or is one of
 * Keylime's
 */
bool ql_event_id_ok(const char *validator, const char *event_id);

/** Text as JSON whatever its bytes: what is not UTF-8 becomes '?'. NULL: no memory. */
json_t *ql_json_lenient(const char *text, size_t len);
