/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file plugin.h
 * What the plugin keeps from init to fini: handed to every component function as `plugin`.
 */
#pragma once
#include <quicklime/validator.h>

#include "policy.h"

/** Written by init alone. */
struct mb_plugin {
    const struct ql_host *host;
    const struct ql_options *options;
    struct mb_workshop shop;    /**< what policies are made with */
    struct mb_scripts *scripts; /**< bundled and imported */
    const char *policy_name;    /**< measured_boot_policy_name; borrowed from the options */
    uint8_t scripts_digest[32]; /**< SHA-256 over all scripts: another text is another policy */
    bool forget;                /**< measured_boot_evaluate = "always": no verdict is kept */
    bool tolerate_mismatch;     /**< measured_boot_digest_check = "log" */
};

/** Option rows; name NULL at the end. */
extern const struct ql_option mb_options[];

/** @retval QL_EIO, QL_EEXIST, QL_ERANGE of an import, with its path @retval QL_ENOMEM @retval QL_ECRYPTO */
int mb_plugin_new(const struct ql_host *host, const struct ql_options *options, struct mb_plugin **ret,
                  struct ql_err *err);
void mb_plugin_free(struct mb_plugin *p);

/** The validator `mboot` (validate.c). */
extern const struct ql_validator mb_validator;
