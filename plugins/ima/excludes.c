/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "excludes.h"
#include "pattern.h"

struct ima_excludes {
    const struct ql_host *host;
    size_t count, size;
    struct ima_pattern *patterns[];
};

void ima_excludes_free(struct ima_excludes *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->count; i++)
        ima_pattern_free(e->patterns[i]);
    e->host->free(e->host, e);
}

size_t ima_excludes_size(const struct ima_excludes *e)
{
    return e ? e->size : 0;
}

int ima_excludes_compile(const struct ql_host *host, const struct ima_exclude *elements, size_t count,
                         struct ima_excludes **ret, struct ql_err *err)
{
    struct ima_excludes *e;
    struct ql_err why = QL_ERR_INIT;

    if (count == 0) {
        *ret = NULL;
        return QL_OK;
    }
    e = host->alloc(host, sizeof *e + count * sizeof *e->patterns);
    if (!e)
        return host->fail(err, QL_ENOMEM, "no memory for %zu excludes", count);
    memset(e, 0, sizeof *e + count * sizeof *e->patterns);
    e->host = host;
    e->size = sizeof *e + count * sizeof *e->patterns;
    for (; e->count < count; e->count++) {
        int r = ima_pattern_new(host, elements[e->count].text, elements[e->count].len, false,
                                &e->patterns[e->count], &why);

        if (r < 0) {
            host->fail(err, r, "'excludes': element %zu: %s", e->count + 1, why.text);
            ima_excludes_free(e);
            return r;
        }
        e->size += ima_pattern_size(e->patterns[e->count]);
    }
    *ret = e;
    return QL_OK;
}

enum ima_excluded ima_excludes_match(const struct ima_excludes *e, const uint8_t *name, size_t len)
{
    enum ima_excluded verdict = IMA_NOT_EXCLUDED;

    for (size_t i = 0; e && i < e->count; i++)
        switch (ima_pattern_match(e->patterns[i], name, len)) {
        case IMA_NO_MATCH:
            break;
        case IMA_MATCH:
            return IMA_EXCLUDED;
        case IMA_MATCH_LIMITED:
            verdict = IMA_EXCLUDE_LIMIT;
        }
    return verdict;
}
