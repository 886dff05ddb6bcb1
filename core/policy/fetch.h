/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file fetch.h
 * Files over HTTP and HTTPS: what a server sends is bounded in size and time, its certificate is always verified, and no
 * redirection leads from HTTPS to HTTP or to another protocol.
 *
 * Layer: policy. Blocks; one of these a thread.
 */
#pragma once
#include "buf.h"
#include "cleanup.h"

#include <quicklime/error.h>

enum {
    QL_FETCH_REDIRECTS_MAX = 5,
    QL_FETCH_CONNECT_S = 30, /**< seconds for a connection and its handshake */
    QL_FETCH_STALL_S = 60,   /**< seconds with less than QL_FETCH_SLOW bytes each, then it is given up */
    QL_FETCH_SLOW = 256
};

/** A client with the connection that it keeps. */
struct ql_fetch;

/** @param ca_file PEM file of CAs beside which no other is trusted; NULL: those of the system */
int ql_fetch_new(const char *ca_file, struct ql_fetch **ret, struct ql_err *err);
void ql_fetch_free(struct ql_fetch *f);
QL_DEFINE_CLEANUP(struct ql_fetch, ql_fetch_free)

/**
 * A whole file.
 * @param[in,out] to  empty; its max_len is the limit
 * @retval QL_ENOTFOUND the server has no such file @retval QL_ELIMIT it is longer
 * @retval QL_EIO no connection, or another answer; the text names the URL without a password
 */
int ql_fetch_whole(struct ql_fetch *f, const char *url, struct ql_buf *to, struct ql_err *err);
/** The first @p len bytes, or all where the file is shorter. Errors as above. */
int ql_fetch_beginning(struct ql_fetch *f, const char *url, size_t len, struct ql_buf *to,
                       struct ql_err *err);

/**
 * What a reference in a document of @p base stands for.
 * @param[out] ret  a URL of the same scheme, host and port, caller frees
 * @retval QL_EPARSE no reference, or it leads to another server
 */
int ql_fetch_resolve(const char *base, const char *reference, char **ret, struct ql_err *err);
/** A URL as it may be shown: without user, password and query. Caller frees; NULL: it cannot be taken apart, or no memory */
char *ql_fetch_shown(const char *url);
