/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include "rig.h"

#include "list_index.h"
#include <fcntl.h>

/** A collector over a file of the test's folder. */
struct served {
    struct rig rig;
    char path[512];
    void *handle;
    struct ql_sink sink;
    char *got;
    size_t len, room;
    struct ql_collected ended;
    struct ql_err err;
};

static int take(struct ql_sink *s, const void *data, size_t len)
{
    struct served *v = s->ctx;

    if (len > v->room - v->len)
        return QL_ELIMIT;
    memcpy(v->got + v->len, data, len);
    v->len += len;
    return QL_OK;
}

static void serve(struct served *v, const char *dir)
{
    struct rig_options o = rig_defaults();

    memset(v, 0, sizeof *v);
    v->err.size = sizeof v->err;
    v->room = 4 * 1024 * 1024;
    v->got = malloc(v->room);
    assert_non_null(v->got);
    snprintf(v->path, sizeof v->path, "%s", tempdir_path(dir, "list"));
    o.list = v->path;
    rig_start(&v->rig, o);
    assert_int_equal(ima_evidence.open(v->rig.plugin, &v->handle, NULL), QL_OK);
}

static void end(struct served *v)
{
    ima_evidence.close(v->rig.plugin, v->handle);
    rig_stop(&v->rig);
    free(v->got);
}

static int collect(struct served *v, uint64_t cursor)
{
    v->len = 0;
    v->sink = (struct ql_sink){.size = sizeof v->sink, .ctx = v, .write = take};
    v->ended = (struct ql_collected){.size = sizeof v->ended};
    return ima_evidence.collect(v->rig.plugin, v->handle, NULL, cursor, &v->sink, &v->ended, &v->err);
}

/* Expect these bytes and cursors. */
static void expect(struct served *v, uint64_t cursor, const char *text, uint64_t from, uint64_t to)
{
    if (collect(v, cursor) != QL_OK)
        fail_msg("%s", v->err.text);
    if (v->len != strlen(text) || memcmp(v->got, text, v->len) != 0)
        fail_msg("from %llu: %.*s", (unsigned long long)cursor, (int)v->len, v->got);
    assert_int_equal(v->ended.cursor_from, from);
    assert_int_equal(v->ended.cursor_to, to);
    assert_int_equal(v->ended.more, 0);
}

static void append(const struct served *v, const char *text)
{
    FILE *f = fopen(v->path, "a");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void a_list_is_served_from_any_entry(void **state)
{
    struct served v;

    tempdir_put(*state, "list", "one\ntwo\nthree\n");
    serve(&v, *state);
    expect(&v, 0, "one\ntwo\nthree\n", 0, 3);
    expect(&v, 1, "two\nthree\n", 1, 3);
    expect(&v, 2, "three\n", 2, 3);
    expect(&v, 3, "", 3, 3);
    expect(&v, 0, "one\ntwo\nthree\n", 0, 3);
    end(&v);
}

static void what_is_behind_the_end_is_everything(void **state)
{
    struct served v;

    tempdir_put(*state, "list", "one\ntwo\n");
    serve(&v, *state);
    expect(&v, 3, "one\ntwo\n", 0, 2);
    expect(&v, UINT64_MAX, "one\ntwo\n", 0, 2);
    end(&v);
}

static void a_growing_list_is_served_by_whole_entries(void **state)
{
    struct served v;

    tempdir_put(*state, "list", "one\ntw");
    serve(&v, *state);
    expect(&v, 0, "one\n", 0, 1);
    append(&v, "o\nthr");
    expect(&v, 1, "two\n", 1, 2);
    expect(&v, 2, "", 2, 2);
    append(&v, "ee\nfour\n");
    expect(&v, 2, "three\nfour\n", 2, 4);
    expect(&v, 0, "one\ntwo\nthree\nfour\n", 0, 4);
    end(&v);
}

static void a_list_that_became_shorter_is_served_from_its_start(void **state)
{
    struct served v;

    tempdir_put(*state, "list", "one\ntwo\nthree\n");
    serve(&v, *state);
    expect(&v, 2, "three\n", 2, 3);
    tempdir_put(*state, "list", "uno\n");
    expect(&v, 1, "uno\n", 0, 1);
    expect(&v, 1, "", 1, 1);
    end(&v);
}

static void another_list_of_the_same_length_is_served_from_its_start(void **state)
{
    struct served v;

    tempdir_put(*state, "list", "one\ntwo\nthree\n");
    serve(&v, *state);
    expect(&v, 3, "", 3, 3);
    tempdir_put(*state, "list", "eno\nowt\neerht\nfour\n");
    expect(&v, 3, "eno\nowt\neerht\nfour\n", 0, 4);
    end(&v);
}

static void a_file_that_took_the_lists_place_is_served(void **state)
{
    struct served v;

    tempdir_put(*state, "list", "one\ntwo\n");
    serve(&v, *state);
    expect(&v, 1, "two\n", 1, 2);
    tempdir_put(*state, "other", "other\nlist\n");
    assert_int_equal(rename(tempdir_path(*state, "other"), v.path), 0);
    expect(&v, 2, "other\nlist\n", 0, 2);
    append(&v, "more\n");
    expect(&v, 2, "more\n", 2, 3);
    end(&v);
}

static void a_list_that_is_not_there_is_an_error_until_it_is(void **state)
{
    struct served v;

    serve(&v, *state);
    assert_int_equal(collect(&v, 0), QL_ENOTFOUND);
    assert_non_null(strstr(v.err.text, v.path));
    assert_non_null(strstr(v.err.text, "No such file"));
    tempdir_put(*state, "list", "one\n");
    expect(&v, 0, "one\n", 0, 1);
    end(&v);
}

static void a_list_that_was_removed_is_served_from_the_open_file(void **state)
{
    struct served v;

    tempdir_put(*state, "list", "one\n");
    serve(&v, *state);
    expect(&v, 0, "one\n", 0, 1);
    assert_int_equal(unlink(v.path), 0);
    expect(&v, 0, "one\n", 0, 1);
    end(&v);
}

static void a_folder_is_no_list(void **state)
{
    struct served v;

    serve(&v, *state);
    assert_int_equal(mkdir(v.path, 0700), 0);
    assert_int_equal(collect(&v, 0), QL_EACCES);
    assert_non_null(strstr(v.err.text, "not a file"));
    end(&v);
}

static void an_empty_list_is_a_list(void **state)
{
    struct served v;

    tempdir_put(*state, "list", "");
    serve(&v, *state);
    expect(&v, 0, "", 0, 0);
    expect(&v, 1, "", 0, 0);
    end(&v);
}

static void a_full_answer_ends_behind_a_whole_entry(void **state)
{
    char line[1000];
    struct served v;

    memset(line, 'x', sizeof line);
    line[sizeof line - 2] = '\n';
    line[sizeof line - 1] = '\0';
    tempdir_put(*state, "list", "");
    serve(&v, *state);
    for (int i = 0; i < 300; i++)
        append(&v, line);
    v.room = 150000;
    assert_int_equal(collect(&v, 10), QL_OK);
    assert_int_equal(v.ended.more, 1);
    assert_true(v.len > 0 && v.len % 999 == 0);
    assert_int_equal(v.ended.cursor_to, 10 + v.len / 999);
    end(&v);
}

static void every_entry_of_a_long_list_is_found(void **state)
{
    struct served v;
    FILE *f;

    tempdir_put(*state, "list", "");
    serve(&v, *state);
    f = fopen(v.path, "w");
    for (int i = 0; i < 20000; i++)
        assert_true(fprintf(f, "entry %d %.*s\n", i, i % 50,
                            "..................................................") > 0);
    assert_int_equal(fclose(f), 0);
    for (uint64_t n = 1; n < 20000; n += 617) {
        char first[32];

        assert_int_equal(collect(&v, n), QL_OK);
        snprintf(first, sizeof first, "entry %llu ", (unsigned long long)n);
        assert_memory_equal(v.got, first, strlen(first));
        assert_int_equal(v.ended.cursor_to, 20000);
    }
    end(&v);
}

static void an_index_takes_less_than_a_byte_an_entry(void **state)
{
    struct ima_index x;
    uint8_t *chunk = malloc(IMA_CHUNK);
    bool is_new;
    FILE *f = fopen(tempdir_path(*state, "list"), "w+");

    assert_non_null(chunk);
    for (int i = 0; i < 100000; i++)
        assert_true(fputs("x\n", f) >= 0);
    fflush(f);
    ima_index_init(&x, &ql_tool_host);
    assert_int_equal(ima_index_update(&x, fileno(f), chunk, &is_new, NULL), QL_OK);
    assert_int_equal(x.count, 100000);
    assert_true(x.room * sizeof *x.offsets < x.count);
    ima_index_done(&x);
    free(chunk);
    fclose(f);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_list_is_served_from_any_entry),
        WITH_FOLDER(what_is_behind_the_end_is_everything),
        WITH_FOLDER(a_growing_list_is_served_by_whole_entries),
        WITH_FOLDER(a_list_that_became_shorter_is_served_from_its_start),
        WITH_FOLDER(another_list_of_the_same_length_is_served_from_its_start),
        WITH_FOLDER(a_file_that_took_the_lists_place_is_served),
        WITH_FOLDER(a_list_that_is_not_there_is_an_error_until_it_is),
        WITH_FOLDER(a_list_that_was_removed_is_served_from_the_open_file),
        WITH_FOLDER(a_folder_is_no_list),
        WITH_FOLDER(an_empty_list_is_a_list),
        WITH_FOLDER(a_full_answer_ends_behind_a_whole_entry),
        WITH_FOLDER(every_entry_of_a_long_list_is_found),
        WITH_FOLDER(an_index_takes_less_than_a_byte_an_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
