/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file notice.h
 * A revocation message as a peer receives it: read the body, check its signature, then read what it says.
 *
 * Wire source: spec/agent.md 6.1. Pure, but for the certificate file. Nothing of `msg` is interpreted before its signature
 * was found right.
 */
#pragma once
#include "cert.h"
#include "json.h"

enum {
    QL_NOTICE_MAX = 2 * 1024 * 1024, /**< bytes of a body: what the agent takes in a request */
    QL_NOTICE_SIGNATURE_MAX = 1024,  /**< bytes of a signature: RSA 8192 */
    QL_NOTICE_CERT_MAX = 64 * 1024,  /**< bytes of the certificate's file */
    QL_NOTICE_DIGEST_LEN = 32,       /**< SHA-256 */
    QL_NOTICE_TIME_SLACK_H = 14      /**< event_time is local time of an unnamed zone */
};

/** A message. Owned: ql_notice_free(). */
struct ql_notice {
    char *msg; /**< the exact signed bytes, and a NUL */
    size_t msg_len;
    char *signature;                      /**< base64, as sent */
    uint8_t digest[QL_NOTICE_DIGEST_LEN]; /**< SHA-256 of msg: what identifies it */

    /* Filled by ql_notice_read(). Borrowed from json; never NULL. */
    json_t *json; /**< msg, parsed; NULL before */
    const char *type, *agent_id, *ip, *meta_data, *event_id, *severity, *event_time;
    int64_t port;    /**< 0: none */
    int64_t time_ns; /**< event_time, read as if it were UTC */
};

/**
 * Read the body of the POST: {"msg": text, "signature": text}.
 * @retval QL_EPARSE not such an object @retval QL_ELIMIT
 */
int ql_notice_parse(const void *body, size_t len, struct ql_notice **ret, struct ql_err *err);
/**
 * Check the signature: RSASSA-PSS with SHA-256 and maximal salt, by the certificate's key.
 * @retval QL_OK @retval QL_ECRYPTO anything else
 */
int ql_notice_check(const struct ql_notice *n, const struct ql_cert *cert, struct ql_err *err);
/** Read the certificate of the revocation notifier. @retval QL_ENOTFOUND no file */
int ql_notice_cert(const char *path, struct ql_cert **ret, struct ql_err *err);
/**
 * Read what it says. Call only after ql_notice_check(), or on what was never signed (a dry run).
 * @retval QL_EPARSE no object, or without type, agent_id or event_time
 */
int ql_notice_read(struct ql_notice *n, struct ql_err *err);
/** The body again, as sent on; caller frees; NULL: no memory. */
char *ql_notice_body(const struct ql_notice *n);
/** First 16 hex digits of the digest, for log lines. @p out has room for 17. @return out */
char *ql_notice_name(const struct ql_notice *n, char *out);
void ql_notice_free(struct ql_notice *n);
QL_DEFINE_CLEANUP(struct ql_notice, ql_notice_free)
