/* SPDX-License-Identifier: Apache-2.0 */
/** @file helpers.h  What the tests of the verifier share. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "error.h"
#include "verifier.h"

/** A literal for a member that owns its text elsewhere. */
#define TEXT(t) ((char *)(uintptr_t)(t))
/** A folder without configuration files. */
#define NO_CONFIG QL_SOURCE_DIR "/core/verifier"

/** Recorded answers; skips the test where the folder is absent. Caller decrefs. */
static inline json_t *vectors(const char *name)
{
    char path[512];
    json_t *j;

    (void)snprintf(path, sizeof path, "%s/vectors/server/%s.json", QL_SHARED_DIR, name);
    j = json_load_file(path, 0, NULL);
    if (!j) {
        print_message("no vectors at %s\n", path);
        skip();
    }
    return j;
}

/** A configuration out of settings "verifier.NAME"; files are looked for in an empty place. */
static inline struct ql_config *config_of(const struct ql_setting *settings, size_t count)
{
    struct ql_config *c = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (ql_config_load("verifier", ql_verifier_options, NO_CONFIG, settings, count, &c, &err) < 0)
        fail_msg("%s", err.text);
    return c;
}
