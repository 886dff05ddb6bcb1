/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include <sys/stat.h>

#include "config.h"

static const struct ql_option rule_fields[] = {
    {.name = "event_id", .type = QL_OPT_STRING, .preset = ".*", .help = "pattern"},
    {.name = "level", .type = QL_OPT_INT, .min = 0, .max = 7, .help = "number"},
    {.name = "token", .type = QL_OPT_STRING, .flags = QL_OPT_SECRET, .help = "key"},
    {.name = NULL},
};

static const struct ql_option main_rows[] = {
    {.name = "ip", .type = QL_OPT_STRING, .preset = "127.0.0.1", .help = "address"},
    {.name = "port", .type = QL_OPT_INT, .min = 1, .max = 65535, .preset = "8881", .help = "TCP port"},
    {.name = "size", .type = QL_OPT_INT, .preset = "10M", .help = "bytes"},
    {.name = "offset", .type = QL_OPT_INT, .min = -100, .max = 100, .help = "seconds"},
    {.name = "interval", .type = QL_OPT_FLOAT, .min = 0, .max = 86400, .preset = "2.5", .help = "seconds"},
    {.name = "mtls", .type = QL_OPT_BOOL, .preset = "true", .help = "ask for certificates"},
    {.name = "mode", .type = QL_OPT_STRING, .preset = "push", .choices = "push pull", .help = "who asks"},
    {.name = "ca", .type = QL_OPT_LIST, .preset = "a.pem, b.pem", .help = "files"},
    {.name = "password", .type = QL_OPT_STRING, .flags = QL_OPT_SECRET, .help = "of the key"},
    {.name = "pin",
     .type = QL_OPT_INT,
     .flags = QL_OPT_SECRET,
     .min = 1000,
     .max = 9999,
     .help = "of the token"},
    {.name = "rules", .type = QL_OPT_GROUPS, .fields = rule_fields, .help = "severities"},
    {.name = NULL},
};

static const struct ql_option revocation_rows[] = {
    {.name = "zmq_port", .type = QL_OPT_INT, .preset = "8992", .help = "port"},
    {.name = NULL},
};

static const struct ql_option_group groups[] = {
    {"verifier", main_rows}, {"revocations", revocation_rows}, {NULL, NULL}};

static int load(void **state, struct ql_config **ret, struct ql_err *err)
{
    return ql_config_load("verifier", groups, *state, NULL, 0, ret, err);
}

/* Load one file; @return the result, with the message in @p err. */
static int load_text(void **state, const char *text, struct ql_config **ret, struct ql_err *err)
{
    tempdir_put(*state, "verifier.conf", text);
    return load(state, ret, err);
}

static void assert_refused(void **state, const char *text, const char *where, const char *word)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_config *c = NULL;
    int r = load_text(state, text, &c, &err);

    if (r == QL_OK) {
        r = ql_config_finish(c, &err);
        ql_config_free(c);
    }
    if (r >= 0)
        fail_msg("taken: %s", text);
    if (!strstr(err.text, where) || !strstr(err.text, word))
        fail_msg("for %s: %s", text, err.text);
}

static void text_for_another_process_brings_every_type_back_with_its_secrets(void **state)
{
    static const char *const names[] = {"verifier", "revocations"};
    ql_auto(ql_config_freep) struct ql_config *c = NULL, *copy = NULL;
    ql_auto_free char *text = NULL, *again = NULL;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(
        load_text(state,
                  "verifier = {\n ip = \"a \\\"b\\\" \\\\ \\n\"; size = \"12345678901\"; offset = -7; "
                  "interval = 3;\n"
                  " mtls = false; ca = [\"one, with comma.pem\", \"\"]; password = \"hunter2\"; pin = 1234;\n"
                  " rules = ( { event_id = \"a\"; level = 3; }, { level = \"0x5\"; token = 77; } );\n};\n",
                  &c, &err),
        QL_OK);
    assert_int_equal(ql_config_text(c, names, 2, &text, &err), QL_OK);
    assert_null(strstr(text, "zmq_port")); /* defaults stay at home */
    assert_int_equal(ql_config_load_text("worker", text, NULL, 0, &copy, &err), QL_OK);
    assert_int_equal(ql_config_finish(copy, &err), QL_EPARSE); /* nobody has claimed the groups yet */
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(ql_config_add_group(copy, &groups[i], &err), QL_OK);
    assert_int_equal(ql_config_finish(copy, &err), QL_OK);
    assert_string_equal(ql_config_string(copy, "verifier", "ip"), "a \"b\" \\ \n");
    assert_int_equal(ql_config_int(copy, "verifier", "size"), 12345678901);
    assert_string_equal(ql_config_string(copy, "verifier", "password"), "hunter2");
    assert_int_equal(ql_config_count(copy, "verifier", "ca"), 2);
    assert_string_equal(ql_config_item(copy, "verifier", "ca", 0), "one, with comma.pem");
    assert_string_equal(ql_config_field(copy, "verifier", "rules", 1, "token"), "77");
    assert_int_equal(ql_config_int(copy, "revocations", "zmq_port"), 8992);
    assert_int_equal(ql_config_text(copy, names, 2, &again, &err), QL_OK);
    assert_string_equal(again, text);
}

static char *show(const struct ql_config *c)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    ql_config_show(c, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void defaults_hold_without_a_file(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *c = NULL;

    assert_int_equal(load(state, &c, NULL), QL_OK);
    assert_int_equal(ql_config_finish(c, NULL), QL_OK);
    assert_string_equal(ql_config_string(c, "verifier", "ip"), "127.0.0.1");
    assert_int_equal(ql_config_int(c, "verifier", "port"), 8881);
    assert_int_equal(ql_config_int(c, "verifier", "size"), 10 * 1024 * 1024);
    assert_int_equal(ql_config_int(c, "verifier", "pin"), 0);
    assert_true(ql_config_float(c, "verifier", "interval") == 2.5);
    assert_true(ql_config_bool(c, "verifier", "mtls"));
    assert_int_equal(ql_config_count(c, "verifier", "ca"), 2);
    assert_string_equal(ql_config_item(c, "verifier", "ca", 1), "b.pem");
    assert_null(ql_config_item(c, "verifier", "ca", 2));
    assert_string_equal(ql_config_string(c, "verifier", "password"), "");
    assert_int_equal(ql_config_count(c, "verifier", "rules"), 0);
    assert_int_equal(ql_config_int(c, "revocations", "zmq_port"), 8992);
    assert_true(ql_config_has(c, "verifier", "port"));
    assert_false(ql_config_has(c, "verifier", "ports") || ql_config_has(c, "verify", "port"));
}

static void file_sets_every_type(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *c = NULL;
    struct ql_err err = QL_ERR_INIT;
    int r = load_text(
        state,
        "verifier = {\n ip = \"*\"; port = \"0x22B1\"; size = 5; offset = -7; interval = 3;\n"
        " mtls = false; mode = \"pull\"; ca = \"one, with comma.pem\"; password = \"hunter2\"; pin = 1234;\n"
        " rules = ( { event_id = \"a\"; level = 3; }, { level = \"0x5\"; token = 77; } );\n};\n"
        "revocations = { zmq_port = 1; };\n",
        &c, &err);

    assert_string_equal(err.text, "");
    assert_int_equal(r, QL_OK);
    assert_int_equal(ql_config_finish(c, NULL), QL_OK);
    assert_string_equal(ql_config_string(c, "verifier", "ip"), "*");
    assert_int_equal(ql_config_int(c, "verifier", "port"), 8881);
    assert_int_equal(ql_config_int(c, "verifier", "offset"), -7);
    assert_true(ql_config_float(c, "verifier", "interval") == 3.0);
    assert_false(ql_config_bool(c, "verifier", "mtls"));
    assert_int_equal(ql_config_count(c, "verifier", "ca"), 1);
    assert_string_equal(ql_config_item(c, "verifier", "ca", 0), "one, with comma.pem");
    assert_int_equal(ql_config_count(c, "verifier", "rules"), 2);
    assert_string_equal(ql_config_field(c, "verifier", "rules", 0, "event_id"), "a");
    assert_string_equal(ql_config_field(c, "verifier", "rules", 0, "level"), "3");
    assert_string_equal(ql_config_field(c, "verifier", "rules", 0, "token"), "");
    assert_string_equal(ql_config_field(c, "verifier", "rules", 1, "event_id"), ".*");
    assert_string_equal(ql_config_field(c, "verifier", "rules", 1, "level"), "5");
    assert_string_equal(ql_config_field(c, "verifier", "rules", 1, "token"), "77");
    assert_string_equal(ql_config_field(c, "verifier", "rules", 2, "level"), "");
    assert_string_equal(ql_config_field(c, "verifier", "rules", 0, "none"), "");
    assert_int_equal(ql_config_int(c, "revocations", "zmq_port"), 1);
}

static void mistakes_name_file_and_line(void **state)
{
    assert_refused(state, "verifier = {\n\n prot = 1;\n};", "verifier.conf:3", "prot");
    assert_refused(state, "verifier = {\n port = 70000;\n};", "verifier.conf:2", "65535");
    assert_refused(state, "verifier = {\n port = 0;\n};", "verifier.conf:2", "port");
    assert_refused(state, "verifier = {\n port = 1.0;\n};", "verifier.conf:2", "integer");
    assert_refused(state, "verifier = {\n port = true;\n};", "verifier.conf:2", "integer");
    assert_refused(state, "verifier = {\n port = \"80x\";\n};", "verifier.conf:2", "80x");
    assert_refused(state, "verifier = {\n ip = 7;\n};", "verifier.conf:2", "text");
    assert_refused(state, "verifier = {\n mtls = 1;\n};", "verifier.conf:2", "true or false");
    assert_refused(state, "verifier = {\n mtls = \"true\";\n};", "verifier.conf:2", "true or false");
    assert_refused(state, "verifier = {\n interval = -0.5;\n};", "verifier.conf:2", "86400");
    assert_refused(state, "verifier = {\n interval = 1e999;\n};", "verifier.conf:2", "interval");
    assert_refused(state, "verifier = {\n mode = \"pus\";\n};", "verifier.conf:2", "push pull");
    assert_refused(state, "verifier = {\n mode = \"\";\n};", "verifier.conf:2", "push pull");
    assert_refused(state, "verifier = {\n ca = [ 1, 2 ];\n};", "verifier.conf:2", "text");
    assert_refused(state, "verifier = {\n ca = ( \"a\", 2 );\n};", "verifier.conf:2", "text");
    assert_refused(state, "verifier = {\n ca = { };\n};", "verifier.conf:2", "list");
    assert_refused(state, "verifier = {\n rules = ( 1 );\n};", "verifier.conf:2", "group");
    assert_refused(state, "verifier = {\n rules = { };\n};", "verifier.conf:2", "list of groups");
    assert_refused(state, "verifier = {\n rules = ( { level = 8; } );\n};", "verifier.conf:2", "level");
    assert_refused(state, "verifier = {\n rules = (\n { levle = 1; } );\n};", "verifier.conf:", "levle");
    assert_refused(state, "verifier = {\n rules = ( { level = 1.5; } );\n};", "verifier.conf:2", "level");
    assert_refused(state, "\nverifier = 3;", "verifier.conf:2", "verifier");
    assert_refused(state, "verifier = { };\nport = 3;", "verifier.conf:2", "port");
    assert_refused(state, "verifier = { };\n\nimma = { };", "verifier.conf:3", "imma");
    assert_refused(state, "revocations = {\n x = 1; };", "verifier.conf:2", "revocations");
}

static void secrets_stay_out_of_messages_and_show(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *c = NULL;
    struct ql_err err = QL_ERR_INIT;
    char *text;

    assert_int_equal(load_text(state, "verifier = { pin = \"98765\"; };", &c, &err), QL_ERANGE);
    assert_null(strstr(err.text, "98765"));
    assert_non_null(strstr(err.text, "pin"));
    assert_int_equal(load_text(state, "verifier = { pin = 98765; };", &c, &err), QL_ERANGE);
    assert_null(strstr(err.text, "98765"));
    assert_int_equal(load_text(state, "verifier = { pin = \"pin98765\"; };", &c, &err), QL_EPARSE);
    assert_null(strstr(err.text, "98765"));
    assert_int_equal(
        load_text(state,
                  "verifier = { pin = 1234; password = \"hunter2\"; rules = ( { token = \"hunter2\"; } ); };",
                  &c, &err),
        QL_OK);
    text = show(c);
    assert_null(strstr(text, "hunter2"));
    assert_null(strstr(text, "1234"));
    assert_non_null(strstr(text, "verifier.password = \"***\"  # "));
    assert_non_null(strstr(text, "token = \"***\""));
    free(text);
}

static void later_source_wins_and_show_says_which(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *c = NULL;
    struct ql_setting set[] = {
        {"verifier", "offset", "-5"}, {"verifier", "ca", "x, y"}, {"verifier", "offset", "-6"}};
    char *text;

    assert_int_equal(mkdir(tempdir_path(*state, "verifier.conf.d"), 0700), 0);
    tempdir_put(*state, "verifier.conf",
                "verifier = { port = 1; ip = \"1\"; mode = \"pull\"; offset = 1; };");
    tempdir_put(*state, "verifier.conf.d/20-b.conf", "verifier = { port = 3; };");
    tempdir_put(*state, "verifier.conf.d/10-a.conf", "verifier = { port = 2; ip = \"2\"; offset = 2; };");
    tempdir_put(*state, "verifier.conf.d/.hidden.conf", "nonsense");
    tempdir_put(*state, "verifier.conf.d/30-c.conf~", "nonsense");
    assert_int_equal(setenv("QUICKLIME_VERIFIER_OFFSET", "7", 1), 0);
    assert_int_equal(setenv("QUICKLIME_VERIFIER_REVOCATIONS_ZMQ_PORT", "0x10", 1), 0);
    assert_int_equal(setenv("QUICKLIME_VERIFIER_MTLS", "No", 1), 0);
    assert_int_equal(ql_config_load("verifier", groups, *state, set, 3, &c, NULL), QL_OK);
    assert_int_equal(ql_config_finish(c, NULL), QL_OK);
    assert_int_equal(ql_config_int(c, "verifier", "port"), 3);
    assert_string_equal(ql_config_string(c, "verifier", "ip"), "2");
    assert_string_equal(ql_config_string(c, "verifier", "mode"), "pull");
    assert_int_equal(ql_config_int(c, "verifier", "offset"), -6);
    assert_int_equal(ql_config_int(c, "revocations", "zmq_port"), 16);
    assert_false(ql_config_bool(c, "verifier", "mtls"));
    assert_int_equal(ql_config_count(c, "verifier", "ca"), 2);
    text = show(c);
    assert_non_null(strstr(text, "20-b.conf:1\n"));
    assert_non_null(strstr(text, "verifier.ip = \"2\"  # "));
    assert_non_null(strstr(text, "verifier.offset = -6  # command line\n"));
    assert_non_null(strstr(text, "verifier.ca = [\"x\", \"y\"]  # command line\n"));
    assert_non_null(
        strstr(text, "revocations.zmq_port = 16  # environment QUICKLIME_VERIFIER_REVOCATIONS_ZMQ_PORT\n"));
    assert_non_null(strstr(text, "verifier.interval = 2.5  # default\n"));
    free(text);
    unsetenv("QUICKLIME_VERIFIER_OFFSET");
    unsetenv("QUICKLIME_VERIFIER_REVOCATIONS_ZMQ_PORT");
    unsetenv("QUICKLIME_VERIFIER_MTLS");
}

static void shown_texts_cannot_forge_a_line(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *c = NULL;
    char *text;

    assert_int_equal(
        load_text(state, "verifier = { ip = \"a\\nverifier.mtls = true # \\\"\\x1b\"; };", &c, NULL), QL_OK);
    text = show(c);
    assert_non_null(strstr(text, "verifier.ip = \"a\\nverifier.mtls = true # \\\"\\x1b\"  # "));
    free(text);
}

static void mistakes_in_environment_and_command_line_are_named(void **state)
{
    struct ql_setting unknown_option[] = {{"verifier", "prot", "1"}}, unknown_group[] = {{"imma", "x", "1"}};
    struct ql_setting bad[] = {{"verifier", "rules", "x"}};
    struct ql_err err = QL_ERR_INIT;
    struct ql_config *c = NULL;

    assert_int_equal(setenv("QUICKLIME_VERIFIER_PORT", "http", 1), 0);
    assert_int_equal(load(state, &c, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "QUICKLIME_VERIFIER_PORT"));
    unsetenv("QUICKLIME_VERIFIER_PORT");
    assert_int_equal(setenv("QUICKLIME_VERIFIER_PASSWORDS", "hunter2", 1), 0);
    assert_int_equal(load(state, &c, &err), QL_OK);
    assert_int_equal(ql_config_finish(c, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "QUICKLIME_VERIFIER_PASSWORDS"));
    assert_null(strstr(err.text, "hunter2"));
    ql_config_free(c);
    unsetenv("QUICKLIME_VERIFIER_PASSWORDS");
    assert_int_equal(setenv("QUICKLIME_AGENT_X", "1", 1), 0); /* another program's */
    assert_int_equal(load(state, &c, &err), QL_OK);
    assert_int_equal(ql_config_finish(c, &err), QL_OK);
    ql_config_free(c);
    unsetenv("QUICKLIME_AGENT_X");
    assert_int_equal(ql_config_load("verifier", groups, *state, unknown_option, 1, &c, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "verifier.prot"));
    assert_int_equal(ql_config_load("verifier", groups, *state, bad, 1, &c, &err), QL_EUNSUPPORTED);
    assert_int_equal(ql_config_load("verifier", groups, *state, unknown_group, 1, &c, &err), QL_OK);
    assert_int_equal(ql_config_finish(c, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "imma"));
    ql_config_free(c);
}

static void plugin_group_comes_later_and_sees_only_itself(void **state)
{
    static const struct ql_option rows[] = {
        {.name = "limit", .type = QL_OPT_INT, .preset = "5"},
        {.name = "strict", .type = QL_OPT_BOOL},
        {.name = "ratio", .type = QL_OPT_FLOAT, .preset = "0.5"},
        {.name = "paths", .type = QL_OPT_LIST, .preset = "a,b"},
        {.name = "title", .type = QL_OPT_STRING},
        {.name = NULL},
    };
    const struct ql_option_group plugin = {"ima-ng", rows};
    ql_auto(ql_config_freep) struct ql_config *c = NULL;
    const struct ql_options *o;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(setenv("QUICKLIME_VERIFIER_IMA_NG_TITLE", "t", 1), 0);
    assert_int_equal(load_text(state, "ima-ng = { limit = 7; strict = true; };", &c, &err), QL_OK);
    assert_int_equal(ql_config_finish(c, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "verifier.conf:1"));
    assert_int_equal(ql_config_add_group(c, &plugin, &err), QL_OK);
    assert_int_equal(ql_config_finish(c, &err), QL_OK);
    unsetenv("QUICKLIME_VERIFIER_IMA_NG_TITLE");
    o = ql_config_options(c, "ima-ng");
    assert_int_equal(o->size, sizeof *o);
    assert_int_equal(o->get_int(o, "limit"), 7);
    assert_int_equal(o->get_int(o, "strict"), 1);
    assert_int_equal(o->get_int(o, "none"), 0);
    assert_int_equal(o->get_int(o, "title"), 0);
    assert_true(o->get_float(o, "ratio") == 0.5);
    assert_string_equal(o->get_string(o, "title"), "t");
    assert_string_equal(o->get_string(o, "none"), "");
    assert_string_equal(o->get_item(o, "paths", 1), "b");
    assert_null(o->get_item(o, "paths", 2));
    assert_null(o->get_item(o, "title", 0));
    assert_int_equal(ql_config_add_group(c, &plugin, &err), QL_EEXIST);
}

static void option_handed_down_reaches_a_plugin_that_does_not_set_its_own(void **state)
{
    static const struct ql_option rows[] = {
        {.name = "mode", .type = QL_OPT_STRING, .preset = "none"},
        {.name = NULL},
    };
    static const struct ql_option other_rows[] = {
        {.name = "mode", .type = QL_OPT_INT, .preset = "5"},
        {.name = NULL},
    };
    const struct ql_option_group first = {"first", rows}, second = {"second", rows},
                                 other = {"other", other_rows};
    ql_auto(ql_config_freep) struct ql_config *c = NULL, *unset = NULL;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(
        load_text(state, "verifier = { mode = \"pull\"; }; second = { mode = \"own\"; };", &c, &err), QL_OK);
    assert_int_equal(ql_config_hand_down(c, "verifier", "mode", &err), QL_OK);
    assert_int_equal(ql_config_add_group(c, &first, &err), QL_OK);
    assert_int_equal(ql_config_add_group(c, &second, &err), QL_OK);
    assert_int_equal(ql_config_add_group(c, &other, &err), QL_OK);
    assert_string_equal(ql_config_string(c, "first", "mode"), "pull");
    assert_string_equal(ql_config_string(c, "second", "mode"), "own");
    assert_int_equal(ql_config_int(c, "other", "mode"), 5);
    /* The program's own default is nobody else's. */
    assert_int_equal(load_text(state, "", &unset, &err), QL_OK);
    assert_int_equal(ql_config_hand_down(unset, "verifier", "mode", &err), QL_OK);
    assert_int_equal(ql_config_add_group(unset, &first, &err), QL_OK);
    assert_string_equal(ql_config_string(unset, "first", "mode"), "none");
}

static void plugin_rows_are_not_trusted(void **state)
{
    static const struct ql_option bad_type[] = {{.name = "x", .type = 77}, {.name = NULL}};
    static const struct ql_option bad_default[] = {{.name = "x", .type = QL_OPT_INT, .preset = "y"},
                                                   {.name = NULL}};
    static const struct ql_option bad_name[] = {{.name = "a b", .type = QL_OPT_INT}, {.name = NULL}};
    static const struct ql_option clash[] = {{.name = "zmq_port", .type = QL_OPT_INT}, {.name = NULL}};
    const struct ql_option_group bad[] = {
        {"p", bad_type}, {"p", bad_default}, {"p", bad_name}, {"a=b", clash}, {"", clash}};
    ql_auto(ql_config_freep) struct ql_config *c = NULL;
    const struct ql_option_group none = {"p", NULL};
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(load(state, &c, &err), QL_OK);
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++)
        assert_true(ql_config_add_group(c, &bad[i], &err) < 0);
    assert_int_equal(ql_config_add_group(c, &none, &err), QL_OK);
}

static void variable_of_two_options_is_refused(void **state)
{
    static const struct ql_option a[] = {{.name = "b_c", .type = QL_OPT_INT}, {.name = NULL}};
    static const struct ql_option b[] = {{.name = "c", .type = QL_OPT_INT}, {.name = NULL}};
    const struct ql_option_group both[] = {{"x-a", a}, {"x-a-b", b}, {NULL, NULL}};
    struct ql_config *c = NULL;
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(setenv("QUICKLIME_VERIFIER_X_A_B_C", "1", 1), 0);
    assert_int_equal(ql_config_load("verifier", both, *state, NULL, 0, &c, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "QUICKLIME_VERIFIER_X_A_B_C"));
    unsetenv("QUICKLIME_VERIFIER_X_A_B_C");
}

static void folder_that_cannot_be_read_is_an_error(void **state)
{
    struct ql_config *c = NULL;
    struct ql_err err = QL_ERR_INIT;
    const char *missing = tempdir_path(*state, "none");

    assert_int_equal(ql_config_load("verifier", groups, missing, NULL, 0, &c, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, missing));
    tempdir_put(*state, "verifier.conf.d", "a file, not a folder");
    assert_true(load(state, &c, &err) < 0);
    assert_non_null(strstr(err.text, "verifier.conf.d"));
    assert_int_equal(unlink(tempdir_path(*state, "verifier.conf.d")), 0);
    assert_int_equal(mkdir(tempdir_path(*state, "verifier.conf.d"), 0700), 0);
    assert_int_equal(symlink("nowhere", tempdir_path(*state, "verifier.conf.d/a.conf")), 0);
    assert_int_equal(load(state, &c, &err), QL_ENOTFOUND);
    assert_non_null(strstr(err.text, "a.conf"));
}

static char *sample(void)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    ql_config_sample(groups, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void sample_parses_as_it_stands_and_uncommented(void **state)
{
    char *text = sample(), *shown, *plain;
    ql_auto(ql_config_freep) struct ql_config *c = NULL, *d = NULL;
    struct ql_err err = QL_ERR_INIT;

    assert_non_null(strstr(text, "    # TCP port (integer, 1 to 65535)\n    #port = 8881;\n"));
    assert_non_null(strstr(text, "one of: push pull"));
    assert_int_equal(load_text(state, text, &c, &err), QL_OK);
    assert_int_equal(ql_config_finish(c, &err), QL_OK);
    plain = show(c);
    assert_null(strstr(plain, "verifier.conf:"));

    for (size_t i = 0; text[i] != '\0'; i++) /* all but the one whose unset value is out of its range */
        if (text[i] == '#' && text[i + 1] >= 'a' && text[i + 1] <= 'z' && strncmp(text + i, "#pin", 4) != 0)
            text[i] = ' ';
    assert_int_equal(load_text(state, text, &d, &err), QL_OK);
    shown = show(d);
    assert_non_null(strstr(shown, "verifier.conf:"));
    assert_int_equal(ql_config_int(d, "verifier", "size"), ql_config_int(c, "verifier", "size"));
    assert_string_equal(ql_config_item(d, "verifier", "ca", 1), "b.pem");
    free(text);
    free(shown);
    free(plain);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_hold_without_a_file),
        TEST(text_for_another_process_brings_every_type_back_with_its_secrets),
        TEST(file_sets_every_type),
        TEST(mistakes_name_file_and_line),
        TEST(secrets_stay_out_of_messages_and_show),
        TEST(later_source_wins_and_show_says_which),
        TEST(shown_texts_cannot_forge_a_line),
        TEST(mistakes_in_environment_and_command_line_are_named),
        TEST(plugin_group_comes_later_and_sees_only_itself),
        TEST(option_handed_down_reaches_a_plugin_that_does_not_set_its_own),
        TEST(plugin_rows_are_not_trusted),
        TEST(variable_of_two_options_is_refused),
        TEST(folder_that_cannot_be_read_is_an_error),
        TEST(sample_parses_as_it_stands_and_uncommented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
