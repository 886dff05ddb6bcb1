/* SPDX-License-Identifier: Apache-2.0 */
#include "agentdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct ql_tpm_algs algs = {"sha256", "rsa", "rsassa"};
    struct ql_agent_data d = {0};

    if (ql_agent_data_parse((const char *)data, len, &algs, "0", &d, NULL) == 0)
        ql_agent_data_done(&d);
    return 0;
}
