/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <uuid/uuid.h>

#include "error.h"
#include "uuid.h"

void ql_uuid_random(char *out)
{
    uuid_t id;

    uuid_generate_random(id);
    uuid_unparse_lower(id, out);
}

static void skip(const char **text, size_t *len, const char *prefix)
{
    size_t n = strlen(prefix);

    if (*len >= n && strncasecmp(*text, prefix, n) == 0) {
        *text += n;
        *len -= n;
    }
}

int ql_uuid_normalise(const char *text, size_t len, char *out, struct ql_err *err)
{
    static const unsigned char hyphens[] = {8, 13, 18, 23};
    const char *whole = text;
    size_t whole_len = len, at = 0, next = 0;
    char plain[QL_UUID_LEN + 1];
    bool hyphenated;

    skip(&text, &len, "urn:uuid:");
    if (len >= 2 && text[0] == '{' && text[len - 1] == '}') {
        text++;
        len -= 2;
    }
    hyphenated = len == QL_UUID_LEN;
    if (!hyphenated && len != QL_UUID_LEN - sizeof hyphens)
        return ql_fail(err, QL_EPARSE, "\"%.*s\" is not a UUID", whole_len > 60 ? 60 : (int)whole_len, whole);
    for (size_t i = 0; i < len; i++) {
        if (next < sizeof hyphens && at == hyphens[next]) {
            plain[at++] = '-';
            next++;
            if (hyphenated) {
                if (text[i] != '-')
                    return ql_fail(err, QL_EPARSE, "\"%.*s\" is not a UUID", (int)len, text);
                continue;
            }
        }
        if (!isxdigit((unsigned char)text[i]))
            return ql_fail(err, QL_EPARSE, "\"%.*s\" is not a UUID", (int)len, text);
        plain[at++] = (char)tolower((unsigned char)text[i]);
    }
    memcpy(out, plain, at);
    out[at] = '\0';
    return QL_OK;
}
