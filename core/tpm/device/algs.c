/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "internal.h"

/* Policies of the default EK templates: TCG EK Credential Profile for TPM 2.0, B.6. */
static const uint8_t POLICY_A_SHA256[] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
                                          0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
                                          0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};

static const uint8_t POLICY_B_SHA384[] = {
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
    0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
    0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12};

static const uint8_t POLICY_B_SHA512[] = {
    0xb8, 0x22, 0x1c, 0xa6, 0x9e, 0x85, 0x50, 0xa4, 0x91, 0x4d, 0xe3, 0xfa, 0xa6, 0xa1, 0x8c, 0x07,
    0x2c, 0xc0, 0x12, 0x08, 0x07, 0x3a, 0x92, 0x8d, 0x5d, 0x66, 0xd5, 0x9e, 0xf7, 0x9e, 0x49, 0xa4,
    0x29, 0xc4, 0x1a, 0x6b, 0x26, 0x95, 0x71, 0xd5, 0x7e, 0xdb, 0x25, 0xfb, 0xdb, 0x18, 0x38, 0x42,
    0x56, 0x08, 0xb4, 0x13, 0xcd, 0x61, 0x6a, 0x5f, 0x6d, 0xb5, 0xb6, 0x07, 0x1a, 0xf9, 0x9b, 0xea};

enum {
    EK_LOW =
        0x000300B2, /* fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt */
    EK_HIGH = 0x000300F2 /* and userWithAuth */
};

static const struct ql_tpm_enc ENCS[] = {
    {.names = {"rsa", "rsa2048"},
     .type = TPM2_ALG_RSA,
     .rsa_bits = 2048,
     .name_alg = TPM2_ALG_SHA256,
     .attributes = EK_LOW,
     .policy = POLICY_A_SHA256,
     .aes_bits = 128,
     .unique_len = 256,
     .nv_index = 0x01C00002},
    {.names = {"ecc", "ecc256", "ecc_nist_p256"},
     .type = TPM2_ALG_ECC,
     .curve = TPM2_ECC_NIST_P256,
     .name_alg = TPM2_ALG_SHA256,
     .attributes = EK_LOW,
     .policy = POLICY_A_SHA256,
     .aes_bits = 128,
     .unique_len = 32,
     .nv_index = 0x01C0000A},
    {.names = {"ecc384", "ecc_nist_p384"},
     .type = TPM2_ALG_ECC,
     .curve = TPM2_ECC_NIST_P384,
     .name_alg = TPM2_ALG_SHA384,
     .attributes = EK_HIGH,
     .policy = POLICY_B_SHA384,
     .aes_bits = 256,
     .nv_index = 0x01C00016},
    {.names = {"ecc521", "ecc_nist_p521"},
     .type = TPM2_ALG_ECC,
     .curve = TPM2_ECC_NIST_P521,
     .name_alg = TPM2_ALG_SHA512,
     .attributes = EK_HIGH,
     .policy = POLICY_B_SHA512,
     .aes_bits = 256,
     .nv_index = 0x01C00018},
    {.names = {"rsa3072"},
     .type = TPM2_ALG_RSA,
     .rsa_bits = 3072,
     .name_alg = TPM2_ALG_SHA384,
     .attributes = EK_HIGH,
     .policy = POLICY_B_SHA384,
     .aes_bits = 256,
     .nv_index = 0x01C0001C},
    {.names = {"rsa4096"},
     .type = TPM2_ALG_RSA,
     .rsa_bits = 4096,
     .name_alg = TPM2_ALG_SHA384,
     .attributes = EK_HIGH,
     .policy = POLICY_B_SHA384,
     .aes_bits = 256,
     .nv_index = 0x01C0001E},
};

static const struct {
    const char *name;
    TPM2_ALG_ID alg;
    uint16_t size;
} HASHES[] = {
    {"sha1", TPM2_ALG_SHA1, 20},
    {"sha256", TPM2_ALG_SHA256, 32},
    {"sha384", TPM2_ALG_SHA384, 48},
    {"sha512", TPM2_ALG_SHA512, 64},
};

static const struct {
    const char *name;
    TPM2_ALG_ID alg;
} SIGNS[] = {
    {"rsassa", TPM2_ALG_RSASSA},
    {"rsapss", TPM2_ALG_RSAPSS},
    {"ecdsa", TPM2_ALG_ECDSA},
    {"ecschnorr", TPM2_ALG_ECSCHNORR},
};

uint16_t ql_tpm_hash_size(TPM2_ALG_ID alg)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(HASHES); i++)
        if (HASHES[i].alg == alg)
            return HASHES[i].size;
    return 0;
}

int ql_tpm_enc_find(const char *name, const struct ql_tpm_enc **ret, struct ql_err *err)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(ENCS); i++)
        for (size_t n = 0; n < QL_ARRAY_LEN(ENCS[i].names) && ENCS[i].names[n]; n++)
            if (strcmp(ENCS[i].names[n], name) == 0) {
                *ret = &ENCS[i];
                return QL_OK;
            }
    return ql_fail(
        err, QL_EUNSUPPORTED,
        "tpm_encryption_alg %s: there is no EK template for it here (rsa2048, rsa3072, rsa4096, ecc256, "
        "ecc384, ecc521)",
        name);
}

int ql_tpm_hash_find(const char *name, TPM2_ALG_ID *ret, struct ql_err *err)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(HASHES); i++)
        if (strcmp(HASHES[i].name, name) == 0) {
            *ret = HASHES[i].alg;
            return QL_OK;
        }
    return ql_fail(err, QL_EUNSUPPORTED, "tpm_hash_alg %s is not one of sha1, sha256, sha384, sha512", name);
}

int ql_tpm_sign_find(const char *name, TPM2_ALG_ID *ret, struct ql_err *err)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(SIGNS); i++)
        if (strcmp(SIGNS[i].name, name) == 0) {
            *ret = SIGNS[i].alg;
            return QL_OK;
        }
    return ql_fail(err, QL_EUNSUPPORTED, "tpm_signing_alg %s is not one of rsassa, rsapss, ecdsa, ecschnorr",
                   name);
}
