/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "buf.h"
#include "failing.h"
#include "file.h"
#include "helpers.h"
#include "journal.h"

static char path[64];

static int setup(void **state)
{
    int fd;

    (void)state;
    strcpy(path, "/tmp/ql-journal-XXXXXX");
    fd = mkstemp(path);
    return fd >= 0 ? close(fd) : -1;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static int collect(void *arg, const char *line, size_t len, struct ql_err *err)
{
    struct ql_buf *all = arg;

    (void)err;
    (void)ql_buf_add(all, line, len); /* the test looks at the result */
    return ql_buf_add_u8(all, '|');
}

static void expect(const char *want)
{
    ql_auto(ql_journal_freep) struct ql_journal *j = NULL;
    ql_auto_buf struct ql_buf all = ql_buf_init(4096);

    assert_int_equal(ql_journal_open(path, &j, NULL), QL_OK);
    assert_int_equal(ql_journal_each(j, collect, &all, NULL), QL_OK);
    assert_string_equal(all.data ? (char *)all.data : "", want);
}

static void journal_gives_back_what_was_appended_in_order(void **state)
{
    ql_auto(ql_journal_freep) struct ql_journal *j = NULL;

    (void)state;
    assert_int_equal(ql_journal_open(path, &j, NULL), QL_OK);
    assert_true(ql_journal_is_empty(j));
    assert_int_equal(ql_journal_append(j, "one", NULL), QL_OK);
    assert_int_equal(ql_journal_append(j, "", NULL), QL_OK);
    assert_int_equal(ql_journal_append(j, "three", NULL), QL_OK);
    assert_false(ql_journal_is_empty(j));
    expect("one||three|");
    assert_int_equal(ql_journal_clear(j, NULL), QL_OK);
    assert_true(ql_journal_is_empty(j));
    expect("");
    assert_int_equal(ql_journal_append(j, "four", NULL), QL_OK);
    expect("four|");
}

static void journal_leaves_out_a_record_that_was_cut_short(void **state)
{
    static const char whole[] = "first\nsecond\n";

    (void)state;
    for (size_t len = 0; len < sizeof whole; len++) {
        const char *want = len < 6 ? "" : len < 13 ? "first|" : "first|second|";

        assert_int_equal(ql_file_write(path, 0600, whole, len, NULL), QL_OK);
        expect(want);
    }
}

static void journal_refuses_a_record_that_is_too_long(void **state)
{
    ql_auto(ql_journal_freep) struct ql_journal *j = NULL;
    ql_auto_free char *line = malloc(QL_JOURNAL_LINE_MAX + 2);
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_non_null(line);
    memset(line, 'x', QL_JOURNAL_LINE_MAX + 1);
    line[QL_JOURNAL_LINE_MAX + 1] = '\0';
    assert_int_equal(ql_journal_open(path, &j, NULL), QL_OK);
    assert_int_equal(ql_journal_append(j, line, &err), QL_ELIMIT);
    assert_true(ql_journal_is_empty(j));
    line[QL_JOURNAL_LINE_MAX] = '\0';
    assert_int_equal(ql_journal_append(j, line, &err), QL_OK);
}

static void journal_stops_at_its_limit(void **state)
{
    ql_auto(ql_journal_freep) struct ql_journal *j = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(truncate(path, QL_JOURNAL_MAX - 4), 0);
    assert_int_equal(ql_journal_open(path, &j, NULL), QL_OK);
    assert_int_equal(ql_journal_append(j, "1234", &err), QL_EFULL);
    assert_non_null(strstr(err.text, "67108864"));
    assert_int_equal(ql_journal_append(j, "123", &err), QL_OK);
    assert_int_equal(ql_journal_append(j, "", &err), QL_EFULL);
}

static struct ql_failing sample(void)
{
    return (struct ql_failing){
        .id = "d432fbb3-d2f1-4a97-9ef7-75bd81c00000",
        .generation = 7,
        .state = QL_STATE_INVALID_QUOTE,
        .severity = 6,
        .label = TEXT("emergency"),
        .event_id = TEXT("pcr_validation.invalid_pcr_15"),
        .context = TEXT("{\"message\": \"line\\nfeed\"}"),
        .message_type = TEXT("revocation"),
        .time_ns = 1795384667000000001,
        .expires_ns = 1795388267000000001,
        .last_received_quote = 1795384667,
        .attestation_count = 3,
        .last_successful_attestation = 1795384665,
    };
}

static void failure_survives_as_one_line(void **state)
{
    struct ql_failing f = sample(), *back = NULL;
    ql_auto_free char *line = ql_failing_line(&f), *again = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_non_null(line);
    assert_null(strchr(line, '\n'));
    assert_int_equal(ql_failing_read(line, strlen(line), NULL, &back, &err), QL_OK);
    again = ql_failing_line(back);
    assert_string_equal(again, line);
    assert_string_equal(back->context, f.context);
    assert_int_equal(back->time_ns, f.time_ns);
    assert_true(back->ends);
    ql_failing_free(back);
    free(line);
    f.message_type = NULL;
    line = ql_failing_line(&f);
    assert_int_equal(ql_failing_read(line, strlen(line), NULL, &back, &err), QL_OK);
    assert_null(back->message_type);
    ql_failing_free(back);
}

static void failure_refuses_every_truncation_and_one_byte_more(void **state)
{
    struct ql_failing f = sample(), *back = NULL;
    ql_auto_free char *line = ql_failing_line(&f);
    size_t len = strlen(line);

    (void)state;
    for (size_t i = 0; i < len; i++)
        assert_true(ql_failing_read(line, i, NULL, &back, NULL) < 0);
    line[len] = '}';
    assert_true(ql_failing_read(line, len + 1, NULL, &back, NULL) < 0);
    assert_null(back);
}

static void failure_refuses_what_is_none(void **state)
{
    static const struct {
        const char *key, *json;
    } bad[] = {
        {"state", "3"},     {"state", "10"},     {"agent_id", "7"}, {"generation", "\"x\""},
        {"event_id", "[]"}, {"context", "null"}, {"label", "null"}, {"message_type", "7"},
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        struct ql_failing f = sample(), *back = NULL;
        ql_auto_free char *line = ql_failing_line(&f), *changed = NULL;
        ql_auto_json json_t *j = NULL;

        assert_int_equal(ql_json_parse_object(line, strlen(line), 65536, &j, NULL), QL_OK);
        json_object_set_new(j, bad[i].key, json_loads(bad[i].json, JSON_DECODE_ANY, NULL));
        changed = ql_json_text(j);
        if (ql_failing_read(changed, strlen(changed), NULL, &back, NULL) == QL_OK)
            fail_msg("%s = %s was taken", bad[i].key, bad[i].json);
        json_object_del(j, bad[i].key);
        free(changed);
        changed = ql_json_text(j);
        if (strcmp(bad[i].key, "message_type") != 0)
            assert_int_equal(ql_failing_read(changed, strlen(changed), NULL, &back, NULL), QL_EPARSE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(journal_gives_back_what_was_appended_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(journal_leaves_out_a_record_that_was_cut_short, setup, teardown),
        cmocka_unit_test_setup_teardown(journal_refuses_a_record_that_is_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(journal_stops_at_its_limit, setup, teardown),
        cmocka_unit_test(failure_survives_as_one_line),
        cmocka_unit_test(failure_refuses_every_truncation_and_one_byte_more),
        cmocka_unit_test(failure_refuses_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
