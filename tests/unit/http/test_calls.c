/* SPDX-License-Identifier: Apache-2.0 */
/* The client against servers that the test plays by hand: deadlines, limits, order, repetition, odd answers. */
#include <pthread.h>

#include "harness.h"

struct world {
    struct event_base *base;
    struct ql_http_client *client;
    int listener;
    uint16_t port;
};

static int listen_on_loopback(uint16_t *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

static struct world *open_world_with(struct ql_http_client_config config)
{
    struct world *w = calloc(1, sizeof *w);

    config.base = w->base = event_base_new();
    assert_int_equal(ql_http_client_new(&config, &w->client, NULL), QL_OK);
    w->listener = listen_on_loopback(&w->port);
    return w;
}

static int open_world(void **state)
{
    *state = open_world_with((struct ql_http_client_config){0});
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    ql_http_client_free(w->client);
    event_base_free(w->base);
    close(w->listener);
    free(w);
    return 0;
}

/* The next connection, or -1 within 500 ms. */
static int accept_next(struct world *w)
{
    int64_t end = ql_mono_ns() + 500 * QL_NS_PER_MS;
    int fd;

    while ((fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0 && ql_mono_ns() < end)
        run_for(w->base, 1);
    return fd;
}

/* A whole request head (and what came with it). */
static void read_request(struct world *w, int fd, char *out, size_t room)
{
    bool closed;

    raw_read(w->base, fd, out, room, "\r\n\r\n", 3000, &closed);
    assert_non_null(strstr(out, "\r\n\r\n"));
}

#define FINE "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

static struct outcome *sent(struct ql_peer *p, struct ql_call what, struct outcome *o)
{
    struct ql_err err = QL_ERR_INIT;

    if (!what.path)
        what.path = "/";
    if (!what.method)
        what.method = QL_GET;
    if (ql_peer_call(p, &what, on_outcome, o, &err) < 0)
        fail_msg("%s", err.text);
    return o;
}

static void expect(struct world *w, struct outcome *o, int error, const char *text)
{
    assert_true(run_until(w->base, &o->done, 1, 6000));
    assert_int_equal(o->error, error);
    if (!strstr(o->text, text))
        fail_msg("'%s' lacks '%s'", o->text, text);
}

static void a_request_has_host_type_and_length(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    struct outcome o = {0};
    char head[1024], host[64];
    int fd;

    sent(p,
         (struct ql_call){
             .method = QL_POST, .path = "/a?b=c", .body = "{}", .body_len = 2, .content_type = "x/y"},
         &o);
    fd = accept_next(w);
    read_request(w, fd, head, sizeof head);
    snprintf(host, sizeof host, "\r\nHost: 127.0.0.1:%u\r\n", w->port);
    assert_memory_equal(head, "POST /a?b=c HTTP/1.1\r\n", 22);
    assert_non_null(strstr(head, host));
    assert_non_null(strstr(head, "\r\nContent-Type: x/y\r\n"));
    assert_non_null(strstr(head, "\r\nContent-Length: 2\r\n"));
    raw_send(fd, FINE);
    expect(w, &o, QL_OK, "");
    assert_string_equal(o.body, "fine");
    ql_peer_free(p);
    close(fd);
}

static void a_refused_connection_is_reported(void **state)
{
    struct world *w = *state;
    struct ql_peer *p;
    struct outcome o = {0};

    close(w->listener);
    w->listener = -1;
    p = peer_new(w->client, w->port, NULL);
    expect(w, sent(p, (struct ql_call){0}, &o), QL_EIO, "cannot connect");
    ql_peer_free(p);
}

static void names_are_resolved_and_every_address_is_tried(void **state)
{
    struct world *w = *state;
    struct ql_peer_config config = {.host = "localhost", .port = w->port};
    struct ql_peer *p = NULL;
    struct outcome o = {0};
    char head[1024];
    int fd;

    assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
    sent(p, (struct ql_call){0}, &o);
    fd = accept_next(w);
    read_request(w, fd, head, sizeof head);
    assert_non_null(strstr(head, "\r\nHost: localhost:"));
    raw_send(fd, FINE);
    expect(w, &o, QL_OK, "");
    ql_peer_free(p);
    close(fd);

    o.done = 0;
    config.host = "no-such-host.invalid";
    assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
    expect(w, sent(p, (struct ql_call){0}, &o), QL_EIO, "no-such-host.invalid");
    ql_peer_free(p);

    /* Freed while the look-up is under way. */
    o.done = 0;
    config.host = "other.invalid";
    assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
    sent(p, (struct ql_call){0}, &o);
    ql_peer_free(p);
    assert_int_equal(o.error, QL_ECLOSED);
    run_for(w->base, 50);
}

static void a_silent_server_is_given_up_at_the_deadline(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    struct outcome first = {0}, second = {0}, third = {0};
    char head[1024];
    int fd;

    sent(p, (struct ql_call){.deadline_ms = 300}, &first);
    sent(p, (struct ql_call){.deadline_ms = 150}, &second); /* queued */
    sent(p, (struct ql_call){.deadline_ms = 3000, .path = "/third"}, &third);
    expect(w, &second, QL_ETIMEOUT, "still queued");
    assert_int_equal(first.done, 0);
    expect(w, &first, QL_ETIMEOUT, "within 300 ms");
    assert_in_range(first.elapsed_ns / QL_NS_PER_MS, 290, 1500);
    /* The next starts over a connection of its own: an answer that comes late must not be taken for its. */
    fd = accept_next(w);
    close(fd);
    fd = accept_next(w);
    read_request(w, fd, head, sizeof head);
    assert_memory_equal(head, "GET /third ", 11);
    raw_send(fd, FINE);
    expect(w, &third, QL_OK, "");
    ql_peer_free(p);
    close(fd);
}

static void calls_of_a_peer_go_in_order_and_background_last(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    const char *want[] = {"GET /1 ", "GET /2 ", "GET /3 ", "GET /b1 ", "GET /b2 "};
    struct outcome o = {0};
    char head[1024];
    int fd;

    sent(p, (struct ql_call){.path = "/b1", .background = true}, &o);
    sent(p, (struct ql_call){.path = "/b2", .background = true}, &o);
    sent(p, (struct ql_call){.path = "/2"}, &o);
    sent(p, (struct ql_call){.path = "/3"}, &o);
    fd = accept_next(w);
    read_request(w, fd, head, sizeof head);
    assert_memory_equal(head, "GET /b1 ", 8); /* nothing else was there when it started */
    raw_send(fd, FINE);
    want[0] = "GET /2 ";
    want[1] = "GET /3 ";
    want[2] = "GET /b2 ";
    for (int i = 0; i < 3; i++) {
        read_request(w, fd, head, sizeof head);
        assert_memory_equal(head, want[i], strlen(want[i]));
        raw_send(fd, FINE);
    }
    assert_true(run_until(w->base, &o.done, 4, 3000));
    ql_peer_free(p);
    close(fd);
}

/* One good call; the server then closes when the next request comes. Returns what became of that. */
static struct outcome race(struct world *w, struct ql_call next, unsigned *connections)
{
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    struct outcome o = {0};
    char head[1024];
    int fd;

    sent(p, (struct ql_call){0}, &o);
    fd = accept_next(w);
    read_request(w, fd, head, sizeof head);
    raw_send(fd, FINE);
    expect(w, &o, QL_OK, "");
    o.done = 0;
    sent(p, next, &o);
    read_request(w, fd, head, sizeof head);
    close(fd);
    *connections = 1;
    while ((fd = accept_next(w)) >= 0) {
        ++*connections;
        read_request(w, fd, head, sizeof head);
        if (strstr(head, "/never"))
            close(fd);
        else
            raw_send(fd, FINE);
    }
    assert_true(run_until(w->base, &o.done, 1, 3000));
    ql_peer_free(p);
    return o;
}

static void a_request_that_races_the_close_of_a_used_connection_is_repeated_once_when_idempotent(void **state)
{
    struct world *w = *state;
    unsigned connections;

    assert_int_equal(race(w, (struct ql_call){.method = QL_GET}, &connections).error, QL_OK);
    assert_int_equal(connections, 2);
    assert_int_equal(
        race(w, (struct ql_call){.method = QL_PUT, .body = "x", .body_len = 1}, &connections).error, QL_OK);
    assert_int_equal(connections, 2);
    assert_int_equal(
        race(w, (struct ql_call){.method = QL_POST, .body = "x", .body_len = 1}, &connections).error, QL_EIO);
    assert_int_equal(connections, 1);
    assert_int_equal(race(w, (struct ql_call){.path = "/never"}, &connections).error, QL_EIO);
    assert_int_equal(connections, 2);
}

static void a_server_that_closed_while_idle_is_connected_anew(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    struct outcome o = {0};
    char head[1024];
    int fd;

    for (unsigned i = 1; i <= 3; i++) {
        sent(p, (struct ql_call){.method = QL_POST, .body = "x", .body_len = 1}, &o);
        fd = accept_next(w);
        read_request(w, fd, head, sizeof head);
        raw_send(fd, FINE);
        assert_true(run_until(w->base, &o.done, i, 3000));
        assert_int_equal(o.error, QL_OK);
        close(fd);
        run_for(w->base, 20);
    }
    ql_peer_free(p);
}

static void answers_that_announce_the_end_of_the_connection_are_believed(void **state)
{
    const char *answers[] = {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfine",
                             "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nfine",
                             "HTTP/1.0 200 OK\r\n\r\nfine"};
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    char head[1024];

    for (size_t i = 0; i < QL_ARRAY_LEN(answers); i++) {
        struct outcome first = {0}, second = {0};
        int fd, next;

        sent(p, (struct ql_call){.method = QL_POST}, &first);
        sent(p, (struct ql_call){.method = QL_POST}, &second);
        fd = accept_next(w);
        read_request(w, fd, head, sizeof head);
        raw_send(fd, answers[i]);
        if (i == 2)
            shutdown(fd, SHUT_WR);
        expect(w, &first, QL_OK, "");
        assert_string_equal(first.body, "fine");
        next = accept_next(w); /* although the old one is still open */
        assert_true(next >= 0);
        read_request(w, next, head, sizeof head);
        raw_send(next, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfine");
        expect(w, &second, QL_OK, "");
        close(fd);
        close(next);
    }
    ql_peer_free(p);
}

/* Send this as the answer to one call. */
static struct outcome answered(struct world *w, struct ql_call what, const char *answer, bool then_close)
{
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    struct outcome o = {0};
    char head[1024];
    int fd;

    what.deadline_ms = what.deadline_ms ? what.deadline_ms : 1000;
    sent(p, what, &o);
    fd = accept_next(w);
    read_request(w, fd, head, sizeof head);
    raw_send(fd, answer);
    if (then_close)
        close(fd);
    assert_true(run_until(w->base, &o.done, 1, 3000));
    ql_peer_free(p);
    if (!then_close)
        close(fd);
    return o;
}

static void odd_answers_are_errors(void **state)
{
    const char *odd[] = {"SSH-2.0-OpenSSH_9.2\r\n",
                         "HTTP/1.1 \r\n\r\n",
                         "HTTP/3.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                         "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
                         "HTTP/1.1 777 Odd\r\nContent-Length: 0\r\n\r\n",
                         "HTTP/1.1 101 Switching\r\n\r\n",
                         "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                         "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfin",
                         "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
                         "HTTP/1.1 200 O",
                         ""};
    struct world *w = *state;

    for (size_t i = 0; i < QL_ARRAY_LEN(odd); i++) {
        struct outcome o = answered(w, (struct ql_call){.memfd_above = i & 1 ? 1 : 0}, odd[i], true);

        if (o.error >= 0 || o.status != 0 || o.fd >= 0)
            fail_msg("'%s' gives error %d status %d", odd[i], o.error, o.status);
    }
}

static void answers_above_the_limit_of_the_call_are_refused(void **state)
{
    struct world *w = *state;
    const char chunked[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n1\r\n!\r\n0\r\n\r\n";
    struct outcome o;

    for (size_t memfd = 0; memfd < 2; memfd++) {
        o = answered(w, (struct ql_call){.response_max = 4, .memfd_above = memfd}, FINE, false);
        assert_int_equal(o.error, QL_OK);
        assert_int_equal(o.len, 4);
        if (o.fd >= 0)
            close(o.fd);
        o = answered(w, (struct ql_call){.response_max = 3, .memfd_above = memfd}, FINE, false);
        assert_int_equal(o.error, QL_ELIMIT);
        assert_non_null(strstr(o.text, "3 bytes"));
        o = answered(w, (struct ql_call){.response_max = 5, .memfd_above = memfd}, chunked, false);
        assert_int_equal(o.error, QL_OK);
        if (o.fd >= 0)
            close(o.fd);
        o = answered(w, (struct ql_call){.response_max = 4, .memfd_above = memfd}, chunked, false);
        assert_int_equal(o.error, QL_ELIMIT);
        o = answered(w, (struct ql_call){.response_max = 3, .memfd_above = memfd},
                     "HTTP/1.0 200 OK\r\n\r\nfine", true);
        assert_int_equal(o.error, QL_ELIMIT);
    }
}

static void headers_without_end_are_refused(void **state)
{
    struct world *w = *state;
    char *text = malloc(50000);
    struct outcome o;

    memset(text, 'a', 50000);
    memcpy(text, "HTTP/1.1 200 OK\r\nX: ", 20);
    text[40000] = '\0';
    o = answered(w, (struct ql_call){0}, text, false);
    assert_int_equal(o.error, QL_EIO);
    free(text);
}

static void chunk_sizes_without_end_are_refused(void **state)
{
    static const char *const begins[] = {"", "4\r\nfine\r\n", "4\r\nfine\r\n1;x="};
    enum {
        LEN = 200000
    };
    struct world *w = *state;
    char *text = malloc(LEN);

    for (size_t i = 0; i < 2 * QL_ARRAY_LEN(begins); i++) {
        struct outcome o;
        int n = snprintf(text, LEN, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s", begins[i / 2]);

        memset(text + n, '0', (size_t)(LEN - n - 1));
        text[LEN - 1] = '\0';
        o = answered(w, (struct ql_call){.memfd_above = i % 2}, text, false);
        assert_int_equal(o.error, QL_ELIMIT);
        assert_non_null(strstr(o.text, "between chunks"));
    }
    free(text);
}

static void large_chunks_are_no_endless_lines(void **state)
{
    enum {
        LEN = 400000
    };
    struct world *w = *state;
    char *text = malloc(LEN + 200);
    int n = sprintf(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", LEN);

    memset(text + n, 'a', LEN);
    sprintf(text + n + LEN, "\r\n0\r\n\r\n");
    for (size_t memfd = 0; memfd < 2; memfd++) {
        struct outcome o = answered(w, (struct ql_call){.memfd_above = memfd}, text, false);

        assert_int_equal(o.error, QL_OK);
        assert_int_equal(o.len, LEN);
        if (o.fd >= 0)
            close(o.fd);
    }
    free(text);
}

static void answers_of_all_peers_share_one_limit(void **state)
{
    struct world *w = open_world_with((struct ql_http_client_config){.total_body_max = 3000});
    struct ql_peer *a = peer_new(w->client, w->port, NULL), *b = peer_new(w->client, w->port, NULL);
    struct outcome first = {0}, second = {0};
    char head[1024], text[4096];
    int fd[2];

    (void)state;
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: 2500\r\n\r\n%02000d", 1);
    sent(a, (struct ql_call){0}, &first);
    fd[0] = accept_next(w);
    read_request(w, fd[0], head, sizeof head);
    raw_send(fd[0], text);
    run_for(w->base, 30);
    sent(b, (struct ql_call){0}, &second);
    fd[1] = accept_next(w);
    read_request(w, fd[1], head, sizeof head);
    raw_send(fd[1], text);
    expect(w, &second, QL_ELIMIT, "3000 bytes");
    snprintf(text, sizeof text, "%0500d", 1);
    raw_send(fd[0], text);
    expect(w, &first, QL_OK, "");
    assert_int_equal(first.len, 2500);
    ql_peer_free(a);
    ql_peer_free(b);
    close(fd[0]);
    close(fd[1]);
    close_world((void **)&w);
}

static void an_answer_that_trickles_is_given_up(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    struct outcome o = {0};
    char head[1024];
    int64_t start;
    int fd;

    sent(p, (struct ql_call){.min_rate = 1000, .deadline_ms = 60000}, &o);
    fd = accept_next(w);
    read_request(w, fd, head, sizeof head);
    run_for(w->base, 300); /* thinking is not trickling */
    start = ql_mono_ns();
    raw_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (!o.done && ql_mono_ns() - start < 20 * QL_NS_PER_S) {
        run_for(w->base, 100);
        (void)!send(fd, "x", 1, MSG_NOSIGNAL); /* the end shows in the outcome */
    }
    assert_int_equal(o.done, 1);
    assert_int_equal(o.error, QL_ETIMEOUT);
    assert_non_null(strstr(o.text, "1000 bytes a second"));
    assert_in_range((ql_mono_ns() - start) / QL_NS_PER_MS, 9500, 14000);
    ql_peer_free(p);
    close(fd);
}

static void a_handshake_that_stalls_is_given_up_and_its_slot_goes_to_the_most_urgent(void **state)
{
    struct world *w = open_world_with((struct ql_http_client_config){.connecting_max = 1, .connect_ms = 200});
    const struct ql_tls_config config = {0};
    struct ql_tls *tls = NULL;
    struct ql_peer *p[4];
    struct outcome o[4] = {0};
    int plain;
    uint16_t port;
    char head[1024];
    int fd;

    (void)state;
    plain = listen_on_loopback(&port);
    assert_int_equal(ql_tls_new(&config, &tls, NULL), QL_OK);
    for (int i = 0; i < 3; i++)
        p[i] = peer_new(w->client, w->port, tls); /* that server never speaks TLS */
    p[3] = peer_new(w->client, port, NULL);
    sent(p[0], (struct ql_call){0}, &o[0]);
    sent(p[1], (struct ql_call){.background = true}, &o[1]);
    sent(p[2], (struct ql_call){.background = true, .deadline_ms = 50}, &o[2]);
    sent(p[3], (struct ql_call){0}, &o[3]);
    expect(w, &o[2], QL_ETIMEOUT, "still queued");
    expect(w, &o[0], QL_ETIMEOUT, "no connection within 200 ms");
    assert_int_equal(o[1].done + o[3].done, 0);
    fd = accept(plain, NULL, NULL);
    if (fd < 0) {
        run_for(w->base, 30);
        fd = accept(plain, NULL, NULL);
    }
    assert_true(fd >= 0); /* before the background peer, that asked first */
    fcntl(fd, F_SETFL, O_NONBLOCK);
    read_request(w, fd, head, sizeof head);
    raw_send(fd, FINE);
    expect(w, &o[3], QL_OK, "");
    expect(w, &o[1], QL_ETIMEOUT, "no connection within 200 ms");
    for (int i = 0; i < 4; i++)
        ql_peer_free(p[i]);
    close(fd);
    close(plain);
    ql_tls_unref(tls);
    close_world((void **)&w);
}

struct chain {
    struct ql_peer *peer;
    unsigned left, done;
    char last[16];
};

static void on_link(struct ql_http_result *r, void *arg)
{
    struct chain *c = arg;
    const struct ql_call what = {.method = QL_GET, .path = "/"};

    if (c->left > 0) {
        c->left--;
        assert_int_equal(ql_peer_call(c->peer, &what, on_link, c, NULL), QL_OK);
    } else {
        ql_peer_free(c->peer);
    }
    /* What the result points to is still there. */
    snprintf(c->last, sizeof c->last, "%.*s", (int)r->body_len, (const char *)r->body);
    assert_non_null(ql_result_header(r, "Content-Length"));
    c->done++;
}

static void a_callback_may_call_again_and_free_the_peer(void **state)
{
    struct world *w = *state;

    for (size_t memfd = 0; memfd < 2; memfd++) {
        struct chain c = {.peer = peer_new(w->client, w->port, NULL), .left = 3};
        const struct ql_call what = {.method = QL_GET, .path = "/", .memfd_above = memfd * 100};
        char head[1024];
        int fd;

        assert_int_equal(ql_peer_call(c.peer, &what, on_link, &c, NULL), QL_OK);
        fd = accept_next(w);
        for (unsigned i = 1; i <= 4; i++) {
            read_request(w, fd, head, sizeof head);
            raw_send(fd, FINE);
            assert_true(run_until(w->base, &c.done, i, 3000));
            assert_string_equal(c.last, "fine");
        }
        close(fd);
    }
}

static void on_failure_free(struct ql_http_result *r, void *arg)
{
    struct chain *c = arg;

    assert_true(r->error < 0);
    c->done++;
    if (c->peer)
        ql_peer_free(c->peer);
    c->peer = NULL;
}

static void a_failed_call_may_free_the_peer_and_others_end_as_closed(void **state)
{
    struct world *w = *state;
    struct chain c = {.peer = peer_new(w->client, w->port, NULL)};
    const struct ql_call what = {.method = QL_GET, .path = "/"};

    for (int i = 0; i < 3; i++)
        assert_int_equal(ql_peer_call(c.peer, &what, on_failure_free, &c, NULL), QL_OK);
    close(accept_next(w));
    assert_true(run_until(w->base, &c.done, 3, 3000));
}

static void a_freed_peer_ends_its_calls_at_once(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    struct outcome o = {0};
    char head[1024];
    int fd;

    for (int i = 0; i < 3; i++)
        sent(p, (struct ql_call){0}, &o);
    assert_int_equal(o.done, 0);
    fd = accept_next(w);
    read_request(w, fd, head, sizeof head);
    ql_peer_free(p);
    assert_int_equal(o.done, 3);
    assert_int_equal(o.error, QL_ECLOSED);
    run_for(w->base, 20);
    close(fd);
}

static void calls_that_cannot_be_sent_are_refused(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    const struct ql_call bad[] = {{.method = QL_GET, .path = "no-slash"},
                                  {.method = QL_GET, .path = "/a b"},
                                  {.method = QL_GET, .path = "/a\r\nX: y"},
                                  {.method = QL_GET, .path = "/\xc3\xa9"},
                                  {.method = 0, .path = "/"},
                                  {.method = QL_OTHER_METHOD, .path = "/"},
                                  {.method = QL_POST, .path = "/", .content_type = "a\r\nb: c"}};
    const struct ql_call good = {.method = QL_GET, .path = "/"};
    const struct ql_peer_config names[] = {
        {.host = ""}, {.host = "a b"}, {.host = "a/b"}, {.host = "a\r\nb"}};
    struct outcome o = {0};
    struct ql_peer *none = NULL;

    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++)
        assert_int_equal(ql_peer_call(p, &bad[i], on_outcome, &o, NULL), QL_ERANGE);
    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++)
        assert_int_equal(ql_peer_new(w->client, &names[i], &none, NULL), QL_ERANGE);
    assert_null(none);
    assert_int_equal(o.done, 0);
    for (int i = 0; i < QL_PEER_QUEUE_MAX + 1; i++) /* one is under way */
        assert_int_equal(ql_peer_call(p, &good, on_outcome, &o, NULL), QL_OK);
    assert_int_equal(ql_peer_call(p, &good, on_outcome, &o, NULL), QL_ELIMIT);
    ql_peer_free(p);
    assert_int_equal(o.done, QL_PEER_QUEUE_MAX + 1);
}

/* A TLS server that, like old agents, ends its answers by closing the socket and nothing else. */
struct rude {
    int listener;
    SSL_CTX *ctx;
    unsigned rounds;
};

static void *be_rude(void *arg)
{
    struct rude *r = arg;
    static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{\"code\": 200}";

    for (unsigned i = 0; i < r->rounds; i++) {
        struct pollfd wait = {.fd = r->listener, .events = POLLIN};
        char buf[1024];
        SSL *ssl;
        int fd;

        poll(&wait, 1, 5000);
        fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
        ssl = SSL_new(r->ctx);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1 && SSL_read(ssl, buf, sizeof buf) > 0)
            SSL_write(ssl, answer, sizeof answer - 1);
        shutdown(fd, SHUT_RDWR);
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

static void an_answer_that_ends_with_the_socket_is_taken_only_where_allowed(void **state)
{
    struct world *w = *state;
    struct pki pki;
    struct ql_tls *server, *tls;
    struct rude rude = {.listener = w->listener, .rounds = 2};
    pthread_t thread;

    pki_open(&pki);
    server = pki_tls(&pki, true, "server", NULL, QL_CLIENT_CERT_NONE);
    tls = pki_tls(&pki, false, NULL, "ca", QL_CLIENT_CERT_NONE);
    rude.ctx = ql_tls_native(server);
    assert_int_equal(pthread_create(&thread, NULL, be_rude, &rude), 0);
    for (int i = 0; i < 2; i++) {
        struct ql_peer_config config = {
            .host = "127.0.0.1", .port = w->port, .tls = tls, .unframed_ok = i == 1};
        struct ql_peer *p = NULL;
        struct outcome o = {0};

        assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
        sent(p, (struct ql_call){.method = QL_POST}, &o);
        expect(w, &o, i == 1 ? QL_OK : QL_EIO, "");
        if (i == 1)
            assert_string_equal(o.body, "{\"code\": 200}");
        ql_peer_free(p);
    }
    pthread_join(thread, NULL);
    ql_tls_unref(server);
    ql_tls_unref(tls);
    pki_close(&pki);
}

static void a_reset_peer_finishes_its_call_and_connects_anew(void **state)
{
    struct world *w = *state;
    struct ql_peer *p = peer_new(w->client, w->port, NULL);
    struct outcome o = {0};
    char head[1024];
    int fd, next;

    sent(p, (struct ql_call){0}, &o);
    fd = accept_next(w);
    read_request(w, fd, head, sizeof head);
    ql_peer_reset(p, NULL);
    raw_send(fd, FINE);
    expect(w, &o, QL_OK, "");
    sent(p, (struct ql_call){0}, &o);
    next = accept_next(w);
    assert_true(next >= 0);
    read_request(w, next, head, sizeof head);
    raw_send(next, FINE);
    assert_true(run_until(w->base, &o.done, 2, 3000));
    ql_peer_reset(p, NULL); /* idle: at once */
    run_for(w->base, 20);
    assert_int_equal(recv(next, head, sizeof head, 0), 0);
    ql_peer_free(p);
    close(fd);
    close(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
        TEST(a_request_has_host_type_and_length),
        TEST(a_refused_connection_is_reported),
        TEST(names_are_resolved_and_every_address_is_tried),
        TEST(a_silent_server_is_given_up_at_the_deadline),
        TEST(calls_of_a_peer_go_in_order_and_background_last),
        TEST(a_request_that_races_the_close_of_a_used_connection_is_repeated_once_when_idempotent),
        TEST(a_server_that_closed_while_idle_is_connected_anew),
        TEST(answers_that_announce_the_end_of_the_connection_are_believed),
        TEST(odd_answers_are_errors),
        TEST(answers_above_the_limit_of_the_call_are_refused),
        TEST(headers_without_end_are_refused),
        TEST(chunk_sizes_without_end_are_refused),
        TEST(large_chunks_are_no_endless_lines),
        cmocka_unit_test(answers_of_all_peers_share_one_limit),
        TEST(an_answer_that_trickles_is_given_up),
        cmocka_unit_test(a_handshake_that_stalls_is_given_up_and_its_slot_goes_to_the_most_urgent),
        TEST(a_callback_may_call_again_and_free_the_peer),
        TEST(a_failed_call_may_free_the_peer_and_others_end_as_closed),
        TEST(a_freed_peer_ends_its_calls_at_once),
        TEST(calls_that_cannot_be_sent_are_refused),
        TEST(an_answer_that_ends_with_the_socket_is_taken_only_where_allowed),
        TEST(a_reset_peer_finishes_its_call_and_connects_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
