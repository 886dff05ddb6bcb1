/* SPDX-License-Identifier: Apache-2.0 */
#include "value.h"

#include <stdio.h>
#include <string.h>

#include "payload.h"
#include "tree.h"
#include "variable.h"

static struct mb_value json_value(const json_t *j)
{
    return (struct mb_value){.kind = MB_V_JSON, .json = j};
}

static bool is(const char *name, size_t len, const char *text)
{
    return strlen(text) == len && memcmp(name, text, len) == 0;
}

static const json_t *no_memory(struct mb_eval *e)
{
    (void)mb_break(e, "out of memory"); /* false, always */
    return NULL;
}

static struct mb_tree_options options_of(const struct mb_eval *e)
{
    return (struct mb_tree_options){.bank = e->bank, .has_verified = true};
}

static const json_t *whole_event(struct mb_eval *e, uint32_t n)
{
    const struct mb_tree_options options = options_of(e);

    if (!e->events[n])
        e->events[n] = mb_event_json(e->log, n, &options);
    return e->events[n] ? e->events[n] : no_memory(e);
}

static const json_t *whole_payload(struct mb_eval *e, uint32_t n)
{
    if (!e->payloads[n])
        e->payloads[n] = mb_payload_json(e->log, &e->log->events[n]);
    return e->payloads[n] ? e->payloads[n] : no_memory(e);
}

static const json_t *head_of(struct mb_eval *e, uint32_t n)
{
    const struct mb_event *event = &e->log->events[n];

    if (!e->heads[n])
        e->heads[n] = mb_variable_head_json(event->payload, event->payload_len);
    return e->heads[n] ? e->heads[n] : no_memory(e);
}

static bool siglists_of(const struct mb_eval *e, uint32_t n, const uint8_t **ret, size_t *ret_len)
{
    const struct mb_event *event = &e->log->events[n];

    return mb_variable_siglists(event->type, event->payload, event->payload_len, ret, ret_len);
}

/* The payload alone: most events are never wanted as a whole. @return 1; 0: it has none; -1 */
static int payload_of(struct mb_eval *e, uint32_t n, struct mb_value *ret)
{
    const struct mb_event *event = &e->log->events[n];
    const uint8_t *lists;
    const json_t *j;
    size_t len;

    if (event->payload_len == 0 || (event->index == 0 && !e->log->is_sha1_format))
        return 0;
    if (siglists_of(e, n, &lists, &len)) {
        *ret = (struct mb_value){.kind = MB_V_VARIABLE, .event = n};
        return 1;
    }
    j = whole_payload(e, n);
    if (!j)
        return -1;
    *ret = json_value(j);
    return 1;
}

bool mb_value_siglists(const struct mb_eval *e, const struct mb_value *v, const uint8_t **ret,
                       size_t *ret_len)
{
    return v->kind == MB_V_SIGLISTS && siglists_of(e, v->event, ret, ret_len);
}

bool mb_value_solid(struct mb_eval *e, const struct mb_value *v, struct mb_value *ret)
{
    const json_t *j;

    *ret = *v;
    if (v->kind != MB_V_VARIABLE && v->kind != MB_V_SIGLISTS)
        return true;
    j = whole_payload(e, v->event);
    if (!j)
        return false;
    *ret = json_value(v->kind == MB_V_VARIABLE ? j : json_object_get(j, "VariableData"));
    return true;
}

static const json_t *whole_tree(struct mb_eval *e)
{
    const struct mb_tree_options options = options_of(e);
    struct ql_err err = QL_ERR_INIT;

    if (!e->tree && mb_tree_json(e->hasher, e->log, &options, &e->tree, &err) < 0) {
        (void)mb_break(e, "the log's tree: %s", err.text); /* false, always */
        return NULL;
    }
    return e->tree;
}

static int json_field(const json_t *object, const char *name, size_t len, struct mb_value *ret)
{
    const json_t *j;

    if (!json_is_object(object))
        return -1;
    j = json_object_getn(object, name, len);
    if (j)
        *ret = json_value(j);
    return j ? 1 : 0;
}

int mb_value_field(struct mb_eval *e, const struct mb_value *v, const char *name, size_t len,
                   struct mb_value *ret)
{
    const json_t *j;

    switch (v->kind) {
    case MB_V_JSON:
        return json_field(v->json, name, len, ret);
    case MB_V_ROOT:
        if (is(name, len, "events")) {
            ret->kind = MB_V_EVENTS;
            return 1;
        }
        j = whole_tree(e);
        return j ? json_field(j, name, len, ret) : -1;
    case MB_V_EVENT:
        if (is(name, len, "Event"))
            return payload_of(e, v->event, ret);
        j = whole_event(e, v->event);
        return j ? json_field(j, name, len, ret) : -1;
    case MB_V_VARIABLE:
        if (is(name, len, "VariableData")) {
            *ret = (struct mb_value){.kind = MB_V_SIGLISTS, .event = v->event};
            return 1;
        }
        j = head_of(e, v->event);
        return j ? json_field(j, name, len, ret) : -1;
    case MB_V_LISTS:
        for (size_t i = 0; i < v->finish->count; i++) {
            if (v->finish->types[i].len != len || memcmp(v->finish->types[i].text, name, len) != 0)
                continue;
            *ret = (struct mb_value){.kind = MB_V_LIST, .list = v->finish->slots[i]};
            return 1;
        }
        return 0;
    case MB_V_EVENTS:
    case MB_V_SIGLISTS:
    case MB_V_LIST:
        break;
    }
    return -1;
}

bool mb_value_items(struct mb_eval *e, const struct mb_value *v, size_t *ret)
{
    switch (v->kind) {
    case MB_V_EVENTS:
        *ret = e->log->event_count;
        return true;
    case MB_V_LIST:
        *ret = e->lists[v->list].count;
        return true;
    case MB_V_JSON:
        *ret = json_array_size(v->json);
        return json_is_array(v->json);
    case MB_V_ROOT:
    case MB_V_EVENT:
    case MB_V_VARIABLE:
    case MB_V_SIGLISTS:
    case MB_V_LISTS:
        break;
    }
    return false;
}

bool mb_value_item(struct mb_eval *e, const struct mb_value *v, size_t n, struct mb_value *ret)
{
    if (v->kind == MB_V_EVENTS)
        *ret = (struct mb_value){.kind = MB_V_EVENT, .event = (uint32_t)n};
    else if (v->kind == MB_V_LIST)
        *ret = e->lists[v->list].items[n];
    else
        *ret = json_value(json_array_get(v->json, n));
    return true;
}

const char *mb_value_type(const struct mb_value *v)
{
    switch (v->kind) {
    case MB_V_EVENTS:
    case MB_V_SIGLISTS:
    case MB_V_LIST:
        return "a list";
    case MB_V_ROOT:
    case MB_V_EVENT:
    case MB_V_VARIABLE:
    case MB_V_LISTS:
        return "an object";
    case MB_V_JSON:
        break;
    }
    switch (json_typeof(v->json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "text";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}

const json_t *mb_value_text(struct mb_eval *e, const struct mb_value *v, const char *name)
{
    struct mb_value field;

    if (mb_value_field(e, v, name, strlen(name), &field) != 1 || field.kind != MB_V_JSON ||
        !json_is_string(field.json))
        return NULL;
    return field.json;
}

bool mb_value_verified(struct mb_eval *e, const struct mb_value *v)
{
    if (v->kind == MB_V_EVENT)
        return e->log->events[v->event].status[e->bank] == MB_VERIFIED;
    return v->kind == MB_V_JSON && json_is_true(json_object_get(v->json, "verified"));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A digest as the tree has it: lower case, without prefix. */
static bool read_digest(const json_t *object, struct mb_digest *ret)
{
    static const uint16_t algs[] = {MB_ALG_SHA1, MB_ALG_SHA256, MB_ALG_SHA384, MB_ALG_SHA512, MB_ALG_SM3_256};
    const json_t *alg = json_object_get(object, "AlgorithmId"), *hex = json_object_get(object, "Digest");
    const char *text = json_string_value(hex);

    if (!json_is_string(alg) || !json_is_string(hex))
        return false;
    *ret = (struct mb_digest){.alg = json_string_value(alg), .len = json_string_length(hex) / 2};
    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++)
        if (strcmp(mb_alg_name(algs[i]), ret->alg) == 0)
            ret->alg_id = algs[i];
    if (ret->len > MB_DIGEST_MAX || json_string_length(hex) % 2 != 0)
        return false;
    for (size_t i = 0; i < ret->len; i++) {
        const int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret->digest[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

int mb_value_digests(struct mb_eval *e, const struct mb_value *v, struct mb_digest *ret, int room)
{
    const json_t *list, *item;
    int count = 0;
    size_t i;

    if (v->kind == MB_V_EVENT) {
        const struct mb_bank *bank = &e->log->banks[e->bank];
        const uint8_t *digest = mb_event_digest(e->log, &e->log->events[v->event], e->bank);

        if (!digest || room < 1 || bank->digest_len > MB_DIGEST_MAX)
            return 0;
        *ret = (struct mb_digest){.alg = bank->name, .alg_id = bank->alg, .len = bank->digest_len};
        memcpy(ret->digest, digest, bank->digest_len);
        return 1;
    }
    list = v->kind == MB_V_JSON ? json_object_get(v->json, "Digests") : NULL;
    if (!json_is_array(list))
        return -1;
    json_array_foreach(list, i, item) {
        if (count < room && read_digest(item, &ret[count]))
            count++;
    }
    return count;
}

const json_t *mb_value_json(struct mb_eval *e, const struct mb_value *v, json_t **owned)
{
    struct mb_value solid;
    size_t count = 0;

    *owned = NULL;
    switch (v->kind) {
    case MB_V_JSON:
        return v->json;
    case MB_V_ROOT:
        return whole_tree(e);
    case MB_V_EVENT:
        return whole_event(e, v->event);
    case MB_V_VARIABLE:
    case MB_V_SIGLISTS:
        return mb_value_solid(e, v, &solid) ? solid.json : NULL;
    case MB_V_EVENTS:
        return whole_tree(e) ? json_object_get(e->tree, "events") : NULL;
    case MB_V_LIST:
        *owned = json_array();
        count = e->lists[v->list].count;
        for (size_t i = 0; *owned && i < count; i++) {
            json_t *inner;
            const json_t *j = mb_value_json(e, &e->lists[v->list].items[i], &inner);

            if (!j || json_array_append(*owned, (json_t *)(uintptr_t)j) < 0)
                return json_decref(inner), no_memory(e);
            json_decref(inner);
        }
        break;
    case MB_V_LISTS:
        *owned = json_object();
        for (size_t i = 0; *owned && i < v->finish->count; i++) {
            const struct mb_value list = {.kind = MB_V_LIST, .list = v->finish->slots[i]};
            const struct mb_str *name = &v->finish->types[i];
            json_t *inner;

            if (!mb_value_json(e, &list, &inner) ||
                json_object_setn_new(*owned, name->text, name->len, inner) < 0)
                return no_memory(e);
        }
        break;
    }
    return *owned ? *owned : no_memory(e);
}

void mb_value_label(struct mb_eval *e, const struct mb_value *v, char *out, size_t room)
{
    out[0] = '\0';
    if (v->kind == MB_V_EVENT) {
        const struct mb_event *event = &e->log->events[v->event];

        (void)snprintf(out, room, "event %u (PCR %d, %s)", event->index, (int)event->pcr,
                       mb_event_type_name(event->type));
    } else if (v->kind == MB_V_JSON && json_is_string(json_object_get(v->json, "EventType"))) {
        (void)snprintf(out, room, "event %lld (PCR %lld, %.64s)",
                       (long long)json_integer_value(json_object_get(v->json, "EventNum")),
                       (long long)json_integer_value(json_object_get(v->json, "PCRIndex")),
                       json_string_value(json_object_get(v->json, "EventType")));
    }
}
