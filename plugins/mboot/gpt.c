/* SPDX-License-Identifier: Apache-2.0 */
#include "gpt.h"

#include <string.h>

#include "bytes.h"
#include "text.h"

enum {
    HEAD_LEN = 100, /* 92 bytes of table header, number of entries */
    ENTRY_LEN = 128,
    NAME_UNITS = 36
};

const char *mb_gpt_check(const uint8_t *payload, size_t len)
{
    if (len < HEAD_LEN)
        return "a partition table is cut short";
    if ((len - HEAD_LEN) % ENTRY_LEN != 0 || mb_u64(payload + 92) != (len - HEAD_LEN) / ENTRY_LEN)
        return "NumberOfPartitions does not agree with the event's size";
    return NULL;
}

static json_t *header_json(const uint8_t *p)
{
    json_t *o = json_object();
    const bool ok = mb_put(o, "Signature", mb_json_utf8(p, strnlen((const char *)p, 8))) &&
                    mb_put(o, "Revision", json_integer(mb_u32(p + 8))) &&
                    mb_put(o, "HeaderSize", json_integer(mb_u32(p + 12))) &&
                    mb_put(o, "HeaderCRC32", json_integer(mb_u32(p + 16))) && /* 4 reserved bytes follow */
                    mb_put(o, "MyLBA", mb_json_u64(mb_u64(p + 24))) &&
                    mb_put(o, "AlternateLBA", mb_json_u64(mb_u64(p + 32))) &&
                    mb_put(o, "FirstUsableLBA", mb_json_u64(mb_u64(p + 40))) &&
                    mb_put(o, "LastUsableLBA", mb_json_u64(mb_u64(p + 48))) &&
                    mb_put(o, "DiskGUID", mb_json_guid(p + 56)) &&
                    mb_put(o, "PartitionEntryLBA", mb_json_u64(mb_u64(p + 72))) &&
                    mb_put(o, "NumberOfPartitionEntry", json_integer(mb_u32(p + 80))) &&
                    mb_put(o, "SizeOfPartitionEntry", json_integer(mb_u32(p + 84))) &&
                    mb_put(o, "PartitionEntryArrayCRC32", json_integer(mb_u32(p + 88)));

    return mb_finish(o, ok);
}

static json_t *entry_json(const uint8_t *p)
{
    json_t *o = json_object();
    const bool ok = mb_put(o, "PartitionTypeGUID", mb_json_guid(p)) &&
                    mb_put(o, "UniquePartitionGUID", mb_json_guid(p + 16)) &&
                    mb_put(o, "StartingLBA", mb_json_u64(mb_u64(p + 32))) &&
                    mb_put(o, "EndingLBA", mb_json_u64(mb_u64(p + 40))) &&
                    mb_put(o, "Attributes", mb_json_u64(mb_u64(p + 48))) &&
                    mb_put(o, "PartitionName", mb_json_utf16(p + 56, NAME_UNITS));

    return mb_finish(o, ok);
}

static json_t *entries_json(const uint8_t *p, size_t count)
{
    json_t *list;

    if (count == 0)
        return json_null();
    list = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, entry_json(p + i * ENTRY_LEN)) < 0)
            return mb_finish(list, false);
    return list;
}

json_t *mb_gpt_json(const uint8_t *payload, size_t len)
{
    const size_t count = (len - HEAD_LEN) / ENTRY_LEN;
    json_t *o = json_object();
    const bool ok = mb_put(o, "Header", header_json(payload)) &&
                    mb_put(o, "NumberOfPartitions", mb_json_u64(count)) &&
                    mb_put(o, "Partitions", entries_json(payload + HEAD_LEN, count));

    return mb_finish(o, ok);
}
