/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include <errno.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "json.h"
#include "log.h"

/* All tests share the process's log; each opens a file of its own. */
static void open_log(void **state, enum ql_log_format format)
{
    ql_log_setup("quicklime-test", QL_INFO, format);
    assert_int_equal(ql_log_open(tempdir_path(*state, "log"), NULL), QL_OK);
}

static void logfmt_line_has_five_keys(void **state)
{
    ql_auto_free char *text = NULL;

    open_log(state, QL_LOG_LOGFMT);
    ql_log(QL_WARN, "http", "agent=%s gave up", "a1");
    text = tempdir_get(*state, "log");
    assert_int_equal(strncmp(text, "time=20", 7), 0);
    assert_string_equal(strchr(text, ' '),
                        " level=warn program=quicklime-test area=http msg=\"agent=a1 gave up\"\n");
}

static void json_line_parses_and_keeps_the_message(void **state)
{
    static const char message[] = "tab\t quote\" back\\slash \xc3\xa9 line\nbreak \x1b[31m";
    ql_auto_free char *text = NULL;
    ql_auto_json json_t *line = NULL;
    const char *got = NULL;

    open_log(state, QL_LOG_JSON);
    ql_log(QL_ERROR, "attest", "%s", message);
    text = tempdir_get(*state, "log");
    assert_int_equal(ql_json_parse_object(text, strlen(text), 4096, &line, NULL), QL_OK);
    assert_int_equal(ql_json_get_text(line, "msg", &got, NULL, NULL), QL_OK);
    assert_string_equal(got, message);
    assert_int_equal(ql_json_get_text(line, "level", &got, NULL, NULL), QL_OK);
    assert_string_equal(got, "error");
    assert_int_equal(ql_json_get_text(line, "program", &got, NULL, NULL), QL_OK);
    assert_string_equal(got, "quicklime-test");
    assert_int_equal(ql_json_get_text(line, "time", &got, NULL, NULL), QL_OK);
    assert_int_equal(strlen(got), 24);
}

static void foreign_text_cannot_forge_a_line_or_steer_a_terminal(void **state)
{
    ql_auto_free char *text = NULL;

    open_log(state, QL_LOG_LOGFMT);
    ql_log(QL_INFO, "x", "a\nb\" \x1b] \xff \xc2\x9b \xe2\x80\xae \xe2\x80\xa8 \x7f end");
    text = tempdir_get(*state, "log");
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_non_null(strstr(text, "msg=\"a\\nb\\\" \\u001b] \\\\xff \\u009b \\u202e \\u2028 \\u007f end\"\n"));
}

static void long_line_is_cut_and_stays_whole(void **state)
{
    for (int json = 0; json < 2; json++)
        for (size_t fill = 0; fill < 4; fill++) {
            static const char *const units[] = {"x", "\xc3\xa9", "\"", "\x01"};
            ql_auto_free char *text = NULL, *message = calloc(1, 20001);

            assert_non_null(message);
            for (size_t i = 0; i + 2 < 20000; i += strlen(units[fill]))
                memcpy(message + i, units[fill], strlen(units[fill]));
            (void)unlink(tempdir_path(*state, "log"));
            open_log(state, json ? QL_LOG_JSON : QL_LOG_LOGFMT);
            ql_log(QL_INFO, "x", "%s", message);
            text = tempdir_get(*state, "log");
            assert_true(strlen(text) <= QL_LOG_LINE_MAX && strlen(text) > QL_LOG_LINE_MAX / 2);
            assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
            if (json) {
                ql_auto_json json_t *line = NULL;

                assert_int_equal(ql_json_parse_object(text, strlen(text), 8192, &line, NULL), QL_OK);
            } else {
                assert_string_equal(text + strlen(text) - 2, "\"\n");
            }
        }
}

static void lines_below_the_level_are_not_written(void **state)
{
    ql_auto_free char *text = NULL;

    open_log(state, QL_LOG_LOGFMT);
    ql_log_setup("quicklime-test", QL_WARN, QL_LOG_LOGFMT);
    assert_true(ql_log_on(QL_ERROR) && ql_log_on(QL_WARN));
    assert_false(ql_log_on(QL_INFO) || ql_log_on(QL_DEBUG));
    ql_log(QL_INFO, "x", "quiet");
    ql_log(QL_WARN, "x", "loud");
    text = tempdir_get(*state, "log");
    assert_null(strstr(text, "quiet"));
    assert_non_null(strstr(text, "loud"));
}

static void reopening_follows_log_rotation_and_appends(void **state)
{
    ql_auto_free char *old = NULL, *new = NULL;

    open_log(state, QL_LOG_LOGFMT);
    ql_log(QL_INFO, "x", "one");
    assert_int_equal(rename(tempdir_path(*state, "log"), tempdir_path(*state, "log.1")), 0);
    ql_log(QL_INFO, "x", "two");
    open_log(state, QL_LOG_LOGFMT);
    ql_log(QL_INFO, "x", "three");
    open_log(state, QL_LOG_LOGFMT);
    ql_log(QL_INFO, "x", "four");
    old = tempdir_get(*state, "log.1");
    new = tempdir_get(*state, "log");
    assert_true(strstr(old, "one") && strstr(old, "two") && !strstr(old, "three"));
    assert_true(strstr(new, "three") && strstr(new, "four"));
}

static void log_file_has_mode_0640_and_is_no_link(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    mode_t old = umask(077);
    struct stat st;

    open_log(state, QL_LOG_LOGFMT);
    umask(old);
    assert_int_equal(stat(tempdir_path(*state, "log"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(symlink("log", tempdir_path(*state, "link")), 0);
    assert_int_equal(ql_log_open(tempdir_path(*state, "link"), &err), QL_EIO);
    assert_non_null(strstr(err.text, "link"));
}

static void errno_survives_a_log_line(void **state)
{
    open_log(state, QL_LOG_LOGFMT);
    errno = ENOSPC;
    ql_log(QL_INFO, "x", "y");
    assert_int_equal(errno, ENOSPC);
}

static void levels_parse(void **state)
{
    enum ql_log_level level = QL_ERROR;

    (void)state;
    assert_int_equal(ql_log_level_parse("Debug", &level, NULL), QL_OK);
    assert_int_equal(level, QL_DEBUG);
    assert_int_equal(ql_log_level_parse("error", &level, NULL), QL_OK);
    assert_int_equal(level, QL_ERROR);
    assert_int_equal(ql_log_level_parse("loud", &level, NULL), QL_EPARSE);
    assert_int_equal(ql_log_level_parse("", &level, NULL), QL_EPARSE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(logfmt_line_has_five_keys),
        TEST(json_line_parses_and_keeps_the_message),
        TEST(foreign_text_cannot_forge_a_line_or_steer_a_terminal),
        TEST(long_line_is_cut_and_stays_whole),
        TEST(lines_below_the_level_are_not_written),
        TEST(reopening_follows_log_rotation_and_appends),
        TEST(log_file_has_mode_0640_and_is_no_link),
        TEST(errno_survives_a_log_line),
        TEST(levels_parse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
