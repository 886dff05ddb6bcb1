/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "store.h"
#include "suite.h"

/** A row that must come back. */
struct mirror {
    const struct ql_value *want;
    int wrong; /* column that differs; -1: none */
    int count;
};

static bool same(const struct ql_value *a, const struct ql_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case QL_COL_NULL:
        return true;
    case QL_COL_INT:
        return a->i == b->i;
    case QL_COL_TEXT:
    case QL_COL_JSON:
        if (((const char *)b->data)[b->len])
            return false; /* text ends in NUL as well */
        __attribute__((fallthrough));
    default:
        return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
    }
}

static int compare(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct mirror *m = arg;

    m->count++;
    m->wrong = column_count == MORE ? -1 : 99;
    for (int i = 0; i < MORE && m->wrong < 0; i++)
        if (!same(&m->want[i], &row[i]))
            m->wrong = i;
    return 0;
}

static bool round_trip(struct suite *s, const struct ql_value *row)
{
    struct mirror m = {.want = row};

    EXPECT(do_begin(s), QL_OK);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_get(s, &suite_things, row, compare, &m), QL_OK);
    CHECK(m.count == 1);
    CHECK(m.wrong == -1);
    EXPECT(do_commit(s), QL_OK);
    m.wrong = 0;
    EXPECT(do_begin(s), QL_OK);
    EXPECT(do_get(s, &suite_things, row, compare, &m), QL_OK);
    EXPECT(do_commit(s), QL_OK);
    CHECK(m.wrong == -1);
    return true;
}

static bool values_come_back(struct suite *s)
{
    static const int64_t numbers[] = {
        0, 1, -1, INT32_MAX, INT64_C(1) << 53, (INT64_C(1) << 53) + 1, INT64_MAX, INT64_MIN};
    static const char *const texts[] = {
        "",    " ", "plain", "it's \"quoted\" \\ ; -- %s $1 ?", "\x01\n\r\t\x7f", "\u00fc\u20ac\U0001f600",
        "NULL"};
    struct ql_value row[MORE];
    uint8_t bytes[256];

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    for (size_t i = 0; i < QL_ARRAY_LEN(numbers); i++) {
        thing(row, numbers[i], NULL);
        row[NUMBER] = ql_int(numbers[i]);
        if (!round_trip(s, row))
            return false;
    }
    for (size_t i = 0; i < QL_ARRAY_LEN(texts); i++) {
        thing(row, 5, texts[i]);
        row[JSON] = ql_json_value(texts[i]);
        if (!round_trip(s, row))
            return false;
    }
    for (size_t len = 0; len <= sizeof bytes; len += 64) {
        thing(row, 6, "bytes");
        row[DATA] = ql_bytes(bytes, len);
        if (!round_trip(s, row))
            return false;
    }
    thing(row, 7, NULL);
    return round_trip(s, row);
}

static bool json_is_kept(struct suite *s)
{
    struct ql_value row[MORE];

    thing(row, 1, NULL);
    row[JSON] = ql_json_value("{\"b\" : 1.50,\t\"a\":[ ],\"b\":1e2, \"\\u00fc\": 12345678901234567890}");
    return round_trip(s, row);
}

static bool large_values(struct suite *s)
{
    enum {
        LEN = 8 << 20
    };
    ql_auto_free uint8_t *data = malloc(LEN);
    struct ql_value row[MORE];

    CHECK(data != NULL);
    for (size_t i = 0; i < LEN; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    thing(row, 2, NULL);
    row[DATA] = ql_bytes(data, LEN);
    return round_trip(s, row);
}

static bool insert_conflicts(struct suite *s)
{
    struct ql_value row[MORE];
    struct brief b = {0};

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, "first");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    thing(row, 1, "second");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_ECONFLICT);
    EXPECT(do_get(s, &suite_things, row, read_brief, &b), QL_OK);
    CHECK(!strcmp(b.text, "first"));
    /* A conflict is an answer: the transaction goes on. */
    thing(row, 2, "third");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_commit(s), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    CHECK(count_rows(s, &suite_things) == 2);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool unique_conflicts(struct suite *s)
{
    struct ql_value row[MORE];

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, "a");
    row[UNIQUE] = ql_text("x");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    thing(row, 2, "b");
    row[UNIQUE] = ql_text("x");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_ECONFLICT);
    row[UNIQUE] = ql_null();
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    thing(row, 3, "c"); /* nulls are not equal to each other here */
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_commit(s), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    CHECK(count_rows(s, &suite_things) == 3);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool update_touches_the_mask(struct suite *s)
{
    struct ql_value row[MORE];
    struct brief b = {0};

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, "text");
    row[NUMBER] = ql_int(7);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << TEXT, NULL, 0), QL_ECONFLICT);
    EXPECT(do_get(s, &suite_things, row, read_brief, &b), QL_ENOTFOUND);
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    thing(row, 1, "changed");
    row[NUMBER] = ql_int(8);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << TEXT, NULL, 0), QL_OK);
    EXPECT(do_get(s, &suite_things, row, read_brief, &b), QL_OK);
    CHECK(!strcmp(b.text, "changed") && b.number == 7);
    /* The same once more: a row that stays as it is was found nevertheless. */
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << TEXT, NULL, 0), QL_OK);
    row[NUMBER] = ql_null();
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << NUMBER, NULL, 0), QL_OK);
    EXPECT(do_get(s, &suite_things, row, read_brief, &b), QL_OK);
    CHECK(!strcmp(b.text, "changed") && !b.has_number);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool conditions_hold_or_nothing_is_touched(struct suite *s)
{
    const struct ql_cond seven = {NUMBER, ql_int(7)}, eight = {NUMBER, ql_int(8)},
                         is_null = {UNIQUE, ql_null()}, text = {TEXT, ql_text("text")};
    const struct ql_cond both[] = {seven, text}, wrong[] = {seven, {TEXT, ql_text("Text")}},
                         null_number[] = {{NUMBER, ql_null()}};
    struct ql_value row[MORE];
    struct brief b = {0};

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, "text");
    row[NUMBER] = ql_int(7);
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << TEXT, &eight, 1), QL_ECONFLICT);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << TEXT, wrong, 2), QL_ECONFLICT);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << TEXT, null_number, 1), QL_ECONFLICT);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << TEXT, both, 2), QL_OK);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << TEXT, &is_null, 1), QL_OK);
    /* A condition on a column that the same call writes looks at the old value. */
    row[NUMBER] = ql_int(8);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << NUMBER, &seven, 1), QL_OK);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << NUMBER, &seven, 1), QL_ECONFLICT);
    EXPECT(do_del(s, &suite_things, row, &seven, 1), QL_ECONFLICT);
    EXPECT(do_get(s, &suite_things, row, read_brief, &b), QL_OK);
    CHECK(!strcmp(b.text, "text") && b.number == 8);
    EXPECT(do_del(s, &suite_things, row, &eight, 1), QL_OK);
    EXPECT(do_del(s, &suite_things, row, &eight, 1), QL_ENOTFOUND);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool upsert_writes_the_whole_row(struct suite *s)
{
    const struct ql_cond seven = {NUMBER, ql_int(7)}, eight = {NUMBER, ql_int(8)};
    struct ql_value row[MORE];
    struct brief b = {0};

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, "one");
    row[NUMBER] = ql_int(7);
    /* For a row that does not exist yet, there is nothing to hold. */
    EXPECT(do_put(s, &suite_things, QL_PUT_UPSERT, row, 0, &eight, 1), QL_OK);
    thing(row, 1, "two");
    EXPECT(do_put(s, &suite_things, QL_PUT_UPSERT, row, 0, &eight, 1), QL_ECONFLICT);
    EXPECT(do_get(s, &suite_things, row, read_brief, &b), QL_OK);
    CHECK(!strcmp(b.text, "one") && b.number == 7);
    EXPECT(do_put(s, &suite_things, QL_PUT_UPSERT, row, 0, &seven, 1), QL_OK);
    EXPECT(do_get(s, &suite_things, row, read_brief, &b), QL_OK);
    CHECK(!strcmp(b.text, "two") && !b.has_number);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static int refuse_row(void *arg, const struct ql_value *row, uint32_t column_count)
{
    (void)row, (void)column_count;
    return *(int *)arg;
}

static bool what_is_absent_is_not_found(struct suite *s)
{
    struct ql_value row[MORE];
    int count = 0, code = QL_EPARSE;

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, "one");
    EXPECT(do_get(s, &suite_things, row, count_row, &count), QL_ENOTFOUND);
    CHECK(!count);
    EXPECT(do_del(s, &suite_things, row, NULL, 0), QL_ENOTFOUND);
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_get(s, &suite_things, row, refuse_row, &code), QL_EPARSE);
    EXPECT(do_del(s, &suite_things, row, NULL, 0), QL_OK);
    EXPECT(do_get(s, &suite_things, row, count_row, &count), QL_ENOTFOUND);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool keys_of_two_columns(struct suite *s)
{
    struct ql_value row[] = {ql_text("a"), ql_int(1), ql_null(), ql_null(), ql_null()};
    int count = 0;

    CHECK(suite_clear(s, &suite_jobs) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    EXPECT(do_put(s, &suite_jobs, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    row[1] = ql_int(2);
    EXPECT(do_put(s, &suite_jobs, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    row[0] = ql_text("A"); /* another text, whatever the language says */
    EXPECT(do_put(s, &suite_jobs, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    row[0] = ql_text("a ");
    EXPECT(do_put(s, &suite_jobs, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_put(s, &suite_jobs, QL_PUT_INSERT, row, 0, NULL, 0), QL_ECONFLICT);
    EXPECT(do_del(s, &suite_jobs, row, NULL, 0), QL_OK);
    row[0] = ql_text("a");
    EXPECT(do_get(s, &suite_jobs, row, count_row, &count), QL_OK);
    CHECK(count_rows(s, &suite_jobs) == 3);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool wrong_values_are_refused(struct suite *s)
{
    const struct {
        int column;
        struct ql_value value;
    } bad[] = {
        {ID, ql_null()},
        {ID, ql_text("1")},
        {TEXT, ql_int(1)},
        {TEXT, ql_bytes("x", 1)},
        {TEXT, {.type = QL_COL_TEXT, .data = "cut\0short", .len = 9}},
        {DATA, ql_text("x")},
        {NUMBER, ql_text("1")},
        {NUMBER, {.type = 77}},
    };
    struct ql_value row[MORE];

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        int r;

        EXPECT(do_begin(s), QL_OK);
        thing(row, 1, "one");
        row[bad[i].column] = bad[i].value;
        r = do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0);
        CHECK(r < 0 && r != QL_ECONFLICT && r != QL_EAGAIN && r != QL_ECORRUPT);
        CHECK(s->err.text[0] != 0);
        do_rollback(s);
    }
    EXPECT(do_begin(s), QL_OK);
    CHECK(count_rows(s, &suite_things) == 0);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

/** Optional: backends without it are asked row by row. */
static int do_put_many(struct suite *s, struct ql_put *puts, uint32_t count)
{
    const struct ql_store_backend *b = s->backend;

    s->err = (struct ql_err)QL_ERR_INIT;
    if (b->head.size >= offsetof(struct ql_store_backend, put_many) + sizeof b->put_many && b->put_many)
        return b->put_many(s->plugin, s->db, &suite_things, puts, count, &s->err);
    for (uint32_t i = 0; i < count; i++) {
        struct ql_put *p = &puts[i];

        p->result = b->put(s->plugin, s->db, &suite_things, p->mode, p->row, p->mask, p->only_if,
                           p->cond_count, &s->err);
        if (p->result < 0 && p->result != QL_ECONFLICT)
            return p->result;
    }
    return QL_OK;
}

static bool many_puts_each_have_their_answer(struct suite *s)
{
    enum {
        COUNT = 300
    };
    const struct ql_cond odd = {NUMBER, ql_int(1)};
    static struct ql_value rows[COUNT][MORE];
    static struct ql_put puts[COUNT];
    struct brief b = {0};

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    for (int i = 0; i < COUNT; i++) {
        thing(rows[i], i, "old");
        rows[i][NUMBER] = ql_int(i % 2);
        puts[i] = (struct ql_put){.row = rows[i], .mode = QL_PUT_INSERT, .result = -100};
    }
    EXPECT(do_put_many(s, puts, COUNT), QL_OK);
    for (int i = 0; i < COUNT; i++) {
        CHECK(puts[i].result == QL_OK);
        thing(rows[i], i, i % 3 ? "new" : NULL);
        rows[i][DATA] = i % 5 ? ql_null() : ql_bytes("\0data", 5);
        /* Two masks, two sets of conditions; the last row does not exist. */
        puts[i] = (struct ql_put){.row = rows[i],
                                  .mode = QL_PUT_UPDATE,
                                  .mask = i % 7 ? 1 << TEXT : 1 << TEXT | 1 << DATA,
                                  .only_if = &odd,
                                  .cond_count = i % 4 != 0,
                                  .result = -100};
    }
    rows[COUNT - 1][ID] = ql_int(COUNT);
    EXPECT(do_put_many(s, puts, COUNT), QL_OK);
    for (int i = 0; i < COUNT; i++)
        CHECK(puts[i].result == (i == COUNT - 1 || (i % 4 && i % 2 == 0) ? QL_ECONFLICT : QL_OK));
    /* A number of rows of one kind that all are there. */
    for (int i = 0; i < COUNT - 1; i++)
        puts[i] = (struct ql_put){.row = rows[i], .mode = QL_PUT_UPDATE, .mask = 1 << DATA, .result = -100};
    EXPECT(do_put_many(s, puts, COUNT - 1), QL_OK);
    EXPECT(do_commit(s), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    for (int i = 0; i < COUNT - 1; i++) {
        CHECK(puts[i].result == QL_OK);
        EXPECT(do_get(s, &suite_things, rows[i], read_brief, &b), QL_OK);
        CHECK(!strcmp(b.text, i % 4 && i % 2 == 0 ? "old" : i % 3 ? "new" : "null"));
        CHECK(b.has_number && b.number == i % 2);
    }
    /* One that cannot be: the call ends, and says which. */
    rows[5][TEXT] = ql_int(1);
    for (int i = 0; i < 10; i++)
        puts[i] = (struct ql_put){.row = rows[i], .mode = QL_PUT_UPDATE, .mask = 1 << TEXT};
    CHECK(do_put_many(s, puts, 10) < 0 && puts[5].result < 0);
    do_rollback(s);
    return true;
}

const struct suite_test row_tests[] = {
    {"values of every type come back as they were put", values_come_back},
    {"JSON is kept byte for byte", json_is_kept},
    {"values of 8 MiB come back", large_values},
    {"an insert of a row that exists is a conflict and touches nothing", insert_conflicts},
    {"a unique index admits a value once and null many times", unique_conflicts},
    {"an update touches the columns of its mask alone, and needs the row", update_touches_the_mask},
    {"conditions hold or no row is touched, and null equals null", conditions_hold_or_nothing_is_touched},
    {"an upsert writes the whole row, under conditions only where one exists", upsert_writes_the_whole_row},
    {"what is absent is not found", what_is_absent_is_not_found},
    {"keys of two columns are compared byte for byte", keys_of_two_columns},
    {"many puts in one call each have their answer", many_puts_each_have_their_answer},
    {"values that a column cannot hold are refused", wrong_values_are_refused},
    {0},
};
