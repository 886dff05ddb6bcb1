/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent posts to the unauthenticated port of a registrar (spec/server.md 9.1), read where nothing can
 * be lost.
 */
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "cert.h"
#include "certify.h"
#include "encode.h"
#include "error.h"
#include "items.h"
#include "work.h"

enum {
    LINES_MAX = 4096,     /* bytes of reasons, of warnings */
    TEXT_MAX = 64 * 1024, /* of one field */
    STRUCTURE_MAX = 4096  /* bytes of a TPMS_ATTEST or TPMT_SIGNATURE */
};

#define CERT_BEGIN "-----BEGIN CERTIFICATE-----"

/** A public area as posted. */
struct area {
    bool there;
    struct ql_tpm_public public;
    uint8_t *raw;
    size_t raw_len;
};

/** A certificate as posted: `raw` are its own bytes, also when only a part of them could be read. */
struct posted_cert {
    struct ql_cert *cert;
    uint8_t *raw;
    size_t raw_len;
};

struct registering {
    const struct ql_frame *job;
    struct area ek, aik, iak, idevid;
    struct posted_cert ek_cert, iak_cert, idevid_cert;
    struct ql_buf reasons, warnings;
    char action[16]; /* on certificates that are not quite DER */
    bool aik_by_iak;
    int code; /* QL_ENOMEM */
};

static void add_line(struct ql_buf *to, const char *field, const char *text)
{
    /* Lines beyond the limit are left out: the first ones say enough. */
    if (strlen(field) + strlen(text) + 2 > to->max_len - to->len)
        return;
    if (to->len > 0)
        ql_buf_add_u8(to, '\n');
    ql_buf_add_text(to, field);
    ql_buf_add_u8(to, ' ');
    ql_buf_add_text(to, text);
}

static void refuse(struct registering *g, const char *field, int code, const char *text)
{
    if (code == QL_ENOMEM)
        g->code = code;
    add_line(&g->reasons, field, text);
}

static void read_area(struct registering *g, enum ql_tag tag, const char *field, struct area *ret)
{
    const struct ql_item *item = ql_frame_get(g->job, tag, 0);
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (!item || item->len == 0)
        return;
    ret->there = true;
    r = item->len > TEXT_MAX ? ql_fail(&err, QL_ELIMIT, "is longer than %d characters", TEXT_MAX)
                             : ql_tpm_public_from_text((const char *)item->data, item->len, &ret->public,
                                                       &ret->raw, &ret->raw_len, &err);
    if (r < 0)
        refuse(g, field, r, err.text);
}

/* Base64 of DER with something behind the certificate, as NV memory pads it. */
static int read_padded(const struct ql_item *item, struct posted_cert *ret, struct ql_err *err)
{
    ql_auto_free uint8_t *raw = NULL;
    size_t raw_len = 0, der_len = 0;
    int r = ql_base64_decode_dup((const char *)item->data, item->len, QL_CERT_MAX_LEN, &raw, &raw_len, err);

    if (r == QL_OK)
        r = ql_der_element_len(raw, raw_len, &der_len);
    if (r == QL_OK)
        r = ql_cert_from_der(raw, der_len, &ret->cert, err);
    if (r < 0)
        return r;
    ret->raw = ql_steal(raw);
    ret->raw_len = raw_len;
    return QL_OK;
}

static int keep_bytes(struct posted_cert *c)
{
    size_t len;
    const uint8_t *der = ql_cert_der(c->cert, &len);

    c->raw = malloc(len);
    if (!c->raw)
        return QL_ENOMEM;
    memcpy(c->raw, der, len);
    c->raw_len = len;
    return QL_OK;
}

static void read_cert(struct registering *g, enum ql_tag tag, const char *field, struct posted_cert *ret)
{
    const struct ql_item *item = ql_frame_get(g->job, tag, 0);
    struct ql_err err = QL_ERR_INIT;
    int r;

    /* "emulator" is how the Python agent says that its software TPM has none. */
    if (!item || item->len == 0 || (item->len == 8 && memcmp(item->data, "emulator", 8) == 0))
        return;
    if (item->len > TEXT_MAX) {
        refuse(g, field, QL_ELIMIT, "is too long");
        return;
    }
    r = ql_cert_from_any((const char *)item->data, item->len, &ret->cert, &err);
    if (r == QL_OK) {
        r = keep_bytes(ret);
    } else if (read_padded(item, ret, NULL) == QL_OK) {
        r = QL_OK;
        if (strcmp(g->action, "reject") == 0)
            refuse(g, field, QL_EPARSE, "is not properly encoded");
        else if (strcmp(g->action, "ignore") != 0)
            add_line(&g->warnings, field, "is not properly encoded; its bytes are kept as they came");
    }
    if (r < 0)
        refuse(g, field, r, err.text);
}

/*
 * EK of the lowest common template (RSA 2048 or P-256, SHA-256, AES-128-CFB; TCG EK Credential Profile, B.3.3
 * and B.3.4), for agents that send a certificate alone.
 */
static int ek_from_cert(struct area *ek, const struct ql_cert *cert, struct ql_err *err)
{
    static const uint8_t policy[32] = {0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc,
                                       0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52,
                                       0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa};
    ql_auto_buf struct ql_buf b = ql_buf_init(QL_PUBLIC_MAX_LEN), whole = ql_buf_init(QL_PUBLIC_MAX_LEN);
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    uint8_t x[512], y[66];
    size_t len = 0;
    uint32_t e = 0;
    enum ql_curve curve = QL_P256;
    int r = ql_cert_key(cert, &key, err);

    if (r < 0)
        return r;
    r = ql_key_is_rsa(key) ? ql_key_rsa_parts(key, x, sizeof x, &len, &e)
                           : ql_key_ec_parts(key, &curve, x, y, sizeof y, &len);
    if (r < 0 || (ql_key_is_rsa(key) ? len != 256 : curve != QL_P256))
        return ql_fail(err, QL_EUNSUPPORTED, "is needed: the certificate's key fits no standard template");
    ql_buf_add_u16be(&b, ql_key_is_rsa(key) ? 0x0001 : 0x0023);
    ql_buf_add_u16be(&b, QL_SHA256);
    ql_buf_add_u32be(&b, 0x000300b2);
    ql_buf_add_tpm2b(&b, policy, sizeof policy);
    ql_buf_add_u16be(&b, 0x0006);
    ql_buf_add_u16be(&b, 128);
    ql_buf_add_u16be(&b, 0x0043);
    ql_buf_add_u16be(&b, 0x0010);
    if (ql_key_is_rsa(key)) {
        ql_buf_add_u16be(&b, 2048);
        ql_buf_add_u32be(&b, e == 65537 ? 0 : e);
        ql_buf_add_tpm2b(&b, x, len);
    } else {
        ql_buf_add_u16be(&b, QL_P256);
        ql_buf_add_u16be(&b, 0x0010);
        ql_buf_add_tpm2b(&b, x, len);
        ql_buf_add_tpm2b(&b, y, len);
    }
    ql_buf_add_tpm2b(&whole, b.data, b.len);
    if (b.failed || whole.failed)
        return ql_fail_nomem(err);
    r = ql_tpm_public_parse(whole.data, whole.len, &ek->public, err);
    if (r < 0)
        return r;
    ek->raw = ql_buf_take(&whole, &ek->raw_len);
    ek->there = ek->raw != NULL;
    return ek->raw ? QL_OK : ql_fail_nomem(err);
}

static void check_key_in_cert(struct registering *g, const char *field, const struct area *a,
                              const struct posted_cert *c)
{
    ql_auto(ql_key_freep) struct ql_key *own = NULL, *certified = NULL;
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (!a->raw || !c->cert)
        return;
    r = ql_tpm_public_key(&a->public, &own, &err);
    if (r == QL_OK)
        r = ql_cert_key(c->cert, &certified, &err);
    if (r < 0)
        refuse(g, field, r, err.text);
    else if (!ql_key_equal(own, certified))
        refuse(g, field, QL_ECRYPTO, "is not the key in its certificate");
}

static void check_aik(struct registering *g)
{
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (!g->aik.there)
        refuse(g, "aik_tpm", QL_ENOTFOUND, "is needed");
    else if (g->aik.raw && (r = ql_tpm_check_ak(&g->aik.public, &err)) < 0)
        refuse(g, "aik_tpm", r, err.text);
}

static void check_ek(struct registering *g)
{
    struct ql_err err = QL_ERR_INIT;
    int r = QL_OK;

    if (!g->ek.there && g->ek_cert.cert)
        r = ek_from_cert(&g->ek, g->ek_cert.cert, &err);
    if (r < 0)
        refuse(g, "ek_tpm", r, err.text);
    else if (!g->ek.there)
        refuse(g, "ek_tpm", QL_ENOTFOUND, "is needed: without it there is no challenge");
    else if (g->ek.raw && (r = ql_tpm_check_ek(&g->ek.public, &err)) < 0)
        refuse(g, "ek_tpm", r, err.text);
    check_key_in_cert(g, "ek_tpm", &g->ek, &g->ek_cert);
}

/* Direct issuer: the store names who may certify IAKs, not who may name others. */
static bool issued_by(const struct ql_cert *subject, const struct ql_cert *issuer)
{
    X509 *s = ql_cert_native(subject), *i = ql_cert_native(issuer);

    return X509_check_ca(i) > 0 && X509_check_issued(i, s) == X509_V_OK &&
           X509_verify(s, X509_get0_pubkey(i)) == 1;
}

static void check_issuer(struct registering *g, const char *field, const struct posted_cert *c)
{
    const struct ql_item *store = ql_frame_get(g->job, QL_TAG_BODY, 0);
    const char *at = store ? (const char *)store->data : NULL, *end = store ? at + store->len : NULL;

    if (!c->cert)
        return;
    while (at && (at = memmem(at, (size_t)(end - at), CERT_BEGIN, strlen(CERT_BEGIN)))) {
        const char *next = memmem(at + 1, (size_t)(end - at - 1), CERT_BEGIN, strlen(CERT_BEGIN));
        ql_auto(ql_cert_freep) struct ql_cert *issuer = NULL;

        /* What cannot be read in the store certifies nobody. */
        if (ql_cert_from_pem(at, (size_t)((next ? next : end) - at), &issuer, NULL) == QL_OK &&
            issued_by(c->cert, issuer))
            return;
        at = next;
    }
    refuse(g, field, QL_ECRYPTO, "was not issued by a CA of tpm_cert_store");
}

static int decode_item(const struct registering *g, enum ql_tag tag, uint8_t **ret, size_t *ret_len,
                       struct ql_err *err)
{
    const struct ql_item *item = ql_frame_get(g->job, tag, 0);

    if (!item || item->len == 0)
        return ql_fail(err, QL_ENOTFOUND, "is needed");
    return ql_base64_decode_dup((const char *)item->data, item->len, STRUCTURE_MAX, ret, ret_len, err);
}

static void check_certified(struct registering *g, const char *agent_id)
{
    ql_auto_free uint8_t *attest = NULL, *sign = NULL;
    size_t attest_len = 0, sign_len = 0;
    struct ql_err err = QL_ERR_INIT;
    int r = decode_item(g, QL_TAG_IAK_ATTEST, &attest, &attest_len, &err);

    if (r < 0) {
        refuse(g, "iak_attest", r, err.text);
        return;
    }
    r = decode_item(g, QL_TAG_IAK_SIGN, &sign, &sign_len, &err);
    if (r < 0) {
        refuse(g, "iak_sign", r, err.text);
        return;
    }
    if (!g->iak.raw || !g->aik.raw)
        return; /* refused already */
    r = ql_certify_check(&g->iak.public, &g->aik.public, attest, attest_len, sign, sign_len, agent_id, &err);
    if (r < 0)
        refuse(g, "aik_tpm", r, err.text);
    else
        g->aik_by_iak = true;
}

static void check_iak(struct registering *g, bool needed, const char *agent_id)
{
    const struct {
        const char *field;
        bool there;
    } all[] = {{"iak_tpm", g->iak.there},
               {"idevid_tpm", g->idevid.there},
               {"iak_cert", g->iak_cert.cert != NULL},
               {"idevid_cert", g->idevid_cert.cert != NULL}};
    bool any = needed;

    for (size_t i = 0; i < QL_ARRAY_LEN(all); i++)
        any = any || all[i].there;
    if (!any)
        return;
    for (size_t i = 0; i < QL_ARRAY_LEN(all); i++)
        if (!all[i].there)
            refuse(g, all[i].field, QL_ENOTFOUND,
                   "is needed: IAK and IDevID come with their certificates or not at all");
    check_key_in_cert(g, "iak_tpm", &g->iak, &g->iak_cert);
    check_key_in_cert(g, "idevid_tpm", &g->idevid, &g->idevid_cert);
    check_issuer(g, "iak_cert", &g->iak_cert);
    check_issuer(g, "idevid_cert", &g->idevid_cert);
    check_certified(g, agent_id);
}

static void check_mtls_cert(struct registering *g)
{
    const struct ql_item *item = ql_frame_get(g->job, QL_TAG_CERT, 0);
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (!item || item->len == 0 || (item->len == 8 && memcmp(item->data, "disabled", 8) == 0))
        return;
    r = item->len > TEXT_MAX ? ql_fail(&err, QL_ELIMIT, "is too long")
                             : ql_cert_from_pem((const char *)item->data, item->len, &cert, &err);
    if (r < 0)
        refuse(g, "mtls_cert", r, err.text);
}

static int add_parts(const struct registering *g, struct ql_frame *f, struct ql_err *err)
{
    const struct {
        enum ql_tag tag;
        const uint8_t *bytes;
        size_t len;
    } parts[] = {
        {QL_TAG_EK, g->ek.raw, g->ek.raw_len},
        {QL_TAG_AK, g->aik.raw, g->aik.raw_len},
        {QL_TAG_IAK, g->iak.raw, g->iak.raw_len},
        {QL_TAG_IDEVID, g->idevid.raw, g->idevid.raw_len},
        {QL_TAG_EK_CERT, g->ek_cert.raw, g->ek_cert.raw_len},
        {QL_TAG_IAK_CERT, g->iak_cert.raw, g->iak_cert.raw_len},
        {QL_TAG_IDEVID_CERT, g->idevid_cert.raw, g->idevid_cert.raw_len},
        {QL_TAG_NAME, g->aik.public.name, g->aik.public.name_len},
    };
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(parts); i++)
        r = ql_frame_add_bytes(f, parts[i].tag, parts[i].bytes, parts[i].len, err);
    return r == QL_OK ? ql_ek_public_add(f, &g->ek.public, err) : r;
}

static int answer(struct registering *g, struct ql_frame *f, struct ql_err *err)
{
    bool ok = g->reasons.len == 0;
    int r;

    if (g->code || g->reasons.failed || g->warnings.failed)
        return ql_fail_nomem(err);
    r = ql_frame_add_u64(f, QL_TAG_FLAGS, (ok ? 1 : 0) | (ok && g->aik_by_iak ? 2 : 0), err);
    if (r == QL_OK && !ok)
        r = ql_frame_add(f, QL_TAG_REASONS, g->reasons.data, g->reasons.len, err);
    if (r == QL_OK && g->warnings.len > 0)
        r = ql_frame_add(f, QL_TAG_ERROR_TEXT, g->warnings.data, g->warnings.len, err);
    return r == QL_OK && ok ? add_parts(g, f, err) : r;
}

static void registering_done(struct registering *g)
{
    struct area *areas[] = {&g->ek, &g->aik, &g->iak, &g->idevid};
    struct posted_cert *certs[] = {&g->ek_cert, &g->iak_cert, &g->idevid_cert};

    for (size_t i = 0; i < QL_ARRAY_LEN(areas); i++)
        free(areas[i]->raw);
    for (size_t i = 0; i < QL_ARRAY_LEN(certs); i++) {
        free(certs[i]->raw);
        ql_cert_free(certs[i]->cert);
    }
    ql_buf_done(&g->reasons);
    ql_buf_done(&g->warnings);
}

int ql_work_register(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                     struct ql_err *err)
{
    struct registering g = {
        .job = job, .reasons = ql_buf_init(LINES_MAX), .warnings = ql_buf_init(LINES_MAX)};
    ql_auto_free char *agent_id = ql_frame_get_text(job, QL_TAG_AGENT_ID, 0);
    ql_auto_free char *action = ql_frame_get_text(job, QL_TAG_OPTIONS, 0);
    uint64_t flags = 0;
    int r;

    (void)w; /* a registration needs nothing that the worker keeps */
    if (!agent_id || ql_item_u64(job, QL_TAG_FLAGS, QL_REGISTER_EK | QL_REGISTER_IAK, &flags, err) < 0)
        return ql_fail(err, QL_EPARSE, "job lacks its id or flags");
    (void)snprintf(g.action, sizeof g.action, "%s",
                   action ? action : "warn"); /* longer is no action we know */
    read_area(&g, QL_TAG_AK, "aik_tpm", &g.aik);
    read_area(&g, QL_TAG_EK, "ek_tpm", &g.ek);
    read_area(&g, QL_TAG_IAK, "iak_tpm", &g.iak);
    read_area(&g, QL_TAG_IDEVID, "idevid_tpm", &g.idevid);
    read_cert(&g, QL_TAG_EK_CERT, "ekcert", &g.ek_cert);
    read_cert(&g, QL_TAG_IAK_CERT, "iak_cert", &g.iak_cert);
    read_cert(&g, QL_TAG_IDEVID_CERT, "idevid_cert", &g.idevid_cert);
    check_aik(&g);
    check_ek(&g);
    check_iak(&g, (flags & QL_REGISTER_IAK) != 0, agent_id);
    check_mtls_cert(&g);
    r = answer(&g, result, err);
    registering_done(&g);
    return r;
}
