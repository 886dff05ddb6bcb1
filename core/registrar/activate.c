/* SPDX-License-Identifier: Apache-2.0 */
/* PUT /agents/{agent_id}[/activate]: the answer to the challenge turns the waiting record into the active one. */
#include <string.h>

#include "clock.h"
#include "credential.h"
#include "error.h"
#include "log.h"
#include "parse.h"
#include "registrar.h"
#include "secret.h"

/** How an activation ended. */
enum activation {
    ACTIVATION_UNKNOWN,
    ACTIVATION_WRONG,
    ACTIVATION_DONE
};

struct activating {
    struct ql_registrar *registrar;
    struct ql_http_req *req;
    json_t *body;
    const char *agent_id, *tag;
    int64_t now_ns;
    enum activation outcome;
};

static void activating_free(void *object)
{
    struct activating *a = object;

    json_decref(a->body);
    free(a);
}

static bool tag_fits(const struct ql_registration *row, const char *tag)
{
    char expected[QL_AUTH_TAG_LEN + 1];
    bool fits = row->key && strlen(row->key) == QL_CHALLENGE_KEY_LEN && strlen(tag) == QL_AUTH_TAG_LEN &&
                ql_auth_tag(row->key, row->agent_id, expected) == QL_OK &&
                ql_equal_ct(expected, tag, QL_AUTH_TAG_LEN);

    ql_wipe(expected, sizeof expected);
    return fits;
}

/* No challenge is open. The active record's own tag is a repeated request; any other changes nothing. */
static int meet_active(struct ql_txn *t, struct activating *a, struct ql_err *err)
{
    struct ql_registration row = {0};
    int r = ql_registrations_get(t, a->agent_id, true, &row, err);

    if (r == QL_ENOTFOUND) {
        a->outcome = ACTIVATION_UNKNOWN;
        return QL_OK;
    }
    if (r < 0)
        return r;
    a->outcome = tag_fits(&row, a->tag) ? ACTIVATION_DONE : ACTIVATION_WRONG;
    ql_registration_done(&row);
    return QL_OK;
}

static int meet_pending(struct ql_txn *t, struct activating *a, struct ql_registration *row,
                        struct ql_err *err)
{
    int r;

    if (tag_fits(row, a->tag)) {
        a->outcome = ACTIVATION_DONE;
        r = ql_registrations_delete(t, a->agent_id, false, err);
        row->active = true;
        row->wrong_tags = 0;
        return r == QL_OK ? ql_registrations_put(t, row, err) : r;
    }
    a->outcome = ACTIVATION_WRONG;
    row->wrong_tags++;
    if (row->wrong_tags >= QL_WRONG_TAGS_MAX)
        return ql_registrations_delete(t, a->agent_id, false, err);
    return ql_registrations_put(t, row, err);
}

static int activate(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct activating *a = arg;
    struct ql_registration row = {0};
    int r = ql_registrations_get(t, a->agent_id, false, &row, err);

    if (r == QL_ENOTFOUND)
        return meet_active(t, a, err);
    if (r < 0)
        return r;
    if (row.created_ns < a->now_ns - QL_PENDING_S * QL_NS_PER_S) {
        r = ql_registrations_delete(t, a->agent_id, false, err);
        if (r == QL_OK)
            r = meet_active(t, a, err);
    } else {
        r = meet_pending(t, a, &row, err);
    }
    ql_registration_done(&row);
    return r;
}

static void activated(int result, const struct ql_err *err, void *arg)
{
    struct activating *a = arg;

    if (result < 0) {
        ql_registrar_store_failed(a->req, result, err);
        return;
    }
    switch (a->outcome) {
    case ACTIVATION_DONE:
        ql_log(QL_INFO, "register", "agent=%s: activated", a->agent_id);
        ql_req_reply(a->req, 200, NULL, NULL);
        return;
    case ACTIVATION_WRONG:
        ql_log(QL_WARN, "register", "agent=%s peer=%s: activation with a wrong auth tag", a->agent_id,
               ql_req_peer(a->req));
        ql_req_replyf(
            a->req, 400,
            "Auth tag '%s' for agent '%s' does not match expected value. The agent has been deleted from the "
            "database and will need to be restarted to reattempt registration",
            a->tag, a->agent_id);
        return;
    case ACTIVATION_UNKNOWN:
        ql_req_replyf(a->req, 404, "Agent with ID '%s' not found", a->agent_id);
        return;
    }
    ql_req_reply_empty(a->req, 500);
}

void ql_registrar_activate(struct ql_http_req *req, void *arg)
{
    struct ql_registrar *registrar = arg;
    struct activating *a = calloc(1, sizeof *a);
    struct ql_err err = QL_ERR_INIT;
    const uint8_t *body;
    size_t len, tag_len;
    int r;

    if (!a) {
        ql_req_reply_empty(req, 503);
        return;
    }
    *a = (struct activating){
        .registrar = registrar, .req = req, .agent_id = ql_req_param(req, "agent_id"), .now_ns = ql_now_ns()};
    ql_req_attach(req, a, activating_free);
    body = ql_req_body(req, &len);
    if (ql_json_parse_object((const char *)body, len, QL_REGISTER_BODY_MAX, &a->body, &err) < 0 ||
        ql_json_get_text(a->body, "auth_tag", &a->tag, &tag_len, &err) < 0) {
        ql_req_reply_empty(req, 400);
        return;
    }
    if (!ql_agent_id_ok(a->agent_id, strlen(a->agent_id))) {
        ql_req_replyf(req, 404, "Agent with ID '%.*s' not found", QL_AGENT_ID_MAX, a->agent_id);
        return;
    }
    if (tag_len > 256) { /* it is echoed */
        ql_req_reply_empty(req, 400);
        return;
    }
    r = ql_store_submit(registrar->store, activate, activated, a, &err);
    if (r < 0)
        ql_registrar_store_failed(req, r, &err);
}
