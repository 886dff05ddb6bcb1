/* SPDX-License-Identifier: Apache-2.0 */
#include "dm_match.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "pattern.h"

enum {
    NUMBER_TEXT = 24 /* 19 digits, a sign, a NUL */
};

static bool text_is_true(const char *text, bool *ret)
{
    static const char *const yes[] = {"y", "yes", "t", "true", "on", "1"}, *const no[] = {"n",   "no",
                                                                                          "f",   "false",
                                                                                          "off", "0"};

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *ret = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    return false;
}

static bool fits_bool(const json_t *rule, const json_t *value)
{
    bool v;

    if (json_is_integer(value)) /* in Python True is 1 */
        return json_integer_value(value) == (json_is_true(rule) ? 1 : 0);
    return json_is_string(value) && text_is_true(json_string_value(value), &v) && v == json_is_true(rule);
}

/* Decimal text as Python's int() takes it: a sign, single underscores between digits. Texts of devices hold no blanks. */
static bool read_integer(const char *text, json_int_t *ret)
{
    const bool negative = *text == '-';
    json_int_t v = 0;
    bool after_digit = false;

    text += *text == '-' || *text == '+';
    for (; *text; text++) {
        if (*text == '_' && after_digit) {
            after_digit = false;
            continue;
        }
        if (*text < '0' || *text > '9' || v > (INT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (*text - '0');
        after_digit = true;
    }
    *ret = negative ? -v : v;
    return after_digit;
}

static bool fits_integer(const json_t *rule, const json_t *value)
{
    json_int_t v = json_integer_value(value);

    return (json_is_integer(value) ||
            (json_is_string(value) && read_integer(json_string_value(value), &v))) &&
           v == json_integer_value(rule);
}

static bool fits_pattern(const struct ql_host *host, const json_t *rule, const json_t *value)
{
    struct ima_pattern *p = NULL;
    char number[NUMBER_TEXT];
    const char *text = json_string_value(value);
    bool fits;

    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value)); /* fits */
        text = number;
    }
    if (!text || ima_pattern_new(host, (const uint8_t *)json_string_value(rule), json_string_length(rule),
                                 true, &p, NULL) < 0)
        return false;
    fits = ima_pattern_match(p, (const uint8_t *)text, strlen(text)) == IMA_MATCH;
    ima_pattern_free(p);
    return fits;
}

bool ima_dm_fits(const struct ql_host *host, const json_t *rule, const json_t *value)
{
    if (json_is_null(rule))
        return true;
    if (!rule || !value || json_is_null(value))
        return false;
    if (json_is_boolean(rule))
        return fits_bool(rule, value);
    if (json_is_integer(rule))
        return fits_integer(rule, value);
    return json_is_string(rule) && fits_pattern(host, rule, value);
}
