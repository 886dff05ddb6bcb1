/* SPDX-License-Identifier: Apache-2.0 */
/** @file paths.h  Where the installation keeps its own files. */
#pragma once

/** @return @p option, or the installed folder of plugins when it is empty. Static or borrowed. */
const char *ql_plugin_dir(const char *option);
/** @return @p option, or the installed quicklime-worker when it is empty. Static or borrowed. */
const char *ql_worker_path(const char *option);
/** @return @p option, or the installed quicklime-actionrunner when it is empty. Static or borrowed. */
const char *ql_action_runner_path(const char *option);
/** @return @p option, or the installed quicklime-payloadd when it is empty. Static or borrowed. */
const char *ql_payloadd_path(const char *option);
/** @return @p option, or the installed quicklime-unpack when it is empty. Static or borrowed. */
const char *ql_unpack_path(const char *option);
/** @return @p option, or the installed quicklime-actiond when it is empty. Static or borrowed. */
const char *ql_actiond_path(const char *option);
