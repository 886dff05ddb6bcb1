/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"

#include "error.h"

/* Load one faulty plugin and expect its refusal to hold these words. */
static void refuses(void **state, const char *name, int code, const char *first, const char *second)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;
    char file[64];

    snprintf(file, sizeof file, "%s.so", name);
    folder_copy(f, file);
    assert_int_equal(load(r, f, name, NULL, &err), code);
    if (!strstr(err.text, name) || !strstr(err.text, first) || !strstr(err.text, second))
        fail_msg("refusal of %s lacks \"%s\" or \"%s\": %s", name, first, second, err.text);
    assert_null(ql_registry_at(r, QL_KIND_VALIDATOR, 0).head);
}

static void loader_takes_a_plugin_that_keeps_the_rules(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;
    struct ql_found found;

    folder_copy(f, "idle.so");
    assert_int_equal(load(r, f, "idle", NULL, &err), QL_OK);
    found = ql_registry_find(r, QL_KIND_VALIDATOR, "idle");
    assert_non_null(found.head);
    assert_string_equal(found.plugin_name, "idle");
    assert_null(ql_registry_find(r, QL_KIND_EVIDENCE, "idle").head);
    assert_null(ql_registry_at(r, QL_KIND_VALIDATOR, 1).head);
}

static void loader_refuses_another_magic(void **state)
{
    refuses(state, "wrong-magic", QL_EABI, "magic: wanted 0x514c504c", "found 0x6d616c63");
}

static void loader_refuses_another_major_whatever_follows_it(void **state)
{
    refuses(state, "other-major", QL_EABI, "ABI major: wanted 1", "found 2");
}

static void loader_refuses_a_newer_minor(void **state)
{
    refuses(state, "newer-minor", QL_EABI, "ABI minor: wanted at most 0", "found 1");
}

static void loader_refuses_a_size_beyond_the_symbol(void **state)
{
    refuses(state, "size-lies", QL_EABI, "size: wanted", "found 4096");
}

static void loader_refuses_a_definition_that_ends_early(void **state)
{
    refuses(state, "short-definition", QL_EABI, "size: wanted at least", "found 24");
}

static void loader_refuses_a_symbol_of_three_bytes(void **state)
{
    refuses(state, "tiny-symbol", QL_EABI, "symbol ql_plugin: wanted", "found 3");
}

static void loader_refuses_a_library_without_the_symbol(void **state)
{
    refuses(state, "no-symbol", QL_EABI, "wanted ql_plugin", "found none");
}

static void loader_finds_missing_functions_at_once(void **state)
{
    refuses(state, "unresolved", QL_EABI, "cannot be mapped", "quicklime_internal_function");
}

static void loader_refuses_a_validator_without_validate(void **state)
{
    refuses(state, "no-validate", QL_EABI, "validator no-validate: function", "found none");
}

static void loader_refuses_a_component_that_ends_early(void **state)
{
    refuses(state, "short-component", QL_EABI, "validator short-component: size: wanted at least", "found");
}

static void loader_refuses_a_component_name_that_is_none(void **state)
{
    refuses(state, "bad-name", QL_ERANGE, "validator: name", "a-z");
}

static void loader_refuses_an_option_of_unknown_type(void **state)
{
    refuses(state, "bad-option", QL_ERANGE, "option limit: type: wanted 1 to 6", "found 77");
}

static void loader_passes_on_why_init_failed(void **state)
{
    refuses(state, "init-fails", QL_EUNSUPPORTED, "init: ", "wrong phase");
}

static void loader_refuses_a_file_that_is_no_library(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    folder_write(f, "text.so", "hello", 5);
    assert_int_equal(load(r, f, "text", NULL, &err), QL_EABI);
    assert_non_null(strstr(err.text, "text.so: cannot be mapped"));
}

static void loader_refuses_two_components_of_one_name(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    folder_copy(f, "idle.so");
    folder_copy(f, "same-name.so");
    assert_int_equal(load(r, f, "idle", "same-name", &err), QL_EEXIST);
    assert_non_null(strstr(err.text, "same-name.so: validator idle: name: taken by plugin idle"));
}

static void loader_refuses_the_same_plugin_twice(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    folder_copy(f, "idle.so");
    assert_int_equal(load(r, f, "idle", "idle", &err), QL_EEXIST);
    assert_non_null(strstr(err.text, "a plugin idle is loaded already"));
}

static void loader_tells_files_apart_that_come_by_the_same_descriptor_number(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_plugin_file first = {.fd = -1}, second = {.fd = -1};
    struct ql_err err = QL_ERR_INIT;
    int number;

    folder_copy(f, "idle.so");
    folder_copy(f, "odd-sizes.so");
    assert_int_equal(ql_plugin_file_open(f->path, "idle", &first, &err), QL_OK);
    number = first.fd;
    assert_int_equal(ql_registry_load(r, &first, NULL, &err), QL_OK);
    ql_plugin_file_close(&first);
    assert_int_equal(ql_plugin_file_open(f->path, "odd-sizes", &second, &err), QL_OK);
    assert_int_equal(second.fd, number);
    assert_int_equal(ql_registry_load(r, &second, NULL, &err), QL_OK);
    ql_plugin_file_close(&second);
    assert_non_null(ql_registry_find(r, QL_KIND_VALIDATOR, "older").head);
}

static void loader_loads_what_was_opened_not_what_stands_there_later(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_plugin_file file = {.fd = -1};
    struct ql_err err = QL_ERR_INIT;
    char path[512];

    folder_copy(f, "idle.so");
    assert_int_equal(ql_plugin_file_open(f->path, "idle", &file, &err), QL_OK);
    assert_int_equal(unlink(folder_at(f, "idle.so", path)), 0);
    folder_write(f, "idle.so", "replaced", 8);
    assert_int_equal(ql_registry_load(r, &file, NULL, &err), QL_OK);
    ql_plugin_file_close(&file);
    assert_non_null(ql_registry_find(r, QL_KIND_VALIDATOR, "idle").head);
}

static void registry_sees_nothing_beyond_a_components_size_and_skips_unknown_kinds(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;
    const struct ql_validator *v;

    folder_copy(f, "odd-sizes.so");
    assert_int_equal(load(r, f, "odd-sizes", NULL, &err), QL_OK);
    v = (const struct ql_validator *)(const void *)ql_registry_find(r, QL_KIND_VALIDATOR, "older").head;
    assert_non_null(v);
    assert_null(v->upgrade_state);
    assert_null(v->explain);
    assert_int_equal(v->head.size, sizeof *v);
    v = (const struct ql_validator *)(const void *)ql_registry_find(r, QL_KIND_VALIDATOR, "newer").head;
    assert_non_null(v);
    assert_int_equal(v->head.size, sizeof *v);
}

static void registry_orders_validators_by_after(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    folder_copy(f, "odd-sizes.so");
    folder_copy(f, "idle.so");
    assert_int_equal(load(r, f, "odd-sizes", "idle", &err), QL_OK);
    /* `older` stands first in the file, but names `newer`. */
    assert_string_equal(ql_registry_at(r, QL_KIND_VALIDATOR, 0).head->name, "newer");
    assert_string_equal(ql_registry_at(r, QL_KIND_VALIDATOR, 1).head->name, "older");
    assert_string_equal(ql_registry_at(r, QL_KIND_VALIDATOR, 2).head->name, "idle");
}

static void registry_refuses_an_after_that_names_nobody(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    folder_copy(f, "after-nobody.so");
    assert_int_equal(load(r, f, "after-nobody", NULL, &err), QL_ERANGE);
    assert_non_null(strstr(err.text, "validator after-nobody: after: no validator nobody is loaded"));
}

static void registry_refuses_a_cycle_and_names_it(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    folder_copy(f, "cycle.so");
    assert_int_equal(load(r, f, "cycle", NULL, &err), QL_ERANGE);
    assert_non_null(strstr(err.text, "egg, hen"));
}

static void registry_keeps_only_kinds_that_the_process_uses(void **state)
{
    const struct folder *f = *state;
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_EVIDENCE};
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(&config);
    struct ql_err err = QL_ERR_INIT;

    folder_copy(f, "idle.so");
    assert_int_equal(load(r, f, "idle", NULL, &err), QL_OK);
    assert_null(ql_registry_find(r, QL_KIND_VALIDATOR, "idle").head);
}

static void options_without_configuration_are_the_defaults(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    folder_copy(f, "options.so");
    assert_int_equal(load(r, f, "options", NULL, &err), QL_OK);
    assert_ptr_equal(ql_registry_find(r, QL_KIND_VALIDATOR, "options").plugin, (void *)7);
}

static int load_with(struct ql_registry *r, const struct folder *f, const char *text,
                     struct ql_config **config, struct ql_err *err)
{
    const struct ql_option_group none[] = {{0}};
    const char *const names[] = {"options"};
    int e;

    folder_copy(f, "options.so");
    folder_write(f, "tool.conf", text, strlen(text));
    e = ql_config_load("tool", none, f->path, NULL, 0, config, err);
    if (e == QL_OK)
        e = ql_registry_load_all(r, f->path, names, 1, *config, err);
    return e == QL_OK ? ql_config_finish(*config, err) : e;
}

static void options_come_from_the_plugins_group(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *config = NULL;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(load_with(r, *state,
                               "options = { fail = true; count = 12; ratio = 2.25; word = \"red\"; "
                               "list = [\"x\", \"y\"]; };\n",
                               &config, &err),
                     QL_ERANGE);
    assert_non_null(strstr(err.text, "count=12 ratio=2.25 word=red first=x second=y"));
}

static void options_unknown_in_the_plugins_group_are_errors_with_file_and_line(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *config = NULL;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    assert_int_not_equal(load_with(r, *state, "options = {\n  colour = \"red\";\n};\n", &config, &err),
                         QL_OK);
    assert_non_null(strstr(err.text, "tool.conf:2"));
    assert_non_null(strstr(err.text, "colour"));
}

static void options_out_of_range_are_errors(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *config = NULL;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;

    assert_int_not_equal(load_with(r, *state, "options = { count = 100; };\n", &config, &err), QL_OK);
    assert_non_null(strstr(err.text, "count"));
}

static void rows_alone_are_checked_without_calling_the_plugin(void **state)
{
    const struct ql_registry_config rows_only = {.rows_only = true};
    ql_auto(ql_config_freep) struct ql_config *config = NULL, *copy = NULL;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(&rows_only), *workers = NULL;
    ql_auto_free char *text = NULL;
    const char *const names[] = {"options"};
    const struct folder *f = *state;
    struct ql_err err = QL_ERR_INIT;

    /* Its init would fail. */
    assert_int_equal(
        load_with(r, f, "options = { fail = true; list = [\"x, y\", \"z\"]; };\n", &config, &err), QL_OK);
    assert_null(ql_registry_find(r, QL_KIND_VALIDATOR, "options").head);
    /* Once more, for another purpose, with the group that is there: now it is called. */
    workers = new_registry(NULL);
    assert_int_equal(ql_registry_load_all(workers, f->path, names, 1, config, &err), QL_ERANGE);
    ql_registry_free(workers);
    workers = new_registry(NULL);
    /* What the worker gets is what the file said: there init is called. */
    assert_int_equal(ql_registry_config_text(r, config, &text, &err), QL_OK);
    assert_int_equal(ql_config_load_text("worker", text, NULL, 0, &copy, &err), QL_OK);
    assert_int_equal(ql_registry_load_all(workers, f->path, names, 1, copy, &err), QL_ERANGE);
    assert_non_null(strstr(err.text, "first=x, y second=z"));
}

static void host_memory_ends_at_the_allowance_and_comes_back(void **state)
{
    const struct folder *f = *state;
    const struct ql_registry_config config = {.plugin_memory = 1024 * 1024};
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(&config);
    struct ql_err err = QL_ERR_INIT;
    struct ql_found found;
    const struct ql_validator *v;

    folder_copy(f, "memory.so");
    assert_int_equal(load(r, f, "memory", NULL, &err), QL_OK);
    found = ql_registry_find(r, QL_KIND_VALIDATOR, "memory");
    v = (const struct ql_validator *)(const void *)found.head;
    for (int i = 0; i < 100; i++) {
        struct ql_state out = {.size = sizeof out};

        assert_int_equal(v->validate(found.plugin, NULL, NULL, NULL, NULL, &out, &err), QL_OK);
        /* 16 blocks of 64 KiB and their headers do not fit into 1 MiB, 15 do. */
        assert_int_equal(out.data[0], 15);
        ql_plugin_memory_free((void *)(uintptr_t)out.data);
    }
}

static void describe_names_components_options_and_what_was_skipped(void **state)
{
    const struct folder *f = *state;
    ql_auto(ql_registry_freep) struct ql_registry *r = new_registry(NULL);
    struct ql_err err = QL_ERR_INIT;
    ql_auto_free char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    folder_copy(f, "odd-sizes.so");
    folder_copy(f, "options.so");
    assert_int_equal(load(r, f, "odd-sizes", "options", &err), QL_OK);
    ql_registry_describe(r, out);
    fclose(out);
    assert_non_null(strstr(text, "plugin odd-sizes 1.0 (Apache-2.0): is of several ages\n"));
    assert_non_null(strstr(text, "  validator older, after newer\n"));
    assert_non_null(strstr(text, "  option options.count (int, 1 to 99, default \"7\"): a number\n"));
    assert_non_null(strstr(text, "secret): a secret\n"));
    assert_non_null(strstr(text, "  1 components of kinds that this release does not know were skipped\n"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(loader_takes_a_plugin_that_keeps_the_rules),
        TEST(loader_refuses_another_magic),
        TEST(loader_refuses_another_major_whatever_follows_it),
        TEST(loader_refuses_a_newer_minor),
        TEST(loader_refuses_a_size_beyond_the_symbol),
        TEST(loader_refuses_a_definition_that_ends_early),
        TEST(loader_refuses_a_symbol_of_three_bytes),
        TEST(loader_refuses_a_library_without_the_symbol),
        TEST(loader_finds_missing_functions_at_once),
        TEST(loader_refuses_a_validator_without_validate),
        TEST(loader_refuses_a_component_that_ends_early),
        TEST(loader_refuses_a_component_name_that_is_none),
        TEST(loader_refuses_an_option_of_unknown_type),
        TEST(loader_passes_on_why_init_failed),
        TEST(loader_refuses_a_file_that_is_no_library),
        TEST(loader_refuses_two_components_of_one_name),
        TEST(loader_refuses_the_same_plugin_twice),
        TEST(loader_tells_files_apart_that_come_by_the_same_descriptor_number),
        TEST(loader_loads_what_was_opened_not_what_stands_there_later),
        TEST(registry_sees_nothing_beyond_a_components_size_and_skips_unknown_kinds),
        TEST(registry_orders_validators_by_after),
        TEST(registry_refuses_an_after_that_names_nobody),
        TEST(registry_refuses_a_cycle_and_names_it),
        TEST(registry_keeps_only_kinds_that_the_process_uses),
        TEST(options_without_configuration_are_the_defaults),
        TEST(options_come_from_the_plugins_group),
        TEST(options_unknown_in_the_plugins_group_are_errors_with_file_and_line),
        TEST(options_out_of_range_are_errors),
        TEST(rows_alone_are_checked_without_calling_the_plugin),
        TEST(host_memory_ends_at_the_allowance_and_comes_back),
        TEST(describe_names_components_options_and_what_was_skipped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
