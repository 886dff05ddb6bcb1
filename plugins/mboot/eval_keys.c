/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation: tests of variables, signatures and lists of keys. */
#include <stdio.h>
#include <string.h>

#include "eval_parts.h"
#include "signatures.h"
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

static bool is_member(struct mb_eval *e, const struct mb_set *set, const struct mb_str *texts,
                      const char *what)
{
    const struct mb_str *last = &texts[set->field_count - 1];
    char owner[MB_SHOWN_MAX + 8], data[MB_SHOWN_MAX + 8];

    if (mb_set_find(set, texts) != 0)
        return mb_note(e, "%s is approved", what);
    (void)mb_shown(texts[0].text, texts[0].len, owner);
    (void)mb_shown(last->text, last->len < 64 ? last->len : 64, data);
    return mb_refuse(e, "%s of owner %s beginning %s is none of the %zu that are approved", what, owner, data,
                     set->count);
}

bool mb_test_sig_in(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    struct mb_str texts[MB_SET_FIELDS];

    if (v->kind != MB_V_JSON)
        return mb_wrong_type(e, v, "a signature");
    if (!json_is_object(v->json) || !mb_set_texts(n->set, v->json, texts))
        return mb_refuse(e, "signature has not the fields of a signature");
    return is_member(e, n->set, texts, "signature");
}

/* Of the current list: has it an allowed type, and entries? `where` names it. */
static bool list_allowed(struct mb_eval *e, const struct mb_node *n, const struct mb_sigs *s,
                         const char *where)
{
    char is[MB_SHOWN_MAX + 8];
    bool allowed = false;

    for (size_t i = 0; s->type.text && i < n->count && !allowed; i++)
        allowed = n->types[i].len == s->type.len && memcmp(n->types[i].text, s->type.text, s->type.len) == 0;
    if (!allowed)
        return mb_refuse(e, "%s has type %s", where,
                         s->type.text ? mb_shown(s->type.text, s->type.len, is) : "none");
    return s->has_keys || mb_refuse(e, "%s has no keys", where);
}

/* Every entry of the current list is a member. */
static bool all_members(struct mb_eval *e, const struct mb_set *set, struct mb_sigs *s, const char *where)
{
    for (size_t k = 0; k < s->count; k++) {
        struct mb_str texts[MB_SET_FIELDS];
        const int r = mb_sigs_texts(e, s, k, set, false, texts);

        if (r > 0 && is_member(e, set, texts, "key"))
            continue;
        if (r == 0)
            (void)mb_refuse(e, "key has not the fields of a signature");
        return r < 0 ? false : mb_within(e, "%s, key %zu: ", where, k);
    }
    return true;
}

bool mb_test_keys_subset(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    struct mb_sigs s;
    size_t all = 0;
    bool ok;

    if (!mb_sigs_begin(e, v, &s))
        return mb_wrong_type(e, v, "a list of signature lists");
    for (ok = true; ok && mb_sigs_next(&s); all += s.count) {
        char where[48];

        (void)snprintf(where, sizeof where, "signature list %zu", s.at - 1);
        ok = list_allowed(e, n, &s, where) && all_members(e, n->set, &s, where);
    }
    mb_sigs_done(&s);
    return ok && mb_note(e, "%zu keys, all approved", all);
}

/* Which members of the set are in the current list. @return how many are not, or -1 with a reason */
static int64_t missing_members(struct mb_eval *e, const struct mb_set *set, struct mb_sigs *s, size_t *first)
{
    const struct ql_host *h = e->tests->host;
    uint8_t *seen = h->alloc(h, set->count + 1);
    size_t found = 0;

    if (!seen) {
        (void)mb_break(e, "out of memory");
        return -1;
    }
    memset(seen, 0, set->count + 1);
    for (size_t i = 0; i < s->count; i++) {
        struct mb_str texts[MB_SET_FIELDS];
        const int r = mb_sigs_texts(e, s, i, set, true, texts);
        size_t member;

        if (r <= 0) {
            h->free(h, seen);
            if (r == 0)
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

static bool all_there(struct mb_eval *e, const struct mb_node *n, struct mb_sigs *s)
{
    const struct mb_str *member;
    char data[MB_SHOWN_MAX + 8];
    size_t first = 0;
    const int64_t missing = missing_members(e, n->set, s, &first);

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
    struct mb_sigs s;
    size_t lists;
    bool ok;

    if (!mb_sigs_begin(e, v, &s))
        return mb_wrong_type(e, v, "a list of signature lists");
    lists = mb_sigs_lists(&s);
    if (lists != 1)
        ok = mb_refuse(e, "wanted one signature list, found %zu", lists);
    else
        ok = mb_sigs_next(&s) && list_allowed(e, n, &s, "signature list") && all_there(e, n, &s);
    mb_sigs_done(&s);
    return ok;
}

bool mb_test_superset(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    struct mb_sigs s;
    bool ok;

    if (v->kind != MB_V_JSON || !json_is_array(v->json))
        return mb_wrong_type(e, v, "a list");
    mb_sigs_of(v->json, &s);
    ok = all_there(e, n, &s);
    mb_sigs_done(&s);
    return ok;
}
