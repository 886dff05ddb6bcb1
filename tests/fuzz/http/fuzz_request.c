/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts a request's head passes: gate, route table, query, request id. */
#include <stdlib.h>
#include <string.h>

#include "gate.h"
#include "query.h"
#include "route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void nothing(struct ql_http_req *req, void *arg)
{
    (void)req;
    (void)arg;
}

static const unsigned versions[] = {QL_API(2, 0), QL_API(2, 6), QL_API(3, 0), 0};
static const struct ql_route rows[] = {
    {QL_GET, "/version", 0, 0, QL_WHO_PUBLIC, "a", 0, nothing, ""},
    {QL_GET, "/agents/{id}", QL_API(2, 0), QL_API(3, 0), QL_WHO_PUBLIC, "a", 0, nothing, ""},
    {QL_PUT, "/agents/{id}/{verb}", QL_API(2, 0), QL_API(2, 6), QL_WHO_PUBLIC, "a", 0, nothing, ""},
    {0},
};

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void target(const struct ql_gate *g, const char *text, size_t len)
{
    static struct ql_routes *table[2];
    const char *mark = memchr(text, '?', len);
    size_t path_len = mark ? (size_t)(mark - text) : len;
    struct ql_query q = {0};
    struct ql_match m;

    for (int i = 0; i < 2; i++) {
        if (!table[i])
            must(ql_routes_new(rows, versions, i, &table[i], NULL) == QL_OK);
        ql_routes_match(table[i], g->method, text, path_len, &m);
        for (unsigned n = 0; n < m.param_count; n++)
            must(m.param[n].len > 0 && m.param[n].at >= text &&
                 m.param[n].at + m.param[n].len <= text + path_len &&
                 !memchr(m.param[n].at, '/', m.param[n].len));
        must(!m.route || m.route->method == g->method);
    }
    if (mark && ql_query_parse(&q, mark + 1, len - path_len - 1, NULL) == QL_OK)
        for (size_t n = 0; n < q.count; n++)
            must(ql_query_get(&q, q.item[n].name) && ql_query_count(&q, q.item[n].name) > 0);
    ql_query_done(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char *text = (const char *)data;
    char id[QL_REQUEST_ID_MAX + 1];
    struct ql_gate g;
    size_t at = 0;

    ql_request_id_clean(text, len, id);
    must(strlen(id) <= QL_REQUEST_ID_MAX);
    ql_gate_begin(&g);
    while (at < len && !g.done) {
        const char *end = memchr(text + at, '\n', len - at), *line = text + at;
        size_t line_len = end ? (size_t)(end - line) : len - at;
        bool first = !g.has_line;

        if (line_len > 0 && line[line_len - 1] == '\r')
            line_len--;
        if (ql_gate_line(&g, line, line_len) != 0)
            return 0;
        if (first && g.method)
            target(&g, strchr(line, ' ') + 1, g.target_len);
        at = end ? (size_t)(end - text) + 1 : len;
    }
    (void)ql_gate_verdict(&g); /* any answer is fine, reading past the end is not */
    must(!(g.chunked && g.has_length) && g.headers <= QL_GATE_HEADERS_MAX);
    return 0;
}
