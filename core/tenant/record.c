/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: one attestation of an agent as a file that quicklime-verify judges. The verifier says what the agent is judged
 * by, the agent is asked as the verifier would ask it, from the beginning of every log; the verifier's own polling goes
 * on untouched.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "digest.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "parse.h"
#include "server.h"
#include "tenant.h"

enum {
    NONCE_LEN = 20,
    QUERY_MAX = 6144, /* characters of names and parameters of evidence */
    VERSIONS_PER_SECOND = 100
};

static json_t *results_of(const char *who, struct ql_reply *reply, struct ql_err *err)
{
    json_t *results = json_object_get(reply->body, "results");
    const char *status = json_string_value(json_object_get(reply->body, "status"));

    if (reply->status == 200 && json_is_object(results))
        json_incref(results);
    else {
        (void)ql_fail(err, reply->status == 404 ? QL_ENOTFOUND : QL_EIO, "%s answered %d: %.200s", who,
                      reply->status, status ? status : "no results"); /* NULL says it */
        results = NULL;
    }
    ql_reply_done(reply);
    return results;
}

static json_t *ask_verifier(struct ql_tenant *t, struct ql_err *err)
{
    struct ql_reply reply = {0};

    if (ql_link_callf(t, &t->verifier, QL_GET, NULL, &reply, err, "/agents/%s/policies", t->agent_id) < 0)
        return NULL;
    return results_of("the verifier", &reply, err);
}

/* Keylime's own two kinds come with every quote. */
static bool is_asked_by_name(const char *name)
{
    return name && ql_component_name_ok(name, strlen(name)) && strcmp(name, "ima") != 0 &&
           strcmp(name, "mboot") != 0;
}

/* "&evidence=NAME:0,…" of what the policies need, as the verifier asks: only agents that know the parameter. */
static int evidence_query(struct ql_tenant *t, const json_t *needs, char query[QUERY_MAX], struct ql_err *err)
{
    struct ql_reply reply = {0};
    ql_auto_json json_t *info = NULL, *seen = json_object();
    size_t at = 0, i;
    json_t *need;

    query[0] = '\0';
    json_array_foreach(needs, i, need) {
        const char *name = json_string_value(json_object_get(need, "evidence"));
        json_t *parameters = json_object_get(need, "parameters");

        if (is_asked_by_name(name) && !json_object_get(seen, name) &&
            json_object_set_new(seen, name, parameters ? json_incref(parameters) : json_null()) != 0)
            return ql_fail_nomem(err);
    }
    if (json_object_size(seen) == 0)
        return QL_OK;
    if (ql_link_callf(t, &t->agent, QL_GET, NULL, &reply, err, "/agent/info") < 0)
        return QL_EIO;
    info = results_of("the agent", &reply, NULL);
    if (!info || !json_object_get(info, "quicklime_evidence"))
        return QL_OK; /* what is needed will be missing, and that is the verdict */
    for (void *it = json_object_iter(seen); it; it = json_object_iter_next(seen, it)) {
        const json_t *value = json_object_iter_value(it);
        ql_auto_free char *text =
            json_is_null(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        ql_auto_free char *hex = text ? ql_hex_dup(text, strlen(text)) : NULL;
        int n =
            snprintf(query + at, QUERY_MAX - at, "%s%s:0%s%s",
                     at > 0 ? "," : "&evidence=", json_object_iter_key(it), hex ? ":" : "", hex ? hex : "");

        if (!json_is_null(value) && !hex)
            return ql_fail_nomem(err);
        if (n < 0 || (size_t)n >= QUERY_MAX - at)
            return ql_fail(err, QL_ELIMIT, "names and parameters of evidence have more than %d characters",
                           QUERY_MAX);
        at += (size_t)n;
    }
    return QL_OK;
}

static json_t *ask_agent(struct ql_tenant *t, const json_t *judged_by, const char *nonce, struct ql_err *err)
{
    const char *mask = json_string_value(json_object_get(judged_by, "mask"));
    char query[QUERY_MAX];
    struct ql_reply reply = {0};
    int r = evidence_query(t, json_object_get(judged_by, "needs"), query, err);

    if (r == QL_OK)
        r = ql_link_callf(t, &t->agent, QL_GET, NULL, &reply, err,
                          "/quotes/integrity?nonce=%s&mask=%s&partial=0&ima_ml_entry=0%s", nonce,
                          mask ? mask : "0x0", query);
    return r == QL_OK ? results_of("the agent", &reply, err) : NULL;
}

/* Verifier's and agent's members in one object, and what the registrar knows of the TPM. */
static json_t *recording(const struct ql_registered *reg, json_t *judged_by, json_t *answer,
                         const char *agent_id, const char *nonce)
{
    json_t *data = json_object();

    (void)json_object_del(judged_by, "needs"); /* an answer to us, not part of a recording */
    if (!data || json_object_update(data, judged_by) != 0 || json_object_update(data, answer) != 0 ||
        json_object_set_new(data, "agent_id", json_string(agent_id)) != 0 ||
        json_object_set_new(data, "nonce", json_string(nonce)) != 0 ||
        json_object_set_new(data, "tpm_ak", json_string(reg->aik_tpm)) != 0 ||
        json_object_set_new(data, "tpm_ek", json_string(reg->ek_tpm ? reg->ek_tpm : "none")) != 0) {
        json_decref(data);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "type", "tpm", "data", data);
}

/* DIR/ID-TIME.json, and with a number where that is taken. */
static int write_file(struct ql_tenant *t, const char *dir, const json_t *body, struct ql_err *err)
{
    ql_auto_free char *text = json_dumps(body, JSON_INDENT(2));
    char stamp[32] = "", name[160];
    time_t now = time(NULL);
    struct tm when;
    int r = ql_dir_make(dir, 0700, err);

    if (r < 0)
        return r;
    if (!text || !gmtime_r(&now, &when) || strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &when) == 0)
        return ql_fail_nomem(err);
    for (int i = 0; i < VERSIONS_PER_SECOND; i++) {
        ql_auto_free char *path = NULL;

        snprintf(name, sizeof name, i > 0 ? "%s-%s-%d.json" : "%s-%s.json", t->agent_id, stamp, i);
        path = ql_path_join(dir, name);
        if (!path)
            return ql_fail_nomem(err);
        if (access(path, F_OK) == 0)
            continue;
        r = ql_file_write(path, 0600, text, strlen(text), err);
        if (r == QL_OK)
            ql_say_info("Recorded %s", path);
        return r;
    }
    return ql_fail(err, QL_EEXIST, "%s: %d recordings of this second are there already", dir,
                   VERSIONS_PER_SECOND);
}

static int record(struct ql_tenant *t, struct ql_registered *reg, struct ql_err *err)
{
    ql_auto_json json_t *judged_by = NULL, *answer = NULL, *body = NULL;
    char nonce[NONCE_LEN + 1];
    int r = ql_registered_get(t, reg, err);

    if (r == QL_OK)
        r = ql_tenant_find_agent(t, reg, err);
    if (r < 0)
        return r;
    judged_by = ask_verifier(t, err);
    if (!judged_by)
        return QL_EIO;
    ql_random_alnum(nonce, NONCE_LEN);
    answer = ask_agent(t, judged_by, nonce, err);
    if (!answer)
        return QL_EIO;
    body = recording(reg, judged_by, answer, t->agent_id, nonce);
    return body ? write_file(t, t->args->operand, body, err) : ql_fail_nomem(err);
}

int ql_command_record(struct ql_tenant *t)
{
    struct ql_registered reg = {0};
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (!t->args->operand) {
        ql_say_error("record needs a folder: quicklime-tenant -c record -u UUID DIR");
        return 2;
    }
    r = record(t, &reg, &err);
    ql_registered_done(&reg);
    if (r == QL_OK)
        return 0;
    ql_say_error("%s", err.text);
    return 1;
}
