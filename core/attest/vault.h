/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file vault.h
 * Memory of its own pages that can be closed: what core has proven is mapped read-only while validators run (decision 11),
 * so that a stray write of theirs ends the worker instead of changing a verdict.
 */
#pragma once
#include <stddef.h>

#include <quicklime/error.h>

#include "cleanup.h"

struct ql_vault;

/** @param len bytes that the vault must hold */
int ql_vault_new(size_t len, struct ql_vault **ret, struct ql_err *err);
void ql_vault_free(struct ql_vault *v);
QL_DEFINE_CLEANUP(struct ql_vault, ql_vault_free)
/** Make it writable. @return its memory, the same at every call; NULL: the kernel refused */
void *ql_vault_open(struct ql_vault *v);
/** Make it read-only. @retval QL_EINTERNAL the kernel refused */
int ql_vault_close(struct ql_vault *v);
size_t ql_vault_len(const struct ql_vault *v);
