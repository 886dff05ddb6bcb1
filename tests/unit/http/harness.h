/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file harness.h
 * What the tests of core/http share: certificates made on the spot, a loop that runs until a condition holds, raw
 * sockets. Server and client are the real ones, over loopback.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "clock.h"
#include "server.h"
#include "tls.h"

#define HARNESS __attribute__((unused)) static

/** A folder with a CA, and certificates of it. */
struct pki {
    char dir[32];
    EVP_PKEY *ca_key;
    X509 *ca;
    long serial;
};

HARNESS char *pki_path(const struct pki *p, const char *name, char *out)
{
    snprintf(out, 128, "%s/%s", p->dir, name);
    return out;
}

HARNESS void pki_write(const struct pki *p, const char *name, X509 *cert, EVP_PKEY *key)
{
    char path[128];
    FILE *f = fopen(pki_path(p, name, path), "w");

    assert_non_null(f);
    if (cert)
        assert_int_equal(PEM_write_X509(f, cert), 1);
    if (key)
        assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
}

HARNESS void pki_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    assert_non_null(e);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

/** New certificate; issuer NULL: self-signed. */
HARNESS X509 *pki_make(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, long serial,
                       bool is_ca, const char *eku, const char *san)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_NAME_new();

    assert_non_null(cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    if (cn)
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
    else
        X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"nameless", -1, -1, 0);
    X509_set_subject_name(cert, name);
    X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : name);
    X509_NAME_free(name);
    X509_set_pubkey(cert, key);
    if (is_ca)
        pki_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    if (eku)
        pki_extension(cert, NID_ext_key_usage, eku);
    if (san)
        pki_extension(cert, NID_subject_alt_name, san);
    assert_true(X509_sign(cert, issuer_key ? issuer_key : key, EVP_sha256()) > 0);
    return cert;
}

/** NAME.crt and NAME.key, of the CA (or self-signed). @return DER when asked for, caller frees */
HARNESS uint8_t *pki_leaf(struct pki *p, const char *file, const char *cn, bool by_ca, const char *eku,
                          const char *san, size_t *der_len)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert =
        pki_make(cn, key, by_ca ? p->ca : NULL, by_ca ? p->ca_key : NULL, ++p->serial, false, eku, san);
    char name[80];
    uint8_t *der = NULL;

    snprintf(name, sizeof name, "%s.crt", file);
    pki_write(p, name, cert, NULL);
    snprintf(name, sizeof name, "%s.key", file);
    pki_write(p, name, NULL, key);
    if (der_len) {
        int len = i2d_X509(cert, &der);

        assert_true(len > 0);
        *der_len = (size_t)len;
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return der;
}

HARNESS void pki_open(struct pki *p)
{
    memset(p, 0, sizeof *p);
    strcpy(p->dir, "/tmp/ql-http-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->ca_key = EVP_EC_gen("P-256");
    p->ca = pki_make("test CA", p->ca_key, NULL, NULL, ++p->serial, true, NULL, NULL);
    pki_write(p, "ca.crt", p->ca, NULL);
    pki_leaf(p, "server", "server", true, NULL, "DNS:localhost,IP:127.0.0.1", NULL);
    pki_leaf(p, "client", "admin", true, NULL, NULL, NULL);
}

HARNESS void pki_close(struct pki *p)
{
    char command[128];
    const char *names[] = {"ca",         "server", "client", "other", "nameless",
                           "serveronly", "second", "host",   "self"};

    X509_free(p->ca);
    EVP_PKEY_free(p->ca_key);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char file[80];

        snprintf(file, sizeof file, "%s.crt", names[i]);
        unlink(pki_path(p, file, command));
        snprintf(file, sizeof file, "%s.key", names[i]);
        unlink(pki_path(p, file, command));
    }
    rmdir(p->dir);
}

/** TLS context of NAME.crt / NAME.key (NULL: none) that trusts CA.crt (NULL: none). */
HARNESS struct ql_tls *pki_tls(const struct pki *p, bool server, const char *name, const char *ca,
                               enum ql_client_cert want)
{
    char cert[160], key[160], trusted[160];
    const char *const files[] = {trusted, NULL};
    struct ql_tls_config config = {.is_server = server, .client_cert = want};
    struct ql_tls *t = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (name) {
        snprintf(cert, sizeof cert, "%s/%s.crt", p->dir, name);
        snprintf(key, sizeof key, "%s/%s.key", p->dir, name);
        config.cert_file = cert;
        config.key_file = key;
    }
    if (ca) {
        snprintf(trusted, sizeof trusted, "%s/%s.crt", p->dir, ca);
        config.ca_files = files;
    }
    if (ql_tls_new(&config, &t, &err) < 0)
        fail_msg("%s", err.text);
    return t;
}

/** Turn the loop until *flag reaches @p value or @p ms have passed. @return true when it did */
HARNESS bool run_until(struct event_base *base, const unsigned *flag, unsigned value, unsigned ms)
{
    int64_t end = ql_mono_ns() + (int64_t)ms * QL_NS_PER_MS;
    const struct timeval tick = {.tv_usec = 5000};

    while (*flag < value && ql_mono_ns() < end) {
        event_base_loopexit(base, &tick);
        event_base_loop(base, EVLOOP_ONCE);
    }
    return *flag >= value;
}

HARNESS void run_for(struct event_base *base, unsigned ms)
{
    const unsigned never = 0;

    run_until(base, &never, 1, ms);
}

/** What a call ended with. */
struct outcome {
    unsigned done;
    int error, status;
    size_t len;
    int fd;
    int64_t elapsed_ns;
    char text[512], body[8192], request_id[64], type[64];
};

HARNESS void on_outcome(struct ql_http_result *r, void *arg)
{
    struct outcome *o = arg;
    const char *id = ql_result_header(r, "X-Request-ID"), *type = ql_result_header(r, "Content-Type");

    o->error = r->error;
    o->status = r->status;
    o->len = r->body_len;
    o->elapsed_ns = r->elapsed_ns;
    snprintf(o->text, sizeof o->text, "%s", r->error_text ? r->error_text : "");
    snprintf(o->request_id, sizeof o->request_id, "%s", id ? id : "(none)");
    snprintf(o->type, sizeof o->type, "%s", type ? type : "(none)");
    if (r->body)
        snprintf(o->body, sizeof o->body, "%.*s", (int)(r->body_len < 8000 ? r->body_len : 8000),
                 (const char *)r->body);
    o->fd = ql_result_take_fd(r);
    o->done++;
}

HARNESS void call(struct ql_peer *p, unsigned method, const char *path, const char *body, struct outcome *o)
{
    struct ql_call what = {.method = method,
                           .path = path,
                           .body = body,
                           .body_len = body ? strlen(body) : 0,
                           .content_type = body ? "application/json" : NULL,
                           .deadline_ms = 10000};
    struct ql_err err = QL_ERR_INIT;

    if (ql_peer_call(p, &what, on_outcome, o, &err) < 0)
        fail_msg("%s", err.text);
}

HARNESS struct ql_peer *peer_new(struct ql_http_client *c, uint16_t port, struct ql_tls *tls)
{
    struct ql_peer_config config = {.host = "127.0.0.1", .port = port, .tls = tls};
    struct ql_peer *p = NULL;

    assert_int_equal(ql_peer_new(c, &config, &p, NULL), QL_OK);
    return p;
}

HARNESS int raw_connect(uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

HARNESS void raw_send(int fd, const char *text)
{
    size_t len = strlen(text);

    assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/**
 * Read until the other side closes, @p enough appears in what came, or @p ms have passed.
 * @return bytes read; *closed tells whether the other side closed
 */
HARNESS size_t raw_read(struct event_base *base, int fd, char *out, size_t room, const char *enough,
                        unsigned ms, bool *closed)
{
    int64_t end = ql_mono_ns() + (int64_t)ms * QL_NS_PER_MS;
    size_t at = 0;

    *closed = false;
    out[0] = '\0';
    while (ql_mono_ns() < end && at + 1 < room) {
        ssize_t n = recv(fd, out + at, room - at - 1, 0);

        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            *closed = true;
            break;
        }
        if (n > 0) {
            at += (size_t)n;
            out[at] = '\0';
            if (enough && strstr(out, enough))
                break;
            continue;
        }
        run_for(base, 1);
    }
    return at;
}
