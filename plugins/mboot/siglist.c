/* SPDX-License-Identifier: Apache-2.0 */
#include "siglist.h"

#include <string.h>

#include "bytes.h"
#include "eventlog.h"
#include "text.h"

enum {
    HEAD_LEN = 28 /* GUID, list size, header size, signature size */
};

/** Sizes of the list at the start of some bytes. */
struct list {
    uint32_t list_len, header_len, entry_len;
    size_t count;
};

static const char *read_list(const uint8_t *data, size_t len, struct list *ret)
{
    size_t body;

    if (len < HEAD_LEN)
        return "a signature list is cut short";
    ret->list_len = mb_u32(data + 16);
    ret->header_len = mb_u32(data + 20);
    ret->entry_len = mb_u32(data + 24);
    if (ret->list_len < HEAD_LEN || ret->list_len > len)
        return "SignatureListSize does not fit";
    if (ret->header_len > ret->list_len - HEAD_LEN)
        return "SignatureHeaderSize does not fit";
    body = ret->list_len - HEAD_LEN - ret->header_len;
    if (ret->entry_len < MB_GUID_LEN || body % ret->entry_len != 0)
        return "SignatureSize does not divide the list";
    ret->count = body / ret->entry_len;
    return NULL;
}

const char *mb_siglist_check(const uint8_t *data, size_t len)
{
    size_t total = 0;

    while (len > 0) {
        struct list list;
        const char *wrong = read_list(data, len, &list);

        if (wrong)
            return wrong;
        if (list.count > MB_SIGNATURES_MAX - total)
            return "more signatures than 8192";
        total += list.count;
        data += list.list_len;
        len -= list.list_len;
    }
    return NULL;
}

bool mb_siglist_next(const uint8_t **data, size_t *len, struct mb_siglist *ret)
{
    struct list list;

    if (read_list(*data, *len, &list))
        return false;
    *ret = (struct mb_siglist){.type = *data,
                               .entries = *data + HEAD_LEN + list.header_len,
                               .entry_len = list.entry_len,
                               .count = list.count};
    *data += list.list_len;
    *len -= list.list_len;
    return true;
}

/** @param owner taken over */
static json_t *signature_json(json_t *owner, const uint8_t *data, size_t len)
{
    json_t *o = json_object();
    const bool ok = mb_put(o, "SignatureOwner", owner);

    return mb_finish(o, ok && mb_put(o, "SignatureData", mb_json_hex(data, len)));
}

json_t *mb_signature_json(const uint8_t *data, size_t len)
{
    return signature_json(mb_json_guid(data), data + MB_GUID_LEN, len - MB_GUID_LEN);
}

static json_t *keys_json(const uint8_t *at, const struct list *list)
{
    json_t *keys, *owner = NULL;
    bool ok = true;

    if (list->count == 0)
        return json_null();
    keys = json_array();
    for (size_t i = 0; ok && i < list->count; i++, at += list->entry_len) {
        /* Hundreds of entries in a row have one owner: its text is shared. */
        if (i == 0 || memcmp(at, at - list->entry_len, MB_GUID_LEN) != 0) {
            json_decref(owner);
            owner = mb_json_guid(at);
        }
        ok = json_array_append_new(keys, signature_json(json_incref(owner), at + MB_GUID_LEN,
                                                        list->entry_len - MB_GUID_LEN)) == 0;
    }
    json_decref(owner);
    return mb_finish(keys, ok);
}

static json_t *list_json(const uint8_t *data, const struct list *list)
{
    json_t *o = json_object();
    const bool ok = mb_put(o, "SignatureType", mb_json_guid(data)) &&
                    mb_put(o, "SignatureListSize", json_integer(list->list_len)) &&
                    mb_put(o, "SignatureHeaderSize", json_integer(list->header_len)) &&
                    mb_put(o, "SignatureSize", json_integer(list->entry_len)) &&
                    mb_put(o, "Keys", keys_json(data + HEAD_LEN + list->header_len, list));

    return mb_finish(o, ok);
}

json_t *mb_siglist_json(const uint8_t *data, size_t len)
{
    json_t *lists;

    if (len == 0)
        return json_null();
    lists = json_array();
    while (len > 0) {
        struct list list;

        if (read_list(data, len, &list) || json_array_append_new(lists, list_json(data, &list)) < 0)
            return mb_finish(lists, false);
        data += list.list_len;
        len -= list.list_len;
    }
    return lists;
}
