/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keep-alive requests over mutual TLS: our server and client beside bare evhttp, in the same run.
 *
 *   bench_http [CONNECTIONS [REQUESTS]]
 *
 * Each pairing runs a server and a client process; CPU is what each used between its first and last request.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "server.h"

enum {
    REPLY_LEN = 512,
    WARM = 1 /* request a connection before the clock starts */
};

static char dir[64], reply[REPLY_LEN];
static unsigned connections = 32, requests = 60000;

static void die(const char *what)
{
    fprintf(stderr, "bench_http: %s\n", what);
    exit(1);
}

static double cpu_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void write_pem(const char *name, X509 *cert, EVP_PKEY *key)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "w");
    if (!f || (cert && !PEM_write_X509(f, cert)) ||
        (key && !PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL)))
        die("cannot write certificates");
    fclose(f);
}

/* One self-signed certificate serves as CA, server and client. */
static void make_certificate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"bench", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    if (!X509_sign(cert, key, EVP_sha256()))
        die("cannot sign");
    write_pem("cert.pem", cert, NULL);
    write_pem("key.pem", NULL, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static struct ql_tls *make_tls(bool server)
{
    char cert[128], key[128];
    const char *const ca[] = {cert, NULL};
    struct ql_tls_config config = {.is_server = server,
                                   .cert_file = cert,
                                   .key_file = key,
                                   .ca_files = ca,
                                   .client_cert = QL_CLIENT_CERT_REQUIRED};
    struct ql_tls *t;
    struct ql_err err = QL_ERR_INIT;

    snprintf(cert, sizeof cert, "%s/cert.pem", dir);
    snprintf(key, sizeof key, "%s/key.pem", dir);
    if (ql_tls_new(&config, &t, &err) < 0)
        die(err.text);
    return t;
}

/* A server process: tells its port, serves until its input closes, then tells the CPU it used since the warm-up. */
struct server {
    struct event_base *base;
    struct ql_tls *tls;
    unsigned served;
    double started;
};

static void count(struct server *s)
{
    if (++s->served == connections * WARM)
        s->started = cpu_us();
}

static void on_our_request(struct ql_http_req *req, void *arg)
{
    count(arg);
    ql_req_reply_raw(req, 200, "application/json", reply, sizeof reply);
}

static void on_bare_request(struct evhttp_request *req, void *arg)
{
    count(arg);
    evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "application/json");
    evbuffer_add(evhttp_request_get_output_buffer(req), reply, sizeof reply);
    evhttp_send_reply(req, 200, "OK", NULL);
}

static struct bufferevent *on_bare_accept(struct event_base *base, void *arg)
{
    struct server *s = arg;

    return bufferevent_openssl_socket_new(base, -1, SSL_new(ql_tls_native(s->tls)), BUFFEREVENT_SSL_ACCEPTING,
                                          BEV_OPT_CLOSE_ON_FREE);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(((struct server *)arg)->base);
}

static uint16_t start_bare(struct server *s)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct evhttp *http = evhttp_new(s->base);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0 || listen(fd, 4096) != 0)
        die("cannot listen");
    getsockname(fd, (struct sockaddr *)&sa, &len);
    evhttp_set_bevcb(http, on_bare_accept, s);
    evhttp_set_gencb(http, on_bare_request, s);
    evhttp_set_timeout(http, 300);
    evhttp_accept_socket(http, fd);
    return ntohs(sa.sin_port);
}

static uint16_t start_ours(struct server *s)
{
    static const struct ql_route routes[] = {
        {QL_GET, "/quote", 0, 0, QL_WHO_CLIENT, "quote", 0, on_our_request, "bench"}, {0}};
    struct ql_http_server_config config = {
        .base = s->base, .address = "127.0.0.1", .tls = s->tls, .routes = routes, .arg = s};
    struct ql_http_server *server;
    struct ql_err err = QL_ERR_INIT;

    config.limits.per_address_max = connections + 16;
    config.limits.connections_max = connections + 16;
    /* All come at once and from one process: it may take minutes until each had its turn. */
    config.limits.handshake_ms = config.limits.header_ms = 300000;
    if (ql_http_server_new(&config, &server, &err) < 0)
        die(err.text);
    return ql_http_server_port(server);
}

static void serve(bool ours, int in, int out)
{
    struct server s = {.base = event_base_new(), .tls = make_tls(true)};
    uint16_t port = ours ? start_ours(&s) : start_bare(&s);
    struct event *end = event_new(s.base, in, EV_READ, on_end, &s);
    double used;

    event_add(end, NULL);
    if (write(out, &port, sizeof port) != sizeof port)
        die("pipe");
    event_base_dispatch(s.base);
    used = (cpu_us() - s.started) / (double)(s.served - connections * WARM);
    if (write(out, &used, sizeof used) != sizeof used)
        die("pipe");
    _exit(0);
}

/* A client: every connection sends its next request when it has its answer. */
struct client {
    struct event_base *base;
    struct ql_tls *tls;
    unsigned sent, done, total;
    struct link *links;
    double cpu, wall;
    int64_t started_ns;
};

struct link {
    struct client *client;
    struct ql_peer *peer;
    struct evhttp_connection *evcon;
};

static void ask(struct link *l);

/* The clock starts when every connection had its first answer: handshakes are not what is measured here. */
static void answered(struct link *l)
{
    struct client *c = l->client;

    c->done++;
    if (c->done < connections * WARM)
        return;
    if (c->done == connections * WARM) {
        c->cpu = cpu_us();
        c->started_ns = ql_mono_ns();
        for (unsigned i = 0; i < connections && c->sent < c->total; i++)
            ask(&c->links[i]);
    } else if (c->done == c->total) {
        c->cpu = cpu_us() - c->cpu;
        c->wall = (double)(ql_mono_ns() - c->started_ns) / 1e9;
        event_base_loopbreak(c->base);
    } else if (c->sent < c->total) {
        ask(l);
    }
}

static void on_our_answer(struct ql_http_result *r, void *arg)
{
    struct link *l = arg;

    if (r->error || r->status != 200 || r->body_len != REPLY_LEN)
        die(r->error_text);
    answered(l);
}

static void ask_ours(struct link *l)
{
    const struct ql_call call = {.method = QL_GET, .path = "/quote", .deadline_ms = 300000};

    l->client->sent++;
    if (ql_peer_call(l->peer, &call, on_our_answer, l, NULL) < 0)
        die("call");
}

static void on_bare_answer(struct evhttp_request *req, void *arg)
{
    struct link *l = arg;

    if (!req || evhttp_request_get_response_code(req) != 200 ||
        evbuffer_get_length(evhttp_request_get_input_buffer(req)) != REPLY_LEN)
        die("bare request failed");
    answered(l);
}

static void ask_bare(struct link *l)
{
    struct evhttp_request *req = evhttp_request_new(on_bare_answer, l);
    int on = 1, fd;

    l->client->sent++;
    evhttp_add_header(evhttp_request_get_output_headers(req), "Host", "127.0.0.1");
    if (evhttp_make_request(l->evcon, req, EVHTTP_REQ_GET, "/quote") != 0)
        die("request");
    fd = bufferevent_getfd(evhttp_connection_get_bufferevent(l->evcon));
    if (l->client->sent <= connections && fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void ask(struct link *l)
{
    if (l->peer)
        ask_ours(l);
    else
        ask_bare(l);
}

static void run_client(bool ours, uint16_t port, struct client *c)
{
    struct link *links = c->links = calloc(connections, sizeof *links);
    struct ql_http_client *http = NULL;
    const struct ql_http_client_config config = {.base = c->base, .connect_ms = 300000};

    if (ours && ql_http_client_new(&config, &http, NULL) < 0)
        die("client");
    for (unsigned i = 0; i < connections; i++) {
        struct link *l = &links[i];
        const struct ql_peer_config peer = {.host = "127.0.0.1", .port = port, .tls = c->tls};

        l->client = c;
        if (ours) {
            if (ql_peer_new(http, &peer, &l->peer, NULL) < 0)
                die("peer");
            ask_ours(l);
        } else {
            struct bufferevent *bev =
                bufferevent_openssl_socket_new(c->base, -1, SSL_new(ql_tls_native(c->tls)),
                                               BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);

            l->evcon = evhttp_connection_base_bufferevent_new(c->base, NULL, bev, "127.0.0.1", port);
            evhttp_connection_set_timeout(l->evcon, 300);
            ask_bare(l);
        }
    }
    event_base_dispatch(c->base);
}

static void pair(bool our_server, bool our_client)
{
    int to[2], from[2];
    uint16_t port;
    double server_us, client[2];
    pid_t server, child;
    int status;

    if (pipe(to) != 0 || pipe(from) != 0)
        die("pipe");
    server = fork();
    if (server == 0) {
        close(to[1]);
        serve(our_server, to[0], from[1]);
    }
    close(to[0]);
    if (read(from[0], &port, sizeof port) != sizeof port)
        die("server did not start");
    child = fork();
    if (child == 0) {
        struct client c = {
            .base = event_base_new(), .tls = make_tls(false), .total = connections * WARM + requests};

        run_client(our_client, port, &c);
        client[0] = c.cpu / requests;
        client[1] = requests / c.wall;
        if (write(from[1], client, sizeof client) != sizeof client)
            die("pipe");
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (status != 0) {
        kill(server, SIGTERM);
        die("client failed");
    }
    if (read(from[0], client, sizeof client) != sizeof client)
        die("client failed");
    close(to[1]);
    if (read(from[0], &server_us, sizeof server_us) != sizeof server_us)
        die("server failed");
    waitpid(server, NULL, 0);
    close(from[0]);
    close(from[1]);
    printf("%-6s server  %-6s client: %8.0f req/s, server %6.1f us CPU/req, client %6.1f us CPU/req\n",
           our_server ? "our" : "bare", our_client ? "our" : "bare", client[1], server_us, client[0]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char path[128];
    struct rlimit files = {0};

    if (argc > 1)
        connections = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        requests = (unsigned)strtoul(argv[2], NULL, 10);
    if (connections == 0 || requests == 0)
        die("usage: bench_http [CONNECTIONS [REQUESTS]]");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    memset(reply, 'x', sizeof reply);
    strcpy(dir, "/tmp/ql-bench-XXXXXX");
    if (!mkdtemp(dir))
        die("cannot make a folder");
    make_certificate();
    printf("%u connections, %u requests of %d bytes, mutual TLS, keep-alive\n", connections, requests,
           REPLY_LEN);
    pair(false, false);
    pair(true, false);
    pair(false, true);
    pair(true, true);
    snprintf(path, sizeof path, "%s/cert.pem", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/key.pem", dir);
    unlink(path);
    rmdir(dir);
    return 0;
}
