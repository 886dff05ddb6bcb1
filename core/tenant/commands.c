/* SPDX-License-Identifier: Apache-2.0 */
/* The other commands: status, lists, deletion, reactivation. */
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "program.h"
#include "pyrepr.h"
#include "server.h"
#include "tenant.h"

/** What the tenant calls "Not applicable" when an agent pushes. */
#define NO_STATE "Not applicable (Push Mode)"

static void say_json(const char *title, const json_t *value)
{
    ql_auto_free char *text = ql_json_text_spaced(value);

    ql_say_info("%s\n%s", title, text ? text : "{}");
}

static int no_answer(const struct ql_err *err)
{
    ql_say_error("%s", err->text);
    return 1;
}

/* Show the operational state as a word. */
static void name_state(json_t *agent)
{
    json_t *state = json_object_get(agent, "operational_state");
    const char *text = json_is_integer(state) ? ql_state_text(json_integer_value(state)) : NO_STATE;

    (void)json_object_set_new(agent, "operational_state", json_string(text)); /* else the number stays */
}

/* ---- verifier ---- */

int ql_cv_show(struct ql_tenant *t, bool quiet)
{
    ql_auto_json json_t *shown = NULL;
    struct ql_reply reply = {0};
    struct ql_err err = QL_ERR_INIT;
    char title[QL_TENANT_ADDRESS_MAX + 32];
    int status;

    if (ql_link_callf(t, &t->verifier, QL_GET, NULL, &reply, &err, "/agents/%s", t->agent_id) < 0) {
        ql_say_error("%s", err.text);
        return 0;
    }
    status = reply.status;
    if (status == 404) {
        ql_say_info("Verifier at %s with Port %u does not have agent %s.", t->verifier.host, t->verifier.port,
                    t->agent_id);
    } else if (status == 200 && json_is_object(json_object_get(reply.body, "results"))) {
        json_t *agent = json_object_get(reply.body, "results");

        name_state(agent);
        shown = json_pack("{s:O}", t->agent_id, agent);
        snprintf(title, sizeof title, "Agent Info from %s:", t->verifier_name);
        if (!quiet && shown)
            say_json(title, shown);
    } else {
        ql_say_error("Status command response: %d. Unexpected response from %s.", status, t->verifier_name);
        status = status == 200 ? 500 : status;
    }
    ql_reply_done(&reply);
    return status;
}

static int cvstatus(struct ql_tenant *t)
{
    int status = ql_cv_show(t, false);

    if (status == 404)
        ql_say_error("Agent %s does not exist on %s.", t->agent_id, t->verifier_name);
    return status == 200 ? 0 : 1;
}

static int wait_deleted(struct ql_tenant *t)
{
    struct ql_err err = QL_ERR_INIT;

    for (unsigned tries = 0; ql_tenant_wait(t, tries + 1); tries++) {
        struct ql_reply reply = {0};
        int r = ql_link_callf(t, &t->verifier, QL_GET, NULL, &reply, &err, "/agents/%s", t->agent_id);
        int status = reply.status;

        ql_reply_done(&reply);
        if (r == QL_OK && status == 404) {
            ql_say_info("CV Agent %s removed after %u tries", t->agent_id, tries);
            return 0;
        }
    }
    ql_say_error("CV Agent %s was not deleted", t->agent_id);
    return 1;
}

int ql_cv_delete(struct ql_tenant *t, bool verifier_check)
{
    struct ql_reply reply = {0};
    struct ql_err err = QL_ERR_INIT;
    int status;

    if (verifier_check) {
        status = ql_cv_show(t, false);
        if (status == 404) {
            ql_say_info("The Agent %s is deleted from %s", t->agent_id, t->verifier_name);
            return 0;
        }
        if (status != 200)
            return 1;
    }
    if (ql_link_callf(t, &t->verifier, QL_DELETE, NULL, &reply, &err, "/agents/%s", t->agent_id) < 0)
        return no_answer(&err);
    status = reply.status;
    ql_reply_done(&reply);
    if (status == 202)
        return wait_deleted(t);
    if (status == 200) {
        ql_say_info("Agent %s deleted from the CV", t->agent_id);
        return 0;
    }
    ql_say_error("Deletion of agent %s: %s answered %d", t->agent_id, t->verifier_name, status);
    return status == 404 && !verifier_check ? 0 : 1;
}

static int delete_agent(struct ql_tenant *t)
{
    return ql_cv_delete(t, !ql_arg_given(t->args, QL_ARG_NO_VERIFIER_CHECK));
}

static int reactivate(struct ql_tenant *t)
{
    struct ql_reply reply = {0};
    struct ql_err err = QL_ERR_INIT;
    int status = ql_cv_show(t, false);

    if (status == 404)
        ql_say_error("Agent %s does not exist on %s.", t->agent_id, t->verifier_name);
    if (status != 200)
        return 1;
    if (ql_link_callf(t, &t->verifier, QL_PUT, NULL, &reply, &err, "/agents/%s/reactivate", t->agent_id) < 0)
        return no_answer(&err);
    status = reply.status;
    ql_reply_done(&reply);
    if (status != 200) {
        ql_say_error("Update command response: %d Unexpected response from %s.", status, t->verifier_name);
        return 1;
    }
    ql_say_info("Agent %s re-activated", t->agent_id);
    ql_say_info("Agent %s re-activated", t->agent_id);
    return 0;
}

static int list(struct ql_tenant *t, struct ql_link *l, const char *path, struct ql_reply *reply)
{
    struct ql_err err = QL_ERR_INIT;

    if (ql_link_callf(t, l, QL_GET, NULL, reply, &err, "%s", path) < 0)
        return no_answer(&err);
    if (reply->status != 200 || !json_is_object(json_object_get(reply->body, "results"))) {
        ql_say_error("Status command response: %d. Unexpected response from %s %s:%u.", reply->status,
                     l->what, l->host, l->port);
        return 1;
    }
    return 0;
}

/* Paths of the verifier's lists carry the verifier id that was asked for. */
static int verifier_list(struct ql_tenant *t, const char *query, struct ql_reply *reply)
{
    ql_auto_free char *id = ql_url_encode(t->verifier_id ? t->verifier_id : "");
    char path[512];

    snprintf(path, sizeof path, "/agents/?%sverifier=%.300s", query, id ? id : "");
    return list(t, &t->verifier, path, reply);
}

static int cvlist(struct ql_tenant *t)
{
    struct ql_reply reply = {0};
    char title[QL_TENANT_ADDRESS_MAX + 32];
    int code = verifier_list(t, "", &reply);

    if (code == 0) {
        ql_auto_free char *text = ql_pyrepr(reply.body);

        ql_say_info("From verifier %s port %u retrieved: \"%s\"\n", t->verifier.host, t->verifier.port,
                    text ? text : "");
        snprintf(title, sizeof title, "Agent list from %s retrieved: ", t->verifier_name);
        say_json(title, json_object_get(reply.body, "results"));
    }
    ql_reply_done(&reply);
    return code;
}

static int bulkinfo(struct ql_tenant *t)
{
    struct ql_reply reply = {0};
    int code = verifier_list(t, "bulk=True&", &reply);

    if (code == 0) {
        json_t *results = json_object_get(reply.body, "results"), *agent;
        const char *id;

        json_object_foreach(results, id, agent)
            name_state(agent);
        say_json("Bulk Agent Info:", results);
    }
    ql_reply_done(&reply);
    return code;
}

/* ---- registrar ---- */

static void registrar_name(const struct ql_tenant *t, char *out, size_t room)
{
    snprintf(out, room, "Registrar (%.200s:%u)", t->registrar.host, t->registrar.port);
}

/* Both lines that scripts read: the whole answer, and with `show` the results alone. */
static void say_registration(struct ql_tenant *t, const json_t *data, bool show)
{
    ql_auto_json json_t *agent = json_copy((json_t *)(uintptr_t)data);
    ql_auto_json json_t *results = NULL, *whole = NULL;
    ql_auto_free char *text = NULL;
    char where[QL_TENANT_ADDRESS_MAX], status[2 * QL_TENANT_ADDRESS_MAX], title[QL_TENANT_ADDRESS_MAX + 32];

    registrar_name(t, where, sizeof where);
    snprintf(status, sizeof status, "Agent %s exists on registrar %.200s port %u.", t->agent_id,
             t->registrar.host, t->registrar.port);
    if (!agent || json_object_set_new(agent, "operational_state", json_string("Registered")) != 0)
        return;
    results = json_pack("{s:O}", t->agent_id, agent);
    whole = json_pack("{s:i, s:s, s:O}", "code", 200, "status", status, "results", results);
    text = whole ? ql_json_text_spaced(whole) : NULL;
    ql_say_info("Status from %s: %s", where, status);
    ql_say_info("%s", text ? text : "{}");
    snprintf(title, sizeof title, "Agent Info from %s:", where);
    if (show && results)
        say_json(title, results);
}

static int registrar_status(struct ql_tenant *t, bool show)
{
    struct ql_registered reg = {0};
    struct ql_err err = QL_ERR_INIT;
    char where[QL_TENANT_ADDRESS_MAX];
    int r = ql_registered_get(t, &reg, &err);

    registrar_name(t, where, sizeof where);
    if (r == QL_ENOTFOUND) {
        ql_say_info("Agent %s does not exist on the registrar. Please register the agent with the registrar.",
                    t->agent_id);
        ql_say_info("{\"code\": 404, \"status\": \"Agent %s does not exist on registrar %.200s port %u.\", "
                    "\"results\": {}}",
                    t->agent_id, t->registrar.host, t->registrar.port);
        ql_say_error("Agent %s does not exist on %s. Check the agent logs to for error messages while "
                     "attempting to get "
                     "registered.",
                     t->agent_id, where);
        return 1;
    }
    if (r < 0)
        return no_answer(&err);
    say_registration(t, reg.data, show);
    ql_registered_done(&reg);
    return 0;
}

static int regstatus(struct ql_tenant *t)
{
    return registrar_status(t, true);
}

static int status(struct ql_tenant *t)
{
    int code = registrar_status(t, true);

    return code == 0 ? cvstatus(t) : code;
}

static int reglist(struct ql_tenant *t)
{
    struct ql_reply reply = {0};
    char where[QL_TENANT_ADDRESS_MAX], title[QL_TENANT_ADDRESS_MAX + 32];
    int code = list(t, &t->registrar, "/agents/", &reply);

    if (code == 0) {
        ql_auto_free char *text = ql_json_text_spaced(reply.body);

        ql_say_info("From registrar %s port %u retrieved %s\n", t->registrar.host, t->registrar.port,
                    text ? text : "");
        registrar_name(t, where, sizeof where);
        snprintf(title, sizeof title, "Agent list from %s retrieved: ", where);
        say_json(title, json_object_get(reply.body, "results"));
    }
    ql_reply_done(&reply);
    return code;
}

static int regdelete(struct ql_tenant *t)
{
    struct ql_reply reply = {0};
    struct ql_err err = QL_ERR_INIT;

    if (ql_link_callf(t, &t->registrar, QL_DELETE, NULL, &reply, &err, "/agents/%s", t->agent_id) < 0)
        return no_answer(&err);
    if (reply.status != 200) {
        const char *text = json_string_value(json_object_get(reply.body, "status"));

        ql_say("keylime.registrar_client", "WARNING",
               "Status command response: %d Unexpected response from registrar.", reply.status);
        ql_say("keylime.registrar_client", "WARNING", "Response code %d: %s", reply.status, text ? text : "");
    }
    ql_reply_done(&reply);
    return 0;
}

static int version(struct ql_tenant *t)
{
    struct ql_err err = QL_ERR_INIT;
    int code = 0;

    ql_say_info("quicklime-tenant %s", ql_version());
    if (ql_link_negotiate(t, &t->registrar, &err) < 0)
        code = no_answer(&err);
    if (ql_link_negotiate(t, &t->verifier, &err) < 0)
        code = no_answer(&err);
    return code;
}

const struct ql_command ql_commands[] = {
    {"add", ql_command_add, "enrol an agent: check its TPM and hand it to the verifier", false},
    {"update", ql_command_update, "delete and add again", false},
    {"delete", delete_agent, "remove an agent from the verifier", false},
    {"status", status, "registrar's and verifier's records of an agent", false},
    {"cvstatus", cvstatus, "verifier's record of an agent", false},
    {"regstatus", regstatus, "registrar's record of an agent", false},
    {"cvlist", cvlist, "ids of all agents at the verifier", false},
    {"reglist", reglist, "ids of all agents at the registrar", false},
    {"bulkinfo", bulkinfo, "verifier's records of all agents", false},
    {"reactivate", reactivate, "attest a failed agent again", false},
    {"regdelete", regdelete, "remove an agent from the registrar", false},
    {"addruntimepolicy", ql_command_add_runtime, "store a runtime policy at the verifier", false},
    {"updateruntimepolicy", ql_command_update_runtime, "replace a stored runtime policy", false},
    {"showruntimepolicy", ql_command_show_runtime, "a stored runtime policy", false},
    {"deleteruntimepolicy", ql_command_delete_runtime, "remove a stored runtime policy", false},
    {"listruntimepolicy", ql_command_list_runtime, "names of all stored runtime policies", false},
    {"addallowlist", ql_command_add_allowlist, "older name of addruntimepolicy", false},
    {"showallowlist", ql_command_show_allowlist, "older name of showruntimepolicy", false},
    {"deleteallowlist", ql_command_delete_allowlist, "older name of deleteruntimepolicy", false},
    {"addmbpolicy", ql_command_add_boot, "store a measured boot policy at the verifier", false},
    {"updatembpolicy", ql_command_update_boot, "replace a stored measured boot policy", false},
    {"showmbpolicy", ql_command_show_boot, "a stored measured boot policy", false},
    {"deletembpolicy", ql_command_delete_boot, "remove a stored measured boot policy", false},
    {"listmbpolicy", ql_command_list_boot, "names of all stored measured boot policies", false},
    {"record", ql_command_record, "write one attestation into a folder DIR, for quicklime-verify", true},
    {"version", version, "versions of this program and of the servers' APIs", false},
    {NULL, NULL, NULL, false},
};
