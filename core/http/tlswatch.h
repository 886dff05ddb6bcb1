/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tlswatch.h
 * How server and client connections learn of their TLS handshake. Internal to core/http.
 *
 * One SSL_CTX serves every connection of a context; what differs by connection (pin, session, slots) hangs on the
 * SSL object as a watch and is asked through these functions. NULL functions are skipped.
 */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>

struct ql_tls_watch {
    /** Is this the certificate that the connection accepts whatever its chain says? Client only. */
    bool (*accept)(struct ql_tls_watch *w, X509 *leaf);
    /** Chain building ended with this result, X509_V_OK included. */
    void (*verified)(struct ql_tls_watch *w, int result);
    /** First bytes are about to be sent or read; the socket is known (`SSL_get_fd`). */
    void (*started)(struct ql_tls_watch *w, SSL *ssl);
    /** Handshake complete, resumed ones too. Also after messages that follow a handshake (tickets). */
    void (*finished)(struct ql_tls_watch *w, SSL *ssl);
    /** A session to resume later. @return true when the reference was kept */
    bool (*session)(struct ql_tls_watch *w, SSL_SESSION *session);
};

/** Attach a watch, or detach with NULL. It must outlive the SSL object or be detached first. */
int ql_tls_set_watch(SSL *ssl, struct ql_tls_watch *w);

/**
 * Once a process: a peer that leaves must not end it (SIGPIPE is ignored unless the program handles it), and libevent
 * logs through us.
 */
void ql_http_prepare_process(void);
