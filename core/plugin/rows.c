/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows and items whose author may have known a shorter or a longer struct: copies of this release's size.
 *
 * What the author did not have is zero, what this release does not know is left behind. Copies of option rows stay for
 * the life of the process, as the library does that they were made from: a configuration may hold them longer than the
 * registry lives.
 */
#include <pthread.h>
#include <string.h>

#include "error.h"
#include "internal.h"

enum {
    FIELDS_MAX = 8 /* fields of a list of groups */
};

#define OPTION_LEAST offsetof(struct ql_option, choices)  /* a row has at least name to help */
#define NEED_LEAST   offsetof(struct ql_need, parameters) /* an item has at least name and binding */

/* All copies that were ever made, newest first. */
struct copy {
    struct copy *next;
    const void *from; /* the author's rows: of a library that stays, so the address is theirs for good */
    size_t stride, count;
    struct ql_option rows[]; /* count of them and one without a name */
};
static struct copy *copies;
static pthread_mutex_t copies_lock = PTHREAD_MUTEX_INITIALIZER;

static const struct copy *find_copy(const void *from, size_t stride)
{
    for (const struct copy *c = copies; c; c = c->next)
        if (c->from == from && c->stride == stride)
            return c;
    return NULL;
}

static const char *row_at(const void *rows, size_t stride, size_t n, struct ql_option *ret)
{
    *ret = (struct ql_option){0};
    memcpy(ret, (const char *)rows + n * stride, stride < sizeof *ret ? stride : sizeof *ret);
    return ret->name;
}

static int copy_rows(const char *file, const void *rows, size_t stride, bool is_field,
                     const struct ql_option **ret, struct ql_err *err)
{
    const size_t max = is_field ? FIELDS_MAX : QL_PLUGIN_ROWS_MAX;
    const struct copy *known = find_copy(rows, stride);
    ql_auto_free struct copy *c = NULL;
    struct ql_option row;
    size_t count = 0;
    int r = QL_OK;

    if (known) {
        *ret = known->rows;
        return QL_OK;
    }
    while (count <= max && row_at(rows, stride, count, &row))
        count++;
    if (count > max)
        return ql_fail(err, QL_ELIMIT, "%s: options: wanted at most %zu rows", file, max);
    c = calloc(1, sizeof *c + (count + 1) * sizeof c->rows[0]);
    if (!c)
        return ql_fail_nomem(err);
    c->from = rows;
    c->stride = stride;
    c->count = count;
    for (size_t i = 0; r == QL_OK && i < count; i++) {
        (void)row_at(rows, stride, i, &c->rows[i]); /* it has a name */
        /* Fields do not nest: what a field calls its own fields is for the check to refuse. */
        if (c->rows[i].fields && !is_field)
            r = copy_rows(file, c->rows[i].fields, stride, true, &c->rows[i].fields, err);
    }
    if (r < 0)
        return r;
    c->next = copies;
    copies = c;
    *ret = ql_steal(c)->rows;
    return QL_OK;
}

int ql_plugin_rows(const char *file, const struct ql_option *rows, uint32_t stride,
                   const struct ql_option **ret, struct ql_err *err)
{
    int r;

    if (stride == 0)
        stride = QL_PLUGIN_FIRST_OPTION;
    if (stride < OPTION_LEAST || stride > QL_PLUGIN_STRUCT_MAX || stride % _Alignof(struct ql_option) != 0)
        return ql_fail(err, QL_EABI, "%s: option_size: wanted %zu to %d bytes, found %u", file, OPTION_LEAST,
                       QL_PLUGIN_STRUCT_MAX, stride);
    *ret = NULL;
    if (!rows)
        return QL_OK;
    (void)pthread_mutex_lock(&copies_lock);
    r = copy_rows(file, rows, stride, false, ret, err);
    (void)pthread_mutex_unlock(&copies_lock);
    return r;
}

int ql_needs_items(const char *validator, const struct ql_needs *needs, struct ql_need *ret,
                   struct ql_err *err)
{
    uint32_t stride;

    if (needs->item_count == 0)
        return QL_OK;
    if (needs->item_count > QL_NEEDS_MAX || !needs->items)
        return ql_fail(err, QL_ELIMIT, "validator %s needs %zu evidence items, at most %d", validator,
                       needs->item_count, QL_NEEDS_MAX);
    stride = needs->items[0].size;
    if (stride < NEED_LEAST || stride > QL_PLUGIN_STRUCT_MAX || stride % _Alignof(struct ql_need) != 0)
        return ql_fail(err, QL_EABI, "validator %s: size of its needs: wanted %zu to %d bytes, found %u",
                       validator, NEED_LEAST, QL_PLUGIN_STRUCT_MAX, stride);
    for (size_t i = 0; i < needs->item_count; i++) {
        ret[i] = (struct ql_need){0};
        memcpy(&ret[i], (const char *)needs->items + i * stride,
               stride < sizeof ret[i] ? stride : sizeof ret[i]);
        if (ret[i].size != stride)
            return ql_fail(err, QL_EABI,
                           "validator %s: size of need %zu: wanted %u as of the first, found %u", validator,
                           i + 1, stride, ret[i].size);
        ret[i].size = sizeof ret[i];
    }
    return QL_OK;
}
