/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "server.h"

enum {
    MANY_MAX = 128,       /* rows of one message */
    MANY_BYTES = 4 << 20, /* and their values */
    MANY_PARAMS = QL_STORE_MAX_COLUMNS + SV_COND_MAX
};

/** Rows that travel together. */
struct many {
    struct sv_call calls[MANY_MAX];
    struct ql_put *puts[MANY_MAX];
    struct ql_value params[MANY_MAX][MANY_PARAMS];
    uint32_t count;
    size_t bytes;
};

static int flush(struct sv_db *db, struct many *m, struct ql_err *err)
{
    int r = m->count ? sv_drv_many(db, m->calls, m->count, err) : QL_OK;

    for (uint32_t i = 0; i < m->count; i++)
        m->puts[i]->result = m->calls[i].result;
    m->count = 0;
    m->bytes = 0;
    return r;
}

/** @return 1: it is not one for here, put() takes it */
static int add(struct sv_db *db, struct many *m, const struct ql_table *t, struct ql_put *p,
               struct ql_err *err)
{
    struct sv_call *c = &m->calls[m->count];
    struct sv_input in = {.row = p->row, .conds = p->only_if};
    struct sv_stmt *s = NULL;
    struct sv_shape shape;
    bool fits;
    int r;

    if (p->mode != QL_PUT_UPDATE)
        return 1;
    r = sv_update_shape(db, t, p->mask, p->only_if, p->cond_count, &shape, err);
    if (r == QL_OK)
        r = sv_prepare(db, &shape, &s, err);
    if (r != QL_OK || !s)
        return r;
    fits = s->cached && !s->guard && s->param_count <= MANY_PARAMS;
    if (fits)
        r = sv_bind(db, s, &in, m->params[m->count], err);
    *c = (struct sv_call){.s = s, .params = m->params[m->count]};
    for (uint32_t i = 0; fits && r == QL_OK && i < s->param_count; i++)
        m->bytes += c->params[i].len;
    sv_release(db, s); /* it stays, being cached */
    if (r < 0 || !fits)
        return r < 0 ? r : 1;
    m->puts[m->count++] = p;
    return QL_OK;
}

static int put_all(struct sv_db *db, struct many *m, const struct ql_table *t, struct ql_put *puts,
                   uint32_t count, struct ql_err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        struct ql_put *p = &puts[i];
        int r = add(db, m, t, p, err);

        if (r == 1) {
            r = sv_put(NULL, db, t, p->mode, p->row, p->mask, p->only_if, p->cond_count, err);
            p->result = r;
            r = r == QL_ECONFLICT ? QL_OK : r;
        } else if (r < 0) {
            p->result = r;
        } else if (m->count == MANY_MAX || m->bytes > MANY_BYTES) {
            r = flush(db, m, err);
        }
        if (r < 0)
            return r;
    }
    return flush(db, m, err);
}

int sv_put_many(void *plugin, void *at, const struct ql_table *t, struct ql_put *puts, uint32_t count,
                struct ql_err *err)
{
    struct sv_db *db = at;
    struct many *m = NULL;
    int r;

    (void)plugin;
    if (!db->in_txn)
        return db->host->fail(err, QL_EINTERNAL, "a write without a transaction");
    m = malloc(sizeof *m);
    if (!m)
        return sv_nomem(db->host, err);
    m->count = 0;
    m->bytes = 0;
    db->has_written = true;
    r = put_all(db, m, t, puts, count, err);
    free(m);
    return r;
}
