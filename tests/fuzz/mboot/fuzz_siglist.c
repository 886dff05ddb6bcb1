/* SPDX-License-Identifier: Apache-2.0 */
/* Signature lists: what is well formed can be shown, and its lists take up all bytes. */
#include "must.h"
#include "siglist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    json_t *lists, *list;
    size_t i, total = 0;

    if (mb_siglist_check(data, len))
        return 0;
    lists = mb_siglist_json(data, len);
    must(lists != NULL);
    json_array_foreach(lists, i, list) {
        const json_t *keys = json_object_get(list, "Keys");
        const json_int_t size = json_integer_value(json_object_get(list, "SignatureListSize"));

        must(json_is_null(keys) || json_array_size(keys) > 0);
        must(size >= 28);
        total += (size_t)size;
    }
    must(total == len);
    json_decref(lists);
    return 0;
}
