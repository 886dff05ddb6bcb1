/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "error.h"
#include "file.h"
#include "secret.h"
#include "tls.h"
#include "tlswatch.h"

enum {
    PEM_MAX = 1024 * 1024,       /* bytes of one PEM file: a CA list of some hundred certificates */
    SESSION_LIFE_S = 2 * 60 * 60 /* a ticket carries an identity checked at its handshake: not for days */
};

struct ql_tls {
    atomic_uint refs;
    SSL_CTX *ctx;
};

static pthread_once_t index_once = PTHREAD_ONCE_INIT;
static int watch_index = -1; /* set once; OpenSSL's registry of ex_data slots is global */

static void make_index(void)
{
    watch_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static struct ql_tls_watch *watch_of(const SSL *ssl)
{
    return ssl ? SSL_get_ex_data(ssl, watch_index) : NULL;
}

int ql_tls_set_watch(SSL *ssl, struct ql_tls_watch *w)
{
    return SSL_set_ex_data(ssl, watch_index, w) == 1 ? QL_OK : QL_ENOMEM;
}

static void on_info(const SSL *ssl, int where, int ret)
{
    struct ql_tls_watch *w = watch_of(ssl);
    SSL *writable = (SSL *)(uintptr_t)ssl; /* OpenSSL hands out const, the watch may need to shut it down */

    (void)ret;
    if (!w)
        return;
    if ((where & SSL_CB_HANDSHAKE_START) && w->started)
        w->started(w, writable);
    if ((where & SSL_CB_HANDSHAKE_DONE) && w->finished)
        w->finished(w, writable);
}

/* Replaces the built-in verification, and calls it for all that is not pinned: there is no way around a verdict. */
static int on_verify(X509_STORE_CTX *store, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct ql_tls_watch *w = watch_of(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    int ok;

    (void)arg;
    if (w && w->accept && leaf && w->accept(w, leaf)) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        ok = 1;
    } else {
        ok = X509_verify_cert(store) > 0;
        if (!ok && X509_STORE_CTX_get_error(store) == X509_V_OK)
            X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
    }
    if (w && w->verified)
        w->verified(w, X509_STORE_CTX_get_error(store));
    return ok;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct ql_tls_watch *w = watch_of(ssl);

    return w && w->session && w->session(w, session) ? 1 : 0;
}

/* Never prompts: without a password the answer is an empty one, which fails. */
static int on_password(char *buf, int room, int writing, void *arg)
{
    const struct ql_secret *password = arg;

    (void)writing;
    if (!password || room < 0 || ql_secret_len(password) > (size_t)room)
        return -1;
    memcpy(buf, ql_secret_data(password), ql_secret_len(password));
    return (int)ql_secret_len(password);
}

static int fail_ssl(struct ql_err *err, int code, const char *what, const char *path)
{
    char reason[256];

    ERR_error_string_n(ERR_peek_last_error(), reason, sizeof reason);
    ERR_clear_error();
    return ql_fail(err, code, "%s: %s (%s)", path, what, reason);
}

static int read_pem(const char *path, BIO **ret, uint8_t **ret_data, size_t *ret_len, struct ql_err *err)
{
    int r = ql_file_read(path, PEM_MAX, ret_data, ret_len, err);

    if (r < 0)
        return r;
    *ret = BIO_new_mem_buf(*ret_data, (int)*ret_len);
    return *ret ? QL_OK : ql_fail_nomem(err);
}

static int use_key(SSL_CTX *ctx, const char *path, const struct ql_secret *password, struct ql_err *err)
{
    uint8_t *data = NULL;
    size_t len = 0;
    BIO *bio = NULL;
    EVP_PKEY *key = NULL;
    int r = read_pem(path, &bio, &data, &len, err);

    if (r == QL_OK) {
        key = PEM_read_bio_PrivateKey(bio, NULL, on_password, (void *)(uintptr_t)password);
        if (!key)
            r = fail_ssl(err, QL_ECRYPTO,
                         password ? "not a private key, or another password"
                                  : "not a private key, or one with a password",
                         path);
        else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
            r = fail_ssl(err, QL_ECRYPTO, "private key does not fit the certificate", path);
    }
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (data) {
        ql_wipe(data, len);
        free(data);
    }
    return r;
}

static int use_chain(SSL_CTX *ctx, const char *path, struct ql_err *err)
{
    ql_auto_free uint8_t *data = NULL;
    size_t len = 0;
    BIO *bio = NULL;
    X509 *cert = NULL;
    int r = read_pem(path, &bio, &data, &len, err), count = 0;

    while (r == QL_OK && (cert = PEM_read_bio_X509(bio, NULL, on_password, NULL))) {
        long ok = count == 0 ? SSL_CTX_use_certificate(ctx, cert) : SSL_CTX_add1_chain_cert(ctx, cert);

        X509_free(cert);
        if (ok != 1)
            r = fail_ssl(err, QL_ECRYPTO, "certificate cannot be used", path);
        else if (++count > QL_CERT_MAX_CHAIN)
            r = ql_fail(err, QL_ELIMIT, "%s: more than %d certificates", path, QL_CERT_MAX_CHAIN);
    }
    BIO_free(bio);
    if (r == QL_OK && count == 0)
        return fail_ssl(err, QL_EPARSE, "holds no PEM certificate", path);
    ERR_clear_error(); /* the end of the file is an error to PEM_read */
    return r;
}

static int trust_file(SSL_CTX *ctx, const char *path, struct ql_err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    ql_auto_free uint8_t *data = NULL;
    size_t len = 0;
    BIO *bio = NULL;
    X509 *cert = NULL;
    int r = read_pem(path, &bio, &data, &len, err), count = 0;

    while (r == QL_OK && (cert = PEM_read_bio_X509_AUX(bio, NULL, on_password, NULL))) {
        if (X509_STORE_add_cert(store, cert) != 1)
            r = fail_ssl(err, QL_ECRYPTO, "certificate cannot be trusted", path);
        X509_free(cert);
        count++;
    }
    BIO_free(bio);
    if (r == QL_OK && count == 0)
        return fail_ssl(err, QL_EPARSE, "holds no PEM certificate", path);
    ERR_clear_error();
    return r;
}

static int set_server(SSL_CTX *ctx, const struct ql_tls_config *config, struct ql_err *err)
{
    uint8_t id[SSL_MAX_SSL_SESSION_ID_LENGTH];
    int mode = SSL_VERIFY_NONE;

    if (!config->cert_file || !config->key_file)
        return ql_fail(err, QL_ERANGE, "a TLS server needs a certificate and a key");
    if (config->client_cert != QL_CLIENT_CERT_NONE) {
        mode = SSL_VERIFY_PEER;
        if (!config->ca_files || !config->ca_files[0])
            return ql_fail(err, QL_ERANGE, "client certificates are asked for but no CA file is named");
    }
    if (config->client_cert == QL_CLIENT_CERT_REQUIRED)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(ctx, mode, NULL);
    /* Without a context id OpenSSL refuses to resume sessions that carry a client certificate. Sessions live in
     * tickets alone; their keys are made with the context, so a reload of the certificates ends all of them. */
    if (RAND_bytes(id, sizeof id) != 1 || SSL_CTX_set_session_id_context(ctx, id, sizeof id) != 1)
        return ql_fail(err, QL_EINTERNAL, "no random numbers");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(ctx, 1);
    return QL_OK;
}

static void set_client(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
}

static int set_common(SSL_CTX *ctx, const struct ql_tls_config *config, struct ql_err *err)
{
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
        return ql_fail(err, QL_EINTERNAL, "TLS 1.2 is not available");
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* No SSL_MODE_ENABLE_PARTIAL_WRITE: libevent's writer goes on with its next piece after a short write. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_timeout(ctx, SESSION_LIFE_S);
    SSL_CTX_set_info_callback(ctx, on_info);
    SSL_CTX_set_cert_verify_callback(ctx, on_verify, NULL);
    /* Every certificate of the files is an anchor, intermediates and leaves too. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    if (config->ciphers && *config->ciphers && SSL_CTX_set_cipher_list(ctx, config->ciphers) != 1)
        return fail_ssl(err, QL_ERANGE, "no usable TLS 1.2 cipher", config->ciphers);
    if (config->ciphersuites && *config->ciphersuites &&
        SSL_CTX_set_ciphersuites(ctx, config->ciphersuites) != 1)
        return fail_ssl(err, QL_ERANGE, "no usable TLS 1.3 suite", config->ciphersuites);
    return QL_OK;
}

static int fill(SSL_CTX *ctx, const struct ql_tls_config *config, struct ql_err *err)
{
    int r = set_common(ctx, config, err);

    if (r == QL_OK && config->is_server)
        r = set_server(ctx, config, err);
    else if (r == QL_OK)
        set_client(ctx);
    if (r == QL_OK && config->cert_file)
        r = use_chain(ctx, config->cert_file, err);
    if (r == QL_OK && config->cert_file && !config->key_file)
        r = ql_fail(err, QL_ERANGE, "%s: no key file is named for this certificate", config->cert_file);
    if (r == QL_OK && config->cert_file)
        r = use_key(ctx, config->key_file, config->key_password, err);
    for (size_t i = 0; r == QL_OK && config->ca_files && config->ca_files[i]; i++)
        r = trust_file(ctx, config->ca_files[i], err);
    return r;
}

int ql_tls_new(const struct ql_tls_config *config, struct ql_tls **ret, struct ql_err *err)
{
    ql_auto(ql_tls_unrefp) struct ql_tls *t = NULL;
    int r;

    pthread_once(&index_once, make_index);
    if (watch_index < 0)
        return ql_fail_nomem(err);
    t = calloc(1, sizeof *t);
    if (!t)
        return ql_fail_nomem(err);
    atomic_init(&t->refs, 1);
    ERR_clear_error();
    t->ctx = SSL_CTX_new(config->is_server ? TLS_server_method() : TLS_client_method());
    if (!t->ctx)
        return ql_fail_nomem(err);
    r = fill(t->ctx, config, err);
    if (r < 0)
        return r;
    *ret = ql_steal(t);
    return QL_OK;
}

struct ql_tls *ql_tls_ref(struct ql_tls *t)
{
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void ql_tls_unref(struct ql_tls *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(t->ctx);
    free(t);
}

SSL_CTX *ql_tls_native(const struct ql_tls *t)
{
    return t->ctx;
}
