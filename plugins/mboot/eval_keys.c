/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation: tests of variables, signatures and lists of keys. */
#include <string.h>

#include "eval_parts.h"
#include "value.h"

static bool variable_of(struct mb_eval *e, const struct mb_value *v, struct mb_value *variable,
                        const json_t **guid, const json_t **name)
{
    if (mb_value_field(e, v, "Event", 5, variable) != 1 ||
        !(*guid = mb_value_text(e, variable, "VariableName")) ||
        !(*name = mb_value_text(e, variable, "UnicodeName")))
        return mb_refuse(e, "is no event about a variable");
    return true;
}

static bool name_in_note(struct mb_eval *e, const char *name)
{
    char before[sizeof e->note];

    if (!e->trace)
        return true;
    memcpy(before, e->note, sizeof before);
    return mb_note(e, "variable %s: %.150s", name, before);
}

static bool variable_data(struct mb_eval *e, const struct mb_node *test, const struct mb_value *variable,
                          const json_t *name)
{
    char shown_name[MB_SHOWN_MAX + 8];
    struct mb_value data;

    (void)mb_shown_json(name, shown_name);
    if (mb_value_field(e, variable, "VariableData", 12, &data) != 1)
        return mb_refuse(e, "variable %s has no data", shown_name);
    if (mb_why_not(e, test, &data))
        return name_in_note(e, shown_name);
    return mb_within(e, "variable %s: ", shown_name);
}

bool mb_test_var(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    struct mb_value variable;
    const json_t *guid = NULL, *name = NULL;
    char is[MB_SHOWN_MAX + 8];
    int r;

    if (!variable_of(e, v, &variable, &guid, &name))
        return false;
    if (strcmp(json_string_value(guid), n->text.text) != 0)
        return mb_refuse(e, "variable belongs to %s, wanted %s", mb_shown_json(guid, is), n->text.text);
    r = n->re ? mb_matches(e, n->re, name)
              : json_string_length(name) == n->name.len &&
                    memcmp(json_string_value(name), n->name.text, n->name.len) == 0;
    if (r < 0)
        return false;
    if (r == 0)
        return mb_refuse(e, "variable is %s, wanted %s", mb_shown_json(name, is), n->name.text);
    return variable_data(e, n->child, &variable, name);
}

bool mb_test_vars(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    struct mb_tuple tuple = {.len = 0};
    struct mb_value variable;
    const json_t *guid = NULL, *name = NULL;
    const struct mb_node *found;
    char is[MB_SHOWN_MAX + 8];

    if (!variable_of(e, v, &variable, &guid, &name))
        return false;
    found = mb_tuple_add(&tuple, guid) && mb_tuple_add(&tuple, name) ? mb_rows_find(n->rows, &tuple) : NULL;
    if (!found)
        return mb_refuse(e, "the policy has no rule for variable %s", mb_shown_json(name, is));
    return variable_data(e, found, &variable, name);
}

static bool member_of(struct mb_eval *e, const struct mb_set *set, const json_t *object, const char *what)
{
    struct mb_str texts[MB_SET_FIELDS];
    char owner[MB_SHOWN_MAX + 8], data[MB_SHOWN_MAX + 8];

    if (!json_is_object(object) || !mb_set_texts(set, object, texts))
        return mb_refuse(e, "%s has not the fields of a signature", what);
    if (mb_set_find(set, texts) != 0)
        return mb_note(e, "%s is approved", what);
    (void)mb_shown(texts[0].text, texts[0].len, owner);
    (void)mb_shown(texts[set->field_count - 1].text,
                   texts[set->field_count - 1].len < 64 ? texts[set->field_count - 1].len : 64, data);
    return mb_refuse(e, "%s of owner %s beginning %s is none of the %zu that are approved", what, owner, data,
                     set->count);
}

bool mb_test_sig_in(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    if (v->kind != MB_V_JSON)
        return mb_wrong_type(e, v, "a signature");
    return member_of(e, n->set, v->json, "signature");
}

static bool type_allowed(const struct mb_node *n, const json_t *type)
{
    for (size_t i = 0; json_is_string(type) && i < n->count; i++)
        if (n->types[i].len == json_string_length(type) &&
            memcmp(n->types[i].text, json_string_value(type), n->types[i].len) == 0)
            return true;
    return false;
}

bool mb_test_keys_subset(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    const json_t *list, *key;
    size_t i, k, all = 0;

    if (v->kind != MB_V_JSON || !json_is_array(v->json))
        return mb_wrong_type(e, v, "a list of signature lists");
    json_array_foreach(v->json, i, list) {
        const json_t *type = json_object_get(list, "SignatureType"), *keys = json_object_get(list, "Keys");
        char is[MB_SHOWN_MAX + 8];

        if (!type_allowed(n, type))
            return mb_refuse(e, "signature list %zu has type %s", i,
                             json_is_string(type) ? mb_shown_json(type, is) : "none");
        if (!json_is_array(keys))
            return mb_refuse(e, "signature list %zu has no keys", i);
        json_array_foreach(keys, k, key) {
            if (!member_of(e, n->set, key, "key"))
                return mb_within(e, "signature list %zu, key %zu: ", i, k);
            all++;
        }
    }
    return mb_note(e, "%zu keys, all approved", all);
}

/* Which members of the set are in the list. @return how many are not, or -1 with a reason */
static int64_t missing_members(struct mb_eval *e, const struct mb_set *set, const json_t *list, bool exact,
                               size_t *first)
{
    const struct ql_host *h = e->tests->host;
    uint8_t *seen = h->alloc(h, set->count + 1);
    size_t found = 0, i;
    const json_t *item;

    if (!seen) {
        (void)mb_break(e, "out of memory");
        return -1;
    }
    memset(seen, 0, set->count + 1);
    json_array_foreach(list, i, item) {
        struct mb_str texts[MB_SET_FIELDS];
        size_t member;

        if (!json_is_object(item) || (exact && json_object_size(item) != set->field_count) ||
            !mb_set_texts(set, item, texts)) {
            h->free(h, seen);
            (void)mb_refuse(e, "item %zu has not the wanted fields", i);
            return -1;
        }
        member = mb_set_find(set, texts);
        found += member != 0 && !seen[member - 1];
        if (member != 0)
            seen[member - 1] = 1;
    }
    for (*first = 0; *first < set->count && seen[*first]; ++*first)
        ;
    h->free(h, seen);
    return (int64_t)(set->count - found);
}

static bool all_there(struct mb_eval *e, const struct mb_node *n, const json_t *list, bool exact)
{
    const struct mb_str *member;
    char data[MB_SHOWN_MAX + 8];
    size_t first = 0;
    const int64_t missing = missing_members(e, n->set, list, exact, &first);

    if (missing < 0)
        return false;
    if (missing == 0)
        return mb_note(e, "all %zu required entries are there", n->set->count);
    member = &n->set->members[first * n->set->field_count + n->set->field_count - 1];
    return mb_refuse(e, "%lld of %zu required entries are missing, among them %s", (long long)missing,
                     n->set->count, mb_shown(member->text, member->len < 64 ? member->len : 64, data));
}

bool mb_test_keys_superset(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    const json_t *list, *keys;
    char is[MB_SHOWN_MAX + 8];

    if (v->kind != MB_V_JSON || !json_is_array(v->json))
        return mb_wrong_type(e, v, "a list of signature lists");
    if (json_array_size(v->json) != 1)
        return mb_refuse(e, "wanted one signature list, found %zu", json_array_size(v->json));
    list = json_array_get(v->json, 0);
    if (!type_allowed(n, json_object_get(list, "SignatureType")))
        return mb_refuse(e, "signature list has type %s",
                         json_is_string(json_object_get(list, "SignatureType"))
                             ? mb_shown_json(json_object_get(list, "SignatureType"), is)
                             : "none");
    keys = json_object_get(list, "Keys");
    if (!json_is_array(keys))
        return mb_refuse(e, "signature list has no keys");
    return all_there(e, n, keys, true);
}

bool mb_test_superset(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    if (v->kind != MB_V_JSON || !json_is_array(v->json))
        return mb_wrong_type(e, v, "a list");
    return all_there(e, n, v->json, true);
}
