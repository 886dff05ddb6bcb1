/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon.h"
#include "error.h"
#include "option_rows.h"
#include "program.h"

static const struct ql_option rows[] = {
    QL_COMMON_ROWS,
    QL_ROW_VERSION,
    QL_ROW_IP,
    QL_ROW_PORT("port", "8881", "HTTPS port"),
    {.name = "tls_dir", .type = QL_OPT_STRING, .preset = "default", .help = "where keys are"},
    QL_ROWS_SERVER_TLS,
    QL_ROW_CERT_NAMES,
    QL_ROW_AUTHORIZATION,
    QL_ROWS_DATABASE("things are"),
    QL_ROW_PLUGIN_DIR,
    QL_ROW_WORKER_PATH,
    QL_ROW_UPLOAD("4096"),
    QL_ROWS_CONNECTIONS(""),
    QL_ROWS_REQUEST,
    QL_ROW_DURABLE_IMPORT,
    {.name = NULL},
};
static const struct ql_option_group group = {.name = "test", .rows = rows};

/* A daemon whose file says @p text. The caller frees d->config. */
static struct ql_daemon daemon_of(const char *text)
{
    struct ql_daemon d = {.group = "test", .state_dir = "/nonexistent", .own_ca = "own_ca"};
    struct ql_err err = QL_ERR_INIT;

    if (ql_config_load_text("test", text, NULL, 0, &d.config, &err) < 0 ||
        ql_config_add_group(d.config, &group, &err) < 0 || ql_config_finish(d.config, &err) < 0)
        fail_msg("%s", err.text);
    return d;
}

static void defaults_are_those_of_the_listener_itself(void **state)
{
    struct ql_daemon d = daemon_of("");
    struct ql_http_limits l = ql_daemon_limits(&d);

    (void)state;
    assert_int_equal(l.header_max, 32 * 1024);
    assert_int_equal(l.connections_max, 10500);
    assert_int_equal(l.per_address_max, 1024);
    assert_int_equal(l.handshake_ms, 10000);
    assert_int_equal(l.header_ms, 10000);
    assert_int_equal(l.body_ms, 60000);
    assert_int_equal(l.idle_ms, 120000);
    ql_config_free(d.config);
}

static void each_limit_comes_from_its_own_option(void **state)
{
    struct ql_daemon d =
        daemon_of("test = { http_header_max = 1025; max_upload_size = 1026; http_connections_max = 27;"
                  " http_per_address_max = 28; http_handshake_ms = 129; http_header_ms = 130;"
                  " http_body_ms = 131; http_idle_ms = 132; };");
    struct ql_http_limits l = ql_daemon_limits(&d);

    (void)state;
    assert_int_equal(l.header_max, 1025);
    assert_int_equal(l.body_max, 1026);
    assert_int_equal(l.connections_max, 27);
    assert_int_equal(l.per_address_max, 28);
    assert_int_equal(l.handshake_ms, 129);
    assert_int_equal(l.header_ms, 130);
    assert_int_equal(l.body_ms, 131);
    assert_int_equal(l.idle_ms, 132);
    ql_config_free(d.config);
}

static void durable_import_is_refused_by_name(void **state)
{
    struct ql_daemon plain = daemon_of(""),
                     durable = daemon_of("test = { durable_attestation_import = \"x\"; };");
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_daemon_check_offered(&plain, &err), QL_OK);
    assert_int_equal(ql_daemon_check_offered(&durable, &err), QL_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "durable_attestation_import"));
    ql_config_free(plain.config);
    ql_config_free(durable.config);
}

static void backend_of_the_url_is_loaded_and_offered(void **state)
{
    struct ql_daemon d = daemon_of("test = { plugin_dir = \"" QL_BINARY_DIR "/plugins\"; };");
    struct ql_registry *plugins = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    if (ql_daemon_load_backend(&d, &plugins, &err) < 0)
        fail_msg("%s", err.text);
    assert_non_null(ql_registry_find(plugins, QL_KIND_STORE, "sqlite").head);
    assert_true(ql_config_has(d.config, "sqlite", "busy_timeout"));
    ql_registry_free(plugins);
    ql_config_free(d.config);
}

static void backend_that_is_not_there_is_named(void **state)
{
    struct ql_daemon d =
        daemon_of("test = { database_url = \"granite://u:geheim@h/db\"; plugin_dir = \"/nonexistent\"; };");
    struct ql_registry *plugins = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_true(ql_daemon_load_backend(&d, &plugins, &err) < 0);
    assert_null(plugins);
    assert_non_null(strstr(err.text, "granite"));
    assert_null(strstr(err.text, "geheim"));
    ql_config_free(d.config);
}

static void certificates_that_are_not_there_yet_can_be_waited_for(void **state)
{
    struct ql_daemon d = daemon_of("test = { tls_dir = \"generate\"; };");
    struct ql_tls *tls = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(ql_daemon_tls(&d, QL_TLS_SERVER, &tls, &err), QL_ENOTFOUND);
    assert_null(tls);
    assert_non_null(strstr(err.text, "/nonexistent/own_ca/"));
    ql_config_free(d.config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_listener_itself),
        cmocka_unit_test(each_limit_comes_from_its_own_option),
        cmocka_unit_test(durable_import_is_refused_by_name),
        cmocka_unit_test(backend_of_the_url_is_loaded_and_offered),
        cmocka_unit_test(backend_that_is_not_there_is_named),
        cmocka_unit_test(certificates_that_are_not_there_yet_can_be_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
