/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file peer.h
 * What the files of the client half share. Internal to core/http.
 *
 * A peer has at most one connection, an evhttp_connection that is used for exactly one TCP connection: what breaks is
 * thrown away and made anew, so evhttp never reconnects behind our back. Failures that evhttp reports are only noted
 * in its callbacks and dealt with from the loop, when evhttp is not on the stack.
 */
#pragma once
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event_struct.h>
#include <event2/http.h>
#include <sys/queue.h>

#include "client.h"
#include "loop.h"
#include "resolve.h"
#include "server.h"
#include "tlswatch.h"

enum {
    QL_CLIENT_HEADER_MAX = 32 * 1024, /**< bytes of an answer's headers */
    QL_CHUNK_LINE_MAX = 64 * 1024,    /**< bytes of a line between chunks of an answer */
    QL_CLIENT_IDLE_MS = 600 * 1000,   /**< evhttp's own time-out: an idle connection is dropped after this */
    QL_RATE_GRACE_S = 10,             /**< min_rate counts from here, after the first byte */
    QL_RATE_TICK_MS = 1000,
    QL_NO_RESUME_S = 3600,       /**< after a failed resumption (decision 28) */
    QL_LARGE_ANSWER = 64 * 1024, /**< bytes; what comes beyond them is read when nothing else is due */
    QL_PIECE = 64 * 1024         /**< bytes gathered before they are written into a memfd */
};

struct ql_http_call {
    TAILQ_ENTRY(ql_http_call) link;
    struct ql_peer *peer;
    struct event timer; /**< deadline */
    ql_call_done done;
    void *arg;
    struct ql_call what; /**< pointers go into `data` */
    int64_t started_ns;
    bool repeated;
    char data[];
};

TAILQ_HEAD(ql_call_list, ql_http_call);
TAILQ_HEAD(ql_peer_list, ql_peer);

struct ql_peer {
    struct ql_tls_watch watch; /**< first */
    struct ql_http_client *client;
    TAILQ_ENTRY(ql_peer) wait_link;
    struct ql_peer_list *waiting; /**< list of peers that want to connect, NULL: in none */
    char *host, *host_header;
    uint16_t port;
    bool check_host, unframed_ok, numeric;
    struct ql_tls *tls;
    uint8_t *pin;
    size_t pin_len;

    struct ql_call_list queue, background;
    unsigned queued;
    struct ql_http_call *active;
    struct event event; /**< connect deadline, rate tick, failures to deal with */
    unsigned refs;      /**< callbacks on the stack */
    bool dead;

    struct ql_resolving *resolving;
    struct ql_resolved *resolved;
    size_t address; /**< of `resolved`, the one in use */

    /* the connection */
    struct evhttp_connection *evcon; /**< NULL: none */
    struct bufferevent *bev;
    struct evbuffer_cb_entry *input_cb, *output_cb;
    SSL *ssl;
    struct evhttp_request *req; /**< in flight */
    bool has_slot, connected, reused, closed, offered, resumed, greeted, mismatch;
    bool is_last;       /**< reads when nothing else is due */
    bool by_ca;         /**< the certificate is good for its chain, not for being the pinned one */
    bool session_by_ca; /**< the same of the certificate in `session` */
    int verify_error;
    SSL_SESSION *session;
    int64_t no_resume_before_ns;

    /* the answer under way */
    enum evhttp_request_error evhttp_error;
    bool has_evhttp_error;
    size_t received, held; /**< bytes read; counted in the client */
    int64_t first_byte_ns;
    struct evbuffer *body;
    int body_fd;
    size_t body_len;
    int failure; /**< 0, or a QL_E… to deal with from the loop */
    char failure_text[256];
};

struct ql_http_client {
    struct event_base *base;
    struct ql_http_client_config config;
    struct ql_resolver *resolver;
    struct ql_peer_list urgent, patient; /**< peers waiting for a connect slot */
    unsigned connecting;
    size_t body_bytes;
    struct event *grave_event;
    struct evhttp_connection **grave; /**< to be freed when evhttp is off the stack */
    size_t grave_count, grave_room;
    const struct timeval *idle, *tick;
};

/* client.c */
void ql_client_bury(struct ql_http_client *c, struct evhttp_connection *evcon);

/* connect.c */
void ql_peer_begin_connect(struct ql_peer *p);
void ql_peer_leave_queue(struct ql_peer *p);
void ql_peer_release_slot(struct ql_peer *p); /**< the next that waits gets it */
void ql_peer_retire(struct ql_peer *p);       /**< drop the connection, from any context */

/* answer.c */
void ql_answer_reset(struct ql_peer *p);
/** Piece of a body. @return QL_OK, QL_EIO, QL_ENOMEM */
int ql_answer_take(struct ql_peer *p, struct evbuffer *from);
/** Fill body of the result. */
int ql_answer_finish(struct ql_peer *p, struct evbuffer *from, struct ql_http_result *ret);

/* exchange.c */
enum evhttp_cmd_type ql_peer_command(unsigned method); /**< 0: none that can be sent */
bool ql_peer_send(struct ql_peer *p); /**< active call over the connection; false: no memory */
void ql_peer_next(struct ql_peer *p); /**< start the next call, if nothing is under way */
void ql_peer_note(struct ql_peer *p, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
struct ql_http_call *ql_peer_pick(struct ql_peer *p);
void ql_peer_connected(struct ql_peer *p);
void ql_peer_finish_failed(struct ql_peer *p, struct ql_http_call *call, int code, const char *text);
void ql_peer_on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *peer);
void ql_peer_on_event(evutil_socket_t fd, short what, void *peer);
void ql_peer_on_deadline(evutil_socket_t fd, short what, void *call);

/* peer.c */
void ql_peer_unref(struct ql_peer *p);
