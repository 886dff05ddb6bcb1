/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "collector.h"
#include "logs.h"
#include "plugin.h"
#include "tempdir.h"

static const char *path; /* what the plugin's option says */

static const char *get_string(const struct ql_options *o, const char *name)
{
    (void)o;
    return strcmp(name, MB_LOG_OPTION) == 0 ? path : "";
}

static const struct ql_options options = {.size = sizeof options, .get_string = get_string};
static struct mb_plugin plugin = {.host = &test_host, .options = &options};

/** Bytes that came, and how many the sink takes. */
struct got {
    struct ql_sink sink;
    uint8_t bytes[65536];
    size_t len, room;
    struct ql_collected ended;
    struct ql_err err;
};

static int sink_write(struct ql_sink *s, const void *data, size_t len)
{
    struct got *g = s->ctx;

    if (len > g->room - g->len)
        return QL_ELIMIT;
    memcpy(g->bytes + g->len, data, len);
    g->len += len;
    return QL_OK;
}

static int collect(void *handle, struct got *g)
{
    *g = (struct got){.sink = {.size = sizeof g->sink, .ctx = g, .write = sink_write},
                      .room = sizeof g->bytes,
                      .ended = {.size = sizeof g->ended, .cursor_to = 77, .more = 1},
                      .err = QL_ERR_INIT};
    return mb_evidence.collect(&plugin, handle, NULL, 5, &g->sink, &g->ended, &g->err);
}

static void *open_source(const char *at)
{
    void *handle = NULL;

    path = at;
    assert_int_equal(mb_evidence.open(&plugin, &handle, NULL), QL_OK);
    assert_non_null(handle);
    return handle;
}

static void close_source(void *handle)
{
    mb_evidence.close(&plugin, handle);
    assert_int_equal(host_live, 0);
}

static void collector_sends_the_whole_log_each_time(void **state)
{
    static struct got g;
    char log[40001];
    void *handle;

    memset(log, 'x', sizeof log - 1);
    log[sizeof log - 1] = '\0';
    tempdir_put(*state, "log", log);
    handle = open_source(tempdir_path(*state, "log"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(collect(handle, &g), QL_OK);
        assert_int_equal(g.len, sizeof log - 1);
        assert_memory_equal(g.bytes, log, g.len);
        assert_int_equal(g.ended.cursor_from, 0);
        assert_int_equal(g.ended.cursor_to, 0);
        assert_int_equal(g.ended.more, 0);
    }
    close_source(handle);
}

static void collector_says_at_each_collection_that_there_is_no_log(void **state)
{
    static struct got g;
    void *handle = open_source(tempdir_path(*state, "log"));

    for (int i = 0; i < 2; i++) {
        assert_int_equal(collect(handle, &g), QL_ENOTFOUND);
        assert_non_null(strstr(g.err.text, tempdir_path(*state, "log")));
        assert_non_null(strstr(g.err.text, "there is none"));
    }
    /* A log that appears later is found. */
    tempdir_put(*state, "log", "here");
    assert_int_equal(collect(handle, &g), QL_OK);
    assert_int_equal(g.len, 4);
    close_source(handle);
}

static void collector_refuses_an_empty_log(void **state)
{
    static struct got g;
    void *handle;

    tempdir_put(*state, "log", "");
    handle = open_source(tempdir_path(*state, "log"));
    assert_int_equal(collect(handle, &g), QL_ENOTFOUND);
    assert_non_null(strstr(g.err.text, "is empty"));
    close_source(handle);
}

static void collector_refuses_what_cannot_be_read(void **state)
{
    static struct got g;
    void *handle = open_source(*state);

    assert_int_equal(collect(handle, &g), QL_EIO);
    assert_non_null(strstr(g.err.text, "Is a directory"));
    close_source(handle);
}

static int sink_count(struct ql_sink *s, const void *data, size_t len)
{
    size_t *total = s->ctx;

    (void)data;
    *total += len;
    return QL_OK;
}

static void collector_has_a_limit_of_bytes(void **state)
{
    static const off_t sizes[] = {MB_LOG_MAX, MB_LOG_MAX + 1, (off_t)64 * 1024 * 1024};

    for (size_t i = 0; i < 3; i++) {
        size_t total = 0;
        struct ql_sink sink = {.size = sizeof sink, .ctx = &total, .write = sink_count};
        struct ql_collected ended = {.size = sizeof ended};
        struct ql_err err = QL_ERR_INIT;
        void *handle;
        int r;

        tempdir_put(*state, "log", "x");
        assert_int_equal(truncate(tempdir_path(*state, "log"), sizes[i]), 0);
        handle = open_source(tempdir_path(*state, "log"));
        r = mb_evidence.collect(&plugin, handle, NULL, 0, &sink, &ended, &err);
        if (i == 0) {
            assert_int_equal(r, QL_OK);
            assert_int_equal(total, MB_LOG_MAX);
        } else {
            assert_int_equal(r, QL_ELIMIT);
            assert_true(total <= MB_LOG_MAX);
            assert_non_null(strstr(err.text, "more than 4194304 bytes"));
        }
        close_source(handle);
    }
}

static void collector_never_sends_a_part_of_a_log(void **state)
{
    static struct got g;
    void *handle;

    tempdir_put(*state, "log", "0123456789");
    handle = open_source(tempdir_path(*state, "log"));
    g = (struct got){.sink = {.size = sizeof g.sink, .ctx = &g, .write = sink_write},
                     .room = 9,
                     .ended = {.size = sizeof g.ended},
                     .err = QL_ERR_INIT};
    assert_int_equal(mb_evidence.collect(&plugin, handle, NULL, 0, &g.sink, &g.ended, &g.err), QL_ELIMIT);
    assert_non_null(strstr(g.err.text, "does not fit into the answer"));
    close_source(handle);
}

static void collector_takes_default_for_the_place_where_linux_shows_it(void **state)
{
    static const char *const words[] = {"default", ""};
    static struct got g;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        void *handle = open_source(words[i]);

        if (access(MB_LOG_PATH, R_OK) != 0) {
            assert_true(collect(handle, &g) < 0);
            assert_non_null(strstr(g.err.text, "/sys/kernel/security/tpm0/binary_bios_measurements"));
        }
        close_source(handle);
    }
}

static void collector_feeds_the_member_that_keylime_reads(void **state)
{
    (void)state;
    assert_string_equal(mb_evidence.head.name, "mboot");
    assert_int_equal(mb_evidence.head.flags, QL_EVIDENCE_BOUND_PCR);
    assert_int_equal(mb_evidence.pcr, 0);
    assert_string_equal(mb_evidence.legacy_member, "mb_measurement_list");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(collector_sends_the_whole_log_each_time),
        TEST(collector_says_at_each_collection_that_there_is_no_log),
        TEST(collector_refuses_an_empty_log),
        TEST(collector_refuses_what_cannot_be_read),
        TEST(collector_has_a_limit_of_bytes),
        TEST(collector_never_sends_a_part_of_a_log),
        TEST(collector_takes_default_for_the_place_where_linux_shows_it),
        TEST(collector_feeds_the_member_that_keylime_reads),
    };

    return cmocka_run_group_tests_name("boot log collector", tests, NULL, NULL);
}
