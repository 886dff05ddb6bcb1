/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "store.h"
#include "suite.h"

/** Ids in the order in which they came. */
struct order {
    char text[256];
    int stop_after, stop_with, count;
};

static int note_id(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct order *o = arg;
    size_t len = strlen(o->text);

    (void)column_count;
    (void)snprintf(o->text + len, sizeof o->text - len, "%lld ", (long long)row[ID].i);
    return ++o->count == o->stop_after ? o->stop_with : 0;
}

static bool fill(struct suite *s)
{
    static const struct {
        int64_t id;
        const char *text;
        int64_t number;
    } rows[] = {
        {10, "b", 2}, {-3, "a", 2}, {2, "B", 1}, {INT64_MAX, "\u00fc", -1}, {1, "ab", 2}, {7, "", 1},
    };
    struct ql_value row[MORE];

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    for (size_t i = 0; i < QL_ARRAY_LEN(rows); i++) {
        thing(row, rows[i].id, rows[i].text);
        row[NUMBER] = ql_int(rows[i].number);
        EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    }
    EXPECT(do_commit(s), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    return true;
}

static bool expect_order(struct suite *s, const char *index, const struct ql_value *from, uint32_t from_count,
                         uint64_t limit, const char *want)
{
    struct order o = {0};

    EXPECT(do_scan(s, &suite_things, index, from, from_count, limit, note_id, &o), QL_OK);
    if (strcmp(o.text, want) != 0) {
        (void)snprintf(s->why, sizeof s->why, "order by %s: got %.200s wanted %.200s", index ? index : "key",
                       o.text, want);
        return false;
    }
    return true;
}

static bool in_order(struct suite *s)
{
    bool ok;

    if (!fill(s))
        return false;
    ok = expect_order(s, NULL, NULL, 0, 0, "-3 1 2 7 10 9223372036854775807 ") &&
         expect_order(s, "by_text", NULL, 0, 0, "7 2 -3 1 10 9223372036854775807 ") &&
         expect_order(s, "by_number_text", NULL, 0, 0, "9223372036854775807 7 2 -3 1 10 ");
    EXPECT(do_commit(s), QL_OK);
    return ok;
}

static bool from_a_place(struct suite *s)
{
    const struct ql_value two = ql_int(2), three = ql_int(3), a = ql_text("a"), aa = ql_text("aa"),
                          last = ql_text("\uffff");
    const struct ql_value pair[] = {ql_int(2), ql_text("ab")}, between[] = {ql_int(1), ql_text("C")};
    bool ok;

    if (!fill(s))
        return false;
    ok = expect_order(s, NULL, &two, 1, 0, "2 7 10 9223372036854775807 ") &&
         expect_order(s, NULL, &three, 1, 0, "7 10 9223372036854775807 ") &&
         expect_order(s, "by_text", &a, 1, 0, "-3 1 10 9223372036854775807 ") &&
         expect_order(s, "by_text", &aa, 1, 0, "1 10 9223372036854775807 ") &&
         expect_order(s, "by_text", &last, 1, 0, "") &&
         expect_order(s, "by_number_text", pair, 2, 0, "1 10 ") &&
         expect_order(s, "by_number_text", between, 2, 0, "-3 1 10 ");
    EXPECT(do_commit(s), QL_OK);
    return ok;
}

static bool limits_and_stops(struct suite *s)
{
    const struct ql_value two = ql_int(2);
    struct order o = {.stop_after = 2, .stop_with = 1};

    if (!fill(s))
        return false;
    if (!expect_order(s, NULL, NULL, 0, 2, "-3 1 ") || !expect_order(s, NULL, &two, 1, 1, "2 ") ||
        !expect_order(s, "by_text", NULL, 0, 3, "7 2 -3 "))
        return false;
    EXPECT(do_scan(s, &suite_things, NULL, NULL, 0, 0, note_id, &o), QL_OK);
    CHECK(o.count == 2);
    o = (struct order){.stop_after = 3, .stop_with = QL_ENOMEM};
    EXPECT(do_scan(s, &suite_things, NULL, NULL, 0, 0, note_id, &o), QL_ENOMEM);
    CHECK(o.count == 3);
    /* A scan that was stopped leaves nothing behind. */
    if (!expect_order(s, NULL, NULL, 0, 0, "-3 1 2 7 10 9223372036854775807 "))
        return false;
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool empty_and_unknown(struct suite *s)
{
    int count = 0;

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    CHECK(count_rows(s, &suite_things) == 0);
    CHECK(do_scan(s, &suite_things, "by_nothing", NULL, 0, 0, count_row, &count) < 0);
    CHECK(!count);
    do_rollback(s);
    return true;
}

struct nest {
    struct suite *s;
    struct ql_value key;
    int inner, failed;
};

static int read_inside(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct nest *n = arg;
    struct brief b = {0};
    int64_t id = row[ID].i;

    (void)column_count;
    n->key = row[ID];
    if (do_scan(n->s, &suite_things, NULL, NULL, 0, 0, count_row, &n->inner) < 0 ||
        do_get(n->s, &suite_things, &n->key, read_brief, &b) < 0 || b.id != id || row[ID].i != id)
        n->failed++;
    return 0;
}

static bool reading_inside(struct suite *s)
{
    struct nest n = {.s = s};

    if (!fill(s))
        return false;
    EXPECT(do_scan(s, &suite_things, NULL, NULL, 0, 0, read_inside, &n), QL_OK);
    CHECK(!n.failed);
    CHECK(n.inner == 36);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool own_writes_are_seen(struct suite *s)
{
    struct ql_value row[MORE];
    bool ok;

    if (!fill(s))
        return false;
    thing(row, 5, "new");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    thing(row, 2, NULL);
    EXPECT(do_del(s, &suite_things, row, NULL, 0), QL_OK);
    ok = expect_order(s, NULL, NULL, 0, 0, "-3 1 5 7 10 9223372036854775807 ");
    do_rollback(s);
    return ok;
}

const struct suite_test scan_tests[] = {
    {"rows come in the order of the key or index, numbers by value, text by bytes", in_order},
    {"a scan begins at the first row not before its place", from_a_place},
    {"a scan ends at its limit or where the callback says", limits_and_stops},
    {"an empty table has no rows, an unknown index is refused", empty_and_unknown},
    {"a row callback may read", reading_inside},
    {"a transaction sees its own writes", own_writes_are_seen},
    {0},
};
