/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let in: certificates of clients and servers, pins, resumed sessions. */
#include "harness.h"
#include "peer.h"

static const unsigned versions[] = {QL_API(2, 6), 0};

struct world {
    struct pki pki;
    struct event_base *base;
    struct ql_http_server *server;
    struct ql_http_client *client;
    struct ql_tls *server_tls;
    unsigned served;
};

static void serve(struct ql_http_req *req, void *arg)
{
    const char *name = ql_req_client_name(req);

    ((struct world *)arg)->served++;
    ql_req_reply_raw(req, 200, "text/plain", name ? name : "-", strlen(name ? name : "-"));
}

static const struct ql_route routes[] = {
    {QL_GET, "/public", 0, 0, QL_WHO_PUBLIC, "read_version", 0, serve, ""},
    {QL_GET, "/tls", 0, 0, QL_WHO_TLS, "see", 0, serve, ""},
    {QL_GET, "/client", 0, 0, QL_WHO_CLIENT, "see_client", 0, serve, ""},
    {QL_GET, "/admin", 0, 0, QL_WHO_ADMIN, "list_agents", 0, serve, ""},
    {QL_POST, "/admin", 0, 0, QL_WHO_ADMIN, "create_agent", 0, serve, ""},
    {0},
};

static void open_server(struct world *w, enum ql_client_cert want)
{
    struct ql_http_server_config config = {
        .base = w->base, .address = "127.0.0.1", .routes = routes, .versions = versions, .arg = w};

    w->server_tls = pki_tls(&w->pki, true, "server", "ca", want);
    config.tls = w->server_tls;
    assert_int_equal(ql_http_server_new(&config, &w->server, NULL), QL_OK);
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct ql_http_client_config client = {0};

    pki_open(&w->pki);
    free(pki_leaf(&w->pki, "other", "mallory", false, NULL, NULL, NULL));
    free(pki_leaf(&w->pki, "nameless", NULL, true, NULL, NULL, NULL));
    free(pki_leaf(&w->pki, "serveronly", "server", true, "serverAuth", NULL, NULL));
    client.base = w->base = event_base_new();
    assert_int_equal(ql_http_client_new(&client, &w->client, NULL), QL_OK);
    open_server(w, QL_CLIENT_CERT_OPTIONAL);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;

    ql_http_client_free(w->client);
    ql_http_server_free(w->server);
    ql_tls_unref(w->server_tls);
    event_base_free(w->base);
    pki_close(&w->pki);
    free(w);
    return 0;
}

/* One call with this certificate (NULL: none), over a connection of its own. */
static struct outcome ask_as(struct world *w, const char *name, unsigned method, const char *path)
{
    struct ql_tls *tls = pki_tls(&w->pki, false, name, "ca", QL_CLIENT_CERT_NONE);
    struct ql_peer *p = peer_new(w->client, ql_http_server_port(w->server), tls);
    struct outcome o = {0};

    call(p, method, path, NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    ql_peer_free(p);
    ql_tls_unref(tls);
    return o;
}

#define DENIED                                                                                               \
    "{\"errors\": [{\"status\": \"403\", \"title\": \"Forbidden\", \"detail\": \"Action list_agents "        \
    "requires admin authentication (mTLS certificate)\"}]}"

static void without_a_certificate_public_routes_are_all_there_is(void **state)
{
    struct world *w = *state;
    struct outcome o = ask_as(w, NULL, QL_GET, "/public");

    assert_int_equal(o.status, 200);
    assert_string_equal(o.body, "-");
    assert_int_equal(ask_as(w, NULL, QL_GET, "/tls").status, 200);
    o = ask_as(w, NULL, QL_GET, "/admin");
    assert_int_equal(o.status, 403);
    assert_string_equal(o.body, DENIED);
    assert_string_equal(o.type, "application/json; charset=UTF-8");
    o = ask_as(w, NULL, QL_GET, "/client");
    assert_int_equal(o.status, 403);
    assert_non_null(strstr(o.body, "\"Action see_client requires authentication\""));
    /* The route comes first. */
    assert_int_equal(ask_as(w, NULL, QL_GET, "/nosuch").status, 404);
    assert_int_equal(ask_as(w, NULL, QL_DELETE, "/admin").status, 405);
    assert_int_equal(w->served, 2);
}

static void a_verified_certificate_with_a_name_is_an_admin(void **state)
{
    struct world *w = *state;
    struct outcome o = ask_as(w, "client", QL_GET, "/admin");

    assert_int_equal(o.status, 200);
    assert_string_equal(o.body, "admin");
}

static void a_verified_certificate_without_a_name_is_a_client_only(void **state)
{
    struct world *w = *state;

    assert_int_equal(ask_as(w, "nameless", QL_GET, "/client").status, 200);
    assert_int_equal(ask_as(w, "nameless", QL_GET, "/admin").status, 403);
}

static void a_certificate_for_servers_alone_is_nobody(void **state)
{
    struct world *w = *state;

    assert_int_not_equal(ask_as(w, "serveronly", QL_GET, "/admin").status, 200);
    assert_int_equal(w->served, 0);
}

static void unread_uploads_are_not_taken_from_strangers(void **state)
{
    struct world *w = *state;
    struct ql_tls *tls = pki_tls(&w->pki, false, NULL, "ca", QL_CLIENT_CERT_NONE);
    struct ql_peer *p = peer_new(w->client, ql_http_server_port(w->server), tls);
    struct ql_call what = {.method = QL_POST, .path = "/admin", .body_len = 200000};
    struct outcome o = {0};

    what.body = calloc(1, what.body_len);
    assert_int_equal(ql_peer_call(p, &what, on_outcome, &o, NULL), QL_OK);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    assert_int_equal(o.status, 403);
    assert_non_null(strstr(o.body, "Action create_agent requires admin"));
    assert_int_equal(w->server ? ql_http_server_pending(w->server) : 1, 0);
    free((void *)(uintptr_t)what.body);
    ql_peer_free(p);
    ql_tls_unref(tls);
}

/* A bare OpenSSL client, to see alerts and to send what our own client would not. */
static SSL *raw_tls(struct world *w, const char *name, int *fd, SSL_CTX **ctx)
{
    char path[128], file[80];
    SSL *ssl;

    *ctx = SSL_CTX_new(TLS_client_method());
    if (name) {
        snprintf(file, sizeof file, "%s.crt", name);
        assert_int_equal(SSL_CTX_use_certificate_file(*ctx, pki_path(&w->pki, file, path), SSL_FILETYPE_PEM),
                         1);
        snprintf(file, sizeof file, "%s.key", name);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(*ctx, pki_path(&w->pki, file, path), SSL_FILETYPE_PEM),
                         1);
    }
    ssl = SSL_new(*ctx);
    *fd = raw_connect(ql_http_server_port(w->server));
    SSL_set_fd(ssl, *fd);
    SSL_set_connect_state(ssl);
    return ssl;
}

/* Does this hold a whole answer: head, and a body of the length it says? */
static bool is_whole(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n"), *len = strstr(answer, "Content-Length: ");

    return body && len && strlen(body + 4) >= strtoul(len + 16, NULL, 10);
}

/* Drive a request; returns the alert that came instead of an answer, 0 for an answer, -1 for neither. */
static int raw_ask(struct world *w, SSL *ssl, const char *text, char *answer, size_t room)
{
    int64_t end = ql_mono_ns() + 5 * QL_NS_PER_S;
    bool sent = false;
    size_t at = 0;
    int n;

    ERR_clear_error();
    while (ql_mono_ns() < end) {
        if (!sent) {
            n = SSL_write(ssl, text, (int)strlen(text));
            sent = n > 0;
        } else {
            n = SSL_read(ssl, answer + at, (int)(room - at) - 1);
            if (n > 0) {
                at += (size_t)n;
                answer[at] = '\0';
                if (is_whole(answer))
                    return 0;
            }
        }
        if (n <= 0 && SSL_get_error(ssl, n) == SSL_ERROR_SSL) {
            int reason = ERR_GET_REASON(ERR_peek_error());

            return reason > SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : -1;
        }
        if (n <= 0 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ &&
            SSL_get_error(ssl, n) != SSL_ERROR_WANT_WRITE)
            return -1;
        run_for(w->base, 1);
    }
    return -1;
}

static void raw_close(SSL *ssl, int fd, SSL_CTX *ctx)
{
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
}

static void a_certificate_that_does_not_chain_fails_the_handshake_with_unknown_ca(void **state)
{
    struct world *w = *state;
    const int protocols[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t i = 0; i < 2; i++) {
        SSL_CTX *ctx;
        int fd;
        SSL *ssl = raw_tls(w, "other", &fd, &ctx);
        char answer[1024];

        SSL_set_max_proto_version(ssl, protocols[i]);
        SSL_set_min_proto_version(ssl, protocols[i]);
        assert_int_equal(raw_ask(w, ssl, "GET /public HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer),
                         48);
        raw_close(ssl, fd, ctx);
    }
    assert_int_equal(w->served, 0);
}

static void tls_below_1_2_and_renegotiation_are_refused(void **state)
{
    struct world *w = *state;
    SSL_CTX *ctx;
    int fd;
    SSL *ssl = raw_tls(w, NULL, &fd, &ctx);
    char answer[1024];

    SSL_set_security_level(ssl, 0);
    SSL_set_min_proto_version(ssl, TLS1_1_VERSION);
    SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
    assert_int_not_equal(raw_ask(w, ssl, "GET /public HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer),
                         0);
    raw_close(ssl, fd, ctx);

    ssl = raw_tls(w, "client", &fd, &ctx);
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
    assert_int_equal(raw_ask(w, ssl, "GET /public HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer), 0);
    SSL_renegotiate(ssl);
    assert_int_not_equal(raw_ask(w, ssl, "GET /public HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer),
                         0);
    raw_close(ssl, fd, ctx);
}

/* A handshake for each answer: those who have shown nothing cannot make us work for less than it costs them. */
static void who_shows_no_certificate_gets_one_answer_a_connection(void **state)
{
    struct world *w = *state;
    SSL_CTX *ctx;
    int fd;
    SSL *ssl = raw_tls(w, NULL, &fd, &ctx);
    char answer[2048];

    assert_int_equal(raw_ask(w, ssl,
                             "GET /public HTTP/1.1\r\nHost: x\r\n\r\nGET /public HTTP/1.1\r\nHost: x\r\n\r\n",
                             answer, sizeof answer),
                     0);
    assert_non_null(strstr(answer, "Connection: close\r\n"));
    run_for(w->base, 50);
    assert_int_equal(w->served, 1);
    raw_close(ssl, fd, ctx);

    ssl = raw_tls(w, "client", &fd, &ctx);
    for (unsigned n = 2; n < 4; n++) {
        assert_int_equal(raw_ask(w, ssl, "GET /public HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer),
                         0);
        assert_null(strstr(answer, "Connection: close"));
        assert_int_equal(w->served, n);
    }
    raw_close(ssl, fd, ctx);
}

static void an_authorization_header_is_never_backed_by_the_certificate(void **state)
{
    struct world *w = *state;
    SSL_CTX *ctx;
    int fd;
    SSL *ssl = raw_tls(w, "client", &fd, &ctx);
    char answer[2048];

    assert_int_equal(raw_ask(w, ssl, "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof answer), 0);
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    assert_int_equal(raw_ask(w, ssl, "GET /admin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n",
                             answer, sizeof answer),
                     0);
    assert_memory_equal(answer, "HTTP/1.1 403 ", 13);
    raw_close(ssl, fd, ctx);
}

static void where_a_certificate_is_required_none_is_not_enough(void **state)
{
    struct world *w = *state;
    struct outcome o;

    ql_http_server_free(w->server);
    ql_tls_unref(w->server_tls);
    open_server(w, QL_CLIENT_CERT_REQUIRED);
    o = ask_as(w, NULL, QL_GET, "/public");
    assert_int_equal(o.status, 0);
    assert_int_equal(o.error, QL_ECRYPTO);
    assert_int_equal(ask_as(w, "client", QL_GET, "/public").status, 200);
}

static void a_server_that_does_not_chain_is_refused(void **state)
{
    struct world *w = *state;
    struct ql_tls *tls = pki_tls(&w->pki, false, "client", "other", QL_CLIENT_CERT_NONE);
    struct ql_peer *p = peer_new(w->client, ql_http_server_port(w->server), tls);
    struct outcome o = {0};

    call(p, QL_GET, "/public", NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    assert_int_equal(o.error, QL_ECRYPTO);
    assert_non_null(strstr(o.text, "certificate"));
    assert_int_equal(w->served, 0);
    ql_peer_free(p);
    ql_tls_unref(tls);
}

static uint8_t *server_der(struct world *w, size_t *len)
{
    char path[128];
    FILE *f = fopen(pki_path(&w->pki, "server.crt", path), "r");
    X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
    uint8_t *der = NULL;

    *len = (size_t)i2d_X509(cert, &der);
    X509_free(cert);
    fclose(f);
    return der;
}

static void a_pinned_certificate_is_accepted_without_any_ca_and_no_other_is(void **state)
{
    struct world *w = *state;
    struct ql_tls *tls = pki_tls(&w->pki, false, "client", NULL, QL_CLIENT_CERT_NONE);
    struct ql_peer_config config = {.host = "127.0.0.1", .port = ql_http_server_port(w->server), .tls = tls};
    uint8_t *der = server_der(w, &config.pin_len);
    struct ql_peer *p = NULL;
    struct outcome o = {0};

    config.pin = der;
    assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
    call(p, QL_GET, "/public", NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    assert_string_equal(o.text, "");
    assert_int_equal(o.status, 200);
    ql_peer_free(p);
    for (size_t at = 0; at < config.pin_len; at += config.pin_len / 7) {
        der[at] ^= 1; /* any other byte is another certificate */
        assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
        call(p, QL_GET, "/public", NULL, &o);
        assert_true(run_until(w->base, &o.done, o.done + 1, 5000));
        assert_int_equal(o.error, QL_ECRYPTO);
        ql_peer_free(p);
        der[at] ^= 1;
    }
    config.pin_len--;
    assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
    call(p, QL_GET, "/public", NULL, &o);
    assert_true(run_until(w->base, &o.done, o.done + 1, 5000));
    assert_int_equal(o.error, QL_ECRYPTO);
    ql_peer_free(p);
    assert_int_equal(w->served, 1);
    free(der);
    ql_tls_unref(tls);
}

static void host_names_are_compared_where_asked_for(void **state)
{
    struct world *w = *state;
    struct ql_tls *tls = pki_tls(&w->pki, false, "client", "ca", QL_CLIENT_CERT_NONE);
    struct ql_peer_config config = {
        .host = "localhost", .port = ql_http_server_port(w->server), .tls = tls, .check_host = true};
    struct ql_tls *second;
    struct ql_peer *p = NULL;
    struct outcome o = {0};

    assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
    call(p, QL_GET, "/public", NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    assert_string_equal(o.text, "");
    assert_int_equal(o.status, 200);
    ql_peer_free(p);
    /* The same without the name in the certificate. */
    free(pki_leaf(&w->pki, "second", "second", true, NULL, "DNS:elsewhere,IP:127.0.0.2", NULL));
    second = pki_tls(&w->pki, true, "second", "ca", QL_CLIENT_CERT_OPTIONAL);
    ql_http_server_set_tls(w->server, second);
    for (int i = 0; i < 2; i++) {
        config.host = i ? "127.0.0.1" : "localhost";
        assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
        call(p, QL_GET, "/public", NULL, &o);
        assert_true(run_until(w->base, &o.done, o.done + 1, 5000));
        assert_int_equal(o.error, QL_ECRYPTO);
        assert_non_null(strstr(o.text, "mismatch"));
        ql_peer_free(p);
    }
    ql_tls_unref(second);
    ql_tls_unref(tls);
}

/* Ask, and tell whether the connection was new and its session resumed. */
static struct outcome ask_again(struct world *w, struct ql_peer *p, bool *resumed)
{
    struct outcome o = {0};

    call(p, QL_GET, "/admin", NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    *resumed = p->ssl && SSL_session_reused(p->ssl);
    run_for(w->base, 5); /* tickets may follow the answer */
    return o;
}

static void reconnecting_resumes_the_session_with_identity_and_pin(void **state)
{
    struct world *w = *state;
    const int protocols[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (int i = 0; i < 2; i++) {
        struct ql_tls *tls = pki_tls(&w->pki, false, "client", NULL, QL_CLIENT_CERT_NONE);
        struct ql_peer_config config = {
            .host = "127.0.0.1", .port = ql_http_server_port(w->server), .tls = tls};
        uint8_t *der = server_der(w, &config.pin_len);
        struct ql_peer *p = NULL;
        bool resumed;

        SSL_CTX_set_max_proto_version(ql_tls_native(tls), protocols[i]);
        config.pin = der;
        assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
        assert_string_equal(ask_again(w, p, &resumed).body, "admin");
        assert_false(resumed);
        for (int n = 0; n < 3; n++) {
            ql_peer_retire(p);
            assert_string_equal(ask_again(w, p, &resumed).body, "admin");
            assert_true(resumed);
        }
        /* Another own context: nothing is carried over. */
        ql_peer_reset(p, tls);
        assert_string_equal(ask_again(w, p, &resumed).body, "admin");
        assert_false(resumed);
        ql_peer_free(p);
        free(der);
        ql_tls_unref(tls);
    }
}

static void a_reloaded_server_takes_no_old_sessions_and_a_full_handshake_follows(void **state)
{
    struct world *w = *state;
    struct ql_tls *tls = pki_tls(&w->pki, false, "client", "ca", QL_CLIENT_CERT_NONE);
    struct ql_tls *again = pki_tls(&w->pki, true, "server", "ca", QL_CLIENT_CERT_OPTIONAL);
    struct ql_peer *p = peer_new(w->client, ql_http_server_port(w->server), tls);
    bool resumed;

    assert_int_equal(ask_again(w, p, &resumed).status, 200);
    ql_http_server_set_tls(w->server, again);
    assert_int_equal(ask_again(w, p, &resumed).status, 200); /* the open connection goes on */
    ql_peer_retire(p);
    assert_int_equal(ask_again(w, p, &resumed).status, 200);
    assert_false(resumed);
    ql_peer_retire(p);
    assert_int_equal(ask_again(w, p, &resumed).status, 200);
    assert_true(resumed);
    ql_peer_free(p);
    ql_tls_unref(again);
    ql_tls_unref(tls);
}

static int refuse_tickets(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t len,
                          SSL_TICKET_STATUS status, void *arg)
{
    (void)ssl;
    (void)session;
    (void)name;
    (void)len;
    (void)arg;
    return status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW
               ? SSL_TICKET_RETURN_ABORT
               : SSL_TICKET_RETURN_IGNORE_RENEW;
}

static void a_failed_resumption_is_redone_in_full_and_not_tried_again_for_an_hour(void **state)
{
    struct world *w = *state;
    struct ql_tls *tls = pki_tls(&w->pki, false, "client", "ca", QL_CLIENT_CERT_NONE);
    struct ql_peer *p = peer_new(w->client, ql_http_server_port(w->server), tls);
    bool resumed;

    assert_int_equal(ask_again(w, p, &resumed).status, 200);
    assert_non_null(p->session);
    /* From now on the server breaks off a handshake that brings a ticket. */
    SSL_CTX_set_session_ticket_cb(ql_tls_native(w->server_tls), NULL, refuse_tickets, NULL);
    ql_peer_retire(p);
    assert_int_equal(ask_again(w, p, &resumed).status, 200);
    assert_false(resumed);
    assert_null(p->session);
    assert_true(p->no_resume_before_ns > ql_mono_ns() + 3500 * QL_NS_PER_S);
    assert_int_equal(w->served, 2);
    SSL_CTX_set_session_ticket_cb(ql_tls_native(w->server_tls), NULL, NULL, NULL);
    ql_peer_retire(p);
    assert_int_equal(ask_again(w, p, &resumed).status, 200);
    assert_false(resumed);
    assert_null(p->session);
    /* The hour is over. */
    p->no_resume_before_ns = ql_mono_ns();
    ql_peer_retire(p);
    assert_int_equal(ask_again(w, p, &resumed).status, 200);
    ql_peer_retire(p);
    assert_int_equal(ask_again(w, p, &resumed).status, 200);
    assert_true(resumed);
    ql_peer_free(p);
    ql_tls_unref(tls);
}

static void a_resumed_session_of_another_certificate_is_not_used(void **state)
{
    struct world *w = *state;
    struct ql_tls *tls = pki_tls(&w->pki, false, "client", NULL, QL_CLIENT_CERT_NONE);
    struct ql_peer_config config = {.host = "127.0.0.1", .port = ql_http_server_port(w->server), .tls = tls};
    uint8_t *der = server_der(w, &config.pin_len);
    struct ql_peer *p = NULL;
    struct outcome o = {0};
    bool resumed;

    config.pin = der;
    assert_int_equal(ql_peer_new(w->client, &config, &p, NULL), QL_OK);
    assert_int_equal(ask_again(w, p, &resumed).status, 200);
    /* As if the session had been kept for another pin: with no verdict of a CA either it must not carry. */
    p->pin[p->pin_len - 1] ^= 1;
    ql_peer_retire(p);
    call(p, QL_GET, "/admin", NULL, &o);
    assert_true(run_until(w->base, &o.done, 1, 5000));
    assert_int_equal(o.status, 0);
    assert_int_equal(o.error, QL_ECRYPTO);
    assert_int_equal(w->served, 1);
    ql_peer_free(p);
    free(der);
    ql_tls_unref(tls);
}

static void contexts_without_what_they_need_are_refused_with_the_file(void **state)
{
    struct world *w = *state;
    char cert[128], key[128], other[128], missing[128];
    const char *const ca[] = {cert, NULL}, *const no_ca[] = {missing, NULL}, *const not_pem[] = {key, NULL};
    struct ql_tls_config config = {.is_server = true, .cert_file = cert, .key_file = key};
    struct ql_tls *t = NULL;
    struct ql_err err = QL_ERR_INIT;

    pki_path(&w->pki, "server.crt", cert);
    pki_path(&w->pki, "server.key", key);
    pki_path(&w->pki, "client.key", other);
    pki_path(&w->pki, "missing.crt", missing);
    config.client_cert = QL_CLIENT_CERT_OPTIONAL;
    assert_int_equal(ql_tls_new(&config, &t, &err), QL_ERANGE);
    config.ca_files = no_ca;
    assert_int_equal(ql_tls_new(&config, &t, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "missing.crt"));
    config.ca_files = not_pem;
    assert_int_equal(ql_tls_new(&config, &t, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "server.key"));
    config.ca_files = ca;
    config.key_file = other;
    assert_int_equal(ql_tls_new(&config, &t, &err), QL_ECRYPTO);
    assert_non_null(strstr(err.text, "client.key"));
    config.key_file = missing;
    assert_int_equal(ql_tls_new(&config, &t, &err), QL_ENOTFOUND);
    config.key_file = key;
    config.ciphers = "NONSENSE";
    assert_int_equal(ql_tls_new(&config, &t, &err), QL_ERANGE);
    assert_non_null(strstr(err.text, "NONSENSE"));
    assert_null(t);
}

static void keys_with_a_password_need_it(void **state)
{
    struct world *w = *state;
    char cert[128], key[128], locked[128];
    struct ql_tls_config config = {.cert_file = cert, .key_file = locked};
    struct ql_secret *password = NULL;
    struct ql_tls *t = NULL;
    struct ql_err err = QL_ERR_INIT;
    EVP_PKEY *pkey;
    FILE *f;

    pki_path(&w->pki, "server.crt", cert);
    pki_path(&w->pki, "server.key", key);
    pki_path(&w->pki, "second.key", locked);
    f = fopen(key, "r");
    pkey = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    fclose(f);
    f = fopen(locked, "w");
    assert_int_equal(PEM_write_PKCS8PrivateKey(f, pkey, EVP_aes_256_cbc(), "open sesame", 11, NULL, NULL), 1);
    fclose(f);
    EVP_PKEY_free(pkey);
    assert_int_equal(ql_tls_new(&config, &t, &err), QL_ECRYPTO);
    assert_int_equal(ql_secret_new("wrong", 5, &password, NULL), QL_OK);
    config.key_password = password;
    assert_int_equal(ql_tls_new(&config, &t, &err), QL_ECRYPTO);
    assert_null(strstr(err.text, "wrong"));
    ql_secret_free(password);
    assert_int_equal(ql_secret_new("open sesame", 11, &password, NULL), QL_OK);
    config.key_password = password;
    assert_int_equal(ql_tls_new(&config, &t, &err), QL_OK);
    ql_tls_unref(t);
    ql_secret_free(password);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
        TEST(without_a_certificate_public_routes_are_all_there_is),
        TEST(a_verified_certificate_with_a_name_is_an_admin),
        TEST(a_verified_certificate_without_a_name_is_a_client_only),
        TEST(a_certificate_for_servers_alone_is_nobody),
        TEST(unread_uploads_are_not_taken_from_strangers),
        TEST(a_certificate_that_does_not_chain_fails_the_handshake_with_unknown_ca),
        TEST(tls_below_1_2_and_renegotiation_are_refused),
        TEST(who_shows_no_certificate_gets_one_answer_a_connection),
        TEST(an_authorization_header_is_never_backed_by_the_certificate),
        TEST(where_a_certificate_is_required_none_is_not_enough),
        TEST(a_server_that_does_not_chain_is_refused),
        TEST(a_pinned_certificate_is_accepted_without_any_ca_and_no_other_is),
        TEST(host_names_are_compared_where_asked_for),
        TEST(reconnecting_resumes_the_session_with_identity_and_pin),
        TEST(a_reloaded_server_takes_no_old_sessions_and_a_full_handshake_follows),
        TEST(a_failed_resumption_is_redone_in_full_and_not_tried_again_for_an_hour),
        TEST(a_resumed_session_of_another_certificate_is_not_used),
        TEST(contexts_without_what_they_need_are_refused_with_the_file),
        TEST(keys_with_a_password_need_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
