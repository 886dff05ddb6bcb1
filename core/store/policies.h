/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file policies.h
 * Stored policies of the verifier: content once by digest, names that point to it, per kind.
 * Kinds: "runtime" (/allowlists), "mb" (/mbpolicies), and validator names for custom ones.
 */
#pragma once
#include "store.h"

enum {
    QL_POLICY_NAME_MAX = 255,
    QL_POLICY_MAX_LEN = 100 * 1024 * 1024 /**< bytes; max_upload_size */
};

struct ql_policy_row {
    char *kind, *name;
    char *digest;  /**< hex SHA-256 of the content */
    char *content; /**< text as uploaded; NULL: null */
    size_t content_len;
    int64_t generator; /**< runtime policies: meta.generator; 0 unknown */
};
extern const struct ql_table ql_policy_names_table, ql_policy_contents_table;

void ql_policy_row_done(struct ql_policy_row *row);
int ql_policies_get(struct ql_txn *t, const char *kind, const char *name, struct ql_policy_row *ret,
                    struct ql_err *err);
/** As ql_policies_get(), without the content: content NULL, digest NULL for null content. */
int ql_policies_find(struct ql_txn *t, const char *kind, const char *name, struct ql_policy_row *ret,
                     struct ql_err *err);
/** Content by digest. @retval QL_ENOTFOUND */
int ql_policies_content(struct ql_txn *t, const char *digest, char **ret, size_t *ret_len,
                        struct ql_err *err);
/**
 * Content is stored once by digest (row->digest, computed when NULL) and removed in the same transaction when its last
 * name goes or changes: an agent's digest alone does not keep it.
 * @param mode QL_PUT_INSERT: QL_EEXIST when there; QL_PUT_UPDATE: QL_ENOTFOUND when not; QL_PUT_UPSERT
 */
int ql_policies_put(struct ql_txn *t, uint32_t mode, const struct ql_policy_row *row, struct ql_err *err);
int ql_policies_delete(struct ql_txn *t, const char *kind, const char *name, struct ql_err *err);
typedef int (*ql_name_fn)(void *arg, const char *name);
int ql_policies_names(struct ql_txn *t, const char *kind, ql_name_fn fn, void *arg, struct ql_err *err);
