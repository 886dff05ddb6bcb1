/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "excludes.h"
#include "toolhost.h"

enum {
    ELEMENTS_MAX = 32
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines are the elements of a list; what follows the last of them is a name that is matched. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ima_exclude elements[ELEMENTS_MAX];
    struct ima_excludes *e = NULL;
    size_t count = 0;
    const uint8_t *lf;

    while (count < ELEMENTS_MAX && size > 0 && (lf = memchr(data, '\n', size))) {
        elements[count++] = (struct ima_exclude){data, (size_t)(lf - data)};
        size -= (size_t)(lf - data) + 1;
        data = lf + 1;
    }
    if (ima_excludes_compile(&ql_tool_host, elements, count, &e, NULL) == 0)
        (void)ima_excludes_match(e, data, size);
    ima_excludes_free(e);
    return 0;
}
