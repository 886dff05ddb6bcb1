/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clock.h"
#include "error.h"
#include "json.h"
#include "log.h"
#include "verifier.h"
#include "version.h"

enum {
    FIRST_BUCKETS = 256,
    OPTIONS_MAX = 1024 * 1024 /* bytes of an agent's options, as workers take them */
};

/* ---- table ---- */

static size_t hash(const char *id)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a; ids come from admins, none is chosen to collide */

    for (; *id; id++)
        h = (h ^ (uint8_t)*id) * UINT64_C(1099511628211);
    return (size_t)(h ^ h >> 32);
}

static struct ql_agent **place(const struct ql_agent_table *t, const char *id)
{
    struct ql_agent **at = &t->buckets[hash(id) & (t->bucket_count - 1)];

    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->chain;
    return at;
}

struct ql_agent *ql_agents_find(const struct ql_agent_table *t, const char *id)
{
    return t->bucket_count ? *place(t, id) : NULL;
}

static int grow(struct ql_agent_table *t, struct ql_err *err)
{
    struct ql_agent_table wide = {.bucket_count = t->bucket_count ? t->bucket_count * 2 : FIRST_BUCKETS,
                                  .count = t->count};

    if (t->count < t->bucket_count)
        return QL_OK;
    wide.buckets = calloc(wide.bucket_count, sizeof(struct ql_agent *));
    if (!wide.buckets)
        return ql_fail_nomem(err);
    for (size_t b = 0; b < t->bucket_count; b++)
        for (struct ql_agent *a = t->buckets[b], *next; a; a = next) {
            struct ql_agent **at = place(&wide, a->id);

            next = a->chain;
            a->chain = NULL;
            *at = a;
        }
    free(t->buckets);
    *t = wide;
    return QL_OK;
}

void ql_agents_visit(struct ql_agent_table *t, void (*fn)(struct ql_agent *a, void *arg), void *arg)
{
    for (size_t b = 0; b < t->bucket_count; b++)
        for (struct ql_agent *a = t->buckets[b], *next; a; a = next) {
            next = a->chain;
            fn(a, arg);
        }
}

void ql_agents_table_done(struct ql_agent_table *t)
{
    for (size_t b = 0; b < t->bucket_count; b++)
        while (t->buckets[b])
            ql_agent_remove(t->buckets[b]);
    free(t->buckets);
    *t = (struct ql_agent_table){0};
}

/* ---- what is under way ---- */

struct ql_op *ql_op_new(struct ql_agent *a, const char *what)
{
    struct ql_op *op = calloc(1, sizeof *op);

    if (!op)
        return NULL;
    op->agent = a;
    op->verifier = a->verifier;
    op->what = what;
    op->started_ns = ql_mono_ns();
    a->op = op;
    return op;
}

void ql_op_free(struct ql_op *op)
{
    if (!op)
        return;
    if (op->agent)
        op->agent->op = NULL;
    ql_failing_free(op->failing);
    ql_sending_free(op->sending);
    free(op);
}

void ql_agent_halt(struct ql_agent *a)
{
    ql_schedule_cancel(a);
    if (a->op) {
        a->op->agent = NULL;
        a->op = NULL;
    }
    if (a->peer)
        ql_peer_free(a->peer); /* ends a call: its callback finds that nobody waits */
    a->peer = NULL;
}

/* ---- making ---- */

static void agent_free(struct ql_agent *a)
{
    for (size_t i = 0; i < a->policy_count; i++)
        ql_contents_unref(a->verifier->contents, a->policies[i].digest);
    if (a->timer)
        event_free(a->timer);
    free(a->policies);
    free(a->ip);
    free(a->pin);
    free(a->ak);
    free(a->accept);
    free(a->options);
    free(a->evidence);
    free(a->v);
    free(a->nk_n);
    free(a->pubkey);
    free(a->clock);
    free(a->kept);
    json_decref(a->cursors);
    json_decref(a->facts);
    free(a);
}
QL_DEFINE_CLEANUP(struct ql_agent, agent_free)

void ql_agent_remove(struct ql_agent *a)
{
    struct ql_agent **at = place(&a->verifier->agents, a->id);

    ql_agent_halt(a);
    if (*at == a) {
        *at = a->chain;
        a->verifier->agents.count--;
    }
    agent_free(a);
}

static int copy_bytes(const uint8_t *from, size_t len, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    if (!from)
        return QL_OK;
    *ret = malloc(len ? len : 1);
    if (!*ret)
        return ql_fail_nomem(err);
    memcpy(*ret, from, len);
    *ret_len = len;
    return QL_OK;
}

static int copy_text(const char *from, char **ret, struct ql_err *err)
{
    if (!from)
        return QL_OK;
    *ret = strdup(from);
    return *ret ? QL_OK : ql_fail_nomem(err);
}

static void copy_alg(char *to, const char *from)
{
    size_t len = from ? strnlen(from, QL_ALG_NAME_MAX) : 0;

    if (len)
        memcpy(to, from, len);
    to[len] = '\0';
}

static int make_accept(const struct ql_agent_row *row, char **ret, struct ql_err *err)
{
    if (asprintf(ret, "{\"hash\": %s, \"enc\": %s, \"sign\": %s}", row->accept_hash ? row->accept_hash : "[]",
                 row->accept_enc ? row->accept_enc : "[]", row->accept_sign ? row->accept_sign : "[]") < 0) {
        *ret = NULL;
        return ql_fail_nomem(err);
    }
    return QL_OK;
}

static int read_address(struct ql_agent *a, const struct ql_agent_row *row, struct ql_err *err)
{
    bool is_disabled = row->mtls_cert && strcmp(row->mtls_cert, "disabled") == 0;

    if (!row->ip || row->port < 1 || row->port > 65535)
        return ql_fail(err, QL_ERANGE, "address is missing");
    a->port = (uint16_t)row->port;
    if (!row->mtls_cert || is_disabled) {
        if (ql_config_bool(a->verifier->config, "verifier", "enable_agent_mtls"))
            return ql_fail(err, QL_ERANGE, "mTLS certificate for agent is required!");
        a->is_plain = true;
    } else {
        int r = ql_pem_der(row->mtls_cert, &a->pin, &a->pin_len, err);

        if (r < 0)
            return r;
    }
    if (!row->supported_version ||
        ql_api_parse(row->supported_version, strlen(row->supported_version), &a->api, NULL) < 0 ||
        a->api < QL_API(2, 0) || a->api > QL_API_NEWEST)
        a->api = QL_API_NEWEST;
    return copy_text(row->ip, &a->ip, err);
}

static int read_mask(struct ql_agent *a, const struct ql_agent_row *row, struct ql_err *err)
{
    uint32_t mask = 0;
    bool has_pcrs;
    int r = QL_OK;

    a->mask = (uint32_t)row->mask;
    if (row->tpm_policy)
        r = ql_tpm_policy_read(row->tpm_policy, strlen(row->tpm_policy), &mask, a->mask_text, &has_pcrs, err);
    /* Keylime's agents are sent the text that was uploaded, unless the policies need more than it says. */
    if (r == QL_OK && (mask != a->mask || a->mask_text[0] == '\0'))
        (void)snprintf(a->mask_text, sizeof a->mask_text, "0x%x", a->mask);
    return r;
}

static int read_policies(struct ql_agent *a, const struct ql_loaded *loaded, struct ql_err *err)
{
    a->policies = calloc(loaded->policy_count ? loaded->policy_count : 1, sizeof *a->policies);
    if (!a->policies)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < loaded->policy_count; i++) {
        struct ql_policy_ref *ref = &a->policies[i];
        int r = ql_contents_ref(a->verifier->contents, loaded->policies[i].digest,
                                loaded->policies[i].content, loaded->policies[i].len, err);

        /* Without its content there is no verdict: the check fails, and says so. */
        if (r < 0 && r != QL_ENOTFOUND)
            return r;
        memcpy(ref->validator, loaded->policies[i].validator, sizeof ref->validator);
        memcpy(ref->digest, loaded->policies[i].digest, sizeof ref->digest);
        a->policy_count++;
    }
    return QL_OK;
}

/* What validators are told of an agent: its options, and Keylime's field for keys that sign its files. */
static int make_options(const struct ql_agent_row *row, char **ret, struct ql_err *err)
{
    const char *keys = row->ima_sign_verification_keys;
    ql_auto_json json_t *options = NULL;
    int r;

    if (!keys || !*keys || strcmp(keys, "[]") == 0)
        return row->options && strcmp(row->options, "{}") != 0 ? copy_text(row->options, ret, err) : QL_OK;
    if (row->options) {
        r = ql_json_parse_object(row->options, strlen(row->options), OPTIONS_MAX, &options, err);
        if (r < 0)
            return r;
    } else {
        options = json_object();
    }
    if (!options || json_object_set_new(options, "ima_sign_verification_keys", json_string(keys)) != 0)
        return ql_fail_nomem(err);
    *ret = ql_json_text(options);
    return *ret ? QL_OK : ql_fail_nomem(err);
}

static int read_row(struct ql_agent *a, const struct ql_agent_row *row, struct ql_err *err)
{
    int r = read_address(a, row, err);

    if (r == QL_OK)
        r = read_mask(a, row, err);
    if (r == QL_OK)
        r = copy_bytes(row->ak_tpm, row->ak_tpm_len, &a->ak, &a->ak_len, err);
    if (r == QL_OK && !a->ak)
        r = ql_fail(err, QL_ERANGE, "attestation key is missing");
    if (r == QL_OK)
        r = make_accept(row, &a->accept, err);
    if (r == QL_OK)
        r = make_options(row, &a->options, err);
    if (r == QL_OK && row->needs)
        r = ql_needs_evidence(row->needs, &a->evidence, err);
    if (r == QL_OK)
        r = copy_bytes(row->v, row->v_len, &a->v, &a->v_len, err);
    if (r == QL_OK)
        r = copy_text(row->public_key, &a->pubkey, err);
    if (r == QL_OK)
        r = copy_text(row->clock, &a->clock, err);
    if (r == QL_OK && row->state_len > 0)
        r = copy_bytes(row->state, row->state_len, &a->kept, &a->kept_len, err);
    a->kept_number = row->state_number;
    a->attestation_count = row->attestation_count;
    a->last_received_quote = row->last_received_quote;
    a->last_successful_attestation = row->last_successful_attestation;
    copy_alg(a->hash_alg, row->hash_alg);
    copy_alg(a->enc_alg, row->enc_alg);
    copy_alg(a->sign_alg, row->sign_alg);
    return r;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ql_schedule_due(arg);
}

int ql_agent_add(struct ql_verifier *v, const struct ql_loaded *loaded, struct ql_agent **ret,
                 struct ql_err *err)
{
    ql_auto(agent_freep) struct ql_agent *a = calloc(1, sizeof *a);
    struct ql_agent **at;
    int r;

    if (!a)
        return ql_fail_nomem(err);
    a->verifier = v;
    a->generation = loaded->row.generation;
    a->claim_no = loaded->row.claim_no;
    a->state = loaded->row.operational_state;
    a->severity = -1;
    a->ask_full = true;
    if (strlen(loaded->row.agent_id) >= sizeof a->id)
        return ql_fail(err, QL_ELIMIT, "agent id of %zu characters", strlen(loaded->row.agent_id));
    memcpy(a->id, loaded->row.agent_id, strlen(loaded->row.agent_id) + 1);
    r = read_policies(a, loaded, err);
    if (r == QL_OK)
        r = read_row(a, &loaded->row, err);
    if (r == QL_OK && !(a->timer = evtimer_new(v->base, on_timer, a)))
        r = ql_fail_nomem(err);
    if (r == QL_OK)
        r = grow(&v->agents, err);
    if (r < 0)
        return r;
    at = place(&v->agents, a->id);
    if (*at)
        ql_agent_remove(*at);
    at = place(&v->agents, a->id);
    *at = a;
    v->agents.count++;
    *ret = ql_steal(a);
    return QL_OK;
}

/* ---- what the store has not got yet ---- */

void ql_agent_progress(const struct ql_agent *a, bool clock, bool pubkey, bool kept)
{
    const struct ql_agent_progress p = {
        .agent_id = a->id,
        .generation = a->generation,
        .claim_no = a->claim_no,
        .operational_state = a->state,
        .attestation_count = a->attestation_count,
        .last_received_quote = a->last_received_quote,
        .last_successful_attestation = a->last_successful_attestation,
        .hash_alg = a->hash_alg,
        .enc_alg = a->enc_alg,
        .sign_alg = a->sign_alg,
        .clock = clock ? a->clock : NULL,
        .public_key = pubkey ? a->pubkey : NULL,
        .state = kept ? (a->kept ? a->kept : (const uint8_t *)"") : NULL,
        .state_len = a->kept_len,
        .state_number = a->kept_number,
    };

    ql_agents_progress(a->verifier->store, &p);
}

struct ql_live {
    int64_t generation;
    int64_t attestation_count, last_received_quote, last_successful_attestation;
    char hash_alg[QL_ALG_NAME_MAX + 1], enc_alg[QL_ALG_NAME_MAX + 1], sign_alg[QL_ALG_NAME_MAX + 1];
    char *clock, *pubkey;
    uint8_t *kept;
    size_t kept_len;
    int64_t kept_number;
};

struct ql_live *ql_live_take(const struct ql_agent *a)
{
    ql_auto(ql_live_freep) struct ql_live *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->generation = a->generation;
    l->attestation_count = a->attestation_count;
    l->last_received_quote = a->last_received_quote;
    l->last_successful_attestation = a->last_successful_attestation;
    copy_alg(l->hash_alg, a->hash_alg);
    copy_alg(l->enc_alg, a->enc_alg);
    copy_alg(l->sign_alg, a->sign_alg);
    l->kept_number = a->kept_number;
    if (copy_text(a->clock, &l->clock, NULL) < 0 || copy_text(a->pubkey, &l->pubkey, NULL) < 0 ||
        copy_bytes(a->kept, a->kept_len, &l->kept, &l->kept_len, NULL) < 0)
        return NULL;
    return ql_steal(l);
}

static int replace_text(char **at, const char *text, struct ql_err *err)
{
    char *copy = NULL;
    int r = copy_text(text, &copy, err);

    if (r < 0)
        return r;
    free(*at);
    *at = copy;
    return QL_OK;
}

int ql_live_apply(const struct ql_live *l, struct ql_agent_row *row, struct ql_err *err)
{
    int r;

    if (!l || l->generation != row->generation)
        return QL_OK;
    row->attestation_count = l->attestation_count;
    row->last_received_quote = l->last_received_quote;
    row->last_successful_attestation = l->last_successful_attestation;
    row->state_number = l->kept_number;
    r = replace_text(&row->hash_alg, l->hash_alg, err);
    if (r == QL_OK)
        r = replace_text(&row->enc_alg, l->enc_alg, err);
    if (r == QL_OK)
        r = replace_text(&row->sign_alg, l->sign_alg, err);
    if (r == QL_OK && l->clock)
        r = replace_text(&row->clock, l->clock, err);
    if (r == QL_OK && l->pubkey)
        r = replace_text(&row->public_key, l->pubkey, err);
    if (r < 0)
        return r;
    free(row->state);
    row->state = NULL;
    row->state_len = 0;
    return copy_bytes(l->kept, l->kept_len, &row->state, &row->state_len, err);
}

int64_t ql_live_generation(const struct ql_live *l)
{
    return l->generation;
}

void ql_live_free(struct ql_live *l)
{
    if (!l)
        return;
    free(l->clock);
    free(l->pubkey);
    free(l->kept);
    free(l);
}
