/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "gate.h"
#include "parse.h"
#include "server.h"

enum {
    BAD_REQUEST = 400,
    EXPECTATION_FAILED = 417,
    TOO_LARGE = 431,
    NOT_IMPLEMENTED = 501,
    BAD_VERSION = 505
};

static const struct {
    const char *name;
    unsigned method;
} methods[] = {
    {"GET", QL_GET},     {"POST", QL_POST}, {"PUT", QL_PUT},         {"DELETE", QL_DELETE},
    {"PATCH", QL_PATCH}, {"HEAD", QL_HEAD}, {"OPTIONS", QL_OPTIONS}, {"TRACE", QL_OTHER_METHOD},
};

/* RFC 9110 5.6.2 */
static bool is_token_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_token_char((unsigned char)text[i]))
            return false;
    return len > 0;
}

static bool equals(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

void ql_request_id_clean(const char *value, size_t len, char *out)
{
    size_t used = 0;

    for (size_t i = 0; i < len && used < QL_REQUEST_ID_MAX; i++) {
        char c = value[i];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_')
            out[used++] = c;
    }
    out[used] = '\0';
}

void ql_gate_begin(struct ql_gate *g)
{
    memset(g, 0, sizeof *g);
}

/* Origin form alone, visible ASCII, no fragment; "//" would be read as an authority by evhttp, %00 cuts C strings. */
static bool target_ok(const char *text, size_t len)
{
    if (len == 0 || text[0] != '/' || (len > 1 && text[1] == '/'))
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c <= ' ' || c >= 0x7f || c == '#')
            return false;
        if (c == '%' && len - i > 2 && text[i + 1] == '0' && text[i + 2] == '0')
            return false;
    }
    return true;
}

static int request_line(struct ql_gate *g, const char *line, size_t len)
{
    static const char version[] = "HTTP/1.";
    const char *blank = memchr(line, ' ', len), *target, *end;

    if (!blank || !is_token(line, (size_t)(blank - line)) || blank - line > QL_GATE_METHOD_MAX)
        return BAD_REQUEST;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strlen(methods[i].name) == (size_t)(blank - line) &&
            memcmp(methods[i].name, line, (size_t)(blank - line)) == 0)
            g->method = methods[i].method;
    target = blank + 1;
    len -= (size_t)(target - line);
    end = memchr(target, ' ', len);
    if (!end)
        return BAD_REQUEST;
    g->target_len = (size_t)(end - target);
    len -= g->target_len + 1;
    /* Methods unknown here may have other targets (CONNECT): they end in 501 and nobody reads theirs. */
    if (g->method != 0 && !target_ok(target, g->target_len))
        return BAD_REQUEST;
    if (len < 5 || memcmp(end + 1, "HTTP/", 5) != 0)
        return BAD_REQUEST;
    if (len != sizeof version || memcmp(end + 1, version, sizeof version - 1) != 0 ||
        (end[sizeof version] != '0' && end[sizeof version] != '1'))
        return BAD_VERSION;
    g->minor = (unsigned)(end[sizeof version] - '0');
    g->has_line = true;
    return 0;
}

/* One host, or none at all (RFC 9112 3.2): what could be taken for a second name or a path is refused. */
static int host_value(struct ql_gate *g, const char *value, size_t len)
{
    if (g->has_host)
        return BAD_REQUEST;
    g->has_host = true;
    for (size_t i = 0; i < len; i++)
        if (!is_token_char((unsigned char)value[i]) && !strchr(":[]", value[i]))
            return BAD_REQUEST;
    return 0;
}

static int length_value(struct ql_gate *g, const char *value, size_t len)
{
    if (g->has_length || g->chunked || len > 18 ||
        ql_parse_u64(value, len, 0, INT64_MAX, &g->body_len, NULL) < 0)
        return BAD_REQUEST;
    g->has_length = true;
    return 0;
}

/* Two headers of which one is bad are bad. */
static void auth_value(struct ql_gate *g, const char *value, size_t len)
{
    static const char bearer[] = {'B', 'e', 'a', 'r', 'e', 'r', ' '};

    g->has_auth = true;
    if (len > sizeof bearer && memcmp(value, bearer, sizeof bearer) == 0)
        g->auth_bearer = true;
    else if (len > 0)
        g->auth_bad = true;
}

static int encoding_value(struct ql_gate *g, const char *value, size_t len)
{
    if (g->has_length || g->chunked || g->minor == 0 || !equals(value, len, "chunked"))
        return BAD_REQUEST;
    g->chunked = true;
    return 0;
}

/* application/json or anything/…+json, parameters left out */
static bool is_json_type(const char *value, size_t len)
{
    const char *semicolon = memchr(value, ';', len);

    if (semicolon)
        len = (size_t)(semicolon - value);
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    return equals(value, len, "application/json") ||
           (len > 5 && strncasecmp(value + len - 5, "+json", 5) == 0);
}

static int type_value(struct ql_gate *g, const char *value, size_t len)
{
    if (g->has_type)
        return BAD_REQUEST;
    g->has_type = true;
    g->is_json = is_json_type(value, len);
    return 0;
}

static int header_value(struct ql_gate *g, const char *name, size_t name_len, const char *value, size_t len)
{
    switch (name_len) {
    case 4:
        return equals(name, name_len, "Host") ? host_value(g, value, len) : 0;
    case 6:
        if (equals(name, name_len, "Expect")) {
            g->unmet_expect = g->unmet_expect || g->expects || !equals(value, len, "100-continue");
            g->expects = true;
        }
        return 0;
    case 12:
        if (equals(name, name_len, "Content-Type"))
            return type_value(g, value, len);
        if (equals(name, name_len, "X-Request-ID"))
            ql_request_id_clean(value, len, g->request_id);
        return 0;
    case 13:
        if (equals(name, name_len, "Authorization"))
            auth_value(g, value, len);
        return 0;
    case 14:
        return equals(name, name_len, "Content-Length") ? length_value(g, value, len) : 0;
    case 17:
        return equals(name, name_len, "Transfer-Encoding") ? encoding_value(g, value, len) : 0;
    default:
        return 0;
    }
}

static int header_line(struct ql_gate *g, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len), *value;

    if (++g->headers > QL_GATE_HEADERS_MAX)
        return TOO_LARGE;
    /* A token has no blanks: this refuses "Host : x" and folded lines alike. */
    if (!colon || !is_token(line, (size_t)(colon - line)))
        return BAD_REQUEST;
    value = colon + 1;
    len -= (size_t)(value - line);
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 0x7f)
            return BAD_REQUEST;
    /* evhttp skips blanks before a value but no tabs: with a tab there its meaning would be another than ours. */
    while (len > 0 && *value == ' ') {
        value++;
        len--;
    }
    if (len > 0 && *value == '\t')
        return BAD_REQUEST;
    while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        len--;
    return header_value(g, line, (size_t)(colon - line), value, len);
}

static int end_of_head(struct ql_gate *g)
{
    g->done = true;
    if (g->minor == 1 && !g->has_host)
        return BAD_REQUEST;
    /* evhttp reads no body after these, so one would be taken for the next request. */
    if ((g->method == QL_HEAD || g->method == QL_OTHER_METHOD) && (g->body_len > 0 || g->chunked))
        return BAD_REQUEST;
    return 0;
}

int ql_gate_line(struct ql_gate *g, const char *line, size_t len)
{
    if (!g->has_line)
        return request_line(g, line, len);
    return len == 0 ? end_of_head(g) : header_line(g, line, len);
}

int ql_gate_verdict(const struct ql_gate *g)
{
    if (g->method == 0)
        return NOT_IMPLEMENTED;
    return g->unmet_expect ? EXPECTATION_FAILED : 0;
}
