/* SPDX-License-Identifier: Apache-2.0 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "fetch.h"
#include "program.h"

struct ql_fetch {
    CURL *easy;
    char why[CURL_ERROR_SIZE];
    /* of the transfer that is under way */
    struct ql_buf *to;
    size_t wanted; /* 0: the whole file */
    bool is_full;  /* stopped because all that was wanted has come */
};

static void begin_library(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* a failure shows at curl_easy_init() */
}

static size_t take(char *data, size_t size, size_t count, void *arg)
{
    struct ql_fetch *f = arg;
    size_t len = size * count;
    long status = 0;

    (void)curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206)
        return len; /* the page of an error is not looked at */
    if (f->wanted > 0 && len >= f->wanted - f->to->len) {
        len = f->wanted - f->to->len;
        f->is_full = ql_buf_add(f->to, data, len) == QL_OK;
        return 0; /* a server that knows no ranges would send all the rest */
    }
    return ql_buf_add(f->to, data, len) == QL_OK ? len : 0;
}

int ql_fetch_new(const char *ca_file, struct ql_fetch **ret, struct ql_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ql_auto(ql_fetch_freep) struct ql_fetch *f = calloc(1, sizeof *f);
    char agent[64];
    CURL *c;

    (void)pthread_once(&once, begin_library);
    if (!f || !(f->easy = curl_easy_init()))
        return ql_fail_nomem(err);
    c = f->easy;
    snprintf(agent, sizeof agent, "quicklime-policy/%s", ql_version());
    if (curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->why) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_USERAGENT, agent) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)QL_FETCH_REDIRECTS_MAX) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)QL_FETCH_CONNECT_S) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)QL_FETCH_STALL_S) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)QL_FETCH_SLOW) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_WRITEDATA, f) != CURLE_OK)
        return ql_fail(err, QL_EUNSUPPORTED, "libcurl lacks an option");
    if (ca_file && (curl_easy_setopt(c, CURLOPT_CAINFO, ca_file) != CURLE_OK ||
                    curl_easy_setopt(c, CURLOPT_CAPATH, NULL) != CURLE_OK))
        return ql_fail(err, QL_EUNSUPPORTED, "libcurl takes no file of CAs");
    *ret = ql_steal(f);
    return QL_OK;
}

void ql_fetch_free(struct ql_fetch *f)
{
    if (f && f->easy)
        curl_easy_cleanup(f->easy);
    free(f);
}

char *ql_fetch_shown(const char *url)
{
    CURLU *u = curl_url();
    char *text = NULL, *copy = NULL;

    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK) {
        (void)curl_url_set(u, CURLUPART_USER, NULL, 0);
        (void)curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
        (void)curl_url_set(u, CURLUPART_QUERY, NULL, 0);
        if (curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
            copy = strdup(text);
    }
    curl_free(text);
    curl_url_cleanup(u);
    return copy;
}

__attribute__((format(printf, 4, 5))) static int failed(const char *url, int code, struct ql_err *err,
                                                        const char *fmt, ...)
{
    ql_auto_free char *place = ql_fetch_shown(url);
    char text[CURL_ERROR_SIZE + 64];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* too long: cut */
    va_end(args);
    return ql_fail(err, code, "%.512s: %s", place ? place : "URL", text);
}

static int transfer(struct ql_fetch *f, const char *url, size_t wanted, struct ql_buf *to, struct ql_err *err)
{
    const char *redirected = strncasecmp(url, "https:", 6) == 0 ? "https" : "http,https";
    char range[48];
    CURLcode code;
    long status = 0;

    snprintf(range, sizeof range, "0-%zu", wanted - 1);
    f->to = to;
    f->wanted = wanted;
    f->is_full = false;
    f->why[0] = '\0';
    if (curl_easy_setopt(f->easy, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(f->easy, CURLOPT_REDIR_PROTOCOLS_STR, redirected) != CURLE_OK ||
        curl_easy_setopt(f->easy, CURLOPT_RANGE, wanted > 0 ? range : NULL) != CURLE_OK)
        return ql_fail_nomem(err);
    code = curl_easy_perform(f->easy);
    if (to->failed)
        return failed(url, QL_ELIMIT, err, "more than %zu bytes", to->max_len);
    (void)curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && f->is_full))
        return failed(url, QL_EIO, err, "%s", f->why[0] ? f->why : curl_easy_strerror(code));
    if (status == 404 || status == 410)
        return failed(url, QL_ENOTFOUND, err, "the server has no such file");
    return status == 200 || (status == 206 && wanted > 0)
               ? QL_OK
               : failed(url, QL_EIO, err, "the server answers with status %ld", status);
}

int ql_fetch_whole(struct ql_fetch *f, const char *url, struct ql_buf *to, struct ql_err *err)
{
    return transfer(f, url, 0, to, err);
}

int ql_fetch_beginning(struct ql_fetch *f, const char *url, size_t len, struct ql_buf *to, struct ql_err *err)
{
    return len > 0 ? transfer(f, url, len, to, err) : QL_OK;
}

/* Both have the same value of a part, or none. */
static bool same(CURLU *a, CURLU *b, CURLUPart part, unsigned flags)
{
    char *one = NULL, *two = NULL;
    const CURLUcode r = curl_url_get(a, part, &one, flags), s = curl_url_get(b, part, &two, flags);
    const bool is_same = r == CURLUE_OK && s == CURLUE_OK && strcasecmp(one, two) == 0;

    curl_free(one);
    curl_free(two);
    return is_same;
}

int ql_fetch_resolve(const char *base, const char *reference, char **ret, struct ql_err *err)
{
    CURLU *from = curl_url(), *to = curl_url();
    char *text = NULL;
    int r = QL_EPARSE;

    if (!from || !to) {
        r = QL_ENOMEM;
    } else if (curl_url_set(from, CURLUPART_URL, base, 0) == CURLUE_OK &&
               curl_url_set(to, CURLUPART_URL, base, 0) == CURLUE_OK &&
               curl_url_set(to, CURLUPART_URL, reference, CURLU_URLENCODE) == CURLUE_OK &&
               same(from, to, CURLUPART_SCHEME, 0) && same(from, to, CURLUPART_HOST, 0) &&
               same(from, to, CURLUPART_PORT, CURLU_DEFAULT_PORT) &&
               curl_url_get(to, CURLUPART_URL, &text, 0) == CURLUE_OK) {
        *ret = strdup(text);
        r = *ret ? QL_OK : QL_ENOMEM;
    }
    curl_free(text);
    curl_url_cleanup(from);
    curl_url_cleanup(to);
    return r == QL_OK       ? QL_OK
           : r == QL_ENOMEM ? ql_fail_nomem(err)
                            : ql_fail(err, r, "\"%.256s\" is no file of this server", reference);
}
