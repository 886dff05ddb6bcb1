/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "answer.h"
#include "cleanup.h"
#include "error.h"
#include "parse.h"

enum member_type {
    MEMBER_TEXT,
    MEMBER_INTEGER
};

/** Members of the results object. */
static const struct member {
    const char *name;
    enum member_type type;
    size_t at;     /* of the value in struct ql_answer */
    size_t has_at; /* integers: of the flag */
} members[] = {
    {"quote", MEMBER_TEXT, offsetof(struct ql_answer, quote), 0},
    {"hash_alg", MEMBER_TEXT, offsetof(struct ql_answer, hash_alg), 0},
    {"enc_alg", MEMBER_TEXT, offsetof(struct ql_answer, enc_alg), 0},
    {"sign_alg", MEMBER_TEXT, offsetof(struct ql_answer, sign_alg), 0},
    {"pubkey", MEMBER_TEXT, offsetof(struct ql_answer, pubkey), 0},
    {"ima_measurement_list", MEMBER_TEXT, offsetof(struct ql_answer, ima_list), 0},
    {"mb_measurement_list", MEMBER_TEXT, offsetof(struct ql_answer, mb_log), 0},
    {"boottime", MEMBER_INTEGER, offsetof(struct ql_answer, boottime),
     offsetof(struct ql_answer, has_boottime)},
    {"ima_measurement_list_entry", MEMBER_INTEGER, offsetof(struct ql_answer, entry),
     offsetof(struct ql_answer, has_entry)},
    /* last: the one-shot calls' name for the boot log */
    {"mb_log", MEMBER_TEXT, offsetof(struct ql_answer, mb_log), 0},
};

/** Where the walk is: the key that the next value belongs to, by depth below the results object. */
struct reading {
    struct ql_answer *answer;
    bool whole_body;
    unsigned base; /* depth of the results object */
    bool in_results, seen_results;
    bool awaits_results, awaits_evidence, in_evidence, awaits_item, in_item;
    const struct member *member; /* of the results object, whose value comes next */
    struct ql_answer_evidence *item;
    bool has_data;
    enum {
        FIELD_OTHER,
        FIELD_DATA,
        FIELD_CURSOR,
        FIELD_FROM
    } field;
};

static int member_key(struct reading *r, const struct ql_text *key)
{
    size_t count = QL_ARRAY_LEN(members) - (r->whole_body ? 1 : 0);

    r->member = NULL;
    for (size_t i = 0; i < count; i++)
        if (ql_text_is(key, members[i].name))
            r->member = &members[i];
    r->awaits_evidence = ql_text_is(key, "evidence");
    return QL_OK;
}

static int evidence_key(struct reading *r, const struct ql_text *key, struct ql_err *err)
{
    struct ql_answer *a = r->answer;
    char name[33];

    /* Component names need no escapes: who sends them does not mean to be read. */
    if (key->escaped || key->raw_len >= sizeof name || !ql_component_name_ok(key->raw, key->raw_len))
        return ql_fail(err, QL_EPARSE, "evidence with a name that is not 1 to 32 characters out of a-z0-9-");
    if (a->evidence_count == QL_EVIDENCE_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d evidence items", QL_EVIDENCE_MAX);
    r->item = &a->evidence[a->evidence_count++];
    *r->item = (struct ql_answer_evidence){0};
    memcpy(r->item->name, key->raw, key->raw_len);
    r->awaits_item = true;
    r->has_data = false;
    return QL_OK;
}

static void item_key(struct reading *r, const struct ql_text *key)
{
    r->field = ql_text_is(key, "data")     ? FIELD_DATA
               : ql_text_is(key, "cursor") ? FIELD_CURSOR
               : ql_text_is(key, "from")   ? FIELD_FROM
                                           : FIELD_OTHER;
}

static int on_key(struct reading *r, const struct ql_scan_event *e, struct ql_err *err)
{
    if (r->whole_body && e->depth == 1) {
        r->awaits_results = ql_text_is(&e->text, "results");
        return QL_OK;
    }
    if (!r->in_results)
        return QL_OK;
    if (e->depth == r->base)
        return member_key(r, &e->text);
    if (r->in_evidence && e->depth == r->base + 1)
        return evidence_key(r, &e->text, err);
    if (r->in_item && e->depth == r->base + 2)
        item_key(r, &e->text);
    return QL_OK;
}

static int on_member(struct reading *r, const struct ql_scan_event *e, struct ql_err *err)
{
    const struct member *m = r->member;
    char *at = (char *)r->answer + m->at;

    r->member = NULL;
    if (e->kind == QL_SCAN_NULL)
        return QL_OK;
    if (m->type == MEMBER_TEXT && e->kind == QL_SCAN_STRING) {
        struct ql_text seen;

        if (e->text.foreign && m->at != offsetof(struct ql_answer, ima_list))
            return ql_fail(err, QL_EPARSE, "member \"%s\" is not UTF-8", m->name);
        memcpy(&seen, at, sizeof seen);
        if (seen.raw)
            return ql_fail(err, QL_EPARSE, "member \"%s\" is there under two names", m->name);
        memcpy(at, &e->text, sizeof e->text);
        return QL_OK;
    }
    if (m->type == MEMBER_INTEGER && e->kind == QL_SCAN_INTEGER) {
        memcpy(at, &e->integer, sizeof e->integer);
        memcpy((char *)r->answer + m->has_at, &(bool){true}, sizeof(bool));
        return QL_OK;
    }
    return ql_fail(err, QL_EPARSE, "member \"%s\" must be %s", m->name,
                   m->type == MEMBER_TEXT ? "text" : "an integer of 64 bits");
}

static int on_field(struct reading *r, const struct ql_scan_event *e, struct ql_err *err)
{
    switch (r->field) {
    case FIELD_OTHER:
        return QL_OK;
    case FIELD_DATA:
        if (e->kind != QL_SCAN_STRING || e->text.foreign)
            break;
        r->item->data = e->text;
        r->has_data = true;
        return QL_OK;
    case FIELD_CURSOR:
    case FIELD_FROM:
        if (e->kind != QL_SCAN_INTEGER || e->integer < 0)
            break;
        *(r->field == FIELD_CURSOR ? &r->item->cursor : &r->item->from) = (uint64_t)e->integer;
        return QL_OK;
    }
    return ql_fail(err, QL_EPARSE, "evidence \"%s\": data must be text, cursor and from numbers from 0",
                   r->item->name);
}

/* A value, or the opening bracket of one; e->depth counts the opened container itself. */
static int on_value(struct reading *r, const struct ql_scan_event *e, struct ql_err *err)
{
    bool opens = e->kind == QL_SCAN_OBJECT || e->kind == QL_SCAN_ARRAY;
    unsigned depth = e->depth - (opens ? 1 : 0); /* of the container that the value is a member of */

    if (r->awaits_results && depth == 1) {
        r->awaits_results = false;
        if (e->kind != QL_SCAN_OBJECT)
            return ql_fail(err, QL_EPARSE, "member \"results\" must be an object");
        r->in_results = r->seen_results = true;
        return QL_OK;
    }
    if (!r->in_results)
        return QL_OK;
    if (depth == r->base && r->member)
        return on_member(r, e, err);
    if (depth == r->base && r->awaits_evidence) {
        r->awaits_evidence = false;
        if (e->kind == QL_SCAN_NULL)
            return QL_OK;
        if (e->kind != QL_SCAN_OBJECT)
            return ql_fail(err, QL_EPARSE, "member \"evidence\" must be an object");
        r->in_evidence = r->answer->has_evidence = true;
        return QL_OK;
    }
    if (r->awaits_item && depth == r->base + 1) {
        r->awaits_item = false;
        if (e->kind != QL_SCAN_OBJECT)
            return ql_fail(err, QL_EPARSE, "evidence \"%s\" must be an object", r->item->name);
        r->in_item = true;
        return QL_OK;
    }
    if (r->in_item && depth == r->base + 2)
        return on_field(r, e, err);
    return QL_OK;
}

static int on_end(struct reading *r, const struct ql_scan_event *e, struct ql_err *err)
{
    if (!r->in_results)
        return QL_OK;
    if (r->in_item && e->depth == r->base + 2) {
        r->in_item = false;
        if (!r->has_data)
            return ql_fail(err, QL_EPARSE, "evidence \"%s\" has no data", r->item->name);
    } else if (r->in_evidence && e->depth == r->base + 1) {
        r->in_evidence = false;
    } else if (e->depth == r->base) {
        r->in_results = false;
    }
    return QL_OK;
}

static int on_event(void *arg, const struct ql_scan_event *e, struct ql_err *err)
{
    struct reading *r = arg;

    switch (e->kind) {
    case QL_SCAN_KEY:
        return on_key(r, e, err);
    case QL_SCAN_OBJECT_END:
    case QL_SCAN_ARRAY_END:
        return on_end(r, e, err);
    case QL_SCAN_OBJECT:
        if (e->depth == 1)
            return QL_OK;
        return on_value(r, e, err);
    case QL_SCAN_ARRAY:
        if (e->depth == 1)
            return ql_fail(err, QL_EPARSE, "answer is not an object");
        return on_value(r, e, err);
    case QL_SCAN_STRING:
    case QL_SCAN_INTEGER:
    case QL_SCAN_REAL:
    case QL_SCAN_TRUE:
    case QL_SCAN_FALSE:
    case QL_SCAN_NULL:
        return on_value(r, e, err);
    }
    return QL_OK;
}

int ql_answer_read(const char *text, size_t len, bool whole_body, struct ql_answer *ret, struct ql_err *err)
{
    struct ql_answer a;
    struct reading r = {
        .answer = &a, .whole_body = whole_body, .base = whole_body ? 2 : 1, .in_results = !whole_body};
    int result;

    /* The items are set as they come: what is counted is written. */
    memset(&a, 0, offsetof(struct ql_answer, evidence));
    a.evidence_count = 0;
    if (len > QL_ANSWER_MAX_LEN)
        return ql_fail(err, QL_ELIMIT, "answer of %zu bytes, at most %d", len, QL_ANSWER_MAX_LEN);
    result = ql_scan_bytes(text, len, on_event, &r, err);
    if (result != QL_OK)
        return result;
    if (whole_body && !r.seen_results)
        return ql_fail(err, QL_EPARSE, "answer has no results");
    memcpy(ret, &a, offsetof(struct ql_answer, evidence) + a.evidence_count * sizeof a.evidence[0]);
    ret->evidence_count = a.evidence_count;
    return QL_OK;
}
