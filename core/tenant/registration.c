/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "server.h"
#include "tenant.h"

#define AREA "keylime.registrar_client"

void ql_registered_done(struct ql_registered *r)
{
    json_decref(r->data);
    *r = (struct ql_registered){0};
}

static int optional_text(const json_t *data, const char *key, const char **ret, struct ql_err *err)
{
    size_t len;
    int r = ql_json_get_text(data, key, ret, &len, err);

    if (r != QL_ENOTFOUND)
        return r;
    *ret = NULL;
    return QL_OK;
}

static int read_results(struct ql_registered *reg, struct ql_err *err)
{
    size_t len;
    int r = ql_json_get_text(reg->data, "aik_tpm", &reg->aik_tpm, &len, err);

    if (r == QL_OK)
        r = ql_tpm_public_from_text(reg->aik_tpm, len, &reg->aik, NULL, NULL, err);
    if (r == QL_OK)
        r = ql_tpm_check_ak(&reg->aik, err);
    if (r == QL_OK)
        r = optional_text(reg->data, "ek_tpm", &reg->ek_tpm, err);
    if (r == QL_OK)
        r = optional_text(reg->data, "ekcert", &reg->ekcert, err);
    if (r == QL_OK)
        r = optional_text(reg->data, "mtls_cert", &reg->mtls_cert, err);
    if (r == QL_OK)
        r = optional_text(reg->data, "ip", &reg->ip, err);
    if (r == QL_OK)
        r = ql_json_get_int(reg->data, "regcount", 0, INT64_MAX, &reg->regcount, err);
    if (r < 0)
        return r;
    r = ql_json_get_int(reg->data, "port", 0, 65535, &reg->port, err);
    if (r == QL_ENOTFOUND) {
        reg->port = 0;
        return QL_OK;
    }
    return r;
}

int ql_registered_get(struct ql_tenant *t, struct ql_registered *ret, struct ql_err *err)
{
    struct ql_reply reply = {0};
    struct ql_registered reg = {0};
    int r = ql_link_callf(t, &t->registrar, QL_GET, NULL, &reply, err, "/agents/%s", t->agent_id);

    if (r < 0)
        return r;
    if (reply.status != 200 || !json_is_object(json_object_get(reply.body, "results"))) {
        const char *status = json_string_value(json_object_get(reply.body, "status"));

        ql_say(AREA, "CRITICAL", "Error: could not get agent %s data from Registrar Server: %d", t->agent_id,
               reply.status);
        ql_say(AREA, "CRITICAL", "Response code %d: %s", reply.status, status ? status : "");
        r = reply.status == 404 ? ql_fail(err, QL_ENOTFOUND, "agent %s is not registered", t->agent_id)
                                : ql_fail(err, QL_EIO, "registrar answered %d", reply.status);
        ql_reply_done(&reply);
        return r;
    }
    reg.data = json_incref(json_object_get(reply.body, "results"));
    ql_reply_done(&reply);
    r = read_results(&reg, err);
    if (r < 0) {
        ql_registered_done(&reg);
        return ql_fail_context(err, r, "registrar's record of agent %s", t->agent_id);
    }
    *ret = reg;
    return QL_OK;
}
