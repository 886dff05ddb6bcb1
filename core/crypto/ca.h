/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file ca.h
 * A certification authority in a folder, laid out as Keylime's (spec/server.md 11): cacert.crt, ca-public.pem, cacrl.der,
 * cacrl.pem, private.json, and NAME-cert.crt, NAME-public.pem, NAME-private.pem of each certificate.
 *
 * private.json is the text of keystore.h; what is sealed in it is
 *
 *     {"ca": PEM, "lastserial": N, "crl_number": N, "revoked_keys": ["N", ...]}
 *
 * Nothing here locks: whoever changes a folder that others may change holds its lock (file.h).
 */
#pragma once
#include "cert.h"
#include "key.h"
#include "secret.h"

enum {
    QL_CA_REVOKED_MAX = 65536, /**< revoked certificates: a fleet of 10,000 for years; a list of 2 MiB */
    QL_CA_STATE_MAX = 2 * 1024 * 1024, /**< bytes of what private.json holds */
    QL_CA_NAME_MAX = 80                /**< characters of a certificate's name; they stand in file names */
};

#define QL_CA_CRL_URL "http://localhost:38080/crl"

/** How certificates are made. Texts are borrowed. */
struct ql_ca_profile {
    struct ql_dn subject; /**< of the CA; certificates take all of it but the common name */
    unsigned ca_days, leaf_days, crl_days;
    const char *crl_url; /**< NULL: none */
    unsigned rsa_bits;
    enum ql_curve curve; /**< 0: RSA keys */
};

/** Keylime's. */
#define QL_CA_PROFILE_PRESET                                                                                 \
    {                                                                                                        \
        .subject = {"US", "Keylime Certificate Authority", "MA", "Lexington", "Keylime", "53"},              \
        .ca_days = 3650, .leaf_days = 365, .crl_days = 365, .crl_url = QL_CA_CRL_URL, .rsa_bits = 2048       \
    }

struct ql_ca {
    struct ql_key *key;
    struct ql_cert *cert;
    uint64_t last_serial; /**< of the certificate made last; the CA's own is 1 */
    uint64_t crl_number;  /**< of the list made last; 0: none */
    uint64_t *revoked;
    size_t revoked_count;
};

/** A certificate that is asked for. */
struct ql_ca_leaf {
    const char *name; /**< see ql_ca_name_ok() */
    bool for_server, for_client;
    const char *const *dns; /**< NULL: the name */
    const char *const *ips; /**< NULL: none */
    bool needs_rsa;         /**< whatever the profile says: revocation messages are signed by RSA keys */
    const struct ql_secret *password; /**< seals NAME-private.pem; NULL: it stands there in clear */
};

/** @return true for 1 to QL_CA_NAME_MAX characters out of `0-9A-Za-z._-`, not beginning with `.` or `-`, and not "ca" */
bool ql_ca_name_ok(const char *name);
/** A new key and its certificate, in memory. */
int ql_ca_new(const struct ql_ca_profile *profile, struct ql_ca **ret, struct ql_err *err);
/**
 * Read private.json and cacert.crt.
 * @param password  NULL: Keylime's preset word
 * @retval QL_ENOTFOUND @retval QL_ECRYPTO another password, or damage @retval QL_EPARSE @retval QL_ECORRUPT the
 * certificate is not that of the key
 */
int ql_ca_read(const char *dir, const struct ql_secret *password, struct ql_ca **ret, struct ql_err *err);
/** Write private.json, mode 0600, in one step. */
int ql_ca_keep(const struct ql_ca *ca, const char *dir, const struct ql_secret *password, struct ql_err *err);
/** Write ca-public.pem and, last, cacert.crt: whoever sees it sees all that was written before. */
int ql_ca_publish(const struct ql_ca *ca, const char *dir, struct ql_err *err);
/** Write cacrl.der and cacrl.pem under the number in @p ca. */
int ql_ca_write_crl(const struct ql_ca *ca, const struct ql_ca_profile *profile, const char *dir,
                    struct ql_err *err);
/** Make a key and a certificate with the serial number in @p ca and write NAME-*. */
int ql_ca_issue(const struct ql_ca *ca, const struct ql_ca_profile *profile, const struct ql_ca_leaf *leaf,
                const char *dir, struct ql_err *err);
/** Add a serial number to the revoked ones. @retval QL_EEXIST it is there @retval QL_ELIMIT */
int ql_ca_revoke(struct ql_ca *ca, uint64_t serial, struct ql_err *err);
bool ql_ca_is_revoked(const struct ql_ca *ca, uint64_t serial);
/** Is @p key the private key of @p cert? @retval QL_ECORRUPT no */
int ql_ca_check_pair(const struct ql_cert *cert, const struct ql_key *key, struct ql_err *err);
void ql_ca_free(struct ql_ca *ca);
QL_DEFINE_CLEANUP(struct ql_ca, ql_ca_free)

/** Serial number of a certificate of ours. @retval QL_ERANGE more than 64 bits */
int ql_cert_serial(const struct ql_cert *c, uint64_t *ret, struct ql_err *err);
/** Subject as RFC 4514 writes it (last name first, as Keylime's tenant does); caller frees, NULL: no memory. */
char *ql_cert_subject(const struct ql_cert *c);
