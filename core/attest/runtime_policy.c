/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "dsse.h"
#include "error.h"
#include "runtime_policy.h"

/* The PEM of an item, and whether the key may be used for this envelope. */
static bool is_candidate(const struct ql_item *item, const struct ql_dsse *d, const char **pem,
                         size_t *pem_len)
{
    const char *text = (const char *)item->data, *lf = memchr(text, '\n', item->len);
    size_t name_len = lf ? (size_t)(lf - text) : 0;

    if (!lf)
        return false;
    *pem = lf + 1;
    *pem_len = item->len - name_len - 1;
    for (size_t i = 0; d && name_len == QL_DSSE_KEYID_LEN && i < d->count; i++)
        if (memcmp(d->signatures[i].keyid, text, name_len) == 0)
            return true;
    return name_len == 0;
}

int ql_runtime_policy_signature(const struct ql_frame *job, const uint8_t *text, size_t len,
                                const char **field, struct ql_err *err)
{
    ql_auto(ql_dsse_freep) struct ql_dsse *d = NULL;
    const struct ql_item *item;
    const char *pem = NULL;
    size_t pem_len = 0, candidates = 0;
    bool is_verified = false;
    int r = ql_dsse_read((const char *)text, len, &d, err);

    if (r == QL_ENOMEM)
        return r;
    *field = "runtime_policy";
    if (r < 0 && r != QL_ENOTFOUND)
        return ql_fail(err, QL_EPARSE, "Runtime policy is not valid JSON!");
    for (size_t i = 0; (item = ql_frame_get(job, QL_TAG_SIGNING_KEY, i)); i++)
        if (is_candidate(item, d, &pem, &pem_len)) {
            candidates++;
            is_verified |= d && ql_dsse_verify(d, pem, pem_len, NULL) == QL_OK;
        }
    if (candidates > 0 && !d)
        return ql_fail(err, QL_EPARSE, "Runtime policy is not signed!");
    if (is_verified)
        return QL_OK;
    *field = "runtime_policy_key";
    return ql_fail(err, QL_EACCES, "%s",
                   candidates > 0 ? "Runtime policy failed DSSE signature verification!"
                                  : "Runtime policy signature verification required but no key was given!");
}

/* ---- generator ---- */

/* The text was found valid: only strings and brackets need a look. */
struct walk {
    const char *at, *end;
};

static struct walk next_string(struct walk *w)
{
    struct walk s = {.at = ++w->at};

    while (w->at < w->end && *w->at != '"')
        w->at += *w->at == '\\' && w->end - w->at > 1 ? 2 : 1;
    s.end = w->at;
    if (w->at < w->end)
        w->at++;
    return s;
}

static bool is_text(const struct walk *s, const char *text)
{
    return (size_t)(s->end - s->at) == strlen(text) && memcmp(s->at, text, strlen(text)) == 0;
}

/* A string is a key when a colon follows. */
static bool is_key(struct walk *w)
{
    while (w->at < w->end && (*w->at == ' ' || *w->at == '\n' || *w->at == '\t' || *w->at == '\r'))
        w->at++;
    return w->at < w->end && *w->at == ':';
}

static int64_t generator_of(const char *text, size_t len)
{
    struct walk w = {.at = text, .end = text + len};
    bool is_meta = false;
    unsigned depth = 0;
    int64_t found = 0;

    while (w.at < w.end) {
        char c = *w.at;

        if (c == '"') {
            struct walk s = next_string(&w);

            if (!is_key(&w))
                continue;
            if (depth == 1)
                is_meta = is_text(&s, "meta");
            if (depth == 2 && is_meta && is_text(&s, "generator")) {
                for (w.at++;
                     w.at < w.end && (*w.at == ' ' || *w.at == '\n' || *w.at == '\t' || *w.at == '\r');)
                    w.at++;
                found = w.at < w.end && *w.at >= '0' && *w.at <= '3' ? *w.at - '0' : 0;
            }
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= (c == '}' || c == ']') && depth > 0;
        w.at++;
    }
    return found;
}

int64_t ql_runtime_policy_generator(const uint8_t *text, size_t len)
{
    ql_auto(ql_dsse_freep) struct ql_dsse *d = NULL;
    int64_t found = generator_of((const char *)text, len);

    if (found > 0 || ql_dsse_read((const char *)text, len, &d, NULL) < 0)
        return found;
    return generator_of((const char *)d->payload, d->payload_len);
}
