/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file report.h
 * What is wrong with a list, in Keylime's event ids and contexts. All of them are recoverable; the first of many are reported
 * with their context, the others are counted.
 *
 * Layer: plugin ima. Source: Keylime's failure components `ima.*`.
 */
#pragma once
#include <jansson.h>
#include <quicklime/validator.h>

#include "line.h"

enum {
    IMA_REPORTED_MAX = 200, /**< failures with a context at most; core keeps 256 over all validators */
    IMA_SHOWN_LINE = 4096   /**< bytes of a line, a name or data in a context */
};

struct ima_findings {
    struct ql_report *report;
    size_t max;   /**< that are reported one by one */
    size_t count; /**< found */
    size_t left_out;
    bool failed; /**< a context could not be made, or the host could not take it: no verdict */
};

/** One failure. @param context taken over; NULL counts as out of memory */
void ima_find(struct ima_findings *f, const char *event_id, json_t *context);
/** One failure whose context is a text alone. */
void ima_find_text(struct ima_findings *f, const char *event_id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** @return true when the next failure will be shown with its context */
bool ima_findings_open(const struct ima_findings *f);
/** Say how many were left out. */
void ima_findings_close(struct ima_findings *f);

/** Text of a context: bytes that are no UTF-8 as \xhh, cut at IMA_SHOWN_LINE. */
json_t *ima_json_text(const char *before, struct ima_bytes b);
/** As Python writes bytes: b'…', cut at IMA_SHOWN_LINE. */
json_t *ima_json_repr(struct ima_bytes b);
json_t *ima_json_hex(struct ima_bytes b);
