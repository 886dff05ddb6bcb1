/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file verify.h
 * quicklime-verify: the verdict function offline, on the body of POST /verify/evidence (decision 8).
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "registry.h"

enum {
    QL_VERIFY_VALID = 0,
    QL_VERIFY_INVALID = 1,
    QL_VERIFY_UNUSABLE = 2, /**< usage, a file that cannot be read, no JSON object, no type or data */
    QL_VERIFY_PLUGINS_MAX = 32,
    QL_VERIFY_FILE_MAX = 512 * 1024 * 1024 /**< bytes of a recorded attestation */
};

/** The command line. Borrowed from argv. */
struct ql_verify_options {
    const char *file, *state, *plugin_dir, *pairs;
    const char *plugins[QL_VERIFY_PLUGINS_MAX];
    size_t plugin_count;
    bool limits;
};

/** The program. @return exit code */
int ql_verify_main(int argc, char **argv);

/** Load the plugins named, and those of Keylime's policies that are installed. */
int ql_verify_load(const struct ql_verify_options *o, struct ql_registry **ret, struct ql_err *err);
/**
 * Judge one file.
 * @param[out] result  object to be printed, caller decrefs; NULL with QL_VERIFY_UNUSABLE
 * @return exit code; err says why with QL_VERIFY_UNUSABLE
 */
int ql_verify_file(const struct ql_verify_options *o, const struct ql_registry *registry, const char *path,
                   json_t **result, struct ql_err *err);

/**
 * Judge files one after the other in a process of its own, which loads the plugins anew.
 * @param[out] texts  one result a file as text with sorted keys, caller frees each
 * @return 0, or the negative number of the signal that ended the process, or QL_VERIFY_UNUSABLE
 */
int ql_verify_apart(const struct ql_verify_options *o, const char *const *paths, size_t count, char **texts,
                    struct ql_err *err);
/** --pairs: each two files of the folder in both orders must be judged as each alone. @return exit code */
int ql_verify_pairs(const struct ql_verify_options *o, struct ql_err *err);
/** --limits: with a quarter of a worker's time and memory. @return exit code */
int ql_verify_limits(const struct ql_verify_options *o, struct ql_err *err);
