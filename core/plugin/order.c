/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which validators run: after those they name, otherwise as they were loaded. */
#include <string.h>

#include "buf.h"
#include "error.h"
#include "internal.h"

static bool is_validator(const struct ql_entry *e)
{
    return e->head->kind == QL_KIND_VALIDATOR;
}

/* Does every name in `after` stand among the first @p count of @p done? */
static bool is_ready(const struct ql_entry *e, const struct ql_entry *done, size_t count)
{
    for (size_t i = 0; e->head->after && e->head->after[i]; i++) {
        size_t k = 0;

        while (k < count && strcmp(done[k].head->name, e->head->after[i]) != 0)
            k++;
        if (k == count)
            return false;
    }
    return true;
}

static int check_names(const struct ql_registry *r, struct ql_err *err)
{
    for (size_t i = 0; i < r->entry_count; i++) {
        const struct ql_entry *e = &r->entries[i];

        if (!is_validator(e))
            continue;
        for (size_t k = 0; e->head->after && e->head->after[k]; k++)
            if (!ql_registry_find(r, QL_KIND_VALIDATOR, e->head->after[k]).head)
                return ql_fail(err, QL_ERANGE, "plugin %s: validator %s: after: no validator %s is loaded",
                               e->from->name, e->head->name, e->head->after[k]);
    }
    return QL_OK;
}

static int fail_cycle(const struct ql_entry *list, const bool *placed, size_t count, struct ql_err *err)
{
    ql_auto_buf struct ql_buf names = ql_buf_init(400);

    for (size_t i = 0; i < count; i++)
        if (is_validator(&list[i]) && !placed[i])
            (void)ql_buf_addf(&names, "%s%s", names.len ? ", " : "",
                              list[i].head->name); /* a cut list will do */
    return ql_fail(err, QL_ERANGE, "validators wait for each other by `after`: %.*s", (int)names.len,
                   names.len ? (const char *)names.data : "");
}

int ql_registry_order(struct ql_registry *r, struct ql_err *err)
{
    ql_auto_free struct ql_entry *sorted = calloc(QL_COMPONENTS_MAX, sizeof *sorted);
    bool placed[QL_COMPONENTS_MAX] = {false};
    size_t count = 0, validators = 0;
    int e;

    if (!sorted)
        return ql_fail_nomem(err);
    e = check_names(r, err);
    if (e < 0)
        return e;
    for (size_t i = 0; i < r->entry_count; i++)
        validators += is_validator(&r->entries[i]);
    while (count < validators) {
        size_t i = 0;

        while (i < r->entry_count &&
               (placed[i] || !is_validator(&r->entries[i]) || !is_ready(&r->entries[i], sorted, count)))
            i++;
        if (i == r->entry_count)
            return fail_cycle(r->entries, placed, r->entry_count, err);
        placed[i] = true;
        sorted[count++] = r->entries[i];
    }
    for (size_t i = 0; i < r->entry_count; i++)
        if (!placed[i])
            sorted[count++] = r->entries[i];
    memcpy(r->entries, sorted, r->entry_count * sizeof *sorted);
    return QL_OK;
}
