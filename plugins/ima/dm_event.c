/* SPDX-License-Identifier: Apache-2.0 */
#include "dm_event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const KINDS[IMA_DM_KIND_COUNT] = {
    [IMA_DM_LOAD] = "dm_table_load",      [IMA_DM_RESUME] = "dm_device_resume",
    [IMA_DM_REMOVE] = "dm_device_remove", [IMA_DM_CLEAR] = "dm_table_clear",
    [IMA_DM_RENAME] = "dm_device_rename", [IMA_DM_UPDATE] = "dm_target_update",
};

/** A walk over a buffer. The first fault ends it: later steps do nothing. */
struct cursor {
    const uint8_t *start, *at, *end;
    const char *wanted; /* what was not there; NULL: no fault */
    size_t wanted_at;
    bool no_memory;
};

enum type {
    T_TEXT,
    T_NUMBER,
    T_SWITCH /* y or n */
};

struct attribute {
    const char *key; /* with the equals sign */
    enum type type;
    bool may_lack;
};

static const struct attribute VERITY[] = {{"hash_failed=", T_TEXT, false},
                                          {"verity_version=", T_NUMBER, false},
                                          {"data_device_name=", T_TEXT, false},
                                          {"hash_device_name=", T_TEXT, false},
                                          {"verity_algorithm=", T_TEXT, false},
                                          {"root_digest=", T_TEXT, false},
                                          {"salt=", T_TEXT, false},
                                          {"ignore_zero_blocks=", T_SWITCH, false},
                                          {"check_at_most_once=", T_SWITCH, false},
                                          {"root_hash_sig_key_desc=", T_TEXT, true},
                                          {"verity_mode=", T_TEXT, true},
                                          {0}};
static const struct attribute CACHE[] = {
    {"metadata_mode=", T_TEXT, false},         {"cache_metadata_device=", T_TEXT, false},
    {"cache_device=", T_TEXT, false},          {"cache_origin_device=", T_TEXT, false},
    {"writethrough=", T_SWITCH, false},        {"writeback=", T_SWITCH, false},
    {"passthrough=", T_SWITCH, false},         {"metadata2=", T_SWITCH, false},
    {"no_discard_passdown=", T_SWITCH, false}, {0}};
static const struct attribute CRYPT[] = {{"allow_discards=", T_SWITCH, false},
                                         {"same_cpu_crypt=", T_SWITCH, false},
                                         {"submit_from_crypt_cpus=", T_SWITCH, false},
                                         {"no_read_workqueue=", T_SWITCH, false},
                                         {"no_write_workqueue=", T_SWITCH, false},
                                         {"iv_large_sectors=", T_SWITCH, false},
                                         {"integrity_tag_size=", T_NUMBER, true},
                                         {"cipher_auth=", T_TEXT, true},
                                         {"sector_size=", T_NUMBER, true},
                                         {"cipher_string=", T_TEXT, true},
                                         {"key_size=", T_NUMBER, false},
                                         {"key_parts=", T_NUMBER, false},
                                         {"key_extra_size=", T_NUMBER, false},
                                         {"key_mac_size=", T_NUMBER, false},
                                         {0}};
static const struct attribute INTEGRITY[] = {{"dev_name=", T_TEXT, false},
                                             {"start=", T_NUMBER, false},
                                             {"tag_size=", T_NUMBER, false},
                                             {"mode=", T_TEXT, false},
                                             {"meta_device=", T_TEXT, true},
                                             {"block_size=", T_TEXT, true},
                                             {"recalculate=", T_SWITCH, false},
                                             {"allow_discards=", T_SWITCH, false},
                                             {"fix_padding=", T_SWITCH, false},
                                             {"fix_hmac=", T_SWITCH, false},
                                             {"legacy_recalculate=", T_SWITCH, false},
                                             {"journal_sectors=", T_NUMBER, false},
                                             {"interleave_sectors=", T_NUMBER, false},
                                             {"buffer_sectors=", T_NUMBER, false},
                                             {0}};
static const struct attribute LINEAR[] = {{"device_name=", T_TEXT, false}, {"start=", T_TEXT, false}, {0}};
static const struct attribute SNAPSHOT[] = {
    {"snap_origin_name=", T_TEXT, false},      {"snap_cow_name=", T_TEXT, false},
    {"snap_valid=", T_SWITCH, false},          {"snap_merge_failed=", T_SWITCH, false},
    {"snapshot_overflowed=", T_SWITCH, false}, {0}};

/* A target is told by the first key of its attributes; mirrors are read apart. */
static const struct {
    const char *class;
    const struct attribute *attributes;
} CLASSES[] = {{"VerityAttributes", VERITY}, {"CacheAttributes", CACHE},
               {"CryptAttributes", CRYPT},   {"IntegrityAttributes", INTEGRITY},
               {"LinearAttributes", LINEAR}, {"SnapshotAttributes", SNAPSHOT}};

const char *ima_dm_kind_name(enum ima_dm_kind kind)
{
    return KINDS[kind];
}

bool ima_dm_kind_by_name(struct ima_bytes name, enum ima_dm_kind *ret)
{
    for (int i = 0; i < IMA_DM_KIND_COUNT; i++)
        if (ima_bytes_are(name, KINDS[i])) {
            *ret = (enum ima_dm_kind)i;
            return true;
        }
    return false;
}

static void fault(struct cursor *c, const char *wanted)
{
    if (!c->wanted) {
        c->wanted = wanted;
        c->wanted_at = (size_t)(c->at - c->start);
    }
    c->at = c->end;
}

static void skip_nuls(struct cursor *c)
{
    while (c->at < c->end && *c->at == 0)
        c->at++;
}

/* Is this word next? @return true: it is, and was stepped over */
static bool take(struct cursor *c, const char *word)
{
    const size_t len = strlen(word);

    skip_nuls(c);
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
        return false;
    c->at += len;
    return true;
}

static void need(struct cursor *c, const char *word)
{
    if (!take(c, word))
        fault(c, word);
}

static bool is_text_char(uint8_t b)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
           (b && strchr(":_.+@#-", b));
}

/* @return empty: none */
static struct ima_bytes text(struct cursor *c)
{
    struct ima_bytes t;

    skip_nuls(c);
    t = (struct ima_bytes){c->at, 0};
    while (c->at < c->end && is_text_char(*c->at))
        c->at++;
    t.len = (size_t)(c->at - t.at);
    return t;
}

static void set(struct cursor *c, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        c->no_memory = true;
}

static json_t *need_text(struct cursor *c)
{
    const struct ima_bytes t = text(c);

    if (t.len == 0)
        fault(c, "a text");
    return json_stringn((const char *)t.at, t.len);
}

/* What may lack is null. */
static json_t *may_text(struct cursor *c)
{
    const struct ima_bytes t = text(c);

    return t.len > 0 ? json_stringn((const char *)t.at, t.len) : json_null();
}

static json_t *need_number(struct cursor *c)
{
    uint64_t v = 0;
    const uint8_t *start;

    skip_nuls(c);
    start = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
        if (v > (INT64_MAX - 9) / 10) {
            fault(c, "a number below 2^63");
            break;
        }
        v = v * 10 + (uint64_t)(*c->at++ - '0');
    }
    if (c->at == start)
        fault(c, "a number");
    return json_integer((json_int_t)v);
}

static json_t *need_switch(struct cursor *c)
{
    if (take(c, "y"))
        return json_string("y");
    need(c, "n");
    return json_string("n");
}

/* Three numbers with dots between. */
static json_t *need_version(struct cursor *c)
{
    char out[80] = "";
    size_t len = 0;

    for (int i = 0; i < 3; i++) {
        json_t *part;

        if (i > 0)
            need(c, ".");
        part = need_number(c);
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%" JSON_INTEGER_FORMAT, i ? "." : "",
                                json_integer_value(part)); /* three numbers of 19 digits fit */
        json_decref(part);
    }
    return json_string(out);
}

static json_t *value_of(struct cursor *c, enum type type)
{
    switch (type) {
    case T_TEXT:
        return need_text(c);
    case T_NUMBER:
        return need_number(c);
    case T_SWITCH:
        return need_switch(c);
    }
    return NULL;
}

/* Set what follows a key; the member has the key's name without separator and equals sign. */
static void set_after(struct cursor *c, json_t *object, const char *key, json_t *value)
{
    char name[64];
    const size_t len = strlen(key) - 1;

    memcpy(name, key, len);
    name[len] = '\0';
    set(c, object, name, value);
}

static void read_device(struct cursor *c, json_t *event)
{
    static const char *const numbers[] = {"major", "minor", "minor_count", "num_targets"};

    need(c, "name=");
    set(c, event, "name", need_text(c));
    need(c, ",uuid=");
    set(c, event, "uuid", may_text(c));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        need(c, ",");
        need(c, numbers[i]);
        need(c, "=");
        set(c, event, numbers[i], need_number(c));
    }
}

static void read_version(struct cursor *c)
{
    need(c, "dm_version=");
    json_decref(need_version(c));
    need(c, ";");
}

static void read_attributes(struct cursor *c, const struct attribute *rows, json_t *attributes)
{
    set_after(c, attributes, rows->key,
              value_of(c, rows->type)); /* its key has been read: it told the class */
    for (rows++; rows->key; rows++) {
        const uint8_t *before = c->at;

        if (!take(c, ",") || !take(c, rows->key)) {
            c->at = before;
            if (!rows->may_lack)
                fault(c, rows->key);
            continue;
        }
        set_after(c, attributes, rows->key, value_of(c, rows->type));
    }
}

static void read_mirror(struct cursor *c, json_t *attributes)
{
    json_t *devices = json_object();
    int count = 0;

    set(c, attributes, "nr_mirrors", need_number(c));
    need(c, ",");
    while (take(c, "mirror_device_")) {
        json_t *number = need_number(c);
        char key[48];

        (void)snprintf(key, sizeof key, "mirror_device_%" JSON_INTEGER_FORMAT,
                       json_integer_value(number)); /* fits */
        json_decref(number);
        need(c, "=");
        set(c, devices, key, need_text(c));
        need(c, ",mirror_device_");
        json_decref(need_number(c));
        need(c, "_status=");
        json_decref(need_text(c));
        need(c, ",");
        if (++count > IMA_DM_MIRRORS_MAX)
            fault(c, "fewer devices of a mirror");
    }
    if (count == 0)
        fault(c, "mirror_device_");
    set(c, attributes, "mirror_device_data", devices);
    need(c, "handle_errors=");
    set(c, attributes, "handle_errors", need_switch(c));
    need(c, ",keep_log=");
    set(c, attributes, "keep_log", need_switch(c));
    need(c, ",log_type_status=");
    set(c, attributes, "log_type_status", may_text(c));
}

static void read_class(struct cursor *c, json_t *target)
{
    json_t *attributes = json_object();
    const char *class = NULL;

    if (take(c, "nr_mirrors=")) {
        class = "MirrorAttributes";
        read_mirror(c, attributes);
    }
    for (size_t i = 0; !class && i < sizeof CLASSES / sizeof *CLASSES; i++)
        if (take(c, CLASSES[i].attributes->key)) {
            class = CLASSES[i].class;
            read_attributes(c, CLASSES[i].attributes, attributes);
        }
    if (!class)
        fault(c, "attributes of a known kind of target");
    set(c, target, "class", json_string(class ? class : ""));
    set(c, target, "attributes", attributes);
}

/* After "target_index=". */
static void read_target(struct cursor *c, json_t *targets)
{
    json_t *target = json_object();

    set(c, target, "target_index", need_number(c));
    need(c, ",target_begin=");
    set(c, target, "target_begin", need_number(c));
    need(c, ",target_len=");
    set(c, target, "target_len", need_number(c));
    need(c, ",target_name=");
    set(c, target, "target_name", need_text(c));
    need(c, ",target_version=");
    set(c, target, "target_version", need_version(c));
    need(c, ",");
    read_class(c, target);
    need(c, ";");
    if (json_array_append_new(targets, target) != 0)
        c->no_memory = true;
}

static void read_capacity(struct cursor *c)
{
    need(c, "current_device_capacity=");
    json_decref(need_number(c));
    need(c, ";");
}

static void read_load(struct cursor *c, json_t *event)
{
    json_t *targets = json_array();

    read_version(c);
    read_device(c, event);
    need(c, ";");
    need(c, "target_index=");
    do {
        read_target(c, targets);
        if (json_array_size(targets) > IMA_DM_TARGETS_MAX)
            fault(c, "fewer targets");
    } while (!c->wanted && !c->no_memory && take(c, "target_index="));
    set(c, event, "targets", targets);
}

/* Without data nothing can be said about the device: refused. */
static void read_resume(struct cursor *c, json_t *event)
{
    read_version(c);
    read_device(c, event);
    need(c, ";");
    need(c, "active_table_hash=");
    set(c, event, "active_table_hash", need_text(c));
    need(c, ";");
    read_capacity(c);
}

static void skip_inactive(struct cursor *c)
{
    json_t *ignored = json_object();

    read_device(c, ignored);
    json_decref(ignored);
    need(c, ";");
}

/* A device is known by its active table; a removal that names only the inactive one is refused. */
static void read_remove(struct cursor *c, json_t *event)
{
    bool has_inactive;

    read_version(c);
    need(c, "device_active_metadata=");
    read_device(c, event);
    need(c, ";");
    has_inactive = take(c, "device_inactive_metadata=");
    if (has_inactive)
        skip_inactive(c);
    need(c, "active_table_hash=");
    set(c, event, "active_table_hash", need_text(c));
    if (has_inactive) {
        need(c, ";");
        need(c, "inactive_table_hash=");
        set(c, event, "inactive_table_hash", need_text(c));
    }
    need(c, ",");
    need(c, "remove_all=");
    json_decref(need_text(c));
    need(c, ";");
    read_capacity(c);
}

static void read_clear(struct cursor *c, json_t *event)
{
    read_version(c);
    need(c, "name=");
    set(c, event, "name", need_text(c));
    need(c, ",uuid=");
    set(c, event, "uuid", may_text(c));
    need(c, ";");
    need(c, "table_clear=no_data");
    need(c, ";");
    read_capacity(c);
}

static void read_rename(struct cursor *c, json_t *event)
{
    read_version(c);
    read_device(c, event);
    need(c, ";");
    need(c, "new_name=");
    set(c, event, "new_name", need_text(c));
    need(c, ",new_uuid=");
    set(c, event, "new_uuid", may_text(c));
    need(c, ";");
    read_capacity(c);
}

static void read_update(struct cursor *c, json_t *event)
{
    json_t *targets = json_array();

    read_version(c);
    read_device(c, event);
    need(c, ";");
    need(c, "target_index=");
    read_target(c, targets);
    set(c, event, "targets", targets);
}

int ima_dm_event_read(const struct ql_host *host, enum ima_dm_kind kind, struct ima_bytes buffer,
                      json_t **ret, struct ql_err *err)
{
    static void (*const readers[IMA_DM_KIND_COUNT])(struct cursor *, json_t *) = {
        [IMA_DM_LOAD] = read_load,   [IMA_DM_RESUME] = read_resume, [IMA_DM_REMOVE] = read_remove,
        [IMA_DM_CLEAR] = read_clear, [IMA_DM_RENAME] = read_rename, [IMA_DM_UPDATE] = read_update,
    };
    struct cursor c = {.start = buffer.at, .at = buffer.at, .end = buffer.at + buffer.len};
    json_t *event = json_object();

    if (!event)
        return host->fail(err, QL_ENOMEM, "ima: no memory for a device mapper event");
    readers[kind](&c, event);
    skip_nuls(&c);
    if (!c.wanted && c.at != c.end)
        fault(&c, "the end");
    if (!c.wanted && !c.no_memory) {
        *ret = event;
        return QL_OK;
    }
    json_decref(event);
    if (c.no_memory && !c.wanted)
        return host->fail(err, QL_ENOMEM, "ima: no memory for a device mapper event");
    return host->fail(err, QL_EPARSE, "%s: expected %s at byte %zu", KINDS[kind], c.wanted, c.wanted_at);
}
