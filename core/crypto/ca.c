/* SPDX-License-Identifier: Apache-2.0 */
#include "ca.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "keystore.h"
#include "parse.h"

enum {
    CERT_FILE_MAX = 64 * 1024,
    CRL_FILE_MAX = 8 * 1024 * 1024,
    FIRST_SERIAL = 1 /* the CA's own */
};

bool ql_ca_name_ok(const char *name)
{
    /* "ca" would write over ca-public.pem. */
    return ql_agent_id_ok(name, strlen(name)) && strlen(name) <= QL_CA_NAME_MAX && name[0] != '.' &&
           name[0] != '-' && strcmp(name, "ca") != 0;
}

void ql_ca_free(struct ql_ca *ca)
{
    if (!ca)
        return;
    ql_key_free(ca->key);
    ql_cert_free(ca->cert);
    free(ca->revoked);
    free(ca);
}

int ql_ca_check_pair(const struct ql_cert *cert, const struct ql_key *key, struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *in_cert = NULL;
    int r = ql_cert_key(cert, &in_cert, err);

    if (r == QL_OK && !ql_key_equal(in_cert, key))
        r = ql_fail(err, QL_ECORRUPT, "the certificate of the CA is not that of its private key");
    return r;
}

int ql_cert_serial(const struct ql_cert *c, uint64_t *ret, struct ql_err *err)
{
    uint64_t serial;

    if (ASN1_INTEGER_get_uint64(&serial, X509_get0_serialNumber(ql_cert_native(c))) != 1) {
        ERR_clear_error(); /* what failed is said here */
        return ql_fail(err, QL_ERANGE, "certificate with a serial number of more than 64 bits");
    }
    *ret = serial;
    return QL_OK;
}

char *ql_cert_subject(const struct ql_cert *c)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *at = NULL, *text = NULL;
    long len;

    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(ql_cert_native(c)), 0, XN_FLAG_RFC2253) >= 0 &&
        (len = BIO_get_mem_data(bio, &at)) > 0)
        text = strndup(at, (size_t)len);
    BIO_free(bio);
    return text;
}

/* ---- files ---- */

static int put(const char *dir, const char *name, mode_t mode, const void *data, size_t len,
               struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(dir, name);

    return path ? ql_file_write(path, mode, data, len, err) : ql_fail_nomem(err);
}

static int put_named(const char *dir, const char *name, const char *ending, mode_t mode, const void *data,
                     size_t len, struct ql_err *err)
{
    ql_auto_free char *file = NULL;

    if (asprintf(&file, "%s%s", name, ending) < 0) {
        file = NULL;
        return ql_fail_nomem(err);
    }
    return put(dir, file, mode, data, len, err);
}

static int put_cert(const char *dir, const char *name, const struct ql_cert *cert, struct ql_err *err)
{
    ql_auto_free char *pem = ql_cert_pem(cert);

    return pem ? put_named(dir, name, ".crt", 0644, pem, strlen(pem), err) : ql_fail_nomem(err);
}

static int put_public(const char *dir, const char *name, const struct ql_key *key, struct ql_err *err)
{
    ql_auto_free char *pem = ql_key_public_pem(key);

    return pem ? put_named(dir, name, "-public.pem", 0644, pem, strlen(pem), err) : ql_fail_nomem(err);
}

int ql_ca_publish(const struct ql_ca *ca, const char *dir, struct ql_err *err)
{
    int r = put_public(dir, "ca", ca->key, err);

    return r == QL_OK ? put_cert(dir, "cacert", ca->cert, err) : r;
}

int ql_ca_write_crl(const struct ql_ca *ca, const struct ql_ca_profile *profile, const char *dir,
                    struct ql_err *err)
{
    ql_auto_free uint8_t *der = NULL;
    X509_CRL *crl;
    const uint8_t *at;
    char *pem = NULL;
    BIO *bio;
    size_t len;
    long pem_len = 0;
    int r = ql_crl_make(ca->cert, ca->key, ca->revoked, ca->revoked_count, profile->crl_days, ca->crl_number,
                        &der, &len, err);

    if (r < 0)
        return r;
    if (len > CRL_FILE_MAX)
        return ql_fail(err, QL_ELIMIT, "revocation list of %zu bytes, at most %d", len, CRL_FILE_MAX);
    at = der;
    crl = d2i_X509_CRL(NULL, &at, (long)len);
    bio = BIO_new(BIO_s_mem());
    if (crl && bio && PEM_write_bio_X509_CRL(bio, crl) == 1)
        pem_len = BIO_get_mem_data(bio, &pem);
    r = pem_len > 0 ? put(dir, "cacrl.der", 0644, der, len, err) : ql_fail_nomem(err);
    if (r == QL_OK)
        r = put(dir, "cacrl.pem", 0644, pem, (size_t)pem_len, err);
    BIO_free(bio);
    X509_CRL_free(crl);
    return r;
}

/* ---- private.json ---- */

/* Base64, dashes and line ends: of these, JSON wants only the line ends escaped. */
static void add_pem_text(struct ql_buf *b, const struct ql_secret *pem)
{
    const char *at = (const char *)ql_secret_data(pem), *end = at + ql_secret_len(pem);

    while (at < end) {
        size_t line = strcspn(at, "\n");

        (void)ql_buf_add(b, at, line); /* a failed append poisons the buffer, which is checked at the end */
        at += line;
        if (at < end) {
            (void)ql_buf_add_text(b, "\\n");
            at++;
        }
    }
}

/*
 * The CA's key stands in private.json only, sealed. The text is put together by hand in memory that is wiped: a JSON
 * library would leave copies of the key behind.
 */
int ql_ca_keep(const struct ql_ca *ca, const char *dir, const struct ql_secret *password, struct ql_err *err)
{
    ql_auto(ql_buf_wipe) struct ql_buf text = ql_buf_init(QL_CA_STATE_MAX);
    ql_auto(ql_secret_freep) struct ql_secret *pem = NULL, *plain = NULL;
    ql_auto_free char *sealed = NULL;
    int r = ql_key_private_pem(ca->key, NULL, &pem, err);

    if (r < 0)
        return r;
    (void)ql_buf_add_text(&text, "{\"ca\":\""); /* as above: checked at the end */
    add_pem_text(&text, pem);
    (void)ql_buf_addf(&text, "\",\"lastserial\":%llu,\"crl_number\":%llu,\"revoked_keys\":[",
                      (unsigned long long)ca->last_serial, (unsigned long long)ca->crl_number);
    for (size_t i = 0; i < ca->revoked_count; i++)
        (void)ql_buf_addf(&text, "%s\"%llu\"", i > 0 ? "," : "", (unsigned long long)ca->revoked[i]);
    (void)ql_buf_add_text(&text, "]}");
    if (text.failed)
        return ql_fail_nomem(err);
    r = ql_secret_new(text.data, text.len, &plain, err);
    if (r == QL_OK)
        r = ql_keystore_seal(plain, password, &sealed, err);
    return r == QL_OK ? put(dir, "private.json", 0600, sealed, strlen(sealed), err) : r;
}

bool ql_ca_is_revoked(const struct ql_ca *ca, uint64_t serial)
{
    for (size_t i = 0; i < ca->revoked_count; i++)
        if (ca->revoked[i] == serial)
            return true;
    return false;
}

int ql_ca_revoke(struct ql_ca *ca, uint64_t serial, struct ql_err *err)
{
    uint64_t *more;

    if (ql_ca_is_revoked(ca, serial))
        return ql_fail(err, QL_EEXIST, "serial number %llu is revoked already", (unsigned long long)serial);
    if (ca->revoked_count >= QL_CA_REVOKED_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d revoked certificates", QL_CA_REVOKED_MAX);
    more = reallocarray(ca->revoked, ca->revoked_count + 1, sizeof *more);
    if (!more)
        return ql_fail_nomem(err);
    ca->revoked = more;
    ca->revoked[ca->revoked_count++] = serial;
    return QL_OK;
}

static int read_revoked(struct ql_ca *ca, const json_t *list, struct ql_err *err)
{
    int r = QL_OK;

    if (!json_is_array(list))
        return ql_fail(err, QL_EPARSE, "revoked_keys is no list");
    for (size_t i = 0; r == QL_OK && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        uint64_t serial = 0;

        if (!json_is_string(item))
            return ql_fail(err, QL_EPARSE, "revoked_keys holds something that is no text");
        r = ql_parse_u64(json_string_value(item), json_string_length(item), 0, UINT64_MAX, &serial, err);
        if (r == QL_OK)
            r = ql_ca_revoke(ca, serial, err);
    }
    return r;
}

static int read_numbers(struct ql_ca *ca, const json_t *state, struct ql_err *err)
{
    int64_t serial = 0, crl = 1; /* stores made before lists were numbered on had one */
    int r = ql_json_get_int(state, "lastserial", FIRST_SERIAL, INT64_MAX - 1, &serial, err);

    if (r == QL_OK) {
        r = ql_json_get_int(state, "crl_number", 0, INT64_MAX - 1, &crl, err);
        r = r == QL_ENOTFOUND ? QL_OK : r;
    }
    ca->last_serial = (uint64_t)serial;
    ca->crl_number = (uint64_t)crl;
    return r;
}

static int read_state(struct ql_ca *ca, const struct ql_secret *plain, struct ql_err *err)
{
    ql_auto_json json_t *state = NULL;
    const char *pem = NULL;
    size_t len = 0;
    int r = ql_json_parse_object((const char *)ql_secret_data(plain), ql_secret_len(plain), QL_CA_STATE_MAX,
                                 &state, err);

    if (r == QL_OK)
        r = ql_json_get_text(state, "ca", &pem, &len, err);
    if (r == QL_OK)
        r = ql_key_from_private_pem(pem, len, NULL, &ca->key, err);
    if (pem)
        ql_wipe((char *)(uintptr_t)pem, len); /* the library would free it as it stands */
    if (r == QL_OK)
        r = read_numbers(ca, state, err);
    return r == QL_OK ? read_revoked(ca, json_object_get(state, "revoked_keys"), err) : r;
}

static int read_store(struct ql_ca *ca, const char *path, const struct ql_secret *password,
                      struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *plain = NULL;
    ql_auto_free uint8_t *text = NULL;
    size_t len;
    int r = ql_file_read(path, QL_KEYSTORE_MAX_LEN, &text, &len, err);

    if (r < 0)
        return r;
    r = ql_keystore_open((const char *)text, len, password, &plain, err);
    if (r == QL_ECRYPTO)
        return ql_fail(err, r, "Invalid password for keystore %s, or it is damaged", path);
    if (r == QL_OK)
        r = read_state(ca, plain, err);
    return r < 0 ? ql_fail_context(err, r == QL_ENOTFOUND ? QL_EPARSE : r, "%s", path) : r;
}

static int read_cert(const char *path, struct ql_cert **ret, struct ql_err *err)
{
    ql_auto_free uint8_t *pem = NULL;
    size_t len;
    int r = ql_file_read(path, CERT_FILE_MAX, &pem, &len, err);

    if (r < 0)
        return r;
    r = ql_cert_from_pem((const char *)pem, len, ret, err);
    return r < 0 ? ql_fail_context(err, r, "%s", path) : r;
}

int ql_ca_read(const char *dir, const struct ql_secret *password, struct ql_ca **ret, struct ql_err *err)
{
    ql_auto_free char *cert = ql_path_join(dir, "cacert.crt"), *store = ql_path_join(dir, "private.json");
    ql_auto(ql_ca_freep) struct ql_ca *ca = calloc(1, sizeof *ca);
    int r;

    if (!ca || !cert || !store)
        return ql_fail_nomem(err);
    r = read_cert(cert, &ca->cert, err);
    if (r == QL_OK)
        r = read_store(ca, store, password, err);
    if (r == QL_OK) {
        r = ql_ca_check_pair(ca->cert, ca->key, err);
        if (r < 0)
            return ql_fail_context(err, r, "%s", dir);
    }
    if (r == QL_OK)
        *ret = ql_steal(ca);
    return r;
}

/* ---- certificates ---- */

static int new_key(const struct ql_ca_profile *profile, bool needs_rsa, struct ql_key **ret,
                   struct ql_err *err)
{
    return profile->curve == 0 || needs_rsa ? ql_key_generate_rsa(profile->rsa_bits, ret, err)
                                            : ql_key_generate_ec(profile->curve, ret, err);
}

int ql_ca_new(const struct ql_ca_profile *profile, struct ql_ca **ret, struct ql_err *err)
{
    struct ql_cert_profile own = {.subject = profile->subject,
                                  .days = profile->ca_days,
                                  .serial = FIRST_SERIAL,
                                  .is_ca = true,
                                  .crl_url = profile->crl_url};
    ql_auto(ql_ca_freep) struct ql_ca *ca = calloc(1, sizeof *ca);
    int r;

    if (!ca)
        return ql_fail_nomem(err);
    r = new_key(profile, false, &ca->key, err);
    if (r == QL_OK)
        r = ql_cert_make(&own, ca->key, NULL, ca->key, &ca->cert, err);
    if (r < 0)
        return r;
    ca->last_serial = FIRST_SERIAL;
    ca->crl_number = 1;
    *ret = ql_steal(ca);
    return QL_OK;
}

int ql_ca_issue(const struct ql_ca *ca, const struct ql_ca_profile *profile, const struct ql_ca_leaf *leaf,
                const char *dir, struct ql_err *err)
{
    const char *const names[] = {leaf->name, NULL};
    struct ql_cert_profile made = {.subject = profile->subject,
                                   .days = profile->leaf_days,
                                   .serial = ca->last_serial,
                                   .for_server = leaf->for_server,
                                   .for_client = leaf->for_client,
                                   .netscape_comment = true,
                                   .crl_url = profile->crl_url,
                                   .dns = leaf->dns ? leaf->dns : names,
                                   .ips = leaf->ips};
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    ql_auto(ql_secret_freep) struct ql_secret *pem = NULL;
    ql_auto_free char *cert_name = NULL;
    int r;

    made.subject.common_name = leaf->name;
    if (!ql_ca_name_ok(leaf->name))
        return ql_fail(err, QL_ERANGE, "%.80s is no name for a certificate", leaf->name);
    if (asprintf(&cert_name, "%s-cert", leaf->name) < 0) {
        cert_name = NULL;
        return ql_fail_nomem(err);
    }
    r = new_key(profile, leaf->needs_rsa, &key, err);
    if (r == QL_OK)
        r = ql_cert_make(&made, key, ca->cert, ca->key, &cert, err);
    if (r == QL_OK)
        r = ql_key_private_pem(key, leaf->password, &pem, err);
    if (r == QL_OK)
        r = put_named(dir, leaf->name, "-private.pem", 0600, ql_secret_data(pem), ql_secret_len(pem), err);
    if (r == QL_OK)
        r = put_public(dir, leaf->name, key, err);
    /* Last: a certificate that is there has its key. */
    return r == QL_OK ? put_cert(dir, cert_name, cert, err) : r;
}
