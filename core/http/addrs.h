/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file addrs.h
 * Open connections by address: an IPv4 address, or the /64 that one IPv6 customer usually gets. Internal to core/http.
 */
#pragma once
#include <stdint.h>
#include <sys/socket.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_ADDR_KEY_LEN = 16,
    QL_ADDR_TEXT_LEN = 46 /**< INET6_ADDRSTRLEN */
};

struct ql_addrs;
int ql_addrs_new(struct ql_addrs **ret, struct ql_err *err);
void ql_addrs_free(struct ql_addrs *a);
QL_DEFINE_CLEANUP(struct ql_addrs, ql_addrs_free)

/** Key and text of an address; IPv4 in IPv6 counts as IPv4. Unknown families share one key. */
void ql_addr_key(const struct sockaddr *sa, uint8_t key[QL_ADDR_KEY_LEN], char text[QL_ADDR_TEXT_LEN]);
/** Count one more. @return connections of this address now, 0: no memory */
unsigned ql_addrs_enter(struct ql_addrs *a, const uint8_t key[QL_ADDR_KEY_LEN]);
void ql_addrs_leave(struct ql_addrs *a, const uint8_t key[QL_ADDR_KEY_LEN]);
