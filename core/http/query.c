/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "encode.h"
#include "error.h"
#include "query.h"

/* Decode text[0..len) to `out`, which has room for len + 1 bytes. Returns the end (the NUL), NULL for an encoded NUL. */
static char *decode(const char *text, size_t len, char *out)
{
    for (size_t at = 0; at < len; at++) {
        char c = text[at];

        if (c == '+') {
            c = ' ';
        } else if (c == '%' && len - at > 2 && ql_hex_digit(text[at + 1]) >= 0 &&
                   ql_hex_digit(text[at + 2]) >= 0) {
            c = (char)(ql_hex_digit(text[at + 1]) << 4 | ql_hex_digit(text[at + 2]));
            at += 2;
        }
        if (c == '\0')
            return NULL;
        *out++ = c;
    }
    *out = '\0';
    return out;
}

static int add_item(struct ql_query *q, const char *text, size_t len, char **out, struct ql_err *err)
{
    const char *eq = memchr(text, '=', len);
    size_t name_len = eq ? (size_t)(eq - text) : len;
    struct ql_query_item *item;
    char *end;

    if (q->count == QL_QUERY_MAX)
        return ql_fail(err, QL_ELIMIT, "query has more than %d parameters", QL_QUERY_MAX);
    item = &q->item[q->count];
    item->name = *out;
    end = decode(text, name_len, *out);
    if (!end)
        return ql_fail(err, QL_EPARSE, "query holds a NUL byte");
    item->value = end + 1;
    end = eq ? decode(eq + 1, len - name_len - 1, end + 1) : decode("", 0, end + 1);
    if (!end)
        return ql_fail(err, QL_EPARSE, "query holds a NUL byte");
    *out = end + 1;
    q->count++;
    return QL_OK;
}

int ql_query_parse(struct ql_query *q, const char *text, size_t len, struct ql_err *err)
{
    size_t at = 0;
    char *out;

    q->count = 0;
    if (len == 0)
        return QL_OK;
    /* Each item turns its '=' and its '&' into a NUL; one without '=' needs a byte more than it has. */
    if (len > SIZE_MAX / 2 - 2)
        return ql_fail(err, QL_ELIMIT, "query of %zu bytes", len);
    if (q->room < 2 * len + 2) {
        char *bigger = realloc(q->text, 2 * len + 2);

        if (!bigger)
            return ql_fail_nomem(err);
        q->text = bigger;
        q->room = 2 * len + 2;
    }
    out = q->text;
    while (at < len) {
        const char *amp = memchr(text + at, '&', len - at);
        size_t part = amp ? (size_t)(amp - text) - at : len - at;
        int r = part == 0 ? QL_OK : add_item(q, text + at, part, &out, err);

        if (r < 0) {
            q->count = 0;
            return r;
        }
        at += part + 1;
    }
    return QL_OK;
}

const char *ql_query_get(const struct ql_query *q, const char *name)
{
    for (size_t i = 0; i < q->count; i++)
        if (strcmp(q->item[i].name, name) == 0)
            return q->item[i].value;
    return NULL;
}

size_t ql_query_count(const struct ql_query *q, const char *name)
{
    size_t found = 0;

    for (size_t i = 0; i < q->count; i++)
        found += strcmp(q->item[i].name, name) == 0;
    return found;
}

void ql_query_done(struct ql_query *q)
{
    free(q->text);
    q->text = NULL;
    q->room = 0;
    q->count = 0;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("-._~", c));
}

char *ql_url_encode(const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = strlen(text);
    char *out, *to;

    if (len > SIZE_MAX / 3 - 1)
        return NULL;
    to = out = malloc(3 * len + 1);
    if (!out)
        return NULL;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (is_unreserved(*p)) {
            *to++ = (char)*p;
        } else {
            *to++ = '%';
            *to++ = digits[*p >> 4];
            *to++ = digits[*p & 15];
        }
    }
    *to = '\0';
    return out;
}
