/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file conn.h
 * A server and its connections: what the files of the server half share. Internal to core/http.
 *
 * evhttp owns a connection (socket, buffers, HTTP framing); a struct ql_conn stands beside it and adds what evhttp
 * lacks: the gate, deadlines, caps. It is freed by evhttp's close callback, or with the answer of a handler that
 * outlived its connection.
 */
#pragma once
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event_struct.h>
#include <event2/http.h>
#include <sys/queue.h>

#include "addrs.h"
#include "gate.h"
#include "identity.h"
#include "listen.h"
#include "loop.h"
#include "query.h"
#include "route.h"
#include "server.h"
#include "tlswatch.h"

enum {
    QL_ACCEPTS_A_TURN = 16,     /**< connections, then the loop looks after the others */
    QL_HANDSHAKES_A_TURN = 4,   /**< begun in one turn of the loop; each takes about a millisecond of RSA */
    QL_SLOT_MS = 200,           /**< a handshake gives its slot back after this: a stalled one costs no CPU */
    QL_LINGER_MS = 2000,        /**< after a refusal the rest of the request is read, so that it arrives */
    QL_LINGER_MAX = 4 << 20,    /**< bytes of that rest: twice the largest body still gets its answer */
    QL_DENIED_BODY_MAX = 65536, /**< body of a request that is going to be refused */
    QL_CHUNK_FRAMING = 65536,   /**< bytes of chunk sizes and trailers beyond as many as the body may have */
    QL_WRITE_FLOOR = 32768      /**< bytes a client must read in each write_ms */
};

enum ql_conn_state {
    QL_CONN_FRESH,     /**< accepted, evhttp is still setting it up */
    QL_CONN_SILENT,    /**< TLS: the first record is not here yet */
    QL_CONN_QUEUED,    /**< TLS: waits for a handshake slot, unread */
    QL_CONN_HANDSHAKE, /**< TLS */
    QL_CONN_HEAD,      /**< idle, or reading request line and headers */
    QL_CONN_BODY,      /**< head passed the gate */
    QL_CONN_HANDLER,   /**< a handler owes an answer */
    QL_CONN_WRITE,     /**< the answer is being written */
    QL_CONN_REFUSED,   /**< evhttp must not see more of it; the refusal is sent from the loop */
    QL_CONN_FLUSH,     /**< refusal being written */
    QL_CONN_LINGER,    /**< reading and dropping */
    QL_CONN_DEAD       /**< closed; a handler still owes an answer */
};

struct ql_http_req {
    struct ql_conn *conn;
    struct evhttp_request *ev; /**< NULL once evhttp has it back */
    const struct ql_route *route;
    const char *path, *query; /**< into `text` */
    const char *param[QL_ROUTE_PARAMS_MAX];
    char *text; /**< owned by the connection, used again */
    size_t text_room;
    struct ql_query *decoded; /**< made at the first query parameter asked for, kept */
    bool query_ready;
    void *attached;
    void (*attached_free)(void *);
};

struct ql_conn {
    struct ql_tls_watch watch; /**< first: handshake callbacks get this */
    TAILQ_ENTRY(ql_conn) link, queue_link;
    struct ql_http_server *server;
    struct bufferevent *bev;
    struct evhttp_connection *evcon;
    struct evbuffer_cb_entry *input_cb;
    SSL *ssl; /**< NULL: plain; belongs to bev */
    struct event timer;
    int fd;
    int wanted; /**< SILENT: bytes that the socket waits for, 0: any */
    enum ql_conn_state state;
    bool refuse, has_slot, counted, begun, pending, timer_set, ranked;
    int refusal; /**< status in state REFUSED */
    struct ql_gate gate;
    size_t checked;   /**< bytes at the front of the input that passed the gate */
    size_t lines_len; /**< bytes of the head so far */
    size_t body_held; /**< bytes of body counted in the server */
    size_t body_room; /**< as many may arrive, chunk framing included */
    size_t left;      /**< WRITE: bytes to write when last looked; LINGER: bytes dropped */
    const struct ql_route *route;
    enum ql_miss miss;
    unsigned version, allowed, param_count;
    struct {
        size_t at, len;
    } param[QL_ROUTE_PARAMS_MAX]; /**< in the path */
    struct ql_identity *identity; /**< read when first asked for */
    uint8_t addr_key[QL_ADDR_KEY_LEN];
    char addr[QL_ADDR_TEXT_LEN];
    struct ql_http_req req;
};

TAILQ_HEAD(ql_conn_list, ql_conn);

struct ql_http_server {
    struct event_base *base;
    struct evhttp *http;
    struct ql_listen *listen;
    struct ql_tls *tls;
    struct ql_routes *routes;
    struct ql_addrs *addrs;
    void *arg;
    ql_miss_handler on_miss;
    struct ql_http_limits limits;
    bool json_compact, json_indent, judges_tokens, draining, closing;
    struct ql_conn_list conns, fresh, queue;
    unsigned fresh_count;
    struct event *fresh_event, *turn_event;
    struct ql_conn **by_fd;
    size_t by_fd_room;
    unsigned connections, handshakes, pending;
    size_t body_bytes;
    /** Common timeouts of the base: adding a timer is O(1) however many connections there are. */
    const struct timeval *slot, *handshake, *header, *body, *idle, *write, *reply, *linger;
};

/* accept.c */
struct bufferevent *ql_conn_accept(struct event_base *base, void *server);
void ql_conn_setup_fresh(struct ql_http_server *s);
struct ql_conn *ql_conn_find(struct ql_http_server *s, struct evhttp_request *ev);
void ql_conn_release_slot(struct ql_conn *c);     /**< the next that waits gets it */
void ql_conn_take_turn(struct ql_http_server *s); /**< begin some of the handshakes that wait */
void ql_conn_rank(struct ql_conn *c); /**< after the handshake: is it served with everybody, or last? */

/* conn.c */
void ql_conn_timer(struct ql_conn *c, const struct timeval *tv);
void ql_conn_on_timer(evutil_socket_t fd, short what, void *conn);
void ql_conn_on_closed(struct evhttp_connection *evcon, void *conn);
void ql_conn_on_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *conn);
void ql_conn_next(struct ql_conn *c);     /**< the answer is out: expect the next head */
void ql_conn_kill(struct ql_conn *c);     /**< not from inside evhttp; frees c unless a handler holds it */
void ql_conn_abandon(struct ql_conn *c);  /**< the handler is late: 503 now, its answer goes nowhere */
void ql_conn_answered(struct ql_conn *c); /**< a handler answered on a connection that is gone or going */
void ql_conn_forget(struct ql_conn *c);   /**< leave everything but the memory and a handler's claim on it */
void ql_conn_free(struct ql_conn *c);

/* server.c */
void ql_server_request(struct evhttp_request *ev, void *server);
/** What stands between this request and its route. @return 0, or the status to answer */
int ql_server_access(struct ql_conn *c);
/** Detail text of a 403. */
void ql_server_denial(const struct ql_conn *c, char *out, size_t room);
void ql_server_unref(struct ql_http_server *s); /**< destroys a closing server once nothing is pending */
const struct ql_identity *ql_conn_identity(struct ql_conn *c);
/** TLS, and no client's certificate that verifies: gets one answer a handshake, and waits for the others (loop.h). */
bool ql_conn_is_stranger(struct ql_conn *c);
bool ql_conn_is_admin(struct ql_conn *c);

/* request.c */
int ql_req_begin(struct ql_conn *c, struct evhttp_request *ev);
void ql_req_end(struct ql_conn *c);

/* reply.c */
const char *ql_http_reason(int status);
/** Whole answer as bytes, for connections that evhttp has no say in any more. */
void ql_reply_raw_bytes(struct ql_conn *c, int status, struct evbuffer *out);
