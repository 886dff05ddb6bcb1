/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <sqlite3.h>

#include "changes.h"
#include "policies.h"

struct put {
    uint32_t mode;
    struct ql_policy_row row;
};

static int do_put(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct put *p = arg;

    return ql_policies_put(t, p->mode, &p->row, err);
}

static int put(struct fixture *f, uint32_t mode, const char *kind, const char *name, const char *content)
{
    struct ql_err err = QL_ERR_INIT;
    struct put p = {.mode = mode,
                    .row = {.kind = (char *)(uintptr_t)kind,
                            .name = (char *)(uintptr_t)name,
                            .content = (char *)(uintptr_t)content,
                            .content_len = content ? strlen(content) : 0,
                            .generator = 2}};

    return ql_store_run(f->store, do_put, &p, &err);
}

struct get {
    const char *kind, *name;
    struct ql_policy_row row;
};

static int do_get(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct get *g = arg;

    return ql_policies_get(t, g->kind, g->name, &g->row, err);
}

struct content {
    const char *digest;
    char *text;
    size_t len;
};

static int do_content(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct content *c = arg;

    return ql_policies_content(t, c->digest, &c->text, &c->len, err);
}

static int do_delete(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct get *g = arg;

    return ql_policies_delete(t, g->kind, g->name, err);
}

static int64_t contents(const struct fixture *f)
{
    sqlite3_stmt *stmt = NULL;
    sqlite3 *raw = NULL;
    int64_t n;

    assert_int_equal(sqlite3_open(fixture_path(f, "cv_data.sqlite"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw, "SELECT count(*) FROM policy_contents", -1, &stmt, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(raw);
    return n;
}

static void expect(struct fixture *f, const char *kind, const char *name, const char *content)
{
    struct get g = {.kind = kind, .name = name};

    fixture_run(f, do_get, &g, QL_OK);
    assert_string_equal(g.row.kind, kind);
    assert_string_equal(g.row.name, name);
    assert_int_equal(g.row.generator, 2);
    if (content) {
        assert_int_equal(g.row.content_len, strlen(content));
        assert_string_equal(g.row.content, content);
    } else {
        assert_null(g.row.content);
        assert_null(g.row.digest);
    }
    ql_policy_row_done(&g.row);
}

static void a_policy_comes_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", "p", "{\"meta\": {}}"), QL_OK);
    assert_int_equal(put(f, QL_PUT_INSERT, "mb", "p", NULL), QL_OK);
    assert_int_equal(put(f, QL_PUT_INSERT, "mb", "empty", ""), QL_OK);
    expect(f, "runtime", "p", "{\"meta\": {}}");
    expect(f, "mb", "p", NULL);
    expect(f, "mb", "empty", "");
}

static void content_is_found_by_its_sha256(void **state)
{
    struct fixture *f = *state;
    struct content c = {.digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"};

    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", "p", "abc"), QL_OK);
    fixture_run(f, do_content, &c, QL_OK);
    assert_int_equal(c.len, 3);
    assert_string_equal(c.text, "abc");
    free(c.text);
    c.digest = "00";
    fixture_run(f, do_content, &c, QL_ENOTFOUND);
}

static void bytes_of_any_value_are_kept(void **state)
{
    struct fixture *f = *state;
    char bytes[256];
    struct put p = {.mode = QL_PUT_UPSERT,
                    .row = {.kind = (char *)(uintptr_t) "custom",
                            .name = (char *)(uintptr_t) "bin",
                            .content = bytes,
                            .content_len = sizeof bytes}};
    struct get g = {.kind = "custom", .name = "bin"};

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    fixture_run(f, do_put, &p, QL_OK);
    fixture_run(f, do_get, &g, QL_OK);
    assert_int_equal(g.row.content_len, sizeof bytes);
    assert_memory_equal(g.row.content, bytes, sizeof bytes);
    ql_policy_row_done(&g.row);
}

static void an_insert_needs_a_free_name_and_an_update_a_taken_one(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(put(f, QL_PUT_UPDATE, "runtime", "p", "one"), QL_ENOTFOUND);
    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", "p", "one"), QL_OK);
    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", "p", "two"), QL_EEXIST);
    expect(f, "runtime", "p", "one");
    assert_int_equal(put(f, QL_PUT_UPDATE, "runtime", "p", "two"), QL_OK);
    expect(f, "runtime", "p", "two");
    assert_int_equal(put(f, QL_PUT_UPSERT, "runtime", "p", "three"), QL_OK);
    expect(f, "runtime", "p", "three");
    assert_int_equal(contents(f), 1);
}

static void equal_content_is_stored_once_and_leaves_with_its_last_name(void **state)
{
    struct get first = {.kind = "runtime", .name = "a"}, second = {.kind = "mb", .name = "b"};
    struct fixture *f = *state;

    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", "a", "same"), QL_OK);
    assert_int_equal(put(f, QL_PUT_INSERT, "mb", "b", "same"), QL_OK);
    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", "c", "other"), QL_OK);
    assert_int_equal(contents(f), 2);
    fixture_run(f, do_delete, &first, QL_OK);
    assert_int_equal(contents(f), 2);
    expect(f, "mb", "b", "same");
    fixture_run(f, do_delete, &second, QL_OK);
    assert_int_equal(contents(f), 1);
    expect(f, "runtime", "c", "other");
    fixture_run(f, do_delete, &second, QL_ENOTFOUND);
}

struct names {
    char text[100];
};

static int see_name(void *arg, const char *name)
{
    struct names *n = arg;
    size_t len = strlen(n->text);

    (void)snprintf(n->text + len, sizeof n->text - len, "%s ", name);
    return 0;
}

static int do_names(struct ql_txn *t, void *arg, struct ql_err *err)
{
    ((struct names *)arg)->text[0] = 0;
    return ql_policies_names(t, "runtime", see_name, arg, err);
}

static void names_are_those_of_one_kind_in_order(void **state)
{
    struct fixture *f = *state;
    struct names n = {0};

    fixture_run(f, do_names, &n, QL_OK);
    assert_string_equal(n.text, "");
    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", "b", "1"), QL_OK);
    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", "a", "2"), QL_OK);
    assert_int_equal(put(f, QL_PUT_INSERT, "mb", "c", "3"), QL_OK);
    assert_int_equal(put(f, QL_PUT_INSERT, "runtimes", "d", "4"), QL_OK);
    fixture_run(f, do_names, &n, QL_OK);
    assert_string_equal(n.text, "a b ");
}

static void a_name_that_lost_its_content_is_an_error_and_can_be_put_anew(void **state)
{
    struct get g = {.kind = "runtime", .name = "p"};
    struct fixture *f = *state;
    struct ql_err err = QL_ERR_INIT;
    sqlite3 *raw = NULL;

    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", "p", "x"), QL_OK);
    assert_int_equal(sqlite3_open(fixture_path(f, "cv_data.sqlite"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "DELETE FROM policy_contents", NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(raw);
    assert_int_equal(ql_store_run(f->store, do_get, &g, &err), QL_EPARSE);
    assert_string_equal(err.text, "runtime policy p has lost its content");
    assert_int_equal(put(f, QL_PUT_UPDATE, "runtime", "p", "x"), QL_OK);
    expect(f, "runtime", "p", "x");
}

static void a_name_that_is_too_long_is_refused(void **state)
{
    struct fixture *f = *state;
    char name[QL_POLICY_NAME_MAX + 2];

    memset(name, 'n', sizeof name);
    name[QL_POLICY_NAME_MAX + 1] = 0;
    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", name, "x"), QL_ERANGE);
    name[QL_POLICY_NAME_MAX] = 0;
    assert_int_equal(put(f, QL_PUT_INSERT, "runtime", name, "x"), QL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open_verifier, fixture_teardown)
        TEST(a_policy_comes_back_as_it_was_put),
        TEST(content_is_found_by_its_sha256),
        TEST(bytes_of_any_value_are_kept),
        TEST(an_insert_needs_a_free_name_and_an_update_a_taken_one),
        TEST(equal_content_is_stored_once_and_leaves_with_its_last_name),
        TEST(names_are_those_of_one_kind_in_order),
        TEST(a_name_that_lost_its_content_is_an_error_and_can_be_put_anew),
        TEST(a_name_that_is_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
