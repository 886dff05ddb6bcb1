/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <tss2/tss2_mu.h>

#include "encode.h"
#include "error.h"
#include "public.h"

/** Attribute bits that TPM 2.0 part 2, table 31 defines; the others are reserved and must be clear. */
#define KNOWN_ATTRIBUTES                                                                                     \
    (QL_ATTR_FIXED_TPM | QL_ATTR_ST_CLEAR | QL_ATTR_FIXED_PARENT | QL_ATTR_SENSITIVE_DATA_ORIGIN |           \
     QL_ATTR_USER_WITH_AUTH | QL_ATTR_ADMIN_WITH_POLICY | QL_ATTR_NO_DA | QL_ATTR_ENCRYPTED_DUPLICATION |    \
     QL_ATTR_RESTRICTED | QL_ATTR_DECRYPT | QL_ATTR_SIGN | UINT32_C(0x00080000) /* x509sign */)

enum {
    SCHEME_NULL = 0x0010,
    MODE_CFB = 0x0043,
    ALG_AES = 0x0006
};

static size_t field_len(enum ql_curve curve)
{
    switch (curve) {
    case QL_P256:
        return 32;
    case QL_P384:
        return 48;
    case QL_P521:
        return 66;
    }
    return 0;
}

static int read_rsa(const TPMT_PUBLIC *p, struct ql_tpm_public *out, struct ql_err *err)
{
    const TPMS_RSA_PARMS *rsa = &p->parameters.rsaDetail;

    out->is_rsa = true;
    out->rsa_bits = rsa->keyBits;
    if (p->unique.rsa.size != rsa->keyBits / 8u || p->unique.rsa.size > sizeof out->x)
        return ql_fail(err, QL_EPARSE, "RSA modulus of %u bytes in a key of %u bits", p->unique.rsa.size,
                       rsa->keyBits);
    memcpy(out->x, p->unique.rsa.buffer, p->unique.rsa.size);
    out->x_len = p->unique.rsa.size;
    out->exponent = rsa->exponent;
    out->scheme = rsa->scheme.scheme;
    if (out->scheme != SCHEME_NULL)
        out->scheme_hash = rsa->scheme.details.anySig.hashAlg;
    out->symmetric = rsa->symmetric.algorithm;
    if (out->symmetric != SCHEME_NULL) {
        out->symmetric_bits = rsa->symmetric.keyBits.sym;
        out->symmetric_mode = rsa->symmetric.mode.sym;
    }
    return QL_OK;
}

/* Coordinates fill the field; P-521's top byte may be left out. */
static bool coordinate_ok(size_t len, size_t field)
{
    return len == field || (field == 66 && len == 65);
}

static int read_ecc(const TPMT_PUBLIC *p, struct ql_tpm_public *out, struct ql_err *err)
{
    const TPMS_ECC_PARMS *ecc = &p->parameters.eccDetail;
    size_t field = field_len((enum ql_curve)ecc->curveID);

    if (field == 0)
        return ql_fail(err, QL_EUNSUPPORTED, "curve 0x%04x", ecc->curveID);
    out->curve = (enum ql_curve)ecc->curveID;
    if (!coordinate_ok(p->unique.ecc.x.size, field) || !coordinate_ok(p->unique.ecc.y.size, field))
        return ql_fail(err, QL_EPARSE, "coordinates of %u and %u bytes on a curve of %zu",
                       p->unique.ecc.x.size, p->unique.ecc.y.size, field);
    memcpy(out->x, p->unique.ecc.x.buffer, p->unique.ecc.x.size);
    memcpy(out->y, p->unique.ecc.y.buffer, p->unique.ecc.y.size);
    out->x_len = p->unique.ecc.x.size;
    out->y_len = p->unique.ecc.y.size;
    out->scheme = ecc->scheme.scheme;
    if (out->scheme != SCHEME_NULL)
        out->scheme_hash = ecc->scheme.details.anySig.hashAlg;
    out->symmetric = ecc->symmetric.algorithm;
    if (out->symmetric != SCHEME_NULL) {
        out->symmetric_bits = ecc->symmetric.keyBits.sym;
        out->symmetric_mode = ecc->symmetric.mode.sym;
    }
    return QL_OK;
}

/* The library reads what it knows; marshalling it again shows whether that was all there is. */
static bool is_canonical(const TPM2B_PUBLIC *p, const uint8_t *data, size_t len)
{
    uint8_t again[QL_PUBLIC_MAX_LEN];
    size_t at = 0;

    return Tss2_MU_TPM2B_PUBLIC_Marshal(p, again, sizeof again, &at) == TSS2_RC_SUCCESS && at == len &&
           memcmp(again, data, len) == 0;
}

int ql_tpm_public_parse(const uint8_t *data, size_t len, struct ql_tpm_public *ret, struct ql_err *err)
{
    struct ql_tpm_public out = {0};
    TPM2B_PUBLIC p = {0};
    size_t at = 0;
    int r;

    if (len > QL_PUBLIC_MAX_LEN)
        return ql_fail(err, QL_ELIMIT, "public area of %zu bytes, at most %d", len, QL_PUBLIC_MAX_LEN);
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(data, len, &at, &p) != TSS2_RC_SUCCESS || at != len ||
        !is_canonical(&p, data, len))
        return ql_fail(err, QL_EPARSE, "public area of %zu bytes is not one whole TPM2B_PUBLIC", len);
    switch (p.publicArea.type) {
    case TPM2_ALG_RSA:
        r = read_rsa(&p.publicArea, &out, err);
        break;
    case TPM2_ALG_ECC:
        r = read_ecc(&p.publicArea, &out, err);
        break;
    default:
        return ql_fail(err, QL_EUNSUPPORTED, "key type 0x%04x is neither RSA nor ECC", p.publicArea.type);
    }
    if (r < 0)
        return r;
    if (ql_hash_len(p.publicArea.nameAlg) == 0)
        return ql_fail(err, QL_EUNSUPPORTED, "name algorithm 0x%04x", p.publicArea.nameAlg);
    out.name_alg = (enum ql_hash)p.publicArea.nameAlg;
    out.attributes = p.publicArea.objectAttributes;
    out.name[0] = (uint8_t)(p.publicArea.nameAlg >> 8);
    out.name[1] = (uint8_t)p.publicArea.nameAlg;
    out.name_len = 2 + ql_hash_len(out.name_alg);
    /* The name covers TPMT_PUBLIC: everything after the size. */
    if (ql_digest_once(out.name_alg, data + 2, len - 2, out.name + 2) < 0)
        return ql_fail(err, QL_ECRYPTO, "%s is not available", ql_hash_name(out.name_alg));
    *ret = out;
    return QL_OK;
}

static int decode_text(const char *text, size_t len, uint8_t *out, size_t room, size_t *ret_len,
                       struct ql_err *err)
{
    size_t skip = len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 2 : 0;

    /* Hex is tried first: a text of hex digits alone could be base64 too, but no public area looks like that. */
    if (ql_hex_decode_upto(text + skip, len - skip, out, room, ret_len, NULL) == QL_OK)
        return QL_OK;
    return ql_base64_decode(text, len, out, room, ret_len, err);
}

int ql_tpm_public_from_text(const char *text, size_t len, struct ql_tpm_public *ret, uint8_t **ret_raw,
                            size_t *ret_raw_len, struct ql_err *err)
{
    uint8_t data[QL_PUBLIC_MAX_LEN];
    size_t data_len;
    uint8_t *raw;
    int r = decode_text(text, len, data, sizeof data, &data_len, err);

    if (r == QL_OK)
        r = ql_tpm_public_parse(data, data_len, ret, err);
    if (r < 0 || !ret_raw)
        return r;
    raw = malloc(data_len);
    if (!raw)
        return ql_fail_nomem(err);
    memcpy(raw, data, data_len);
    *ret_raw = raw;
    *ret_raw_len = data_len;
    return QL_OK;
}

/** A rule about attributes. */
struct attribute_rule {
    uint32_t bit;
    bool set;
    const char *name;
};

static int check_attributes(const struct ql_tpm_public *p, const struct attribute_rule *rules, size_t count,
                            const char *what, struct ql_err *err)
{
    for (size_t i = 0; i < count; i++)
        if (((p->attributes & rules[i].bit) != 0) != rules[i].set)
            return ql_fail(err, QL_ERANGE, "%s: attribute %s must be %s", what, rules[i].name,
                           rules[i].set ? "set" : "clear");
    if (p->attributes & ~KNOWN_ATTRIBUTES)
        return ql_fail(err, QL_ERANGE, "%s: reserved attributes are set (0x%08x)", what, p->attributes);
    return QL_OK;
}

static int check_size(const struct ql_tpm_public *p, const char *what, struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    int r;

    if (p->is_rsa && (p->rsa_bits < 2048 || p->rsa_bits > 4096))
        return ql_fail(err, QL_ERANGE, "%s: RSA key of %u bits", what, p->rsa_bits);
    /* Import checks the rest: the point is on its curve, the exponent is usable. */
    r = ql_tpm_public_key(p, &key, err);
    if (r == QL_OK && p->is_rsa && ql_key_bits(key) != p->rsa_bits)
        r = ql_fail(err, QL_ERANGE, "%s: RSA modulus of %u bits in a key of %u", what, ql_key_bits(key),
                    p->rsa_bits);
    return r;
}

int ql_tpm_check_ak(const struct ql_tpm_public *p, struct ql_err *err)
{
    static const struct attribute_rule rules[] = {
        {QL_ATTR_FIXED_TPM, true, "fixedTPM"},
        {QL_ATTR_FIXED_PARENT, true, "fixedParent"},
        {QL_ATTR_SENSITIVE_DATA_ORIGIN, true, "sensitiveDataOrigin"},
        {QL_ATTR_RESTRICTED, true, "restricted"},
        {QL_ATTR_SIGN, true, "sign"},
        {QL_ATTR_DECRYPT, false, "decrypt"},
        {QL_ATTR_ST_CLEAR, false, "stClear"},
        {QL_ATTR_ENCRYPTED_DUPLICATION, false, "encryptedDuplication"},
    };
    int r = check_attributes(p, rules, QL_ARRAY_LEN(rules), "attestation key", err);

    if (r < 0)
        return r;
    if (p->symmetric != SCHEME_NULL)
        return ql_fail(err, QL_ERANGE, "attestation key: a symmetric algorithm is set");
    switch (p->scheme) {
    case QL_RSASSA:
    case QL_RSAPSS:
        if (!p->is_rsa)
            return ql_fail(err, QL_ERANGE, "attestation key: RSA scheme on an ECC key");
        break;
    case QL_ECDSA:
    case QL_ECSCHNORR:
        if (p->is_rsa)
            return ql_fail(err, QL_ERANGE, "attestation key: ECC scheme on an RSA key");
        break;
    default:
        return ql_fail(err, QL_ERANGE, "attestation key: scheme 0x%04x does not sign", p->scheme);
    }
    if (ql_hash_len(p->scheme_hash) == 0)
        return ql_fail(err, QL_ERANGE, "attestation key: scheme with hash 0x%04x", p->scheme_hash);
    return check_size(p, "attestation key", err);
}

int ql_tpm_check_ek(const struct ql_tpm_public *p, struct ql_err *err)
{
    static const struct attribute_rule rules[] = {
        {QL_ATTR_FIXED_TPM, true, "fixedTPM"},
        {QL_ATTR_FIXED_PARENT, true, "fixedParent"},
        {QL_ATTR_SENSITIVE_DATA_ORIGIN, true, "sensitiveDataOrigin"},
        {QL_ATTR_RESTRICTED, true, "restricted"},
        {QL_ATTR_DECRYPT, true, "decrypt"},
        {QL_ATTR_SIGN, false, "sign"},
    };
    int r = check_attributes(p, rules, QL_ARRAY_LEN(rules), "endorsement key", err);

    if (r < 0)
        return r;
    if (p->symmetric != ALG_AES || p->symmetric_mode != MODE_CFB ||
        (p->symmetric_bits != 128 && p->symmetric_bits != 192 && p->symmetric_bits != 256))
        return ql_fail(err, QL_ERANGE, "endorsement key: symmetric algorithm is not AES in CFB mode");
    return check_size(p, "endorsement key", err);
}

int ql_tpm_public_key(const struct ql_tpm_public *p, struct ql_key **ret, struct ql_err *err)
{
    if (p->is_rsa)
        return ql_key_from_rsa(p->x, p->x_len, p->exponent, ret, err);
    return ql_key_from_ec(p->curve, p->x, p->x_len, p->y, p->y_len, ret, err);
}

const char *ql_tpm_enc_alg(const struct ql_tpm_public *p)
{
    if (!p->is_rsa) {
        switch (p->curve) {
        case QL_P256:
            return "ecc256";
        case QL_P384:
            return "ecc384";
        case QL_P521:
            return "ecc521";
        }
        return NULL;
    }
    switch (p->rsa_bits) {
    case 2048:
        return "rsa2048";
    case 3072:
        return "rsa3072";
    case 4096:
        return "rsa4096";
    default:
        return NULL;
    }
}
