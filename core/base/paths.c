/* SPDX-License-Identifier: Apache-2.0 */
#include "paths.h"

const char *ql_plugin_dir(const char *option)
{
    return *option != '\0' ? option : QL_INSTALL_PLUGIN_DIR;
}

const char *ql_worker_path(const char *option)
{
    return *option != '\0' ? option : QL_INSTALL_WORKER;
}

const char *ql_action_runner_path(const char *option)
{
    return *option != '\0' ? option : QL_INSTALL_LIBEXEC "/quicklime-actionrunner";
}

const char *ql_actiond_path(const char *option)
{
    return *option != '\0' ? option : QL_INSTALL_LIBEXEC "/quicklime-actiond";
}

const char *ql_unpack_path(const char *option)
{
    return *option != '\0' ? option : QL_INSTALL_LIBEXEC "/quicklime-unpack";
}

const char *ql_payloadd_path(const char *option)
{
    return *option != '\0' ? option : QL_INSTALL_LIBEXEC "/quicklime-payloadd";
}
