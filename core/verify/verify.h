/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file verify.h
 * quicklime-verify: the verdict function offline, on the body of POST /verify/evidence (decision 8).
 *
 * Files are read and results are written by the program; between the two a process of its own loads the plugins and
 * judges, in the sandbox and under the limits of a verifier's worker.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "config.h"
#include "registry.h"

enum {
    QL_VERIFY_VALID = 0,
    QL_VERIFY_INVALID = 1,
    QL_VERIFY_UNUSABLE = 2, /**< usage, a file that cannot be read, no JSON object, no type or data */
    QL_VERIFY_PLUGINS_MAX = 32,
    QL_VERIFY_SETTINGS_MAX = 64,
    QL_VERIFY_FILE_MAX = 512 * 1024 * 1024 /**< bytes of a recorded attestation */
};

/** What evidence ends with that its check does not survive. */
#define QL_VERIFY_LIMIT_EVENT "qoute_validation.worker_limit"

/** The command line. Borrowed from argv. */
struct ql_verify_options {
    const char *file, *state, *plugin_dir, *pairs;
    const char *plugins[QL_VERIFY_PLUGINS_MAX];
    size_t plugin_count;
    struct ql_setting settings[QL_VERIFY_SETTINGS_MAX]; /**< options of plugins */
    size_t setting_count;
    bool limits;
};

/** The program. @return exit code */
int ql_verify_main(int argc, char **argv);

/* ---- verify.c: one after the other, in the process that calls them ---- */

/** Files of the plugins named, and of those for Keylime's policies that are installed. */
struct ql_verify_plugins {
    struct ql_plugin_file files[QL_VERIFY_PLUGINS_MAX + 3];
    size_t count;
};
int ql_verify_open(const struct ql_verify_options *o, struct ql_verify_plugins *ret, struct ql_err *err);
void ql_verify_close(struct ql_verify_plugins *p);
/** Load them, with the options of the command line. Once a process. */
int ql_verify_load(const struct ql_verify_options *o, const struct ql_verify_plugins *p,
                   struct ql_registry **ret, struct ql_err *err);

/** A recorded attestation and the state to go on from. */
struct ql_verify_input {
    uint8_t *body; /**< owned */
    size_t len;
    json_t *state; /**< owned; NULL: none */
};
int ql_verify_read(const struct ql_verify_options *o, const char *path, struct ql_verify_input *ret,
                   struct ql_err *err);
void ql_verify_input_done(struct ql_verify_input *in);
/**
 * Judge.
 * @param[out] result     object to be printed, caller decrefs
 * @param[out] new_state  after a pass; untouched otherwise
 * @retval QL_EPARSE not usable: no JSON object, no type or data
 */
int ql_verify_body(const struct ql_registry *registry, const struct ql_verify_input *in, json_t **result,
                   json_t **new_state, struct ql_err *err);
/** A result that says no. @param limit NULL: none */
json_t *ql_verify_failed(const char *type, const char *message, const char *limit);

/* ---- apart.c: in a process of its own ---- */

/** What came of one file, as text. */
struct ql_verified {
    char *result, *state; /**< owned; state "null": none */
};
void ql_verified_done(struct ql_verified *v);
/**
 * Judge files one after the other in a sandboxed process that loads the plugins anew.
 * @param[out] ret  one for each file
 * @return 0, or the negative number of the signal that ended the process (SIGABRT: it ended before its last result), or
 * QL_VERIFY_UNUSABLE
 */
int ql_verify_apart(const struct ql_verify_options *o, const char *const *paths, size_t count,
                    struct ql_verified *ret, struct ql_err *err);
/** One file; with --limits under a quarter of time and memory. @return exit code */
int ql_verify_one(const struct ql_verify_options *o, struct ql_err *err);

/* ---- pairs.c ---- */

/** --pairs: each two files of the folder in both orders must be judged as each alone. @return exit code */
int ql_verify_pairs(const struct ql_verify_options *o, struct ql_err *err);
