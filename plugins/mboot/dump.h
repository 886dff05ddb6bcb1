/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file dump.h
 * An event log as text for people and for tools that read YAML: what `tpm2_eventlog --eventlog-version=2` of tpm2-tools 5.8
 * prints, every bank, and the replayed PCRs at the end.
 *
 * Differences: device paths of images are text (as where that tool has libefivar); whatever would not read back as the string
 * that it is, is quoted and escaped; events of the older SHA-1 form are numbered. Read as YAML it is the tree of tree.h.
 *
 * Layer: plugin mboot. Pure but for the sink.
 */
#pragma once
#include <quicklime/validator.h>

#include "eventlog.h"

/**
 * Write everything.
 * @retval QL_ENOMEM @retval QL_ECRYPTO @return what the sink's write refused with
 */
int mb_dump(struct mb_hasher *hasher, const struct mb_log *log, struct ql_text_sink *sink,
            struct ql_err *err);
