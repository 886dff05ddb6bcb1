/* SPDX-License-Identifier: Apache-2.0 */
/* What the policy `strict` wants beyond Keylime's reference state. */
#include <string.h>

#include "refstate.h"
#include "tree.h"

/** Work on one list. */
struct adder {
    const struct mb_log *log;
    int bank;
    json_t *files, *commands;
    bool failed;
};

static bool is_in(const json_t *list, const json_t *value)
{
    size_t i;
    json_t *one;

    json_array_foreach((json_t *)(uintptr_t)list, i, one)
        if (json_equal(one, value))
            return true;
    return false;
}

static void add(struct adder *a, json_t *list, json_t *value)
{
    if (!value || (!is_in(list, value) && json_array_append(list, value) != 0))
        a->failed = true;
    json_decref(value);
}

static void add_file(struct adder *a, const struct mb_event *e)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *digest = mb_event_digest(a->log, e, a->bank);
    char text[2 + 2 * MB_DIGEST_MAX + 1] = "0x";

    for (size_t i = 0; i < a->log->banks[a->bank].digest_len; i++) {
        text[2 + 2 * i] = hex[digest[i] >> 4];
        text[3 + 2 * i] = hex[digest[i] & 15];
    }
    add(a, a->files, json_pack("{s:s}", a->log->banks[a->bank].name, text));
}

static void add_command(struct adder *a, const struct mb_event *e)
{
    static const char label[] = "grub_cmd: ";
    json_t *payload = mb_payload_json(a->log, e);
    const char *text = json_string_value(json_object_get(payload, "String"));
    char *pattern;
    size_t at = 0;

    if (!text || strncmp(text, label, sizeof label - 1) != 0) {
        json_decref(payload);
        return;
    }
    text += sizeof label - 1;
    pattern = a->log->host->alloc(a->log->host, 2 * strlen(text) + 1);
    for (; pattern && *text; text++) {
        if (strchr("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", *text))
            pattern[at++] = '\\';
        pattern[at++] = *text;
    }
    if (pattern)
        pattern[at] = '\0';
    add(a, a->commands, pattern ? json_string(pattern) : NULL);
    a->log->host->free(a->log->host, pattern);
    json_decref(payload);
}

static void take(struct adder *a, const struct mb_event *e)
{
    if (!mb_event_digest(a->log, e, a->bank))
        return;
    if (e->type == MB_EV_IPL && e->pcr == 8)
        add_command(a, e);
    else if (e->type == MB_EV_IPL && (e->pcr == 9 || e->pcr == 12 || e->pcr == 13))
        add_file(a, e);
    else if (e->type == MB_EV_EVENT_TAG && (e->pcr == 5 || e->pcr == 9))
        add_file(a, e);
    else if (e->pcr == 0 && (e->type == MB_EV_POST_CODE || e->type == MB_EV_S_CRTM_CONTENTS))
        add_file(a, e);
}

int mb_refstate_add_strict(const struct mb_log *log, json_t *into, struct ql_err *err)
{
    struct adder a = {
        .log = log, .bank = mb_log_bank(log, "sha256"), .files = json_array(), .commands = json_array()};
    int r = QL_OK;

    if (a.bank < 0)
        r = log->host->fail(err, QL_ERANGE, "the log has no bank sha256");
    a.failed = !a.files || !a.commands;
    for (uint32_t i = 0; r == QL_OK && !a.failed && i < log->event_count; i++)
        take(&a, &log->events[i]);
    if (r == QL_OK && (a.failed || json_object_set(into, "boot_files", a.files) != 0 ||
                       json_object_set(into, "grub_commands", a.commands) != 0))
        r = log->host->fail(err, QL_ENOMEM, "out of memory");
    json_decref(a.files);
    json_decref(a.commands);
    return r;
}
