/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "helpers.h"

/* severity_policy is a list of groups: it comes from a file. */
static struct ql_config *config_with(const char *text)
{
    char dir[] = "/tmp/ql-severity-XXXXXX", path[64];
    struct ql_config *c = NULL;
    struct ql_err err = QL_ERR_INIT;
    FILE *f;
    int r;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/verifier.conf", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "verifier = { %s };\n", text);
    fclose(f);
    r = ql_config_load("verifier", ql_verifier_options, dir, NULL, 0, &c, &err);
    unlink(path);
    rmdir(dir);
    if (r < 0)
        fail_msg("%s", err.text);
    return c;
}

static struct ql_severity *severity_with(struct ql_config *c)
{
    struct ql_severity *s = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (ql_severity_new(c, "verifier", &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static void severity_gives_every_event_the_top_label_by_default(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *c = config_of(NULL, 0);
    ql_auto(ql_severity_freep) struct ql_severity *s = severity_with(c);

    (void)state;
    assert_int_equal(ql_severity_top(s), 6);
    assert_int_equal(ql_severity_of(s, "pcr_validation.invalid_pcr_15"), 6);
    assert_string_equal(ql_severity_label(s, 6), "emergency");
    assert_string_equal(ql_severity_label(s, 0), "info");
}

static void severity_takes_the_first_rule_that_matches_the_whole_id(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *c =
        config_with("severity_labels = [\"low\", \"mid\", \"high\"]; severity_policy = ("
                    "{ event_id = \"ima\"; severity_label = \"low\"; },"
                    "{ event_id = \"ima\\\\..*\"; severity_label = \"mid\"; },"
                    "{ event_id = \"ima\\\\.pcr_mismatch\"; severity_label = \"low\"; },"
                    "{ event_id = \"a|ab\"; severity_label = \"low\"; });");
    ql_auto(ql_severity_freep) struct ql_severity *s = severity_with(c);

    (void)state;
    assert_int_equal(ql_severity_of(s, "ima"), 0);
    assert_int_equal(ql_severity_of(s, "ima.pcr_mismatch"), 1); /* the earlier rule */
    assert_int_equal(ql_severity_of(s, "xima.y"), 2);           /* no search inside */
    assert_int_equal(ql_severity_of(s, "imax"), 2);
    assert_int_equal(ql_severity_of(s, "ab"), 0);
    assert_int_equal(ql_severity_of(s, "abc"), 2);
}

static void severity_lifts_unknown_labels_to_the_top(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *c =
        config_with("severity_policy = ({ event_id = \".*\"; severity_label = \"nosuch\"; });");
    ql_auto(ql_severity_freep) struct ql_severity *s = severity_with(c);

    (void)state;
    assert_int_equal(ql_severity_of(s, "x"), 6);
    assert_int_equal(ql_severity_level(s, "nosuch"), 6);
    assert_int_equal(ql_severity_level(s, NULL), 6);
    assert_int_equal(ql_severity_level(s, "warning"), 2);
    assert_string_equal(ql_severity_label(s, 99), "emergency");
    assert_string_equal(ql_severity_label(s, -1), "emergency");
}

static void severity_counts_a_match_beyond_its_limits_as_the_top(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *c =
        config_with("severity_policy = ({ event_id = \"(a+)+b\"; severity_label = \"info\"; });");
    ql_auto(ql_severity_freep) struct ql_severity *s = severity_with(c);
    char bomb[64];

    (void)state;
    memset(bomb, 'a', sizeof bomb - 1);
    bomb[sizeof bomb - 1] = '\0';
    assert_int_equal(ql_severity_of(s, "aab"), 0);
    assert_int_equal(ql_severity_of(s, bomb), 6);
}

static void severity_refuses_lists_that_make_no_sense(void **state)
{
    static const char *const bad[] = {
        "severity_labels = [];",
        "severity_labels = [\"a\", \"b\", \"a\"];",
        "severity_policy = ({ event_id = \"(\"; severity_label = \"info\"; });",
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        ql_auto(ql_config_freep) struct ql_config *c = config_with(bad[i]);
        struct ql_severity *s = NULL;
        struct ql_err err = QL_ERR_INIT;

        assert_true(ql_severity_new(c, "verifier", &s, &err) < 0);
        assert_null(s);
        assert_non_null(strstr(err.text, "severity_"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(severity_gives_every_event_the_top_label_by_default),
        cmocka_unit_test(severity_takes_the_first_rule_that_matches_the_whole_id),
        cmocka_unit_test(severity_lifts_unknown_labels_to_the_top),
        cmocka_unit_test(severity_counts_a_match_beyond_its_limits_as_the_top),
        cmocka_unit_test(severity_refuses_lists_that_make_no_sense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
