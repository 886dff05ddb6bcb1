/* SPDX-License-Identifier: Apache-2.0 */
#include "legacy.h"

#include <string.h>

#include "buf.h"
#include "encode.h"
#include "error.h"
#include "keystore.h"
#include "parse.h"

static const char key_chars[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-";

/** A walk over lines. */
struct walk {
    const char *at, *end; /* what was not read */
    size_t line, entries;
    ql_legacy_fn fn;
    void *arg;
    struct ql_err *err;
};

struct part {
    const char *at;
    size_t len;
};

static int bad(const struct walk *w, const char *what)
{
    return ql_fail(w->err, QL_EPARSE, "line %zu: %s", w->line, what);
}

/* The next line without its end. @return false: no more */
static bool next_line(struct walk *w, struct part *ret)
{
    const char *stop;

    if (w->at == w->end)
        return false;
    stop = memchr(w->at, '\n', (size_t)(w->end - w->at));
    ret->at = w->at;
    ret->len = (size_t)((stop ? stop : w->end) - w->at);
    w->at = stop ? stop + 1 : w->end;
    w->line++;
    return true;
}

static bool next_is(const struct walk *w, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(w->end - w->at) >= len && memcmp(w->at, text, len) == 0;
}

/* Plain, or between quotes that hold neither quotes nor escapes: nothing that these files have needs them. */
static bool scalar(struct part *p)
{
    char quote;

    if (p->len == 0)
        return false;
    quote = p->at[0];
    if (quote == '\'' || quote == '"') {
        if (p->len < 2 || p->at[p->len - 1] != quote)
            return false;
        p->at++;
        p->len -= 2;
    } else if (strchr("!&*[]{}#|>%@`?,", quote))
        return false;
    for (size_t i = 0; i < p->len; i++)
        if ((unsigned char)p->at[i] < 0x20 || strchr("'\"\\", p->at[i]))
            return false;
    return true;
}

static int give(struct walk *w, const struct part *key, enum ql_legacy_kind kind, const void *value,
                size_t len)
{
    if (w->entries++ >= QL_LEGACY_ENTRIES_MAX)
        return ql_fail(w->err, QL_ELIMIT, "more than %d entries", QL_LEGACY_ENTRIES_MAX);
    return w->fn(key->at, key->len, kind, value, len, w->arg, w->err);
}

static int binary(struct walk *w, const struct part *key)
{
    ql_auto(ql_buf_wipe) struct ql_buf text = ql_buf_init(QL_LEGACY_MAX_LEN);
    uint8_t *data = NULL;
    struct part line;
    size_t len = 0;
    int r;

    while (next_is(w, " ") && next_line(w, &line)) {
        size_t blanks = 0;

        while (blanks < line.len && line.at[blanks] == ' ')
            blanks++;
        (void)ql_buf_add(&text, line.at + blanks, line.len - blanks); /* checked below */
    }
    if (text.failed)
        return ql_fail_nomem(w->err);
    if (text.len == 0)
        return give(w, key, QL_LEGACY_BINARY, "", 0);
    r = ql_base64_decode_dup((const char *)text.data, text.len, QL_LEGACY_MAX_LEN, &data, &len, w->err);
    if (r < 0)
        return ql_fail_context(w->err, r, "before line %zu", w->line + 1);
    r = give(w, key, QL_LEGACY_BINARY, data, len);
    ql_wipe(data, len);
    free(data);
    return r;
}

static int list(struct walk *w, const struct part *key)
{
    struct part line;
    int r = give(w, key, QL_LEGACY_LIST, NULL, 0);

    while (r == QL_OK && (next_is(w, "- ") || next_is(w, "  - ")) && next_line(w, &line)) {
        size_t skip = line.at[0] == ' ' ? 4 : 2;
        struct part item = {line.at + skip, line.len - skip};

        r = scalar(&item) ? give(w, key, QL_LEGACY_ITEM, item.at, item.len) : bad(w, "no list item");
    }
    return r;
}

static bool is(const struct part *p, const char *text)
{
    return p->len == strlen(text) && memcmp(p->at, text, p->len) == 0;
}

static int entry(struct walk *w, const struct part *line)
{
    const char *colon = memchr(line->at, ':', line->len);
    struct part key = {line->at, colon ? (size_t)(colon - line->at) : 0}, value;

    if (!colon || !scalar(&key) || key.len == 0)
        return bad(w, "no key");
    for (size_t i = 0; i < key.len; i++)
        if (!memchr(key_chars, key.at[i], sizeof key_chars - 1))
            return bad(w, "a key of other characters than those of names");
    value = (struct part){colon + 1, line->len - (size_t)(colon + 1 - line->at)};
    if (value.len == 0)
        return list(w, &key);
    if (value.at[0] != ' ')
        return bad(w, "no blank after the colon");
    value.at++;
    value.len--;
    if (is(&value, "!!binary |"))
        return binary(w, &key);
    if (is(&value, "[]"))
        return give(w, &key, QL_LEGACY_LIST, NULL, 0);
    return scalar(&value) ? give(w, &key, QL_LEGACY_TEXT, value.at, value.len)
                          : bad(w, "a value that this reader does not know");
}

int ql_legacy_walk(const char *text, size_t len, ql_legacy_fn fn, void *arg, struct ql_err *err)
{
    struct walk w = {.at = text, .end = text + len, .fn = fn, .arg = arg, .err = err};
    struct part line;
    int r = QL_OK;

    if (len > QL_LEGACY_MAX_LEN)
        return ql_fail(err, QL_ELIMIT, "%zu bytes, at most %d", len, QL_LEGACY_MAX_LEN);
    while (r == QL_OK && next_line(&w, &line))
        if (line.len > 0 && !(w.line == 1 && is(&line, "---")))
            r = entry(&w, &line);
    return r;
}

/* ---- the two layers ---- */

/** What the outer one holds. */
struct outer {
    char *priv, *salt;
    size_t priv_len, salt_len;
};

static bool key_is(const char *key, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(key, name, len) == 0;
}

static int on_outer(const char *key, size_t key_len, enum ql_legacy_kind kind, const void *value, size_t len,
                    void *arg, struct ql_err *err)
{
    struct outer *o = arg;
    const bool is_priv = key_is(key, key_len, "priv");
    char **text = is_priv ? &o->priv : &o->salt;
    size_t *text_len = is_priv ? &o->priv_len : &o->salt_len;

    if (!is_priv && !key_is(key, key_len, "salt"))
        return ql_fail(err, QL_EPARSE, "something else than priv and salt");
    if ((kind != QL_LEGACY_TEXT && kind != QL_LEGACY_BINARY) || *text)
        return ql_fail(err, QL_EPARSE, "%s is no text, or there twice", is_priv ? "priv" : "salt");
    *text = malloc(len + 1);
    if (!*text)
        return ql_fail_nomem(err);
    memcpy(*text, value, len);
    (*text)[len] = '\0';
    *text_len = len;
    return QL_OK;
}

/** What the inner one says. */
struct inner {
    struct ql_ca *ca;
    bool has_serial, has_list;
    size_t others;
};

static int on_inner(const char *key, size_t key_len, enum ql_legacy_kind kind, const void *value, size_t len,
                    void *arg, struct ql_err *err)
{
    struct inner *in = arg;
    uint64_t number = 0;
    int r;

    if (key_is(key, key_len, "ca")) {
        if (kind != QL_LEGACY_BINARY || in->ca->key)
            return ql_fail(err, QL_EPARSE, "ca is no key, or there twice");
        return ql_key_from_private_pem(value, len, NULL, &in->ca->key, err);
    }
    if (key_is(key, key_len, "lastserial")) {
        if (kind != QL_LEGACY_TEXT || in->has_serial)
            return ql_fail(err, QL_EPARSE, "lastserial is no number, or there twice");
        in->has_serial = true;
        return ql_parse_u64(value, len, 1, INT64_MAX - 1, &in->ca->last_serial, err);
    }
    if (key_is(key, key_len, "revoked_keys")) {
        if (kind == QL_LEGACY_LIST && !in->has_list) {
            in->has_list = true;
            return QL_OK;
        }
        if (kind != QL_LEGACY_ITEM)
            return ql_fail(err, QL_EPARSE, "revoked_keys is no list, or there twice");
        r = ql_parse_u64(value, len, 0, UINT64_MAX, &number, err);
        return r == QL_OK ? ql_ca_revoke(in->ca, number, err) : r;
    }
    if (kind != QL_LEGACY_BINARY)
        return ql_fail(err, QL_EPARSE, "%.*s is no key", (int)(key_len > 80 ? 80 : key_len), key);
    in->others++;
    return QL_OK;
}

int ql_legacy_read(const char *text, size_t len, const struct ql_secret *password, struct ql_ca **ret,
                   size_t *others, struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *plain = NULL;
    ql_auto(ql_ca_freep) struct ql_ca *ca = calloc(1, sizeof *ca);
    struct inner in = {.ca = ca};
    struct outer out = {0};
    int r;

    if (!ca)
        return ql_fail_nomem(err);
    r = ql_legacy_walk(text, len, on_outer, &out, err);
    if (r == QL_OK && (!out.priv || !out.salt))
        r = ql_fail(err, QL_EPARSE, "key store without priv or salt");
    if (r == QL_OK)
        r = ql_keystore_open_parts(out.priv, out.priv_len, out.salt, out.salt_len, password, &plain, err);
    free(out.priv);
    free(out.salt);
    if (r == QL_OK)
        r = ql_legacy_walk((const char *)ql_secret_data(plain), ql_secret_len(plain), on_inner, &in, err);
    if (r == QL_OK && (!ca->key || !in.has_serial))
        r = ql_fail(err, QL_EPARSE, "key store without ca or lastserial");
    if (r < 0)
        return r;
    ca->crl_number = 1;
    *others = in.others;
    *ret = ql_steal(ca);
    return QL_OK;
}
