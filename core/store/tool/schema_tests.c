/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "store.h"
#include "suite.h"

/* These come last and in this order: each leaves the database in a later version of the schema. */

static bool rows_stay_when_reopened(struct suite *s)
{
    struct ql_value row[MORE];

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, "old");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_commit(s), QL_OK);
    for (int i = 0; i < 3; i++)
        EXPECT(suite_open(s, &suite_first), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    CHECK(count_rows(s, &suite_things) == 1);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

/** A backend that keeps schemas apart by name may open it; then none of these rows may be in it. */
static bool a_foreign_schema_touches_nothing(struct suite *s)
{
    int r = suite_open(s, &suite_foreign);

    if (r == QL_OK) {
        EXPECT(do_begin(s), QL_OK);
        CHECK(count_rows(s, &suite_things) == 0);
        EXPECT(do_commit(s), QL_OK);
    } else {
        CHECK(strstr(s->err.text, "stranger") != NULL);
    }
    EXPECT(suite_open(s, &suite_first), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    CHECK(count_rows(s, &suite_things) == 1);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool no_migration_without_leave(struct suite *s)
{
    CHECK(suite_open(s, &suite_second_by_hand) < 0);
    CHECK(s->err.text[0] != 0);
    EXPECT(suite_open(s, &suite_first), QL_OK);
    return true;
}

static bool migration_keeps_rows(struct suite *s)
{
    struct ql_value row[MORE + 1], late[] = {ql_text("name"), ql_int(1)};
    struct brief b = {0};

    EXPECT(suite_open(s, &suite_second), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, NULL);
    EXPECT(do_get(s, &suite_things_more, row, read_brief, &b), QL_OK);
    CHECK(!strcmp(b.text, "old") && !strcmp(b.more, "null"));
    thing(row, 2, "new");
    row[MORE] = ql_text("and more");
    EXPECT(do_put(s, &suite_things_more, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_put(s, &suite_late, QL_PUT_INSERT, late, 0, NULL, 0), QL_OK);
    EXPECT(do_commit(s), QL_OK);
    EXPECT(suite_open(s, &suite_second_by_hand), QL_OK);
    return true;
}

static bool an_admitted_older_release_works(struct suite *s)
{
    struct ql_value row[MORE + 1];
    struct brief b = {0};

    EXPECT(suite_open(s, &suite_first), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 2, "by the older");
    EXPECT(do_put(s, &suite_things, QL_PUT_UPSERT, row, 0, NULL, 0), QL_OK);
    thing(row, 3, "inserted by the older");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_commit(s), QL_OK);
    EXPECT(suite_open(s, &suite_second), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 2, NULL);
    EXPECT(do_get(s, &suite_things_more, row, read_brief, &b), QL_OK);
    CHECK(!strcmp(b.text, "by the older") && !strcmp(b.more, "and more"));
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool a_newer_schema_is_refused(struct suite *s)
{
    struct ql_value row[MORE + 1];
    struct brief b = {0};

    EXPECT(suite_open(s, &suite_third), QL_OK);
    CHECK(suite_open(s, &suite_first) < 0);
    CHECK(strchr(s->err.text, '3') && strchr(s->err.text, '1'));
    EXPECT(suite_open(s, &suite_second), QL_OK);
    EXPECT(suite_open(s, &suite_third), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 2, NULL);
    EXPECT(do_get(s, &suite_things_more, row, read_brief, &b), QL_OK);
    CHECK(!strcmp(b.more, "and more"));
    EXPECT(do_commit(s), QL_OK);
    return true;
}

const struct suite_test schema_tests[] = {
    {"opening again keeps tables and rows", rows_stay_when_reopened},
    {"a schema of another name is refused or kept apart", a_foreign_schema_touches_nothing},
    {"without leave nothing is migrated", no_migration_without_leave},
    {"an older schema is migrated and its rows stay", migration_keeps_rows},
    {"an older release that is admitted works and loses no column", an_admitted_older_release_works},
    {"a newer schema is refused and left alone", a_newer_schema_is_refused},
    {0},
};
