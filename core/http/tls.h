/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tls.h
 * TLS contexts for servers and clients: 1.2 at least, verification on, session resumption, keys from files.
 * A context is reference counted, so that SIGHUP can swap it under live connections (decision 28).
 */
#pragma once
#include <openssl/ssl.h>

#include "cert.h"

/** What a server asks of its clients. */
enum ql_client_cert {
    QL_CLIENT_CERT_NONE,
    QL_CLIENT_CERT_OPTIONAL, /**< requested; one that does not chain fails the handshake (alert 48) */
    QL_CLIENT_CERT_REQUIRED
};

struct ql_tls_config {
    bool is_server;
    const char *cert_file, *key_file;     /**< PEM; a client may have none (NULL) */
    const struct ql_secret *key_password; /**< NULL: none */
    const char *const *ca_files;          /**< PEM files of trusted certificates, NULL at the end */
    enum ql_client_cert client_cert;      /**< server */
    const char *ciphers, *ciphersuites;   /**< TLS 1.2 list and 1.3 suites; NULL: OpenSSL's */
};

struct ql_tls;
int ql_tls_new(const struct ql_tls_config *config, struct ql_tls **ret, struct ql_err *err);
struct ql_tls *ql_tls_ref(struct ql_tls *t);
void ql_tls_unref(struct ql_tls *t);
QL_DEFINE_CLEANUP(struct ql_tls, ql_tls_unref)
SSL_CTX *ql_tls_native(const struct ql_tls *t); /**< borrowed */
