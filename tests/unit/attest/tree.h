/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tree.h The events of ql_scan() built into a jansson tree, to be compared with what jansson itself
 * reads.
 */
#pragma once
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"

struct tree {
    json_t *stack[QL_SCAN_DEPTH + 1];
    unsigned depth;
    char *key;
    json_t *root;
};

static inline void tree_put(struct tree *t, json_t *value)
{
    json_t *in = t->depth > 0 ? t->stack[t->depth - 1] : NULL;

    if (!value)
        abort();
    if (!in)
        t->root = value;
    else if (json_is_object(in)) {
        if (json_object_set_new(in, t->key, value) != 0)
            abort();
        free(t->key);
        t->key = NULL;
    } else if (json_array_append_new(in, value) != 0)
        abort();
}

static inline int tree_event(void *arg, const struct ql_scan_event *e, struct ql_err *err)
{
    struct tree *t = arg;
    char *text;
    size_t len;
    json_t *container;

    (void)err;
    switch (e->kind) {
    case QL_SCAN_OBJECT:
    case QL_SCAN_ARRAY:
        container = e->kind == QL_SCAN_OBJECT ? json_object() : json_array();
        tree_put(t, container);
        t->stack[t->depth++] = container;
        if (e->depth != t->depth)
            abort();
        break;
    case QL_SCAN_OBJECT_END:
    case QL_SCAN_ARRAY_END:
        if (e->depth != t->depth)
            abort();
        t->depth--;
        break;
    case QL_SCAN_KEY:
        free(t->key);
        t->key = ql_text_dup(&e->text, NULL);
        break;
    case QL_SCAN_STRING:
        text = ql_text_dup(&e->text, &len);
        tree_put(t, json_stringn(text, len));
        if (!ql_text_is(&e->text, text))
            abort();
        free(text);
        break;
    case QL_SCAN_INTEGER:
        tree_put(t, json_integer(e->integer));
        break;
    case QL_SCAN_REAL:
        tree_put(t, json_real(e->real));
        break;
    case QL_SCAN_TRUE:
    case QL_SCAN_FALSE:
        tree_put(t, json_boolean(e->kind == QL_SCAN_TRUE));
        break;
    case QL_SCAN_NULL:
        tree_put(t, json_null());
        break;
    }
    return 0;
}

/*
 * Both readers over the same bytes. @return 1 both accept and agree, 0 both refuse, -1 ours is beyond a
 * limit, -2 differ
 */
static inline int tree_compare(const char *text, size_t len)
{
    struct tree t = {.depth = 0};
    json_error_t why;
    int ours = ql_scan(text, len, tree_event, &t, NULL), result;
    /* No JSON text has a NUL; jansson passes over one behind a number. */
    json_t *theirs =
        len > 0 && memchr(text, '\0', len) ? NULL : json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);

    if (ours == QL_ELIMIT)
        result = -1;
    else if (ours == QL_OK)
        result = theirs && json_equal(t.root, theirs) ? 1 : -2;
    else
        result = theirs ? -2 : 0;
    free(t.key);
    json_decref(t.root);
    json_decref(theirs);
    return result;
}
