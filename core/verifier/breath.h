/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file breath.h
 * Does the loop find time for strangers? Those who connect without a certificate that verifies yet, operators too, are
 * served when no poll is due (loop.h); polls that fill all of the time must leave some of it.
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>

#include "error.h"

struct ql_breath {
    struct event *beat; /**< with everybody */
    struct event *idle; /**< when nobody else is due */
    unsigned beats;     /**< since it was last the strangers' turn */
};

/** Begin to watch the loop @p base. @p b is zeroed. On an error ql_breath_done() cleans up */
int ql_breath_init(struct ql_breath *b, struct event_base *base, struct ql_err *err);
void ql_breath_done(struct ql_breath *b);
/** Have the strangers had no turn for two seconds? A process that was stopped for a while has not kept them waiting. */
bool ql_breath_is_short(const struct ql_breath *b);
