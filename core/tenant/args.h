/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file args.h
 * The tenant's command line, as Python's argparse reads it: long options may be cut to any unambiguous prefix, take their
 * value after a blank or '=', short ones may have two letters. Scripts in the field rely on it (spec/server.md 10.2).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <quicklime/error.h>

enum {
    QL_ARG_VALUES_MAX = 16 /**< values of one repeatable option */
};

/** Every option; the order is that of the table in args.c. */
enum ql_arg {
    QL_ARG_HELP,
    QL_ARG_COMMAND,
    QL_ARG_PUSH_MODEL,
    QL_ARG_TARGET_HOST,
    QL_ARG_TARGET_PORT,
    QL_ARG_REGISTRAR_HOST,
    QL_ARG_REGISTRAR_PORT,
    QL_ARG_CV_TARGET_HOST,
    QL_ARG_CV,
    QL_ARG_CV_PORT,
    QL_ARG_CV_ID,
    QL_ARG_NO_VERIFIER_CHECK,
    QL_ARG_UUID,
    QL_ARG_FILE,
    QL_ARG_CERT,
    QL_ARG_KEY,
    QL_ARG_PAYLOAD,
    QL_ARG_INCLUDE,
    QL_ARG_ALLOWLIST,
    QL_ARG_RUNTIME_POLICY,
    QL_ARG_IMA_KEY,
    QL_ARG_IMA_KEY_SIG,
    QL_ARG_IMA_KEY_SIG_KEY,
    QL_ARG_MB_POLICY,
    QL_ARG_EXCLUDE,
    QL_ARG_RUNTIME_POLICY_CHECKSUM,
    QL_ARG_RUNTIME_POLICY_SIG_KEY,
    QL_ARG_RUNTIME_POLICY_URL,
    QL_ARG_ALLOWLIST_URL,
    QL_ARG_TPM_POLICY,
    QL_ARG_VERIFY,
    QL_ARG_ALLOWLIST_NAME,
    QL_ARG_RUNTIME_POLICY_NAME,
    QL_ARG_MB_POLICY_NAME,
    QL_ARG_AGENT_API_VERSION,
    QL_ARG_POLICY,
    QL_ARG_POLICY_NAME,
    QL_ARG_CONFIG_DIR,
    QL_ARG_STATE_DIR,
    QL_ARG_SET,
    QL_ARG_SHOW_CONFIG,
    QL_ARG_CHECK_CONFIG,
    QL_ARG_SAMPLE_CONFIG,
    QL_ARG_VERSION,
    QL_ARG_COUNT
};

/** What was given. Texts are borrowed from argv. */
struct ql_args {
    const char *values[QL_ARG_COUNT][QL_ARG_VALUES_MAX];
    size_t count[QL_ARG_COUNT]; /**< values, or how often a flag stood */
    const char *operand;        /**< what stood without an option; few commands take it. NULL: none */
};

/** @retval QL_EPARSE usage error, with argparse's words */
int ql_args_parse(int argc, char **argv, struct ql_args *ret, struct ql_err *err);
/** Last value of an option, NULL: not given. */
const char *ql_arg(const struct ql_args *a, enum ql_arg which);
bool ql_arg_given(const struct ql_args *a, enum ql_arg which);
/** One line a command and an option. */
void ql_args_help(FILE *out);
