/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's API (spec/agent.md 3): route table, small routes, and the texts for what is not in the table. */
#include <string.h>

#include "agent.h"
#include "error.h"
#include "log.h"
#include "parse.h"
#include "revocation.h"
#include "version.h"

#define ALL QL_API(2, 1), QL_API(2, 6)

static void get_version(struct ql_http_req *req, void *arg)
{
    const struct ql_agent *a = arg;
    ql_auto_json json_t *list = json_array();
    char text[16] = "";

    for (const unsigned *v = a->versions; list && *v != 0; v++)
        if (json_array_append_new(list, json_string(ql_api_text(*v, text))) < 0)
            break;
    if (!list || *text == '\0') {
        ql_req_replyf(req, 500, "Misconfigured API version");
        return;
    }
    ql_req_reply(req, 200, NULL,
                 json_pack("{s:s, s:O}", "supported_version", text, "supported_versions", list));
}

static void get_info(struct ql_http_req *req, void *arg)
{
    const struct ql_agent *a = arg;

    ql_req_reply(req, 200, NULL,
                 json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "agent_uuid", a->id, "tpm_hash_alg",
                           a->algs.hash, "tpm_enc_alg", ql_agent_enc_alg(a, ql_req_version(req)),
                           "tpm_sign_alg", a->algs.sign, "ak_handle", (json_int_t)a->ak_handle,
                           "quicklime_evidence", ql_evidence_set_names(a->evidence)));
}

const struct ql_route QL_AGENT_ROUTES[] = {
    {QL_GET, "/version", 0, 0, QL_WHO_PUBLIC, "version", 0, get_version, "API versions served"},
    {QL_GET, "/agent/info", QL_API(2, 2), QL_API(2, 6), QL_WHO_PUBLIC, "agent_info", 0, get_info,
     "id, algorithms and attestation key of this agent"},
    {QL_GET, "/keys/pubkey", ALL, QL_WHO_PUBLIC, "keys_pubkey", 0, ql_agent_get_pubkey, "payload key, PEM"},
    {QL_GET, "/keys/verify", ALL, QL_WHO_PUBLIC, "keys_verify", 0, ql_agent_get_verify,
     "proof that the bootstrap key is known"},
    {QL_POST, "/keys/ukey", ALL, QL_WHO_PUBLIC, "keys_ukey", QL_AGENT_BODY_MAX, ql_agent_post_ukey,
     "the tenant's half of the bootstrap key, and the payload"},
    {QL_POST, "/keys/vkey", ALL, QL_WHO_PUBLIC, "keys_vkey", QL_AGENT_BODY_MAX, ql_agent_post_vkey,
     "the verifier's half of the bootstrap key"},
    {QL_GET, "/quotes/identity", ALL, QL_WHO_PUBLIC, "quotes_identity", 0, ql_agent_get_identity,
     "quote that proves the agent's TPM"},
    {QL_GET, "/quotes/integrity", ALL, QL_WHO_PUBLIC, "quotes_integrity", 0, ql_agent_get_integrity,
     "quote of the PCRs asked for, with the logs behind them"},
    {QL_POST, "/notifications/revocation", ALL, QL_WHO_PUBLIC, "notifications_revocation", QL_AGENT_BODY_MAX,
     ql_agent_post_revocation, "a revocation message"},
    {0},
};

/** Texts for paths below an interface that the table does not hold. */
static const struct interface {
    const char *name, *bad_get, *bad_post, *bad_method, *allow;
    unsigned first; /* API version */
} INTERFACES[] = {
    {"agent", "URI not supported, only /info is supported for GET in /agent interface", NULL,
     "Method is not supported in /agent interface", "GET", QL_API(2, 2)},
    {"keys", "URI not supported, only /pubkey and /verify are supported for GET in /keys interface",
     "URI not supported, only /ukey and /vkey are supported for POST in /keys interface",
     "Method is not supported in /keys interface", "GET, POST"},
    {"quotes", "URI not supported, only /identity and /integrity are supported for GET in /quotes/ interface",
     NULL, "Method is not supported in /quotes/ interface", "GET"},
    {"notifications", NULL,
     "URI not supported, only /revocation is supported for POST in /notifications/ interface",
     "Method is not supported in /notifications/ interface", "POST"},
    {NULL, "Not Implemented: Use /agent, /keys, or /quotes interfaces",
     "Not Implemented: Use /keys or /notifications interfaces", "Method is not supported", "GET, POST"},
};
static const struct interface ELSEWHERE = {NULL, "Not Implemented: Use /2.1, /2.2, .. or /version interfaces",
                                           "Not Implemented: Use /2.1, /2.2, .. or /version interfaces",
                                           "Method is not supported", "GET, POST"};

/** Length of "/v<digits>.<digits>" at the start of a path; 0: none. */
static size_t version_prefix(const char *path)
{
    size_t major, minor;

    if (strncmp(path, "/v", 2) != 0)
        return 0;
    major = strspn(path + 2, "0123456789");
    if (major == 0 || path[2 + major] != '.')
        return 0;
    minor = strspn(path + 2 + major + 1, "0123456789");
    return minor == 0 ? 0 : 2 + major + 1 + minor;
}

/** The version named, when it is enabled; else 0. */
static unsigned enabled_version(const struct ql_agent *a, const char *text, size_t len)
{
    unsigned version = 0;

    if (ql_api_parse(text, len, &version, NULL) < 0)
        return 0;
    for (const unsigned *v = a->versions; *v != 0; v++)
        if (*v == version)
            return version;
    return 0;
}

static const struct interface *find_interface(const char *path, unsigned version)
{
    const struct interface *row = INTERFACES;

    for (; row->name; row++) {
        const size_t len = strlen(row->name);

        if (version >= row->first && path[0] == '/' && strncmp(path + 1, row->name, len) == 0 &&
            path[1 + len] == '/')
            return row;
    }
    return row;
}

void ql_agent_miss(struct ql_http_req *req, enum ql_miss miss, void *arg)
{
    const struct ql_agent *a = arg;
    const char *path = ql_req_path(req), *text;
    const size_t prefix = version_prefix(path);
    const unsigned version = prefix > 0 ? enabled_version(a, path + 2, prefix - 2) : 0;
    const struct interface *row = &ELSEWHERE;

    /* Verifiers look for these words and negotiate anew. */
    if (prefix > 0 && version == 0) {
        ql_req_replyf(req, 400, "API version not supported: %.*s", (int)(prefix < 40 ? prefix - 1 : 39),
                      path + 1);
        return;
    }
    if (prefix > 0 && path[prefix] == '/')
        row = find_interface(path + prefix, version);
    if (miss == QL_MISS_METHOD) {
        (void)ql_req_add_header(req, "Allow", row->allow); /* fixed text */
        ql_req_reply_empty(req, 405);
        return;
    }
    text = ql_req_method(req) == QL_GET ? row->bad_get : ql_req_method(req) == QL_POST ? row->bad_post : NULL;
    if (text) {
        ql_req_replyf(req, 400, "%s", text);
        return;
    }
    (void)ql_req_add_header(req, "Allow", row->allow); /* fixed text */
    ql_req_replyf(req, 405, "%s", row->bad_method);
}

const char *ql_agent_enc_alg(const struct ql_agent *a, unsigned version)
{
    if (version < QL_API(2, 5)) {
        if (strcmp(a->enc_alg, "rsa2048") == 0)
            return "rsa";
        if (strcmp(a->enc_alg, "ecc256") == 0)
            return "ecc";
    }
    return a->enc_alg;
}

const char *ql_agent_query(struct ql_http_req *req, const char *name)
{
    const size_t count = ql_req_query_count(req, name);

    if (count == 1)
        return ql_req_query(req, name);
    ql_req_replyf(req, 400, "Query deserialize error: %s field `%s`", count == 0 ? "missing" : "duplicate",
                  name);
    return NULL;
}

bool ql_alnum_ok(const char *text)
{
    return text[strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")] == '\0';
}

const char *ql_agent_echo(const char *text, char *out)
{
    size_t len = strlen(text);

    if (!ql_utf8_ok(text, len))
        return "(not UTF-8)";
    if (len > 90) {
        len = 90;
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80)
            len--; /* not inside a character */
    }
    memcpy(out, text, len);
    out[len] = '\0';
    return out;
}
