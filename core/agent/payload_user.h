/* SPDX-License-Identifier: Apache-2.0 */
/** @file payload_user.h  The user of payload_run_as: "user:group" as of run_as, and also root. */
#pragma once
#include "privileges.h"

/** @param[out] ret  ql_run_as_done() @retval QL_EPARSE @retval QL_ENOTFOUND */
int ql_payload_user_parse(const char *text, struct ql_run_as *ret, struct ql_err *err);
/** Become that user for good; stay root when it is root. @retval QL_EACCES with the step */
int ql_payload_user_become(const char *text, struct ql_err *err);
