/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file addition.h
 * What POST /agents/{agent_id} says, as a row and a list of policies (spec/server.md 2.4).
 */
#pragma once
#include "agents.h"
#include "jobs.h"
#include "json.h"

enum {
    QL_ADDITION_TEXT_MAX = 1024 * 1024, /**< bytes of any text field but policies */
    QL_V_MAX = 4096                     /**< bytes of V */
};

/** A policy of an addition. */
struct ql_added_policy {
    char validator[33];
    char kind[33];  /**< of stored policies: "runtime", "mb", or the validator; "": kept in the row */
    char *name;     /**< it is stored under; NULL: the agent's id */
    uint8_t *bytes; /**< what the validator compiles; NULL: nothing to judge by */
    size_t len;
    bool is_inline; /**< comes with the addition; else the stored one of that name is meant */
    bool has_digest;
    uint8_t digest[32]; /**< of a stored one; `bytes` may then be NULL */
    bool is_null;       /**< stored with null content */
    bool must_be_signed;
    int64_t generator;
};

struct ql_addition {
    struct ql_agent_row row; /**< without what the check and the seal add */
    char *ak_tpm;            /**< base64 as uploaded */
    uint8_t *v;              /**< NULL: none */
    size_t v_len;
    char *revocation_key; /**< PEM, NULL: none */
    uint32_t mask;        /**< of tpm_policy */
    struct ql_added_policy policies[QL_POLICIES_MAX];
    size_t policy_count;
};

/** What an addition is read with. */
struct ql_addition_rules {
    const char *agent_id, *verifier_id, *verifier_ip;
    int64_t verifier_port;
    bool mtls_needed;     /**< enable_agent_mtls */
    bool signed_policies; /**< require_allow_list_signatures */
};
/**
 * Read the body. The text of @p err is the status of the answer, @p http its code (400 or 401).
 * @param body  object; texts are copied
 */
int ql_addition_read(const json_t *body, const struct ql_addition_rules *rules, struct ql_addition *ret,
                     int *http, struct ql_err *err);
void ql_addition_done(struct ql_addition *a);

/**
 * A runtime policy as uploaded (base64 of JSON).
 * @param[out] ret      text, caller frees
 * @param[out] is_empty it judges nothing: meta.generator is 1, or nothing was sent
 * @retval QL_EPARSE "Runtime policy is not valid JSON!"
 */
int ql_runtime_policy_read(const char *base64, size_t len, char **ret, size_t *ret_len, bool *is_empty,
                           int64_t *generator, struct ql_err *err);
/** True for measured boot policies that judge nothing: no text, and the JSON values {}, [], "", 0 and false. */
bool ql_mb_policy_is_empty(const char *text, size_t len);
/** The runtime policy that is stored when none was sent. */
extern const char ql_empty_runtime_policy[];
