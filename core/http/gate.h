/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file gate.h
 * Strict check of a request's head, line by line, on the bytes as they came, before evhttp reads them. Pure; internal
 * to core/http.
 *
 * evhttp takes much that RFC 9112 refuses (several Content-Length, blanks before the colon, bare LF, folded lines);
 * where two readers understand a head differently, requests can be smuggled. What passes here has one meaning.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    QL_GATE_HEADERS_MAX = 100, /**< header lines; browsers and proxies send some thirty */
    QL_GATE_METHOD_MAX = 24,   /**< characters of a method; the longest registered has 17 */
    QL_REQUEST_ID_MAX = 36     /**< characters of X-Request-ID that are kept (spec/server.md 1) */
};

/** What the lines so far say. Zeroed by ql_gate_begin(). */
struct ql_gate {
    bool done;         /**< the empty line was seen */
    unsigned method;   /**< QL_GET, …; 0: a method unknown here */
    unsigned minor;    /**< HTTP/1.0 or 1.1 */
    unsigned headers;  /**< header lines so far */
    size_t target_len; /**< bytes of the request target */
    uint64_t body_len; /**< Content-Length, 0: none */
    bool has_host, has_length, has_type, chunked, has_auth, is_json, expects;
    bool auth_bad;                          /**< Authorization is not empty and not "Bearer TOKEN" */
    bool auth_bearer;                       /**< Authorization is "Bearer TOKEN" */
    bool unmet_expect;                      /**< Expect is not 100-continue */
    bool has_line;                          /**< the request line was seen */
    char request_id[QL_REQUEST_ID_MAX + 1]; /**< cleaned */
};

void ql_gate_begin(struct ql_gate *g);
/**
 * Check the next line.
 * @param line  without its CR LF; may hold any byte
 * @return 0, or the status to refuse with (400, 431, 505): nothing after this line may be looked at
 */
int ql_gate_line(struct ql_gate *g, const char *line, size_t len);
/** At `done`: 0, or the status of a head that is well formed but not served (501, 417). */
int ql_gate_verdict(const struct ql_gate *g);
/** Word characters of a header value, cut to QL_REQUEST_ID_MAX. @p out has room for QL_REQUEST_ID_MAX + 1 */
void ql_request_id_clean(const char *value, size_t len, char *out);
