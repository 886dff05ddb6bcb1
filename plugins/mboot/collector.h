/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file collector.h
 * Evidence component `mboot`: the firmware's event log as the kernel keeps it, whole, at each collection.
 *
 * Bound by PCR 0 (with it come the boot log's other PCRs), so it is collected after the quote; it also feeds the member
 * "mb_measurement_list" of Keylime's answer. The cursor has no meaning: a log of at most MB_LOG_MAX bytes is never sent in
 * parts. The file is opened before the agent gives up root, and read through that descriptor. A log that is absent, empty or
 * too large fails the collection; the message names the file.
 */
#pragma once
#include <quicklime/evidence.h>

/** Where Linux shows the log; also what Keylime's word "default" means. */
#define MB_LOG_PATH "/sys/kernel/security/tpm0/binary_bios_measurements"
/** Name of the option that says otherwise. */
#define MB_LOG_OPTION "measuredboot_ml_path"

/** Functions take a struct mb_plugin. */
extern const struct ql_evidence mb_evidence;
