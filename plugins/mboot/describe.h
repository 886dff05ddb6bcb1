/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file describe.h
 * An event in words, for messages and explanations: "PCR 7, variable SecureBoot: on", "PCR 12, text \"ro quiet\"".
 *
 * The words are taken from the payload. Where the digest does not cover it (status other than MB_VERIFIED) a caller that
 * shows them should say so. One line, valid UTF-8 without control characters, at most MB_DESCRIPTION_MAX bytes.
 *
 * Layer: plugin mboot. Pure.
 */
#pragma once
#include "eventlog.h"
#include "text.h"

enum {
    MB_DESCRIPTION_MAX = 300 /**< bytes; longer ones are cut and end in "…" */
};

/** Add the words of one event to @p t. */
void mb_event_describe(const struct mb_log *log, const struct mb_event *e, struct mb_text *t);
