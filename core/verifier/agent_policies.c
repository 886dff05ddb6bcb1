/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /agents/{agent_id}/policies: what an agent is judged by, in the members of a recorded attestation. With a quote
 * of the agent they make a file that quicklime-verify judges as this verifier does.
 */
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "json.h"
#include "verifier.h"

enum {
    COLUMN_MAX = 256 * 1024 /* bytes of JSON in a column of ours */
};

/** Attached to the request. */
struct exporting {
    struct ql_http_req *req;
    const char *agent_id;
    json_t *results; /* NULL: no such agent */
    char *text;      /* the answer, written on the store thread */
};

static void exporting_free(void *object)
{
    struct exporting *g = object;

    json_decref(g->results);
    free(g->text);
    free(g);
}

/* Keylime's own have members of their own. */
static const char *member_of(const char *validator)
{
    return strcmp(validator, "ima") == 0     ? "runtime_policy"
           : strcmp(validator, "mboot") == 0 ? "mb_policy"
                                             : NULL;
}

static int add_policies(json_t *results, const struct ql_loaded *loaded, struct ql_err *err)
{
    json_t *others = json_object();
    int r = json_object_set_new(results, "policies", others);

    for (size_t i = 0; r == 0 && i < loaded->policy_count; i++) {
        const char *validator = loaded->policies[i].validator, *own = member_of(validator);
        json_t *text;

        if (strcmp(validator, "tpm-policy") == 0)
            continue; /* there already */
        if (!loaded->policies[i].content)
            return ql_fail(err, QL_ECORRUPT, "policy of validator %s is missing", validator);
        text = json_stringn(loaded->policies[i].content, loaded->policies[i].len);
        r = json_object_set_new(own ? results : others, own ? own : validator, text);
    }
    return r == 0 ? QL_OK : ql_fail_nomem(err);
}

static int add_column(json_t *results, const char *name, const char *text, struct ql_err *err)
{
    json_t *value = NULL;
    int r = text ? ql_json_parse(text, strlen(text), COLUMN_MAX, &value, err) : QL_OK;

    if (r < 0)
        return ql_fail_context(err, QL_ECORRUPT, "column %s", name);
    return !value || json_object_set_new(results, name, value) == 0 ? QL_OK : ql_fail_nomem(err);
}

static int add_all(json_t *results, const struct ql_loaded *loaded, struct ql_err *err)
{
    const struct ql_agent_row *row = &loaded->row;
    char mask[16];
    int r = QL_OK;

    snprintf(mask, sizeof mask, "0x%x", (unsigned)row->mask);
    if (json_object_set_new(results, "tpm_policy", json_string(row->tpm_policy ? row->tpm_policy : "{}")) !=
            0 ||
        json_object_set_new(results, "mask", json_string(mask)) != 0)
        return ql_fail_nomem(err);
    r = add_policies(results, loaded, err);
    if (r == QL_OK)
        r = add_column(results, "options", row->options, err);
    if (r == QL_OK)
        r = add_column(results, "needs", row->needs ? row->needs : "[]", err);
    if (r == QL_OK)
        r = add_column(results, "accept_tpm_hash_algs", row->accept_hash, err);
    if (r == QL_OK)
        r = add_column(results, "accept_tpm_encryption_algs", row->accept_enc, err);
    return r == QL_OK ? add_column(results, "accept_tpm_signing_algs", row->accept_sign, err) : r;
}

static int read_policies(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct exporting *g = arg;
    struct ql_loaded loaded = {0};
    ql_auto_json json_t *answer = NULL;
    int r = ql_loaded_get(t, g->agent_id, &loaded, err);

    json_decref(g->results);
    g->results = NULL;
    free(g->text);
    g->text = NULL;
    if (r == QL_ENOTFOUND)
        return QL_OK;
    if (r < 0)
        return r;
    g->results = json_object();
    r = g->results ? add_all(g->results, &loaded, err) : ql_fail_nomem(err);
    ql_loaded_done(&loaded);
    if (r < 0)
        return ql_fail_context(err, r, "agent %s", g->agent_id);
    answer = json_pack("{s:i, s:s, s:O}", "code", 200, "status", "Success", "results", g->results);
    g->text = answer ? ql_json_text_spaced(answer) : NULL;
    return g->text ? QL_OK : ql_fail_nomem(err);
}

static void policies_read(int result, const struct ql_err *err, void *arg)
{
    struct exporting *g = arg;

    if (result < 0)
        ql_api_store_failed(g->req, result, err);
    else if (!g->text)
        ql_req_reply(g->req, 404, "agent id not found", NULL);
    else
        ql_req_reply_raw(g->req, 200, "application/json", g->text, strlen(g->text));
}

void ql_api_agent_policies(struct ql_http_req *req, void *arg)
{
    const struct ql_verifier *v = arg;
    const char *id = ql_api_agent_id(req);
    struct exporting *g = id ? calloc(1, sizeof *g) : NULL;
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (!id)
        return;
    if (!g) {
        ql_api_busy(req);
        return;
    }
    g->req = req;
    g->agent_id = id;
    ql_req_attach(req, g, exporting_free);
    r = ql_store_submit(v->store, read_policies, policies_read, g, &err);
    if (r < 0)
        ql_api_store_failed(req, r, &err);
}
