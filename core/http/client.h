/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file client.h
 * HTTP(S) client: one kept-alive connection a peer, deadlines, pinned certificates, answers into memory or a memfd.
 *
 * Host names are resolved off the loop. TLS always verifies: by pin (the exact certificate) or by the context's CA
 * list; there is no "off". Host names are not compared with certificates between Keylime's parties (spec/server.md 1)
 * unless `check_host`.
 */
#pragma once
#include <event2/event.h>

#include "tls.h"

struct ql_http_client;
struct ql_peer;

struct ql_http_client_config {
    struct event_base *base;
    unsigned connecting_max; /**< connects and handshakes at a time, over all peers [64] */
    unsigned connect_ms;     /**< connect and handshake [10,000] */
    size_t total_body_max;   /**< bytes of answers in memory over all calls [1 GiB] */
};
int ql_http_client_new(const struct ql_http_client_config *config, struct ql_http_client **ret,
                       struct ql_err *err);
/** All peers must be freed first. Not from inside a callback of a call. */
void ql_http_client_free(struct ql_http_client *c);
QL_DEFINE_CLEANUP(struct ql_http_client, ql_http_client_free)

struct ql_peer_config {
    const char *host; /**< name or numeric address */
    uint16_t port;
    struct ql_tls *tls; /**< own certificate and CAs; NULL: plain HTTP. A reference is kept. */
    const uint8_t
        *pin; /**< DER of the one certificate accepted (besides the CAs of `tls`); NULL: none. Copied. */
    size_t pin_len;
    bool check_host; /**< certificate must name the host */
    /**
     * Take an answer without length that ends with the connection although TLS was not closed first (old Python
     * agents). The caller must notice a cut answer by itself; a JSON parser does.
     */
    bool unframed_ok;
};
/**
 * A peer connects at its first call. A pinned certificate is accepted for being that one: neither its chain nor its
 * dates matter; it is compared after every handshake, resumed ones too.
 */
int ql_peer_new(struct ql_http_client *c, const struct ql_peer_config *config, struct ql_peer **ret,
                struct ql_err *err);
/** Calls under way end with QL_ECLOSED, their callbacks run before this returns. */
void ql_peer_free(struct ql_peer *p);
QL_DEFINE_CLEANUP(struct ql_peer, ql_peer_free)
/** Drop the connection; the next call connects anew (after a certificate reload). */
void ql_peer_reset(struct ql_peer *p, struct ql_tls *tls);

/** What came back. Borrowed until the callback returns. */
struct ql_http_result {
    int error; /**< QL_OK, or why there is no answer: QL_EIO, QL_ETIMEOUT, QL_ECRYPTO (TLS), QL_ELIMIT, QL_ECLOSED */
    const char *error_text;
    int status;          /**< HTTP status, 0 without answer */
    const uint8_t *body; /**< NULL when it went to `body_fd` */
    size_t body_len;
    int body_fd; /**< sealed memfd of body_len bytes, -1; dup() or take with ql_result_take_fd() */
    int64_t elapsed_ns;
    void *headers; /**< see ql_result_header() */
};
const char *ql_result_header(const struct ql_http_result *r, const char *name);
int ql_result_take_fd(struct ql_http_result *r);
typedef void (*ql_call_done)(struct ql_http_result *result, void *arg);

struct ql_call {
    unsigned method;  /**< QL_GET, … of server.h */
    const char *path; /**< with query, already encoded */
    const void *body; /**< copied; NULL: none */
    size_t body_len;
    const char *content_type; /**< NULL: none */
    unsigned deadline_ms;     /**< whole call, queueing included [60,000] */
    size_t response_max;      /**< bytes [1 MiB]; more: QL_ELIMIT */
    size_t memfd_above;       /**< answers larger than this go to a sealed memfd; 0: never */
    unsigned min_rate;        /**< bytes per second after 10 s, else QL_ETIMEOUT; 0: no floor */
    bool background;          /**< waits behind calls that are not */
};
enum {
    QL_PEER_QUEUE_MAX = 256 /**< calls waiting at one peer; more: QL_ELIMIT */
};

/**
 * Send a request. One is under way a peer; others queue. A request that fails on a reused connection before any byte of
 * its answer is repeated once when it is idempotent (GET, PUT, DELETE).
 * @param done  called exactly once, on the loop thread, never from inside this function. It may free the peer.
 * @retval QL_ERANGE not a path, header or method that can be sent @retval QL_ELIMIT @retval QL_ECLOSED peer is freed
 */
int ql_peer_call(struct ql_peer *p, const struct ql_call *call, ql_call_done done, void *arg,
                 struct ql_err *err);
/** Percent-encode for a query value; caller frees; NULL: no memory. */
char *ql_url_encode(const char *text);
