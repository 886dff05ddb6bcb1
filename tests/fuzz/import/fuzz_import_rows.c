/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a foreign database, cell by cell: 0x1f ends a cell, 0x1e alone is a null. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "import.h"

enum {
    VERIFIER_COLUMNS = 31,
    V = 1,
    REVOCATION_KEY = 8
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** What is left of the input. */
struct input {
    const uint8_t *at;
    size_t len;
};

/* NUL-ended, as all libraries give it; freed by the caller. */
static char *next(struct input *in, struct ql_cell *ret)
{
    const uint8_t *end = in->len ? memchr(in->at, 0x1f, in->len) : NULL;
    size_t len = end ? (size_t)(end - in->at) : in->len;
    char *text = malloc(len + 1);

    if (!text)
        abort();
    if (len)
        memcpy(text, in->at, len);
    text[len] = '\0';
    *ret = len == 1 && text[0] == 0x1e ? (struct ql_cell){0} : (struct ql_cell){text, len};
    in->at += len + (end ? 1 : 0);
    in->len -= len + (end ? 1 : 0);
    return text;
}

static int each(void *db, const char *sql, size_t columns, ql_source_fn fn, void *arg, struct ql_err *err)
{
    static const struct ql_cell none = {"0", 1};
    struct ql_cell row[QL_SOURCE_COLUMNS] = {0};
    char *texts[QL_SOURCE_COLUMNS] = {0};
    int r;

    (void)sql;
    if (columns == 1)
        return fn(arg, &none, err);
    for (size_t i = 0; i < columns; i++)
        texts[i] = next(db, &row[i]);
    if (columns == VERIFIER_COLUMNS)
        row[V] = row[REVOCATION_KEY] = (struct ql_cell){0}; /* sealing them is not what is tried here */
    r = fn(arg, row, err);
    for (size_t i = 0; i < columns; i++)
        free(texts[i]);
    return r;
}

static void close_input(void *db)
{
    (void)db;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct ql_source_ops ops = {.close = close_input, .each = each, .tables = "", .here = ""};
    struct input in = {data + 1, len ? len - 1 : 0};
    struct ql_source *s = NULL;
    struct ql_import g = {0};
    struct ql_err err = QL_ERR_INIT;

    if (len == 0 || ql_source_new(&ops, &in, &s, &err) < 0)
        return 0;
    if (data[0] & 1)
        (void)ql_import_read_registrar(s, &g, &err); /* any outcome is fine */
    else
        (void)ql_import_read_verifier(s, &g, &err); /* the same */
    if (g.agent_count + g.registration_count + g.left_count == 0 && err.code == QL_OK)
        abort(); /* each row is taken or named */
    ql_import_done(&g);
    ql_source_close(s);
    return 0;
}
