/* SPDX-License-Identifier: Apache-2.0 */
#include "variable.h"

#include "bytes.h"
#include "eventlog.h"
#include "loadoption.h"
#include "siglist.h"
#include "text.h"

enum {
    HEAD_LEN = 32 /* GUID, length of the name, length of the data */
};

/** What form the value has. */
enum form {
    FORM_BYTES,
    FORM_SIGLISTS,
    FORM_FLAG,
    FORM_SIGNATURE,
    FORM_TEXT,
    FORM_ORDER,
    FORM_OPTION
};

const char *mb_variable_read(const uint8_t *payload, size_t len, struct mb_variable *ret)
{
    uint64_t units, data_len;

    if (len < HEAD_LEN)
        return "a variable is cut short";
    units = mb_u64(payload + 16);
    data_len = mb_u64(payload + 24);
    if (units > (len - HEAD_LEN) / 2)
        return "UnicodeNameLength does not fit";
    if (data_len > len - HEAD_LEN - 2 * units)
        return "VariableDataLength does not fit";
    *ret = (struct mb_variable){.guid = payload,
                                .name = payload + HEAD_LEN,
                                .name_units = units,
                                .data = payload + HEAD_LEN + 2 * units,
                                .data_len = data_len};
    return NULL;
}

bool mb_variable_is(const struct mb_variable *v, const char *text)
{
    for (size_t i = 0; i < v->name_units; i++) {
        const uint16_t unit = mb_u16(v->name + 2 * i);

        if (unit == 0 || text[i] == '\0' || unit != (unsigned char)text[i])
            return unit == 0 && text[i] == '\0';
    }
    return text[v->name_units] == '\0';
}

static bool is_hex_digit(uint16_t unit)
{
    return (unit >= '0' && unit <= '9') || (unit >= 'a' && unit <= 'f') || (unit >= 'A' && unit <= 'F');
}

/** "Boot" and four hex digits, then the end or NUL. */
static bool is_boot_option(const struct mb_variable *v)
{
    if (v->name_units < 8 || (v->name_units > 8 && mb_u16(v->name + 16) != 0))
        return false;
    for (size_t i = 0; i < 4; i++)
        if (mb_u16(v->name + 2 * i) != (unsigned char)"Boot"[i] || !is_hex_digit(mb_u16(v->name + 8 + 2 * i)))
            return false;
    return true;
}

static enum form form_of(uint32_t type, const struct mb_variable *v)
{
    switch (type) {
    case MB_EV_EFI_VARIABLE_DRIVER_CONFIG:
        if (mb_variable_is(v, "PK") || mb_variable_is(v, "KEK") || mb_variable_is(v, "db") ||
            mb_variable_is(v, "dbx"))
            return FORM_SIGLISTS;
        return mb_variable_is(v, "SecureBoot") ? FORM_FLAG : FORM_BYTES;
    case MB_EV_EFI_VARIABLE_AUTHORITY:
        if (mb_variable_is(v, "MokListTrusted"))
            return FORM_FLAG;
        if (mb_variable_is(v, "db") || mb_variable_is(v, "Shim") || mb_variable_is(v, "vendor_db"))
            return FORM_SIGNATURE;
        return mb_variable_is(v, "SbatLevel") ? FORM_TEXT : FORM_BYTES;
    case MB_EV_EFI_VARIABLE_BOOT:
    case MB_EV_EFI_VARIABLE_BOOT2:
        if (mb_variable_is(v, "BootOrder"))
            return FORM_ORDER;
        return is_boot_option(v) ? FORM_OPTION : FORM_BYTES;
    default:
        return FORM_BYTES;
    }
}

const char *mb_variable_check(uint32_t type, const uint8_t *payload, size_t len)
{
    struct mb_variable v;
    const char *wrong = mb_variable_read(payload, len, &v);

    if (wrong)
        return wrong;
    switch (form_of(type, &v)) {
    case FORM_SIGLISTS:
        return mb_siglist_check(v.data, v.data_len);
    case FORM_FLAG:
        return v.data_len > 1 ? "a flag of more than one byte" : NULL;
    case FORM_SIGNATURE:
        return v.data_len < MB_GUID_LEN ? "a signature without owner" : NULL;
    case FORM_ORDER:
        return v.data_len % 2 != 0 ? "BootOrder of an odd number of bytes" : NULL;
    case FORM_OPTION:
        return mb_loadoption_check(v.data, v.data_len);
    case FORM_TEXT:
    case FORM_BYTES:
        return NULL;
    }
    return NULL;
}

static json_t *flag_json(const struct mb_variable *v)
{
    json_t *o = json_object();

    return mb_finish(o, mb_put(o, "Enabled", mb_json_yes(v->data_len > 0 && v->data[0] != 0)));
}

static json_t *signature_json(const struct mb_variable *v)
{
    json_t *list = json_array();

    return mb_finish(list, json_array_append_new(list, mb_signature_json(v->data, v->data_len)) == 0);
}

static json_t *text_json(const struct mb_variable *v)
{
    json_t *o = json_object();

    return mb_finish(o, mb_put(o, "String", mb_json_utf8(v->data, v->data_len)));
}

static json_t *order_json(const struct mb_variable *v)
{
    json_t *list;

    if (v->data_len == 0)
        return json_null();
    list = json_array();
    for (size_t at = 0; at + 2 <= v->data_len; at += 2)
        if (json_array_append_new(list, json_sprintf("Boot%04x", mb_u16(v->data + at))) < 0)
            return mb_finish(list, false);
    return list;
}

static json_t *value_json(enum form form, const struct mb_variable *v)
{
    switch (form) {
    case FORM_SIGLISTS:
        return mb_siglist_json(v->data, v->data_len);
    case FORM_FLAG:
        return flag_json(v);
    case FORM_SIGNATURE:
        return signature_json(v);
    case FORM_TEXT:
        return text_json(v);
    case FORM_ORDER:
        return order_json(v);
    case FORM_OPTION:
        return mb_loadoption_json(v->data, v->data_len);
    case FORM_BYTES:
        return mb_json_hex(v->data, v->data_len);
    }
    return NULL;
}

static json_t *head_json(const struct mb_variable *v)
{
    json_t *o = json_object();
    const bool ok = mb_put(o, "VariableName", mb_json_guid(v->guid)) &&
                    mb_put(o, "UnicodeNameLength", mb_json_u64(v->name_units)) &&
                    mb_put(o, "VariableDataLength", mb_json_u64(v->data_len)) &&
                    mb_put(o, "UnicodeName", mb_json_utf16(v->name, v->name_units));

    return mb_finish(o, ok);
}

json_t *mb_variable_head_json(const uint8_t *payload, size_t len)
{
    struct mb_variable v;

    return mb_variable_read(payload, len, &v) ? NULL : head_json(&v);
}

json_t *mb_variable_json(uint32_t type, const uint8_t *payload, size_t len)
{
    struct mb_variable v;
    enum form form;
    json_t *o;

    if (mb_variable_read(payload, len, &v))
        return NULL;
    form = form_of(type, &v);
    o = head_json(&v);
    if (form == FORM_BYTES && v.data_len == 0)
        return o;
    return mb_finish(o, mb_put(o, "VariableData", value_json(form, &v)));
}

bool mb_variable_siglists(uint32_t type, const uint8_t *payload, size_t len, const uint8_t **ret,
                          size_t *ret_len)
{
    struct mb_variable v;

    if (type != MB_EV_EFI_VARIABLE_DRIVER_CONFIG || mb_variable_read(payload, len, &v) ||
        form_of(type, &v) != FORM_SIGLISTS || v.data_len == 0)
        return false;
    *ret = v.data;
    *ret_len = v.data_len;
    return true;
}
