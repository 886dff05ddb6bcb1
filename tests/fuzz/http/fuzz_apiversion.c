/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "server.h"
#include "version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const unsigned ours[] = {QL_API(2, 1), QL_API(2, 6), QL_API(3, 0), 0};
    ql_auto_json json_t *results = NULL;
    unsigned version = 0;
    char text[8];

    if (ql_api_parse((const char *)data, len, &version, NULL) == QL_OK &&
        (len != 3 || memcmp(ql_api_text(version, text), data, 3) != 0))
        abort();
    if (ql_json_parse((const char *)data, len, 65536, &results, NULL) == QL_OK &&
        ql_api_negotiate(ours, results, 2, &version, NULL) == QL_OK && version != QL_API(2, 1) &&
        version != QL_API(2, 6))
        abort();
    return 0;
}
