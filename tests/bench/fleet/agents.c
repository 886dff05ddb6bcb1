/* SPDX-License-Identifier: Apache-2.0 */
#include "agents.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "error.h"
#include "json.h"
#include "parse.h"
#include "version.h"

enum {
    FIRST_ADDRESS = 0x7F010001, /* 127.1.0.1 */
    IDLE_S = 600,
    BODY_MAX = 64 * 1024
};

static uint32_t address_of(size_t agent)
{
    return (uint32_t)(FIRST_ADDRESS + agent / AGENTS_A_NET * 256 + agent % AGENTS_A_NET);
}

char *agent_address(size_t agent, char *out)
{
    uint32_t a = address_of(agent);

    snprintf(out, 16, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
    return out;
}

bool agent_is_liar(const struct fleet *f, size_t agent)
{
    return (agent + 1) * f->bad / 100 != agent * f->bad / 100;
}

/* Which agent a request was sent to. @return agents: none */
static size_t agent_of(const struct fleet *f, struct evhttp_request *req)
{
    struct evhttp_connection *c = evhttp_request_get_connection(req);
    struct sockaddr_in sa = {0};
    socklen_t len = sizeof sa;
    size_t at;

    if (getsockname(bufferevent_getfd(evhttp_connection_get_bufferevent(c)), (struct sockaddr *)&sa, &len) !=
        0)
        return f->agents;
    at = ntohl(sa.sin_addr.s_addr) - (uint32_t)FIRST_ADDRESS;
    at = at / 256 * AGENTS_A_NET + at % 256;
    return at < f->agents ? at : f->agents;
}

/* The envelope, compact as agents write it. @param results taken over */
static void reply(struct evhttp_request *req, int code, const char *status, json_t *results)
{
    ql_auto_json json_t *j = json_pack("{s:i, s:s, s:o}", "code", code, "status", status, "results", results);
    ql_auto_free char *text = j ? ql_json_text(j) : NULL;

    evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "application/json");
    if (text)
        evbuffer_add(evhttp_request_get_output_buffer(req), text, strlen(text));
    evhttp_send_reply(req, code, NULL, NULL);
}

/* A request on its way. */
struct asked {
    const struct fleet *fleet;
    size_t agent;
    struct board_row *row;
    struct evhttp_request *req;
    unsigned api; /* 0: path without version */
    const char *query;
};

/* Never twice the same, and never back: the verifier looks at it. */
static uint64_t tpm_clock(const struct board_row *row)
{
    return (uint64_t)(ql_boot_ns() / QL_NS_PER_MS) + row->stamp_count;
}

static void get_quote(const struct asked *a)
{
    struct evkeyvalq query = {0};
    const char *nonce, *mask_text, *partial;
    ql_auto_free char *quote = NULL;
    uint32_t mask = 0;
    bool lies = agent_is_liar(a->fleet, a->agent) && a->row->quotes >= a->fleet->bad_after;
    json_t *results;

    board_stamp(a->row);
    if (!a->query || evhttp_parse_query_str(a->query, &query) != 0)
        query = (struct evkeyvalq){0};
    nonce = evhttp_find_header(&query, "nonce");
    mask_text = evhttp_find_header(&query, "mask");
    partial = evhttp_find_header(&query, "partial");
    if (!nonce || !mask_text || ql_parse_hex_u32(mask_text, strlen(mask_text), &mask, NULL) < 0 ||
        mask >> 24 != 0) {
        evhttp_clear_headers(&query);
        reply(a->req, 400, "nonce and mask are needed", json_object());
        return;
    }
    quote = signer_quote(a->fleet->signer, a->agent, lies ? "anotherNonce12345678" : nonce, mask,
                         tpm_clock(a->row));
    results =
        json_pack("{s:s, s:s, s:s, s:s}", "quote", quote, "hash_alg", "sha256", "enc_alg",
                  signer_enc_alg(a->fleet->signer, a->api), "sign_alg", signer_sign_alg(a->fleet->signer));
    if (partial && strcmp(partial, "0") == 0)
        json_object_set_new(results, "pubkey", json_string(signer_pubkey(a->fleet->signer)));
    evhttp_clear_headers(&query);
    reply(a->req, 200, "Success", results);
    if (lies)
        a->row->lies++;
    else
        a->row->quotes++;
}

static void get_version(const struct asked *a)
{
    a->row->others++;
    reply(a->req, 200, "Success",
          json_pack("{s:s, s:[s, s, s, s, s, s]}", "supported_version", "2.6", "supported_versions", "2.1",
                    "2.2", "2.3", "2.4", "2.5", "2.6"));
}

static void post_vkey(const struct asked *a)
{
    a->row->vkeys++;
    reply(a->req, 200, "Success", json_object());
}

static void post_revocation(const struct asked *a)
{
    a->row->revoked_ns = ql_mono_ns();
    a->row->revocations++;
    a->row->others++;
    reply(a->req, 200, "Success", json_object());
}

static const struct {
    enum evhttp_cmd_type method;
    const char *path; /* after the version */
    bool has_version;
    void (*handler)(const struct asked *a);
} ROUTES[] = {
    {EVHTTP_REQ_GET, "/quotes/integrity", true, get_quote},
    {EVHTTP_REQ_GET, "/version", false, get_version},
    {EVHTTP_REQ_POST, "/keys/vkey", true, post_vkey},
    {EVHTTP_REQ_POST, "/notifications/revocation", true, post_revocation},
};

static void on_request(struct evhttp_request *req, void *arg)
{
    const struct fleet *f = arg;
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    const char *path = evhttp_uri_get_path(uri);
    struct asked a = {.fleet = f, .agent = agent_of(f, req), .req = req, .query = evhttp_uri_get_query(uri)};

    if (a.agent == f->agents) {
        evhttp_send_error(req, HTTP_INTERNAL, NULL);
        return;
    }
    a.row = &f->board[a.agent];
    if (strncmp(path, "/v", 2) == 0 && strlen(path) > 5 && path[5] == '/' &&
        ql_api_parse(path + 2, 3, &a.api, NULL) == QL_OK)
        path += 5;
    for (size_t i = 0; i < QL_ARRAY_LEN(ROUTES); i++) {
        if (ROUTES[i].has_version == (a.api != 0) && evhttp_request_get_command(req) == ROUTES[i].method &&
            strcmp(path, ROUTES[i].path) == 0) {
            ROUTES[i].handler(&a);
            return;
        }
    }
    a.row->others++;
    reply(req, 404, "not played here", json_object());
}

static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
    const struct fleet *f = arg;
    struct bufferevent *b = bufferevent_openssl_socket_new(base, -1, SSL_new(f->tls),
                                                           BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);

    return b;
}

static int listen_at(struct evhttp *http, size_t agent, uint16_t port, struct ql_err *err)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    ql_auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    char text[16];
    int on = 1;

    sa.sin_addr.s_addr = htonl(address_of(agent));
    /* Accepted sockets inherit it: a reply must not wait for an acknowledgement. */
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0 || listen(fd, 64) != 0 ||
        evhttp_accept_socket(http, fd) != 0)
        return ql_fail(err, QL_EIO, "cannot listen on %s port %u: %s", agent_address(agent, text), port,
                       strerror(errno));
    (void)ql_steal_fd(fd); /* evhttp closes it */
    return QL_OK;
}

int agents_serve(const struct fleet *f, struct event_base *base, size_t first, size_t end, struct ql_err *err)
{
    struct evhttp *http = evhttp_new(base);
    void *arg;

    if (!http)
        return ql_fail_nomem(err);
    memcpy(&arg, &f, sizeof arg); /* evhttp's callbacks take no const; ours put it back at once */
    evhttp_set_bevcb(http, on_accept, arg);
    evhttp_set_gencb(http, on_request, arg);
    evhttp_set_timeout(http, IDLE_S);
    evhttp_set_max_body_size(http, BODY_MAX);
    for (size_t i = first; i < end; i++) {
        int r = listen_at(http, i, f->port, err);

        if (r < 0)
            return r; /* the process ends */
    }
    return QL_OK;
}
