/* SPDX-License-Identifier: Apache-2.0 */
/* The revocation list over HTTP: public by nature and signed, so that it needs no TLS. */
#include <signal.h>

#include "error.h"
#include "file.h"
#include "log.h"
#include "program.h"
#include "server.h"
#include "tool.h"

enum {
    CRL_FILE_MAX = 8 * 1024 * 1024,
    CONNECTIONS_MAX = 512, /* nodes ask once a day and go */
    PER_ADDRESS_MAX = 64,
    HEADER_MAX = 8 * 1024,
    BODY_MAX = 1, /* nothing is sent to us */
    HEADER_MS = 5000,
    IDLE_MS = 15000
};

/* Read anew for each request: whoever revokes replaces the file in one step. */
static void give(struct ql_http_req *req, const char *dir, const char *name, const char *type)
{
    ql_auto_free char *path = ql_path_join(dir, name);
    ql_auto_free uint8_t *data = NULL;
    struct ql_err err = QL_ERR_INIT;
    size_t len;

    if (path && ql_file_read(path, CRL_FILE_MAX, &data, &len, &err) == QL_OK) {
        ql_req_reply_raw(req, 200, type, data, len);
        return;
    }
    ql_log(QL_ERROR, "listen", "the list cannot be handed out: %s", err.text);
    ql_req_reply_empty(req, 503);
}

static void get_der(struct ql_http_req *req, void *arg)
{
    give(req, arg, "cacrl.der", "application/pkix-crl");
}

static void get_pem(struct ql_http_req *req, void *arg)
{
    give(req, arg, "cacrl.pem", "application/x-pem-file");
}

static const struct ql_route routes[] = {
    {QL_GET, "/crl", 0, 0, QL_WHO_PUBLIC, "read_crl", 0, get_der, "revocation list, DER"},
    {QL_GET, "/crl.pem", 0, 0, QL_WHO_PUBLIC, "read_crl", 0, get_pem, "revocation list, PEM"},
    {.pattern = NULL},
};

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
    (void)sig;
    (void)what;
    event_base_loopbreak(arg);
}

static int serve(struct event_base *base, const char *dir, const char *address, uint16_t port,
                 struct ql_err *err)
{
    static const unsigned versions[] = {0};
    struct ql_http_server_config config = {.base = base,
                                           .address = address,
                                           .port = port,
                                           .routes = routes,
                                           .versions = versions,
                                           .arg = (void *)(uintptr_t)dir,
                                           .limits = {.header_max = HEADER_MAX,
                                                      .body_max = BODY_MAX,
                                                      .connections_max = CONNECTIONS_MAX,
                                                      .per_address_max = PER_ADDRESS_MAX,
                                                      .header_ms = HEADER_MS,
                                                      .body_ms = HEADER_MS,
                                                      .idle_ms = IDLE_MS},
                                           .slash_optional = true};
    ql_auto(ql_http_server_freep) struct ql_http_server *server = NULL;
    struct event *term = evsignal_new(base, SIGTERM, on_signal, base),
                 *interrupt = evsignal_new(base, SIGINT, on_signal, base);
    int r = term && interrupt && event_add(term, NULL) == 0 && event_add(interrupt, NULL) == 0
                ? ql_http_server_new(&config, &server, err)
                : ql_fail_nomem(err);

    if (r == QL_OK) {
        ql_log(QL_INFO, "listen", "ready, the list of %s is at http://%s:%u/crl", dir, address,
               ql_http_server_port(server));
        ql_notify("READY=1");
        (void)event_base_dispatch(base); /* ends by a signal alone */
    }
    if (term)
        event_free(term);
    if (interrupt)
        event_free(interrupt);
    return r;
}

int ql_ca_listen(const char *dir, const char *address, uint16_t port, struct ql_err *err)
{
    ql_auto_free char *crl = ql_path_join(dir, "cacrl.der");
    struct event_base *base;
    int r;

    if (!crl)
        return ql_fail_nomem(err);
    if (access(crl, R_OK) != 0)
        return ql_fail(err, QL_ENOTFOUND, "%s: %m", crl);
    ql_log_setup("quicklime-ca", QL_INFO, QL_LOG_LOGFMT);
    base = event_base_new();
    if (!base)
        return ql_fail_nomem(err);
    r = serve(base, dir, address, port, err);
    event_base_free(base);
    return r;
}
