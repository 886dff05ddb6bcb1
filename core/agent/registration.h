/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file registration.h
 * From an AK to an active registration (spec/agent.md 2): negotiate, register, activate the credential in the TPM, prove it.
 * Runs on the loop; the TPM's part on the TPM thread.
 */
#pragma once
#include "client.h"
#include "json.h"

struct ql_agent;
struct ql_registration;

/**
 * Called once, on the loop.
 * @param code  QL_OK: active; QL_EACCES: the registrar said 403, nothing helps but its operator; else the failure
 */
typedef void (*ql_registration_done)(void *arg, int code, const char *text);

/** Start; the agent's TPM fields must be set. */
int ql_registration_new(struct ql_agent *a, ql_registration_done done, void *arg,
                        struct ql_registration **ret, struct ql_err *err);
/** May be called at any time, also from `done`. */
void ql_registration_free(struct ql_registration *r);

/** Body of the registration request (spec/agent.md 2.2), caller decrefs. @param attest, signature  base64; NULL: no IAK */
json_t *ql_registration_body(const struct ql_agent *a, uint16_t port, const char *attest,
                             const char *signature);
