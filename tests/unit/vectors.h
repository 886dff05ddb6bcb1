/* SPDX-License-Identifier: Apache-2.0 */
/** @file vectors.h  Known answers of ../shared/vectors; tests skip with a message where that folder is absent. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

/** Load a vector file; skips the running test when it is not there. Caller decrefs. */
static inline json_t *load_vectors(const char *name)
{
    char path[512];
    json_error_t why;
    json_t *v;

    snprintf(path, sizeof path, QL_SHARED_DIR "/vectors/%s", name);
    v = json_load_file(path, 0, &why);
    if (!v) {
        print_message("no vectors at %s: %s\n", path, why.text);
        skip();
    }
    return v;
}

/** Text member that must be there. */
static inline const char *vector_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    if (!text)
        fail_msg("vector has no text %s", key);
    return text;
}

/** Text member or NULL. */
static inline const char *vector_text_or_null(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}
