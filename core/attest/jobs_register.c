/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "buf.h"
#include "cert.h"
#include "error.h"
#include "items.h"
#include "jobs.h"
#include "reader.h"
#include "work.h"

enum {
    LINES_MAX = 8 * 1024,         /* bytes of reasons and of warnings */
    CA_MAX_LEN = 16 * 1024 * 1024 /* bytes of all CA certificates together */
};

struct ql_frame *ql_register_job_frame(const struct ql_register_job *job, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 0);
    ql_auto_buf struct ql_buf ca = ql_buf_init(CA_MAX_LEN);
    const struct {
        enum ql_tag tag;
        const char *text;
    } texts[] = {
        {QL_TAG_AGENT_ID, job->agent_id},
        {QL_TAG_EK, job->ek_tpm},
        {QL_TAG_AK, job->aik_tpm},
        {QL_TAG_EK_CERT, job->ekcert},
        {QL_TAG_IAK, job->iak_tpm},
        {QL_TAG_IDEVID, job->idevid_tpm},
        {QL_TAG_IAK_CERT, job->iak_cert},
        {QL_TAG_IDEVID_CERT, job->idevid_cert},
        {QL_TAG_IAK_ATTEST, job->iak_attest},
        {QL_TAG_IAK_SIGN, job->iak_sign},
        {QL_TAG_CERT, job->mtls_cert},
        {QL_TAG_OPTIONS, job->malformed_cert_action},
    };
    int r;

    if (!f) {
        (void)ql_fail_nomem(err); /* NULL says it */
        return NULL;
    }
    r = ql_frame_add_u64(f, QL_TAG_JOB_TYPE, QL_JOB_REGISTER, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(f, QL_TAG_FLAGS,
                             (job->ek_needed ? QL_REGISTER_EK : 0) | (job->iak_needed ? QL_REGISTER_IAK : 0),
                             err);
    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(texts); i++)
        r = ql_frame_add_optional(f, texts[i].tag, texts[i].text, err);
    /* Certificates of CAs matter only to who sends an IAK. */
    for (size_t i = 0; job->iak_tpm && job->iak_ca && job->iak_ca[i]; i++) {
        ql_buf_add_text(&ca, job->iak_ca[i]);
        ql_buf_add_u8(&ca, '\n');
    }
    if (r == QL_OK && ca.failed)
        r = ql_fail(err, QL_ELIMIT, "CA certificates above %d bytes", CA_MAX_LEN);
    if (r == QL_OK && ca.len > 0)
        r = ql_frame_add(f, QL_TAG_BODY, ca.data, ca.len, err);
    return r == QL_OK ? ql_steal(f) : NULL;
}

int ql_ek_public_add(struct ql_frame *f, const struct ql_tpm_public *p, struct ql_err *err)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(QL_PUBLIC_MAX_LEN);

    ql_buf_add_u8(&b, p->is_rsa ? 1 : 0);
    ql_buf_add_u16be(&b, (uint16_t)p->rsa_bits);
    ql_buf_add_u16be(&b, (uint16_t)p->curve);
    ql_buf_add_u16be(&b, (uint16_t)p->name_alg);
    ql_buf_add_u32be(&b, p->attributes);
    ql_buf_add_u16be(&b, (uint16_t)p->scheme);
    ql_buf_add_u16be(&b, (uint16_t)p->scheme_hash);
    ql_buf_add_u16be(&b, (uint16_t)p->symmetric);
    ql_buf_add_u16be(&b, (uint16_t)p->symmetric_bits);
    ql_buf_add_u16be(&b, (uint16_t)p->symmetric_mode);
    ql_buf_add_u32be(&b, p->exponent);
    ql_buf_add_tpm2b(&b, p->x, p->x_len);
    ql_buf_add_tpm2b(&b, p->y, p->y_len);
    ql_buf_add_tpm2b(&b, p->name, p->name_len);
    if (b.failed)
        return ql_fail_nomem(err);
    return ql_frame_add(f, QL_TAG_EK_PUBLIC, b.data, b.len, err);
}

static bool take_part(struct ql_reader *r, uint8_t *to, size_t room, size_t *to_len)
{
    size_t len;
    const uint8_t *bytes = ql_reader_tpm2b(r, &len);

    if (!bytes || len > room)
        return false;
    memcpy(to, bytes, len);
    *to_len = len;
    return true;
}

/* The worker's word is taken for the fields, not for their ranges. */
static int read_ek_public(const struct ql_frame *f, struct ql_tpm_public *ret, struct ql_err *err)
{
    const struct ql_item *item = ql_frame_get(f, QL_TAG_EK_PUBLIC, 0);
    struct ql_tpm_public p = {0};
    struct ql_reader r;

    if (!item)
        return ql_fail(err, QL_EPARSE, "registration without the fields of an EK");
    r = ql_reader_of(item->data, item->len);
    p.is_rsa = ql_reader_u8(&r) == 1;
    p.rsa_bits = ql_reader_u16be(&r);
    p.curve = (enum ql_curve)ql_reader_u16be(&r);
    p.name_alg = (enum ql_hash)ql_reader_u16be(&r);
    p.attributes = ql_reader_u32be(&r);
    p.scheme = ql_reader_u16be(&r);
    p.scheme_hash = ql_reader_u16be(&r);
    p.symmetric = ql_reader_u16be(&r);
    p.symmetric_bits = ql_reader_u16be(&r);
    p.symmetric_mode = ql_reader_u16be(&r);
    p.exponent = ql_reader_u32be(&r);
    if (!take_part(&r, p.x, sizeof p.x, &p.x_len) || !take_part(&r, p.y, sizeof p.y, &p.y_len) ||
        !take_part(&r, p.name, sizeof p.name, &p.name_len) || !ql_reader_done(&r))
        return ql_fail(err, QL_EPARSE, "fields of an EK are out of form");
    if (ql_hash_len(p.name_alg) == 0 || p.name_len != 2 + ql_hash_len(p.name_alg) || p.x_len == 0)
        return ql_fail(err, QL_EPARSE, "fields of an EK are out of range");
    if (p.is_rsa ? p.y_len != 0 || p.rsa_bits < 2048 || p.rsa_bits > 4096 || p.x_len > p.rsa_bits / 8
                 : p.curve != QL_P256 && p.curve != QL_P384 && p.curve != QL_P521)
        return ql_fail(err, QL_EPARSE, "fields of an EK are out of range");
    if (p.symmetric_bits != 128 && p.symmetric_bits != 192 && p.symmetric_bits != 256)
        return ql_fail(err, QL_EPARSE, "fields of an EK are out of range");
    *ret = p;
    return QL_OK;
}

int ql_register_result_read(const struct ql_frame *frame, struct ql_register_result *ret, struct ql_err *err)
{
    struct ql_register_result c = {0};
    const struct {
        enum ql_tag tag;
        size_t max_len;
        uint8_t **at;
        size_t *at_len;
    } parts[] = {
        {QL_TAG_EK, QL_PUBLIC_MAX_LEN, &c.ek, &c.ek_len},
        {QL_TAG_AK, QL_PUBLIC_MAX_LEN, &c.aik, &c.aik_len},
        {QL_TAG_IAK, QL_PUBLIC_MAX_LEN, &c.iak, &c.iak_len},
        {QL_TAG_IDEVID, QL_PUBLIC_MAX_LEN, &c.idevid, &c.idevid_len},
        {QL_TAG_EK_CERT, QL_CERT_MAX_LEN, &c.ekcert, &c.ekcert_len},
        {QL_TAG_IAK_CERT, QL_CERT_MAX_LEN, &c.iak_cert, &c.iak_cert_len},
        {QL_TAG_IDEVID_CERT, QL_CERT_MAX_LEN, &c.idevid_cert, &c.idevid_cert_len},
    };
    const struct ql_item *name = ql_frame_get(frame, QL_TAG_NAME, 0);
    uint64_t flags = 0;
    int r = QL_OK;

    if (frame->kind != QL_FRAME_RESULT)
        r = ql_fail(err, QL_EPARSE, "frame of kind %u is no result", frame->kind);
    if (r == QL_OK && ql_item_u64(frame, QL_TAG_FLAGS, 3, &flags, err) < 0)
        r = ql_fail(err, QL_EPARSE, "result does not say whether the registration is good");
    c.ok = (flags & 1) != 0;
    c.aik_by_iak = (flags & 2) != 0;
    if (r == QL_OK)
        r = ql_item_optional(ql_item_text(frame, QL_TAG_REASONS, LINES_MAX, &c.reasons, err));
    if (r == QL_OK)
        r = ql_item_optional(ql_item_text(frame, QL_TAG_ERROR_TEXT, LINES_MAX, &c.warnings, err));
    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(parts); i++)
        r = ql_item_optional(
            ql_item_bytes(frame, parts[i].tag, parts[i].max_len, parts[i].at, parts[i].at_len, err));
    if (r == QL_OK && c.ok) {
        if (!name || name->len > sizeof c.name || !c.aik || !c.ek)
            r = ql_fail(err, QL_EPARSE, "registration without name, AK or EK");
        else
            r = read_ek_public(frame, &c.ek_public, err);
    }
    if (r == QL_OK && !c.ok && !c.reasons)
        r = ql_fail(err, QL_EPARSE, "registration refused without a reason");
    if (r < 0) {
        ql_register_result_done(&c);
        return r;
    }
    if (c.ok) {
        memcpy(c.name, name->data, name->len);
        c.name_len = name->len;
    }
    *ret = c;
    return QL_OK;
}

void ql_register_result_done(struct ql_register_result *r)
{
    free(r->reasons);
    free(r->warnings);
    free(r->ek);
    free(r->aik);
    free(r->iak);
    free(r->idevid);
    free(r->ekcert);
    free(r->iak_cert);
    free(r->idevid_cert);
    *r = (struct ql_register_result){0};
}
