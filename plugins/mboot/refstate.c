/* SPDX-License-Identifier: Apache-2.0 */
#include "refstate.h"

#include <stdio.h>
#include <string.h>

#include "payload.h"
#include "text.h"
#include "tree.h"
#include "variable.h"

enum {
    LOADER_PCR = 8,      /* GRUB's commands */
    FILES_PCR = 9,       /* files that GRUB read */
    CMDLINE_LABEL = 16,  /* characters of "kernel_cmdline: " */
    APPLICATIONS_MAX = 4 /* shim, GRUB, and a kernel that both of them measure */
};

/** One reference state under way. */
struct maker {
    const struct mb_log *log;
    int bank;
    mb_warn_fn warn;
    void *arg;
    bool has_secureboot, has_switch; /* the switch: an event that says so */
    bool failed;                     /* no memory */
    json_t *keys[4];                 /* pk, kek, db, dbx */
    json_t *vendor_db, *mokdig, *mokxdig, *firmware, *scrtm;
    const struct mb_event *applications[APPLICATIONS_MAX];
    size_t application_count; /* all of them, also those that have no room */
    const struct mb_event *initrd, *vmlinuz;
    json_t *cmdline;
};

static const char *const KEY_NAMES[] = {"pk", "kek", "db", "dbx"};

static void warn(const struct maker *m, const char *text)
{
    if (m->warn)
        m->warn(m->arg, text);
}

/** "0x…" of an event's digest. */
static json_t *digest_text(const struct maker *m, const struct mb_event *e)
{
    struct mb_text t;

    mb_text_init(&t);
    mb_text_add(&t, "0x", 2);
    mb_text_hex(&t, mb_event_digest(m->log, e, m->bank), m->log->banks[m->bank].digest_len);
    return mb_text_json(&t);
}

/** {"sha256": "0x…"} */
static json_t *digest_object(const struct maker *m, const struct mb_event *e)
{
    json_t *o = json_object();

    return mb_finish(o, mb_put(o, "sha256", digest_text(m, e)));
}

static void append(struct maker *m, json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) < 0)
        m->failed = true;
}

/** The keys of a list of {SignatureOwner, SignatureData}, with 0x before the data. */
static void append_keys(struct maker *m, json_t *list, const json_t *keys)
{
    const json_t *key;
    size_t i;

    json_array_foreach(keys, i, key) {
        const char *data = json_string_value(json_object_get(key, "SignatureData"));
        json_t *o = json_object();
        const bool ok = mb_put(o, "SignatureOwner", json_incref(json_object_get(key, "SignatureOwner"))) &&
                        mb_put(o, "SignatureData", json_sprintf("0x%s", data ? data : ""));

        append(m, list, mb_finish(o, ok));
    }
}

static void take_driver_config(struct maker *m, const struct mb_event *e)
{
    static const char *const names[] = {"PK", "KEK", "db", "dbx"};
    struct mb_variable v;

    if (mb_variable_read(e->payload, e->payload_len, &v))
        return;
    if (mb_variable_is(&v, "SecureBoot") && !m->has_switch) {
        m->has_switch = true;
        m->has_secureboot = v.data_len > 0 && v.data[0] != 0;
    }
    for (size_t i = 0; i < 4; i++) {
        json_t *value;
        const json_t *list;
        size_t n;

        if (!mb_variable_is(&v, names[i]))
            continue;
        value = mb_payload_json(m->log, e);
        if (!value)
            m->failed = true;
        json_array_clear(m->keys[i]); /* a later event replaces an earlier one */
        json_array_foreach(json_object_get(value, "VariableData"), n, list) {
            append_keys(m, m->keys[i], json_object_get(list, "Keys"));
        }
        json_decref(value);
    }
}

static void take_authority(struct maker *m, const struct mb_event *e)
{
    struct mb_variable v;
    json_t *value;

    if (mb_variable_read(e->payload, e->payload_len, &v) || !mb_variable_is(&v, "vendor_db"))
        return;
    value = mb_payload_json(m->log, e);
    if (!value)
        m->failed = true;
    append_keys(m, m->vendor_db, json_object_get(value, "VariableData"));
    json_decref(value);
}

/** Applications of the firmware itself are no part of what is installed. */
static bool is_firmwares_own(const json_t *image)
{
    static const char form[] = "FvVol(xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx)/FvFile(";
    const char *path = json_string_value(json_object_get(image, "DevicePath"));

    if (!path || strlen(path) < sizeof form)
        return false;
    for (size_t i = 0; i < sizeof form - 1; i++)
        if (form[i] != 'x' && form[i] != path[i])
            return false;
    return true;
}

static void take_application(struct maker *m, const struct mb_event *e)
{
    json_t *image = mb_payload_json(m->log, e);

    if (!is_firmwares_own(image)) {
        if (m->application_count < APPLICATIONS_MAX)
            m->applications[m->application_count] = e;
        m->application_count++;
    }
    json_decref(image);
}

/** Is the character one that Python's re.escape() puts a backslash before? */
static bool is_special(char c)
{
    return c != '\0' && strchr("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", c) != NULL;
}

/** The text from character CMDLINE_LABEL on, as a regular expression for just this text. */
static json_t *escaped_cmdline(const char *p, size_t len)
{
    struct mb_text t;
    size_t at = 0;

    for (size_t n = 0; n < CMDLINE_LABEL && at < len; n++) {
        at++;
        while (at < len && ((unsigned char)p[at] & 0xc0) == 0x80)
            at++;
    }
    mb_text_init(&t);
    for (; at < len; at++) {
        if (is_special(p[at]))
            mb_text_add(&t, "\\", 1);
        mb_text_add(&t, p + at, 1);
    }
    return mb_text_json(&t);
}

static void take_ipl(struct maker *m, const struct mb_event *e)
{
    json_t *value = mb_payload_json(m->log, e);
    const json_t *string = json_object_get(value, "String");
    const char *p = json_string_value(string);
    const size_t len = json_string_length(string);

    if (!p) {
        m->failed |= e->payload_len > 0;
        json_decref(value);
        return;
    }
    if (len == 7 && memcmp(p, "MokList", 7) == 0)
        append(m, m->mokdig, digest_object(m, e));
    if (len == 8 && memcmp(p, "MokListX", 8) == 0)
        append(m, m->mokxdig, digest_object(m, e));
    if (e->pcr == FILES_PCR && !m->initrd && (memmem(p, len, "initrd", 6) || memmem(p, len, "initramfs", 9)))
        m->initrd = e;
    if (e->pcr == FILES_PCR && !m->vmlinuz && memmem(p, len, "vmlinuz", 7))
        m->vmlinuz = e;
    if (e->pcr == LOADER_PCR && !m->cmdline && memmem(p, len, "kernel_cmdline", 14)) {
        m->cmdline = escaped_cmdline(p, len);
        m->failed |= !m->cmdline;
    }
    json_decref(value);
}

static void take_event(struct maker *m, const struct mb_event *e)
{
    switch (e->type) {
    case MB_EV_S_CRTM_VERSION:
        if (!m->scrtm) {
            m->scrtm = digest_object(m, e);
            m->failed |= !m->scrtm;
        }
        return;
    case MB_EV_EFI_PLATFORM_FIRMWARE_BLOB:
    case MB_EV_EFI_PLATFORM_FIRMWARE_BLOB2:
        append(m, m->firmware, digest_object(m, e));
        return;
    case MB_EV_EFI_VARIABLE_DRIVER_CONFIG:
        take_driver_config(m, e);
        return;
    case MB_EV_EFI_VARIABLE_AUTHORITY:
        take_authority(m, e);
        return;
    case MB_EV_EFI_BOOT_SERVICES_APPLICATION:
        take_application(m, e);
        return;
    case MB_EV_IPL:
        take_ipl(m, e);
        return;
    default:
        return;
    }
}

static json_t *kernel_object(const struct maker *m)
{
    json_t *o = json_object();
    bool ok = mb_put(o, "shim_authcode_sha256", digest_text(m, m->applications[0])) &&
              mb_put(o, "grub_authcode_sha256", digest_text(m, m->applications[1]));

    if (m->has_secureboot)
        ok = ok && mb_put(o, "kernel_authcode_sha256", digest_text(m, m->applications[2]));
    else if (m->vmlinuz)
        ok = ok && mb_put(o, "vmlinuz_plain_sha256", digest_text(m, m->vmlinuz));
    if (m->initrd)
        ok = ok && mb_put(o, "initrd_plain_sha256", digest_text(m, m->initrd));
    if (m->cmdline)
        ok = ok && mb_put(o, "kernel_cmdline", json_incref(m->cmdline));
    return mb_finish(o, ok);
}

static json_t *list_of(json_t *value)
{
    json_t *list = json_array();

    return mb_finish(list, json_array_append_new(list, value) == 0);
}

static json_t *firmware_object(const struct maker *m)
{
    json_t *o = json_object();
    const bool ok = (!m->scrtm || mb_put(o, "scrtm", json_incref(m->scrtm))) &&
                    mb_put(o, "platform_firmware", json_incref(m->firmware));

    return mb_finish(o, ok);
}

static json_t *whole(const struct maker *m)
{
    json_t *o = json_object();
    bool ok = mb_put(o, "has_secureboot", json_boolean(m->has_secureboot)) &&
              mb_put(o, "scrtm_and_bios", list_of(firmware_object(m)));

    for (size_t i = 0; i < 4; i++)
        ok = ok && mb_put(o, KEY_NAMES[i], json_incref(m->keys[i]));
    ok = ok && mb_put(o, "vendor_db", json_incref(m->vendor_db)) &&
         mb_put(o, "mokdig", json_incref(m->mokdig)) && mb_put(o, "mokxdig", json_incref(m->mokxdig)) &&
         mb_put(o, "kernels", list_of(kernel_object(m)));
    return mb_finish(o, ok && !m->failed);
}

static int check_boot(const struct maker *m, bool without_secureboot, struct ql_err *err)
{
    const struct ql_host *h = m->log->host;
    const size_t count = m->application_count;

    if (!m->has_switch)
        warn(m, "the log does not say whether Secure Boot is on: taken as off");
    if (!m->has_secureboot && !without_secureboot)
        return h->fail(err, QL_ERANGE, "Secure Boot is off in this log, and nothing said that it may be");
    if (m->has_secureboot && without_secureboot)
        warn(m, "Secure Boot is on in this log: the policy asks for it all the same");
    if (m->has_secureboot ? count != 3 && count != 4 : count != 2)
        return h->fail(err, QL_ERANGE,
                       "the boot loaded %zu applications, and a boot of shim and GRUB loads %s", count,
                       m->has_secureboot ? "3 or 4 with Secure Boot" : "2 without Secure Boot");
    if (!m->scrtm)
        warn(m, "the log has no firmware version: no node will pass");
    if (!m->initrd || !m->cmdline || (!m->has_secureboot && !m->vmlinuz))
        warn(m, "the log lacks a kernel, an initrd or a command line: no node will pass");
    return QL_OK;
}

int mb_refstate_from_log(const struct mb_log *log, bool without_secureboot, mb_warn_fn warn_fn, void *arg,
                         json_t **ret, struct ql_err *err)
{
    struct maker m = {.log = log, .bank = mb_log_bank(log, "sha256"), .warn = warn_fn, .arg = arg};
    json_t **const lists[] = {&m.keys[0],   &m.keys[1], &m.keys[2], &m.keys[3],
                              &m.vendor_db, &m.mokdig,  &m.mokxdig, &m.firmware};
    int r = QL_OK;

    if (m.bank < 0)
        return log->host->fail(err, QL_ERANGE, "the log has no sha256 bank");
    for (uint32_t i = 0; i < log->event_count; i++)
        if (log->events[i].status[m.bank] == MB_MISMATCH)
            return log->host->fail(err, QL_ECRYPTO, "event %u: the sha256 digest is not that of the data", i);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        *lists[i] = json_array();
        m.failed |= !*lists[i];
    }
    for (uint32_t i = 0; i < log->event_count && !m.failed; i++)
        take_event(&m, &log->events[i]);
    if (!m.failed)
        r = check_boot(&m, without_secureboot, err);
    if (r == QL_OK) {
        json_t *made = m.failed ? NULL : whole(&m);

        if (made)
            *ret = made;
        else
            r = log->host->fail(err, QL_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        json_decref(*lists[i]);
    json_decref(m.scrtm);
    json_decref(m.cmdline);
    return r;
}

static bool holds(const json_t *list, const json_t *value)
{
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item) {
        if (json_equal(item, value))
            return true;
    }
    return false;
}

int mb_refstate_merge(const struct ql_host *host, json_t *into, const json_t *other, struct ql_err *err)
{
    static const char *const either[] = {"scrtm_and_bios", "pk",     "kek",     "db",
                                         "vendor_db",      "mokdig", "mokxdig", "kernels"};
    const json_t *theirs = json_object_get(other, "dbx");
    json_t *mine = json_object_get(into, "dbx");

    if (json_is_true(json_object_get(into, "has_secureboot")) !=
        json_is_true(json_object_get(other, "has_secureboot")))
        return host->fail(err, QL_ECONFLICT, "one log is with Secure Boot and another without");
    for (size_t n = 0; n < sizeof either / sizeof either[0]; n++) {
        json_t *list = json_object_get(into, either[n]), *value;
        size_t i;

        json_array_foreach(json_object_get(other, either[n]), i, value) {
            if (!holds(list, value) && json_array_append(list, value) < 0)
                return host->fail(err, QL_ENOMEM, "out of memory");
        }
    }
    for (size_t i = json_array_size(mine); i > 0; i--)
        if (!holds(theirs, json_array_get(mine, i - 1)) && json_array_remove(mine, i - 1) < 0)
            return host->fail(err, QL_ENOMEM, "out of memory");
    return QL_OK;
}
