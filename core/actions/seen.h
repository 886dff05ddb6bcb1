/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file seen.h
 * Which revocation messages were acted on, remembered over restarts (decision 31).
 *
 * A message is known by the SHA-256 of its exact bytes. The last QL_SEEN_MAX are kept. What is older than QL_SEEN_DAYS, or
 * not younger than a message that had to be forgotten, is refused: it could have been acted on already.
 */
#pragma once
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_SEEN_MAX = 4096,      /**< messages that are remembered */
    QL_SEEN_DAYS = 7,        /**< older ones are not acted on */
    QL_SEEN_DIGEST_LEN = 32, /**< SHA-256 */
    QL_SEEN_SLACK_H = 14     /**< hours that a message's time may be off: it names no zone */
};

enum ql_seen_is {
    QL_SEEN_NEW,
    QL_SEEN_KNOWN, /**< acted on before */
    QL_SEEN_OLD    /**< too old to tell */
};

struct ql_seen;

/**
 * Open or make the file. A last record that a crash cut short is dropped.
 * @retval QL_ECORRUPT not a file of ours @retval QL_EIO
 */
int ql_seen_open(const char *path, struct ql_seen **ret, struct ql_err *err);
/** @param time_ns the message's own time @param now_ns wall clock */
enum ql_seen_is ql_seen_look(const struct ql_seen *s, const uint8_t *digest, int64_t time_ns, int64_t now_ns);
/** Remember; on disk when this returns QL_OK. */
int ql_seen_add(struct ql_seen *s, const uint8_t *digest, int64_t time_ns, struct ql_err *err);
void ql_seen_free(struct ql_seen *s);
QL_DEFINE_CLEANUP(struct ql_seen, ql_seen_free)
