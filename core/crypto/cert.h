/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file cert.h
 * X.509 certificates: reading foreign ones, chains, and making our own (spec/server.md 11.2, spec/agent.md 1.11).
 */
#pragma once
#include <openssl/x509.h>

#include "cleanup.h"
#include "key.h"

enum {
    QL_CERT_MAX_LEN = 16 * 1024, /**< bytes of DER of one certificate */
    QL_CERT_MAX_CHAIN = 16       /**< certificates in one PEM text or chain */
};

struct ql_cert;

/** One DER certificate; padding after the element is refused here. */
int ql_cert_from_der(const uint8_t *der, size_t len, struct ql_cert **ret, struct ql_err *err);
/** First certificate of a PEM text. */
int ql_cert_from_pem(const char *pem, size_t len, struct ql_cert **ret, struct ql_err *err);
/** PEM, or base64 of DER, as registrars are sent it (spec/agent.md 2.2). */
int ql_cert_from_any(const char *text, size_t len, struct ql_cert **ret, struct ql_err *err);
/** Length of the first DER element in @p data (to cut NV padding). @retval QL_EPARSE no complete SEQUENCE */
int ql_der_element_len(const uint8_t *data, size_t len, size_t *ret);
void ql_cert_free(struct ql_cert *c);
QL_DEFINE_CLEANUP(struct ql_cert, ql_cert_free)

X509 *ql_cert_native(const struct ql_cert *c); /**< borrowed */
/** The bytes the certificate was read from. Borrowed. */
const uint8_t *ql_cert_der(const struct ql_cert *c, size_t *len);
/** PEM text, caller frees; NULL: no memory. */
char *ql_cert_pem(const struct ql_cert *c);
int ql_cert_key(const struct ql_cert *c, struct ql_key **ret, struct ql_err *err);
/** Common name of the subject. @retval QL_ENOTFOUND none, or more than one @retval QL_ELIMIT */
int ql_cert_common_name(const struct ql_cert *c, char *out, size_t room);
/** May a client with this certificate act as admin: no EKU, or EKU with clientAuth (spec/server.md 8). */
bool ql_cert_is_client(const struct ql_cert *c);
/** End of validity; INT64_MAX: later than nanoseconds reach; 0: unreadable, hence over. */
int64_t ql_cert_not_after_ns(const struct ql_cert *c);

/** A folder or list of trusted certificates. */
struct ql_trust;
int ql_trust_new(struct ql_trust **ret, struct ql_err *err);
/** All certificates of a PEM file; blocks of other kinds are passed over. @retval QL_EPARSE a bad block, or none at all */
int ql_trust_add_pem_file(struct ql_trust *t, const char *path, struct ql_err *err);
/** All *.pem, *.crt, *.cer, *.der of a folder; what cannot be read is counted in @p skipped, not an error. */
int ql_trust_add_dir(struct ql_trust *t, const char *dir, size_t *added, size_t *skipped, struct ql_err *err);
size_t ql_trust_count(const struct ql_trust *t);
X509_STORE *ql_trust_native(const struct ql_trust *t); /**< borrowed */
/**
 * Chain of any depth from @p c to a certificate of the store (which may be an intermediate: partial chain is enough).
 * A critical extension that OpenSSL does not know is tolerated in @p c alone, never in what signs: certificates of TPMs
 * carry vendors' own.
 * @param check_dates  TPM certificates outlive their dates in the field: false accepts expired ones
 * @retval QL_ECRYPTO with the reason
 */
int ql_trust_check(const struct ql_trust *t, const struct ql_cert *c, bool check_dates, struct ql_err *err);
void ql_trust_free(struct ql_trust *t);
QL_DEFINE_CLEANUP(struct ql_trust, ql_trust_free)

/** Names of a distinguished name, in Keylime's order (C, CN, ST, L, O, OU); NULL fields are left out. */
struct ql_dn {
    const char *country, *common_name, *state, *locality, *organization, *unit;
};

/** What a new certificate says. */
struct ql_cert_profile {
    struct ql_dn subject;
    unsigned days;
    uint64_t serial;             /**< 0: random 63 bits */
    bool is_ca;                  /**< basicConstraints CA, keyUsage certSign+crlSign */
    bool for_server, for_client; /**< extended key usage */
    bool netscape_comment;       /**< Keylime's leaf profile */
    const char *crl_url;         /**< NULL: none */
    const char *const *dns;      /**< subjectAltName, NULL at the end; NULL: none */
    const char *const *ips;      /**< textual addresses, NULL at the end; NULL: none */
};

/**
 * Make a certificate for @p subject_key, signed by @p issuer_key. @p issuer NULL: self-signed. SHA-256.
 * @retval QL_ERANGE an alternative name is unfit @retval QL_ECRYPTO @p issuer_key is not the issuer's, or OpenSSL refused
 */
int ql_cert_make(const struct ql_cert_profile *profile, const struct ql_key *subject_key,
                 const struct ql_cert *issuer, const struct ql_key *issuer_key, struct ql_cert **ret,
                 struct ql_err *err);
/** Empty or filled CRL, signed. @param days until nextUpdate @param[out] ret DER, caller frees */
int ql_crl_make(const struct ql_cert *issuer, const struct ql_key *issuer_key, const uint64_t *serials,
                size_t count, unsigned days, uint64_t crl_number, uint8_t **ret, size_t *ret_len,
                struct ql_err *err);

/** tls_dir = generate: names and passwords (spec/server.md 11.5). */
struct ql_tls_dir {
    const char *dir; /**< made with mode 0700 when cacert.crt is absent; else left untouched */
    struct ql_dn ca_subject;
    const char *const *dns, *const *ips;
    bool with_client; /**< also client-cert.crt and client-private.pem */
    const struct ql_secret *server_key_password, *client_key_password,
        *ca_password; /**< seals the CA's key; NULL: Keylime's preset word, so that the file's mode alone protects it */
};
/**
 * Make CA, server and client certificates with Keylime's layout and profiles: in a folder beside, renamed when whole.
 * @param[out] made  false: was there
 * @retval QL_EEXIST the folder is there, holds something and has no cacert.crt
 */
int ql_tls_dir_make(const struct ql_tls_dir *what, bool *made, struct ql_err *err);
