/* SPDX-License-Identifier: Apache-2.0 */
/** @file ima.h  What the plugin's components share: its options and what is made once a process. */
#pragma once
#include <quicklime/evidence.h>
#include <quicklime/validator.h>

#include "hash.h"
#include "template.h"

#define IMA_KERNEL_LIST "/sys/kernel/security/ima/ascii_runtime_measurements"

enum {
    IMA_PCR = 10
};

struct ima_plugin {
    const struct ql_host *host;
    struct ima_hasher *hasher;
    struct ima_reader *readers[2]; /**< of the entry at hand and of the next one */
    bool violations_fail;          /**< ima_violations */
    bool require_log;              /**< require_ima_log */
    size_t max_failures;           /**< ima_max_failures */
    const char *list;              /**< path of the measurement list; borrowed from the options */
};

/** @param options the plugin's group; must outlive the plugin @retval QL_ERANGE names the option */
int ima_plugin_new(const struct ql_host *host, const struct ql_options *options, struct ima_plugin **ret,
                   struct ql_err *err);
void ima_plugin_free(struct ima_plugin *p);

/** The option rows; name NULL at the end. */
extern const struct ql_option ima_options[];

/** The validator `ima` (validate.c) and the evidence component of the same name (collector.c). */
extern const struct ql_validator ima_validator;
extern const struct ql_evidence ima_evidence;
