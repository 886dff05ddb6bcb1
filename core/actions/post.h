/* SPDX-License-Identifier: Apache-2.0 */
/** @file post.h  One HTTPS POST, blocking: webhooks and ql.http.post. For processes without a loop of their own. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

enum {
    QL_POST_ANSWER_MAX = 1024 * 1024, /**< bytes of an answer's body */
    QL_POST_CAS_MAX = 16              /**< CA files */
};

/** Whom to trust and who we are. Borrowed. */
struct ql_post_config {
    const char *const *ca_files;      /**< PEM files, NULL at the end; NULL: none */
    bool system_cas;                  /**< trust the system's CAs, too */
    const char *cert_file, *key_file; /**< client certificate; NULL: none */
    const char *key_password;         /**< NULL: none */
    bool plain_ok;                    /**< http:// is taken as it stands; else only https:// */
};

/**
 * Post, and wait for the answer. The server's certificate is always checked, its name included.
 * @param end_ns  monotonic deadline
 * @param[out] status of the answer @param[out] answer  its body and a NUL, caller frees; may be NULL
 * @retval QL_ERANGE URL @retval QL_EIO @retval QL_ETIMEOUT @retval QL_ECRYPTO no answer, and why
 */
int ql_post(const struct ql_post_config *config, const char *url, const void *body, size_t len,
            const char *type, int64_t end_ns, int *status, char **answer, size_t *answer_len,
            struct ql_err *err);
