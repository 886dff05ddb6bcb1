/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"

#include "bytes.h"
#include "devpath.h"
#include "text.h"

enum {
    IMAGE_LEN = 32, /* location, length, link address, length of the path */
    BLOB_LEN = 16   /* base, length */
};

const char *mb_image_check(const uint8_t *payload, size_t len)
{
    if (len < IMAGE_LEN)
        return "an image load is cut short";
    if (mb_u64(payload + 24) > len - IMAGE_LEN)
        return "LengthOfDevicePath does not fit";
    return NULL;
}

const char *mb_blob_check(const uint8_t *payload, size_t len)
{
    (void)payload;
    return len < BLOB_LEN ? "a firmware blob is cut short" : NULL;
}

const char *mb_blob2_check(const uint8_t *payload, size_t len)
{
    if (len < 1 + BLOB_LEN || payload[0] > len - 1 - BLOB_LEN)
        return "a firmware blob is cut short, or BlobDescriptionSize does not fit";
    return NULL;
}

static json_t *path_json(const uint8_t *path, size_t path_len, size_t rest)
{
    struct mb_text t;

    mb_text_init(&t);
    if (!mb_devpath_text(path, path_len, &t)) {
        mb_text_done(&t);
        mb_text_hex(&t, path, rest);
    }
    return mb_text_json(&t);
}

json_t *mb_image_json(const uint8_t *payload, size_t len)
{
    const uint64_t path_len = mb_u64(payload + 24);
    json_t *o = json_object();
    const bool ok =
        mb_put(o, "ImageLocationInMemory", mb_json_u64(mb_u64(payload))) &&
        mb_put(o, "ImageLengthInMemory", mb_json_u64(mb_u64(payload + 8))) &&
        mb_put(o, "ImageLinkTimeAddress", mb_json_u64(mb_u64(payload + 16))) &&
        mb_put(o, "LengthOfDevicePath", mb_json_u64(path_len)) &&
        mb_put(o, "DevicePath", path_json(payload + IMAGE_LEN, (size_t)path_len, len - IMAGE_LEN));

    return mb_finish(o, ok);
}

json_t *mb_blob_json(const uint8_t *payload, size_t len)
{
    json_t *o = json_object();
    const bool ok = mb_put(o, "BlobBase", mb_json_u64(mb_u64(payload))) &&
                    mb_put(o, "BlobLength", mb_json_u64(mb_u64(payload + 8)));

    (void)len;
    return mb_finish(o, ok);
}

json_t *mb_blob2_json(const uint8_t *payload, size_t len)
{
    const uint8_t *blob = payload + 1 + payload[0];
    json_t *o = json_object();
    const bool ok = mb_put(o, "BlobDescriptionSize", json_integer(payload[0])) &&
                    mb_put(o, "BlobDescription", mb_json_hex(payload + 1, payload[0])) &&
                    mb_put(o, "BlobBase", mb_json_u64(mb_u64(blob))) &&
                    mb_put(o, "BlobLength", mb_json_u64(mb_u64(blob + 8)));

    (void)len;
    return mb_finish(o, ok);
}
