/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file identity.h
 * The agent id from option `uuid` (spec/agent.md 1.10). An id that is none is an error: a random identity at each restart
 * would be no identity.
 */
#pragma once
#include <stddef.h>

#include <quicklime/error.h>

/** Where the keywords look; NULL: the system's own. For tests. */
struct ql_identity_sources {
    const char
        *product_uuid;    /**< file of `dmidecode` [/sys/class/dmi/id/product_uuid]; readable by root alone */
    const char *hostname; /**< answer of `hostname` [fully qualified name of this host] */
};

/**
 * Resolve the option as far as that is possible without a TPM.
 * @param option  UUID, literal id, or one of generate, hash_ek, environment, dmidecode, hostname
 * @param[out] ret id, caller frees; NULL with QL_OK: `hash_ek`, see ql_identity_from_ek()
 * @retval QL_ERANGE not an id, with the keywords @retval QL_ENOTFOUND the source of a keyword is missing
 */
int ql_identity_resolve(const char *option, const struct ql_identity_sources *sources, char **ret,
                        struct ql_err *err);
/** `hash_ek`: lower-case hex SHA-256 of the EK's PEM. @param[out] ret caller frees */
int ql_identity_from_ek(const char *ek_pem, char **ret, struct ql_err *err);
