/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "json.h"
#include "server.h"
#include "version.h"

enum {
    VERSIONS_MAX = 64 /* entries of a foreign list that are looked at; Keylime has nine */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int ql_api_parse(const char *text, size_t len, unsigned *ret, struct ql_err *err)
{
    if (len != 3 || !is_digit(text[0]) || text[1] != '.' || !is_digit(text[2]))
        return ql_fail(err, QL_EPARSE, "API version is not of the form 2.6");
    *ret = QL_API(text[0] - '0', text[2] - '0');
    return QL_OK;
}

char *ql_api_text(unsigned version, char *out)
{
    snprintf(out, 8, "%u.%u", version >> 8 & 0xff, version & 0xff);
    return out;
}

static bool is_ours(const unsigned *ours, unsigned version)
{
    for (; *ours; ours++)
        if (*ours == version)
            return true;
    return false;
}

/* Takes the better of *best and the version that this value names; foreign versions of other forms are skipped. */
static void consider(const unsigned *ours, const json_t *value, unsigned max_major, unsigned *best)
{
    unsigned version;

    if (!json_is_string(value) ||
        ql_api_parse(json_string_value(value), json_string_length(value), &version, NULL) < 0)
        return;
    if (version >> 8 <= max_major && version > *best && is_ours(ours, version))
        *best = version;
}

int ql_api_negotiate(const unsigned *ours, const json_t *results, unsigned max_major, unsigned *ret,
                     struct ql_err *err)
{
    const json_t *list = json_object_get(results, "supported_versions");
    const json_t *one = json_object_get(results, "supported_version");
    unsigned best = 0;

    if (json_is_array(list)) {
        size_t count = json_array_size(list);

        if (count > VERSIONS_MAX)
            return ql_fail(err, QL_EPARSE, "supported_versions has %zu entries, at most %d", count,
                           VERSIONS_MAX);
        for (size_t i = 0; i < count; i++)
            consider(ours, json_array_get(list, i), max_major, &best);
    } else if (json_is_string(one)) {
        consider(ours, one, max_major, &best);
    } else {
        return ql_fail(err, QL_EPARSE, "answer names neither supported_versions nor supported_version");
    }
    if (best == 0)
        return ql_fail(err, QL_ENOTFOUND, "no API version in common");
    *ret = best;
    return QL_OK;
}
