/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "encode.h"
#include "error.h"
#include "import.h"
#include "json.h"
#include "parse.h"
#include "secret.h"

enum {
    GENERATOR_EMPTY = 1, /* of a policy that judges nothing */
    PCR_IMA = 10,
    STATE_MAX = 10,
    EMPTY_MAX = 64 /* characters of JSON that may say nothing */
};

/* ---- the context ---- */

static void policy_done(struct ql_imported_policy *p)
{
    ql_policy_row_done(&p->row);
}

void ql_import_done(struct ql_import *g)
{
    for (size_t i = 0; i < g->agent_count; i++)
        ql_agent_row_done(&g->agents[i].row);
    for (size_t i = 0; i < g->policy_count; i++)
        policy_done(&g->policies[i]);
    for (size_t i = 0; i < g->registration_count; i++)
        ql_registration_done(&g->registrations[i]);
    for (size_t i = 0; i < g->left_count; i++)
        free(g->left[i]);
    free(g->agents);
    free(g->policies);
    free(g->registrations);
    free(g->left);
    *g = (struct ql_import){0};
}

int ql_import_leave(struct ql_import *g, struct ql_err *err, const char *fmt, ...)
{
    char *line = NULL;
    va_list args;
    int n;

    va_start(args, fmt);
    n = vasprintf(&line, fmt, args);
    va_end(args);
    if (n < 0)
        return ql_fail_nomem(err);
    if (g->left_count == g->left_room) {
        size_t room = g->left_room ? g->left_room * 2 : 32;
        char **wide = reallocarray(g->left, room, sizeof *wide);

        if (!wide) {
            free(line);
            return ql_fail_nomem(err);
        }
        g->left = wide;
        g->left_room = room;
    }
    g->left[g->left_count++] = line;
    return QL_OK;
}

/* ---- policies ---- */

static int add_policy(struct ql_import *g, const struct ql_imported_policy *p, struct ql_err *err)
{
    struct ql_imported_policy *wide = reallocarray(g->policies, g->policy_count + 1, sizeof *wide);

    if (!wide)
        return ql_fail_nomem(err);
    g->policies = wide;
    wide[g->policy_count++] = *p;
    return QL_OK;
}

/* JSON that judges nothing. */
static bool is_empty(const char *text, size_t len)
{
    ql_auto_json json_t *value = NULL;

    if (len == 0)
        return true;
    if (len > EMPTY_MAX || ql_json_parse(text, len, EMPTY_MAX, &value, NULL) < 0)
        return false;
    return json_is_null(value) || (json_is_object(value) && json_object_size(value) == 0);
}

static int read_policy(const char *kind, const struct ql_cell *row, struct ql_imported_policy *p,
                       struct ql_err *err)
{
    const struct ql_cell *content = &row[2];
    uint8_t digest[32];
    int r = ql_cell_int(&row[0], 0, &p->number, err);

    if (r == QL_OK)
        r = ql_cell_text(&row[1], &p->row.name, err);
    if (r == QL_OK && (!p->row.name || !*p->row.name || strlen(p->row.name) > QL_POLICY_NAME_MAX))
        r = ql_fail(err, QL_EPARSE, "no name of at most %d bytes", QL_POLICY_NAME_MAX);
    if (r == QL_OK)
        r = ql_cell_int(&row[3], 0, &p->row.generator, err);
    if (r == QL_OK && content->text &&
        (content->len > QL_POLICY_MAX_LEN || memchr(content->text, 0, content->len) ||
         (content->len && !ql_utf8_ok(content->text, content->len))))
        r = ql_fail(err, QL_EPARSE, "content is not UTF-8 of at most %d bytes", QL_POLICY_MAX_LEN);
    p->row.kind = r == QL_OK ? strdup(kind) : NULL;
    if (r == QL_OK && content->text) {
        p->row.content = strdup(content->text);
        p->row.content_len = content->len;
    }
    if (r == QL_OK && (!p->row.kind || (content->text && !p->row.content)))
        r = ql_fail_nomem(err);
    if (r == QL_OK && p->row.content) {
        r = ql_digest_once(QL_SHA256, p->row.content, p->row.content_len, digest);
        ql_hex_encode(digest, sizeof digest, p->digest);
    }
    p->is_judged = p->row.content && p->row.generator != GENERATOR_EMPTY &&
                   !(strcmp(kind, "mb") == 0 && is_empty(p->row.content, p->row.content_len));
    return r;
}

static int take_policy(struct ql_import *g, const char *kind, const char *table, const struct ql_cell *row,
                       struct ql_err *err)
{
    struct ql_imported_policy p = {.number = 0};
    struct ql_err why = QL_ERR_INIT;
    int r = read_policy(kind, row, &p, &why);

    if (r == QL_OK)
        r = add_policy(g, &p, err);
    if (r == QL_OK)
        return r;
    policy_done(&p);
    return r == QL_ENOMEM ? ql_fail_nomem(err)
                          : ql_import_leave(g, err, "%s number %.20s: %s", table,
                                            row[0].text ? row[0].text : "?", why.text);
}

static int take_runtime(void *arg, const struct ql_cell *row, struct ql_err *err)
{
    struct ql_import *g = arg;
    int r = take_policy(g, "runtime", "allowlists", row, err);

    g->runtime_seen++;
    g->runtime_count = g->policy_count;
    if (r == QL_OK && row[4].text)
        r = ql_import_leave(g, err, "allowlists number %.20s: column tpm_policy, which nothing reads",
                            row[0].text ? row[0].text : "?");
    return r;
}

static int take_mb(void *arg, const struct ql_cell *row, struct ql_err *err)
{
    struct ql_import *g = arg;

    g->mb_seen++;
    return take_policy(g, "mb", "mbpolicies", row, err);
}

/* ---- agents ---- */

/* Columns in the order of the query. */
enum {
    AGENT_ID,
    V,
    IP,
    PORT,
    STATE,
    PUBLIC_KEY,
    TPM_POLICY,
    META_DATA,
    REVOCATION_KEY,
    ACCEPT_HASH,
    ACCEPT_ENC,
    ACCEPT_SIGN,
    HASH_ALG,
    ENC_ALG,
    SIGN_ALG,
    IMA_KEYS,
    VERIFIER_ID,
    VERIFIER_IP,
    VERIFIER_PORT,
    SEVERITY,
    LAST_EVENT,
    VERSION,
    AK,
    MTLS_CERT,
    COUNT,
    LAST_QUOTE,
    LAST_PASS,
    CLOCK,
    IMA_POLICY,
    MB_POLICY,
    ACCEPTS,
    AGENT_COLUMNS
};

static const char agents_sql[] =
    "SELECT agent_id, v, ip, port, operational_state, public_key, tpm_policy, meta_data, revocation_key, "
    "accept_tpm_hash_algs, accept_tpm_encryption_algs, accept_tpm_signing_algs, hash_alg, enc_alg, sign_alg, "
    "ima_sign_verification_keys, verifier_id, verifier_ip, verifier_port, severity_level, last_event_id, "
    "supported_version, ak_tpm, mtls_cert, attestation_count, last_received_quote, "
    "last_successful_attestation, "
    "tpm_clockinfo, ima_policy_id, mb_policy_id, accept_attestations FROM verifiermain ORDER BY agent_id";

/* Where a value that cannot be read stands. */
static int in_column(int r, const char *column, struct ql_err *why)
{
    return r < 0 && r != QL_ENOMEM ? ql_fail_context(why, r, "column %s", column) : r;
}

static int read_texts(const struct ql_cell *row, struct ql_agent_row *a, struct ql_err *why)
{
    const struct {
        int column;
        const char *name;
        char **at;
        bool is_json;
    } texts[] = {
        {AGENT_ID, "agent_id", &a->agent_id, false},
        {IP, "ip", &a->ip, false},
        {PUBLIC_KEY, "public_key", &a->public_key, false},
        {META_DATA, "meta_data", &a->meta_data, true},
        {ACCEPT_HASH, "accept_tpm_hash_algs", &a->accept_hash, true},
        {ACCEPT_ENC, "accept_tpm_encryption_algs", &a->accept_enc, true},
        {ACCEPT_SIGN, "accept_tpm_signing_algs", &a->accept_sign, true},
        {HASH_ALG, "hash_alg", &a->hash_alg, false},
        {ENC_ALG, "enc_alg", &a->enc_alg, false},
        {SIGN_ALG, "sign_alg", &a->sign_alg, false},
        {IMA_KEYS, "ima_sign_verification_keys", &a->ima_sign_verification_keys, false},
        {VERIFIER_ID, "verifier_id", &a->verifier_id, false},
        {VERIFIER_IP, "verifier_ip", &a->verifier_ip, false},
        {LAST_EVENT, "last_event_id", &a->last_event_id, false},
        {VERSION, "supported_version", &a->supported_version, false},
        {MTLS_CERT, "mtls_cert", &a->mtls_cert, false},
        {CLOCK, "tpm_clockinfo", &a->clock, true},
    };
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(texts); i++) {
        const struct ql_cell *c = &row[texts[i].column];

        r = in_column(texts[i].is_json && c->len ? ql_cell_json(c, texts[i].at, why)
                                                 : ql_cell_text(c, texts[i].at, why),
                      texts[i].name, why);
    }
    return r;
}

static int read_numbers(const struct ql_cell *row, struct ql_agent_row *a, struct ql_err *why)
{
    const struct {
        int column;
        const char *name;
        int64_t *at, absent;
    } numbers[] = {
        {PORT, "port", &a->port, 0},
        {STATE, "operational_state", &a->operational_state, -1},
        {VERIFIER_PORT, "verifier_port", &a->verifier_port, 0},
        {SEVERITY, "severity_level", &a->severity_level, -1},
        {COUNT, "attestation_count", &a->attestation_count, 0},
        {LAST_QUOTE, "last_received_quote", &a->last_received_quote, 0},
        {LAST_PASS, "last_successful_attestation", &a->last_successful_attestation, 0},
    };
    int r = QL_OK;

    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(numbers); i++)
        r = in_column(ql_cell_int(&row[numbers[i].column], numbers[i].absent, numbers[i].at, why),
                      numbers[i].name, why);
    return r;
}

/* JSON text of JSON, or JSON. */
static int read_tpm_policy(const struct ql_cell *c, struct ql_agent_row *a, bool *has_pcrs,
                           struct ql_err *why)
{
    ql_auto_json json_t *outer = NULL, *inner = NULL;
    const char *text = c->text, *mask;
    uint32_t bits = 0;
    int r;

    *has_pcrs = false;
    if (!c->text)
        return QL_OK;
    r = ql_json_parse(c->text, c->len, QL_IMPORT_TEXT_MAX, &outer, why);
    if (r == QL_OK && json_is_string(outer))
        text = json_string_value(outer);
    if (r == QL_OK)
        r = ql_json_parse_object(text, strlen(text), QL_IMPORT_TEXT_MAX, &inner, why);
    if (r < 0)
        return r;
    mask = json_string_value(json_object_get(inner, "mask"));
    if (mask)
        r = ql_parse_hex_u32(mask, strlen(mask), &bits, why);
    if (r == QL_OK && bits >> 24)
        r = ql_fail(why, QL_ERANGE, "mask %.16s has bits above PCR 23", mask);
    if (r < 0)
        return r;
    *has_pcrs = json_object_size(inner) > (mask ? 1u : 0u);
    a->mask = bits;
    a->tpm_policy = strdup(text);
    return a->tpm_policy ? QL_OK : ql_fail_nomem(why);
}

static int read_secrets(const struct ql_cell *row, const struct ql_seal *seal, struct ql_agent_row *a,
                        struct ql_err *why)
{
    uint8_t *v = NULL;
    size_t v_len = 0;
    int r = in_column(ql_cell_base64(&row[V], &v, &v_len, why), "v", why);

    if (r == QL_OK && v)
        r = ql_seal_wrap(seal, v, v_len, &a->v, &a->v_len, why);
    if (v)
        ql_wipe(v, v_len);
    free(v);
    if (r == QL_OK && row[REVOCATION_KEY].text && row[REVOCATION_KEY].len)
        r = ql_seal_wrap(seal, row[REVOCATION_KEY].text, row[REVOCATION_KEY].len, &a->revocation_key,
                         &a->revocation_key_len, why);
    return r;
}

/* @param[out] ret  NULL: none is linked */
static int find_policy(const struct ql_import *g, size_t from, size_t to, const struct ql_cell *number,
                       const struct ql_imported_policy **ret, struct ql_err *why)
{
    int64_t wanted = 0;
    int r = number->text ? ql_cell_int(number, 0, &wanted, why) : QL_OK;

    *ret = NULL;
    if (r < 0 || !number->text)
        return r;
    for (size_t i = from; i < to; i++)
        if (g->policies[i].number == wanted) {
            *ret = &g->policies[i];
            return QL_OK;
        }
    return ql_fail(why, QL_ENOTFOUND, "its policy number %lld is not there or not taken", (long long)wanted);
}

static int link_policy(json_t *all, const char *validator, const struct ql_imported_policy *p)
{
    json_t *entry;

    if (!p || !p->row.content || p->row.generator == GENERATOR_EMPTY)
        return 0;
    entry = json_pack("{s:s}", "name", p->row.name);
    if (p->is_judged && json_object_set_new(entry, "digest", json_string(p->digest)) != 0) {
        json_decref(entry);
        return -1;
    }
    return json_object_set_new(all, validator, entry);
}

/* The column `policies`, as the verifier writes it. */
static int link_policies(struct ql_imported_agent *a, bool has_pcrs, struct ql_err *why)
{
    ql_auto_json json_t *all = json_object();
    uint8_t digest[32];
    char hex[65];
    int bad = all ? 0 : -1;

    if (bad == 0 && has_pcrs) {
        int r = ql_digest_once(QL_SHA256, a->row.tpm_policy, strlen(a->row.tpm_policy), digest);

        if (r < 0)
            return r;
        ql_hex_encode(digest, sizeof digest, hex);
        bad = json_object_set_new(all, "tpm-policy", json_pack("{s:s}", "digest", hex));
    }
    bad = bad ? bad : link_policy(all, "ima", a->runtime);
    bad = bad ? bad : link_policy(all, "mboot", a->mb);
    a->row.policies = bad == 0 ? ql_json_text(all) : NULL;
    if (a->runtime && bad == 0)
        bad = (a->row.runtime_policy_name = strdup(a->runtime->row.name)) ? 0 : -1;
    if (a->mb && bad == 0)
        bad = (a->row.mb_policy_name = strdup(a->mb->row.name)) ? 0 : -1;
    if (a->runtime && a->runtime->is_judged)
        a->row.mask |= 1u << PCR_IMA;
    return bad == 0 && a->row.policies ? QL_OK : ql_fail_nomem(why);
}

static int check_agent(const struct ql_cell *row, const struct ql_agent_row *a, struct ql_err *why)
{
    int64_t accepts = 1;

    if (!a->agent_id || !ql_agent_id_ok(a->agent_id, strlen(a->agent_id)))
        return ql_fail(why, QL_EPARSE, "its id cannot be one");
    if (!a->ip || !*a->ip || a->port < 1 || a->port > 65535)
        return ql_fail(why, QL_EPARSE,
                       "it has no address: agents that push their attestations are not taken");
    if (a->operational_state < 0 || a->operational_state > STATE_MAX)
        return ql_fail(why, QL_EPARSE, "it has no operational_state from 0 to %d", STATE_MAX);
    if (!a->ak_tpm)
        return ql_fail(why, QL_EPARSE, "it has no attestation key");
    if (ql_cell_int(&row[ACCEPTS], 1, &accepts, why) < 0 || accepts != 1)
        return ql_fail(why, QL_EPARSE, "accept_attestations is off");
    return QL_OK;
}

static int read_agent(const struct ql_import *g, const struct ql_cell *row, struct ql_imported_agent *a,
                      struct ql_err *why)
{
    bool has_pcrs = false;
    int r = read_texts(row, &a->row, why);

    a->row.generation = 1;
    if (r == QL_OK)
        r = read_numbers(row, &a->row, why);
    if (r == QL_OK)
        r = in_column(ql_cell_base64(&row[AK], &a->row.ak_tpm, &a->row.ak_tpm_len, why), "ak_tpm", why);
    if (r == QL_OK)
        r = check_agent(row, &a->row, why);
    if (r == QL_OK)
        r = in_column(read_tpm_policy(&row[TPM_POLICY], &a->row, &has_pcrs, why), "tpm_policy", why);
    if (r == QL_OK)
        r = read_secrets(row, g->seal, &a->row, why);
    if (r == QL_OK)
        r = find_policy(g, 0, g->runtime_count, &row[IMA_POLICY], &a->runtime, why);
    if (r == QL_OK)
        r = find_policy(g, g->runtime_count, g->policy_count, &row[MB_POLICY], &a->mb, why);
    return r == QL_OK ? link_policies(a, has_pcrs, why) : r;
}

static int take_agent(void *arg, const struct ql_cell *row, struct ql_err *err)
{
    struct ql_import *g = arg;
    struct ql_imported_agent a = {.runtime = NULL}, *wide;
    struct ql_err why = QL_ERR_INIT;
    int r;

    if (++g->agents_seen > QL_IMPORT_AGENTS_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d agents", QL_IMPORT_AGENTS_MAX);
    r = read_agent(g, row, &a, &why);
    if (r == QL_OK) {
        wide = reallocarray(g->agents, g->agent_count + 1, sizeof *wide);
        if (wide) {
            g->agents = wide;
            wide[g->agent_count++] = a;
            return QL_OK;
        }
        r = QL_ENOMEM;
    }
    ql_agent_row_done(&a.row);
    return r == QL_ENOMEM
               ? ql_fail_nomem(err)
               : ql_import_leave(g, err, "agent %.80s: %s", row[0].text ? row[0].text : "?", why.text);
}

/* ---- what belongs to agents that push ---- */

static int take_count(void *arg, const struct ql_cell *row, struct ql_err *err)
{
    return ql_cell_int(&row[0], 0, arg, err);
}

static int name_table(struct ql_source *s, struct ql_import *g, const char *table, struct ql_err *err)
{
    char sql[128];
    bool is_there = false;
    int64_t count = 0;
    int r = ql_source_has(s, table, &is_there, err);

    if (r < 0 || !is_there)
        return r;
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table); /* fits */
    r = ql_source_each(s, sql, 1, take_count, &count, err);
    return r == QL_OK && count > 0
               ? ql_import_leave(g, err, "table %s: %lld rows, of agents that push their attestations", table,
                                 (long long)count)
               : r;
}

int ql_import_read_verifier(struct ql_source *s, struct ql_import *g, struct ql_err *err)
{
    static const char *const pushed[] = {"attestations", "evidence_items", "sessions"};
    int r =
        ql_source_each(s, "SELECT id, name, ima_policy, generator, tpm_policy FROM allowlists ORDER BY id", 5,
                       take_runtime, g, err);

    if (r == QL_OK)
        r = ql_source_each(s, "SELECT id, name, mb_policy, NULL FROM mbpolicies ORDER BY id", 4, take_mb, g,
                           err);
    if (r == QL_OK)
        r = ql_source_each(s, agents_sql, AGENT_COLUMNS, take_agent, g, err);
    for (size_t i = 0; r == QL_OK && i < QL_ARRAY_LEN(pushed); i++)
        r = name_table(s, g, pushed[i], err);
    g->left_read = g->left_count;
    return r;
}

/* ---- ours ---- */

static int write_policy(struct ql_txn *t, struct ql_import *g, struct ql_imported_policy *p,
                        struct ql_err *err)
{
    const bool is_runtime = strcmp(p->row.kind, "runtime") == 0;
    struct ql_policy_row old = {0};
    bool is_same;
    int r = ql_policies_get(t, p->row.kind, p->row.name, &old, err);

    p->is_there = false;
    if (r == QL_ENOTFOUND) {
        r = ql_policies_put(t, QL_PUT_INSERT, &p->row, err);
        p->is_there = r == QL_OK;
        g->runtime_taken += r == QL_OK && is_runtime;
        g->mb_taken += r == QL_OK && !is_runtime;
        return r;
    }
    if (r < 0)
        return r;
    is_same = old.content_len == p->row.content_len && !old.content == !p->row.content &&
              (!old.content || memcmp(old.content, p->row.content, old.content_len) == 0);
    ql_policy_row_done(&old);
    p->is_there = is_same;
    g->there_already += is_same;
    return is_same ? QL_OK
                   : ql_import_leave(g, err, "%s policy %s: there is one of this name with another content",
                                     is_runtime ? "runtime" : "measured boot", p->row.name);
}

static int write_agent(struct ql_txn *t, struct ql_import *g, const struct ql_imported_agent *a,
                       struct ql_err *err)
{
    struct ql_agent_row old = {0};
    int r = ql_agents_get(t, a->row.agent_id, &old, err);

    ql_agent_row_done(&old);
    if (r == QL_OK)
        return ql_import_leave(g, err, "agent %s: it is there already", a->row.agent_id);
    if (r != QL_ENOTFOUND)
        return r;
    if ((a->runtime && !a->runtime->is_there) || (a->mb && !a->mb->is_there))
        return ql_import_leave(g, err, "agent %s: a policy of its is not taken", a->row.agent_id);
    r = ql_agents_insert(t, &a->row, err);
    g->agents_taken += r == QL_OK;
    return r;
}

int ql_import_write_verifier(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct ql_import *g = arg;
    int r = QL_OK;

    while (g->left_count > g->left_read) /* a transaction may run more than once */
        free(g->left[--g->left_count]);
    g->agents_taken = g->runtime_taken = g->mb_taken = g->there_already = 0;
    for (size_t i = 0; r == QL_OK && i < g->policy_count; i++)
        r = write_policy(t, g, &g->policies[i], err);
    for (size_t i = 0; r == QL_OK && i < g->agent_count; i++)
        r = write_agent(t, g, &g->agents[i], err);
    g->is_complete = r == QL_OK;
    return r == QL_OK && g->is_rehearsal ? ql_fail(err, QL_ECLOSED, "rehearsal") : r;
}
