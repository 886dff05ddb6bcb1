/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limit for notifications: the bare client pool posts one body to every simulated agent, over connections that are warm,
 * 64 at a time. It has no outbox, decides nothing and repeats nothing.
 *
 *   bench_fleet_pool --dir DIR --ca FILE --cert FILE --key FILE --body FILE [--rounds N] [--in-flight N]
 *
 * DIR/fleet.json tells where the agents are. Prints a line "START_NS END_NS" for each round, CLOCK_MONOTONIC; the agents
 * write down when each was told.
 */
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "client.h"
#include "clock.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "parse.h"
#include "server.h"

enum {
    FACTS_MAX = 256 * 1024 * 1024,
    PAUSE_S = 1 /* between rounds: agents answer polls meanwhile */
};

struct pool {
    struct event_base *base;
    struct ql_peer **peers;
    size_t count, next, answered, in_flight;
    char *body;
    size_t body_len;
    bool is_warm;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_fleet_pool: %s\n", what);
    exit(1);
}

static void on_answer(struct ql_http_result *result, void *arg);

static void send_next(struct pool *p)
{
    const struct ql_call call = {.method = p->is_warm ? QL_POST : QL_GET,
                                 .path = p->is_warm ? "/v2.6/notifications/revocation" : "/version",
                                 .body = p->is_warm ? p->body : NULL,
                                 .body_len = p->is_warm ? p->body_len : 0,
                                 .content_type = p->is_warm ? "application/json" : NULL};
    struct ql_err err = QL_ERR_INIT;

    if (p->next < p->count && ql_peer_call(p->peers[p->next++], &call, on_answer, p, &err) < 0)
        die(err.text);
}

static void on_answer(struct ql_http_result *result, void *arg)
{
    struct pool *p = arg;

    if (result->error != QL_OK || result->status != 200)
        die(result->error != QL_OK ? result->error_text : "an agent refused");
    p->answered++;
    if (p->answered == p->count)
        (void)event_base_loopbreak(p->base);
    else
        send_next(p);
}

static void round_of(struct pool *p)
{
    p->next = p->answered = 0;
    for (size_t i = 0; i < p->in_flight; i++)
        send_next(p);
    while (p->answered < p->count)
        if (event_base_loop(p->base, EVLOOP_ONCE) < 0)
            die("the loop failed");
}

static void rest(const struct pool *p)
{
    const struct timeval tv = {.tv_sec = PAUSE_S};

    (void)event_base_loopexit(p->base, &tv);
    (void)event_base_dispatch(p->base);
}

static json_t *read_facts(const char *dir)
{
    ql_auto_free char *path = ql_path_join(dir, "fleet.json");
    ql_auto_free uint8_t *text = NULL;
    struct ql_err err = QL_ERR_INIT;
    json_t *facts = NULL;
    size_t len = 0;

    if (ql_file_read(path, FACTS_MAX, &text, &len, &err) < 0 ||
        ql_json_parse((const char *)text, len, FACTS_MAX, &facts, &err) < 0)
        die(err.text);
    return facts;
}

static void make_peers(struct pool *p, const json_t *facts, struct ql_tls *tls, struct ql_http_client *client)
{
    const json_t *agents = json_object_get(facts, "agents");
    const uint16_t port = (uint16_t)json_integer_value(json_object_get(facts, "port"));
    struct ql_err err = QL_ERR_INIT;

    p->count = json_array_size(agents);
    p->peers = calloc(p->count ? p->count : 1, sizeof(struct ql_peer *));
    for (size_t i = 0; p->peers && i < p->count; i++) {
        const struct ql_peer_config config = {
            .host = json_string_value(json_object_get(json_array_get(agents, i), "ip")),
            .port = port,
            .tls = tls};

        if (ql_peer_new(client, &config, &p->peers[i], &err) < 0)
            die(err.text);
    }
    if (!p->peers || p->count == 0)
        die("no agents");
}

static void allow_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* then fewer agents can be reached, and it says so */
    }
}

int main(int argc, char **argv)
{
    static const struct option rows[] = {
        {"dir", required_argument, NULL, 'd'},       {"ca", required_argument, NULL, 'a'},
        {"cert", required_argument, NULL, 'c'},      {"key", required_argument, NULL, 'k'},
        {"body", required_argument, NULL, 'b'},      {"rounds", required_argument, NULL, 'r'},
        {"in-flight", required_argument, NULL, 'f'}, {NULL, 0, NULL, 0}};
    const char *dir = NULL, *ca[2] = {NULL}, *body = NULL;
    struct ql_tls_config tls_config = {.ca_files = ca};
    struct pool p = {.in_flight = 64};
    uint64_t rounds = 5, in_flight = 64;
    struct ql_http_client *client = NULL;
    struct ql_tls *tls = NULL;
    struct ql_err err = QL_ERR_INIT;
    int c;

    while ((c = getopt_long(argc, argv, "", rows, NULL)) != -1)
        switch (c) {
        case 'd':
            dir = optarg;
            break;
        case 'a':
            ca[0] = optarg;
            break;
        case 'c':
            tls_config.cert_file = optarg;
            break;
        case 'k':
            tls_config.key_file = optarg;
            break;
        case 'b':
            body = optarg;
            break;
        case 'r':
            if (ql_parse_u64(optarg, strlen(optarg), 1, 1000, &rounds, &err) < 0)
                die(err.text);
            break;
        case 'f':
            if (ql_parse_u64(optarg, strlen(optarg), 1, 10000, &in_flight, &err) < 0)
                die(err.text);
            break;
        default:
            return 2;
        }
    if (!dir || !ca[0] || !tls_config.cert_file || !tls_config.key_file || !body)
        die("usage: --dir DIR --ca FILE --cert FILE --key FILE --body FILE [--rounds N] [--in-flight N]");
    (void)signal(SIGPIPE, SIG_IGN);
    allow_files();
    p.in_flight = in_flight;
    p.base = event_base_new();
    if (ql_file_read(body, 1 << 20, (uint8_t **)&p.body, &p.body_len, &err) < 0 ||
        ql_tls_new(&tls_config, &tls, &err) < 0 ||
        ql_http_client_new(&(struct ql_http_client_config){.base = p.base}, &client, &err) < 0)
        die(err.text);
    make_peers(&p, read_facts(dir), tls, client);
    round_of(&p); /* connects */
    p.is_warm = true;
    for (uint64_t i = 0; i < rounds; i++) {
        int64_t start;

        rest(&p);
        start = ql_mono_ns();
        round_of(&p);
        printf("%lld %lld\n", (long long)start, (long long)ql_mono_ns());
        (void)fflush(stdout); /* the driver looks at the agents in between */
    }
    return 0;
}
