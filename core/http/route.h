/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file route.h
 * The compiled route table: one row of a request's path and method. Pure; internal to core/http.
 */
#pragma once
#include "server.h"

enum {
    QL_SEGMENTS_MAX = 8, /**< segments of a pattern after the version; the REST API has at most five */
    QL_ROUTE_PARAMS_MAX = 4,
    QL_ROUTES_MAX = 128
};

struct ql_routes;

/** Part of a path, borrowed. */
struct ql_span {
    const char *at;
    size_t len;
};

struct ql_match {
    const struct ql_route *route; /**< NULL: see `miss` */
    enum ql_miss miss;
    unsigned version;                          /**< of the prefix, 0: none */
    unsigned allowed;                          /**< with QL_MISS_METHOD: methods that the path has */
    struct ql_span param[QL_ROUTE_PARAMS_MAX]; /**< in order of the pattern */
    unsigned param_count;
};

/** @retval QL_ERANGE a row is incomplete, named in the text */
int ql_routes_new(const struct ql_route *rows, const unsigned *versions, bool slash_optional,
                  struct ql_routes **ret, struct ql_err *err);
void ql_routes_free(struct ql_routes *t);
QL_DEFINE_CLEANUP(struct ql_routes, ql_routes_free)

/** @param path  raw, without query, begins with '/' */
void ql_routes_match(const struct ql_routes *t, unsigned method, const char *path, size_t len,
                     struct ql_match *ret);
/** Place of a parameter's name in the pattern. @return index, -1: the route has no such parameter */
int ql_route_param_index(const struct ql_route *route, const char *name);
/** Largest body that any row takes. */
size_t ql_routes_body_max(const struct ql_routes *t, size_t preset);
