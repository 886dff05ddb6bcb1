/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation: one function a kind of node. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "eval_parts.h"
#include "value.h"

enum {
    STEPS_BETWEEN_CLOCKS = 4096,
    COLLECTED_MAX = 2 * MB_EVENTS_MAX
};

int mb_eval_init(struct mb_eval *e)
{
    const struct ql_host *h = e->tests->host;
    const size_t events = e->log ? e->log->event_count : 0;

    e->counters = h->alloc(h, (e->tests->counters + 1) * sizeof *e->counters);
    e->lists = h->alloc(h, (e->tests->lists + 1) * sizeof *e->lists);
    e->payloads = h->alloc(h, (events + 1) * sizeof(json_t *));
    e->events = h->alloc(h, (events + 1) * sizeof(json_t *));
    e->heads = h->alloc(h, (events + 1) * sizeof(json_t *));
    if (!e->counters || !e->lists || !e->payloads || !e->events || !e->heads) {
        h->free(h, e->payloads);
        h->free(h, e->events);
        h->free(h, e->heads);
        h->free(h, e->lists);
        h->free(h, e->counters);
        e->payloads = e->events = e->heads = NULL;
        e->lists = NULL;
        e->counters = NULL;
        return QL_ENOMEM;
    }
    e->counter_count = e->tests->counters;
    e->list_count = e->tests->lists;
    memset(e->counters, 0, (e->tests->counters + 1) * sizeof *e->counters);
    memset(e->lists, 0, (e->tests->lists + 1) * sizeof *e->lists);
    memset(e->payloads, 0, (events + 1) * sizeof(json_t *));
    memset(e->events, 0, (events + 1) * sizeof(json_t *));
    memset(e->heads, 0, (events + 1) * sizeof(json_t *));
    return QL_OK;
}

void mb_eval_done(struct mb_eval *e)
{
    const struct ql_host *h = e->tests->host;
    const size_t events = e->log ? e->log->event_count : 0;

    for (size_t i = 0; e->lists && i < e->list_count; i++)
        h->free(h, e->lists[i].items);
    for (size_t i = 0; i < events; i++) {
        if (e->payloads)
            json_decref(e->payloads[i]);
        if (e->events)
            json_decref(e->events[i]);
        if (e->heads)
            json_decref(e->heads[i]);
    }
    json_decref(e->tree);
    json_decref(e->scratch);
    json_decref(e->subject);
    h->free(h, e->payloads);
    h->free(h, e->events);
    h->free(h, e->heads);
    h->free(h, e->lists);
    h->free(h, e->counters);
    e->payloads = e->events = e->heads = NULL;
    e->lists = NULL;
    e->counters = NULL;
    e->tree = e->scratch = e->subject = NULL;
}

bool mb_refuse(struct mb_eval *e, const char *fmt, ...)
{
    va_list ap;

    if (e->broken)
        return false; /* that reason stays */
    va_start(ap, fmt);
    (void)vsnprintf(e->reason, sizeof e->reason, fmt, ap); /* cut short is fine */
    va_end(ap);
    return false;
}

bool mb_break(struct mb_eval *e, const char *fmt, ...)
{
    va_list ap;

    if (e->broken)
        return false;
    va_start(ap, fmt);
    (void)vsnprintf(e->reason, sizeof e->reason, fmt, ap);
    va_end(ap);
    e->broken = true;
    return false;
}

/* Put where it was in front of the reason. */
bool mb_within(struct mb_eval *e, const char *fmt, ...)
{
    char where[192];
    size_t len, old = strlen(e->reason);
    const size_t room = sizeof e->reason - 1;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(where, sizeof where, fmt, ap);
    va_end(ap);
    len = strlen(where);
    if (old > room - len)
        old = room - len;
    memmove(e->reason + len, e->reason, old);
    memcpy(e->reason, where, len);
    e->reason[len + old] = '\0';
    return false;
}

bool mb_note(struct mb_eval *e, const char *fmt, ...)
{
    va_list ap;

    if (e->trace) {
        va_start(ap, fmt);
        (void)vsnprintf(e->note, sizeof e->note, fmt, ap);
        va_end(ap);
    }
    return true;
}

/* Foreign text fit for a reason: printable, cut. */
const char *mb_shown(const char *text, size_t len, char out[MB_SHOWN_MAX + 8])
{
    size_t at = 0, i = 0;

    for (; i < len && at < MB_SHOWN_MAX; i++)
        out[at++] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    while (i < len && at > 0 && ((unsigned char)text[i] & 0xc0) == 0x80) {
        i--; /* no half characters */
        at--;
    }
    memcpy(out + at, i < len ? "…" : "", i < len ? 4 : 1);
    return out;
}

const char *mb_shown_json(const json_t *j, char out[MB_SHOWN_MAX + 8])
{
    return mb_shown(json_string_value(j), json_string_length(j), out);
}

static int64_t mono_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

bool mb_wrong_type(struct mb_eval *e, const struct mb_value *v, const char *wanted)
{
    return mb_refuse(e, "wanted %s, found %s", wanted, mb_value_type(v));
}

/* ---- algebra ---- */

static bool test_accept(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    (void)n, (void)v;
    return mb_note(e, "allowed, whatever it is");
}

static bool test_reject(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    (void)v;
    return mb_refuse(e, "%s", n->text.text);
}

static bool test_all(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    for (size_t i = 0; i < n->count; i++)
        if (!mb_why_not(e, n->list[i], v))
            return false;
    return true;
}

static bool test_any(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    char reasons[MB_REASON_MAX]; /* not on the heap: a function of Lua's may leave by longjmp */
    size_t len = (size_t)snprintf(reasons, sizeof reasons, "none of %zu alternatives: ", n->count);

    if (n->count == 0)
        return mb_refuse(e, "no alternative is allowed");
    for (size_t i = 0; i < n->count; i++) {
        if (mb_why_not(e, n->list[i], v))
            return true;
        if (e->broken)
            return false;
        if (n->count == 1)
            return false;
        /* Only the beginning is kept: with a hundred alternatives, one says enough. */
        if (len < MB_REASON_MAX - 1)
            len += (size_t)snprintf(reasons + len, MB_REASON_MAX - len, "%s[%zu] %s", i ? "; " : "", i + 1,
                                    e->reason);
    }
    memcpy(e->reason, reasons, strlen(reasons) + 1);
    return false;
}

/* One key of a dispatcher; of events in the log without making JSON. */
static bool add_key(struct mb_eval *e, const struct mb_value *v, const struct mb_str *key, struct mb_tuple *t)
{
    struct mb_value field;

    if (v->kind == MB_V_EVENT) {
        const struct mb_event *event = &e->log->events[v->event];
        const char *type = mb_event_type_name(event->type);

        if (strcmp(key->text, "PCRIndex") == 0)
            return mb_tuple_add_int(t, event->pcr);
        if (strcmp(key->text, "EventType") == 0)
            return mb_tuple_add_text(t, type, strlen(type));
    }
    switch (mb_value_field(e, v, key->text, key->len, &field)) {
    case 1:
        return (field.kind == MB_V_JSON && mb_tuple_add(t, field.json)) ||
               mb_refuse(e, "no rule for this %s", key->text);
    case 0:
        return mb_refuse(e, "has no field %s", key->text);
    default:
        return mb_wrong_type(e, v, "an object");
    }
}

static bool test_dispatch(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    struct mb_tuple tuple = {.len = 0};
    const struct mb_node *found;

    for (size_t i = 0; i < n->rows->key_count; i++)
        if (!add_key(e, v, &n->rows->keys[i], &tuple))
            return false;
    found = mb_rows_find(n->rows, &tuple);
    if (!found)
        return mb_refuse(e, "the policy has no rule for %s",
                         n->rows->key_count > 1 ? "this combination" : n->rows->keys[0].text);
    return mb_why_not(e, found, v);
}

static bool test_field(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    struct mb_value field;
    const int r = mb_value_field(e, v, n->text.text, n->text.len, &field);

    if (r == 0)
        return mb_refuse(e, "has no field %s", n->text.text);
    if (r < 0)
        return mb_wrong_type(e, v, "an object");
    if (mb_why_not(e, n->child, &field))
        return true;
    return n->number ? mb_within(e, "%s: ", n->text.text) : false;
}

static void trace_item(struct mb_eval *e, const struct mb_value *item, bool accepted)
{
    if (e->trace)
        e->trace(e, item, accepted, accepted ? e->note : e->reason, e->trace_arg);
    e->note[0] = '\0';
}

static bool test_each(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    size_t count = 0;

    if (!mb_value_items(e, v, &count))
        return mb_wrong_type(e, v, "a list");
    for (size_t i = 0; i < count; i++) {
        struct mb_value item;
        char label[128];
        bool accepted, is_event;

        if (!mb_value_item(e, v, i, &item))
            return false;
        accepted = mb_why_not(e, n->child, &item);
        if (accepted && !e->trace)
            continue;
        mb_value_label(e, &item, label, sizeof label);
        is_event = label[0] != '\0';
        if (is_event)
            trace_item(e, &item, accepted);
        if (!accepted && is_event)
            return mb_within(e, "%s: ", label);
        if (!accepted)
            return mb_within(e, "item %zu: ", i);
    }
    return true;
}

static bool test_tuple(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    size_t count = 0;

    if (!mb_value_items(e, v, &count))
        return mb_wrong_type(e, v, "a list");
    if (count > n->count || (count < n->count && !n->number))
        return mb_refuse(e, "wanted %zu, found %zu", n->count, count);
    for (size_t i = 0; i < n->count; i++) {
        struct mb_value item = {.kind = MB_V_JSON};
        char label[128];

        if (i >= count)
            item.json = json_null();
        else if (!mb_value_item(e, v, i, &item))
            return false;
        if (mb_why_not(e, n->list[i], &item))
            continue;
        mb_value_label(e, &item, label, sizeof label);
        return label[0] ? mb_within(e, "number %zu, %s: ", i + 1, label)
                        : mb_within(e, "number %zu: ", i + 1);
    }
    return true;
}

/* ---- what is remembered ---- */

/* A function of the policy made this test while judging, and put it into one that is under way. */
static bool late(struct mb_eval *e)
{
    return mb_break(e, "a test that remembers was made while judging");
}

static bool test_begin(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    (void)v;
    for (size_t i = 0; i < n->count; i++) {
        if (n->slots[i] >= e->list_count)
            return late(e);
        e->lists[n->slots[i]].count = 0;
        e->lists[n->slots[i]].begun = true;
    }
    return true;
}

static bool test_into(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    const struct ql_host *h = e->tests->host;
    struct mb_list *list = &e->lists[n->slot];

    if (n->slot >= e->list_count)
        return late(e);
    if (!list->begun)
        return mb_break(e, "%s is collected before begin()", n->text.text);
    if (list->count >= COLLECTED_MAX)
        return mb_break(e, "%s: more than %d items", n->text.text, COLLECTED_MAX);
    if (list->count == list->room) {
        const size_t room = list->room ? 2 * list->room : 8;
        struct mb_value *grown = h->realloc(h, list->items, room * sizeof *grown);

        if (!grown)
            return mb_break(e, "out of memory");
        list->items = grown;
        list->room = room;
    }
    list->items[list->count++] = *v;
    return mb_note(e, "collected as %s number %zu", n->text.text, list->count);
}

static bool test_finish(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    const struct mb_value lists = {.kind = MB_V_LISTS, .finish = n};

    (void)v;
    for (size_t i = 0; i < n->count; i++)
        if (n->slots[i] >= e->list_count || !e->lists[n->slots[i]].begun)
            return mb_break(e, "%s is judged before begin()", n->types[i].text);
    return mb_why_not(e, n->child, &lists);
}

static bool test_once(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    if (n->slot >= e->counter_count)
        return late(e);
    if (e->counters[n->slot]++ > 0) {
        e->counters[n->slot] = 1; /* no overflow */
        return mb_refuse(e, "happens a second time, allowed once");
    }
    return mb_why_not(e, n->child, v);
}

/* As `any` of so many `once`: an event that fails uses up what is left. */
static bool test_times(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    uint32_t *used = &e->counters[n->slot];

    if (n->slot >= e->counter_count)
        return late(e);
    if (*used >= (uint64_t)n->number)
        return mb_refuse(e, "happens more than the %lld times that are allowed", (long long)n->number);
    if (mb_why_not(e, n->child, v)) {
        ++*used;
        return true;
    }
    *used = (uint32_t)n->number;
    return false;
}
static bool test_fn(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    if (!e->call)
        return mb_break(e, "mb.fn cannot be asked here");
    return e->call(e, n, v) != 0;
}

/* Tests that hand on what they get, and those that read signature lists in the log. The others get JSON. */
static bool takes_lazy(enum mb_kind kind)
{
    switch (kind) {
    case MB_ACCEPT:
    case MB_REJECT:
    case MB_ALL:
    case MB_ANY:
    case MB_FIELD:
    case MB_BEGIN:
    case MB_INTO:
    case MB_FINISH:
    case MB_ONCE:
    case MB_TIMES:
    case MB_KEYS_SUBSET:
    case MB_KEYS_SUPERSET:
        return true;
    default:
        return false;
    }
}

bool mb_why_not(struct mb_eval *e, const struct mb_node *node, const struct mb_value *v)
{
    static mb_node_fn *const tests[] = {
        [MB_ACCEPT] = test_accept,
        [MB_REJECT] = test_reject,
        [MB_ALL] = test_all,
        [MB_ANY] = test_any,
        [MB_DISPATCH] = test_dispatch,
        [MB_FIELD] = test_field,
        [MB_EACH] = test_each,
        [MB_TUPLE] = test_tuple,
        [MB_BEGIN] = test_begin,
        [MB_INTO] = test_into,
        [MB_FINISH] = test_finish,
        [MB_ONCE] = test_once,
        [MB_TIMES] = test_times,
        [MB_INT] = mb_test_int,
        [MB_STR] = mb_test_str,
        [MB_RE] = mb_test_re,
        [MB_DIGESTS] = mb_test_digests,
        [MB_VAR] = mb_test_var,
        [MB_VARS] = mb_test_vars,
        [MB_SIG_IN] = mb_test_sig_in,
        [MB_KEYS_SUBSET] = mb_test_keys_subset,
        [MB_KEYS_SUPERSET] = mb_test_keys_superset,
        [MB_SUPERSET] = mb_test_superset,
        [MB_SEPARATOR] = mb_test_separator,
        [MB_EFI_ACTION_OF] = mb_test_efi_action,
        [MB_VERIFIED_BY] = mb_test_verified,
        [MB_FN] = test_fn,
    };
    struct mb_value solid;
    bool accepted;

    if (e->broken)
        return false;
    if (++e->steps > MB_STEPS_MAX)
        return mb_break(e, "evaluation took more than %d steps", MB_STEPS_MAX);
    if (e->steps % STEPS_BETWEEN_CLOCKS == 0 && e->deadline_ns != 0 && mono_ns() > e->deadline_ns)
        return mb_break(e, "evaluation overran its time");
    if (e->depth >= MB_DEPTH_MAX)
        return mb_break(e, "tests are nested deeper than %d", MB_DEPTH_MAX);
    if (!takes_lazy(node->kind)) {
        if (!mb_value_solid(e, v, &solid))
            return false;
        v = &solid;
    }
    e->depth++;
    accepted = tests[node->kind](e, node, v);
    e->depth--;
    return accepted && !e->broken;
}
