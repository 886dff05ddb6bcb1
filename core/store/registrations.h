/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file registrations.h
 * The registrar's rows: one active and at most one pending record an agent (decision 26; spec/server.md 9, 13).
 */
#pragma once
#include "store.h"

struct ql_registration {
    char *agent_id;
    bool active;                                      /**< the record that has been activated; else pending */
    uint8_t *ek_tpm, *aik_tpm, *iak_tpm, *idevid_tpm; /**< TPM2B_PUBLIC; NULL: null */
    size_t ek_tpm_len, aik_tpm_len, iak_tpm_len, idevid_tpm_len;
    uint8_t *ekcert, *iak_cert, *idevid_cert; /**< certificate bytes as sent (DER); NULL: null */
    size_t ekcert_len, iak_cert_len, idevid_cert_len;
    char *mtls_cert; /**< PEM or "disabled"; NULL: null */
    char *ip;
    int64_t port; /**< 0: null */
    int64_t regcount;
    char *key; /**< pending: HMAC key text of the challenge; NULL */
    int64_t created_ns;
    int64_t wrong_tags; /**< pending: activations that failed */
};
extern const struct ql_table ql_registrations_table; /**< key: agent_id, active (0/1) */

void ql_registration_done(struct ql_registration *r);
/** @param active which of the two records @retval QL_ENOTFOUND */
int ql_registrations_get(struct ql_txn *t, const char *agent_id, bool active, struct ql_registration *ret,
                         struct ql_err *err);
int ql_registrations_put(struct ql_txn *t, const struct ql_registration *r, struct ql_err *err);
int ql_registrations_delete(struct ql_txn *t, const char *agent_id, bool active, struct ql_err *err);
typedef int (*ql_registration_fn)(void *arg, struct ql_registration *r);
/** As ql_agents_each(): the row is freed when @p fn returns, unless it is copied and zeroed. */
int ql_registrations_each(struct ql_txn *t, ql_registration_fn fn, void *arg, size_t *skipped,
                          struct ql_err *err);
/** Drop pending rows older than @p before_ns, and the oldest beyond @p keep. @param[out] dropped */
int ql_registrations_expire(struct ql_txn *t, int64_t before_ns, uint64_t keep, uint64_t *dropped,
                            struct ql_err *err);
