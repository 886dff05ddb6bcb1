/* SPDX-License-Identifier: Apache-2.0 */
#include "addition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct ql_addition_rules rules = {
        .agent_id = "a1", .verifier_id = "default", .verifier_ip = "127.0.0.1", .verifier_port = 8881};
    ql_auto_json json_t *body = NULL;
    struct ql_addition a = {0};
    int http = 0;

    if (ql_json_parse_object((const char *)data, len, 1 << 20, &body, NULL) == QL_OK &&
        ql_addition_read(body, &rules, &a, &http, NULL) == QL_OK)
        ql_addition_done(&a);
    return 0;
}
