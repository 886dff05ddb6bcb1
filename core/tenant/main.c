/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "import.h"
#include "parse.h"
#include "program.h"
#include "tenant.h"

/** The id that Keylime's agents have when nobody chose one. */
#define DEFAULT_UUID "d432fbb3-d2f1-4a97-9ef7-75bd81c00000"

enum {
    COMMON_ARGS_MAX = 2 * QL_ARG_VALUES_MAX + 16
};

static const struct ql_program program = {
    .name = "quicklime-tenant",
    .component = "tenant",
    .summary = "adds, watches and removes agents",
    .groups = ql_tenant_options,
};

static void help(void)
{
    printf("usage: %s [-c COMMAND] [OPTION]...\n\n%s\n\ncommands:\n", program.name, program.summary);
    for (const struct ql_command *c = ql_commands; c->name; c++)
        printf("  %-12s %s\n", c->name, c->help);
    printf("  %-12s %s\n", "import-db", "take over a database of Keylime: see import-db --help");
    printf("\noptions (long ones may be cut short as long as they stay unambiguous):\n");
    ql_args_help(stdout);
}

/* What all programs have in common goes to the common start; the rest is ours. */
static size_t common_args(const struct ql_args *args, const char **argv)
{
    static const struct {
        enum ql_arg which;
        const char *name;
        bool is_flag;
    } common[] = {
        {QL_ARG_CONFIG_DIR, "--config-dir", false},
        {QL_ARG_STATE_DIR, "--state-dir", false},
        {QL_ARG_SET, "--set", false},
        {QL_ARG_SHOW_CONFIG, "--show-config", true},
        {QL_ARG_CHECK_CONFIG, "--check-config", true},
        {QL_ARG_VERSION, "--version", true},
        {QL_ARG_SAMPLE_CONFIG, "--sample-config", true},
    };
    size_t count = 0;

    argv[count++] = program.name;
    for (size_t i = 0; i < QL_ARRAY_LEN(common); i++)
        for (size_t n = 0; n < args->count[common[i].which]; n++) {
            argv[count++] = common[i].name;
            if (!common[i].is_flag)
                argv[count++] = args->values[common[i].which][n];
        }
    argv[count] = NULL;
    return count;
}

static int port_of(const struct ql_tenant *t, enum ql_arg arg, const char *option, uint16_t *ret,
                   struct ql_err *err)
{
    const char *text = ql_arg(t->args, arg);
    uint64_t port = (uint64_t)ql_config_int(t->config, "tenant", option);
    int r = text ? ql_parse_u64(text, strlen(text), 1, 65535, &port, err) : QL_OK;

    if (r == QL_OK)
        *ret = (uint16_t)port;
    return r;
}

static int name_parties(struct ql_tenant *t, struct ql_err *err)
{
    const char *uuid = ql_arg(t->args, QL_ARG_UUID), *host = ql_arg(t->args, QL_ARG_CV);
    int r;

    t->registrar.what = "registrar";
    t->verifier.what = "verifier";
    t->agent.what = "agent";
    t->verifier.host = host ? host : ql_config_string(t->config, "tenant", "verifier_ip");
    host = ql_arg(t->args, QL_ARG_REGISTRAR_HOST);
    t->registrar.host = host ? host : ql_config_string(t->config, "tenant", "registrar_ip");
    r = port_of(t, QL_ARG_CV_PORT, "verifier_port", &t->verifier.port, err);
    if (r == QL_OK)
        r = port_of(t, QL_ARG_REGISTRAR_PORT, "registrar_port", &t->registrar.port, err);
    if (r < 0)
        return r;
    t->verifier_id = ql_arg(t->args, QL_ARG_CV_ID);
    snprintf(t->verifier_name, sizeof t->verifier_name, "Verifier %s%s(%.150s:%u)",
             t->verifier_id ? t->verifier_id : "", t->verifier_id ? " " : "", t->verifier.host,
             t->verifier.port);
    if (!uuid)
        ql_say_warning("Using default UUID " DEFAULT_UUID);
    t->agent_id = uuid ? uuid : DEFAULT_UUID;
    if (!ql_agent_id_ok(t->agent_id, strlen(t->agent_id)))
        return ql_fail(err, QL_ERANGE, "The agent ID set via agent uuid parameter use invalid characters");
    snprintf(t->agent_name, sizeof t->agent_name, "%s", t->agent_id);
    return QL_OK;
}

/* The row without name when there is no such command. */
static const struct ql_command *find_command(const struct ql_args *args)
{
    const char *name = ql_arg(args, QL_ARG_COMMAND);
    const struct ql_command *command = ql_commands;

    while (command->name && strcmp(command->name, name ? name : "add") != 0)
        command++;
    return command;
}

/* What does not go together, with argparse's words where scripts may know them. */
static int check_policies(const struct ql_args *a, struct ql_err *err)
{
    const struct ql_command *command = find_command(a);
    bool has_policy = ql_arg_given(a, QL_ARG_RUNTIME_POLICY) || ql_arg_given(a, QL_ARG_RUNTIME_POLICY_URL);
    bool has_list = ql_arg_given(a, QL_ARG_ALLOWLIST) || ql_arg_given(a, QL_ARG_ALLOWLIST_URL);
    bool needs_one = command->run == ql_command_add_runtime || command->run == ql_command_update_runtime ||
                     command->run == ql_command_add_allowlist;

    if (ql_arg_given(a, QL_ARG_EXCLUDE) && !has_list)
        return ql_fail(err, QL_EPARSE, "--exclude cannot be used without an --allowlist option");
    if ((has_policy && has_list) ||
        (ql_arg_given(a, QL_ARG_RUNTIME_POLICY) && ql_arg_given(a, QL_ARG_RUNTIME_POLICY_URL)) ||
        (ql_arg_given(a, QL_ARG_ALLOWLIST) && ql_arg_given(a, QL_ARG_ALLOWLIST_URL)))
        return ql_fail(err, QL_EPARSE,
                       "only one of a runtime policy's file, its URL and an allowlist may be given");
    if (ql_arg_given(a, QL_ARG_RUNTIME_POLICY_URL) && !ql_arg_given(a, QL_ARG_RUNTIME_POLICY_CHECKSUM))
        return ql_fail(err, QL_EPARSE,
                       "--runtime-policy-checksum must be provided with --runtime-policy-url");
    if (ql_arg_given(a, QL_ARG_RUNTIME_POLICY_CHECKSUM) && !has_policy)
        return ql_fail(err, QL_EPARSE, "--runtime-policy-checksum needs a runtime policy");
    if (needs_one && !has_policy && !has_list)
        return ql_fail(err, QL_EPARSE, "--allowlist or --runtime_policy is required to add a runtime policy");
    if ((command->run == ql_command_add_boot || command->run == ql_command_update_boot) &&
        !ql_arg_given(a, QL_ARG_MB_POLICY))
        return ql_fail(err, QL_EPARSE, "--mb-policy is required to add a measured boot policy");
    return QL_OK;
}

static int parse(int argc, char **argv, struct ql_args *args, struct ql_err *err)
{
    int r = ql_args_parse(argc, argv, args, err);

    if (r == QL_OK && args->operand && !find_command(args)->takes_operand)
        r = ql_fail(err, QL_EPARSE, "unrecognized arguments: %s", args->operand);
    if (r == QL_OK && !ql_arg_given(args, QL_ARG_HELP))
        r = check_policies(args, err);
    return r;
}

static int run(struct ql_tenant *t)
{
    const char *name = ql_arg(t->args, QL_ARG_COMMAND);
    const struct ql_command *command = find_command(t->args);
    struct ql_err err = QL_ERR_INIT;
    int code = 1;

    if (name_parties(t, &err) < 0)
        ql_say_error("%s", err.text);
    else if (!command->name)
        ql_say_error("Invalid command specified: %s", name);
    else if (ql_tenant_open(t, &err) < 0)
        ql_say_error("%s", err.text);
    else
        code = command->run(t);
    ql_tenant_close(t);
    return code;
}

int main(int argc, char **argv)
{
    const char *common[COMMON_ARGS_MAX];
    struct ql_args args;
    struct ql_start start = {0};
    struct ql_err err = QL_ERR_INIT;
    struct ql_tenant t = {.args = &args};
    int code = 0;

    if (argc > 1 && strcmp(argv[1], "import-db") == 0)
        return ql_import_main(argc - 1,
                              argv + 1); /* of databases, on this machine: nothing that a server is asked */
    if (parse(argc, argv, &args, &err) < 0) {
        fprintf(stderr, "usage: %s [-c COMMAND] [OPTION]... (see --help)\n%s: error: %s\n", program.name,
                program.name, err.text);
        return 2;
    }
    if (ql_arg_given(&args, QL_ARG_HELP)) {
        help();
        return 0;
    }
    if (ql_program_start(&program, (int)common_args(&args, common), (char **)(uintptr_t)common, &start,
                         &code) != 0)
        return code;
    t.config = start.config;
    t.state_dir = start.state_dir;
    t.config_dir = start.config_dir;
    if (ql_config_finish(start.config, &err) < 0) {
        ql_say_error("%s", err.text);
        code = 1;
    } else if (start.show_config) {
        ql_config_show(start.config, stdout);
    } else if (!start.check_config) {
        code = run(&t);
    }
    ql_start_done(&start);
    return code;
}
