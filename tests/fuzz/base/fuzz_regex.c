/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: mode; up to the first NUL: pattern; the rest: subject. */
#include <stdlib.h>
#include <string.h>

#include "regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum ql_regex_mode modes[] = {QL_REGEX_FULL, QL_REGEX_START, QL_REGEX_SEARCH};
    struct ql_err err = QL_ERR_INIT;
    struct ql_regex *re = NULL;
    const uint8_t *end;
    size_t pattern_len;

    if (len < 2 || len > 4096)
        return 0;
    end = memchr(data + 1, '\0', len - 1);
    pattern_len = end ? (size_t)(end - data - 1) : len - 1;
    if (ql_regex_new((const char *)data + 1, pattern_len, modes[data[0] % 3], &re, &err) == 0) {
        const char *subject = end ? (const char *)end + 1 : "";
        size_t subject_len = end ? len - pattern_len - 2 : 0;
        int first = ql_regex_match(re, subject, subject_len, &err);

        if (first > 1 || first != ql_regex_match(re, subject, subject_len, &err))
            abort();
        ql_regex_free(re);
    } else if (err.text[0] == '\0') {
        abort();
    }
    return 0;
}
