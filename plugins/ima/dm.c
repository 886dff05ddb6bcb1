/* SPDX-License-Identifier: Apache-2.0 */
#include "dm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dm_event.h"
#include "dm_match.h"

#define EVENT "ima.validation.dm."

/*
 * Devices by name or uuid: {"rule", "active", "valid", "table": "alg:hex" of the load}. JSON, because they are also what is
 * kept between two quotes.
 */
struct ima_dm {
    const struct ql_host *host;
    const json_t *rules;
    const char *match_on;
    json_t *devices;
    char *kept;
};

/** One event on its way. */
struct step {
    struct ima_dm *dm;
    struct ima_findings *findings;
    const char *kind; /* sub-component of its findings */
    const json_t *event;
    const char *key;
    json_t *device; /* NULL: not known */
    const json_t *rule;
    char table[2 * 64 + 32]; /* of this entry */
    bool no_memory;
};

int ima_dm_new(const struct ql_host *host, const json_t *policy, struct ima_bytes kept, struct ima_dm **ret,
               struct ql_err *err)
{
    struct ima_dm *dm = host->alloc(host, sizeof *dm);

    if (!dm)
        return host->fail(err, QL_ENOMEM, "ima: no memory for devices");
    *dm = (struct ima_dm){.host = host,
                          .rules = json_object_get(policy, "rules"),
                          .match_on = json_string_value(json_object_get(policy, "match_on"))};
    dm->devices = kept.len > 0 ? json_loadb((const char *)kept.at, kept.len, JSON_REJECT_DUPLICATES, NULL)
                               : json_object();
    if (!json_is_object(dm->devices) || !dm->match_on) {
        ima_dm_free(dm);
        return host->fail(err, QL_EPARSE, "ima: kept devices or the device mapper policy cannot be read");
    }
    *ret = dm;
    return QL_OK;
}

void ima_dm_free(struct ima_dm *dm)
{
    if (!dm)
        return;
    json_decref(dm->devices);
    free(dm->kept);
    dm->host->free(dm->host, dm);
}

bool ima_dm_is_event(struct ima_bytes name)
{
    enum ima_dm_kind kind;

    return ima_dm_kind_by_name(name, &kind);
}

/* ---- findings ---- */

static void find(struct step *s, const char *what, json_t *context)
{
    char id[128];

    (void)snprintf(id, sizeof id, EVENT "%s.%s", s->kind, what); /* both are ours */
    ima_find(s->findings, id, context);
}

static void find_message(struct step *s, const char *what, const char *message)
{
    find(s, what, json_pack("{s:s}", "message", message));
}

static void find_device(struct step *s, const char *what, const char *before, const char *after)
{
    json_t *text = json_sprintf("%s%s%s", before, s->key, after);

    find(s, what, text ? json_pack("{s:o}", "message", text) : NULL);
}

static json_t *or_null(const json_t *j)
{
    return j ? json_incref((json_t *)(uintptr_t)j) : json_null();
}

static void find_got(struct step *s, const char *what, const char *key, const char *text, const json_t *got,
                     const json_t *expected)
{
    find(s, what,
         json_pack("{s:o, s:o, s:s}", "got", or_null(got), "expected", or_null(expected), key, text));
}

/* ---- devices ---- */

static void set(struct step *s, const char *key, bool value)
{
    if (json_object_set_new(s->device, key, json_boolean(value)) != 0)
        s->no_memory = true;
}

static bool is(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static const json_t *rule_of(const struct ima_dm *dm, const json_t *device)
{
    const char *name = json_string_value(json_object_get(device, "rule"));

    return name ? json_object_get(dm->rules, name) : NULL;
}

/* A target against the rule's target. */
static void check_target(struct step *s, const json_t *rule, const json_t *target)
{
    const json_t *attributes = json_object_get(target, "attributes"), *value;
    const char *key;
    bool mismatch = false;

    json_object_foreach((json_t *)(uintptr_t)rule, key, value) {
        const bool own = strncmp(key, "target_", 7) == 0;
        const json_t *got = json_object_get(own ? target : attributes, key);

        if (!got && !own) {
            json_t *text = json_sprintf("Key %s not found on target: '%s' object has no attribute '%s'", key,
                                        json_string_value(json_object_get(target, "class")), key);

            find(s, "target_attribute_not_found", text ? json_pack("{s:o}", "context", text) : NULL);
        } else if (!ima_dm_fits(s->dm->host, value, got)) {
            find_got(s, "target_data_mismatch", "context", key, got, value);
            mismatch = true;
        }
    }
    if (mismatch)
        find_message(s, "target_data_invalid", "target data was not valid");
}

/* The first rule whose expression fits the device. */
static const char *find_rule(struct step *s)
{
    const char *name;
    json_t *rule, *key = json_string(s->key);

    json_object_foreach((json_t *)(uintptr_t)s->dm->rules, name, rule) {
        const json_t *expression = json_object_get(json_object_get(rule, "table_load"), s->dm->match_on);

        if (json_is_string(expression) && ima_dm_fits(s->dm->host, expression, key)) {
            json_decref(key);
            s->rule = rule;
            return name;
        }
    }
    json_decref(key);
    return NULL;
}

static bool check_device(struct step *s, const json_t *load)
{
    static const char *const keys[] = {"name", "uuid", "major", "minor", "minor_count", "num_targets"};
    const size_t count = json_array_size(json_object_get(s->event, "targets"));

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *rule = json_object_get(load, keys[i]), *got = json_object_get(s->event, keys[i]);

        if (!ima_dm_fits(s->dm->host, rule, got)) {
            find_got(s, "invalid_entry", "context", keys[i], got, rule);
            return false;
        }
    }
    if ((json_int_t)count != json_integer_value(json_object_get(s->event, "num_targets")) ||
        (json_int_t)count != json_integer_value(json_object_get(load, "num_targets"))) {
        find_message(s, "num_targets_mismatch", "lengths are not consistent");
        return false;
    }
    return true;
}

static void on_load(struct step *s)
{
    const json_t *load, *targets = json_object_get(s->event, "targets"), *rules;
    const char *name;
    json_t *device;

    if (s->device && !is(json_object_get(rule_of(s->dm, s->device), "table_load"), "allow_multiple_loads")) {
        find_device(s, "multiple_table_loads", "Multiple table load entries for device: ", "");
        return;
    }
    name = find_rule(s);
    if (!name) {
        find_message(s, "no_matching_policy", "No policy found");
        return;
    }
    load = json_object_get(s->rule, "table_load");
    if (!check_device(s, load))
        return;
    rules = json_object_get(load, "targets");
    for (size_t i = 0; i < json_array_size(targets) && i < json_array_size(rules); i++)
        check_target(s, json_array_get(rules, i), json_array_get(targets, i));
    if (!s->device && json_object_size(s->dm->devices) >= IMA_DM_DEVICES_MAX) {
        find_message(s, "too_many_devices", "more devices than can be told apart");
        return;
    }
    device = json_pack("{s:s, s:b, s:b, s:s}", "rule", name, "active", 0, "valid",
                       is(s->rule, "device_resume_required") ? 0 : 1, "table", s->table);
    if (!device || json_object_set_new(s->dm->devices, s->key, device) != 0)
        s->no_memory = true;
}

static void on_resume(struct step *s)
{
    const json_t *loaded = json_object_get(s->device, "table"),
                 *named = json_object_get(s->event, "active_table_hash");

    if (!s->device) {
        find_message(s, "resume_before_table_load", "Resume event before table was loaded");
    } else if (is(s->device, "active")) {
        find_message(s, "already_active", "table is already active");
        set(s, "valid", false);
    } else if (!json_equal(loaded, named)) {
        find_got(s, "active_table_mismatch", "message", "active table is not the one that was loaded", named,
                 loaded);
        set(s, "valid", false);
    } else {
        set(s, "active", true);
        set(s, "valid", true);
    }
}

static void on_remove(struct step *s)
{
    if (!s->device) {
        find_message(s, "remove_before_table_load", "Remove event before table was loaded");
    } else if (!is(json_object_get(s->rule, "device_remove"), "allow_removal")) {
        find_device(s, "device_removed", "Device ", " was remove, but that is not allowed");
        set(s, "valid", false);
    } else {
        (void)json_object_del(s->dm->devices, s->key); /* it is there */
    }
}

static void on_clear(struct step *s)
{
    if (!s->device) {
        find_message(s, "clear_before_table_load", "Clear event before table was loaded");
    } else if (!is(s->rule, "allow_clear")) {
        find_device(s, "table_cleared", "Table for device ", " was cleared, but that is not allowed");
        set(s, "valid", false);
    }
}

/* A new name or uuid. @param valid the rule's key for it */
static void rename_one(struct step *s, const char *what, const char *new_what, const char *valid,
                       const char *event)
{
    const json_t *now = json_object_get(s->event, new_what),
                 *rule = json_object_get(json_object_get(s->rule, "device_rename"), valid);

    if (json_equal(json_object_get(s->event, what), now))
        return;
    if (!ima_dm_fits(s->dm->host, rule, now)) {
        find_got(s, event, "message", "New name is invalid", now, rule);
        set(s, "valid", false);
        return;
    }
    if (strcmp(s->dm->match_on, what) != 0 || !json_is_string(now))
        return;
    if (json_object_get(s->dm->devices, json_string_value(now))) {
        find_got(s, event, "message", "New name is taken", now, rule);
        set(s, "valid", false);
        return;
    }
    if (json_object_set(s->dm->devices, json_string_value(now), s->device) != 0)
        s->no_memory = true;
    else
        (void)json_object_del(s->dm->devices, s->key); /* it is there */
}

static void on_rename(struct step *s)
{
    json_t *device = s->device;

    if (!device) {
        find_message(s, "rename_before_table_load", "Rename event before table was loaded");
        return;
    }
    json_incref(device); /* it changes its place below */
    rename_one(s, "name", "new_name", "valid_name", "new_name_invalid");
    rename_one(s, "uuid", "new_uuid", "valid_uuid", "new_uuid_invalid");
    json_decref(device);
}

static void on_update(struct step *s)
{
    const json_t *target = json_array_get(json_object_get(s->event, "targets"), 0), *rules, *rule;
    json_int_t index = json_integer_value(json_object_get(target, "target_index"));

    if (!s->device) {
        find_message(s, "update_before_table_load", "Update event before table was loaded");
        return;
    }
    rules = json_object_get(json_object_get(s->rule, "table_load"), "targets");
    rule = index >= 0 && (size_t)index < json_array_size(rules) ? json_array_get(rules, (size_t)index) : NULL;
    if (rule)
        check_target(s, rule, target);
    else
        find_message(s, "target_data_invalid", "target data was not valid");
}

static void name_table(struct step *s, const struct ima_digest *d)
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;

    if (d->alg.len == 0 || d->alg.len > 31 || d->bytes.len > 64)
        return; /* fits no hash that a kernel names */
    memcpy(s->table, d->alg.at, d->alg.len);
    at = d->alg.len;
    s->table[at++] = ':';
    for (size_t i = 0; i < d->bytes.len; i++) {
        s->table[at++] = digits[d->bytes.at[i] >> 4];
        s->table[at++] = digits[d->bytes.at[i] & 15];
    }
}

int ima_dm_entry(struct ima_dm *dm, struct ima_findings *f, const struct ima_entry *e, bool digest_fits,
                 struct ql_err *err)
{
    static void (*const handlers[IMA_DM_KIND_COUNT])(struct step *) = {
        [IMA_DM_LOAD] = on_load,   [IMA_DM_RESUME] = on_resume, [IMA_DM_REMOVE] = on_remove,
        [IMA_DM_CLEAR] = on_clear, [IMA_DM_RENAME] = on_rename, [IMA_DM_UPDATE] = on_update,
    };
    struct step s = {.dm = dm, .findings = f};
    struct ql_err why = QL_ERR_INIT;
    json_t *event = NULL;
    enum ima_dm_kind kind = IMA_DM_LOAD;
    int r;

    if (!ima_dm_kind_by_name(e->name, &kind))
        return dm->host->fail(err, QL_EINTERNAL, "ima: not an event of the device mapper");
    r = ima_dm_event_read(dm->host, kind, e->buffer, &event, &why);
    if (r == QL_ENOMEM)
        return dm->host->fail(err, r, "%s", why.text);
    s.key = r == QL_OK ? json_string_value(json_object_get(event, dm->match_on)) : NULL;
    if (!s.key) {
        ima_find_text(f, EVENT "parsing_failed", "Could not construct valid entry: %s",
                      r < 0 ? why.text : "the device has no name or uuid to be matched by");
        json_decref(event);
        return QL_OK;
    }
    if (!digest_fits)
        ima_find_text(f, EVENT "invalid_data", "hash in IMA log and of the actual data mismatch");
    s.kind = ima_dm_kind_name(kind);
    s.event = event;
    s.device = json_object_get(dm->devices, s.key);
    s.rule = s.device ? rule_of(dm, s.device) : NULL;
    name_table(&s, &e->digest);
    handlers[kind](&s);
    json_decref(event);
    return s.no_memory ? dm->host->fail(err, QL_ENOMEM, "ima: no memory for devices") : QL_OK;
}

int ima_dm_keep(struct ima_dm *dm, struct ima_bytes *ret, struct ql_err *err)
{
    free(dm->kept);
    dm->kept = json_dumps(dm->devices, JSON_COMPACT);
    if (!dm->kept)
        return dm->host->fail(err, QL_ENOMEM, "ima: no memory for devices");
    *ret = (struct ima_bytes){(const uint8_t *)dm->kept, strlen(dm->kept)};
    return QL_OK;
}

/* Is a valid device there under this rule? */
static bool is_in_use(const json_t *devices, const char *rule)
{
    const char *key;
    json_t *device;

    json_object_foreach((json_t *)(uintptr_t)devices, key, device) {
        const char *name = json_string_value(json_object_get(device, "rule"));

        if (name && strcmp(name, rule) == 0 && is(device, "valid"))
            return true;
    }
    return false;
}

int ima_dm_conclude(struct ima_dm *dm, struct ima_bytes kept, struct ima_findings *f, struct ql_err *err)
{
    json_t *devices = json_loadb((const char *)kept.at, kept.len, 0, NULL), *device, *rule;
    const char *key;

    if (!devices)
        return dm->host->fail(err, QL_ENOMEM, "ima: no memory for devices");
    json_object_foreach(devices, key, device) {
        if (!is(device, "valid"))
            ima_find(f, EVENT "device_invalid_state", json_pack("{s:s}", "context", key));
    }
    json_object_foreach((json_t *)(uintptr_t)dm->rules, key, rule) {
        if (is(rule, "required") && !is_in_use(devices, key))
            ima_find_text(f, EVENT "required_policy_not_in_use", "policy %s required but not used", key);
    }
    json_decref(devices);
    return QL_OK;
}
