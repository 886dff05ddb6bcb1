/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "digest.h"
#include "error.h"
#include "parse.h"
#include "verdict.h"

static int check_needs(const char *validator, const struct ql_needs *n, struct ql_err *err)
{
    if (n->pcr_mask >> QL_PCR_COUNT)
        return ql_fail(err, QL_ERANGE, "validator %s needs PCRs above 23 (mask 0x%x)", validator,
                       n->pcr_mask);
    for (size_t i = 0; i < n->item_count; i++) {
        const struct ql_need *need = &n->items[i];

        if (!need->evidence || !ql_component_name_ok(need->evidence, strlen(need->evidence)))
            return ql_fail(err, QL_ERANGE, "validator %s needs evidence without a proper name", validator);
        if (need->bound != QL_BOUND_NONCE && need->bound != QL_BOUND_PCR)
            return ql_fail(err, QL_ERANGE,
                           "validator %s: evidence %s is bound in a way (%u) that does not exist", validator,
                           need->evidence, need->bound);
        if (need->flags & ~QL_NEED_OPTIONAL)
            return ql_fail(err, QL_ERANGE, "validator %s: evidence %s has flags (0x%x) that do not exist",
                           validator, need->evidence, need->flags);
        if (need->parameters && strlen(need->parameters) > QL_NEED_PARAMETERS_MAX)
            return ql_fail(err, QL_ELIMIT, "validator %s: parameters of evidence %s have more than %u bytes",
                           validator, need->evidence, QL_NEED_PARAMETERS_MAX);
        /* Evidence that a PCR vouches for is worth nothing when that PCR is not quoted. */
        if (need->bound == QL_BOUND_PCR &&
            (need->pcr >= QL_PCR_COUNT || !(n->pcr_mask & (UINT32_C(1) << need->pcr))))
            return ql_fail(err, QL_ERANGE,
                           "validator %s: evidence %s is bound by PCR %u, which is not in its mask",
                           validator, need->evidence, need->pcr);
    }
    return QL_OK;
}

/* From the validator's array to one of our own: its items may be of another size. */
static int read_needs(const char *validator, struct ql_policy *p, struct ql_err *err)
{
    int r = p->validator->needs(p->plugin, p->compiled, &p->needs, err);

    if (r == QL_OK && p->needs.item_count > 0) {
        p->items = calloc(QL_NEEDS_MAX, sizeof *p->items);
        r = p->items ? ql_needs_items(validator, &p->needs, p->items, err) : ql_fail_nomem(err);
        p->needs.items = p->items;
    }
    return r == QL_OK ? check_needs(validator, &p->needs, err) : r;
}

int ql_policy_compile(const struct ql_registry *registry, const char *validator, const uint8_t *bytes,
                      size_t len, uint32_t origin, struct ql_policy **ret, struct ql_err *err)
{
    struct ql_found found = ql_registry_find(registry, QL_KIND_VALIDATOR, validator);
    ql_auto(ql_policy_freep) struct ql_policy *p = NULL;
    void *compiled = NULL;
    size_t size = 0;
    int r;

    if (!found.head)
        return ql_fail(err, QL_ENOTFOUND, "no validator %s is loaded", validator);
    p = calloc(1, sizeof *p);
    if (!p)
        return ql_fail_nomem(err);
    p->validator = (const struct ql_validator *)found.head;
    p->plugin = found.plugin;
    r = ql_digest_once(QL_SHA256, bytes, len, p->digest);
    if (r < 0)
        return ql_fail(err, r, "hashing the policy of %s", validator);
    r = p->validator->prepare(p->plugin, bytes, len, origin, &compiled, &size, err);
    if (r < 0)
        return r;
    p->compiled = compiled;
    p->prepared = true;
    p->size = size;
    p->needs.size = sizeof p->needs;
    r = read_needs(validator, p, err);
    if (r < 0)
        return r;
    *ret = ql_steal(p);
    return QL_OK;
}

void ql_policy_free(struct ql_policy *p)
{
    if (!p)
        return;
    if (p->prepared && p->validator->release)
        p->validator->release(p->plugin, p->compiled);
    free(p->items);
    free(p);
}
