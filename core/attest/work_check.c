/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cert.h"
#include "error.h"
#include "items.h"
#include "json.h"
#include "parse.h"
#include "public.h"
#include "runtime_policy.h"
#include "work.h"

/* A refusal is an answer. Out of memory is none. */
static int refuse(struct ql_frame *result, const char *field, int code, const struct ql_err *why)
{
    int r;

    if (code == QL_ENOMEM)
        return code;
    r = ql_frame_add_u64(result, QL_TAG_FLAGS, 0, NULL);
    if (r == QL_OK)
        r = ql_frame_add_text(result, QL_TAG_NAME, field, NULL);
    return r == QL_OK ? ql_frame_add_text(result, QL_TAG_REASONS, why->text, NULL) : r;
}

static int check_ak(const struct ql_item *text, struct ql_frame *result, struct ql_err *err)
{
    struct ql_tpm_public public;
    ql_auto_free uint8_t *raw = NULL;
    size_t raw_len = 0;
    int r = ql_tpm_public_from_text((const char *)text->data, text->len, &public, &raw, &raw_len, err);

    if (r == QL_OK)
        r = ql_tpm_check_ak(&public, err);
    return r == QL_OK ? ql_frame_add(result, QL_TAG_AK, raw, raw_len, err) : r;
}

static int check_cert(const struct ql_item *text, struct ql_frame *result, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    const uint8_t *der;
    size_t len;
    int r = ql_cert_from_any((const char *)text->data, text->len, &cert, err);

    if (r < 0)
        return r;
    der = ql_cert_der(cert, &len);
    return ql_frame_add(result, QL_TAG_CERT, der, len, err);
}

/* An agent is asked for each kind of evidence once: who shares it must want the same. */
static int same_parameters(const json_t *list, const char *evidence, const json_t *parameters)
{
    const json_t *need;
    size_t i;

    json_array_foreach(list, i, need) {
        const json_t *others = json_object_get(need, "parameters");

        if (strcmp(json_string_value(json_object_get(need, "evidence")), evidence) == 0 &&
            (others != NULL || parameters != NULL) && !json_equal(others, parameters))
            return QL_EEXIST;
    }
    return QL_OK;
}

static int add_need(json_t *list, const char *validator, const struct ql_need *n)
{
    json_t *parameters = NULL, *j;
    int r;

    if (n->parameters &&
        ql_json_parse(n->parameters, strlen(n->parameters), 16 * 1024, &parameters, NULL) < 0)
        return QL_ERANGE;
    r = same_parameters(list, n->evidence, parameters);
    if (r < 0) {
        json_decref(parameters);
        return r;
    }
    j = json_pack("{s:s, s:s, s:s, s:I, s:o*}", "validator", validator, "evidence", n->evidence, "bound",
                  n->bound == QL_BOUND_NONCE ? "nonce" : "pcr", "pcr", (json_int_t)n->pcr, "parameters",
                  parameters);
    return j && json_array_append_new(list, j) == 0 ? QL_OK : QL_ENOMEM;
}

static int collect_needs(const struct ql_policy *p, const char *validator, uint32_t *mask, json_t *needs,
                         struct ql_err *err)
{
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < p->needs.item_count; i++) {
        r = add_need(needs, validator, &p->needs.items[i]);
        if (r == QL_ERANGE)
            (void)ql_fail(err, r, "validator %s: parameters of evidence %s are not JSON", validator,
                          p->needs.items[i].evidence); /* r says it */
        if (r == QL_EEXIST)
            (void)ql_fail(err, r, "validator %s wants evidence %s with other parameters than another policy",
                          validator, p->needs.items[i].evidence); /* r says it */
    }
    if (r == QL_OK)
        *mask |= p->needs.pcr_mask;
    return r;
}

static int check_policy(struct ql_worker *w, const char *validator, const struct ql_item *bytes,
                        uint32_t *mask, json_t *needs, struct ql_err *err)
{
    ql_auto(ql_policy_freep) struct ql_policy *p = NULL;
    int r = ql_policy_compile(w->registry, validator, bytes->data, bytes->len, QL_ORIGIN_UPLOAD, &p, err);

    return r == QL_OK ? collect_needs(p, validator, mask, needs, err) : r;
}

/* A policy that was checked when it was stored. */
static int check_stored(struct ql_worker *w, const struct ql_frame *job, const char *validator,
                        const struct ql_item *digest, uint32_t *mask, json_t *needs, struct ql_err *err)
{
    struct ql_policy *p = NULL;
    int r;

    if (digest->len != 32)
        return ql_fail(err, QL_EPARSE, "digest of %zu bytes", digest->len);
    r = ql_work_policy(w, job, validator, digest->data, &p, err);
    return r == QL_OK ? collect_needs(p, validator, mask, needs, err) : r;
}

/* Kept out of the loop below: one policy, its signature first. */
static int check_one(struct ql_worker *w, const struct ql_frame *job, size_t i, const char *validator,
                     uint32_t *mask, json_t *needs, uint64_t *generator, const char **field,
                     struct ql_err *why)
{
    const struct ql_item *bytes = ql_frame_get(job, QL_TAG_POLICY, i);
    const struct ql_item *digest = ql_frame_get(job, QL_TAG_DIGEST, i);
    bool is_runtime = strcmp(validator, "ima") == 0;
    uint64_t must_be_signed = 0;
    int r = QL_OK;

    if (ql_frame_get_u64(job, QL_TAG_FLAGS, &must_be_signed) < 0)
        must_be_signed = UINT64_MAX; /* fail closed */
    *field = validator;
    if (digest && digest->len > 0)
        return must_be_signed >> i & 1
                   ? ql_fail(why, QL_EPARSE, "a stored policy cannot be checked against a signature")
                   : check_stored(w, job, validator, digest, mask, needs, why);
    if ((must_be_signed >> i & 1) && is_runtime)
        r = ql_runtime_policy_signature(job, bytes->data, bytes->len, field, why);
    if (r < 0)
        return r;
    *field = validator;
    ql_work_entering(w, job, validator);
    r = check_policy(w, validator, bytes, mask, needs, why);
    if (r == QL_OK && is_runtime)
        *generator = (uint64_t)ql_runtime_policy_generator(bytes->data, bytes->len);
    return r;
}

static int check(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result, struct ql_err *err)
{
    const struct ql_item *ak = ql_frame_get(job, QL_TAG_AK, 0), *cert = ql_frame_get(job, QL_TAG_CERT, 0);
    ql_auto_json json_t *needs = json_array();
    struct ql_err why = QL_ERR_INIT;
    uint32_t mask = 0;
    uint64_t generator = 0;
    int r = needs ? QL_OK : QL_ENOMEM;

    if (r == QL_OK && ak && (r = check_ak(ak, result, &why)) < 0)
        return refuse(result, "ak_tpm", r, &why);
    if (r == QL_OK && cert && (r = check_cert(cert, result, &why)) < 0)
        return refuse(result, "mtls_cert", r, &why);
    for (size_t i = 0; r == QL_OK && ql_frame_get(job, QL_TAG_POLICY, i); i++) {
        ql_auto_free char *validator = ql_frame_get_text(job, QL_TAG_VALIDATOR, i);
        const char *field;

        if (!validator || i == QL_POLICIES_MAX || !ql_component_name_ok(validator, strlen(validator)))
            return ql_fail(err, QL_EPARSE, "policies of a job are out of form");
        r = check_one(w, job, i, validator, &mask, needs, &generator, &field, &why);
        if (r == QL_ECLOSED)
            return ql_fail(err, r, "%s", why.text); /* the daemon is gone: that is no answer */
        if (r < 0)
            return refuse(result, field, r, &why);
    }
    if (r == QL_OK)
        r = ql_frame_add_u64(result, QL_TAG_FLAGS, 1, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(result, QL_TAG_MASK, mask, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(result, QL_TAG_GENERATOR, generator, err);
    return r == QL_OK ? ql_frame_add_json(result, QL_TAG_NEEDS, needs, err) : r;
}

int ql_work_check(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                  struct ql_err *err)
{
    int r = check(w, job, result, err);

    ql_policy_cache_trim(w->policies);
    return r;
}
