/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file agentdata.h
 * agent_data.json: the attestation key over restarts, in Keylime's form, so that an agent's file is taken over
 * (spec/agent.md 1.8).
 */
#pragma once
#include <stdint.h>

#include "cleanup.h"
#include "device.h"

enum {
    QL_AGENT_DATA_MAX = 256 * 1024, /**< bytes of the file: about 1,500 numbers, one a line */
    QL_AK_BLOB_MAX = 4096           /**< bytes of a public or private area */
};

struct ql_agent_data {
    uint8_t *public_area; /**< TPMT_PUBLIC */
    size_t public_len;
    uint8_t *private_area; /**< contents of TPM2B_PRIVATE: encrypted by the TPM, no secret by itself */
    size_t private_len;
};
void ql_agent_data_done(struct ql_agent_data *d);

/**
 * Read the file's text.
 * @param algs    as configured; a file of other algorithms holds no key for us
 * @param ek_hash 64 characters: lower-case hex SHA-256 of the EK's PEM
 * @param[out] ret on success owned by the caller: ql_agent_data_done()
 * @retval QL_ECONFLICT well formed, but of another EK or of other algorithms @retval QL_EPARSE @retval QL_ELIMIT
 */
int ql_agent_data_parse(const char *text, size_t len, const struct ql_tpm_algs *algs, const char *ek_hash,
                        struct ql_agent_data *ret, struct ql_err *err);
/** The file's text. @param[out] ret caller frees */
int ql_agent_data_format(const struct ql_agent_data *d, const struct ql_tpm_algs *algs, const char *ek_hash,
                         char **ret, struct ql_err *err);
