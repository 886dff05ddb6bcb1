/* SPDX-License-Identifier: Apache-2.0 */
/** @file settings.h  Options of ca.conf, which quicklime-ca and the tenant read, and the password of the key store. */
#pragma once
#include "ca.h"
#include "config.h"

extern const struct ql_option_group ql_ca_options[];

/** What the options say about certificates; texts are borrowed from @p c. @param key_type "rsa", "p256", "p384"; NULL: the
 * option's @retval QL_ERANGE */
int ql_ca_profile_read(const struct ql_config *c, const char *key_type, struct ql_ca_profile *ret,
                       struct ql_err *err);
/**
 * The password: first line of @p file, else the option password, else the first line of the option password_file, else what
 * is typed (or stands on standard input where there is no terminal).
 * @param file  NULL: none @retval QL_ENOTFOUND none was given
 */
int ql_ca_password(const struct ql_config *c, const char *file, struct ql_secret **ret, struct ql_err *err);
