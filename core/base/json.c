/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "json.h"

/*
 * Depth of nesting by brackets outside strings, before anything recurses over the document. Whatever is not JSON is for
 * the parser to refuse.
 */
static int check_depth(const char *text, size_t len, struct ql_err *err)
{
    unsigned depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > QL_JSON_DEPTH)
                return ql_fail(err, QL_ELIMIT, "JSON is nested deeper than %d at byte %zu", QL_JSON_DEPTH, i);
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return QL_OK;
}

/* In our words: the library's repeat a part of the document, and that may be a key. */
static const char *reason(const json_error_t *why)
{
    switch (json_error_code(why)) {
    case json_error_duplicate_key:
        return "the same key twice in an object";
    case json_error_premature_end_of_input:
        return "ends too early";
    case json_error_end_of_input_expected:
        return "something follows the value";
    case json_error_invalid_utf8:
        return "not UTF-8";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "NUL character";
    case json_error_numeric_overflow:
        return "a number is too large";
    default:
        return "not JSON";
    }
}

int ql_json_parse(const char *text, size_t len, size_t max_len, json_t **ret, struct ql_err *err)
{
    json_error_t why;
    json_t *value;
    int r;

    if (len > max_len)
        return ql_fail(err, QL_ELIMIT, "JSON of %zu bytes, at most %zu", len, max_len);
    r = check_depth(text, len, err);
    if (r < 0)
        return r;
    value = json_loadb(len > 0 ? text : "", len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!value && json_error_code(&why) == json_error_out_of_memory)
        return ql_fail_nomem(err);
    if (!value)
        return ql_fail(err, QL_EPARSE, "JSON line %d column %d: %s", why.line, why.column, reason(&why));
    *ret = value;
    return QL_OK;
}

int ql_json_parse_object(const char *text, size_t len, size_t max_len, json_t **ret, struct ql_err *err)
{
    ql_auto_json json_t *value = NULL;
    int r = ql_json_parse(text, len, max_len, &value, err);

    if (r < 0)
        return r;
    if (!json_is_object(value))
        return ql_fail(err, QL_EPARSE, "JSON is not an object");
    *ret = ql_steal(value);
    return QL_OK;
}

char *ql_json_text(const json_t *j)
{
    return json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
}

static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return value && !json_is_null(value) ? value : NULL;
}

int ql_json_get_text(const json_t *object, const char *key, const char **ret, size_t *ret_len,
                     struct ql_err *err)
{
    const json_t *value = member(object, key);

    if (!value)
        return ql_fail(err, QL_ENOTFOUND, "%s is missing", key);
    if (!json_is_string(value))
        return ql_fail(err, QL_EPARSE, "%s is not text", key);
    *ret = json_string_value(value);
    if (ret_len)
        *ret_len = json_string_length(value);
    return QL_OK;
}

int ql_json_get_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                    struct ql_err *err)
{
    const json_t *value = member(object, key);
    int64_t v;

    if (!value)
        return ql_fail(err, QL_ENOTFOUND, "%s is missing", key);
    if (!json_is_integer(value))
        return ql_fail(err, QL_EPARSE, "%s is not an integer", key);
    v = json_integer_value(value);
    if (v < min || v > max)
        return ql_fail(err, QL_ERANGE, "%s is %lld, not between %lld and %lld", key, (long long)v,
                       (long long)min, (long long)max);
    *ret = v;
    return QL_OK;
}

int ql_json_get_bool(const json_t *object, const char *key, bool *ret, struct ql_err *err)
{
    const json_t *value = member(object, key);

    if (!value)
        return ql_fail(err, QL_ENOTFOUND, "%s is missing", key);
    if (!json_is_boolean(value))
        return ql_fail(err, QL_EPARSE, "%s is neither true nor false", key);
    *ret = json_is_true(value);
    return QL_OK;
}
