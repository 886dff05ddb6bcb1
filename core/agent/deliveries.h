/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file deliveries.h
 * Which payloads were delivered, remembered over restarts, so that no script runs twice for one.
 *
 * A delivery is known by the SHA-256 of the encrypted bytes: a tenant encrypts anew for each, so the same bytes again are a
 * repeat or a replay. A payload is known by the SHA-256 of its plaintext; that counts within one boot of the machine,
 * because what a script did in memory is gone with it.
 */
#pragma once
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_DELIVERIES_MAX = 256, /**< remembered; a node gets a few in its life, the oldest goes */
    QL_DELIVERY_DIGEST = 32  /**< bytes; SHA-256 */
};

enum ql_delivery_is {
    QL_DELIVERY_NEW,
    QL_DELIVERY_SAME,    /**< another delivery of a payload that was delivered in this boot */
    QL_DELIVERY_AGAIN,   /**< the very bytes of the delivery that came last */
    QL_DELIVERY_REPLACED /**< the very bytes of an earlier one */
};

struct ql_deliveries;

/**
 * @param path  its file @param boot  id of this boot; NULL: the kernel's
 * @retval QL_ECORRUPT not a file of ours @retval QL_EIO
 */
int ql_deliveries_open(const char *path, const char *boot, struct ql_deliveries **ret, struct ql_err *err);
enum ql_delivery_is ql_deliveries_look(const struct ql_deliveries *d, const uint8_t *sealed,
                                       const uint8_t *plain);
/**
 * Remember as the last one; on disk when this returns QL_OK.
 * @param plain  NULL: not to be recognised by its plaintext, of which nothing is then kept on disk
 */
int ql_deliveries_add(struct ql_deliveries *d, const uint8_t *sealed, const uint8_t *plain,
                      struct ql_err *err);
void ql_deliveries_free(struct ql_deliveries *d);
QL_DEFINE_CLEANUP(struct ql_deliveries, ql_deliveries_free)
