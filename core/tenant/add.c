/* SPDX-License-Identifier: Apache-2.0 */
/* add and update: registrar's record, policies, identity quote, EK, U to the agent, V and the rest to the verifier. */
#include <stdio.h>
#include <string.h>

#include "encode.h"
#include "error.h"
#include "parse.h"
#include "server.h"
#include "tenant.h"
#include "version.h"

/** Everything an addition gathers on its way. */
struct adding {
    struct ql_tenant *t;
    struct ql_registered reg;
    struct ql_policies policies;
    struct ql_payload payload;
    struct ql_key *nk;
};

static void adding_done(struct adding *a)
{
    ql_registered_done(&a->reg);
    ql_policies_done(&a->policies);
    ql_payload_done(&a->payload);
    ql_key_free(a->nk);
}

static int agent_port(struct ql_tenant *t, const struct ql_registered *reg, struct ql_err *err)
{
    const char *text = ql_arg(t->args, QL_ARG_TARGET_PORT);
    uint64_t port = (uint64_t)reg->port;
    int r = text ? ql_parse_u64(text, strlen(text), 1, 65535, &port, err) : QL_OK;

    if (r < 0)
        return ql_fail_context(err, r, "--targetport");
    if (port == 0)
        return ql_fail(err, QL_ENOTFOUND, "No port was specified or found in the Registrar for agent %s",
                       t->agent_id);
    t->agent.port = (uint16_t)port;
    return QL_OK;
}

static int agent_version(struct ql_tenant *t, struct ql_err *err)
{
    const char *text = ql_arg(t->args, QL_ARG_AGENT_API_VERSION);

    if (!text)
        return ql_link_negotiate(t, &t->agent, err);
    return ql_api_parse(text, strlen(text), &t->agent.version, err);
}

int ql_tenant_find_agent(struct ql_tenant *t, const struct ql_registered *reg, struct ql_err *err)
{
    const char *host = ql_arg(t->args, QL_ARG_TARGET_HOST);
    int r;

    t->agent.host = host ? host : reg->ip;
    if (!t->agent.host || *t->agent.host == '\0')
        return ql_fail(err, QL_ENOTFOUND, "No address was specified or found in the Registrar for agent %s",
                       t->agent_id);
    r = agent_port(t, reg, err);
    if (r < 0)
        return r;
    snprintf(t->agent_name, sizeof t->agent_name, "%s (%.150s:%u)", t->agent_id, t->agent.host,
             t->agent.port);
    if (!reg->mtls_cert)
        return ql_fail(err, QL_EACCES, "agent %s registered no certificate", t->agent_id);
    r = ql_link_agent(t, reg->mtls_cert, err);
    return r == QL_OK ? agent_version(t, err) : r;
}

static json_t *list_option(struct ql_tenant *t, const char *name)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ql_config_count(t->config, "tenant", name); i++)
        if (json_array_append_new(list, json_string(ql_config_item(t->config, "tenant", name, i))) != 0)
            return list;
    return list;
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* The body of POST /agents/{id}, fields in Keylime's order. */
static json_t *addition(struct adding *a)
{
    struct ql_tenant *t = a->t;
    ql_auto_free char *v =
        a->payload.v ? ql_base64_dup(ql_secret_data(a->payload.v), ql_secret_len(a->payload.v)) : NULL;
    const char *cv_host = ql_arg(t->args, QL_ARG_CV_TARGET_HOST);
    const char *revocation_key =
        a->payload.revocation_key ? (const char *)ql_secret_data(a->payload.revocation_key) : "";
    char version[8];
    json_t *body = json_pack(
        "{s:o, s:s, s:i, s:s, s:i, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:o, "
        "s:s}",
        "v", text_or_null(v), "cloudagent_ip", cv_host ? cv_host : t->agent.host, "cloudagent_port",
        (int)t->agent.port, "verifier_ip", t->verifier.host, "verifier_port", (int)t->verifier.port,
        "tpm_policy", a->policies.tpm_policy, "runtime_policy", a->policies.runtime_policy,
        "runtime_policy_name", a->policies.runtime_policy_name, "runtime_policy_key",
        a->policies.runtime_policy_key, "mb_policy", text_or_null(a->policies.mb_policy), "mb_policy_name",
        a->policies.mb_policy_name, "ima_sign_verification_keys", a->policies.file_keys, "metadata",
        a->payload.metadata ? a->payload.metadata : "{}", "revocation_key", revocation_key,
        "accept_tpm_hash_algs", list_option(t, "accept_tpm_hash_algs"), "accept_tpm_encryption_algs",
        list_option(t, "accept_tpm_encryption_algs"), "accept_tpm_signing_algs",
        list_option(t, "accept_tpm_signing_algs"), "ak_tpm", a->reg.aik_tpm, "mtls_cert",
        text_or_null(a->reg.mtls_cert), "supported_version", ql_api_text(t->agent.version, version));

    if (v)
        ql_wipe(v, strlen(v));
    if (body && a->policies.custom && json_object_set(body, "policies", a->policies.custom) != 0) {
        json_decref(body);
        return NULL;
    }
    return body;
}

static int post(struct adding *a, struct ql_err *err)
{
    struct ql_tenant *t = a->t;
    ql_auto_json json_t *body = addition(a);
    struct ql_reply reply = {0};
    int r;

    if (!body)
        return ql_fail_nomem(err);
    r = ql_link_callf(t, &t->verifier, QL_POST, body, &reply, err, "/agents/%s", t->agent_id);
    if (r < 0)
        return r;
    if (reply.status == 409)
        r = ql_fail(
            err, QL_EEXIST,
            "%s responded indicating a conflict for agent Agent %s. Run \"delete\" or \"update\" first.",
            t->verifier_name, t->agent_name);
    else if (reply.status != 200) {
        const char *status = json_string_value(json_object_get(reply.body, "status"));

        ql_say_error("Response code %d: %s", reply.status, status ? status : "");
        r = ql_fail(err, QL_EIO, "POST command response: %d Unexpected response from %s: %.300s",
                    reply.status, t->verifier_name, reply.text);
    }
    ql_reply_done(&reply);
    return r;
}

static int wait_added(struct adding *a, struct ql_err *err)
{
    struct ql_tenant *t = a->t;

    for (unsigned tries = 0;; tries++) {
        if (ql_cv_show(t, false) == 200) {
            ql_say_info("Agent %s added to %s after %u tries", t->agent_name, t->verifier_name, tries);
            return QL_OK;
        }
        if (!ql_tenant_wait(t, tries + 1))
            return ql_fail(err, QL_ETIMEOUT, "Agent %s was not added to %s after %u tries", t->agent_name,
                           t->verifier_name, tries + 1);
    }
}

static int add(struct adding *a, bool replace, struct ql_err *err)
{
    struct ql_tenant *t = a->t;
    int r = ql_registered_get(t, &a->reg, err);

    if (r == QL_ENOTFOUND)
        return ql_fail(err, r, "Agent $%s data not found in the Registrar.", t->agent_id);
    if (r == QL_OK)
        r = ql_tenant_find_agent(t, &a->reg, err);
    if (r == QL_OK)
        r = ql_policies_read(t, &a->policies, err);
    if (r == QL_OK)
        r = ql_payload_read(t, &a->payload, err);
    if (r < 0)
        return r;
    if (replace && ql_cv_delete(t, !ql_arg_given(t->args, QL_ARG_NO_VERIFIER_CHECK)) != 0)
        return ql_fail(err, QL_EIO, "Agent %s cannot be updated", t->agent_name);
    if (!ql_identity_check(t, &a->reg, &a->nk) || !ql_ek_check(t, &a->reg))
        return ql_fail(err, QL_ECRYPTO, "TPM of Agent %s is not accepted", t->agent_name);
    ql_say_info("Quote from Agent %s validated", t->agent_name);
    r = ql_payload_deliver(t, &a->payload, a->nk, err);
    if (r == QL_OK)
        r = post(a, err);
    if (r == QL_OK)
        r = wait_added(a, err);
    if (r == QL_OK && ql_arg_given(t->args, QL_ARG_VERIFY))
        r = ql_payload_verify(t, &a->payload, err);
    return r;
}

static int run(struct ql_tenant *t, bool replace)
{
    struct adding a = {.t = t};
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (ql_arg_given(t->args, QL_ARG_PUSH_MODEL)) {
        ql_say_error("--push-model is not offered by this release");
        return 1;
    }
    r = add(&a, replace, &err);
    adding_done(&a);
    if (r == QL_OK)
        return 0;
    ql_say_error("%s", err.text);
    return 1;
}

int ql_command_add(struct ql_tenant *t)
{
    return run(t, false);
}

int ql_command_update(struct ql_tenant *t)
{
    return run(t, true);
}
