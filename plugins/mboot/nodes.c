/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes and what they hold: sets, rows of dispatchers. */
#include <string.h>

#include "test.h"

void mb_tests_init(struct mb_tests *t, const struct ql_host *host)
{
    *t = (struct mb_tests){.host = host};
    mb_arena_init(&t->arena, host);
}

void mb_tests_done(struct mb_tests *t)
{
    for (size_t i = 0; i < t->regex_count; i++)
        mb_regex_free(t->regexes[i]);
    t->host->free(t->host, t->regexes);
    mb_arena_done(&t->arena);
    *t = (struct mb_tests){.host = t->host};
}

struct mb_node *mb_node_new(struct mb_tests *t, enum mb_kind kind)
{
    struct mb_node *n = t->node_count < MB_NODES_MAX ? mb_arena_alloc(&t->arena, sizeof *n) : NULL;

    if (!n)
        return NULL;
    t->node_count++;
    n->kind = kind;
    return n;
}

bool mb_tests_keep(struct mb_tests *t, struct mb_regex *re)
{
    if (t->regex_count == t->regex_room) {
        const size_t room = t->regex_room ? 2 * t->regex_room : 16;
        struct mb_regex **grown = t->host->realloc(t->host, t->regexes, room * sizeof(struct mb_regex *));

        if (!grown) {
            mb_regex_free(re);
            return false;
        }
        t->regexes = grown;
        t->regex_room = room;
    }
    t->regexes[t->regex_count++] = re;
    return true;
}

/* FNV-1a over words: what is hashed is mostly the hex of digests, and long. */
static uint64_t hash_more(uint64_t h, const char *text, size_t len)
{
    for (size_t at = 0; at < len; at += sizeof h) {
        const size_t left = len - at;
        uint64_t word = 0;

        memcpy(&word, text + at, left < sizeof word ? left : sizeof word);
        h = (h ^ word) * UINT64_C(0x100000001b3);
        h ^= h >> 32; /* a product's low bits know nothing of its high ones */
    }
    return h;
}

static uint64_t hash_member(const struct mb_str *texts, size_t count)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < count; i++)
        h = hash_more(h ^ texts[i].len, texts[i].text, texts[i].len);
    return h ^ h >> 29;
}

static bool same_member(const struct mb_str *a, const struct mb_str *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (a[i].len != b[i].len || memcmp(a[i].text, b[i].text, a[i].len) != 0)
            return false;
    return true;
}

size_t mb_set_find(const struct mb_set *s, const struct mb_str *texts)
{
    for (size_t at = hash_member(texts, s->field_count) & s->slot_mask; s->slots[at] != 0;
         at = (at + 1) & s->slot_mask)
        if (same_member(&s->members[(s->slots[at] - 1) * s->field_count], texts, s->field_count))
            return s->slots[at];
    return 0;
}

bool mb_set_texts(const struct mb_set *s, const json_t *object, struct mb_str *texts)
{
    for (size_t i = 0; i < s->field_count; i++) {
        const json_t *j = json_object_getn(object, s->fields[i].text, s->fields[i].len);

        if (!json_is_string(j))
            return false;
        texts[i] = (struct mb_str){json_string_value(j), json_string_length(j)};
    }
    return true;
}

int mb_set_new(struct mb_tests *t, const struct mb_str *fields, size_t field_count, const json_t *list,
               struct mb_set **ret, size_t *bad)
{
    const size_t most = json_array_size(list);
    struct mb_set *s = mb_arena_alloc(&t->arena, sizeof *s);
    size_t slots = 16;

    while (slots < 2 * most)
        slots *= 2;
    if (!s)
        return QL_ENOMEM;
    s->slots = mb_arena_alloc(&t->arena, slots * sizeof *s->slots);
    s->members = mb_arena_alloc(&t->arena, (most + 1) * field_count * sizeof *s->members);
    if (!s->slots || !s->members)
        return QL_ENOMEM;
    s->slot_mask = slots - 1;
    s->field_count = field_count;
    for (size_t i = 0; i < field_count; i++) {
        s->fields[i].text = mb_arena_text(&t->arena, fields[i].text, fields[i].len);
        s->fields[i].len = fields[i].len;
        if (!s->fields[i].text)
            return QL_ENOMEM;
    }
    for (*bad = 0; *bad < most; (*bad)++) {
        struct mb_str texts[MB_SET_FIELDS], *member = &s->members[s->count * field_count];
        size_t at;

        if (!mb_set_texts(s, json_array_get(list, *bad), texts))
            return QL_EPARSE;
        if (mb_set_find(s, texts) != 0)
            continue;
        for (size_t i = 0; i < field_count; i++) {
            member[i].text = mb_arena_text(&t->arena, texts[i].text, texts[i].len);
            member[i].len = texts[i].len;
            if (!member[i].text)
                return QL_ENOMEM;
        }
        at = hash_member(member, field_count) & s->slot_mask;
        while (s->slots[at] != 0)
            at = (at + 1) & s->slot_mask;
        s->slots[at] = (uint32_t)++s->count;
    }
    *ret = s;
    return QL_OK;
}

static bool add_bytes(struct mb_tuple *t, char type, const char *text, size_t len)
{
    if (len > sizeof t->text - t->len - 16 || sizeof t->text - t->len < 16)
        return false;
    t->text[t->len++] = type;
    memcpy(t->text + t->len, &len, sizeof len);
    t->len += sizeof len;
    memcpy(t->text + t->len, text, len);
    t->len += len;
    return true;
}

bool mb_tuple_add_text(struct mb_tuple *t, const char *text, size_t len)
{
    return sizeof t->text - t->len > 16 && len < sizeof t->text && add_bytes(t, 's', text, len);
}

bool mb_tuple_add_int(struct mb_tuple *t, int64_t n)
{
    return sizeof t->text - t->len > 16 && add_bytes(t, 'i', (const char *)&n, sizeof n);
}

bool mb_tuple_add(struct mb_tuple *t, const json_t *value)
{
    if (json_is_string(value))
        return mb_tuple_add_text(t, json_string_value(value), json_string_length(value));
    return json_is_integer(value) && mb_tuple_add_int(t, json_integer_value(value));
}

static size_t bucket(const struct mb_rows *rows, const struct mb_tuple *t)
{
    const uint64_t h = hash_more(UINT64_C(0xcbf29ce484222325), t->text, t->len);

    return (h ^ h >> 32) % (sizeof rows->buckets / sizeof rows->buckets[0]);
}

const struct mb_node *mb_rows_find(const struct mb_rows *rows, const struct mb_tuple *tuple)
{
    for (const struct mb_row *r = rows->buckets[bucket(rows, tuple)]; r; r = r->next)
        if (r->tuple.len == tuple->len && memcmp(r->tuple.text, tuple->text, tuple->len) == 0)
            return r->test;
    return NULL;
}

int mb_rows_add(struct mb_tests *t, struct mb_rows *rows, const struct mb_tuple *tuple,
                const struct mb_node *test)
{
    struct mb_row *row = mb_arena_alloc(&t->arena, sizeof *row), **at = &rows->buckets[bucket(rows, tuple)];

    if (mb_rows_find(rows, tuple))
        return QL_EEXIST;
    if (!row)
        return QL_ENOMEM;
    row->tuple.text = mb_arena_text(&t->arena, tuple->text, tuple->len);
    row->tuple.len = tuple->len;
    if (!row->tuple.text)
        return QL_ENOMEM;
    row->test = test;
    row->next = *at;
    *at = row;
    rows->count++;
    return QL_OK;
}
