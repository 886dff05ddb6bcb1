/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence_set.h"

#include <string.h>

#include "clock.h"
#include "encode.h"
#include "error.h"
#include "log.h"
#include "parse.h"

#define QUALIFYING_TAG "quicklime-evidence-1"

/** Members of Keylime's quote answer that a component may feed (spec/agent.md 3.3). */
static const struct legacy_row {
    const char *member;
    bool is_text;             /* else base64 */
    bool has_cursor;          /* starts at ima_ml_entry */
    uint32_t mask;            /* sent only when one of these PCRs is asked for; 0: always */
    const char *entry_member; /* gets the number of the first entry sent */
} LEGACY[] = {
    {.member = "ima_measurement_list",
     .is_text = true,
     .has_cursor = true,
     .entry_member = "ima_measurement_list_entry"},
    {.member = "mb_measurement_list", .mask = 1},
};

struct component {
    const struct ql_evidence *table;
    void *plugin, *handle;
    bool is_open;
    const struct legacy_row *legacy;
};

struct ql_evidence_set {
    struct ql_registry *registry;
    struct component *list; /* ordered by PCR: the boot log before the IMA list (decision 19) */
    size_t count;
};

/** Bytes of one collection. */
struct collection {
    struct ql_sink sink;
    struct ql_buf data;
    struct ql_collected ended;
};

static int sink_write(struct ql_sink *s, const void *data, size_t len)
{
    struct ql_buf *b = s->ctx;

    if (len > b->max_len - b->len)
        return QL_ELIMIT;
    return ql_buf_add(b, data, len);
}

static int check_table(struct component *c, const struct ql_found *found, struct ql_err *err)
{
    const uint32_t binding = c->table->head.flags & (QL_EVIDENCE_BOUND_NONCE | QL_EVIDENCE_BOUND_PCR);
    const char *member = NULL;

    if (c->table->head.size < offsetof(struct ql_evidence, close) + sizeof c->table->close ||
        !c->table->open || !c->table->collect || !c->table->close)
        return ql_fail(err, QL_EABI, "plugin %s: evidence %s: open, collect or close is missing",
                       found->plugin_name, c->table->head.name);
    if ((binding != QL_EVIDENCE_BOUND_NONCE && binding != QL_EVIDENCE_BOUND_PCR) || c->table->pcr > 23)
        return ql_fail(err, QL_ERANGE, "plugin %s: evidence %s is bound neither by nonce nor by one PCR",
                       found->plugin_name, c->table->head.name);
    if (c->table->head.size >= offsetof(struct ql_evidence, legacy_member) + sizeof c->table->legacy_member)
        member = c->table->legacy_member;
    for (size_t i = 0; member && i < QL_ARRAY_LEN(LEGACY); i++)
        if (strcmp(LEGACY[i].member, member) == 0)
            c->legacy = &LEGACY[i];
    if (member && (!c->legacy || binding != QL_EVIDENCE_BOUND_PCR))
        return ql_fail(err, QL_ERANGE, "plugin %s: evidence %s cannot feed the member %s", found->plugin_name,
                       c->table->head.name, member);
    return QL_OK;
}

static int by_pcr(const void *a, const void *b)
{
    const struct component *x = a, *y = b;

    if (x->table->pcr != y->table->pcr)
        return x->table->pcr < y->table->pcr ? -1 : 1;
    return strcmp(x->table->head.name, y->table->head.name);
}

int ql_evidence_set_open(struct ql_registry *registry, struct ql_evidence_set **ret, struct ql_err *err)
{
    ql_auto(ql_evidence_set_closep) struct ql_evidence_set *s = calloc(1, sizeof *s);
    size_t count = 0;

    while (ql_registry_at(registry, QL_KIND_EVIDENCE, count).head)
        count++;
    if (s) {
        s->registry = registry;
        s->list = calloc(count > 0 ? count : 1, sizeof *s->list);
    }
    if (!s || !s->list)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        const struct ql_found found = ql_registry_at(registry, QL_KIND_EVIDENCE, i);
        struct component *c = &s->list[s->count++];
        int r;

        c->table = (const struct ql_evidence *)(const void *)found.head;
        c->plugin = found.plugin;
        r = check_table(c, &found, err);
        if (r < 0)
            return r;
        r = c->table->open(c->plugin, &c->handle, err);
        if (r < 0)
            return ql_fail_context(err, r, "evidence %s", found.head->name);
        c->is_open = true;
    }
    qsort(s->list, s->count, sizeof *s->list, by_pcr);
    for (size_t i = 0; i < s->count; i++)
        for (size_t j = i + 1; j < s->count; j++)
            if (s->list[i].legacy && s->list[i].legacy == s->list[j].legacy)
                return ql_fail(err, QL_EEXIST, "evidence %s and %s both feed %s", s->list[i].table->head.name,
                               s->list[j].table->head.name, s->list[i].legacy->member);
    *ret = ql_steal(s);
    return QL_OK;
}

void ql_evidence_set_close(struct ql_evidence_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; s->list && i < s->count; i++)
        if (s->list[i].is_open)
            s->list[i].table->close(s->list[i].plugin, s->list[i].handle);
    free(s->list);
    free(s);
}

json_t *ql_evidence_set_names(const struct ql_evidence_set *s)
{
    json_t *names = json_array();

    for (size_t i = 0; names && i < s->count; i++)
        if (json_array_append_new(names, json_string(s->list[i].table->head.name)) < 0) {
            json_decref(names);
            return NULL;
        }
    return names;
}

/* @param text hex digits */
static int parse_parameters(const char *text, size_t len, struct ql_evidence_ask *item, struct ql_err *err)
{
    ql_auto_json json_t *value = NULL;
    size_t bytes = 0;
    int r =
        ql_hex_decode_upto(text, len, (uint8_t *)item->parameters, sizeof item->parameters - 1, &bytes, err);

    if (r == QL_OK)
        r = ql_json_parse(item->parameters, bytes, bytes, &value, err);
    item->parameters[r == QL_OK ? bytes : 0] = '\0';
    return r < 0 ? ql_fail(err, QL_EPARSE, "parameters of evidence %s are not JSON of 1 to %u bytes in hex",
                           item->name, QL_NEED_PARAMETERS_MAX)
                 : QL_OK;
}

static int parse_item(const char *at, size_t len, size_t number, struct ql_evidence_ask *item,
                      struct ql_err *err)
{
    const size_t name_len = strcspn(at, ":,");
    const char *cursor = at + name_len + 1, *end = at + len, *more;

    if (!ql_component_name_ok(at, name_len) || name_len >= sizeof item->name || at[name_len] != ':')
        return ql_fail(err, QL_EPARSE, "evidence item %zu is not NAME:CURSOR", number);
    more = memchr(cursor, ':', (size_t)(end - cursor));
    if (ql_parse_u64(cursor, (size_t)((more ? more : end) - cursor), 0, UINT64_MAX, &item->cursor, NULL) < 0)
        return ql_fail(err, QL_EPARSE, "evidence item %zu: the cursor is not a number below 2^64", number);
    memcpy(item->name, at, name_len);
    return more ? parse_parameters(more + 1, (size_t)(end - more - 1), item, err) : QL_OK;
}

int ql_evidence_asked_parse(const char *text, struct ql_evidence_asked *ret, struct ql_err *err)
{
    struct ql_evidence_asked asked = {0};
    const char *at = text;

    if (strlen(text) > QL_EVIDENCE_QUERY_MAX)
        return ql_fail(err, QL_ELIMIT, "evidence of %zu characters, at most %d", strlen(text),
                       QL_EVIDENCE_QUERY_MAX);
    for (;;) {
        const size_t len = strcspn(at, ",");
        struct ql_evidence_ask *item = &asked.items[asked.count];
        int r;

        if (asked.count == QL_EVIDENCE_ASKED_MAX)
            return ql_fail(err, QL_ELIMIT, "evidence names more than %d items", QL_EVIDENCE_ASKED_MAX);
        r = parse_item(at, len, asked.count + 1, item, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < asked.count; i++)
            if (strcmp(asked.items[i].name, item->name) == 0)
                return ql_fail(err, QL_EEXIST, "evidence names %s twice", item->name);
        asked.count++;
        if (at[len] == '\0')
            break;
        at += len + 1;
    }
    *ret = asked;
    return QL_OK;
}

void ql_evidence_answer_done(struct ql_evidence_answer *a)
{
    json_decref(a->by_name);
    json_decref(a->legacy);
    *a = (struct ql_evidence_answer){0};
}

static const struct ql_evidence_ask *find_ask(const struct ql_evidence_asked *asked, const char *name)
{
    for (size_t i = 0; asked && i < asked->count; i++)
        if (strcmp(asked->items[i].name, name) == 0)
            return &asked->items[i];
    return NULL;
}

/** Run one component. @return false: it failed; its name is left out and the log says why */
static bool run(struct ql_evidence_set *s, const struct component *c, const char *parameters, uint64_t cursor,
                size_t max_len, struct collection *ret)
{
    struct ql_err err = QL_ERR_INIT;
    int r;

    ret->data = ql_buf_init(max_len);
    ret->sink = (struct ql_sink){.size = sizeof ret->sink, .ctx = &ret->data, .write = sink_write};
    ret->ended = (struct ql_collected){.size = sizeof ret->ended};
    ql_registry_set_deadline(s->registry, ql_mono_ns() + QL_EVIDENCE_TIME_MS * QL_NS_PER_MS);
    r = c->table->collect(c->plugin, c->handle, parameters, cursor, &ret->sink, &ret->ended, &err);
    ql_registry_set_deadline(s->registry, INT64_MAX);
    if (r == 0 && !ret->data.failed)
        return true;
    ql_log(QL_WARN, "evidence", "evidence %s is left out of the answer: %s", c->table->head.name,
           r < 0 ? err.text : "out of memory");
    ql_buf_done(&ret->data);
    return false;
}

static int add_base64(json_t *object, const char *key, const struct ql_buf *data, struct ql_err *err)
{
    ql_auto_free char *text = ql_base64_dup(data->data, data->len);

    if (!text || json_object_set_new(object, key, json_string(text)) < 0)
        return ql_fail_nomem(err);
    return QL_OK;
}

static int add_named(const char *name, const struct collection *c, struct ql_evidence_answer *a,
                     struct ql_err *err)
{
    ql_auto_json json_t *item = json_object();
    int r = item ? add_base64(item, "data", &c->data, err) : ql_fail_nomem(err);

    if (r < 0)
        return r;
    /* Cursors beyond what JSON integers hold are nobody's. */
    if (c->ended.cursor_from > INT64_MAX || c->ended.cursor_to > INT64_MAX)
        return ql_fail(err, QL_ERANGE, "evidence %s: cursor above 2^63", name);
    if (json_object_set_new(item, "cursor", json_integer((json_int_t)c->ended.cursor_to)) < 0 ||
        json_object_set_new(item, "from", json_integer((json_int_t)c->ended.cursor_from)) < 0 ||
        json_object_set(a->by_name, name, item) < 0)
        return ql_fail_nomem(err);
    return QL_OK;
}

static int add_legacy(const struct legacy_row *row, const struct collection *c, struct ql_evidence_answer *a,
                      struct ql_err *err)
{
    if (!a->legacy)
        a->legacy = json_object();
    if (!a->legacy)
        return ql_fail_nomem(err);
    if (!row->is_text)
        return add_base64(a->legacy, row->member, &c->data, err);
    /* Names of files are bytes: what is no UTF-8 goes out as \udcXX (reply.c). */
    if (json_object_set_new(
            a->legacy, row->member,
            json_stringn_nocheck(c->data.data ? (const char *)c->data.data : "", c->data.len)) < 0)
        return ql_fail_nomem(err);
    if (row->entry_member &&
        json_object_set_new(a->legacy, row->entry_member,
                            json_integer((json_int_t)(c->ended.cursor_from & INT64_MAX))) < 0)
        return ql_fail_nomem(err);
    return QL_OK;
}

/** Remember the digest of an item that the qualifying data must cover; the list stays ordered by name. */
static int bind_item(const char *name, const struct collection *c, struct ql_evidence_answer *a,
                     struct ql_err *err)
{
    size_t at = a->bound_count;
    uint8_t digest[QL_DIGEST_MAX];

    if (ql_digest_once(QL_SHA256, c->data.data, c->data.len, digest) < 0)
        return ql_fail(err, QL_ECRYPTO, "evidence %s: SHA-256 failed", name);
    while (at > 0 && strcmp(a->bound[at - 1].name, name) > 0) {
        a->bound[at] = a->bound[at - 1];
        at--;
    }
    snprintf(a->bound[at].name, sizeof a->bound[at].name, "%s", name);
    memcpy(a->bound[at].digest, digest, sizeof a->bound[at].digest);
    a->bound_count++;
    return QL_OK;
}

static int collect_one(struct ql_evidence_set *s, const struct component *c,
                       const struct ql_evidence_want *want, struct ql_evidence_answer *a, struct ql_err *err)
{
    const struct ql_evidence_ask *ask = find_ask(want->asked, c->table->head.name);
    const struct legacy_row *row = c->legacy;
    ql_auto(ql_buf_done) struct ql_buf bytes = {0};
    struct collection got;
    uint64_t cursor = 0;
    int r;

    if (ask)
        cursor = ask->cursor;
    else if (!want->legacy || !row || (row->mask != 0 && !(row->mask & want->mask)))
        return QL_OK;
    else if (row->has_cursor)
        cursor = want->ima_entry;
    if (!run(s, c, ask && *ask->parameters ? ask->parameters : NULL, cursor, want->max_len, &got))
        return QL_OK;
    bytes = got.data; /* freed with this scope */
    if (!ask)
        return add_legacy(row, &got, a, err);
    r = add_named(ask->name, &got, a, err);
    if (r == 0 && (c->table->head.flags & QL_EVIDENCE_BOUND_NONCE))
        r = bind_item(ask->name, &got, a, err);
    return r;
}

int ql_evidence_collect(struct ql_evidence_set *s, const struct ql_evidence_want *want,
                        enum ql_evidence_phase phase, struct ql_evidence_answer *a, struct ql_err *err)
{
    if (want->asked && !a->by_name) {
        a->by_name = json_object();
        if (!a->by_name)
            return ql_fail_nomem(err);
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct component *c = &s->list[i];
        const bool before = (c->table->head.flags & QL_EVIDENCE_BOUND_NONCE) != 0;
        int r;

        if (before != (phase == QL_EVIDENCE_BEFORE))
            continue;
        r = collect_one(s, c, want, a, err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

int ql_evidence_qualifying(const struct ql_evidence_answer *a, const char *nonce, uint8_t out[32])
{
    ql_auto_buf struct ql_buf b = ql_buf_init((size_t)16 * 1024); /* 16 items of 67 bytes and a nonce */
    uint8_t digest[QL_DIGEST_MAX];

    (void)ql_buf_add_text(&b, QUALIFYING_TAG); /* one check at the end is enough */
    (void)ql_buf_add_tpm2b(&b, nonce, strlen(nonce));
    for (size_t i = 0; i < a->bound_count; i++) {
        (void)ql_buf_add_tpm2b(&b, a->bound[i].name, strlen(a->bound[i].name));
        (void)ql_buf_add(&b, a->bound[i].digest, sizeof a->bound[i].digest);
    }
    if (b.failed || ql_digest_once(QL_SHA256, b.data, b.len, digest) < 0)
        return QL_ECRYPTO;
    memcpy(out, digest, 32);
    return QL_OK;
}
