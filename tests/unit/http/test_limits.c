/* SPDX-License-Identifier: Apache-2.0 */
/* Every limit of struct ql_http_limits with a small value, and what slow, silent and leaving clients cost. */
#include <sys/resource.h>

#include "harness.h"

enum {
    HELD_MAX = 8
};

struct world {
    struct pki pki;
    struct event_base *base;
    struct ql_http_server *server;
    struct ql_tls *tls;
    struct ql_http_req *held[HELD_MAX];
    unsigned holding, freed, served;
};

static void count_freed(void *object)
{
    (*(unsigned *)object)++;
}

static void serve(struct ql_http_req *req, void *arg)
{
    ((struct world *)arg)->served++;
    ql_req_reply_raw(req, 200, "text/plain", "fine", 4);
}

static void hold(struct ql_http_req *req, void *arg)
{
    struct world *w = arg;

    assert_true(w->holding < HELD_MAX);
    ql_req_attach(req, &w->freed, count_freed);
    w->held[w->holding++] = req;
}

static void big(struct ql_http_req *req, void *arg)
{
    size_t len = 64 * 1024 * 1024;
    char *data = calloc(1, len);

    (void)arg;
    ql_req_reply_raw(req, 200, "text/plain", data, len);
    free(data);
}

static const struct ql_route routes[] = {
    {QL_GET, "/ok", 0, 0, QL_WHO_PUBLIC, "ok", 0, serve, ""},
    {QL_POST, "/ok", 0, 0, QL_WHO_PUBLIC, "ok", 0, serve, ""},
    {QL_GET, "/hold/{id}", 0, 0, QL_WHO_PUBLIC, "hold", 0, hold, ""},
    {QL_GET, "/big", 0, 0, QL_WHO_PUBLIC, "big", 0, big, ""},
    {0},
};

static struct world *open_world(const struct ql_http_limits *limits, bool tls)
{
    struct world *w = calloc(1, sizeof *w);
    struct ql_http_server_config config = {
        .address = "127.0.0.1", .routes = routes, .arg = w, .limits = *limits};
    struct ql_err err = QL_ERR_INIT;

    pki_open(&w->pki);
    if (tls)
        w->tls = pki_tls(&w->pki, true, "server", "ca", QL_CLIENT_CERT_OPTIONAL);
    config.base = w->base = event_base_new();
    config.tls = w->tls;
    if (ql_http_server_new(&config, &w->server, &err) < 0)
        fail_msg("%s", err.text);
    return w;
}

static void close_world(struct world *w)
{
    ql_http_server_free(w->server);
    ql_tls_unref(w->tls);
    event_base_free(w->base);
    pki_close(&w->pki);
    free(w);
}

#define OK   "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n"
#define HOLD "GET /hold/me?q=1 HTTP/1.1\r\nHost: x\r\nX-Mark: m\r\n\r\n"

/* Milliseconds until the server closes, at most 5,000. */
static int64_t closes_after(struct world *w, int fd)
{
    int64_t start = ql_mono_ns();
    char answer[1024];
    bool closed;

    raw_read(w->base, fd, answer, sizeof answer, NULL, 5000, &closed);
    return closed ? (ql_mono_ns() - start) / QL_NS_PER_MS : 5000;
}

static bool is_served(struct world *w, int fd)
{
    char answer[1024];
    bool closed;

    raw_send(fd, OK);
    raw_read(w->base, fd, answer, sizeof answer, "fine", 2000, &closed);
    return strstr(answer, "fine") != NULL;
}

static void a_silent_connection_is_cut(void **state)
{
    const struct ql_http_limits limits = {.header_ms = 200};
    struct world *w = open_world(&limits, false);
    int fd = raw_connect(ql_http_server_port(w->server));
    int64_t ms = closes_after(w, fd);

    (void)state;
    assert_in_range(ms, 150, 2000);
    close(fd);
    close_world(w);
}

static void one_byte_now_and_then_does_not_extend_the_header_deadline(void **state)
{
    const struct ql_http_limits limits = {.header_ms = 400};
    struct world *w = open_world(&limits, false);
    int fd = raw_connect(ql_http_server_port(w->server));
    int64_t start = ql_mono_ns();
    char c;

    (void)state;
    for (int i = 0; i < 40 && send(fd, "a", 1, MSG_NOSIGNAL) == 1; i++) {
        run_for(w->base, 50);
        if (recv(fd, &c, 1, 0) == 0)
            break;
    }
    assert_in_range((ql_mono_ns() - start) / QL_NS_PER_MS, 350, 1500);
    close(fd);
    close_world(w);
}

static void a_later_head_has_its_own_deadline_within_the_idle_time(void **state)
{
    const struct ql_http_limits limits = {.header_ms = 200, .idle_ms = 3000};
    struct world *w = open_world(&limits, false);
    int fd = raw_connect(ql_http_server_port(w->server));

    (void)state;
    assert_true(is_served(w, fd));
    run_for(w->base, 400); /* idle is allowed */
    assert_true(is_served(w, fd));
    raw_send(fd, "GET /ok HT");
    assert_in_range(closes_after(w, fd), 150, 1500);
    close(fd);
    close_world(w);
}

static void an_idle_connection_is_closed_after_the_idle_time(void **state)
{
    const struct ql_http_limits limits = {.idle_ms = 300, .header_ms = 5000};
    struct world *w = open_world(&limits, false);
    int fd = raw_connect(ql_http_server_port(w->server));

    (void)state;
    assert_true(is_served(w, fd));
    assert_in_range(closes_after(w, fd), 200, 2000);
    close(fd);
    close_world(w);
}

static void a_body_that_trickles_is_cut(void **state)
{
    const struct ql_http_limits limits = {.body_ms = 400};
    struct world *w = open_world(&limits, false);
    int fd = raw_connect(ql_http_server_port(w->server));
    int64_t start = ql_mono_ns();
    char c;

    (void)state;
    raw_send(fd, "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    for (int i = 0; i < 40 && send(fd, "a", 1, MSG_NOSIGNAL) == 1; i++) {
        run_for(w->base, 50);
        if (recv(fd, &c, 1, 0) == 0)
            break;
    }
    assert_in_range((ql_mono_ns() - start) / QL_NS_PER_MS, 350, 1500);
    assert_int_equal(w->served, 0);
    close(fd);
    close_world(w);
}

static void a_client_that_does_not_read_its_answer_is_cut(void **state)
{
    const struct ql_http_limits limits = {.write_ms = 300};
    struct world *w = open_world(&limits, false);
    int fd = raw_connect(ql_http_server_port(w->server));
    char sink[4096];
    ssize_t n;
    size_t got = 0;
    int64_t end;

    (void)state;
    raw_send(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    run_for(w->base, 1000);
    /* What the kernel buffered is still readable; then the connection is gone, far from the end of the answer. */
    end = ql_mono_ns() + 5 * QL_NS_PER_S;
    while (((n = recv(fd, sink, sizeof sink, 0)) > 0 || (n < 0 && errno == EAGAIN)) && ql_mono_ns() < end)
        got += n > 0 ? (size_t)n : 0;
    assert_true(n == 0 || (n < 0 && errno != EAGAIN));
    assert_true(got < 64 * 1024 * 1024);
    close(fd);
    close_world(w);
}

static void a_late_handler_is_answered_for_and_may_still_answer(void **state)
{
    const struct ql_http_limits limits = {.reply_ms = 200};
    struct world *w = open_world(&limits, false);
    int fd = raw_connect(ql_http_server_port(w->server));
    char answer[1024];
    bool closed;
    size_t len;

    (void)state;
    raw_send(fd, HOLD);
    raw_read(w->base, fd, answer, sizeof answer, NULL, 3000, &closed);
    assert_memory_equal(answer, "HTTP/1.1 503 ", 13);
    assert_true(closed);
    assert_int_equal(ql_http_server_pending(w->server), 1);
    /* The request is valid until its answer, whatever became of the connection. */
    assert_string_equal(ql_req_param(w->held[0], "id"), "me");
    assert_string_equal(ql_req_query(w->held[0], "q"), "1");
    assert_string_equal(ql_req_header(w->held[0], "x-mark"), "m");
    (void)ql_req_body(w->held[0], &len);
    assert_int_equal(w->freed, 0);
    ql_req_reply(w->held[0], 200, NULL, json_object());
    assert_int_equal(ql_http_server_pending(w->server), 0);
    run_for(w->base, 50);
    assert_int_equal(w->freed, 1);
    close(fd);
    close_world(w);
}

static void a_client_that_leaves_before_a_late_answer_harms_nobody(void **state)
{
    const struct ql_http_limits limits = {0};

    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct world *w = open_world(&limits, tls);
        struct ql_tls *mine = pki_tls(&w->pki, false, NULL, "ca", QL_CLIENT_CERT_NONE);
        struct ql_http_client_config config = {.base = w->base};
        struct ql_http_client *client = NULL;
        struct ql_peer *p;
        struct outcome o = {0};

        assert_int_equal(ql_http_client_new(&config, &client, NULL), QL_OK);
        p = peer_new(client, ql_http_server_port(w->server), tls ? mine : NULL);
        call(p, QL_GET, "/hold/x", NULL, &o);
        assert_true(run_until(w->base, &w->holding, 1, 3000));
        ql_peer_free(p);
        assert_int_equal(o.error, QL_ECLOSED);
        run_for(w->base, 100);
        ql_req_reply(w->held[0], 200, NULL, NULL);
        assert_true(run_until(w->base, &w->freed, 1, 3000));
        assert_int_equal(ql_http_server_pending(w->server), 0);
        ql_http_client_free(client);
        ql_tls_unref(mine);
        close_world(w);
    }
}

static void more_deferred_requests_than_allowed_are_told_to_come_again(void **state)
{
    const struct ql_http_limits limits = {.deferred_max = 2};
    struct world *w = open_world(&limits, false);
    int fd[3];
    char answer[1024];
    bool closed;

    (void)state;
    for (int i = 0; i < 3; i++)
        fd[i] = raw_connect(ql_http_server_port(w->server));
    raw_send(fd[0], HOLD);
    raw_send(fd[1], HOLD);
    assert_true(run_until(w->base, &w->holding, 2, 3000));
    raw_send(fd[2], HOLD);
    raw_read(w->base, fd[2], answer, sizeof answer, "\r\n\r\n", 3000, &closed);
    assert_memory_equal(answer, "HTTP/1.1 503 ", 13);
    assert_non_null(strstr(answer, "\r\nRetry-After: 1\r\n"));
    assert_false(closed);
    ql_req_reply(w->held[0], 200, NULL, NULL);
    assert_true(is_served(w, fd[2]));
    ql_req_reply(w->held[1], 200, NULL, NULL);
    for (int i = 0; i < 3; i++)
        close(fd[i]);
    close_world(w);
}

static void connections_above_the_limit_are_closed_at_once(void **state)
{
    const struct ql_http_limits total = {.connections_max = 3}, address = {.per_address_max = 3};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world *w = open_world(i ? &address : &total, false);
        int fd[4];

        for (int n = 0; n < 3; n++) {
            fd[n] = raw_connect(ql_http_server_port(w->server));
            assert_true(is_served(w, fd[n]));
        }
        fd[3] = raw_connect(ql_http_server_port(w->server));
        assert_in_range(closes_after(w, fd[3]), 0, 1000);
        close(fd[3]);
        assert_true(is_served(w, fd[0]));
        /* A place that becomes free is given away again. */
        close(fd[1]);
        run_for(w->base, 50);
        fd[1] = raw_connect(ql_http_server_port(w->server));
        assert_true(is_served(w, fd[1]));
        for (int n = 0; n < 3; n++)
            close(fd[n]);
        close_world(w);
    }
}

static void bodies_of_all_connections_share_one_limit(void **state)
{
    const struct ql_http_limits limits = {.bodies_max = 10000, .body_max = 9000};
    struct world *w = open_world(&limits, false);
    int a = raw_connect(ql_http_server_port(w->server)), b = raw_connect(ql_http_server_port(w->server));
    char text[9000], answer[1024];
    bool closed;

    (void)state;
    memset(text, 'x', sizeof text);
    text[6000] = '\0';
    raw_send(a, "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n");
    raw_send(a, text);
    run_for(w->base, 50);
    raw_send(b, "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n");
    raw_send(b, text);
    raw_read(w->base, b, answer, sizeof answer, NULL, 3000, &closed);
    assert_memory_equal(answer, "HTTP/1.1 503 ", 13);
    assert_non_null(strstr(answer, "Retry-After"));
    text[3000] = '\0';
    raw_send(a, text);
    raw_read(w->base, a, answer, sizeof answer, "fine", 3000, &closed);
    assert_non_null(strstr(answer, "fine"));
    close(a);
    close(b);
    close_world(w);
}

static void silent_and_stalling_tls_clients_are_cut_and_keep_nobody_out(void **state)
{
    const struct ql_http_limits limits = {.handshakes_max = 1, .handshake_ms = 1200};
    struct world *w = open_world(&limits, true);
    struct ql_tls *mine = pki_tls(&w->pki, false, NULL, "ca", QL_CLIENT_CERT_NONE);
    struct ql_http_client_config config = {.base = w->base};
    struct ql_http_client *client = NULL;
    struct ql_peer *p;
    struct outcome o = {0};
    int fd[6];

    (void)state;
    for (int i = 0; i < 6; i++)
        fd[i] = raw_connect(ql_http_server_port(w->server));
    /* Were each to hold the slot until it is taken away, the request would come after them all. */
    for (int i = 1; i < 6; i++)
        raw_send(fd[i], i % 2 ? "\x16\x03\x01" : "\x16\x03\x01\x02\x01\x01\x02");
    run_for(w->base, 20);
    assert_int_equal(ql_http_client_new(&config, &client, NULL), QL_OK);
    p = peer_new(client, ql_http_server_port(w->server), mine);
    call(p, QL_GET, "/ok", NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 3000));
    assert_int_equal(o.status, 200);
    assert_true(o.elapsed_ns < 950 * QL_NS_PER_MS); /* five slots later would be 1,000 ms */
    for (int i = 0; i < 6; i++) {
        assert_in_range(closes_after(w, fd[i]), 0, 2700);
        close(fd[i]);
    }
    ql_peer_free(p);
    ql_http_client_free(client);
    ql_tls_unref(mine);
    close_world(w);
}

static void plain_http_to_a_tls_port_gets_no_answer(void **state)
{
    const struct ql_http_limits limits = {0};
    struct world *w = open_world(&limits, true);
    int fd = raw_connect(ql_http_server_port(w->server));
    char answer[1024];
    bool closed;

    (void)state;
    raw_send(fd, OK);
    raw_read(w->base, fd, answer, sizeof answer, NULL, 3000, &closed);
    assert_true(closed);
    assert_null(strstr(answer, "fine"));
    assert_int_equal(w->served, 0);
    close(fd);
    close_world(w);
}

static void a_thousand_idle_connections_do_not_delay_a_request(void **state)
{
    const struct ql_http_limits limits = {.per_address_max = 2000};
    struct world *w = open_world(&limits, false);
    struct rlimit files;
    static int fd[1000];
    int64_t start;
    int extra;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < 2200) {
        print_message("only %lu descriptors\n", (unsigned long)files.rlim_cur);
        close_world(w);
        skip();
    }
    for (int i = 0; i < 1000; i++) {
        fd[i] = raw_connect(ql_http_server_port(w->server));
        if (i % 100 == 0)
            run_for(w->base, 2);
    }
    run_for(w->base, 50);
    extra = raw_connect(ql_http_server_port(w->server));
    start = ql_mono_ns();
    assert_true(is_served(w, extra));
    assert_true(ql_mono_ns() - start < 1000 * QL_NS_PER_MS);
    assert_true(is_served(w, fd[0]));
    assert_true(is_served(w, fd[999]));
    close(extra);
    for (int i = 0; i < 1000; i++)
        close(fd[i]);
    close_world(w);
}

static void running_out_of_descriptors_is_survived_without_spinning(void **state)
{
    const struct ql_http_limits limits = {0};
    struct world *w = open_world(&limits, false);
    struct rlimit files, less;
    struct rusage before, after;
    int fd[3], hog[64], hogs = 0;
    char answer[64];
    bool closed;

    (void)state;
    for (int i = 0; i < 3; i++)
        fd[i] = raw_connect(ql_http_server_port(w->server)); /* in the backlog: the loop has not run */
    getrlimit(RLIMIT_NOFILE, &files);
    less = files;
    less.rlim_cur = (rlim_t)fd[2] + 1;
    setrlimit(RLIMIT_NOFILE, &less);
    while (hogs < 64 && (hog[hogs] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        hogs++;
    getrusage(RUSAGE_SELF, &before);
    run_for(w->base, 400);
    getrusage(RUSAGE_SELF, &after);
    assert_true((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec -
                    before.ru_utime.tv_usec <
                200000);
    /* One is shaken off each time, so that clients learn of it. */
    raw_read(w->base, fd[0], answer, sizeof answer, NULL, 500, &closed);
    assert_true(closed);
    setrlimit(RLIMIT_NOFILE, &files);
    while (hogs > 0)
        close(hog[--hogs]);
    run_for(w->base, 250);
    for (int i = 0; i < 3; i++)
        close(fd[i]);
    fd[0] = raw_connect(ql_http_server_port(w->server));
    assert_true(is_served(w, fd[0]));
    close(fd[0]);
    close_world(w);
}

static void a_draining_server_finishes_what_it_began(void **state)
{
    const struct ql_http_limits limits = {0};
    struct world *w = open_world(&limits, false);
    int idle = raw_connect(ql_http_server_port(w->server)),
        busy = raw_connect(ql_http_server_port(w->server));
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(ql_http_server_port(w->server))};
    int late = socket(AF_INET, SOCK_STREAM, 0);
    char answer[1024];
    bool closed;

    (void)state;
    assert_true(is_served(w, idle));
    raw_send(busy, HOLD);
    assert_true(run_until(w->base, &w->holding, 1, 3000));
    ql_http_server_drain(w->server);
    assert_in_range(closes_after(w, idle), 0, 1000);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_not_equal(connect(late, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(ql_http_server_pending(w->server), 1);
    ql_req_reply(w->held[0], 200, NULL, NULL);
    raw_read(w->base, busy, answer, sizeof answer, NULL, 3000, &closed);
    assert_non_null(strstr(answer, "Success"));
    assert_non_null(strstr(answer, "Connection: close"));
    assert_true(closed);
    assert_int_equal(ql_http_server_pending(w->server), 0);
    close(idle);
    close(busy);
    close(late);
    close_world(w);
}

static void a_request_held_past_the_end_of_its_server_can_be_answered(void **state)
{
    const struct ql_http_limits limits = {0};
    struct world *w = open_world(&limits, false);
    int fd = raw_connect(ql_http_server_port(w->server));

    (void)state;
    raw_send(fd, HOLD);
    assert_true(run_until(w->base, &w->holding, 1, 3000));
    ql_http_server_free(w->server);
    w->server = NULL;
    assert_string_equal(ql_req_param(w->held[0], "id"), "me");
    assert_int_equal(ql_req_add_header(w->held[0], "X-A", "b"), QL_OK);
    ql_req_replyf(w->held[0], 404, "%s is %s", "nobody", "there");
    assert_int_equal(w->freed, 1);
    close(fd);
    close_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_connection_is_cut),
        cmocka_unit_test(one_byte_now_and_then_does_not_extend_the_header_deadline),
        cmocka_unit_test(a_later_head_has_its_own_deadline_within_the_idle_time),
        cmocka_unit_test(an_idle_connection_is_closed_after_the_idle_time),
        cmocka_unit_test(a_body_that_trickles_is_cut),
        cmocka_unit_test(a_client_that_does_not_read_its_answer_is_cut),
        cmocka_unit_test(a_late_handler_is_answered_for_and_may_still_answer),
        cmocka_unit_test(a_client_that_leaves_before_a_late_answer_harms_nobody),
        cmocka_unit_test(more_deferred_requests_than_allowed_are_told_to_come_again),
        cmocka_unit_test(connections_above_the_limit_are_closed_at_once),
        cmocka_unit_test(bodies_of_all_connections_share_one_limit),
        cmocka_unit_test(silent_and_stalling_tls_clients_are_cut_and_keep_nobody_out),
        cmocka_unit_test(plain_http_to_a_tls_port_gets_no_answer),
        cmocka_unit_test(a_thousand_idle_connections_do_not_delay_a_request),
        cmocka_unit_test(running_out_of_descriptors_is_survived_without_spinning),
        cmocka_unit_test(a_draining_server_finishes_what_it_began),
        cmocka_unit_test(a_request_held_past_the_end_of_its_server_can_be_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
