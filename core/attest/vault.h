/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file vault.h
 * Memory mapped twice: core writes through one mapping, validators see the other, which is read-only
 * (decision 11), so that a stray write of theirs ends the worker instead of changing a verdict. Two mappings
 * rather than changes of rights, which would cost each job a tenth of its time.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

struct ql_vault;

/** @param len bytes that the vault must hold */
int ql_vault_new(size_t len, struct ql_vault **ret, struct ql_err *err);
void ql_vault_free(struct ql_vault *v);
QL_DEFINE_CLEANUP(struct ql_vault, ql_vault_free)
/** The memory for its owner, and the same bytes for everybody else. Neither ever moves. */
void *ql_vault_writable(const struct ql_vault *v);
const void *ql_vault_readable(const struct ql_vault *v);
size_t ql_vault_len(const struct ql_vault *v);
