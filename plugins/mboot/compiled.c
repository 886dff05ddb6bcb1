/* SPDX-License-Identifier: Apache-2.0 */
#include "compiled.h"

#include <stdio.h>
#include <string.h>

static void make(const struct mb_plugin *p, const struct mb_compiled *c, const char *name,
                 struct mb_variant *v)
{
    struct ql_err err = QL_ERR_INIT;

    mb_policy_free(v->policy);
    *v = (struct mb_variant){.policy = NULL};
    (void)snprintf(v->name, sizeof v->name, "%s", name); /* a longer one is no policy's name */
    if (mb_policy_new(&p->shop, name, c->refstate, &v->policy, &err) < 0)
        (void)snprintf(v->why, sizeof v->why, "policy evaluation failed: %s", err.text);
}

/* What a text is, before any script has seen it. */
static int read_text(const struct mb_plugin *p, struct mb_compiled *c, const uint8_t *text, size_t len,
                     uint32_t origin, struct ql_err *err)
{
    struct ql_err why = QL_ERR_INIT;
    int r = QL_OK;

    if (len == 0) {
        c->is_off = true;
        return QL_OK;
    }
    r = mb_refstate_load(p->host, text, len, &c->refstate, &why);
    if (r == QL_ENOMEM || (r < 0 && origin == QL_ORIGIN_UPLOAD))
        return p->host->fail(err, r, "%s", why.text);
    c->is_invalid = r < 0;
    if (r == QL_OK && mb_refstate_is_off(c->refstate))
        c->is_off = true;
    if (r == QL_OK && !c->is_off && origin == QL_ORIGIN_UPLOAD && !json_is_object(c->refstate))
        return p->host->fail(err, QL_EPARSE, "reference state: wanted an object");
    return QL_OK;
}

int mb_compiled_new(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                    size_t *ret_size, struct ql_err *err)
{
    const struct mb_plugin *p = plugin;
    const struct ql_host *h = p->host;
    struct mb_compiled *c = h->alloc(h, sizeof *c);
    int r;

    if (!c)
        return h->fail(err, QL_ENOMEM, "out of memory");
    memset(c, 0, sizeof *c);
    r = read_text(p, c, policy, len, origin, err);
    if (r == QL_OK && !c->is_off && !c->is_invalid) {
        make(p, c, p->policy_name, &c->configured);
        if (!c->configured.policy && origin == QL_ORIGIN_UPLOAD)
            r = h->fail(err, QL_EPARSE, "%s", c->configured.why);
    }
    if (r < 0) {
        mb_compiled_free(plugin, c);
        return r;
    }
    if (!c->is_off) {
        c->pcr_mask = c->configured.policy ? mb_policy_pcrs(c->configured.policy) : MB_COLLECTED_PCRS;
        c->pcr_mask |= UINT32_C(1); /* agents send the log along with PCR 0 */
    }
    c->need = (struct ql_need){.size = sizeof c->need,
                               .evidence = "mboot",
                               .bound = QL_BOUND_PCR,
                               .pcr = 0,
                               .flags = QL_NEED_OPTIONAL};
    *ret = c;
    *ret_size = sizeof *c + 4 * len + (c->configured.policy ? mb_policy_size(c->configured.policy) : 0);
    return QL_OK;
}

void mb_compiled_free(void *plugin, void *compiled)
{
    const struct ql_host *h = ((const struct mb_plugin *)plugin)->host;
    struct mb_compiled *c = compiled;

    if (!c)
        return;
    mb_policy_free(c->configured.policy);
    for (size_t i = 0; i < MB_VARIANTS_MAX; i++)
        mb_policy_free(c->others[i].policy);
    json_decref(c->refstate);
    h->free(h, c);
}

int mb_compiled_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    const struct mb_compiled *c = compiled;

    (void)plugin, (void)err;
    ret->pcr_mask = c->pcr_mask;
    ret->items = c->is_off ? NULL : &c->need;
    ret->item_count = c->is_off ? 0 : 1;
    return QL_OK;
}

const struct mb_variant *mb_compiled_variant(const struct mb_plugin *p, struct mb_compiled *c,
                                             const char *name)
{
    struct mb_variant *oldest = &c->others[0];

    if (!name || !*name || strcmp(name, c->configured.name) == 0)
        return &c->configured;
    c->asked++;
    for (size_t i = 0; i < MB_VARIANTS_MAX; i++) {
        struct mb_variant *v = &c->others[i];

        if (v->used > 0 && strcmp(v->name, name) == 0) {
            v->used = c->asked;
            return v;
        }
        if (v->used < oldest->used)
            oldest = v;
    }
    make(p, c, name, oldest);
    oldest->used = c->asked;
    return oldest;
}
