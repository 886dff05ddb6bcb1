/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file compiled.h
 * A stored boot policy (a reference state) as the validator keeps it: with the script of the configuration, and with those that
 * single calls name.
 *
 * Layer: plugin mboot. One thread at a time.
 */
#pragma once
#include "judge.h"
#include "plugin.h"

enum {
    MB_VARIANTS_MAX = 4,     /**< scripts besides the configured one; the longest unused one goes */
    MB_POLICY_NAME_MAX = 64, /**< characters of a policy's name */
    MB_SHOWN_REFSTATE = 4096 /**< bytes of a reference state in a failure */
};

/** A script with the reference state. */
struct mb_variant {
    char name[MB_POLICY_NAME_MAX]; /**< as asked for */
    struct mb_policy *policy;      /**< NULL: it does not compile */
    char why[MB_REASON_MAX];       /**< then */
    uint64_t used;
};

struct mb_compiled {
    bool is_off;      /**< Keylime's word for "no measured boot": nothing is needed or judged */
    bool is_invalid;  /**< a stored text that is no policy */
    json_t *refstate; /**< NULL when invalid */
    struct mb_variant configured, others[MB_VARIANTS_MAX];
    uint64_t asked;
    struct ql_need need;
    uint32_t pcr_mask; /**< that must be quoted */
};

/** ql_validator.prepare, release and needs. */
int mb_compiled_new(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                    size_t *ret_size, struct ql_err *err);
void mb_compiled_free(void *plugin, void *compiled);
int mb_compiled_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err);

/** The variant for a policy's name; NULL or "": the configured one. Never NULL. */
const struct mb_variant *mb_compiled_variant(const struct mb_plugin *p, struct mb_compiled *c,
                                             const char *name);
