/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file refstate.h
 * Reference states: what the policy `example` compares a boot with, made from the log of a boot that was good; and several of
 * them as one. The result is Keylime's own form (`keylime-policy create measured-boot`), field by field.
 *
 * Layer: plugin mboot. Pure; for tools.
 */
#pragma once
#include <jansson.h>

#include "eventlog.h"

/** Receives what an operator should know; may be NULL. */
typedef void (*mb_warn_fn)(void *arg, const char *text);

/**
 * @param log  has a bank sha256; its digests were checked and none mismatched (a policy is not made from an altered log)
 * @param without_secureboot  the boot is meant to be without Secure Boot
 * @param[out] ret  new object, owned by the caller
 * @retval QL_ERANGE no bank sha256; or Secure Boot is off and @p without_secureboot is not set; or the boot is not one of
 *                   shim, GRUB and (with Secure Boot) one or two kernels: the text says how many applications there were
 * @retval QL_ECRYPTO a digest mismatches @retval QL_ENOMEM
 */
int mb_refstate_from_log(const struct mb_log *log, bool without_secureboot, mb_warn_fn warn, void *arg,
                         json_t **ret, struct ql_err *err);

/**
 * Make @p into accept what @p other accepts, too: alternatives and allowed keys of both; of the revoked hashes, which a node
 * must have, those that both have.
 * @param into changed in place; both as mb_refstate_from_log() made them
 * @retval QL_ECONFLICT one is with Secure Boot and the other without @retval QL_ENOMEM
 */
int mb_refstate_merge(const struct ql_host *host, json_t *into, const json_t *other, struct ql_err *err);

/**
 * Add to a reference state what the policy `strict` compares, too: boot_files and grub_commands.
 * @param log  as for mb_refstate_from_log() @param into  its result; lists of these names are replaced
 * @retval QL_ERANGE no bank sha256 @retval QL_ENOMEM
 */
int mb_refstate_add_strict(const struct mb_log *log, json_t *into, struct ql_err *err);
