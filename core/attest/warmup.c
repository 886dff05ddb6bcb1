/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "cert.h"
#include "clock.h"
#include "error.h"
#include "key.h"
#include "warmup.h"

/* A signature check of each kind that quotes have, with a key made for it: what comes out does not matter. */
static int use_key(struct ql_key *key, enum ql_scheme scheme, enum ql_hash hash)
{
    uint8_t sig[512] = {1};
    size_t len = scheme == QL_ECDSA ? 32 : ql_key_bits(key) / 8;

    return ql_key_verify(key, scheme, hash, "warm", 4, sig, len, sig, len, -1, NULL);
}

static int warm_keys(struct ql_err *err)
{
    static const enum ql_hash hashes[] = {QL_SHA1, QL_SHA256, QL_SHA384, QL_SHA512};
    ql_auto(ql_key_freep) struct ql_key *ec = NULL, *again = NULL, *rsa = NULL;
    ql_auto_free char *pem = NULL;
    uint8_t modulus[256];
    int r = ql_key_generate_ec(QL_P256, &ec, err);

    if (r < 0)
        return r;
    pem = ql_key_public_pem(ec);
    if (!pem)
        return ql_fail_nomem(err);
    r = ql_key_from_pem(pem, strlen(pem), &again, err);
    if (r < 0)
        return r;
    /* A modulus of the right size is all that an import asks for; making an RSA key would take 100 ms. */
    memset(modulus, 0xff, sizeof modulus);
    r = ql_key_from_rsa(modulus, sizeof modulus, 0, &rsa, err);
    for (size_t i = 0; i < QL_ARRAY_LEN(hashes); i++) {
        (void)use_key(ec, QL_ECDSA, hashes[i]); /* refused, as it must be */
        if (r == QL_OK)
            (void)use_key(rsa, QL_RSASSA, hashes[i]);
    }
    return r;
}

static int warm_digests(struct ql_err *err)
{
    static const enum ql_hash hashes[] = {QL_SHA1, QL_SHA256, QL_SHA384, QL_SHA512};
    uint8_t digest[QL_DIGEST_MAX];
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(hashes); i++)
        r = ql_digest_once(hashes[i], "warm", 4, digest);
    ql_random(digest, sizeof digest);
    return r == QL_OK ? r : ql_fail(err, r, "digests");
}

int ql_warmup(struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    json_t *seeded = json_object();
    char text[32];
    int r;

    if (!seeded)
        return ql_fail_nomem(err);
    json_decref(seeded);
    tzset();
    (void)ql_time_rfc3339(ql_now_ns(), text);
    (void)ql_time_asctime(ql_now_ns(), text);
    (void)strerror(1); /* loads nothing but, where there is one, a catalogue */
    r = warm_digests(err);
    if (r == QL_OK)
        r = warm_keys(err);
    (void)ql_cert_from_pem("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", 63, &cert, NULL);
    return r;
}
