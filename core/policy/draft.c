/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "draft.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "json_read.h"
#include "keyring.h"
#include "toolhost.h"
#include "utf8.h"

enum {
    KEY_FILE_MAX = 1024 * 1024
};

void ql_draft_init(struct ql_draft *d)
{
    *d = (struct ql_draft){.log_hash = "sha1", .generator = QL_DRAFT_GENERATOR};
}

void ql_draft_done(struct ql_draft *d)
{
    ql_names_done(&d->digests);
    ql_names_done(&d->keyrings);
    ql_names_done(&d->buffers);
    ql_names_done(&d->excludes);
    ql_names_done(&d->ignored);
    free(d->keys);
    *d = (struct ql_draft){0};
}

/* ---- reading ---- */

static bool no_memory(struct ima_json *r)
{
    return ima_json_fail(r, QL_ENOMEM, "out of memory");
}

/* {name: [text]}; anything else is passed over, as the schema is checked elsewhere. */
static void read_map(struct ima_json *r, struct ql_names *to)
{
    const uint8_t *s, *name;
    size_t len, name_len;

    if (ima_json_peek(r) != '{') {
        ima_json_skip(r, NULL, NULL);
        return;
    }
    ima_json_enter(r, '{');
    while (ima_json_more(r, '}') && ima_json_key(r, &name, &name_len)) {
        size_t index;

        if (ql_names_add(to, name, name_len, NULL, 0) < 0) {
            no_memory(r);
            return;
        }
        index = (size_t)(ql_names_find(to, name, name_len) - to->list);
        if (ima_json_peek(r) != '[') {
            ima_json_skip(r, NULL, NULL);
            continue;
        }
        ima_json_enter(r, '[');
        while (ima_json_more(r, ']')) {
            if (ima_json_peek(r) != '"')
                ima_json_skip(r, NULL, NULL);
            else if (ima_json_string(r, &s, &len) &&
                     ql_names_add(to, to->list[index].bytes, to->list[index].len, (const char *)s, len) < 0)
                no_memory(r);
        }
    }
}

static void read_list(struct ima_json *r, struct ql_names *to)
{
    const uint8_t *s;
    size_t len;

    if (ima_json_peek(r) != '[') {
        ima_json_skip(r, NULL, NULL);
        return;
    }
    ima_json_enter(r, '[');
    while (ima_json_more(r, ']')) {
        if (ima_json_peek(r) != '"')
            ima_json_skip(r, NULL, NULL);
        else if (ima_json_string(r, &s, &len) && ql_names_add(to, s, len, NULL, 0) < 0)
            no_memory(r);
    }
}

static bool is_word(const uint8_t *s, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(s, word, len) == 0;
}

static void read_ima(struct ima_json *r, struct ql_draft *d)
{
    const uint8_t *key, *s;
    size_t len, s_len;

    if (ima_json_peek(r) != '{') {
        ima_json_skip(r, NULL, NULL);
        return;
    }
    ima_json_enter(r, '{');
    while (ima_json_more(r, '}') && ima_json_key(r, &key, &len)) {
        if (is_word(key, len, "ignored_keyrings")) {
            read_list(r, &d->ignored);
        } else if (is_word(key, len, "log_hash_alg") && ima_json_peek(r) == '"') {
            if (ima_json_string(r, &s, &s_len) && s_len < sizeof d->log_hash) {
                memcpy(d->log_hash, s, s_len);
                d->log_hash[s_len] = 0;
            }
        } else {
            ima_json_skip(r, NULL, NULL);
        }
    }
}

static void read_keys(struct ima_json *r, struct ql_draft *d)
{
    const uint8_t *s;
    size_t len;

    if (ima_json_peek(r) != '"') {
        ima_json_skip(r, NULL, NULL);
        return;
    }
    if (!ima_json_string(r, &s, &len))
        return;
    free(d->keys);
    d->keys = len > 0 ? strndup((const char *)s, len) : NULL;
}

int ql_draft_read(struct ql_draft *d, const uint8_t *text, size_t len, struct ql_err *err)
{
    struct ql_err why = QL_ERR_INIT;
    struct ima_json r = ima_json_of(&ql_tool_host, text, len, &why);
    const uint8_t *key;
    size_t key_len;

    ima_json_enter(&r, '{');
    while (ima_json_more(&r, '}') && ima_json_key(&r, &key, &key_len)) {
        if (is_word(key, key_len, "digests"))
            read_map(&r, &d->digests);
        else if (is_word(key, key_len, "keyrings"))
            read_map(&r, &d->keyrings);
        else if (is_word(key, key_len, "ima-buf"))
            read_map(&r, &d->buffers);
        else if (is_word(key, key_len, "excludes"))
            read_list(&r, &d->excludes);
        else if (is_word(key, key_len, "ima"))
            read_ima(&r, d);
        else if (is_word(key, key_len, "verification-keys"))
            read_keys(&r, d);
        else
            ima_json_skip(&r, NULL, NULL);
    }
    ima_json_end(&r);
    ima_json_done(&r);
    return r.failed ? ql_fail(err, why.code, "%s", why.text) : QL_OK;
}

/* ---- writing ---- */

int ql_draft_tidy(struct ql_draft *d)
{
    int r = ql_names_sort(&d->excludes);

    ql_names_tidy(&d->digests);
    ql_names_tidy(&d->keyrings);
    ql_names_tidy(&d->buffers);
    return r == QL_OK ? ql_names_sort(&d->ignored) : r;
}

static uint32_t code_point(const uint8_t *s, size_t step)
{
    uint32_t c = step == 1 ? s[0] : s[0] & (0x7fu >> step);

    for (size_t i = 1; i < step; i++)
        c = c << 6 | (s[i] & 0x3f);
    return c;
}

void ql_draft_write_text(const uint8_t *s, size_t len, FILE *out)
{
    static const char named[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";

    fputc('"', out);
    for (size_t at = 0; at < len;) {
        size_t step = ql_utf8_step((const char *)s + at, len - at);
        uint32_t c = step > 0 ? code_point(s + at, step) : 0xdc00u + s[at];
        const char *special = c > 0 && c < 0x80 ? strchr(named, (int)c) : NULL;

        if (special)
            fprintf(out, "\\%c", names[special - named]);
        else if (c >= 0x20 && c < 0x7f)
            fputc((int)c, out);
        else if (c < 0x10000)
            fprintf(out, "\\u%04x", c);
        else
            fprintf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
        at += step > 0 ? step : 1;
    }
    fputc('"', out);
}

static void write_map(const char *key, const struct ql_names *n, FILE *out)
{
    fprintf(out, "\"%s\": {", key);
    for (size_t i = 0; i < n->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        ql_draft_write_text(n->list[i].bytes, n->list[i].len, out);
        fputs(": [", out);
        for (size_t k = 0; k < n->list[i].count; k++) {
            fputs(k > 0 ? ", " : "", out);
            ql_draft_write_text((const uint8_t *)n->list[i].values[k], strlen(n->list[i].values[k]), out);
        }
        fputs("]", out);
    }
    fputs("}", out);
}

static void write_list(const char *key, const struct ql_names *n, const json_t *more, FILE *out)
{
    const json_t *one;
    size_t k;

    fprintf(out, "\"%s\": [", key);
    for (size_t i = 0; i < n->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        ql_draft_write_text(n->list[i].bytes, n->list[i].len, out);
    }
    json_array_foreach(more, k, one) {
        fputs(n->count + k > 0 ? ", " : "", out);
        ql_draft_write_text((const uint8_t *)json_string_value(one), json_string_length(one), out);
    }
    fputs("]", out);
}

int ql_draft_write(const struct ql_draft *d, const char *timestamp, FILE *out)
{
    fprintf(out, "{\"meta\": {\"version\": 1, \"generator\": %d", d->generator);
    if (timestamp)
        fprintf(out, ", \"timestamp\": \"%s\"", timestamp);
    fputs("}, \"release\": 0, ", out);
    write_map("digests", &d->digests, out);
    fputs(", ", out);
    write_list("excludes", &d->excludes, d->more_excludes, out);
    fputs(", ", out);
    write_map("keyrings", &d->keyrings, out);
    fputs(", \"ima\": {", out);
    write_list("ignored_keyrings", &d->ignored, NULL, out);
    fprintf(out, ", \"log_hash_alg\": \"%s\", \"dm_policy\": null}, ", d->log_hash);
    write_map("ima-buf", &d->buffers, out);
    fputs(", \"verification-keys\": ", out);
    ql_draft_write_text((const uint8_t *)(d->keys ? d->keys : ""), d->keys ? strlen(d->keys) : 0, out);
    fputs("}", out);
    return ferror(out) ? QL_EIO : QL_OK;
}

static void write_lines(const struct ql_name *one, FILE *out)
{
    for (size_t k = 0; k < one->count; k++)
        fprintf(out, "%s  %s\n", one->values[k], (const char *)one->bytes);
}

void ql_draft_write_legacy(const struct ql_draft *d, FILE *out)
{
    const struct ql_name *boot = ql_names_find(&d->digests, "boot_aggregate", strlen("boot_aggregate"));

    if (boot)
        write_lines(boot, out);
    for (size_t i = 0; i < d->digests.count; i++)
        if (&d->digests.list[i] != boot)
            write_lines(&d->digests.list[i], out);
}

void ql_draft_timestamp(char out[40])
{
    struct timeval now;
    struct tm local;
    size_t n;

    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &local);
    n = strftime(out, 40, "%Y-%m-%d %H:%M:%S", &local);
    snprintf(out + n, 40 - n, ".%06ld", (long)now.tv_usec);
}

/* ---- keys ---- */

int ql_draft_add_keys(char **keys, const char *const *files, size_t count, struct ql_err *err)
{
    struct ima_keyring *ring = NULL;
    ql_auto_json json_t *object = NULL;
    int r = *keys ? ima_keyring_read(&ql_tool_host, *keys, strlen(*keys), &ring, err) : QL_OK, bad = 0;

    if (r == QL_OK && !ring)
        r = ima_keyring_new(&ql_tool_host, &ring, err);
    for (size_t i = 0; r == QL_OK && i < count; i++) {
        ql_auto_free uint8_t *data = NULL;
        struct ima_key *key = NULL;
        struct ql_err why = QL_ERR_INIT;
        size_t len = 0;

        if (ql_file_read(files[i], KEY_FILE_MAX, &data, &len, &why) < 0) {
            fprintf(stderr, "%s\n", why.text);
            bad++;
        } else if (ima_key_read(data, len, false, &key) != IMA_KEY_OK) {
            fprintf(stderr, "File '%s' is not a supported key\n", files[i]);
            bad++;
        } else {
            r = ima_keyring_add(ring, key, 0, err);
        }
        ima_key_unref(key);
    }
    if (r == QL_OK) {
        object = ima_keyring_write(ring);
        free(*keys);
        *keys = object ? ql_json_text_spaced(object) : NULL;
        if (!*keys)
            r = ql_fail_nomem(err);
    }
    ima_keyring_free(ring);
    return r < 0 ? r : bad;
}
