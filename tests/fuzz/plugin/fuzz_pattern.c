/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: length of the pattern; the rest is the subject. */
#include <stdlib.h>
#include <string.h>

#include "pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t pattern_len, subject_len;
    char *pattern, *subject;
    struct ql_pattern m;

    if (len == 0 || len > 4096)
        return 0;
    pattern_len = data[0] < len - 1 ? data[0] : len - 1;
    subject_len = len - 1 - pattern_len;
    /* Copies of their own, so that a step past either end is seen. */
    pattern = malloc(pattern_len + 1);
    subject = malloc(subject_len + 1);
    if (!pattern || !subject)
        abort();
    pattern = realloc(memcpy(pattern, data + 1, pattern_len), pattern_len ? pattern_len : 1);
    subject = realloc(memcpy(subject, data + 1 + pattern_len, subject_len), subject_len ? subject_len : 1);
    ql_pattern_init(&m, subject, subject_len, pattern, pattern_len, 200000);
    for (size_t at = 0; at <= subject_len && m.steps_left > 0; at++) {
        const char *end = ql_pattern_match(&m, subject + at);

        if (end && (end < subject + at || end > subject + subject_len))
            abort();
        for (unsigned i = 0; end && i < m.capture_count; i++) {
            const struct ql_capture *c = &m.captures[i];

            if (c->start < subject || c->start > subject + subject_len ||
                (c->len != QL_CAPTURE_POSITION && (c->len < 0 || c->len > subject + subject_len - c->start)))
                abort();
        }
    }
    free(pattern);
    free(subject);
    return 0;
}
