/* SPDX-License-Identifier: Apache-2.0 */
/* What admins see and delete, and the version probes. */
#include <string.h>

#include "encode.h"
#include "error.h"
#include "log.h"
#include "registrar.h"

struct reading {
    struct ql_http_req *req;
    const char *agent_id;
    json_t *ids;
    size_t skipped;
    struct ql_registration row;
    bool found, pending;
};

static void reading_free(void *object)
{
    struct reading *g = object;

    json_decref(g->ids);
    ql_registration_done(&g->row);
    free(g);
}

static struct reading *reading_new(struct ql_http_req *req)
{
    struct reading *g = calloc(1, sizeof *g);

    if (!g) {
        ql_req_reply_empty(req, 503);
        return NULL;
    }
    g->req = req;
    g->agent_id = ql_req_param(req, "agent_id");
    ql_req_attach(req, g, reading_free);
    return g;
}

static void submit(struct ql_registrar *registrar, struct reading *g, ql_txn_fn fn, ql_txn_done done)
{
    struct ql_err err = QL_ERR_INIT;
    int r = ql_store_submit(registrar->store, fn, done, g, &err);

    if (r < 0)
        ql_registrar_store_failed(g->req, r, &err);
}

void ql_registrar_store_failed(struct ql_http_req *req, int result, const struct ql_err *err)
{
    ql_log(QL_ERROR, "store", "path=%s: %s", ql_req_path(req), err->text);
    if (result == QL_EAGAIN || result == QL_EFULL || result == QL_EIO) {
        (void)ql_req_add_header(req, "Retry-After", "5"); /* constant text: cannot be refused */
        ql_req_reply(req, 503, NULL, NULL);
        return;
    }
    ql_req_reply(req, 500, NULL, NULL);
}

/* ---- list ---- */

/* Rows come in order of id; an agent with an active and a pending record is listed once. */
static int collect_id(void *arg, struct ql_registration *row)
{
    struct reading *g = arg;
    size_t count = json_array_size(g->ids);
    const char *last = count > 0 ? json_string_value(json_array_get(g->ids, count - 1)) : NULL;

    if (last && strcmp(last, row->agent_id) == 0)
        return 0;
    return json_array_append_new(g->ids, json_string(row->agent_id)) == 0 ? 0 : QL_ENOMEM;
}

static int read_ids(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct reading *g = arg;

    json_decref(g->ids);
    g->ids = json_array();
    if (!g->ids)
        return ql_fail_nomem(err);
    return ql_registrations_each(t, collect_id, g, &g->skipped, err);
}

static void ids_read(int result, const struct ql_err *err, void *arg)
{
    struct reading *g = arg;

    if (result < 0) {
        ql_registrar_store_failed(g->req, result, err);
        return;
    }
    if (g->skipped > 0)
        ql_log(QL_WARN, "store", "%zu registrations cannot be read and are left out", g->skipped);
    ql_req_reply(g->req, 200, NULL, json_pack("{s:O}", "uuids", g->ids));
}

void ql_registrar_list(struct ql_http_req *req, void *arg)
{
    struct reading *g = reading_new(req);

    if (g)
        submit(arg, g, read_ids, ids_read);
}

/* ---- show ---- */

static int read_one(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct reading *g = arg;
    struct ql_registration pending = {0};
    int r;

    g->found = g->pending = false;
    ql_registration_done(&g->row);
    r = ql_registrations_get(t, g->agent_id, true, &g->row, err);
    if (r == QL_OK) {
        g->found = true;
        return QL_OK;
    }
    if (r != QL_ENOTFOUND)
        return r;
    r = ql_registrations_get(t, g->agent_id, false, &pending, err);
    if (r == QL_OK)
        g->pending = true;
    ql_registration_done(&pending);
    return r == QL_ENOTFOUND ? QL_OK : r;
}

static json_t *base64_or_null(const uint8_t *data, size_t len)
{
    ql_auto_free char *text = data ? ql_base64_dup(data, len) : NULL;

    return text ? json_string(text) : json_null();
}

static json_t *detail(const struct ql_registration *row)
{
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:s?, s:s?, s:o, s:I}", "agent_id", row->agent_id, "ek_tpm",
        base64_or_null(row->ek_tpm, row->ek_tpm_len), "ekcert", base64_or_null(row->ekcert, row->ekcert_len),
        "aik_tpm", base64_or_null(row->aik_tpm, row->aik_tpm_len), "mtls_cert", row->mtls_cert, "ip", row->ip,
        "port", row->port > 0 ? json_integer(row->port) : json_null(), "regcount", (json_int_t)row->regcount);
}

static void one_read(int result, const struct ql_err *err, void *arg)
{
    struct reading *g = arg;
    json_t *results;

    if (result < 0) {
        ql_registrar_store_failed(g->req, result, err);
    } else if (g->found) {
        results = detail(&g->row);
        if (results)
            ql_req_reply(g->req, 200, NULL, results);
        else
            ql_req_reply(g->req, 500, NULL, NULL);
    } else {
        ql_req_replyf(g->req, 404, "Agent with ID '%s' %s", g->agent_id,
                      g->pending ? "has not been activated" : "not found");
    }
}

void ql_registrar_show(struct ql_http_req *req, void *arg)
{
    struct reading *g = reading_new(req);

    if (g)
        submit(arg, g, read_one, one_read);
}

/* ---- delete ---- */

static int delete_one(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct reading *g = arg;

    g->found = false;
    for (int active = 0; active <= 1; active++) {
        int r = ql_registrations_delete(t, g->agent_id, active == 1, err);

        if (r == QL_OK)
            g->found = true;
        else if (r != QL_ENOTFOUND)
            return r;
    }
    return QL_OK;
}

static void one_deleted(int result, const struct ql_err *err, void *arg)
{
    struct reading *g = arg;

    if (result < 0) {
        ql_registrar_store_failed(g->req, result, err);
    } else if (!g->found) {
        ql_req_replyf(g->req, 404, "Agent with ID '%s' not found", g->agent_id);
    } else {
        ql_log(QL_INFO, "register", "agent=%s by=%s: registration deleted", g->agent_id,
               ql_req_client_name(g->req));
        ql_req_reply(g->req, 200, NULL, NULL);
    }
}

void ql_registrar_delete(struct ql_http_req *req, void *arg)
{
    struct reading *g = reading_new(req);

    if (g)
        submit(arg, g, delete_one, one_deleted);
}

/* ---- probes ---- */

void ql_registrar_version(struct ql_http_req *req, void *arg)
{
    (void)arg;
    ql_req_reply(req, 200, NULL,
                 json_pack("{s:s, s:[s,s,s,s,s,s,s,s,s]}", "current_version", "2.6", "supported_versions",
                           "1.0", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "3.0"));
}

void ql_registrar_root(struct ql_http_req *req, void *arg)
{
    (void)arg;
    ql_req_reply_empty(req, 200);
}
