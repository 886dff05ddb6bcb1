/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "server.h"

enum {
    URL_MAX = 4096
};

/** What is being read. Texts of errors name parts, never their content: any part may be a misplaced password. */
struct reading {
    const struct ql_host *host;
    struct sv_url *url;
    struct ql_err *err;
};

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/** A copy without percent signs. @param what  name of the part */
static int take(const struct reading *g, const char *from, size_t len, const char *what, char **ret)
{
    char *out = malloc(len + 1);
    size_t n = 0;

    if (!out)
        return sv_nomem(g->host, g->err);
    for (size_t i = 0; i < len; i++) {
        char c = from[i];

        if (c == '%') {
            int high = i + 2 < len ? hex(from[i + 1]) : -1, low = high < 0 ? -1 : hex(from[i + 2]);

            if (low < 0 || (!high && !low)) {
                explicit_bzero(out, len);
                free(out);
                return g->host->fail(g->err, QL_ERANGE,
                                     "database_url: %s has a %% that is not followed by two "
                                     "hexadecimal digits (write %%25)",
                                     what);
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[n++] = c;
    }
    out[n] = 0;
    free(*ret);
    *ret = out;
    return QL_OK;
}

static int user_and_password(const struct reading *g, const char *at, size_t len)
{
    const char *colon = memchr(at, ':', len);
    size_t user = colon ? (size_t)(colon - at) : len;
    int r = take(g, at, user, "the user", &g->url->user);

    if (r == QL_OK && colon)
        r = take(g, colon + 1, len - user - 1, "the password", &g->url->password);
    return r;
}

static int check_port(const struct reading *g)
{
    const char *port = g->url->port;
    size_t len = strlen(port);

    if (!len || len > 5 || strspn(port, "0123456789") != len || !strtol(port, NULL, 10) ||
        strtol(port, NULL, 10) > 65535)
        return g->host->fail(g->err, QL_ERANGE, "database_url: the port is not a number from 1 to 65535");
    return QL_OK;
}

static int host_and_port(const struct reading *g, const char *at, size_t len)
{
    const char *colon = NULL, *end = NULL;
    int r;

    if (memchr(at, '@', len))
        return g->host->fail(g->err, QL_ERANGE,
                             "database_url: a '@' in the user or password is to be written %%40");
    if (len && *at == '[') {
        end = memchr(at, ']', len);
        if (!end)
            return g->host->fail(g->err, QL_ERANGE, "database_url: the host's '[' is not closed");
        r = take(g, at + 1, (size_t)(end - at - 1), "the host", &g->url->host);
        colon = end + 1 < at + len ? end + 1 : NULL;
        if (colon && *colon != ':')
            return g->host->fail(g->err, QL_ERANGE, "database_url: something follows the host's ']'");
    } else {
        colon = memchr(at, ':', len);
        r = take(g, at, colon ? (size_t)(colon - at) : len, "the host", &g->url->host);
    }
    if (r < 0 || !colon)
        return r;
    r = take(g, colon + 1, (size_t)(at + len - colon - 1), "the port", &g->url->port);
    return r == QL_OK && g->url->port ? check_port(g) : r;
}

static bool is_true(const char *text)
{
    return !strcmp(text, "true") || !strcmp(text, "True") || !strcmp(text, "1") || !strcmp(text, "yes");
}

static int set_tls(const struct reading *g, const char *word)
{
    static const struct {
        const char *word;
        enum sv_tls tls;
    } words[] = {
        {"disable", SV_TLS_OFF},      {"require", SV_TLS_REQUIRE}, {"verify-ca", SV_TLS_CA},
        {"verify-full", SV_TLS_FULL}, {"default", SV_TLS_DEFAULT},
    };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(word, words[i].word)) {
            g->url->tls = words[i].tls;
            return QL_OK;
        }
    return g->host->fail(g->err, QL_ERANGE,
                         "database_url: sslmode is none of disable, require, verify-ca, verify-full");
}

/** Names as libpq, psycopg and PyMySQL have them, and our own password_file. */
static int parameter(const struct reading *g, const char *name, char *value)
{
    static const char *const files[][2] = {
        {"sslrootcert", "ca"},     {"ssl_ca", "ca"},          {"sslcert", "cert"},
        {"ssl_cert", "cert"},      {"sslkey", "key"},         {"ssl_key", "key"},
        {"password_file", "pass"}, {"unix_socket", "socket"}, {"options", "options"},
    };
    struct sv_url *u = g->url;
    char **to = NULL;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (!strcmp(name, files[i][0])) {
            to = files[i][1][0] == 'c' && files[i][1][1] == 'a' ? &u->ca
                 : files[i][1][0] == 'c'                        ? &u->cert
                 : files[i][1][0] == 'k'                        ? &u->key
                 : files[i][1][0] == 'p'                        ? &u->password_file
                 : files[i][1][0] == 's'                        ? &u->socket
                                                                : &u->parameters;
            free(*to);
            *to = strdup(value);
            return *to ? QL_OK : sv_nomem(g->host, g->err);
        }
    if (!strcmp(name, "host")) {
        to = *value == '/' ? &u->socket : &u->host;
        free(*to);
        *to = strdup(value);
        return *to ? QL_OK : sv_nomem(g->host, g->err);
    }
    if (!strcmp(name, "sslmode"))
        return set_tls(g, value);
    if (!strcmp(name, "ssl_verify_cert") || !strcmp(name, "ssl_verify_identity")) {
        if (u->tls == SV_TLS_DEFAULT || u->tls == SV_TLS_REQUIRE)
            u->tls = is_true(value) ? SV_TLS_FULL : SV_TLS_REQUIRE;
        return QL_OK;
    }
    if (!strcmp(name, "ssl_disabled")) {
        if (is_true(value))
            u->tls = SV_TLS_OFF;
        return QL_OK;
    }
    /* All text is UTF-8 anyway, and one time-out is an option of the plugin. */
    if (!strcmp(name, "charset") || !strcmp(name, "client_encoding"))
        return !strncmp(value, "utf8", 4) || !strcmp(value, "UTF8")
                   ? QL_OK
                   : g->host->fail(g->err, QL_ERANGE, "database_url: %s must be UTF-8", name);
    return g->host->fail(g->err, QL_ERANGE, "database_url has the unknown parameter \"%.40s\"", name);
}

static int parameters(const struct reading *g, const char *at)
{
    while (*at) {
        size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&");
        char *name = NULL, *value = NULL;
        int r;

        if (name_len >= len)
            return g->host->fail(g->err, QL_ERANGE, "database_url: a parameter after '?' has no value");
        r = take(g, at, name_len, "a parameter", &name);
        if (r == QL_OK)
            r = take(g, at + name_len + 1, len - name_len - 1, "a parameter", &value);
        if (r == QL_OK)
            r = name && value ? parameter(g, name, value) : sv_nomem(g->host, g->err);
        free(name);
        free(value);
        if (r < 0)
            return r;
        at += len + (at[len] == '&');
    }
    return QL_OK;
}

static int parse(const struct reading *g, const char *url)
{
    const char *rest = strstr(url, "://"), *at = NULL, *query = NULL, *slash = NULL, *colon = NULL;
    size_t len;
    int r;

    if (!rest || strlen(url) > URL_MAX)
        return g->host->fail(g->err, QL_ERANGE, "database_url is to be %s://USER:PASSWORD@HOST/DATABASE",
                             sv_dialect.scheme);
    rest += 3;
    /* A password ends at the first '@' and may hold '/' and '?', as SQLAlchemy reads it; a user may not. */
    len = strcspn(rest, ":/?@");
    colon = rest[len] == ':' ? rest + len : NULL;
    at = rest[len] == '@' ? rest + len : colon ? strchr(colon, '@') : NULL;
    if (at) {
        r = user_and_password(g, rest, (size_t)(at - rest));
        if (r < 0)
            return r;
        rest = at + 1;
    }
    query = rest + strcspn(rest, "?");
    slash = memchr(rest, '/', (size_t)(query - rest));
    r = host_and_port(g, rest, slash ? (size_t)(slash - rest) : (size_t)(query - rest));
    if (r == QL_OK && slash)
        r = take(g, slash + 1, (size_t)(query - slash - 1), "the database", &g->url->database);
    if (r == QL_OK && *query)
        r = parameters(g, query + 1);
    return r;
}

static int check(const struct reading *g)
{
    struct sv_url *u = g->url;

    if (!u->database || !*u->database)
        return g->host->fail(g->err, QL_ERANGE,
                             "database_url names no database: want %s://USER:PASSWORD@HOST/DATABASE",
                             sv_dialect.scheme);
    if (!u->user || !*u->user)
        return g->host->fail(g->err, QL_ERANGE,
                             "database_url names no user: want %s://USER:PASSWORD@HOST/DATABASE",
                             sv_dialect.scheme);
    if (u->socket ? *u->socket != '/' : !u->host || !*u->host)
        return g->host->fail(g->err, QL_ERANGE,
                             "database_url names neither a host nor an absolute path of a socket");
    if (u->socket && u->host && *u->host && strcmp(u->host, "localhost") != 0)
        return g->host->fail(g->err, QL_ERANGE, "database_url names a host and a socket");
    return QL_OK;
}

int sv_url_parse(const struct ql_host *host, const char *url, struct sv_url *ret, struct ql_err *err)
{
    struct sv_url u = {0};
    const struct reading g = {.host = host, .url = &u, .err = err};
    int r = parse(&g, url);

    if (r == QL_OK)
        r = check(&g);
    if (r < 0) {
        sv_url_free(&u);
        return r;
    }
    *ret = u;
    return QL_OK;
}

void sv_url_free(struct sv_url *u)
{
    if (u->password)
        explicit_bzero(u->password, strlen(u->password));
    free(u->user);
    free(u->password);
    free(u->host);
    free(u->port);
    free(u->database);
    free(u->socket);
    free(u->parameters);
    free(u->ca);
    free(u->cert);
    free(u->key);
    free(u->password_file);
    *u = (struct sv_url){0};
}

bool sv_url_is_local(const struct sv_url *u)
{
    return u->socket || !strcmp(u->host, "localhost") || !strncmp(u->host, "127.", 4) ||
           !strcmp(u->host, "::1");
}
