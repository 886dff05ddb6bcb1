/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins whose authors had longer or shorter structs: the rows of their arrays are still told apart. */
#include "folder.h"

#include "error.h"

static void init_tells(void **state, const char *name)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;
    char file[64];

    snprintf(file, sizeof file, "%s.so", name);
    folder_copy(f, file);
    assert_int_equal(load(r, f, name, NULL, &err), QL_ERANGE);
    if (!strstr(err.text, "first=7 second=blue third=b"))
        fail_msg("%s: %s", name, err.text);
}

static void option_rows_of_a_later_release_are_read_without_their_tails(void **state)
{
    init_tells(state, "rows-longer");
}

static void option_rows_that_end_early_lack_what_was_appended(void **state)
{
    init_tells(state, "rows-shorter");
}

/* The same rows through a configuration: checked by name, type and range, with the file's line. */
static void rows_of_another_size_check_a_configuration(void **state)
{
    static const struct ql_option_group none[] = {{0}};
    static const char good[] = "needs-longer = { first = 3; third = [\"x\", \"y\"]; };\n";
    static const char bad[] = "needs-longer = { first = 3;\n  fourth = 1; };\n";
    const struct folder *f = *state;

    folder_copy(f, "needs-longer.so");
    for (int i = 0; i < 2; i++) {
        ql_auto(ql_config_freep) struct ql_config *c = NULL;
        ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
        const char *const names[] = {"needs-longer"};
        struct ql_err err = QL_ERR_INIT;
        int e;

        folder_write(f, "verifier.conf", i == 0 ? good : bad, strlen(i == 0 ? good : bad));
        assert_int_equal(ql_config_load("verifier", none, f->path, NULL, 0, &c, &err), QL_OK);
        e = ql_registry_load_all(r, f->path, names, 1, c, &err);
        if (i == 0) {
            assert_int_equal(e, QL_OK);
            assert_int_equal(ql_config_finish(c, &err), QL_OK);
            assert_int_equal(ql_config_int(c, "needs-longer", "first"), 3);
            ql_registry_free(r);
            r = NULL;
            /* The configuration may live longer than the plugins. */
            assert_string_equal(ql_config_item(c, "needs-longer", "third", 1), "y");
            assert_string_equal(ql_config_string(c, "needs-longer", "second"), "blue");
        } else {
            assert_int_equal(e, QL_EPARSE);
            assert_non_null(strstr(err.text, "verifier.conf:2: unknown option fourth in group needs-longer"));
        }
    }
}

static int read_needs(const struct folder *f, const char *name, struct ql_need *ret, size_t *ret_count,
                      struct ql_err *err)
{
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_needs needs = {.size = sizeof needs};
    const struct ql_validator *v;
    struct ql_found found;
    char file[64];

    snprintf(file, sizeof file, "%s.so", name);
    folder_copy(f, file);
    assert_int_equal(load(r, f, name, NULL, err), QL_OK);
    found = ql_registry_find(r, QL_KIND_VALIDATOR, name);
    v = (const struct ql_validator *)(const void *)found.head;
    assert_int_equal(v->needs(found.plugin, NULL, &needs, err), QL_OK);
    *ret_count = needs.item_count;
    return ql_needs_items(name, &needs, ret, err);
}

static void needs_of_another_size_are_read_item_by_item(void **state)
{
    static const char *const names[] = {"needs-longer", "needs-shorter"};

    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++) {
        struct ql_need items[QL_NEEDS_MAX];
        struct ql_err err = QL_ERR_INIT;
        size_t count = 0;

        assert_int_equal(read_needs(*state, names[i], items, &count, &err), QL_OK);
        assert_int_equal(count, 2);
        assert_string_equal(items[0].evidence, "one");
        assert_int_equal(items[0].bound, QL_BOUND_NONCE);
        assert_string_equal(items[1].evidence, "two");
        assert_int_equal(items[1].bound, QL_BOUND_PCR);
        assert_int_equal(items[1].pcr, 16);
        if (i == 0)
            assert_string_equal(items[1].parameters, "{\"n\": 1}");
        else
            assert_null(items[1].parameters);
        assert_int_equal(items[1].size, sizeof(struct ql_need));
    }
}

static void needs_of_two_sizes_are_refused(void **state)
{
    struct ql_need items[QL_NEEDS_MAX];
    struct ql_err err = QL_ERR_INIT;
    size_t count = 0;

    assert_int_equal(read_needs(*state, "needs-mixed", items, &count, &err), QL_EABI);
    assert_non_null(strstr(err.text, "validator needs-mixed: size of need 2: wanted"));
}

static void needs_without_a_size_or_without_end_are_refused(void **state)
{
    struct ql_need items[QL_NEEDS_MAX], one = {.evidence = "x", .bound = QL_BOUND_NONCE};
    struct ql_needs needs = {.size = sizeof needs, .items = &one, .item_count = 1};
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_needs_items("v", &needs, items, &err), QL_EABI);
    one.size = sizeof one + 1; /* would not be aligned */
    assert_int_equal(ql_needs_items("v", &needs, items, &err), QL_EABI);
    one.size = UINT32_MAX & ~UINT32_C(7);
    assert_int_equal(ql_needs_items("v", &needs, items, &err), QL_EABI);
    one.size = sizeof one;
    assert_int_equal(ql_needs_items("v", &needs, items, &err), QL_OK);
    needs.item_count = QL_NEEDS_MAX + 1;
    assert_int_equal(ql_needs_items("v", &needs, items, &err), QL_ELIMIT);
    needs.item_count = 1;
    needs.items = NULL;
    assert_int_equal(ql_needs_items("v", &needs, items, &err), QL_ELIMIT);
    needs.item_count = 0;
    assert_int_equal(ql_needs_items("v", &needs, items, &err), QL_OK);
}

static void a_row_size_that_cannot_be_is_refused(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    folder_copy(f, "option-size.so");
    assert_int_equal(load(r, f, "option-size", NULL, &err), QL_EABI);
    assert_non_null(strstr(err.text, "option-size.so: option_size: wanted"));
    assert_non_null(strstr(err.text, "found 12"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(option_rows_of_a_later_release_are_read_without_their_tails),
        TEST(option_rows_that_end_early_lack_what_was_appended),
        TEST(rows_of_another_size_check_a_configuration),
        TEST(needs_of_another_size_are_read_item_by_item),
        TEST(needs_of_two_sizes_are_refused),
        TEST(needs_without_a_size_or_without_end_are_refused),
        TEST(a_row_size_that_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
