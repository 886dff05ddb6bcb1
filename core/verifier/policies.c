/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /allowlists and /mbpolicies: stored policies with names. An upload is compiled by its validator in a worker before it is
 * stored; without the validator it is refused, save for policies that judge nothing.
 */
#include <string.h>

#include "addition.h"
#include "digest.h"
#include "encode.h"
#include "error.h"
#include "log.h"
#include "parse.h"
#include "policies.h"
#include "policy_use.h"
#include "reload.h"
#include "signing_keys.h"
#include "verifier.h"

/** What differs between the two collections. */
struct kind {
    const char *kind, *validator;
    const char *field;       /* of bodies and answers */
    const char *list_key;    /* of the list */
    const char *what;        /* in sentences */
    const char *what_in_use; /* the same where it cannot be deleted */
    const char *absent;      /* end of the sentence about a replacement of what is not there */
    int absent_code;
};

static const struct kind runtime_kind = {
    .kind = "runtime",
    .validator = "ima",
    .field = "runtime_policy",
    .list_key = "runtimepolicy names",
    .what = "Runtime policy",
    .what_in_use = "allowlist",
    .absent = "does not already exist, use POST to create",
    .absent_code = 404,
};

static const struct kind mb_kind = {
    .kind = "mb",
    .validator = "mboot",
    .field = "mb_policy",
    .list_key = "mbpolicy names",
    .what = "Measured boot policy",
    .what_in_use = "mb_policy",
    .absent = "does not already exist",
    .absent_code = 409,
};

/** A request about one policy, or all; attached to it. */
struct asking {
    struct ql_verifier *verifier;
    struct ql_http_req *req;
    const struct kind *kind;
    const char *name;
    bool is_replacing;
    json_t *results;
    char *content; /* of an upload; NULL: null */
    size_t content_len;
    int64_t generator;
    bool is_judged;
    char digest[65];
    struct ql_check_result checked;
    struct ql_signing_keys keys;
    bool is_found, is_refused; /* what a transaction saw */
    char user[81];
    char **users; /* agents whose rows changed with the policy */
    size_t user_count, user_room;
};

static void forget_users(struct asking *g)
{
    for (size_t i = 0; i < g->user_count; i++)
        free(g->users[i]);
    free(g->users);
    g->users = NULL;
    g->user_count = g->user_room = 0;
}

static void asking_free(void *object)
{
    struct asking *g = object;

    forget_users(g);
    ql_check_result_done(&g->checked);
    ql_signing_keys_done(&g->keys);
    json_decref(g->results);
    free(g->content);
    free(g);
}

static struct asking *asking_new(struct ql_http_req *req, struct ql_verifier *v, const struct kind *kind)
{
    struct asking *g = calloc(1, sizeof *g);

    if (!g) {
        ql_api_busy(req);
        return NULL;
    }
    g->verifier = v;
    g->req = req;
    g->kind = kind;
    g->name = ql_req_param(req, "name");
    ql_req_attach(req, g, asking_free);
    if (g->name && (strlen(g->name) > QL_POLICY_NAME_MAX || !ql_utf8_ok(g->name, strlen(g->name)))) {
        ql_req_replyf(req, 400, "Exception error: name of a policy has 1 to %d bytes", QL_POLICY_NAME_MAX);
        return NULL;
    }
    return g;
}

static void submit(struct asking *g, ql_txn_fn fn, ql_txn_done done)
{
    struct ql_err err = QL_ERR_INIT;
    int r = ql_store_submit(g->verifier->store, fn, done, g, &err);

    if (r < 0)
        ql_api_store_failed(g->req, r, &err);
}

/* ---- list ---- */

static int add_name(void *arg, const char *name)
{
    struct asking *g = arg;

    return json_array_append_new(g->results, json_string(name)) == 0 ? 0 : QL_ENOMEM;
}

static int read_names(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct asking *g = arg;

    json_decref(g->results);
    g->results = json_array();
    return g->results ? ql_policies_names(t, g->kind->kind, add_name, g, err) : ql_fail_nomem(err);
}

static void names_read(int result, const struct ql_err *err, void *arg)
{
    struct asking *g = arg;

    if (result < 0)
        ql_api_store_failed(g->req, result, err);
    else
        ql_req_reply(g->req, 200, "Success", json_pack("{s:O}", g->kind->list_key, g->results));
}

static void list(struct ql_http_req *req, void *arg, const struct kind *kind)
{
    struct asking *g = asking_new(req, arg, kind);

    if (g)
        submit(g, read_names, names_read);
}

/* ---- show ---- */

static int read_policy(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct asking *g = arg;
    struct ql_policy_row row = {0};
    int r = ql_policies_get(t, g->kind->kind, g->name, &row, err);

    g->is_found = r == QL_OK;
    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r < 0)
        return r;
    free(g->content);
    g->content = ql_steal(row.content);
    g->content_len = row.content_len;
    ql_policy_row_done(&row);
    return QL_OK;
}

static void policy_read(int result, const struct ql_err *err, void *arg)
{
    struct asking *g = arg;
    json_t *results;

    if (result < 0) {
        ql_api_store_failed(g->req, result, err);
        return;
    }
    if (!g->is_found) {
        ql_req_replyf(g->req, 404, "%s %s not found", g->kind->what, g->name);
        return;
    }
    results = json_pack("{s:s}", "name", g->name);
    if (g->kind == &runtime_kind)
        (void)json_object_set_new(results, "tmp_policy", json_null()); /* spelled so on the wire */
    if (json_object_set_new(results, g->kind->field,
                            g->content ? json_stringn(g->content, g->content_len) : json_null()) != 0) {
        json_decref(results);
        ql_req_reply(g->req, 500, "Internal server error", NULL);
        return;
    }
    ql_req_reply(g->req, 200, "Success", results);
}

static void show(struct ql_http_req *req, void *arg, const struct kind *kind)
{
    struct asking *g = asking_new(req, arg, kind);

    if (g)
        submit(g, read_policy, policy_read);
}

/* ---- delete ---- */

static int delete_policy(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct asking *g = arg;
    struct ql_policy_row row = {0};
    int r = ql_policies_get(t, g->kind->kind, g->name, &row, err);

    ql_policy_row_done(&row);
    g->is_found = r != QL_ENOTFOUND;
    g->is_refused = false;
    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r == QL_OK)
        r = ql_policy_user(t, g->kind->kind, g->name, g->user, err);
    g->is_refused = r == QL_OK;
    return r == QL_ENOTFOUND ? ql_policies_delete(t, g->kind->kind, g->name, err) : r;
}

static void policy_deleted(int result, const struct ql_err *err, void *arg)
{
    struct asking *g = arg;

    if (result < 0)
        ql_api_store_failed(g->req, result, err);
    else if (!g->is_found)
        ql_req_replyf(g->req, 404, "%s %s not found", g->kind->what, g->name);
    else if (g->is_refused)
        ql_req_replyf(g->req, 409, "Can't delete %s as it's currently in use by agent %s",
                      g->kind->what_in_use, g->user);
    else
        ql_req_reply_raw(g->req, 204, "application/json", "", 0);
}

static void remove_policy(struct ql_http_req *req, void *arg, const struct kind *kind)
{
    struct asking *g = asking_new(req, arg, kind);

    if (g)
        submit(g, delete_policy, policy_deleted);
}

/* ---- create and replace ---- */

static int note_user(void *arg, struct ql_agent_row *row)
{
    struct asking *g = arg;

    if (!ql_policy_used_by(row, g->kind->kind, g->name))
        return 0;
    if (g->user_count == g->user_room) {
        size_t room = g->user_room ? g->user_room * 2 : 16;
        char **wide = reallocarray(g->users, room, sizeof *wide);

        if (!wide)
            return QL_ENOMEM;
        g->users = wide;
        g->user_room = room;
    }
    g->users[g->user_count] = strdup(row->agent_id);
    return g->users[g->user_count++] ? 0 : QL_ENOMEM;
}

/* Needs of other validators stay; those of this one are replaced. */
static int merge_needs(const struct asking *g, struct ql_agent_row *row, struct ql_err *err)
{
    ql_auto_json json_t *old = NULL, *new = NULL, *merged = json_array();
    size_t i;
    json_t *need;

    if (row->needs)
        (void)ql_json_parse(row->needs, strlen(row->needs), QL_COLUMN_MAX, &old, NULL); /* damaged: rebuilt */
    if (g->checked.needs)
        (void)ql_json_parse(g->checked.needs, strlen(g->checked.needs), QL_COLUMN_MAX, &new, NULL); /* none */
    json_array_foreach(old, i, need) {
        const char *validator = json_string_value(json_object_get(need, "validator"));

        if (validator && strcmp(validator, g->kind->validator) != 0)
            (void)json_array_append(merged, need); /* no memory: the text below is NULL */
    }
    json_array_foreach(new, i, need)
        (void)json_array_append(merged, need);
    free(row->needs);
    row->needs = merged ? ql_json_text(merged) : NULL;
    return row->needs ? QL_OK : ql_fail_nomem(err);
}

static int link_policy(const struct asking *g, struct ql_agent_row *row, struct ql_err *err)
{
    ql_auto_json json_t *all = NULL;
    json_t *entry;

    if (!row->policies ||
        ql_json_parse_object(row->policies, strlen(row->policies), QL_COLUMN_MAX, &all, NULL) < 0)
        all = json_object();
    entry = json_pack("{s:s}", "name", g->name);
    if (g->is_judged)
        (void)json_object_set_new(entry, "digest",
                                  json_string(g->digest)); /* NULL entry: the next call says it */
    if (!g->content || g->generator == 1) {
        json_decref(entry);
        (void)json_object_del(all, g->kind->validator); /* not there: nothing to do */
    } else if (json_object_set_new(all, g->kind->validator, entry) != 0) {
        return ql_fail_nomem(err);
    }
    free(row->policies);
    row->policies = ql_json_text(all);
    return row->policies ? QL_OK : ql_fail_nomem(err);
}

/*
 * Agents that use the policy are judged by the new one from now on. Bits of the mask stay where the old one needed them:
 * asking for more PCRs than needed is harmless.
 */
static int update_user(struct ql_txn *t, const struct asking *g, const char *id, struct ql_err *err)
{
    struct ql_agent_row row = {0};
    int64_t before;
    int r = ql_agents_get(t, id, &row, err);

    if (r < 0)
        return r;
    before = row.generation;
    row.generation++;
    row.mask |= g->checked.mask;
    r = link_policy(g, &row, err);
    if (r == QL_OK)
        r = merge_needs(g, &row, err);
    if (r == QL_OK)
        r = ql_agents_update(t, &row, before, err);
    ql_agent_row_done(&row);
    return r;
}

static int store_policy(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct asking *g = arg;
    struct ql_policy_row row = {0}, new = {
                                        .kind = (char *)(uintptr_t)g->kind->kind,
                                        .name = (char *)(uintptr_t)g->name,
                                        .content = g->content,
                                        .content_len = g->content_len,
                                        .generator = g->generator,
                                    };
    int r = ql_policies_get(t, g->kind->kind, g->name, &row, err);

    ql_policy_row_done(&row);
    forget_users(g);
    if (r < 0 && r != QL_ENOTFOUND)
        return r;
    g->is_found = r == QL_OK;
    if (g->is_found != g->is_replacing)
        return QL_OK;
    r = ql_policies_put(t, QL_PUT_UPSERT, &new, err);
    if (r == QL_OK && g->is_replacing)
        r = ql_agents_each(t, note_user, g, NULL, err);
    for (size_t i = 0; r == QL_OK && i < g->user_count; i++)
        r = update_user(t, g, g->users[i], err);
    return r;
}

static void policy_stored(int result, const struct ql_err *err, void *arg)
{
    struct asking *g = arg;

    if (result < 0) {
        ql_api_store_failed(g->req, result, err);
        return;
    }
    if (g->is_found != g->is_replacing) {
        ql_req_replyf(g->req, g->is_replacing ? g->kind->absent_code : 409, "%s with name %s %s",
                      g->kind->what, g->name, g->is_replacing ? g->kind->absent : "already exists");
        return;
    }
    for (size_t i = 0; i < g->user_count; i++)
        ql_reload(g->verifier, g->users[i]);
    ql_log(QL_INFO, "api", "%s=%s by=%s: stored, %zu agents use it", g->kind->kind, g->name,
           ql_req_client_name(g->req), g->user_count);
    ql_req_reply(g->req, 201, NULL, NULL);
}

static void checked(const struct ql_pool_result *result, void *arg)
{
    struct asking *g = arg;
    struct ql_err err = QL_ERR_INIT;

    if (result->status != QL_POOL_DONE) {
        ql_api_pool_failed(g->req, result);
    } else if (ql_check_result_read(result->result, &g->checked, &err) < 0) {
        ql_log(QL_ERROR, "api", "policy=%s: worker's answer refused: %s", g->name, err.text);
        ql_req_reply(g->req, 500, "Internal server error", NULL);
    } else if (!g->checked.ok) {
        if (strncmp(g->checked.field, "runtime_policy", strlen("runtime_policy")) == 0)
            ql_req_reply(g->req, strcmp(g->checked.field, "runtime_policy_key") == 0 ? 401 : 400,
                         g->checked.reason, NULL);
        else
            ql_req_replyf(g->req, 400, "%s is malformatted: %s", g->kind->what, g->checked.reason);
    } else {
        ql_signing_keys_remember(g->verifier, &g->keys);
        if (g->kind == &runtime_kind)
            g->generator = g->checked.generator == 1 ? 0 : g->checked.generator; /* 1: nothing to judge by */
        submit(g, store_policy, policy_stored);
    }
}

static void check(struct asking *g)
{
    struct ql_check_job job = {.policy_count = 1};
    ql_auto(ql_frame_freep) struct ql_frame *frame = NULL;
    struct ql_err err = QL_ERR_INIT;

    memcpy(job.policies[0].validator, g->kind->validator, strlen(g->kind->validator) + 1);
    job.policies[0].bytes = (const uint8_t *)g->content;
    job.policies[0].len = g->content_len;
    job.policies[0].must_be_signed = g->keys.is_required;
    job.signing_keys = g->keys.texts;
    job.signing_key_count = g->keys.count;
    frame = ql_check_job_frame(&job, &err);
    if (!frame || ql_pool_submit(g->verifier->pool, frame, NULL, g->content_len >= QL_JOB_SMALL_MAX, checked,
                                 g, &err) < 0) {
        ql_log(QL_WARN, "api", "policy=%s: not checked: %s", g->name, err.text);
        ql_api_busy(g->req);
        return;
    }
    frame = NULL; /* the pool has it now */
}

static int read_runtime(struct asking *g, const json_t *body, int *http, struct ql_err *err)
{
    const json_t *j = json_object_get(body, "runtime_policy");
    bool is_empty = true;
    int r;

    *http = 400;
    if (!json_is_string(j) || json_string_length(j) == 0)
        return ql_fail(err, QL_EPARSE, "Runtime policy is not valid JSON!");
    r = ql_signing_keys_collect(g->verifier, body, &g->keys, http, err);
    if (r < 0)
        return r;
    *http = 400;
    r = ql_runtime_policy_read(json_string_value(j), json_string_length(j), &g->content, &g->content_len,
                               &is_empty, &g->generator, err);
    g->is_judged = r == QL_OK && (!is_empty || g->keys.is_required);
    if (g->is_judged && g->generator == 1)
        g->generator = 0; /* 1 would say that it judges nothing */
    return r;
}

static int read_mb(struct asking *g, const json_t *body, int *http, struct ql_err *err)
{
    const json_t *j = json_object_get(body, "mb_policy");

    *http = 400;
    if (!j)
        return ql_fail(err, QL_EPARSE, "Exception error: 'mb_policy'");
    if (!json_is_null(j) && !json_is_string(j))
        return ql_fail(err, QL_EPARSE, "Exception error: 'mb_policy' must be text or null");
    if (json_is_null(j))
        return QL_OK;
    g->content = strdup(json_string_value(j));
    g->content_len = json_string_length(j);
    g->is_judged = !ql_mb_policy_is_empty(json_string_value(j), json_string_length(j));
    return g->content ? QL_OK : ql_fail_nomem(err);
}

static void on_body(struct ql_http_req *req, json_t *body, void *arg)
{
    struct asking *g = arg;
    uint8_t digest[32];
    struct ql_err err = QL_ERR_INIT;
    int http = 400;
    int r = g->kind == &runtime_kind ? read_runtime(g, body, &http, &err) : read_mb(g, body, &http, &err);

    json_decref(body);
    if (r == QL_OK && g->is_judged) {
        r = ql_digest_once(QL_SHA256, g->content, g->content_len, digest);
        ql_hex_encode(digest, sizeof digest, g->digest);
    }
    if (r < 0)
        ql_req_reply(req, http, err.text, NULL);
    else if (g->is_judged)
        check(g);
    else
        submit(g, store_policy, policy_stored);
}

static void put(struct ql_http_req *req, void *arg, const struct kind *kind, bool is_replacing)
{
    struct asking *g = asking_new(req, arg, kind);

    if (!g)
        return;
    g->is_replacing = is_replacing;
    ql_api_body(g->verifier, req, on_body, g);
}

/* ---- the table's entries ---- */

void ql_api_runtime_list(struct ql_http_req *req, void *arg)
{
    list(req, arg, &runtime_kind);
}

void ql_api_runtime_show(struct ql_http_req *req, void *arg)
{
    show(req, arg, &runtime_kind);
}

void ql_api_runtime_create(struct ql_http_req *req, void *arg)
{
    put(req, arg, &runtime_kind, false);
}

void ql_api_runtime_replace(struct ql_http_req *req, void *arg)
{
    put(req, arg, &runtime_kind, true);
}

void ql_api_runtime_delete(struct ql_http_req *req, void *arg)
{
    remove_policy(req, arg, &runtime_kind);
}

void ql_api_mb_list(struct ql_http_req *req, void *arg)
{
    list(req, arg, &mb_kind);
}

void ql_api_mb_show(struct ql_http_req *req, void *arg)
{
    show(req, arg, &mb_kind);
}

void ql_api_mb_create(struct ql_http_req *req, void *arg)
{
    put(req, arg, &mb_kind, false);
}

void ql_api_mb_replace(struct ql_http_req *req, void *arg)
{
    put(req, arg, &mb_kind, true);
}

void ql_api_mb_delete(struct ql_http_req *req, void *arg)
{
    remove_policy(req, arg, &mb_kind);
}
