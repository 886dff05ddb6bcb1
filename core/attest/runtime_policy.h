/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file runtime_policy.h
 * What core itself reads of a runtime policy that is uploaded: its signature, and who made it. In the worker, as all
 * reading of policies.
 */
#pragma once
#include "frame.h"

/**
 * Check the signature of a policy that must have one.
 * @param job    QL_TAG_SIGNING_KEY items "NAME\nPEM": without a name the key was sent along; else it counts where a
 *               signature's key id is its name
 * @param[out] field  what is at fault: "runtime_policy_key" (status 401), "runtime_policy" (400)
 * @retval QL_OK
 * @retval QL_EACCES, QL_EPARSE  the text of @p err is the status of the answer
 */
int ql_runtime_policy_signature(const struct ql_frame *job, const uint8_t *text, size_t len,
                                const char **field, struct ql_err *err);
/** @return meta.generator of a policy that was found valid, of an envelope's payload too; 0: none */
int64_t ql_runtime_policy_generator(const uint8_t *text, size_t len);
