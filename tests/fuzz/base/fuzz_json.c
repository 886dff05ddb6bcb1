/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign JSON: what parses is written and parses again to an equal value, in both spellings. */
#include <stdlib.h>
#include <string.h>

#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_again(const json_t *j, char *text)
{
    json_t *again = NULL;

    if (!text || ql_json_parse(text, strlen(text), 1 << 24, &again, NULL) < 0 || !json_equal(j, again))
        abort();
    json_decref(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_err err = QL_ERR_INIT;
    json_t *j = NULL;
    const char *text;
    int64_t number;
    bool flag;

    if (ql_json_parse((const char *)data, len, 1 << 16, &j, &err) < 0) {
        if (err.code == 0 || err.text[0] == '\0')
            abort();
        return 0;
    }
    check_again(j, ql_json_text(j));
    check_again(j, ql_json_text_spaced(j));
    if (json_is_object(j)) {
        (void)ql_json_get_text(j, "a", &text, NULL, &err); /* only must not crash */
        (void)ql_json_get_int(j, "a", 0, 10, &number, &err);
        (void)ql_json_get_bool(j, "a", &flag, &err);
    }
    json_decref(j);
    return 0;
}
