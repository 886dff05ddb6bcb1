/* SPDX-License-Identifier: Apache-2.0 */
#include "added_policies.h"

#include <stdarg.h>
#include <string.h>

#include "digest.h"
#include "encode.h"
#include "error.h"
#include "policies.h"
#include "policy_use.h"

enum {
    GENERATOR_EMPTY = 1 /* of a runtime policy that stands for none */
};

/** A look-up on its way. */
struct look {
    struct ql_txn *txn;
    const char *agent_id;
    bool is_checked;
    struct ql_refusal *refusal;
};

void ql_refuse(struct ql_refusal *r, int http, const char *fmt, ...)
{
    va_list args;

    r->http = http;
    va_start(args, fmt);
    (void)vsnprintf(r->text, sizeof r->text, fmt, args); /* cut short is fine */
    va_end(args);
}

const char *ql_added_name(const struct ql_added_policy *p, const char *agent_id)
{
    return p->name ? p->name : agent_id;
}

static bool is_mb(const struct ql_added_policy *p)
{
    return strcmp(p->validator, "mboot") == 0;
}

static const char *label(const struct ql_added_policy *p)
{
    return is_mb(p) ? "mb_policy" : "IMA policy";
}

static bool is_there(const struct ql_added_policy *p)
{
    return (p->bytes || p->has_digest) && p->generator != GENERATOR_EMPTY;
}

bool ql_added_is_judged(const struct ql_added_policy *p)
{
    return is_there(p) && !(is_mb(p) && ql_mb_policy_is_empty((const char *)p->bytes, p->len));
}

static json_t *entry_of(const struct ql_added_policy *p, const char *agent_id)
{
    ql_auto_json json_t *entry =
        *p->kind ? json_pack("{s:s}", "name", ql_added_name(p, agent_id)) : json_object();
    uint8_t digest[32];
    char hex[65];

    if (!ql_added_is_judged(p))
        return json_incref(entry);
    if (p->has_digest)
        memcpy(digest, p->digest, sizeof digest);
    else if (ql_digest_once(QL_SHA256, p->bytes, p->len, digest) < 0)
        return NULL;
    ql_hex_encode(digest, sizeof digest, hex);
    return json_object_set_new(entry, "digest", json_string(hex)) == 0 ? json_incref(entry) : NULL;
}

char *ql_added_column(const struct ql_addition *a, const char *agent_id)
{
    ql_auto_json json_t *all = json_object();

    for (size_t i = 0; i < a->policy_count; i++) {
        const struct ql_added_policy *p = &a->policies[i];

        /* Without an entry, or an object for it, this fails. */
        if (is_there(p) && json_object_set_new(all, p->validator, entry_of(p, agent_id)) != 0)
            return NULL;
    }
    return all ? ql_json_text(all) : NULL;
}

void ql_added_refuse_changed(const struct ql_added_policy *p, struct ql_refusal *refusal)
{
    ql_refuse(refusal, 409, "%s with name %s was changed meanwhile. Please try again.", label(p), p->name);
}

/* A row named by the agent's id is a leftover and replaced, unless another agent uses it. */
static int check_new_name(const struct look *l, const struct ql_added_policy *p, struct ql_err *err)
{
    const char *name = ql_added_name(p, l->agent_id);
    struct ql_policy_row row = {0};
    char user[81];
    int r = ql_policies_find(l->txn, p->kind, name, &row, err);

    ql_policy_row_done(&row);
    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r < 0)
        return r;
    if (p->name) {
        ql_refuse(l->refusal, 409,
                  "%s with name %s already exists. Please use a different name or delete the %s from the "
                  "verifier.",
                  label(p), name, is_mb(p) ? "mb_policy" : "allowlist");
        return QL_OK;
    }
    r = ql_policy_user(l->txn, p->kind, l->agent_id, user, err);
    /* Its own: then the agent is there, and that is what the answer says. */
    if (r == QL_OK && strcmp(user, l->agent_id) != 0)
        ql_refuse(l->refusal, 409, "Policy named by the id of this agent is in use by agent %s", user);
    return r == QL_ENOTFOUND ? QL_OK : r;
}

static int take_stored(const struct look *l, struct ql_added_policy *p, struct ql_policy_row *row,
                       struct ql_err *err)
{
    uint8_t digest[32];

    if (row->digest && ql_hex_decode(row->digest, strlen(row->digest), digest, sizeof digest, err) < 0)
        return ql_fail(err, QL_ECORRUPT, "digest of policy %s is damaged", p->name);
    if (l->is_checked) {
        if (p->has_digest != (row->digest != NULL) || p->generator != row->generator ||
            (p->has_digest && memcmp(p->digest, digest, sizeof digest) != 0))
            ql_added_refuse_changed(p, l->refusal);
        return QL_OK;
    }
    p->has_digest = row->digest != NULL;
    if (p->has_digest)
        memcpy(p->digest, digest, sizeof digest);
    free(p->bytes);
    p->bytes = (uint8_t *)ql_steal(row->content);
    p->len = row->content_len;
    p->generator = row->generator;
    return QL_OK;
}

static int fetch(const struct look *l, struct ql_added_policy *p, struct ql_err *err)
{
    struct ql_policy_row row = {0};
    int r = is_mb(p) ? ql_policies_get(l->txn, p->kind, p->name, &row, err)
                     : ql_policies_find(l->txn, p->kind, p->name, &row, err);

    if (r == QL_OK)
        r = take_stored(l, p, &row, err);
    if (r == QL_ENOTFOUND) {
        ql_refuse(l->refusal, 404, "Could not find %s with name %s!", label(p), p->name);
        r = QL_OK;
    }
    ql_policy_row_done(&row);
    return r;
}

int ql_added_look_up(struct ql_txn *t, struct ql_addition *a, const char *agent_id, bool is_checked,
                     struct ql_refusal *refusal, struct ql_err *err)
{
    const struct look l = {.txn = t, .agent_id = agent_id, .is_checked = is_checked, .refusal = refusal};
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && refusal->http == 0 && i < a->policy_count; i++) {
        struct ql_added_policy *p = &a->policies[i];

        if (*p->kind)
            r = p->is_inline ? check_new_name(&l, p, err) : fetch(&l, p, err);
    }
    return r;
}
