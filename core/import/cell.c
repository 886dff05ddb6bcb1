/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "encode.h"
#include "error.h"
#include "import.h"
#include "json.h"
#include "parse.h"

bool ql_cell_is(const struct ql_cell *c, const char *text)
{
    return c->text && strcmp(c->text, text) == 0;
}

int ql_cell_text(const struct ql_cell *c, char **ret, struct ql_err *err)
{
    if (!c->text)
        return QL_OK;
    if (c->len > QL_IMPORT_TEXT_MAX)
        return ql_fail(err, QL_ELIMIT, "%zu bytes", c->len);
    if (memchr(c->text, 0, c->len) || (c->len && !ql_utf8_ok(c->text, c->len)))
        return ql_fail(err, QL_EPARSE, "not UTF-8");
    *ret = strdup(c->text);
    return *ret ? QL_OK : ql_fail_nomem(err);
}

int ql_cell_json(const struct ql_cell *c, char **ret, struct ql_err *err)
{
    ql_auto_json json_t *value = NULL;

    if (!c->text)
        return QL_OK;
    if (ql_json_parse(c->text, c->len, QL_IMPORT_TEXT_MAX, &value, err) < 0)
        return QL_EPARSE;
    return ql_cell_text(c, ret, err);
}

int ql_cell_int(const struct ql_cell *c, int64_t absent, int64_t *ret, struct ql_err *err)
{
    if (!c->text) {
        *ret = absent;
        return QL_OK;
    }
    if (ql_cell_is(c, "t") || ql_cell_is(c, "f")) {
        *ret = *c->text == 't';
        return QL_OK;
    }
    return ql_parse_i64(c->text, c->len, INT64_MIN, INT64_MAX, ret, err);
}

/* Base64 may have line breaks. */
static int unfold(const char *text, size_t len, char **ret, size_t *ret_len, struct ql_err *err)
{
    char *out = malloc(len + 1);
    size_t n = 0;

    if (!out)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < len; i++)
        if (text[i] != '\n' && text[i] != '\r' && text[i] != ' ' && text[i] != '\t')
            out[n++] = text[i];
    out[n] = '\0';
    *ret = out;
    *ret_len = n;
    return QL_OK;
}

static int decode(const char *text, size_t len, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    ql_auto_free char *flat = NULL;
    size_t flat_len = 0;
    int r = len > 2 * (size_t)QL_IMPORT_BYTES_MAX ? ql_fail(err, QL_ELIMIT, "%zu characters", len)
                                                  : unfold(text, len, &flat, &flat_len, err);

    return r == QL_OK ? ql_base64_decode_dup(flat, flat_len, QL_IMPORT_BYTES_MAX, ret, ret_len, err) : r;
}

int ql_cell_base64(const struct ql_cell *c, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    return c->text && c->len ? decode(c->text, c->len, ret, ret_len, err) : QL_OK;
}

static int decode_hex(const struct ql_cell *c, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    ql_auto_free uint8_t *out = malloc(c->len / 2 + 1);
    int r = out ? ql_hex_decode(c->text, c->len, out, c->len / 2, err) : ql_fail_nomem(err);

    if (r == QL_OK) {
        *ret_len = c->len / 2;
        *ret = ql_steal(out);
    }
    return r;
}

int ql_cell_cert(const struct ql_cell *c, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    ql_auto_free uint8_t *der = NULL;
    const char *from, *to;
    size_t len = 0;
    int r;

    if (!c->text || !c->len)
        return QL_OK;
    from = strstr(c->text, begin);
    to = from ? strstr(from, end) : NULL;
    if (to)
        r = decode(from + sizeof begin - 1, (size_t)(to - from) - (sizeof begin - 1), &der, &len, err);
    else if (c->len % 2 == 0 && c->len <= 2 * (size_t)QL_IMPORT_BYTES_MAX && strncmp(c->text, "30", 2) == 0 &&
             strspn(c->text, "0123456789abcdefABCDEF") == c->len)
        r = decode_hex(c, &der, &len, err);
    else
        r = decode(c->text, c->len, &der, &len, err);
    if (r == QL_OK && (len < 4 || der[0] != 0x30))
        r = ql_fail(err, QL_EPARSE, "not a certificate");
    if (r < 0)
        return r;
    *ret = ql_steal(der);
    *ret_len = len;
    return QL_OK;
}
