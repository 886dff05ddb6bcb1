/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "error.h"
#include "items.h"
#include "json.h"
#include "parse.h"

int ql_item_bytes(const struct ql_frame *f, enum ql_tag tag, size_t max_len, uint8_t **ret, size_t *ret_len,
                  struct ql_err *err)
{
    const struct ql_item *item = ql_frame_get(f, tag, 0);
    uint8_t *copy;

    if (!item)
        return QL_ENOTFOUND;
    if (item->len > max_len)
        return ql_fail(err, QL_EPARSE, "frame item %d of %zu bytes, at most %zu", (int)tag, item->len,
                       max_len);
    copy = malloc(item->len + 1);
    if (!copy)
        return ql_fail_nomem(err);
    memcpy(copy, item->data, item->len);
    copy[item->len] = 0;
    *ret = copy;
    if (ret_len)
        *ret_len = item->len;
    return QL_OK;
}

int ql_item_text(const struct ql_frame *f, enum ql_tag tag, size_t max_len, char **ret, struct ql_err *err)
{
    ql_auto_free uint8_t *bytes = NULL;
    size_t len = 0;
    int r = ql_item_bytes(f, tag, max_len, &bytes, &len, err);

    if (r < 0)
        return r;
    if (!ql_utf8_ok((const char *)bytes, len))
        return ql_fail(err, QL_EPARSE, "frame item %d is not text", (int)tag);
    *ret = (char *)ql_steal(bytes);
    return QL_OK;
}

int ql_item_json(const struct ql_frame *f, enum ql_tag tag, size_t max_len, json_t **ret, struct ql_err *err)
{
    const struct ql_item *item = ql_frame_get(f, tag, 0);

    if (!item)
        return QL_ENOTFOUND;
    return ql_json_parse((const char *)item->data, item->len, max_len, ret, err);
}

int ql_item_u64(const struct ql_frame *f, enum ql_tag tag, uint64_t max, uint64_t *ret, struct ql_err *err)
{
    uint64_t v = 0;
    int r = ql_frame_get_u64(f, tag, &v);

    if (r == QL_ENOTFOUND)
        return r;
    if (r < 0 || v > max)
        return ql_fail(err, QL_EPARSE, "frame item %d is not a number up to %llu", (int)tag,
                       (unsigned long long)max);
    *ret = v;
    return QL_OK;
}

int ql_frame_add_json(struct ql_frame *f, enum ql_tag tag, const json_t *j, struct ql_err *err)
{
    ql_auto_free char *text = ql_json_text(j);

    return text ? ql_frame_add_text(f, tag, text, err) : ql_fail_nomem(err);
}

int ql_frame_add_optional(struct ql_frame *f, enum ql_tag tag, const char *text, struct ql_err *err)
{
    return text ? ql_frame_add_text(f, tag, text, err) : QL_OK;
}

int ql_frame_add_bytes(struct ql_frame *f, enum ql_tag tag, const uint8_t *bytes, size_t len,
                       struct ql_err *err)
{
    return bytes ? ql_frame_add(f, tag, bytes, len, err) : QL_OK;
}
