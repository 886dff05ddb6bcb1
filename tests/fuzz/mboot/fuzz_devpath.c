/* SPDX-License-Identifier: Apache-2.0 */
/* A device path as text: valid UTF-8, and no longer than its bytes allow. */
#include <jansson.h>

#include "devpath.h"
#include "must.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mb_text t;
    json_t *text;

    mb_text_init(&t);
    (void)mb_devpath_text(data, len, &t); /* what a failure leaves is text as well */
    must(!t.failed);
    must(t.len <= 64 * len);
    text = json_stringn(t.p, t.len);
    must(text != NULL); /* refuses what is no UTF-8 */
    json_decref(text);
    mb_text_done(&t);
    return 0;
}
