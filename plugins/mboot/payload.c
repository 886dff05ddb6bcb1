/* SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <string.h>

#include "eventlog.h"
#include "gpt.h"
#include "image.h"
#include "text.h"
#include "variable.h"

enum {
    POST_CODE_BLOB_LEN = 16, /* a POST code of this size is a firmware blob, else a text */
    LOCALITY_AT = 16
};

static const char LOCALITY[LOCALITY_AT] = "StartupLocality"; /* its NUL is the 16th byte */
static const char HCRTM[] = {'H', 'C', 'R', 'T', 'M'};

bool mb_startup_locality(const uint8_t *payload, size_t len, uint8_t *ret)
{
    if (len <= LOCALITY_AT || memcmp(payload, LOCALITY, sizeof LOCALITY) != 0)
        return false;
    *ret = payload[LOCALITY_AT];
    return true;
}

const char *mb_payload_check(uint32_t type, const uint8_t *payload, size_t len)
{
    if (len == 0)
        return type == MB_EV_EFI_HCRTM_EVENT ? "it does not say HCRTM" : NULL;
    switch (type) {
    case MB_EV_EFI_VARIABLE_DRIVER_CONFIG:
    case MB_EV_EFI_VARIABLE_BOOT:
    case MB_EV_EFI_VARIABLE_BOOT2:
    case MB_EV_EFI_VARIABLE_AUTHORITY:
        return mb_variable_check(type, payload, len);
    case MB_EV_EFI_BOOT_SERVICES_APPLICATION:
    case MB_EV_EFI_BOOT_SERVICES_DRIVER:
    case MB_EV_EFI_RUNTIME_SERVICES_DRIVER:
        return mb_image_check(payload, len);
    case MB_EV_EFI_GPT_EVENT:
        return mb_gpt_check(payload, len);
    case MB_EV_S_CRTM_CONTENTS:
    case MB_EV_EFI_PLATFORM_FIRMWARE_BLOB:
        return mb_blob_check(payload, len);
    case MB_EV_EFI_PLATFORM_FIRMWARE_BLOB2:
        return mb_blob2_check(payload, len);
    case MB_EV_EFI_HCRTM_EVENT:
        return len != sizeof HCRTM || memcmp(payload, HCRTM, len) != 0 ? "it does not say HCRTM" : NULL;
    default:
        return NULL;
    }
}

static json_t *ipl_json(const uint8_t *payload, size_t len)
{
    json_t *o = json_object();

    return mb_finish(o, mb_put(o, "String", mb_json_utf8(payload, len)));
}

static json_t *hex_json(const uint8_t *payload, size_t len)
{
    return mb_json_hex(payload, len < MB_HEX_MAX ? len : MB_HEX_MAX);
}

static json_t *no_action_json(const uint8_t *payload, size_t len)
{
    json_t *o;
    uint8_t locality;

    if (!mb_startup_locality(payload, len, &locality))
        return hex_json(payload, len);
    o = json_object();
    return mb_finish(o, mb_put(o, "StartupLocality", json_integer(locality)));
}

json_t *mb_payload_value(uint32_t type, const uint8_t *payload, size_t len)
{
    switch (type) {
    case MB_EV_EFI_VARIABLE_DRIVER_CONFIG:
    case MB_EV_EFI_VARIABLE_BOOT:
    case MB_EV_EFI_VARIABLE_BOOT2:
    case MB_EV_EFI_VARIABLE_AUTHORITY:
        return mb_variable_json(type, payload, len);
    case MB_EV_EFI_BOOT_SERVICES_APPLICATION:
    case MB_EV_EFI_BOOT_SERVICES_DRIVER:
    case MB_EV_EFI_RUNTIME_SERVICES_DRIVER:
        return mb_image_json(payload, len);
    case MB_EV_EFI_GPT_EVENT:
        return mb_gpt_json(payload, len);
    case MB_EV_POST_CODE:
        return len == POST_CODE_BLOB_LEN ? mb_blob_json(payload, len) : mb_json_utf8(payload, len);
    case MB_EV_S_CRTM_CONTENTS:
    case MB_EV_EFI_PLATFORM_FIRMWARE_BLOB:
        return mb_blob_json(payload, len);
    case MB_EV_EFI_PLATFORM_FIRMWARE_BLOB2:
        return mb_blob2_json(payload, len);
    case MB_EV_EFI_ACTION:
    case MB_EV_EFI_HCRTM_EVENT:
        return mb_json_utf8(payload, len);
    case MB_EV_IPL:
        return ipl_json(payload, len);
    case MB_EV_NO_ACTION:
        return no_action_json(payload, len);
    default:
        return hex_json(payload, len);
    }
}
