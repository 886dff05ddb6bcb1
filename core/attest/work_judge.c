/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "failures.h"
#include "items.h"
#include "json.h"
#include "scan.h"
#include "work.h"

int ql_work_oneshot(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                    struct ql_err *err)
{
    const struct ql_item *body = ql_frame_get(job, QL_TAG_BODY, 0);
    ql_auto_json json_t *answer = NULL;
    struct ql_err why = QL_ERR_INIT;
    uint64_t extensions = 0;
    int http = 400, r;

    if (!body || ql_item_u64(job, QL_TAG_FLAGS, 1, &extensions, err) < 0)
        return ql_fail(err, QL_EPARSE, "job lacks its body");
    r = ql_verify_oneshot(w->registry, (const char *)body->data, body->len, extensions == 1, NULL, NULL,
                          &answer, &http, &why);
    if (r == QL_ENOMEM)
        return ql_fail_nomem(err);
    if (r < 0 && r != QL_EPARSE && r != QL_EUNSUPPORTED)
        return ql_fail(err, r, "%s", why.text);
    r = ql_frame_add_u64(result, QL_TAG_HTTP, (uint64_t)http, err);
    if (r == QL_OK && answer)
        r = ql_frame_add_json(result, QL_TAG_RESULT, answer, err);
    else if (r == QL_OK)
        r = ql_frame_add_text(result, QL_TAG_REASONS, why.text, err);
    return r;
}

/* Why an identity does not hold; NULL: it does. */
static int check_identity(struct ql_worker *w, const struct ql_frame *job, bool *ret, struct ql_err *why)
{
    ql_auto_free char *hash_alg = ql_frame_get_text(job, QL_TAG_NAME, 0);
    const struct ql_item *ak = ql_frame_get(job, QL_TAG_AK, 0), *quote = ql_frame_get(job, QL_TAG_BODY, 0),
                         *nonce = ql_frame_get(job, QL_TAG_NONCE, 0);
    ql_auto_json json_t *lists = NULL;
    const struct ql_ak *imported = NULL;
    struct ql_accept accept;
    struct ql_quote proven;
    enum ql_quote_stage stage = QL_STAGE_NONE;
    int r = ql_item_optional(ql_item_json(job, QL_TAG_ACCEPT, 64 * 1024, &lists, why));

    *ret = false;
    if (r < 0)
        return r;
    if (!hash_alg || !ak || !quote || !nonce)
        return ql_fail(why, QL_EINTERNAL, "job lacks AK, quote, nonce or algorithm");
    r = ql_accept_from_json(json_object_get(lists, "hash"), json_object_get(lists, "enc"),
                            json_object_get(lists, "sign"), &accept, why);
    if (r == QL_OK)
        r = ql_key_cache_get(w->keys, w->digester, ak->data, ak->len, &imported, why);
    if (r != QL_OK)
        return r == QL_ENOMEM ? r : QL_EINTERNAL;
    if (nonce->len == 0 || nonce->len > QL_NONCE_MAX_LEN)
        return ql_fail(why, QL_ERANGE, "nonce of %zu bytes, 1 to %d", nonce->len, QL_NONCE_MAX_LEN);
    if (!ql_accepts_hash(&accept, hash_alg, strlen(hash_alg)))
        return ql_fail(why, QL_ERANGE, "hash algorithm %s is not accepted", hash_alg);
    r = ql_quote_check(&(struct ql_quote_in){.ak_key = imported->key,
                                             .ak = &imported->public,
                                             .digester = w->digester,
                                             .quote = (const char *)quote->data,
                                             .quote_len = quote->len,
                                             .hash_alg = hash_alg,
                                             .accept = &accept,
                                             .nonce = nonce->data,
                                             .nonce_len = nonce->len},
                       &proven, &stage, NULL, why);
    /*
     * Whose quote it is has been proven when only the clock is left to object to: signature, nonce, selection
     * and digests are checked before it, and the clock says nothing about identity.
     */
    *ret = r == QL_OK || stage == QL_STAGE_CLOCK;
    return *ret ? QL_OK : r;
}

int ql_work_identity(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                     struct ql_err *err)
{
    struct ql_err why = QL_ERR_INIT;
    ql_auto_json json_t *answer = NULL;
    bool valid = false;
    int r = check_identity(w, job, &valid, &why);

    if (r == QL_ENOMEM || r == QL_EINTERNAL)
        return ql_fail(err, r, "%s", why.text);
    answer = valid
                 ? json_pack("{s:i}", "valid", 1)
                 : json_pack("{s:i, s:o}", "valid", 0, "reason", ql_json_lenient(why.text, strlen(why.text)));
    if (!answer)
        return ql_fail_nomem(err);
    r = ql_frame_add_u64(result, QL_TAG_HTTP, 200, err);
    return r == QL_OK ? ql_frame_add_json(result, QL_TAG_RESULT, answer, err) : r;
}

/** Members of a body as the walk finds them. */
struct body {
    const char *text;
    struct ql_frame *result;
    struct ql_text key;
    size_t value_at; /* of an array or object that is being walked */
    size_t count;
};

static int add_member(struct body *b, bool is_text, const void *bytes, size_t len, struct ql_err *err)
{
    ql_auto_free char *key = NULL;
    size_t key_len = 0;
    int r;

    if (b->count++ == QL_PARSE_MEMBERS_MAX)
        return ql_fail(err, QL_EPARSE, "more than %d members", QL_PARSE_MEMBERS_MAX);
    key = ql_text_dup(&b->key, &key_len);
    if (!key)
        return ql_fail_nomem(err);
    r = ql_frame_add(b->result, QL_TAG_NAME, key, key_len, err);
    if (r == QL_OK)
        r = ql_frame_add_u64(b->result, QL_TAG_FLAGS, is_text ? 1 : 0, err);
    return r == QL_OK ? ql_frame_add(b->result, QL_TAG_BODY, bytes, len, err) : r;
}

static int on_body(void *arg, const struct ql_scan_event *e, struct ql_err *err)
{
    struct body *b = arg;
    ql_auto_free char *text = NULL;
    size_t len = 0;

    if (e->kind == QL_SCAN_ARRAY && e->depth == 1)
        return ql_fail(err, QL_EPARSE, "body is not an object");
    if (e->kind == QL_SCAN_KEY && e->depth == 1)
        b->key = e->text;
    if ((e->kind == QL_SCAN_OBJECT || e->kind == QL_SCAN_ARRAY) && e->depth == 2)
        b->value_at = e->at;
    if ((e->kind == QL_SCAN_OBJECT_END || e->kind == QL_SCAN_ARRAY_END) && e->depth == 2)
        return add_member(b, false, b->text + b->value_at, e->end - b->value_at, err);
    if (e->depth != 1)
        return QL_OK;
    switch (e->kind) {
    case QL_SCAN_STRING:
        text = ql_text_dup(&e->text, &len);
        return text ? add_member(b, true, text, len, err) : ql_fail_nomem(err);
    case QL_SCAN_INTEGER:
    case QL_SCAN_REAL:
    case QL_SCAN_TRUE:
    case QL_SCAN_FALSE:
    case QL_SCAN_NULL:
        return add_member(b, false, b->text + e->at, e->end - e->at, err);
    case QL_SCAN_OBJECT:
    case QL_SCAN_OBJECT_END:
    case QL_SCAN_ARRAY:
    case QL_SCAN_ARRAY_END:
    case QL_SCAN_KEY:
        break;
    }
    return QL_OK;
}

int ql_work_parse(struct ql_worker *w, const struct ql_frame *job, struct ql_frame *result,
                  struct ql_err *err)
{
    const struct ql_item *body = ql_frame_get(job, QL_TAG_BODY, 0);
    struct body b = {.result = NULL};
    ql_auto(ql_frame_freep) struct ql_frame *members = ql_frame_new(QL_FRAME_RESULT, job->job);
    struct ql_err why = QL_ERR_INIT;
    int r;

    (void)w; /* a body needs nothing that the worker keeps */
    if (!members)
        return ql_fail_nomem(err);
    if (!body)
        return ql_fail(err, QL_EPARSE, "job lacks its body");
    b.text = (const char *)body->data;
    b.result = members;
    r = ql_scan(b.text, body->len, on_body, &b, &why);
    if (r == QL_ENOMEM)
        return ql_fail_nomem(err);
    if (r < 0) {
        r = ql_frame_add_u64(result, QL_TAG_FLAGS, 0, err);
        return r == QL_OK ? ql_frame_add_text(result, QL_TAG_REASONS, why.text, err) : r;
    }
    /* The flag of the whole comes before those of the members. */
    r = ql_frame_add_u64(result, QL_TAG_FLAGS, 1, err);
    for (size_t i = 0; r == QL_OK && i < members->count; i++) {
        const struct ql_item *item = &members->items[i];

        r = item->fd >= 0 ? ql_frame_add_fd(result, (enum ql_tag)item->tag, item->fd, item->len, err)
                          : ql_frame_add(result, (enum ql_tag)item->tag, item->data, item->len, err);
    }
    return r;
}
