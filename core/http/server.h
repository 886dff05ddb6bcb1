/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file server.h
 * HTTP(S) server over libevent: route table, request gate, limits, asynchronous answers.
 *
 * Everything runs on the loop thread of the event_base. evhttp is an implementation detail of core/http: no type of it
 * appears here. Wire conventions: spec/server.md 1 (envelope, empty framework answers, X-Request-ID).
 */
#pragma once
#include <event2/event.h>
#include <jansson.h>

#include "json.h"
#include "tls.h"

/** Methods, as a set. */
enum {
    QL_GET = 1,
    QL_POST = 2,
    QL_PUT = 4,
    QL_DELETE = 8,
    QL_PATCH = 16,
    QL_HEAD = 32,
    QL_OPTIONS = 64,
    QL_OTHER_METHOD = 128
};

/** API version as one number: major << 8 | minor. */
#define QL_API(major, minor) ((unsigned)(major) << 8 | (unsigned)(minor))

/** Who may call a route. There is no default: a row without one is refused at start. */
enum ql_who {
    QL_WHO_NOBODY = 0, /**< row is incomplete: server refuses to start */
    QL_WHO_PUBLIC,     /**< anyone, TLS or not */
    QL_WHO_TLS,        /**< anyone, but over TLS: else 400 with empty body */
    QL_WHO_CLIENT,     /**< any verified client certificate */
    QL_WHO_ADMIN /**< verified client certificate with a common name, fit for clients, no Authorization header */
};

struct ql_http_req;
struct ql_http_server;

/** Called on the loop thread. Must answer exactly once, now or later (before the deadline, else 503 is sent). */
typedef void (*ql_handler)(struct ql_http_req *req, void *arg);

/** One row of the route table. The table ends with pattern NULL. */
struct ql_route {
    unsigned method; /**< one method */
    const char
        *pattern; /**< path after the version prefix, `{name}` for one segment: "/agents/{agent_id}/stop" */
    unsigned first, last; /**< API versions QL_API(2, 0)..QL_API(2, 6); 0, 0: path has no version prefix */
    enum ql_who who;
    const char *action; /**< name in 403 texts and documentation: "create_agent" */
    size_t body_max;    /**< bytes; 0: the server's default */
    ql_handler handler;
    const char *help; /**< one line for the REST reference */
};

/** Limits of one listener; each is an option of the daemons. Values of 0 take the default in brackets. */
struct ql_http_limits {
    size_t header_max;        /**< bytes of request line and headers [32 KiB] */
    size_t body_max;          /**< bytes [1 MiB] */
    unsigned connections_max; /**< open connections [10,500] */
    unsigned per_address_max; /**< open connections of one address [1,024]; loopback is not exempt */
    unsigned handshakes_max;  /**< TLS handshakes at a time [64]; more wait, accepted but unread */
    unsigned handshake_ms;    /**< TLS handshake [10,000] */
    unsigned header_ms;       /**< first byte to end of headers [10,000] */
    unsigned body_ms;         /**< end of headers to end of body [60,000] */
    unsigned idle_ms;         /**< keep-alive without a request [120,000] */
    unsigned write_ms;        /**< a reply that the client does not read [30,000] */
    unsigned reply_ms;        /**< handler's deadline; then 503 [60,000] */
    unsigned deferred_max;    /**< requests waiting for their answer [4,096]; more: 503 with Retry-After */
    size_t bodies_max;        /**< bytes of request bodies held over all connections [256 MiB]; more: 503 */
};

/** What happened to a request that no route took. */
enum ql_miss {
    QL_MISS_PATH,
    QL_MISS_METHOD,
    QL_MISS_VERSION
};
typedef void (*ql_miss_handler)(struct ql_http_req *req, enum ql_miss miss, void *arg);

struct ql_http_server_config {
    struct event_base *base;
    const char *address;           /**< numeric address or host name; "*" or "" binds all */
    uint16_t port;                 /**< 0: any free one, see ql_http_server_port() */
    struct ql_tls *tls;            /**< NULL: plain HTTP */
    const struct ql_route *routes; /**< borrowed */
    const unsigned *versions;      /**< supported API versions, 0 at the end; borrowed */
    void *arg;                     /**< for handlers */
    struct ql_http_limits limits;
    ql_miss_handler on_miss; /**< NULL: empty 404 / 405 / 404 */
    bool slash_optional;     /**< one trailing slash may be there or not (servers: true) */
    bool json_compact; /**< envelopes without blanks, as agents write them; else as Python spells JSON */
    bool json_indent;  /**< envelopes indented by 4, as Keylime's registrar writes them */
    /**
     * Refuse every request to a known route whose Authorization header is not a session's token, with 401
     * (spec/server.md 8). No session exists in pull mode, so none is. False: the header only takes the administrator's
     * rights away.
     */
    bool judges_tokens;
};

/** Bind, listen, serve. @retval QL_EIO address in use … @retval QL_ERANGE a route row is incomplete (names it) */
int ql_http_server_new(const struct ql_http_server_config *config, struct ql_http_server **ret,
                       struct ql_err *err);
uint16_t ql_http_server_port(const struct ql_http_server *s);
/** New connections use this context from now on. */
void ql_http_server_set_tls(struct ql_http_server *s, struct ql_tls *tls);
/** Stop accepting; requests under way may finish. */
void ql_http_server_drain(struct ql_http_server *s);
/** @return requests received and not answered yet */
unsigned ql_http_server_pending(const struct ql_http_server *s);
/**
 * Close everything. Not from inside a handler. Requests that handlers still hold stay valid until they are answered
 * (nobody reads the answer); the event_base must live until then.
 */
void ql_http_server_free(struct ql_http_server *s);
QL_DEFINE_CLEANUP(struct ql_http_server, ql_http_server_free)

/** The request. Everything is borrowed and valid until the answer. */
unsigned ql_req_method(const struct ql_http_req *req);
const char *ql_req_path(const struct ql_http_req *req); /**< raw path without query, not decoded */
unsigned ql_req_version(const struct ql_http_req *req); /**< QL_API(…) of the prefix, 0: none */
const char *ql_req_param(const struct ql_http_req *req,
                         const char *name); /**< path segment, not decoded; NULL */
/** Query value, form-decoded; NULL: absent. A parameter that appears twice: the first; see ql_req_query_count(). */
const char *ql_req_query(const struct ql_http_req *req, const char *name);
size_t ql_req_query_count(const struct ql_http_req *req, const char *name);
const char *ql_req_header(const struct ql_http_req *req, const char *name);
const uint8_t *ql_req_body(const struct ql_http_req *req, size_t *len); /**< contiguous; "" when empty */
bool ql_req_is_json(const struct ql_http_req *req); /**< Content-Type is application/json or +json */
bool ql_req_is_tls(const struct ql_http_req *req);
bool ql_req_is_admin(const struct ql_http_req *req);
const char *
ql_req_client_name(const struct ql_http_req *req);      /**< common name of the verified certificate, NULL */
const char *ql_req_peer(const struct ql_http_req *req); /**< numeric address */
const char *ql_req_id(const struct ql_http_req *req);   /**< X-Request-ID, cleaned, "" */
/** A handler that answers later may attach an object, freed after the answer. */
void ql_req_attach(struct ql_http_req *req, void *object, void (*free_fn)(void *));
void *ql_req_attached(const struct ql_http_req *req);

/**
 * Answer with the envelope {"code", "status", "results"}.
 * @param status  NULL: the HTTP reason phrase, "Success" with 200
 * @param results reference is taken over; NULL: `{}`
 */
void ql_req_reply(struct ql_http_req *req, int code, const char *status, json_t *results);
/** Formatted status text, results `{}`. */
void ql_req_replyf(struct ql_http_req *req, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** No body (framework answers). */
void ql_req_reply_empty(struct ql_http_req *req, int code);
/** JSON:API error body of 401 and 403. */
void ql_req_reply_denied(struct ql_http_req *req, int code, const char *detail);
/** Any body; copied. @param type  Content-Type or NULL */
void ql_req_reply_raw(struct ql_http_req *req, int code, const char *type, const void *data, size_t len);
/** Add a header to the coming answer. @retval QL_ERANGE control characters */
int ql_req_add_header(struct ql_http_req *req, const char *name, const char *value);
