/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays a fleet of agents for the fleet benchmark.
 *
 *   bench_fleet_agents --dir DIR --ca FILE [--agents N] [--ak rsa|p256] [--keys K] [--bad PERCENT] [--bad-after N]
 *                      [--processes P] [--seconds S]
 *
 * Listens on loopback only, one address an agent. When all listen, DIR/fleet.json says what a verifier must be told, and
 * DIR/board counts (board.h). Ends when its standard input does, on SIGTERM, or after S seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agents.h"
#include "cert.h"
#include "clock.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "parse.h"

enum {
    PROCESSES_MAX = 16,
    AGENTS_A_PROCESS = 4000, /* two descriptors an agent */
    LOOK_MS = 500            /* how often the parent looks after its children */
};

struct options {
    const char *dir, *ca, *ak;
    uint64_t agents, keys, bad, bad_after, processes, seconds;
};

static void die(const char *what)
{
    fprintf(stderr, "bench_fleet_agents: %s\n", what);
    exit(1);
}

static void usage(void)
{
    die("usage: --dir DIR --ca FILE [--agents N] [--ak rsa|p256] [--keys K] [--bad PERCENT] [--bad-after N] "
        "[--processes P] [--seconds S]");
}

static uint64_t number(const char *text, uint64_t min, uint64_t max)
{
    struct ql_err err = QL_ERR_INIT;
    uint64_t n = 0;

    if (ql_parse_u64(text, strlen(text), min, max, &n, &err) < 0)
        die(err.text);
    return n;
}

static struct options read_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"dir", required_argument, NULL, 'd'},       {"ca", required_argument, NULL, 'c'},
        {"agents", required_argument, NULL, 'n'},    {"ak", required_argument, NULL, 'a'},
        {"keys", required_argument, NULL, 'k'},      {"bad", required_argument, NULL, 'b'},
        {"bad-after", required_argument, NULL, 'B'}, {"processes", required_argument, NULL, 'p'},
        {"seconds", required_argument, NULL, 's'},   {0}};
    struct options o = {.ak = "rsa", .agents = 100, .keys = 8, .bad_after = 3, .seconds = 3600};
    int c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {
        case 'd':
            o.dir = optarg;
            break;
        case 'c':
            o.ca = optarg;
            break;
        case 'a':
            o.ak = optarg;
            break;
        case 'n':
            o.agents = number(optarg, 1, AGENTS_MAX);
            break;
        case 'k':
            o.keys = number(optarg, 1, SIGNER_KEYS_MAX);
            break;
        case 'b':
            o.bad = number(optarg, 0, 100);
            break;
        case 'B':
            o.bad_after = number(optarg, 0, 1000000);
            break;
        case 'p':
            o.processes = number(optarg, 1, PROCESSES_MAX);
            break;
        case 's':
            o.seconds = number(optarg, 1, 86400);
            break;
        default:
            usage();
        }
    }
    if (!o.dir || !o.ca || (strcmp(o.ak, "rsa") != 0 && strcmp(o.ak, "p256") != 0) || optind != argc)
        usage();
    if (o.processes == 0)
        o.processes = (o.agents + AGENTS_A_PROCESS - 1) / AGENTS_A_PROCESS;
    return o;
}

/* One certificate serves all agents: a verifier pins it for each. @return its PEM */
static char *make_tls(struct fleet *f, const char *ca)
{
    const struct ql_cert_profile profile = {
        .subject = {.common_name = "fleet"}, .days = 2, .for_server = true};
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    struct ql_err err = QL_ERR_INIT;
    char *pem;

    if (ql_key_generate_ec(QL_P256, &key, &err) < 0 ||
        ql_cert_make(&profile, key, NULL, key, &cert, &err) < 0)
        die(err.text);
    f->tls = SSL_CTX_new(TLS_server_method());
    pem = ql_cert_pem(cert);
    if (!f->tls || !pem || SSL_CTX_use_certificate(f->tls, ql_cert_native(cert)) != 1 ||
        SSL_CTX_use_PrivateKey(f->tls, ql_key_native(key)) != 1 ||
        SSL_CTX_load_verify_locations(f->tls, ca, NULL) != 1)
        die("TLS cannot be set up; is --ca a PEM file?");
    SSL_CTX_set_verify(f->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    (void)SSL_CTX_set_session_id_context(f->tls, (const unsigned char *)"fleet", 5); /* short enough */
    (void)SSL_CTX_set_mode(f->tls, SSL_MODE_RELEASE_BUFFERS);
    return pem;
}

/* A port that nobody has on the first agent's address; the others' addresses are as free as that. */
static uint16_t free_port(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[16];

    if (inet_pton(AF_INET, agent_address(0, text), &sa.sin_addr) != 1 || fd < 0 ||
        bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        die("no free port");
    close(fd);
    return ntohs(sa.sin_port);
}

/* A child: serves its agents until it is ended. One byte into @p ready says that all listen. */
static void serve(const struct fleet *f, size_t first, size_t end, int ready)
{
    struct event_base *base = event_base_new();
    struct ql_err err = QL_ERR_INIT;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!base || agents_serve(f, base, first, end, &err) < 0)
        die(err.text);
    if (write(ready, "", 1) != 1)
        die("parent is gone");
    close(ready);
    event_base_dispatch(base);
    die("nothing left to serve");
}

static void start_children(const struct fleet *f, size_t count, pid_t *pids)
{
    int ready[2];
    char byte;

    if (pipe(ready) != 0)
        die("pipe");
    for (size_t i = 0; i < count; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            die("fork");
        if (pids[i] == 0) {
            close(ready[0]);
            serve(f, f->agents * i / count, f->agents * (i + 1) / count, ready[1]);
        }
    }
    close(ready[1]);
    for (size_t i = 0; i < count; i++)
        if (read(ready[0], &byte, 1) != 1)
            die("a process did not start");
    close(ready[0]);
}

/* Told last and in one piece: who sees the file may add agents. */
static void write_facts(const struct fleet *f, const struct options *o, const char *cert)
{
    ql_auto_json json_t *agents = json_array(), *facts = NULL;
    ql_auto_free char *path = ql_path_join(o->dir, "fleet.json"), *text = NULL;
    struct ql_err err = QL_ERR_INIT;
    char address[16];

    for (size_t i = 0; i < f->agents; i++)
        if (json_array_append_new(agents, json_pack("{s:s, s:s, s:b}", "ip", agent_address(i, address), "ak",
                                                    signer_ak(f->signer, i), "liar", agent_is_liar(f, i))) !=
            0)
            die("out of memory");
    facts = json_pack("{s:i, s:s, s:i, s:O}", "port", f->port, "cert", cert, "bad_after", f->bad_after,
                      "agents", agents);
    text = facts ? ql_json_text(facts) : NULL;
    if (!path || !text || ql_file_write(path, 0600, text, strlen(text), &err) < 0)
        die(err.text);
}

static volatile sig_atomic_t ended;

static void on_signal(int number_)
{
    (void)number_;
    ended = 1;
}

/* Until the input ends, the time is over or a child has died. @return exit code */
static int wait_for_end(uint64_t seconds)
{
    int64_t end = ql_mono_ns() + (int64_t)seconds * QL_NS_PER_S;
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;

    while (!ended && ql_mono_ns() < end) {
        if (poll(&in, 1, LOOK_MS) > 0 && read(STDIN_FILENO, &byte, 1) <= 0)
            return 0;
        if (waitpid(-1, NULL, WNOHANG) != 0) {
            fprintf(stderr, "bench_fleet_agents: a process has died\n");
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = read_options(argc, argv);
    struct fleet f = {.agents = o.agents, .bad = (unsigned)o.bad, .bad_after = (unsigned)o.bad_after};
    ql_auto(signer_freep) struct signer *signer = NULL;
    ql_auto_free char *board = ql_path_join(o.dir, "board"), *cert = NULL;
    const struct sigaction stop = {.sa_handler = on_signal};
    pid_t pids[PROCESSES_MAX];
    struct rlimit files = {0};
    struct ql_err err = QL_ERR_INIT;
    int code;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    if (!board || board_make(board, f.agents, &f.board, &err) < 0 ||
        signer_new(strcmp(o.ak, "rsa") == 0, (unsigned)o.keys, &signer, &err) < 0)
        die(err.text);
    f.signer = signer;
    f.port = free_port();
    cert = make_tls(&f, o.ca);
    start_children(&f, o.processes, pids);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    write_facts(&f, &o, cert);
    code = wait_for_end(o.seconds);
    for (size_t i = 0; i < o.processes; i++)
        kill(pids[i], SIGKILL);
    SSL_CTX_free(f.tls);
    return code;
}
