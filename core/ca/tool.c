/* SPDX-License-Identifier: Apache-2.0 */
#include "tool.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "file.h"
#include "folder.h"
#include "legacy.h"
#include "parse.h"
#include "program.h"
#include "say.h"
#include "settings.h"

enum {
    EXIT_MISSING = 255,
    COMMON_MAX = 64,
    KEY_FILE_MAX = 64 * 1024
};

#define say_info(...)  ql_say("keylime.ca-util", "INFO", __VA_ARGS__)
#define say_error(...) ql_say("keylime.ca-util", "ERROR", __VA_ARGS__)

static const struct ql_program program = {
    .name = "quicklime-ca",
    .component = "ca",
    .summary = "a certification authority for nodes and servers",
    .groups = ql_ca_options,
};

/** The command line. Texts are borrowed. */
struct line {
    const char *command, *name, *dir, *file, *serial, *key_type, *password_file, *address, *port;
    bool insecure, force, help;
    const char *common[COMMON_MAX]; /* what all programs have */
    size_t common_count;
};

/** What commands work with. */
struct run {
    const struct line *line;
    struct ql_config *config;
    const char *dir;
    struct ql_secret *password;
    struct ql_ca_profile profile;
    struct ql_ca_folder folder;
};

/** A command. */
struct command {
    const char *name;
    int (*run)(struct run *r, struct ql_err *err);
    bool needs_name, needs_serial, needs_password, opens; /* opens: reads the CA that is there */
    const char *help;
};

/* ---- commands ---- */

static int run_init(struct run *c, struct ql_err *err)
{
    int r = ql_ca_folder_init(&c->folder, c->line->force, err);

    if (r == QL_OK)
        say_info("CA certificate created successfully in %s", c->dir);
    return r;
}

static int run_create(struct run *c, struct ql_err *err)
{
    int r = ql_ca_folder_create(&c->folder, c->line->name, c->line->insecure, c->line->force, err);

    if (r == QL_OK)
        say_info("Created certificate for name %s successfully in %s", c->line->name, c->dir);
    return r;
}

static int run_pkg(struct run *c, struct ql_err *err)
{
    ql_auto(ql_bundle_freep) struct ql_bundle *bundle = NULL;
    ql_auto(ql_secret_freep) struct ql_secret *zip = NULL;
    ql_auto_free char *path = NULL;
    int r = ql_ca_folder_bundle(&c->folder, c->line->name, c->line->insecure, &bundle, err);

    if (r == QL_OK)
        r = ql_bundle_end(bundle, &zip, err);
    if (r < 0)
        return r;
    if (c->line->insecure)
        ql_say("keylime.ca-util", "WARNING",
               "Unprotected private keys in cert package being written to disk");
    if (asprintf(&path, "%s/%s-pkg.zip", c->dir, c->line->name) < 0) {
        path = NULL;
        return ql_fail_nomem(err);
    }
    r = ql_file_write(path, 0600, ql_secret_data(zip), ql_secret_len(zip), err);
    if (r == QL_OK)
        say_info("Creating cert package for %s in %s-pkg.zip", c->line->name, c->line->name);
    return r;
}

static int run_revoke(struct run *c, struct ql_err *err)
{
    uint64_t serial = 0;
    int r = QL_OK;

    if (c->line->name && c->line->serial)
        return ql_fail(err, QL_ERANGE, "You may not specify a cert and a serial at the same time");
    if (!c->line->name)
        r = ql_parse_u64(c->line->serial, strlen(c->line->serial), 0, UINT64_MAX, &serial, err);
    return r == QL_OK ? ql_ca_folder_revoke(&c->folder, c->line->name, serial, err) : r;
}

static int run_crl(struct run *c, struct ql_err *err)
{
    return ql_ca_folder_refresh(&c->folder, err);
}

static int run_list(struct run *c, struct ql_err *err)
{
    return ql_ca_list(c->dir, err);
}

static int run_listen(struct run *c, struct ql_err *err)
{
    const char *address =
        c->line->address ? c->line->address : ql_config_string(c->config, "ca", "listen_ip");
    uint64_t port = (uint64_t)ql_config_int(c->config, "ca", "listen_port");
    int r = c->line->port ? ql_parse_u64(c->line->port, strlen(c->line->port), 0, 65535, &port, err) : QL_OK;

    return r == QL_OK ? ql_ca_listen(c->dir, address, (uint16_t)port, err) : r;
}

static int refuse_second(const struct run *c, struct ql_err *err)
{
    ql_auto_free char *store = ql_path_join(c->dir, "private.json");

    if (!store)
        return ql_fail_nomem(err);
    return access(store, F_OK) == 0 && !c->line->force
               ? ql_fail(err, QL_EEXIST, "%s is there already; --force replaces it", store)
               : QL_OK;
}

static int run_import(struct run *c, struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(c->dir, "private.yml");
    const char *from = c->line->file ? c->line->file : path;
    ql_auto_free uint8_t *text = NULL;
    struct ql_ca *ca = NULL;
    size_t len = 0, others = 0;
    int r = path ? refuse_second(c, err) : ql_fail_nomem(err);

    if (r == QL_OK)
        r = ql_file_read(from, QL_LEGACY_MAX_LEN, &text, &len, err);
    if (r < 0)
        return r;
    r = ql_legacy_read((const char *)text, len, c->password, &ca, &others, err);
    if (r == QL_ECRYPTO)
        return ql_fail(err, r, "Invalid password for keystore %s, or it is damaged", from);
    if (r < 0)
        return ql_fail_context(err, r, "%s", from);
    r = ql_ca_folder_adopt(&c->folder, ca, err);
    if (r == QL_OK)
        say_info("Imported %s: last serial number %llu, %zu revoked; the keys of %zu certificates stay in "
                 "their files",
                 from, (unsigned long long)c->folder.ca->last_serial, c->folder.ca->revoked_count, others);
    return r;
}

static int run_import_priv(struct run *c, struct ql_err *err)
{
    const char *from = c->line->file ? c->line->file : "ca-private.pem";
    struct ql_ca *ca = NULL;
    uint8_t *pem = NULL;
    uint64_t serial = 0;
    size_t len = 0;
    int r = ql_parse_u64(c->line->serial, strlen(c->line->serial), 0, INT64_MAX - 2, &serial, err);

    if (r == QL_OK)
        r = refuse_second(c, err);
    if (r == QL_OK)
        r = ql_file_read(from, KEY_FILE_MAX, &pem, &len, err);
    if (r < 0)
        return r;
    ca = calloc(1, sizeof *ca);
    r = ca ? ql_key_from_private_pem((const char *)pem, len, c->password, &ca->key, err) : ql_fail_nomem(err);
    ql_wipe(pem, len);
    free(pem);
    if (r < 0) {
        ql_ca_free(ca);
        return ql_fail_context(err, r, "%s", from);
    }
    ca->last_serial =
        serial + 1; /* as Keylime counts: one more is safe if the caller's number is that of the next */
    return ql_ca_folder_adopt(&c->folder, ca, err);
}

static const struct command commands[] = {
    {"init", run_init, false, false, true, false, "make a CA"},
    {"create", run_create, true, false, true, true, "make a key and its certificate"},
    {"pkg", run_pkg, true, false, true, true,
     "put a certificate, its key and the CA's files into a ZIP archive"},
    {"revoke", run_revoke, false, false, true, true,
     "revoke a certificate (-n or -s) and write the list anew"},
    {"crl", run_crl, false, false, true, true, "write the revocation list anew, with new dates"},
    {"list", run_list, false, false, false, false, "show certificates and their state"},
    {"listen", run_listen, false, false, false, false, "hand out the revocation list over HTTP"},
    {"import", run_import, false, false, true, false, "take over a CA of Keylime (private.yml, or -f FILE)"},
    {"import-priv", run_import_priv, false, true, true, false,
     "take over a CA's private key (-f FILE) after serial number -s"},
    {.name = NULL},
};

/* ---- command line ---- */

enum {
    OPT_KEY_TYPE = 256,
    OPT_PASSWORD_FILE,
    OPT_FORCE,
    OPT_ADDRESS,
    OPT_PORT,
    OPT_COMMON_VALUE,
    OPT_COMMON_FLAG
};

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {"command", required_argument, NULL, 'c'},
    {"name", required_argument, NULL, 'n'},
    {"dir", required_argument, NULL, 'd'},
    {"insecure", no_argument, NULL, 'i'},
    {"file", required_argument, NULL, 'f'},
    {"serial", required_argument, NULL, 's'},
    {"key-type", required_argument, NULL, OPT_KEY_TYPE},
    {"password-file", required_argument, NULL, OPT_PASSWORD_FILE},
    {"force", no_argument, NULL, OPT_FORCE},
    {"address", required_argument, NULL, OPT_ADDRESS},
    {"port", required_argument, NULL, OPT_PORT},
    {"config-dir", required_argument, NULL, OPT_COMMON_VALUE},
    {"state-dir", required_argument, NULL, OPT_COMMON_VALUE},
    {"set", required_argument, NULL, OPT_COMMON_VALUE},
    {"show-config", no_argument, NULL, OPT_COMMON_FLAG},
    {"check-config", no_argument, NULL, OPT_COMMON_FLAG},
    {"sample-config", no_argument, NULL, OPT_COMMON_FLAG},
    {"version", no_argument, NULL, OPT_COMMON_FLAG},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: quicklime-ca [-h] -c COMMAND [-n NAME] [-d DIR] [-i] [-f FILE] [-s SERIAL] [OPTION]...\n");
}

static void help(void)
{
    usage(stdout);
    printf("\n%s\n\ncommands (also without -c):\n", program.summary);
    for (const struct command *c = commands; c->name; c++)
        printf("  %-12s %s\n", c->name, c->help);
    printf("\noptions:\n"
           "  -h, --help             show this help message and exit\n"
           "  -n, --name NAME        the common name of the certificate\n"
           "  -d, --dir DIR          folder of the CA (default: ca below the state folder)\n"
           "  -i, --insecure         write private keys without a password\n"
           "  -f, --file FILE        what is imported\n"
           "  -s, --serial SERIAL    serial number to revoke; last one used, for import-priv\n"
           "  --key-type TYPE        rsa, p256 or p384 (default: as configured)\n"
           "  --password-file FILE   its first line is the password of the key store\n"
           "  --force                replace what is there\n"
           "  --address IP           where listen listens\n"
           "  --port PORT            its port; 0: any free one\n"
           "  --config-dir, --state-dir, --set, --show-config, --check-config, --sample-config, --version\n"
           "                         as those of the other programs\n");
}

static bool add_common(struct line *l, const char *name, const char *value)
{
    static const char *const names[] = {"--config-dir",   "--state-dir",     "--set",    "--show-config",
                                        "--check-config", "--sample-config", "--version"};

    if (l->common_count + 3 > COMMON_MAX)
        return false;
    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++)
        if (strcmp(names[i] + 2, name) == 0)
            l->common[l->common_count++] = names[i];
    if (value)
        l->common[l->common_count++] = value;
    return true;
}

static bool take(struct line *l, int option, int index)
{
    switch (option) {
    case 'h':
        l->help = true;
        return true;
    case 'c':
        l->command = optarg;
        return true;
    case 'n':
        l->name = optarg;
        return true;
    case 'd':
        l->dir = optarg;
        return true;
    case 'i':
        l->insecure = true;
        return true;
    case 'f':
        l->file = optarg;
        return true;
    case 's':
        l->serial = optarg;
        return true;
    case OPT_KEY_TYPE:
        l->key_type = optarg;
        return true;
    case OPT_PASSWORD_FILE:
        l->password_file = optarg;
        return true;
    case OPT_FORCE:
        l->force = true;
        return true;
    case OPT_ADDRESS:
        l->address = optarg;
        return true;
    case OPT_PORT:
        l->port = optarg;
        return true;
    case OPT_COMMON_VALUE:
    case OPT_COMMON_FLAG:
        return add_common(l, options[index].name, option == OPT_COMMON_VALUE ? optarg : NULL);
    default:
        return false;
    }
}

/* @return false: usage error, said already */
static bool parse(int argc, char **argv, struct line *l)
{
    int option, index = 0;
    bool is_common = false;

    l->common[l->common_count++] = program.name;
    while ((option = getopt_long(argc, argv, "hc:n:d:if:s:", options, &index)) != -1) {
        if (!take(l, option, index))
            return false;
        is_common = is_common || option == OPT_COMMON_FLAG;
    }
    if (optind < argc && !l->command)
        l->command = argv[optind++];
    if (optind < argc) {
        fprintf(stderr, "quicklime-ca: error: unrecognized arguments: %s\n", argv[optind]);
        return false;
    }
    if (!l->command && !l->help && !is_common) {
        usage(stderr);
        fprintf(stderr, "quicklime-ca: error: the following arguments are required: -c/--command\n");
        return false;
    }
    return true;
}

/* @return NULL: exit code 255, said already */
static const struct command *find(const struct line *l)
{
    const struct command *c = commands;

    while (c->name && strcmp(c->name, l->command) != 0)
        c++;
    if (!c->name)
        say_error("Invalid command: %s", l->command);
    else if (c->needs_name && !l->name)
        say_error("you must pass in a name for the certificate using -n (or --name)");
    else if (c->needs_serial && !l->serial)
        say_error("you must pass in the last serial number the CA has used using -s (or --serial)");
    else if (c->run == run_revoke && !l->name && !l->serial)
        say_error("you must pass in a name for the certificate using -n (or --name)");
    else
        return c;
    help();
    return NULL;
}

static int execute(const struct command *command, struct run *c, struct ql_err *err)
{
    int r = ql_ca_profile_read(c->config, c->line->key_type, &c->profile, err);

    if (r < 0 || !command->needs_password)
        return r < 0 ? r : command->run(c, err);
    r = ql_ca_password(c->config, c->line->password_file, &c->password, err);
    if (r == QL_OK)
        r = command->opens ? ql_ca_folder_open(c->dir, c->password, &c->profile, &c->folder, err)
                           : ql_ca_folder_lock(c->dir, c->password, &c->profile, &c->folder, err);
    if (r < 0)
        return r;
    r = command->run(c, err);
    ql_ca_folder_close(&c->folder);
    return r;
}

static int run(const struct line *l, struct ql_start *start)
{
    const struct command *command = find(l);
    struct run c = {.line = l, .config = start->config};
    ql_auto_free char *dir = l->dir ? strdup(l->dir) : ql_path_join(start->state_dir, "ca");
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (!command)
        return EXIT_MISSING;
    c.dir = dir;
    r = dir ? execute(command, &c, &err) : ql_fail_nomem(&err);
    ql_secret_free(c.password);
    if (r < 0)
        say_error("%s", err.text);
    return r < 0 ? 1 : 0;
}

int ql_ca_main(int argc, char **argv)
{
    struct line line = {0};
    struct ql_start start = {0};
    struct ql_err err = QL_ERR_INIT;
    int code = 0;

    if (!parse(argc, argv, &line))
        return 2;
    if (line.help) {
        help();
        return 0;
    }
    line.common[line.common_count] = NULL;
    if (ql_program_start(&program, (int)line.common_count, (char **)(uintptr_t)line.common, &start, &code) !=
        0)
        return code;
    if (ql_config_finish(start.config, &err) < 0) {
        say_error("%s", err.text);
        code = 1;
    } else if (start.show_config) {
        ql_config_show(start.config, stdout);
    } else if (!start.check_config && line.command) {
        code = run(&line, &start);
    }
    ql_start_done(&start);
    return code;
}
