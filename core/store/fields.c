/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "fields.h"
#include "parse.h"

static void *member(void *of, size_t at)
{
    return (uint8_t *)of + at;
}

static const void *member_const(const void *of, size_t at)
{
    return (const uint8_t *)of + at;
}

static void *pointer_of(const void *of, size_t at)
{
    void *p = NULL;

    memcpy(&p, member_const(of, at), sizeof p);
    return p;
}

static void set_pointer(void *of, size_t at, void *p)
{
    memcpy(member(of, at), &p, sizeof p);
}

static int64_t int_of(const void *of, size_t at)
{
    int64_t i = 0;

    memcpy(&i, member_const(of, at), sizeof i);
    return i;
}

static size_t len_of(const void *of, size_t at)
{
    size_t len = 0;

    memcpy(&len, member_const(of, at), sizeof len);
    return len;
}

static bool bool_of(const void *of, size_t at)
{
    bool b = false;

    memcpy(&b, member_const(of, at), sizeof b);
    return b;
}

void ql_fields_values(const struct ql_field *fields, size_t count, const void *from, struct ql_value *ret)
{
    for (size_t i = 0; i < count; i++) {
        const struct ql_field *f = &fields[i];

        switch (f->kind) {
        case QL_FIELD_NAME:
        case QL_FIELD_TEXT:
            ret[i] = ql_text(pointer_of(from, f->at));
            break;
        case QL_FIELD_JSON:
            ret[i] = ql_json_value(pointer_of(from, f->at));
            break;
        case QL_FIELD_BYTES:
            ret[i] = ql_bytes(pointer_of(from, f->at), len_of(from, f->len_at));
            break;
        case QL_FIELD_INT:
            ret[i] = ql_int(int_of(from, f->at));
            break;
        case QL_FIELD_INT0:
            ret[i] = int_of(from, f->at) ? ql_int(int_of(from, f->at)) : ql_null();
            break;
        case QL_FIELD_INTM:
            ret[i] = int_of(from, f->at) != -1 ? ql_int(int_of(from, f->at)) : ql_null();
            break;
        case QL_FIELD_BOOL:
            ret[i] = ql_int(bool_of(from, f->at));
            break;
        }
    }
}

static void *copy_bytes(const void *data, size_t len)
{
    uint8_t *p = malloc(len + 1);

    if (!p)
        return NULL;
    if (len)
        memcpy(p, data, len);
    p[len] = 0;
    return p;
}

static bool is_text(const struct ql_value *v)
{
    return (v->type == QL_COL_TEXT || v->type == QL_COL_JSON) && ql_utf8_ok(v->data, v->len);
}

/** @return QL_EPARSE without a text: the caller knows where */
static int read_field(const struct ql_field *f, const struct ql_value *v, void *ret)
{
    bool is_null = v->type == QL_COL_NULL;
    bool b = v->i == 1;
    int64_t i = v->i;
    void *p = NULL;

    switch (f->kind) {
    case QL_FIELD_NAME:
    case QL_FIELD_TEXT:
    case QL_FIELD_JSON:
        if (is_null)
            return f->kind == QL_FIELD_NAME ? QL_EPARSE : QL_OK;
        if (!is_text(v))
            return QL_EPARSE;
        break;
    case QL_FIELD_BYTES:
        if (is_null)
            return QL_OK;
        if (v->type != QL_COL_BYTES)
            return QL_EPARSE;
        memcpy(member(ret, f->len_at), &v->len, sizeof v->len);
        break;
    case QL_FIELD_INT0:
    case QL_FIELD_INTM:
    case QL_FIELD_INT:
        if (is_null && f->kind == QL_FIELD_INT)
            return QL_EPARSE;
        if (!is_null && v->type != QL_COL_INT)
            return QL_EPARSE;
        if (is_null)
            i = f->kind == QL_FIELD_INTM ? -1 : 0;
        memcpy(member(ret, f->at), &i, sizeof i);
        return QL_OK;
    case QL_FIELD_BOOL:
        if (v->type != QL_COL_INT || (v->i != 0 && v->i != 1))
            return QL_EPARSE;
        memcpy(member(ret, f->at), &b, sizeof b);
        return QL_OK;
    }
    p = copy_bytes(v->data, v->len);
    if (!p)
        return QL_ENOMEM;
    set_pointer(ret, f->at, p);
    return QL_OK;
}

int ql_fields_read(const struct ql_field *fields, size_t count, const struct ql_table *table,
                   const struct ql_value *row, uint32_t column_count, size_t size, void *ret,
                   struct ql_err *err)
{
    const char *key = "?";

    memset(ret, 0, size);
    if (column_count < count)
        return ql_fail(err, QL_EPARSE, "row of %s has %u columns, wanted %zu", table->name,
                       (unsigned)column_count, count);
    for (size_t i = 0; i < count; i++) {
        int r = read_field(&fields[i], &row[i], ret);

        if (r == QL_OK)
            continue;
        ql_fields_done(fields, count, ret);
        if (r == QL_ENOMEM)
            return ql_fail_nomem(err);
        if (is_text(&row[0]))
            key = row[0].data;
        return ql_fail(err, r, "row %.80s of %s cannot be read: column %s", key, table->name,
                       table->columns[i].name);
    }
    return QL_OK;
}

void ql_fields_done(const struct ql_field *fields, size_t count, void *of)
{
    const size_t none = 0;

    for (size_t i = 0; i < count; i++) {
        const struct ql_field *f = &fields[i];

        switch (f->kind) {
        case QL_FIELD_BYTES:
            memcpy(member(of, f->len_at), &none, sizeof none);
            __attribute__((fallthrough));
        case QL_FIELD_NAME:
        case QL_FIELD_TEXT:
        case QL_FIELD_JSON:
            free(pointer_of(of, f->at));
            set_pointer(of, f->at, NULL);
            break;
        case QL_FIELD_INT:
        case QL_FIELD_INT0:
        case QL_FIELD_INTM:
        case QL_FIELD_BOOL:
            break;
        }
    }
}

static bool owns_memory(const struct ql_field *f)
{
    return f->kind == QL_FIELD_NAME || f->kind == QL_FIELD_TEXT || f->kind == QL_FIELD_JSON ||
           f->kind == QL_FIELD_BYTES;
}

int ql_fields_copy(const struct ql_field *fields, size_t count, const void *from, size_t size, void *ret,
                   struct ql_err *err)
{
    bool is_short = false;

    memmove(ret, from, size);
    for (size_t i = 0; i < count; i++) {
        const struct ql_field *f = &fields[i];
        const void *p = NULL;
        void *copy = NULL;

        if (!owns_memory(f))
            continue;
        p = pointer_of(from, f->at);
        if (p && !is_short) {
            copy = copy_bytes(p, f->kind == QL_FIELD_BYTES ? len_of(from, f->len_at) : strlen(p));
            is_short = !copy;
        }
        set_pointer(ret, f->at, copy);
    }
    if (!is_short)
        return QL_OK;
    ql_fields_done(fields, count, ret);
    return ql_fail_nomem(err);
}
