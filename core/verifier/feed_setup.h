/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file feed_setup.h
 * What the process of a feed is told first: which action or notifier it runs, with which settings and rights, from the
 * options of the verifier. Format: core/actions/job.h.
 */
#pragma once
#include <quicklime/error.h>

struct ql_verifier;

/**
 * @param name  of an action, "webhook" or "zeromq"
 * @param[out] ret  text of the frame; owned by the caller, may hold a password: wipe it
 * @retval QL_ENOTFOUND there is no such action @retval QL_ERANGE an option is unfit
 */
int ql_feed_setup(const struct ql_verifier *v, const char *name, char **ret, struct ql_err *err);
