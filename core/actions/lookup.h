/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file lookup.h
 * From the name of an action to the file that is run (decision 34), and lists of names (spec/agent.md 6.3).
 */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include <quicklime/error.h>

enum {
    QL_ACTION_NAME_MAX = 128,      /**< characters */
    QL_ACTION_NAMES_MAX = 64,      /**< names in one list */
    QL_ACTION_LIST_MAX = 64 * 1024 /**< bytes of an action_list */
};

enum ql_action_kind {
    QL_ACTION_PROGRAM, /**< an executable file */
    QL_ACTION_LUA,
    QL_ACTION_SO,
    QL_ACTION_PYTHON /**< a module with a coroutine `execute` */
};

/** Where to look, in this order. */
struct ql_action_dirs {
    const char *configured; /**< revocation_actions_dir */
    const char *payload;    /**< folder of the unzipped payload; NULL: not allowed */
    bool python;            /**< python_actions */
};

/** What was found. */
struct ql_action_file {
    enum ql_action_kind kind;
    char path[PATH_MAX];
    const char *dir; /**< borrowed from the dirs */
};

/** @return true for `[A-Za-z0-9_][A-Za-z0-9._-]*` of at most QL_ACTION_NAME_MAX */
bool ql_action_name_ok(const char *name, size_t len);
/**
 * Find an action: NAME (executable), NAME.lua, NAME.so (configured folder only), NAME.py (only with python), first in the
 * configured folder. A link that leaves the folder, a file or folder that others may write, and one of a foreign owner are
 * refused. @param err says what was looked for and where
 * @retval QL_ENOTFOUND @retval QL_EACCES @retval QL_ERANGE the name
 */
int ql_action_find(const struct ql_action_dirs *dirs, const char *name, struct ql_action_file *ret,
                   struct ql_err *err);

/** A list of names. */
struct ql_action_names {
    char *names[QL_ACTION_NAMES_MAX];
    size_t count;
};
/**
 * Add the names of a text: separated by commas, blanks, tabs and newlines, brackets around it allowed. A name that is
 * there already is not added again. Names are not judged here.
 * @retval QL_ELIMIT @retval QL_ENOMEM
 */
int ql_action_names_add(struct ql_action_names *n, const char *text, size_t len, struct ql_err *err);
void ql_action_names_done(struct ql_action_names *n);
