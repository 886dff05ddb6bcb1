/* SPDX-License-Identifier: Apache-2.0 */
#include "signatures.h"

#include <string.h>

#include "value.h"

enum {
    ENTRY_FIELDS = 2 /* owner and data */
};

static void init(struct mb_sigs *s)
{
    memset(s, 0, offsetof(struct mb_sigs, type_text));
    mb_text_init(&s->type_text);
    mb_text_init(&s->owner);
    mb_text_init(&s->bytes);
}

bool mb_sigs_begin(struct mb_eval *e, const struct mb_value *v, struct mb_sigs *ret)
{
    init(ret);
    if (mb_value_siglists(e, v, &ret->data, &ret->len))
        return true;
    if (v->kind != MB_V_JSON || !json_is_array(v->json))
        return false;
    ret->json = v->json;
    return true;
}

void mb_sigs_of(const json_t *entries, struct mb_sigs *ret)
{
    init(ret);
    ret->keys = entries;
    ret->has_keys = json_is_array(entries);
    ret->count = json_array_size(entries);
}

void mb_sigs_done(struct mb_sigs *s)
{
    mb_text_done(&s->type_text);
    mb_text_done(&s->owner);
    mb_text_done(&s->bytes);
}

size_t mb_sigs_lists(const struct mb_sigs *s)
{
    const uint8_t *data = s->data;
    struct mb_siglist one;
    size_t len = s->len, count = 0;

    if (s->json)
        return json_array_size(s->json);
    while (mb_siglist_next(&data, &len, &one))
        count++;
    return count;
}

static bool next_json(struct mb_sigs *s)
{
    const json_t *list, *type;

    if (s->at >= json_array_size(s->json))
        return false;
    list = json_array_get(s->json, s->at++);
    type = json_object_get(list, "SignatureType");
    s->type = (struct mb_str){json_string_value(type), json_string_length(type)};
    s->keys = json_object_get(list, "Keys");
    s->has_keys = json_is_array(s->keys);
    s->count = json_array_size(s->keys);
    return true;
}

bool mb_sigs_next(struct mb_sigs *s)
{
    if (s->json)
        return next_json(s);
    if (!mb_siglist_next(&s->data, &s->len, &s->list))
        return false;
    s->at++;
    s->last = NULL;
    s->type_text.len = 0;
    mb_text_guid(&s->type_text, s->list.type);
    s->type = (struct mb_str){s->type_text.p, s->type_text.len};
    s->count = s->list.count;
    s->has_keys = s->count > 0; /* a list without entries has null for them */
    return true;
}

static bool is(const struct mb_str *name, const char *text)
{
    return name->len == strlen(text) && memcmp(name->text, text, name->len) == 0;
}

/* The same texts as siglist.c gives JSON. */
static bool entry_texts(struct mb_sigs *s, size_t at, const struct mb_set *set, struct mb_str *texts)
{
    const uint8_t *entry = s->list.entries + at * s->list.entry_len;

    /* Hundreds of entries in a row have one owner. */
    if (!s->last || memcmp(entry, s->last, MB_GUID_LEN) != 0) {
        s->owner.len = 0;
        mb_text_guid(&s->owner, entry);
    }
    s->last = entry;
    s->bytes.len = 0;
    mb_text_hex(&s->bytes, entry + MB_GUID_LEN, s->list.entry_len - MB_GUID_LEN);
    for (size_t i = 0; i < set->field_count; i++) {
        if (is(&set->fields[i], "SignatureOwner"))
            texts[i] = (struct mb_str){s->owner.p, s->owner.len};
        else if (is(&set->fields[i], "SignatureData"))
            texts[i] = (struct mb_str){s->bytes.p, s->bytes.len};
        else
            return false;
    }
    return true;
}

int mb_sigs_texts(struct mb_eval *e, struct mb_sigs *s, size_t at, const struct mb_set *set, bool exact,
                  struct mb_str *texts)
{
    const json_t *item = s->keys ? json_array_get(s->keys, at) : NULL;
    const size_t fields = s->keys ? json_object_size(item) : ENTRY_FIELDS;

    if (exact && fields != set->field_count)
        return 0;
    if (s->keys)
        return json_is_object(item) && mb_set_texts(set, item, texts);
    if (!entry_texts(s, at, set, texts))
        return 0;
    if (s->owner.failed || s->bytes.failed) {
        (void)mb_break(e, "out of memory");
        return -1;
    }
    return 1;
}
