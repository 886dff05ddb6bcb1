/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file emulator.h
 * Extends PCR 10 of a software TPM from a measurement list, in the kernel's place: where a kernel measures, but the TPM that
 * is attested is not the one it knows.
 */
#pragma once
#include "device.h"

enum {
    QL_EMULATOR_WAIT_MS = 200, /**< between two looks at the list */
    QL_EMULATOR_PCR = 10
};

struct ql_emulator;

struct ql_emulator_config {
    const char *list;         /**< path */
    const char *ima_hash;     /**< of the list's second column: "sha1" */
    const char *const *banks; /**< names; those that are extended */
    size_t bank_count;
};

/**
 * Open the list and find, bank by bank, the place up to which the TPM was extended before.
 * @param tpm borrowed; must be a software TPM
 * @retval QL_EACCES it is not @retval QL_ECONFLICT PCR 10 fits no place of the list: the TPM must be reset
 * @retval QL_EPARSE an entry is none, or its hash is wrong
 */
int ql_emulator_new(struct ql_tpm *tpm, const struct ql_emulator_config *config, struct ql_emulator **ret,
                    struct ql_err *err);
void ql_emulator_free(struct ql_emulator *e);
QL_DEFINE_CLEANUP(struct ql_emulator, ql_emulator_free)
/** Extend what the list has and the TPM has not; a line each is printed to standard output. */
int ql_emulator_step(struct ql_emulator *e, struct ql_err *err);

int ql_emulator_main(int argc, char **argv);
