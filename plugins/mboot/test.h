/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file test.h
 * The tests of a measured boot policy, compiled: a tree of nodes that says of a log (or of a JSON tree of one) why not.
 *
 * Nodes are made by the Lua module `mb` (lua_mb.h), never changed afterwards, and evaluated here in C; only `mb.fn` goes back
 * into Lua. What a test remembers while it judges (how often `once` was asked, what was collected) belongs to one evaluation.
 *
 * Layer: plugin mboot. Pure; a compiled tree is used by one thread at a time (its regexes).
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "eventlog.h"
#include "hasher.h"
#include "regex.h"

enum {
    MB_NODES_MAX = 200 * 1000,      /**< nodes of one policy */
    MB_DEPTH_MAX = 100,             /**< tests within tests */
    MB_STEPS_MAX = 5 * 1000 * 1000, /**< nodes visited in one evaluation; a log needs some thousands */
    MB_REASON_MAX = 2048,           /**< bytes of a reason */
    MB_SET_FIELDS = 4,              /**< fields that identify a member of a set */
    MB_KEYS_MAX = 4                 /**< field names of a dispatcher */
};

/** What a node does. */
enum mb_kind {
    MB_ACCEPT,
    MB_REJECT,
    MB_ALL,
    MB_ANY,
    MB_DISPATCH,
    MB_FIELD,
    MB_EACH,
    MB_TUPLE,
    MB_BEGIN,
    MB_INTO,
    MB_FINISH,
    MB_ONCE,
    MB_TIMES,
    MB_INT,
    MB_STR,
    MB_RE,
    MB_DIGESTS,
    MB_VAR,
    MB_VARS,
    MB_SIG_IN,
    MB_KEYS_SUBSET,
    MB_KEYS_SUPERSET,
    MB_SUPERSET,
    MB_SEPARATOR,
    MB_EFI_ACTION_OF,
    MB_VERIFIED_BY,
    MB_FN
};

/** Text with its length; may hold NUL. */
struct mb_str {
    const char *text;
    size_t len;
};

/** One approved digest. */
struct mb_approved {
    const char *alg; /**< bank's name */
    uint8_t len, digest[MB_DIGEST_MAX];
};

/** Members, each identified by texts under the same field names. */
struct mb_set {
    struct mb_str fields[MB_SET_FIELDS];
    size_t field_count, count;
    struct mb_str *members; /**< field_count texts each, without doubles */
    uint32_t *slots;        /**< 1 + index of a member, 0: free */
    size_t slot_mask;
};

/** A dispatcher's rows by what their keys are. */
struct mb_rows {
    struct mb_str keys[MB_KEYS_MAX];
    size_t key_count, count;
    struct mb_row {
        struct mb_str tuple; /**< of mb_tuple_add() */
        const struct mb_node *test;
        struct mb_row *next;
    } * buckets[64];
};

struct mb_node {
    enum mb_kind kind;
    uint32_t slot;               /**< ONCE, TIMES: counter; INTO: list; FN: reference in the Lua registry */
    struct mb_str text;          /**< STR, REJECT, FIELD's name, RE's pattern, VAR's GUID */
    struct mb_str name;          /**< VAR: the variable's, when it is text */
    int64_t number;              /**< INT, TIMES, EFI_ACTION_OF, TUPLE's pad */
    const struct mb_node *child; /**< the one test inside */
    const struct mb_node **list; /**< ALL, ANY, TUPLE */
    size_t count;                /**< of `list`, `approved`, `types`, `slots` */
    const struct mb_approved *approved;
    const struct mb_regex *re; /**< RE; VAR: for the name */
    struct mb_rows *rows;      /**< DISPATCH, VARS */
    struct mb_set *set;
    const struct mb_str
        *types;            /**< KEYS_SUBSET, KEYS_SUPERSET: signature types; BEGIN, FINISH: names of lists */
    const uint32_t *slots; /**< BEGIN, FINISH: lists */
};

/** What all nodes of one policy share. */
struct mb_tests {
    const struct ql_host *host;
    struct mb_arena arena;
    struct mb_regex **regexes;
    size_t regex_count, regex_room;
    uint32_t node_count, counters, lists;
    bool uses_lua; /**< an mb.fn is among the nodes */
};

void mb_tests_init(struct mb_tests *t, const struct ql_host *host);
void mb_tests_done(struct mb_tests *t);
/** @return a node of the kind, NULL: no memory or MB_NODES_MAX */
struct mb_node *mb_node_new(struct mb_tests *t, enum mb_kind kind);
/** Keep a regex until mb_tests_done(), which frees it. @return false: no memory, and it was freed */
bool mb_tests_keep(struct mb_tests *t, struct mb_regex *re);

/**
 * A set out of a JSON list of objects that have the fields.
 * @param[out] bad  on QL_EPARSE the index of the item that has no such texts
 * @retval QL_EPARSE @retval QL_ENOMEM
 */
int mb_set_new(struct mb_tests *t, const struct mb_str *fields, size_t field_count, const json_t *list,
               struct mb_set **ret, size_t *bad);

/** @return 1 + index of the member with these texts, 0: none */
size_t mb_set_find(const struct mb_set *s, const struct mb_str *texts);
/** The texts by which an object would be a member. @return false: it lacks one */
bool mb_set_texts(const struct mb_set *s, const json_t *object, struct mb_str *texts);

/** Key of a dispatcher's row: texts and integers, one after the other. @return false: another type, or too long */
struct mb_tuple {
    char text[512];
    size_t len;
};
bool mb_tuple_add(struct mb_tuple *t, const json_t *value);
bool mb_tuple_add_text(struct mb_tuple *t, const char *text, size_t len);
bool mb_tuple_add_int(struct mb_tuple *t, int64_t n);
/** @return the row's test, NULL: none */
const struct mb_node *mb_rows_find(const struct mb_rows *rows, const struct mb_tuple *tuple);
/** @retval QL_EEXIST there is such a row @retval QL_ENOMEM */
int mb_rows_add(struct mb_tests *t, struct mb_rows *rows, const struct mb_tuple *tuple,
                const struct mb_node *test);

/* ---- evaluation ---- */

/** What a test looks at. */
struct mb_value {
    enum {
        MB_V_JSON,     /**< any JSON value */
        MB_V_ROOT,     /**< a log: the whole tree */
        MB_V_EVENTS,   /**< its events */
        MB_V_EVENT,    /**< one of them */
        MB_V_VARIABLE, /**< the payload of an event about a variable that holds signature lists */
        MB_V_SIGLISTS, /**< these lists, which are long: JSON only for tests that need it */
        MB_V_LIST,     /**< what was collected under one name */
        MB_V_LISTS     /**< what was collected, by name */
    } kind;
    union {
        const json_t *json;
        uint32_t event; /**< EVENT, VARIABLE, SIGLISTS */
        uint32_t list;
        const struct mb_node *finish;
    };
};

/** What was collected. */
struct mb_list {
    struct mb_value *items;
    size_t count, room;
    bool begun;
};

struct mb_eval;
/** Of mb.fn: call function @p node->slot. @return as mb_why_not() */
typedef int (*mb_call_fn)(struct mb_eval *e, const struct mb_node *node, const struct mb_value *v);
/** Told of every event at the end of its test. @param text why not, or what was compared */
typedef void (*mb_trace_fn)(struct mb_eval *e, const struct mb_value *event, bool accepted, const char *text,
                            void *arg);

/** One evaluation; fill the first part, the rest zero; end with mb_eval_done(). */
struct mb_eval {
    const struct mb_tests *tests;
    struct mb_hasher *hasher;
    const struct mb_log *log; /**< digests checked; NULL: values are JSON only */
    int bank;                 /**< index in the log */
    mb_call_fn call;          /**< NULL: mb.fn is an error here */
    void *call_arg;
    mb_trace_fn trace; /**< NULL: no tracing */
    void *trace_arg;

    json_t *tree;                /**< made when a test wants more than events */
    json_t **payloads, **events; /**< made when a test wants them */
    json_t **heads;              /**< of VARIABLE: the payload without its value */
    json_t *scratch, *subject;   /**< of calls into Lua */
    uint32_t *counters;
    struct mb_list *lists;
    uint32_t counter_count, list_count; /**< tests made later have no place */
    uint64_t steps;
    unsigned depth;
    int64_t deadline_ns; /**< monotonic; 0: none */
    bool broken;         /**< a limit or a fault: no test can take it back */
    char reason[MB_REASON_MAX];
    char note[256]; /**< with a trace: what the last test compared */
};

/** Make room. @retval QL_ENOMEM */
int mb_eval_init(struct mb_eval *e);
void mb_eval_done(struct mb_eval *e);
/**
 * Ask.
 * @return true: accepted; false: not, `reason` says why
 */
bool mb_why_not(struct mb_eval *e, const struct mb_node *node, const struct mb_value *v);
/** Set the reason. @return false */
bool mb_refuse(struct mb_eval *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** As mb_refuse(), for limits and faults: the whole evaluation is over. @return false */
bool mb_break(struct mb_eval *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** The value as JSON: borrowed from the evaluation, or a new reference in @p owned. @return NULL: no memory */
const json_t *mb_value_json(struct mb_eval *e, const struct mb_value *v, json_t **owned);
/** "event 25 (PCR 4, EV_SEPARATOR)" for an event, "" for anything else. */
void mb_value_label(struct mb_eval *e, const struct mb_value *v, char *out, size_t room);
