/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "args.h"
#include "cleanup.h"
#include "error.h"

enum kind {
    FLAG,
    VALUE,
    MANY
};

struct row {
    const char *names[5]; /* short ones first */
    enum kind kind;
    const char *meta, *help;
};

static const struct row rows[QL_ARG_COUNT] = {
    [QL_ARG_HELP] = {{"-h", "--help"}, FLAG, NULL, "show this help"},
    [QL_ARG_COMMAND] = {{"-c", "--command"}, VALUE, "COMMAND", "what to do (default add)"},
    [QL_ARG_PUSH_MODEL] = {{"--push-model"}, FLAG, NULL, "the agent pushes its attestations"},
    [QL_ARG_TARGET_HOST] = {{"-t", "--targethost"},
                            VALUE,
                            "HOST",
                            "agent's address (default: the registrar's record)"},
    [QL_ARG_TARGET_PORT] = {{"-tp", "--targetport"},
                            VALUE,
                            "PORT",
                            "agent's port (default: the registrar's record)"},
    [QL_ARG_REGISTRAR_HOST] = {{"-r", "--registrarhost"}, VALUE, "HOST", "registrar's address"},
    [QL_ARG_REGISTRAR_PORT] = {{"-rp", "--registrarport"}, VALUE, "PORT", "registrar's HTTPS port"},
    [QL_ARG_CV_TARGET_HOST] = {{"--cv_targethost"},
                               VALUE,
                               "HOST",
                               "agent's address as the verifier reaches it"},
    [QL_ARG_CV] = {{"-v", "--cv"}, VALUE, "HOST", "verifier's address"},
    [QL_ARG_CV_PORT] = {{"-vp", "--cvport"}, VALUE, "PORT", "verifier's port"},
    [QL_ARG_CV_ID] = {{"-vi", "--cvid"}, VALUE, "ID", "verifier's id"},
    [QL_ARG_NO_VERIFIER_CHECK] = {{"-nvc", "--no-verifier-check"},
                                  FLAG,
                                  NULL,
                                  "do not ask the verifier first"},
    [QL_ARG_UUID] = {{"-u", "--uuid"}, VALUE, "UUID", "agent's id"},
    [QL_ARG_FILE] = {{"-f", "--file"}, VALUE, "FILE", "payload to deliver to the agent"},
    [QL_ARG_CERT] = {{"--cert"},
                     VALUE,
                     "DIR",
                     "make and deliver a certificate; default: ca below the state folder"},
    [QL_ARG_KEY] = {{"-k", "--key"}, VALUE, "FILE", "file of K, U and V for an encrypted payload"},
    [QL_ARG_PAYLOAD] = {{"-p", "--payload"}, VALUE, "FILE", "encrypted payload that goes with -k"},
    [QL_ARG_INCLUDE] = {{"--include"}, VALUE, "DIR", "files (a folder or ZIP archive) to add to --cert"},
    [QL_ARG_ALLOWLIST] = {{"--allowlist"}, VALUE, "FILE", "allowlist for the agent"},
    [QL_ARG_RUNTIME_POLICY] = {{"--runtime-policy"}, VALUE, "FILE", "runtime policy for the agent"},
    [QL_ARG_IMA_KEY] = {{"--signature-verification-key", "--sign_verification_key"},
                        MANY,
                        "FILE",
                        "key that signs files (repeatable)"},
    [QL_ARG_IMA_KEY_SIG] = {{"--signature-verification-key-sig"},
                            MANY,
                            "FILE",
                            "signature over such a key (repeatable)"},
    [QL_ARG_IMA_KEY_SIG_KEY] = {{"--signature-verification-key-sig-key"},
                                MANY,
                                "FILE",
                                "key that made that signature (repeatable)"},
    [QL_ARG_MB_POLICY] = {{"--mb-policy", "--mb_refstate"},
                          VALUE,
                          "FILE",
                          "measured boot policy for the agent"},
    [QL_ARG_EXCLUDE] = {{"--exclude"}, VALUE, "FILE", "exclude list that goes with --allowlist"},
    [QL_ARG_RUNTIME_POLICY_CHECKSUM] = {{"--runtime-policy-checksum"},
                                        VALUE,
                                        "HEX",
                                        "SHA-256 of the runtime policy"},
    [QL_ARG_RUNTIME_POLICY_SIG_KEY] = {{"--runtime-policy-sig-key"},
                                       VALUE,
                                       "FILE",
                                       "key that signs the runtime policy"},
    [QL_ARG_RUNTIME_POLICY_URL] = {{"--runtime-policy-url"},
                                   VALUE,
                                   "URL",
                                   "where to fetch the runtime policy"},
    [QL_ARG_ALLOWLIST_URL] = {{"--allowlist-url"}, VALUE, "URL", "where to fetch the allowlist"},
    [QL_ARG_TPM_POLICY] = {{"--tpm_policy"}, VALUE, "JSON", "PCR numbers and the values they may have"},
    [QL_ARG_VERIFY] = {{"--verify"}, FLAG, NULL, "wait until the agent has derived its key"},
    [QL_ARG_ALLOWLIST_NAME] = {{"--allowlist-name"}, VALUE, "NAME", "name of a stored allowlist"},
    [QL_ARG_RUNTIME_POLICY_NAME] = {{"--runtime-policy-name"},
                                    VALUE,
                                    "NAME",
                                    "name of a stored runtime policy"},
    [QL_ARG_MB_POLICY_NAME] = {{"--mb-policy-name"}, VALUE, "NAME", "name of a stored measured boot policy"},
    [QL_ARG_AGENT_API_VERSION] = {{"--agent-api-version", "--supported-version"},
                                  VALUE,
                                  "X.Y",
                                  "API version to use with the agent"},
    [QL_ARG_POLICY] = {{"--policy"}, MANY, "NAME=FILE", "policy for validator NAME (repeatable)"},
    [QL_ARG_POLICY_NAME] = {{"--policy-name"},
                            MANY,
                            "NAME=STORED",
                            "stored policy for validator NAME: ima or mboot (repeatable)"},
    [QL_ARG_CONFIG_DIR] = {{"--config-dir"}, VALUE, "DIR", "folder of tenant.conf instead of the system's"},
    [QL_ARG_STATE_DIR] = {{"--state-dir"}, VALUE, "DIR", "work directory"},
    [QL_ARG_SET] = {{"--set"}, MANY, "GROUP.OPTION=VALUE", "set an option (repeatable)"},
    [QL_ARG_SHOW_CONFIG] = {{"--show-config"},
                            FLAG,
                            NULL,
                            "print each option, its value and where it came from"},
    [QL_ARG_CHECK_CONFIG] = {{"--check-config"}, FLAG, NULL, "check the configuration and exit"},
    [QL_ARG_SAMPLE_CONFIG] = {{"--sample-config"}, FLAG, NULL, "print a commented sample of tenant.conf"},
    [QL_ARG_VERSION] = {{"--version"}, FLAG, NULL, "print the version"},
};

static bool is_exact(const struct row *row, const char *name, size_t len)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(row->names) && row->names[i]; i++)
        if (strlen(row->names[i]) == len && strncmp(row->names[i], name, len) == 0)
            return true;
    return false;
}

static const char *prefixed(const struct row *row, const char *name, size_t len)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(row->names) && row->names[i]; i++)
        if (row->names[i][1] == '-' && strncmp(row->names[i], name, len) == 0)
            return row->names[i];
    return NULL;
}

/* An exact name wins; else a long option's prefix, if only one option has it. */
static int find(const char *name, size_t len, enum ql_arg *ret, struct ql_err *err)
{
    const char *match = NULL;

    for (size_t i = 0; i < QL_ARG_COUNT; i++)
        if (is_exact(&rows[i], name, len)) {
            *ret = (enum ql_arg)i;
            return QL_OK;
        }
    for (size_t i = 0; len > 2 && name[1] == '-' && i < QL_ARG_COUNT; i++) {
        const char *candidate = prefixed(&rows[i], name, len);

        if (!candidate)
            continue;
        if (match)
            return ql_fail(err, QL_EPARSE, "ambiguous option: %.*s could match %s, %s", (int)len, name, match,
                           candidate);
        match = candidate;
        *ret = (enum ql_arg)i;
    }
    return match ? QL_OK : ql_fail(err, QL_EPARSE, "unrecognized arguments: %.*s", (int)len, name);
}

static int store(struct ql_args *args, enum ql_arg which, const char *value, struct ql_err *err)
{
    size_t at = args->count[which];

    if (rows[which].kind == VALUE)
        at = 0; /* the last one wins */
    if (at >= QL_ARG_VALUES_MAX)
        return ql_fail(err, QL_ELIMIT, "argument %s: given more than %d times", rows[which].names[0],
                       QL_ARG_VALUES_MAX);
    args->values[which][at] = value;
    args->count[which] = at + 1;
    return QL_OK;
}

int ql_args_parse(int argc, char **argv, struct ql_args *ret, struct ql_err *err)
{
    struct ql_args args = {0};

    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *equals = strncmp(name, "--", 2) == 0 ? strchr(name, '=') : NULL;
        size_t len = equals ? (size_t)(equals - name) : strlen(name);
        const char *value = equals ? equals + 1 : NULL;
        enum ql_arg which = QL_ARG_HELP;
        int r;

        if (name[0] != '-' && *name != '\0' && !args.operand) {
            args.operand = name;
            continue;
        }
        if (name[0] != '-' || len < 2)
            return ql_fail(err, QL_EPARSE, "unrecognized arguments: %s", name);
        r = find(name, len, &which, err);
        if (r < 0)
            return r;
        if (rows[which].kind == FLAG) {
            if (value)
                return ql_fail(err, QL_EPARSE, "argument %s: ignored explicit argument '%s'",
                               rows[which].names[0], value);
            args.count[which] = 1;
            continue;
        }
        if (!value && (++i >= argc || (argv[i][0] == '-' && argv[i][1] != '\0')))
            return ql_fail(err, QL_EPARSE, "argument %s: expected one argument", rows[which].names[0]);
        r = store(&args, which, value ? value : argv[i], err);
        if (r < 0)
            return r;
    }
    *ret = args;
    return QL_OK;
}

const char *ql_arg(const struct ql_args *a, enum ql_arg which)
{
    return a->count[which] > 0 ? a->values[which][a->count[which] - 1] : NULL;
}

bool ql_arg_given(const struct ql_args *a, enum ql_arg which)
{
    return a->count[which] > 0;
}

void ql_args_help(FILE *out)
{
    for (size_t i = 0; i < QL_ARG_COUNT; i++) {
        char names[128] = "";
        size_t at = 0;

        for (size_t n = 0; n < QL_ARRAY_LEN(rows[i].names) && rows[i].names[n]; n++) {
            int wrote = snprintf(names + at, sizeof names - at, "%s%s", n > 0 ? ", " : "", rows[i].names[n]);

            if (wrote < 0 || (size_t)wrote >= sizeof names - at)
                break;
            at += (size_t)wrote;
        }
        fprintf(out, "  %s%s%s\n        %s\n", names, rows[i].meta ? " " : "",
                rows[i].meta ? rows[i].meta : "", rows[i].help);
    }
}
