/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file resolve.h
 * Host names to addresses on helper threads: getaddrinfo() blocks. Internal to core/http.
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_RESOLVED_MAX = 8,      /**< addresses of one name that are tried */
    QL_ADDRESS_TEXT_MAX = 64, /**< numeric address with scope */
    QL_RESOLVE_THREADS = 4    /**< names looked up at a time; one slow server must not hold up the others */
};

struct ql_resolved {
    size_t count;
    char address[QL_RESOLVED_MAX][QL_ADDRESS_TEXT_MAX];
};

struct ql_resolver;
struct ql_resolving;
/** @param list  NULL: failed, @p reason says why. Both borrowed. */
typedef void (*ql_resolve_done)(const struct ql_resolved *list, const char *reason, void *arg);

int ql_resolver_new(struct event_base *base, struct ql_resolver **ret, struct ql_err *err);
/** Look-ups under way are forgotten; their threads end by themselves. */
void ql_resolver_free(struct ql_resolver *r);
QL_DEFINE_CLEANUP(struct ql_resolver, ql_resolver_free)

/** @param done  called on the loop, never from inside this function. @return NULL: no memory or no thread */
struct ql_resolving *ql_resolve(struct ql_resolver *r, const char *host, ql_resolve_done done, void *arg);
/** Before `done`: it will not be called. */
void ql_resolve_cancel(struct ql_resolving *job);
/** @return true for a numeric IPv4 or IPv6 address */
bool ql_is_numeric(const char *host);
