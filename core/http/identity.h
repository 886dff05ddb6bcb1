/* SPDX-License-Identifier: Apache-2.0 */
/** @file identity.h  Who stands behind a TLS connection (spec/server.md 8). Internal to core/http. */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>

struct ql_identity {
    bool verified;  /**< presented a certificate, and it chains */
    bool is_client; /**< it may be used by clients, and has not expired since */
    char name[256]; /**< common name, "" if none */
};

/** Read the identity from a connection whose handshake is complete. */
void ql_identity_read(SSL *ssl, struct ql_identity *ret);
