/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that polling a simulated fleet can cost at its pace: bare evhttp asks every agent for a quote at each interval
 * over a kept connection with mutual TLS, and checks one signature by a key that it holds for each answer. It reads no
 * answer, keeps nothing and forgives nothing.
 *
 *   bench_fleet_floor --dir DIR --ca FILE --cert FILE --key FILE [--ak rsa|p256] [--interval-ms N] [--seconds S]
 *
 * DIR/fleet.json tells where the agents are. Prints polls and microseconds of CPU a poll, after a warm-up of three polls
 * an agent. Interval 0: each asks again when it has its answer.
 */
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "clock.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "key.h"
#include "parse.h"

enum {
    FACTS_MAX = 256 * 1024 * 1024,
    SIGNED_LEN = 145, /* a TPMS_ATTEST */
    WARM_POLLS = 3,
    CONNECT_GAP_US = 3000, /* a handshake takes both sides about that */
    TIMEOUT_S = 60
};

struct floor {
    struct event_base *base;
    SSL_CTX *tls;
    EVP_PKEY *key;
    EVP_MD *md;
    uint8_t data[SIGNED_LEN], sig[512];
    size_t sig_len, agents;
    uint16_t port;
    uint64_t interval_ms, seconds, polls, polls_at_start;
    double cpu_at_start;
    int64_t started_ns;
};

/** One agent. */
struct target {
    struct floor *floor;
    const char *ip;
    struct evhttp_connection *connection;
    struct event *timer;
    int64_t due_ns;
    bool is_asking;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_fleet_floor: %s\n", what);
    exit(1);
}

static double cpu_us(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void make_signature(struct floor *f, bool is_rsa)
{
    struct ql_key *key = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    struct ql_err err = QL_ERR_INIT;

    if ((is_rsa ? ql_key_generate_rsa(2048, &key, &err) : ql_key_generate_ec(QL_P256, &key, &err)) < 0)
        die(err.text);
    f->key = ql_key_native(key); /* held until the process ends */
    f->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    f->sig_len = sizeof f->sig;
    if (EVP_DigestSignInit(ctx, NULL, f->md, NULL, f->key) != 1 ||
        EVP_DigestSign(ctx, f->sig, &f->sig_len, f->data, sizeof f->data) != 1)
        die("cannot sign");
    EVP_MD_CTX_free(ctx);
}

static void check_signature(const struct floor *f)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (EVP_DigestVerifyInit(ctx, NULL, f->md, NULL, f->key) != 1 ||
        EVP_DigestVerify(ctx, f->sig, f->sig_len, f->data, sizeof f->data) != 1)
        die("signature is wrong");
    EVP_MD_CTX_free(ctx);
}

static void finish(const struct floor *f)
{
    uint64_t polls = f->polls - f->polls_at_start;

    if (polls == 0)
        die("no poll in the window");
    printf("%llu polls, %.1f us CPU/poll, %.1f polls/s\n", (unsigned long long)polls,
           (cpu_us() - f->cpu_at_start) / (double)polls,
           (double)polls * (double)QL_NS_PER_S / (double)(ql_mono_ns() - f->started_ns));
    exit(0);
}

static void count(struct floor *f)
{
    f->polls++;
    if (f->started_ns == 0 && f->polls >= WARM_POLLS * f->agents) {
        f->started_ns = ql_mono_ns();
        f->polls_at_start = f->polls;
        f->cpu_at_start = cpu_us();
    } else if (f->started_ns != 0 && ql_mono_ns() - f->started_ns > (int64_t)f->seconds * QL_NS_PER_S) {
        finish(f);
    }
}

static void ask(struct target *t);

static void on_answer(struct evhttp_request *req, void *arg)
{
    struct target *t = arg;
    struct floor *f = t->floor;

    if (!req || evhttp_request_get_response_code(req) != 200)
        die("an agent did not answer");
    t->is_asking = false;
    check_signature(f);
    count(f);
    if (f->interval_ms == 0)
        ask(t);
}

static void ask(struct target *t)
{
    struct evhttp_request *req = evhttp_request_new(on_answer, t);
    bool is_first = !t->connection;
    int on = 1;

    t->is_asking = true;
    if (is_first) {
        struct bufferevent *bev = bufferevent_openssl_socket_new(
            t->floor->base, -1, SSL_new(t->floor->tls), BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);

        t->connection =
            evhttp_connection_base_bufferevent_new(t->floor->base, NULL, bev, t->ip, t->floor->port);
        evhttp_connection_set_timeout(t->connection, TIMEOUT_S);
    }
    evhttp_add_header(evhttp_request_get_output_headers(req), "Host", t->ip);
    if (evhttp_make_request(t->connection, req, EVHTTP_REQ_GET,
                            "/v2.6/quotes/integrity?nonce=abcdefghij0123456789&mask=0x8000&partial=1&"
                            "ima_ml_entry=0") != 0)
        die("request");
    if (is_first)
        (void)setsockopt(bufferevent_getfd(evhttp_connection_get_bufferevent(t->connection)), IPPROTO_TCP,
                         TCP_NODELAY, &on, sizeof on); /* slower without */
}

static void set_timer(struct target *t)
{
    int64_t wait = t->due_ns - ql_mono_ns();
    struct timeval tv = {0};

    if (wait > 0)
        tv = (struct timeval){.tv_sec = wait / QL_NS_PER_S, .tv_usec = wait % QL_NS_PER_S / 1000};
    evtimer_add(t->timer, &tv);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    struct target *t = arg;

    (void)fd;
    (void)what;
    /* One that is late is left out, not made up for: the pace would rise. */
    if (!t->is_asking)
        ask(t);
    if (t->floor->interval_ms > 0) {
        t->due_ns += (int64_t)t->floor->interval_ms * QL_NS_PER_MS;
        set_timer(t);
    }
}

/* First polls are spread over an interval, or over the time that the handshakes need. */
static void start(struct floor *f, const json_t *agents)
{
    struct target *targets = calloc(f->agents, sizeof *targets);
    int64_t now = ql_mono_ns(), spread = (int64_t)f->interval_ms * QL_NS_PER_MS;

    if (!targets)
        die("out of memory");
    if (spread < (int64_t)f->agents * CONNECT_GAP_US * 1000)
        spread = (int64_t)f->agents * CONNECT_GAP_US * 1000;
    for (size_t i = 0; i < f->agents; i++) {
        struct target *t = &targets[i];

        t->floor = f;
        t->ip = json_string_value(json_object_get(json_array_get(agents, i), "ip"));
        t->timer = evtimer_new(f->base, on_due, t);
        t->due_ns = now + (int64_t)i * (spread / (int64_t)f->agents);
        if (!t->ip || !t->timer)
            die("agents are not told as expected");
        set_timer(t);
    }
}

static uint64_t number(const char *text, uint64_t max)
{
    struct ql_err err = QL_ERR_INIT;
    uint64_t n = 0;

    if (ql_parse_u64(text, strlen(text), 0, max, &n, &err) < 0)
        die(err.text);
    return n;
}

static json_t *read_facts(const char *dir)
{
    ql_auto_free char *path = ql_path_join(dir, "fleet.json");
    ql_auto_free uint8_t *text = NULL;
    struct ql_err err = QL_ERR_INIT;
    json_t *facts = NULL;
    size_t len;

    if (!path || ql_file_read(path, FACTS_MAX, &text, &len, &err) < 0 ||
        ql_json_parse_object((const char *)text, len, FACTS_MAX, &facts, &err) < 0)
        die(err.text);
    return facts;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"dir", required_argument, NULL, 'd'},     {"ca", required_argument, NULL, 'c'},
        {"cert", required_argument, NULL, 'C'},    {"key", required_argument, NULL, 'k'},
        {"ak", required_argument, NULL, 'a'},      {"interval-ms", required_argument, NULL, 'i'},
        {"seconds", required_argument, NULL, 's'}, {0}};
    const char *dir = NULL, *ca = NULL, *cert = NULL, *key = NULL, *ak = "rsa";
    struct floor f = {.base = event_base_new(), .tls = SSL_CTX_new(TLS_client_method()), .seconds = 10};
    struct rlimit files = {0};
    json_t *facts;
    int c;

    f.interval_ms = 1000;
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'd':
            dir = optarg;
            break;
        case 'c':
            ca = optarg;
            break;
        case 'C':
            cert = optarg;
            break;
        case 'k':
            key = optarg;
            break;
        case 'a':
            ak = optarg;
            break;
        case 'i':
            f.interval_ms = number(optarg, 86400000);
            break;
        case 's':
            f.seconds = number(optarg, 3600);
            break;
        default:
            die("usage: --dir DIR --ca FILE --cert FILE --key FILE [--ak rsa|p256] [--interval-ms N] "
                "[--seconds S]");
        }
    }
    if (!dir || !ca || !cert || !key)
        die("--dir, --ca, --cert and --key are needed");
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    /* The agents' one certificate is self-signed: it is its own CA. */
    if (SSL_CTX_load_verify_locations(f.tls, ca, NULL) != 1 ||
        SSL_CTX_use_certificate_file(f.tls, cert, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(f.tls, key, SSL_FILETYPE_PEM) != 1)
        die("TLS cannot be set up");
    SSL_CTX_set_verify(f.tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(f.tls, SSL_MODE_RELEASE_BUFFERS);
    make_signature(&f, strcmp(ak, "rsa") == 0);
    facts = read_facts(dir);
    f.port = (uint16_t)json_integer_value(json_object_get(facts, "port"));
    f.agents = json_array_size(json_object_get(facts, "agents"));
    if (f.agents == 0)
        die("no agents");
    start(&f, json_object_get(facts, "agents"));
    event_base_dispatch(f.base);
    die("nothing left to do");
}
