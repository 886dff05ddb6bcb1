/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "encode.h"
#include "error.h"
#include "excludes.h"
#include "file.h"
#include "sources.h"
#include "toolhost.h"

#define KEYRING "%keyring:"

const char *const ql_policy_algorithms[] = {"sha1", "sha256", "sha384", "sha512", "sm3_256", NULL};

size_t ql_policy_algorithm_len(const char *name)
{
    static const size_t lens[] = {20, 32, 48, 64, 32};

    for (size_t i = 0; ql_policy_algorithms[i]; i++)
        if (strcmp(ql_policy_algorithms[i], name) == 0)
            return lens[i];
    return 0;
}

static int nomem_if(int r, struct ql_err *err)
{
    return r < 0 ? ql_fail_nomem(err) : QL_OK;
}

/* Next line without its end; NULL: none left. */
static const char *next_line(const char **at, const char *end, size_t *len)
{
    const char *line = *at, *lf;

    if (line >= end)
        return NULL;
    lf = memchr(line, '\n', (size_t)(end - line));
    *len = (size_t)((lf ? lf : end) - line);
    *at = lf ? lf + 1 : end;
    return line;
}

static void strip(const char **at, size_t *len)
{
    while (*len > 0 && isspace((unsigned char)**at)) {
        (*at)++;
        (*len)--;
    }
    while (*len > 0 && isspace((unsigned char)(*at)[*len - 1]))
        (*len)--;
}

/* ---- flat lists ---- */

static int add_flat(const struct ql_flat_rules *rules, struct ql_draft *to, const char *digest,
                    size_t digest_len, const char *path, size_t len, struct ql_err *err)
{
    size_t prefix = strlen(KEYRING);
    ql_auto_free char *copy = NULL;

    if (rules->has_keyrings && len > prefix && memcmp(path, KEYRING, prefix) == 0)
        return nomem_if(ql_names_add(&to->keyrings, path + prefix, len - prefix, digest, digest_len), err);
    copy = malloc(len + 1);
    if (!copy)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < len; i++)
        copy[i] = (char)(rules->blanks_to_underscores && path[i] == ' ' ? '_' : path[i]);
    return nomem_if(ql_names_add(&to->digests, copy, len, digest, digest_len), err);
}

int ql_flat_read_text(const char *text, size_t len, const struct ql_flat_rules *rules, struct ql_draft *to,
                      struct ql_err *err)
{
    const char *at = text, *line;
    size_t n, number = 0;
    int r = QL_OK;

    while (r == QL_OK && (line = next_line(&at, text + len, &n))) {
        const char *path;
        size_t digest_len = 0, path_len;

        number++;
        strip(&line, &n);
        if (n == 0)
            continue;
        while (digest_len < n && !isspace((unsigned char)line[digest_len]))
            digest_len++;
        path = line + digest_len;
        path_len = n - digest_len;
        strip(&path, &path_len);
        if (path_len == 0)
            fprintf(stderr, "allow-list: line %zu has no path, passed over\n", number);
        else
            r = add_flat(rules, to, line, digest_len, path, path_len, err);
    }
    return r;
}

int ql_flat_read(const char *path, const struct ql_flat_rules *rules, struct ql_draft *to, struct ql_err *err)
{
    ql_auto_free uint8_t *data = NULL;
    size_t len = 0;
    int r = ql_file_read(path, QL_SOURCE_MAX, &data, &len, err);

    return r == QL_OK ? ql_flat_read_text((const char *)data, len, rules, to, err) : r;
}

/* ---- excludes ---- */

int ql_excludes_read(const char *path, bool comments, struct ql_names *to, struct ql_err *err)
{
    ql_auto_free uint8_t *data = NULL;
    const char *at, *line;
    size_t len = 0, n;
    int r = ql_file_read(path, QL_SOURCE_MAX, &data, &len, err);

    if (r < 0)
        return r;
    at = (const char *)data;
    while (r == QL_OK && (line = next_line(&at, (const char *)data + len, &n))) {
        strip(&line, &n);
        if (n > 0 && !(comments && line[0] == '#'))
            r = nomem_if(ql_names_add(to, line, n, NULL, 0), err);
    }
    return r;
}

int ql_excludes_check(const struct ql_names *excludes, struct ql_err *err)
{
    struct ima_exclude *elements = calloc(excludes->count > 0 ? excludes->count : 1, sizeof *elements);
    struct ima_excludes *compiled = NULL;
    struct ql_err why = QL_ERR_INIT;
    int r;

    if (!elements)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < excludes->count; i++)
        elements[i] = (struct ima_exclude){excludes->list[i].bytes, excludes->list[i].len};
    r = ima_excludes_compile(&ql_tool_host, elements, excludes->count, &compiled, &why);
    if (r < 0)
        r = ql_fail(err, r, "%s", why.text);
    ima_excludes_free(compiled);
    free(elements);
    return r;
}

/* ---- measurement lists ---- */

enum {
    FIELDS_MAX = 8
};

struct fields {
    const char *at[FIELDS_MAX];
    size_t len[FIELDS_MAX];
    size_t count; /* of all, kept or not */
};

/* At each space, empty fields too. */
static struct fields split(const char *line, size_t len)
{
    struct fields f = {0};
    size_t from = 0;

    for (size_t i = 0; i <= len; i++) {
        if (i < len && line[i] != ' ')
            continue;
        if (f.count < FIELDS_MAX) {
            f.at[f.count] = line + from;
            f.len[f.count] = i - from;
        }
        f.count++;
        from = i + 1;
    }
    return f;
}

static bool field_is(const struct fields *f, size_t i, const char *text)
{
    return f->len[i] == strlen(text) && memcmp(f->at[i], text, f->len[i]) == 0;
}

/* "alg:hex" of a field, or bare hex. */
static bool digest_of(const struct fields *f, const char **hex, size_t *hex_len, size_t *alg_len)
{
    const char *colon = memchr(f->at[3], ':', f->len[3]);

    *alg_len = colon ? (size_t)(colon - f->at[3]) : 0;
    *hex = colon ? colon + 1 : f->at[3];
    *hex_len = f->len[3] - (size_t)(*hex - f->at[3]);
    return colon != NULL;
}

/* Line 1 tells the algorithm. */
static int read_first(const struct fields *f, struct ql_list_rules *rules, struct ql_err *err)
{
    const char *hex, *alg;
    size_t hex_len, alg_len, len;

    if (f->count != 5 || !field_is(f, 4, "boot_aggregate") ||
        !(field_is(f, 2, "ima") || field_is(f, 2, "ima-ng") || field_is(f, 2, "ima-sig")))
        return ql_fail(err, QL_EPARSE, "measurement list: line 1 is no boot_aggregate entry");
    alg = f->at[3];
    if (!digest_of(f, &hex, &hex_len, &alg_len)) {
        alg = "sha1";
        alg_len = 4;
    }
    if (alg_len >= sizeof rules->algorithm)
        return ql_fail(err, QL_EPARSE, "measurement list: line 1 has an unknown algorithm");
    memcpy(rules->algorithm, alg, alg_len);
    rules->algorithm[alg_len] = 0;
    len = ql_policy_algorithm_len(rules->algorithm);
    if (len == 0 || hex_len != 2 * len)
        return ql_fail(err, QL_EPARSE, "measurement list: line 1: algorithm %s does not fit its digest",
                       rules->algorithm);
    return QL_OK;
}

static bool is_certificate(const char *hex, size_t hex_len)
{
    ql_auto_free uint8_t *der = malloc(hex_len / 2 + 1);
    const uint8_t *at = der;
    size_t len = hex_len / 2;
    X509 *cert;
    bool is_whole;

    if (!der || len == 0 || ql_hex_decode(hex, hex_len, der, len, NULL) < 0)
        return false;
    cert = d2i_X509(NULL, &at, (long)len);
    is_whole = cert && at == der + len;
    X509_free(cert);
    return is_whole;
}

static int add_buffer(const struct fields *f, const struct ql_list_rules *rules, struct ql_draft *to,
                      struct ql_err *err)
{
    const char *hex;
    size_t hex_len, alg_len;
    struct ql_names *map;

    if (f->count != 6 || !field_is(f, 2, "ima-buf") || (!rules->keyrings && !rules->buffers))
        return QL_OK;
    map = is_certificate(f->at[5], f->len[5]) ? &to->keyrings : &to->buffers;
    if (map == &to->keyrings ? !rules->keyrings || ql_names_find(&to->ignored, f->at[4], f->len[4])
                             : !rules->buffers)
        return QL_OK;
    (void)digest_of(f, &hex, &hex_len, &alg_len); /* bare hex is taken too */
    return nomem_if(ql_names_add(map, f->at[4], f->len[4], hex, hex_len), err);
}

static int add_entry(const struct fields *f, size_t number, const struct ql_list_rules *rules,
                     struct ql_draft *to, struct ql_err *err)
{
    const char *hex;
    size_t hex_len, alg_len;

    if (f->count < 5)
        return QL_OK;
    if (!field_is(f, 2, "ima-ng") && !field_is(f, 2, "ima-sig"))
        return add_buffer(f, rules, to, err);
    if (!rules->hashes)
        return QL_OK;
    if (!digest_of(f, &hex, &hex_len, &alg_len)) {
        fprintf(stderr, "measurement list: line %zu: digest without algorithm, passed over\n", number);
        return QL_OK;
    }
    return nomem_if(ql_names_add(&to->digests, f->at[4], f->len[4], hex, hex_len), err);
}

int ql_list_read(const char *path, struct ql_list_rules *rules, struct ql_draft *to, struct ql_err *err)
{
    ql_auto_free uint8_t *data = NULL;
    const char *at, *line;
    size_t len = 0, n = 0, number = 0;
    int r = ql_file_read(path, QL_SOURCE_MAX, &data, &len, err);

    if (r < 0)
        return r;
    at = (const char *)data;
    while (r == QL_OK && (line = next_line(&at, (const char *)data + len, &n))) {
        struct fields f = split(line, n);

        if (++number == 1 && rules->needs_boot_aggregate)
            r = read_first(&f, rules, err);
        if (r == QL_OK)
            r = add_entry(&f, number, rules, to, err);
    }
    if (r == QL_OK && number == 0 && rules->needs_boot_aggregate)
        r = ql_fail(err, QL_EPARSE, "measurement list %s is empty", path);
    return r;
}
