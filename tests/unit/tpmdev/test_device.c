/* SPDX-License-Identifier: Apache-2.0 */
/* Against a real (software) TPM that the test starts for itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cert.h"
#include "certify.h"
#include "credential.h"
#include "device/internal.h"
#include "swtpm.h"

static const char NK[] =
    "-----BEGIN PUBLIC KEY-----\nany text will do: it is bound as bytes\n-----END PUBLIC KEY-----\n";
static const char NONCE[] = "Ab3dEf6hIj9kLm2nOp5q";

struct state {
    struct swtpm swtpm;
    struct ql_tpm *tpm;
};

/** EK and AK of one kind, loaded. */
struct keys {
    uint8_t *ek, *ak, *public_area, *private_area;
    size_t ek_len, ak_len, public_len, private_len;
};

static int start(void **state)
{
    struct state *s = calloc(1, sizeof *s);
    struct ql_err err = QL_ERR_INIT;

    if (!swtpm_installed()) {
        print_message("swtpm is not installed: these tests are skipped\n");
        free(s);
        *state = NULL;
        return 0;
    }
    setenv("TSS2_LOG", "all+none", 0);
    assert_true(swtpm_start(&s->swtpm));
    if (ql_tpm_open(s->swtpm.tcti, &s->tpm, &err) < 0)
        fail_msg("%s", err.text);
    *state = s;
    return 0;
}

static int stop(void **state)
{
    struct state *s = *state;

    if (s) {
        ql_tpm_close(s->tpm);
        swtpm_stop(&s->swtpm);
        free(s);
    }
    return 0;
}

/** Handles of a kind that the TPM holds now. */
static unsigned held(struct ql_tpm *tpm, TPM2_HANDLE first)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more;
    unsigned count;

    assert_int_equal(Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES,
                                        first, 64, &more, &data),
                     TSS2_RC_SUCCESS);
    count = data->data.handles.count;
    Esys_Free(data);
    return count;
}

static unsigned transients(struct ql_tpm *tpm)
{
    return held(tpm, 0x80000000);
}

static unsigned sessions(struct ql_tpm *tpm)
{
    return held(tpm, 0x02000000);
}

/** The TPM, opened anew: whatever an earlier test left loaded was flushed by closing it. */
static struct state *need(void **state)
{
    struct state *s = *state;
    struct ql_err err = QL_ERR_INIT;

    if (!s)
        skip();
    ql_tpm_close(s->tpm);
    s->tpm = NULL;
    if (ql_tpm_open(s->swtpm.tcti, &s->tpm, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(transients(s->tpm), 0);
    return s;
}

static void keys_done(struct keys *k)
{
    free(k->ek);
    free(k->ak);
    free(k->public_area);
    free(k->private_area);
}

static void load(struct ql_tpm *tpm, const struct ql_tpm_algs *algs, struct keys *k)
{
    struct ql_err err = QL_ERR_INIT;

    memset(k, 0, sizeof *k);
    if (ql_tpm_ek(tpm, algs, 0, &k->ek, &k->ek_len, &err) < 0 ||
        ql_tpm_ak_create(tpm, algs, &k->public_area, &k->public_len, &k->private_area, &k->private_len,
                         &err) < 0 ||
        ql_tpm_ak_load(tpm, k->public_area, k->public_len, k->private_area, k->private_len, &k->ak,
                       &k->ak_len, &err) < 0)
        fail_msg("%s %s: %s", algs->enc, algs->hash, err.text);
}

static int check(const struct keys *k, const struct ql_tpm_algs *algs, const char *quote, const char *nonce,
                 uint32_t mask, enum ql_quote_stage *stage)
{
    struct ql_tpm_public ak;
    struct ql_key *key = NULL;
    struct ql_digester *digester = NULL;
    struct ql_accept accept = {0};
    struct ql_quote got;
    struct ql_err err = QL_ERR_INIT;
    int r;

    assert_int_equal(ql_tpm_public_parse(k->ak, k->ak_len, &ak, &err), QL_OK);
    assert_int_equal(ql_tpm_check_ak(&ak, &err), QL_OK);
    assert_int_equal(ql_tpm_public_key(&ak, &key, &err), QL_OK);
    assert_int_equal(ql_digester_new(&digester, &err), QL_OK);
    assert_int_equal(ql_accept_hash(&accept, algs->hash), QL_OK);
    assert_int_equal(ql_accept_enc(&accept, algs->enc), QL_OK);
    assert_int_equal(ql_accept_sign(&accept, algs->sign), QL_OK);
    const struct ql_quote_in in = {.ak_key = key,
                                   .ak = &ak,
                                   .digester = digester,
                                   .quote = quote,
                                   .quote_len = strlen(quote),
                                   .hash_alg = algs->hash,
                                   .enc_alg = ql_tpm_enc_alg(&ak),
                                   .sign_alg = algs->sign,
                                   .accept = &accept,
                                   .nonce = (const uint8_t *)nonce,
                                   .nonce_len = strlen(nonce),
                                   .mask = mask | UINT32_C(1) << QL_DATA_PCR,
                                   .exact_mask = true,
                                   .pubkey = NK,
                                   .pubkey_len = strlen(NK)};
    r = ql_quote_check(&in, &got, stage, NULL, &err);
    if (r < 0 && *stage != QL_STAGE_NONCE)
        print_message("checker: %s: %s\n", ql_quote_stage_name(*stage), err.text);
    ql_key_free(key);
    ql_digester_free(digester);
    return r;
}

static char *quote(struct ql_tpm *tpm, const char *hash, uint32_t mask, const char *nonce)
{
    struct ql_err err = QL_ERR_INIT;
    uint8_t digest[QL_DIGEST_MAX];
    enum ql_hash bank = 0;
    char *text = NULL;

    assert_int_equal(ql_hash_by_name(hash, strlen(hash), &bank), QL_OK);
    assert_int_equal(ql_digest_once(bank, NK, strlen(NK), digest), QL_OK);
    if (ql_tpm_quote(tpm, bank, mask, nonce, strlen(nonce), digest, &text, &err) < 0)
        fail_msg("quote: %s", err.text);
    return text;
}

static const struct ql_tpm_algs KINDS[] = {
    {"sha256", "rsa", "rsassa"},     {"sha256", "ecc", "ecdsa"},      {"sha384", "ecc384", "ecdsa"},
    {"sha512", "ecc521", "ecdsa"},   {"sha256", "rsa2048", "rsassa"}, {"sha384", "ecc256", "ecdsa"},
    {"sha384", "rsa3072", "rsassa"},
};

static void quotes_of_every_kind_of_key_are_accepted_by_the_checker(void **state)
{
    struct state *s = need(state);
    static const uint32_t masks[] = {0, 0x408400, 0xffffff};

    for (size_t i = 0; i < QL_ARRAY_LEN(KINDS); i++) {
        struct keys k;

        load(s->tpm, &KINDS[i], &k);
        for (size_t m = 0; m < QL_ARRAY_LEN(masks); m++) {
            enum ql_quote_stage stage = QL_STAGE_NONE;
            char *text = quote(s->tpm, KINDS[i].hash, masks[m], NONCE);

            assert_int_equal(check(&k, &KINDS[i], text, NONCE, masks[m], &stage), QL_OK);
            assert_int_not_equal(check(&k, &KINDS[i], text, "another", masks[m], &stage), QL_OK);
            assert_int_equal(stage, QL_STAGE_NONCE);
            free(text);
        }
        keys_done(&k);
    }
}

static void a_credential_made_in_software_is_activated_by_the_tpm(void **state)
{
    struct state *s = need(state);

    for (size_t i = 0; i < QL_ARRAY_LEN(KINDS); i++) {
        struct ql_tpm_public ek, ak;
        struct ql_err err = QL_ERR_INIT;
        struct ql_secret *got = NULL;
        const uint8_t *id_object, *secret;
        size_t id_object_len, secret_len, blob_len = 0;
        char challenge[QL_CHALLENGE_LEN + 1], key[QL_CHALLENGE_KEY_LEN + 1];
        uint8_t *blob = NULL;
        struct keys k;

        load(s->tpm, &KINDS[i], &k);
        assert_int_equal(ql_tpm_public_parse(k.ek, k.ek_len, &ek, &err), QL_OK);
        assert_int_equal(ql_tpm_check_ek(&ek, &err), QL_OK);
        assert_int_equal(ql_tpm_public_parse(k.ak, k.ak_len, &ak, &err), QL_OK);
        ql_challenge_new(challenge, key);
        if (ql_make_credential(&ek, ak.name, ak.name_len, challenge, QL_CHALLENGE_LEN, &blob, &blob_len,
                               &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(
            ql_credential_split(blob, blob_len, &id_object, &id_object_len, &secret, &secret_len, &err),
            QL_OK);
        if (ql_tpm_activate(s->tpm, id_object, id_object_len, secret, secret_len, &got, &err) < 0)
            fail_msg("%s: %s", KINDS[i].enc, err.text);
        assert_int_equal(ql_secret_len(got), QL_CHALLENGE_LEN);
        assert_memory_equal(ql_secret_data(got), challenge, QL_CHALLENGE_LEN);
        ql_secret_free(got);
        got = NULL;

        blob[10 + id_object_len - 1] ^= 1; /* last byte of the encrypted part */
        assert_int_not_equal(
            ql_tpm_activate(s->tpm, id_object, id_object_len, secret, secret_len, &got, &err), QL_OK);
        assert_null(got);
        assert_non_null(strstr(err.text, "activating the credential"));
        assert_int_equal(sessions(s->tpm), 0);
        free(blob);
        keys_done(&k);
    }
}

static void twenty_quotes_and_an_activation_leave_nothing_behind(void **state)
{
    struct state *s = need(state);
    struct ql_err err = QL_ERR_INIT;
    struct keys k;
    char *data = NULL;

    load(s->tpm, &KINDS[0], &k);
    assert_int_equal(transients(s->tpm), 2); /* EK and AK */
    for (int i = 0; i < 20; i++)
        free(quote(s->tpm, "sha256", 0x408400, NONCE));
    assert_int_equal(transients(s->tpm), 2);
    assert_int_equal(sessions(s->tpm), 0);

    /* Failures on the way: a mask, a bank and a nonce that cannot be. */
    assert_int_equal(ql_tpm_quote(s->tpm, QL_SHA256, 0x1000000, NONCE, 20, (uint8_t[64]){0}, &data, &err),
                     QL_ERANGE);
    assert_int_equal(ql_tpm_quote(s->tpm, QL_SHA384, 1, NONCE, 20, (uint8_t[64]){0}, &data, &err), QL_ERANGE);
    assert_int_equal(
        ql_tpm_quote(s->tpm, QL_SHA256, 1, (uint8_t[200]){0}, 200, (uint8_t[64]){0}, &data, &err), QL_ELIMIT);
    assert_null(data);
    k.private_area[k.private_len - 1] ^= 1;
    free(k.ak);
    k.ak = NULL;
    assert_int_not_equal(ql_tpm_ak_load(s->tpm, k.public_area, k.public_len, k.private_area, k.private_len,
                                        &k.ak, &k.ak_len, &err),
                         QL_OK);
    assert_int_equal(transients(s->tpm), 2);
    assert_int_equal(sessions(s->tpm), 0);

    ql_tpm_ek_done(s->tpm);
    assert_int_equal(transients(s->tpm), 1);
    free(quote(s->tpm, "sha256", 1, NONCE));

    ql_tpm_close(s->tpm);
    s->tpm = NULL;
    assert_int_equal(ql_tpm_open(s->swtpm.tcti, &s->tpm, &err), QL_OK);
    assert_int_equal(transients(s->tpm), 0);
    keys_done(&k);
}

static void a_saved_key_is_loaded_again_and_its_truncations_are_not(void **state)
{
    struct state *s = need(state);
    struct ql_err err = QL_ERR_INIT;
    struct keys k;
    uint8_t *again = NULL;
    size_t again_len = 0;

    load(s->tpm, &KINDS[1], &k);
    assert_int_equal(ql_tpm_ak_load(s->tpm, k.public_area, k.public_len, k.private_area, k.private_len,
                                    &again, &again_len, &err),
                     QL_OK);
    assert_int_equal(again_len, k.ak_len);
    assert_memory_equal(again, k.ak, k.ak_len);
    assert_int_equal(ql_tpm_ak_handle(s->tpm) >> 24, TPM2_HT_TRANSIENT);
    for (size_t len = 0; len < k.public_len; len++)
        assert_int_equal(ql_tpm_ak_load(s->tpm, k.public_area, len, k.private_area, k.private_len, &again,
                                        &again_len, &err),
                         QL_EPARSE);
    assert_int_not_equal(ql_tpm_ak_load(s->tpm, k.public_area, k.public_len, k.private_area,
                                        k.private_len - 1, &again, &again_len, &err),
                         QL_OK);
    assert_int_equal(
        ql_tpm_ak_load(s->tpm, k.public_area, k.public_len, k.private_area, 60000, &again, &again_len, &err),
        QL_ELIMIT);
    free(again);
    keys_done(&k);
}

/** Define an NV index as its owner would and write it. */
static void nv_put(struct ql_tpm *tpm, TPM2_HANDLE index, const uint8_t *data, size_t len)
{
    const TPM2B_AUTH none = {0};
    const TPM2B_NV_PUBLIC public = {
        .nvPublic = {.nvIndex = index,
                     .nameAlg = TPM2_ALG_SHA256,
                     .attributes = TPMA_NV_OWNERWRITE | TPMA_NV_AUTHREAD | TPMA_NV_OWNERREAD | TPMA_NV_NO_DA,
                     .dataSize = (UINT16)len}};
    ESYS_TR object = ESYS_TR_NONE;

    assert_int_equal(Esys_NV_DefineSpace(tpm->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                         ESYS_TR_NONE, &none, &public, &object),
                     TSS2_RC_SUCCESS);
    for (size_t at = 0; at < len;) {
        TPM2B_MAX_NV_BUFFER piece = {.size = (UINT16)(len - at < 512 ? len - at : 512)};

        memcpy(piece.buffer, data + at, piece.size);
        assert_int_equal(Esys_NV_Write(tpm->esys, ESYS_TR_RH_OWNER, object, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                       ESYS_TR_NONE, &piece, (UINT16)at),
                         TSS2_RC_SUCCESS);
        at += piece.size;
    }
    Esys_TR_Close(tpm->esys, &object);
}

static void make_cert(const char *name, struct ql_cert **ret)
{
    struct ql_key *key = NULL;
    const struct ql_cert_profile profile = {.subject = {.common_name = name}, .days = 1};

    assert_int_equal(ql_key_generate_ec(QL_P256, &key, NULL), QL_OK);
    assert_int_equal(ql_cert_make(&profile, key, NULL, key, ret, NULL), QL_OK);
    ql_key_free(key);
}

static void certificates_come_out_of_nv_without_padding_and_strangers(void **state)
{
    struct state *s = need(state);
    struct ql_err err = QL_ERR_INIT;
    struct ql_cert *leaf = NULL, *one = NULL, *two = NULL;
    const uint8_t *leaf_der, *one_der, *two_der;
    size_t leaf_len, one_len, two_len, len = 0;
    uint8_t padded[1600], joined[2048], *got = NULL;

    assert_int_equal(ql_tpm_ek_cert(s->tpm, &KINDS[0], &got, &len, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "0x01c00002"));
    assert_int_equal(ql_tpm_ek_chain(s->tpm, &got, &len, &err), QL_OK);
    assert_int_equal(len, 0);
    free(got);

    make_cert("leaf", &leaf);
    make_cert("one", &one);
    make_cert("two", &two);
    leaf_der = ql_cert_der(leaf, &leaf_len);
    one_der = ql_cert_der(one, &one_len);
    two_der = ql_cert_der(two, &two_len);

    memset(padded, 0xff, sizeof padded);
    memcpy(padded, leaf_der, leaf_len);
    nv_put(s->tpm, 0x01C00002, padded, sizeof padded); /* more than one NV_Read */
    assert_int_equal(ql_tpm_ek_cert(s->tpm, &KINDS[0], &got, &len, &err), QL_OK);
    assert_int_equal(len, leaf_len);
    assert_memory_equal(got, leaf_der, leaf_len);
    free(got);
    assert_int_equal(ql_tpm_ek_cert(s->tpm, &KINDS[1], &got, &len, &err), QL_ENOTFOUND);

    /* "one" is cut by the border of two indices, the second of which ends in padding; then something that is no
     * certificate; then "two"; and an index past the range, which is no part of the chain. */
    memset(joined, 0, sizeof joined);
    memcpy(joined, one_der, one_len);
    nv_put(s->tpm, 0x01C00100, joined, 100);
    nv_put(s->tpm, 0x01C00101, joined + 100, one_len - 100 + 7);
    nv_put(s->tpm, 0x01C00102, (const uint8_t[]){0x30, 0x03, 0x02, 0x01, 0x05}, 5);
    nv_put(s->tpm, 0x01C001FF, two_der, two_len);
    nv_put(s->tpm, 0x01C08000, leaf_der, leaf_len);
    assert_int_equal(ql_tpm_ek_chain(s->tpm, &got, &len, &err), QL_OK);
    assert_int_equal(len, one_len + two_len);
    assert_memory_equal(got, one_der, one_len);
    assert_memory_equal(got + one_len, two_der, two_len);
    free(got);
    ql_cert_free(leaf);
    ql_cert_free(one);
    ql_cert_free(two);
}

static void a_persistent_ek_is_taken_by_its_handle_and_stays(void **state)
{
    struct state *s = need(state);
    const TPM2_HANDLE handle = 0x81010016;
    struct ql_err err = QL_ERR_INIT;
    struct keys made, k = {0};
    ESYS_TR kept = ESYS_TR_NONE;

    load(s->tpm, &KINDS[1], &made);
    assert_int_equal(Esys_EvictControl(s->tpm->esys, ESYS_TR_RH_OWNER, s->tpm->ek, ESYS_TR_PASSWORD,
                                       ESYS_TR_NONE, ESYS_TR_NONE, handle, &kept),
                     TSS2_RC_SUCCESS);
    Esys_TR_Close(s->tpm->esys, &kept);
    assert_int_equal(ql_tpm_ek(s->tpm, &KINDS[1], handle, &k.ek, &k.ek_len, &err), QL_OK);
    assert_int_equal(k.ek_len, made.ek_len);
    assert_memory_equal(k.ek, made.ek, made.ek_len);
    assert_int_equal(ql_tpm_ak_create(s->tpm, &KINDS[1], &k.public_area, &k.public_len, &k.private_area,
                                      &k.private_len, &err),
                     QL_OK);
    ql_tpm_ek_done(s->tpm);
    assert_int_equal(held(s->tpm, handle), 1);

    assert_int_equal(ql_tpm_ek(s->tpm, &KINDS[0], handle, &k.ak, &k.ak_len, &err), QL_ERANGE);
    assert_non_null(strstr(err.text, "0x81010016"));
    assert_int_equal(ql_tpm_ek(s->tpm, &KINDS[1], 0x81010017, &k.ak, &k.ak_len, &err), QL_EIO);
    assert_int_equal(ql_tpm_ek(s->tpm, &KINDS[1], 0x01010017, &k.ak, &k.ak_len, &err), QL_ERANGE);
    assert_null(k.ak);
    keys_done(&made);
    keys_done(&k);
}

static void the_iak_certifies_the_ak(void **state)
{
    struct state *s = need(state);
    static const struct ql_iak_template templates[] = {{.name = "H-1"},
                                                       {.name = "H-2"},
                                                       {.name = "H-3"},
                                                       {.name = "H-4"},
                                                       {.name = "manual", .enc = "ecc", .hash = "sha256"}};
    static const char id[] = "d432fbb3-d2f1-4a97-9ef7-75bd81c00000";
    uint8_t digest[32];
    struct ql_err err = QL_ERR_INIT;
    struct keys k;

    load(s->tpm, &KINDS[0], &k);
    ql_tpm_ek_done(s->tpm);
    assert_int_equal(ql_digest_once(QL_SHA256, id, strlen(id), digest), QL_OK);
    for (size_t i = 0; i < QL_ARRAY_LEN(templates); i++) {
        uint8_t *iak = NULL, *idevid = NULL, *attest = NULL, *signature = NULL;
        size_t iak_len = 0, idevid_len = 0, attest_len = 0, signature_len = 0;
        struct ql_tpm_public iak_public, idevid_public, ak_public;

        if (ql_tpm_iak(s->tpm, &templates[i], &iak, &iak_len, &idevid, &idevid_len, &err) < 0)
            fail_msg("%s: %s", templates[i].name, err.text);
        assert_int_equal(transients(s->tpm), 2); /* AK and IAK: the IDevID is not kept */
        if (ql_tpm_certify(s->tpm, digest, sizeof digest, &attest, &attest_len, &signature, &signature_len,
                           &err) < 0)
            fail_msg("%s: %s", templates[i].name, err.text);
        assert_int_equal(ql_tpm_public_parse(iak, iak_len, &iak_public, &err), QL_OK);
        assert_int_equal(ql_tpm_public_parse(idevid, idevid_len, &idevid_public, &err), QL_OK);
        assert_int_equal(ql_tpm_public_parse(k.ak, k.ak_len, &ak_public, &err), QL_OK);
        assert_int_equal(iak_public.attributes, 0x000500F2);
        assert_int_equal(idevid_public.attributes, 0x000400F2);
        if (ql_certify_check(&iak_public, &ak_public, attest, attest_len, signature, signature_len, id,
                             &err) < 0)
            fail_msg("%s: %s", templates[i].name, err.text);
        assert_int_not_equal(ql_certify_check(&iak_public, &ak_public, attest, attest_len, signature,
                                              signature_len, "another", &err),
                             QL_OK);
        free(iak);
        free(idevid);
        free(attest);
        free(signature);
    }
    keys_done(&k);
}

static void an_unknown_template_or_algorithm_is_named(void **state)
{
    struct state *s = need(state);
    static const struct ql_iak_template sm = {.name = "H-5"};
    static const struct ql_tpm_algs small = {"sha256", "rsa1024", "rsassa"},
                                    odd = {"sha256", "ecc", "rsassa"}, sm3 = {"sm3_256", "ecc", "ecdsa"};
    struct ql_err err = QL_ERR_INIT;
    uint8_t *a = NULL, *b = NULL;
    size_t a_len, b_len;

    assert_int_equal(ql_tpm_iak(s->tpm, &sm, &a, &a_len, &b, &b_len, &err), QL_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "H-5"));
    assert_int_equal(ql_tpm_ek(s->tpm, &small, 0, &a, &a_len, &err), QL_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "rsa1024"));
    assert_int_equal(ql_tpm_ak_create(s->tpm, &odd, &a, &a_len, &b, &b_len, &err), QL_ERANGE);
    assert_non_null(strstr(err.text, "rsassa does not fit"));
    assert_int_equal(ql_tpm_ak_create(s->tpm, &sm3, &a, &a_len, &b, &b_len, &err), QL_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "sm3_256"));
    assert_null(a);
    assert_null(b);
}

static void the_endorsement_password_is_needed_where_it_is_set(void **state)
{
    struct state *s = need(state);
    const TPM2B_AUTH password = {.size = 5, .buffer = "hello"}, none = {0};
    struct ql_secret *secret = NULL, *wrong = NULL;
    struct ql_err err = QL_ERR_INIT;
    struct keys k;
    uint8_t *ek = NULL;
    size_t ek_len = 0;

    assert_int_equal(ql_secret_new("hello", 5, &secret, &err), QL_OK);
    assert_int_equal(ql_secret_new("hallo", 5, &wrong, &err), QL_OK);
    assert_int_equal(Esys_HierarchyChangeAuth(s->tpm->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                                              ESYS_TR_NONE, ESYS_TR_NONE, &password),
                     TSS2_RC_SUCCESS);
    assert_int_equal(ql_tpm_set_owner_auth(s->tpm, wrong, &err), QL_OK);
    assert_int_equal(ql_tpm_ek(s->tpm, &KINDS[1], 0, &ek, &ek_len, &err), QL_EACCES);
    assert_null(strstr(err.text, "hallo"));
    assert_int_equal(ql_tpm_set_owner_auth(s->tpm, secret, &err), QL_OK);
    load(s->tpm, &KINDS[1], &k);
    assert_int_equal(Esys_HierarchyChangeAuth(s->tpm->esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                                              ESYS_TR_NONE, ESYS_TR_NONE, &none),
                     TSS2_RC_SUCCESS);
    keys_done(&k);
    ql_secret_free(secret);
    ql_secret_free(wrong);
}

static void a_software_tpm_says_so_and_a_missing_one_is_named(void **state)
{
    struct state *s = need(state);
    struct ql_err err = QL_ERR_INIT;
    struct ql_tpm *none = NULL;

    assert_non_null(strstr(ql_tpm_vendor(s->tpm), "SW"));
    assert_int_equal(ql_tpm_open("device:/nonexistent/tpm", &none, &err), QL_EIO);
    assert_null(none);
    assert_non_null(strstr(err.text, "device:/nonexistent/tpm"));
    setenv("TCTI", "device:/nonexistent/from-env", 1);
    assert_int_equal(ql_tpm_open(NULL, &none, &err), QL_EIO);
    assert_non_null(strstr(err.text, "/nonexistent/from-env"));
    unsetenv("TCTI");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_software_tpm_says_so_and_a_missing_one_is_named),
        cmocka_unit_test(quotes_of_every_kind_of_key_are_accepted_by_the_checker),
        cmocka_unit_test(a_credential_made_in_software_is_activated_by_the_tpm),
        cmocka_unit_test(twenty_quotes_and_an_activation_leave_nothing_behind),
        cmocka_unit_test(a_saved_key_is_loaded_again_and_its_truncations_are_not),
        cmocka_unit_test(certificates_come_out_of_nv_without_padding_and_strangers),
        cmocka_unit_test(a_persistent_ek_is_taken_by_its_handle_and_stays),
        cmocka_unit_test(the_iak_certifies_the_ak),
        cmocka_unit_test(an_unknown_template_or_algorithm_is_named),
        cmocka_unit_test(the_endorsement_password_is_needed_where_it_is_set),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
