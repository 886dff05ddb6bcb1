/* SPDX-License-Identifier: Apache-2.0 */
#include "helpers.h"

/* Options of Keylime's [verifier] and [revocations] (spec/server.md 12.2), each with its default. */
static const struct {
    const char *group, *name;
    uint32_t type;
    const char *preset;
} keylimes[] = {
    {"verifier", "version", QL_OPT_STRING, "2.6"},
    {"verifier", "uuid", QL_OPT_STRING, "default"},
    {"verifier", "ip", QL_OPT_STRING, "127.0.0.1"},
    {"verifier", "port", QL_OPT_INT, "8881"},
    {"verifier", "registrar_ip", QL_OPT_STRING, "127.0.0.1"},
    {"verifier", "registrar_port", QL_OPT_INT, "8891"},
    {"verifier", "enable_agent_mtls", QL_OPT_BOOL, "true"},
    {"verifier", "tls_dir", QL_OPT_STRING, "generate"},
    {"verifier", "server_key", QL_OPT_STRING, "default"},
    {"verifier", "server_cert", QL_OPT_STRING, "default"},
    {"verifier", "client_key", QL_OPT_STRING, "default"},
    {"verifier", "client_cert", QL_OPT_STRING, "default"},
    {"verifier", "server_key_password", QL_OPT_STRING, NULL},
    {"verifier", "client_key_password", QL_OPT_STRING, NULL},
    {"verifier", "trusted_client_ca", QL_OPT_LIST, "default"},
    {"verifier", "trusted_server_ca", QL_OPT_LIST, "default"},
    {"verifier", "cert_subject_alternative_names", QL_OPT_LIST, NULL},
    {"verifier", "authorization_provider", QL_OPT_STRING, "simple"},
    {"verifier", "database_url", QL_OPT_STRING, "sqlite"},
    {"verifier", "database_pool_sz_ovfl", QL_OPT_STRING, "5,10"},
    {"verifier", "auto_migrate_db", QL_OPT_BOOL, "true"},
    {"verifier", "num_workers", QL_OPT_INT, "0"},
    {"verifier", "max_workers", QL_OPT_INT, "16"},
    {"verifier", "exponential_backoff", QL_OPT_BOOL, "true"},
    {"verifier", "retry_interval", QL_OPT_FLOAT, "2"},
    {"verifier", "max_retries", QL_OPT_INT, "5"},
    {"verifier", "quote_interval", QL_OPT_FLOAT, "2"},
    {"verifier", "max_upload_size", QL_OPT_INT, "104857600"},
    {"verifier", "request_timeout", QL_OPT_FLOAT, "60"},
    {"verifier", "measured_boot_policy_name", QL_OPT_STRING, "accept-all"},
    {"verifier", "measured_boot_imports", QL_OPT_LIST, NULL},
    {"verifier", "measured_boot_evaluate", QL_OPT_STRING, "once"},
    {"verifier", "severity_labels", QL_OPT_LIST, "info,notice,warning,error,critical,alert,emergency"},
    {"verifier", "severity_policy", QL_OPT_GROUPS, NULL},
    {"verifier", "ignore_tomtou_errors", QL_OPT_BOOL, "false"},
    {"verifier", "durable_attestation_import", QL_OPT_STRING, NULL},
    {"verifier", "persistent_store_url", QL_OPT_STRING, NULL},
    {"verifier", "transparency_log_url", QL_OPT_STRING, NULL},
    {"verifier", "time_stamp_authority_url", QL_OPT_STRING, NULL},
    {"verifier", "time_stamp_authority_certs_path", QL_OPT_STRING, NULL},
    {"verifier", "persistent_store_format", QL_OPT_STRING, "json"},
    {"verifier", "persistent_store_encoding", QL_OPT_STRING, NULL},
    {"verifier", "transparency_log_sign_algo", QL_OPT_STRING, "sha256"},
    {"verifier", "signed_attributes", QL_OPT_STRING, NULL},
    {"verifier", "require_allow_list_signatures", QL_OPT_BOOL, "false"},
    {"verifier", "mode", QL_OPT_STRING, "pull"},
    {"verifier", "challenge_lifetime", QL_OPT_INT, "1800"},
    {"verifier", "verification_timeout", QL_OPT_INT, "0"},
    {"verifier", "session_create_rate_limit_per_ip", QL_OPT_INT, "50"},
    {"verifier", "session_create_rate_limit_window_ip", QL_OPT_INT, "60"},
    {"verifier", "session_create_rate_limit_per_agent", QL_OPT_INT, "15"},
    {"verifier", "session_create_rate_limit_window_agent", QL_OPT_INT, "60"},
    {"verifier", "session_lifetime", QL_OPT_INT, "180"},
    {"verifier", "extend_token_on_attestation", QL_OPT_BOOL, "true"},
    {"verifier", "auto_recover_attestation_failures", QL_OPT_BOOL, "false"},
    {"verifier", "shutdown_drain_timeout", QL_OPT_FLOAT, "10"},
    {"revocations", "enabled_revocation_notifications", QL_OPT_LIST, "agent"},
    {"revocations", "zmq_ip", QL_OPT_STRING, "127.0.0.1"},
    {"revocations", "zmq_port", QL_OPT_INT, "8992"},
    {"revocations", "webhook_url", QL_OPT_STRING, NULL},
};

static const struct ql_option *find(const char *group, const char *name)
{
    for (const struct ql_option_group *g = ql_verifier_options; g->name; g++)
        for (const struct ql_option *o = g->rows; strcmp(g->name, group) == 0 && o->name; o++)
            if (strcmp(o->name, name) == 0)
                return o;
    return NULL;
}

static void options_of_keylime_are_there_with_their_types_and_defaults(void **state)
{
    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(keylimes); i++) {
        const struct ql_option *o = find(keylimes[i].group, keylimes[i].name);

        if (!o)
            fail_msg("%s.%s is missing", keylimes[i].group, keylimes[i].name);
        if (o->type != keylimes[i].type)
            fail_msg("%s.%s has another type", keylimes[i].group, keylimes[i].name);
        if (keylimes[i].preset)
            assert_string_equal(o->preset, keylimes[i].preset);
        else
            assert_null(o->preset);
    }
}

static void options_have_help_and_secrets_are_marked(void **state)
{
    (void)state;
    for (const struct ql_option_group *g = ql_verifier_options; g->name; g++)
        for (const struct ql_option *o = g->rows; o->name; o++) {
            assert_non_null(o->help);
            if (strstr(o->name, "password") || strcmp(o->name, "database_url") == 0)
                assert_int_equal(o->flags & QL_OPT_SECRET, QL_OPT_SECRET);
        }
}

static void options_load_with_nothing_but_defaults(void **state)
{
    ql_auto(ql_config_freep) struct ql_config *c = config_of(NULL, 0);

    (void)state;
    assert_int_equal(ql_config_int(c, "verifier", "port"), 8881);
    assert_int_equal(ql_config_count(c, "verifier", "severity_labels"), 7);
    assert_string_equal(ql_config_item(c, "verifier", "plugins", 0), "tpm-policy");
    assert_string_equal(ql_config_string(c, "verifier", "verify_evidence"), "public");
    assert_true(ql_config_bool(c, "verifier", "keep_v"));
}

static void options_out_of_range_are_refused_by_name(void **state)
{
    static const struct ql_setting bad[] = {
        {"verifier", "port", "65536"},         {"verifier", "quote_interval", "-1"},
        {"verifier", "mode", "push"},          {"verifier", "verify_evidence", "maybe"},
        {"verifier", "max_retries", "100000"}, {"verifier", "worker_isolation", "none"},
        {"verifier", "keep_v", "perhaps"},     {"revocations", "zmq_port", "70000"},
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        struct ql_config *c = NULL;
        struct ql_err err = QL_ERR_INIT;

        assert_true(ql_config_load("verifier", ql_verifier_options, NO_CONFIG, &bad[i], 1, &c, &err) < 0);
        assert_non_null(strstr(err.text, bad[i].name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_keylime_are_there_with_their_types_and_defaults),
        cmocka_unit_test(options_have_help_and_secrets_are_marked),
        cmocka_unit_test(options_load_with_nothing_but_defaults),
        cmocka_unit_test(options_out_of_range_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
