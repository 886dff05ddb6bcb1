/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "parse.h"
#include "payload.h"
#include "version.h"

#define TEXT(n, p, h)                                                                                        \
    {                                                                                                        \
        .name = (n), .type = QL_OPT_STRING, .preset = (p), .help = (h)                                       \
    }
#define SECRET(n, h)                                                                                         \
    {                                                                                                        \
        .name = (n), .type = QL_OPT_STRING, .flags = QL_OPT_SECRET, .help = (h)                              \
    }
#define FLAG(n, p, h)                                                                                        \
    {                                                                                                        \
        .name = (n), .type = QL_OPT_BOOL, .preset = (p), .help = (h)                                         \
    }
#define LIST(n, p, h)                                                                                        \
    {                                                                                                        \
        .name = (n), .type = QL_OPT_LIST, .preset = (p), .help = (h)                                         \
    }
#define NUMBER(n, lo, hi, p, h)                                                                              \
    {                                                                                                        \
        .name = (n), .type = QL_OPT_INT, .min = (lo), .max = (hi), .preset = (p), .help = (h)                \
    }

/* Names and defaults: spec/agent.md 7; paths are below keylime_dir unless absolute. */
static const struct ql_option AGENT[] = {
    QL_COMMON_ROWS,
    TEXT("version", "2.4", "version of the file format, as Keylime writes it; read for its sake, not used"),
    LIST("api_versions", "default", "API versions served: default (all), latest, or a list"),
    TEXT("uuid", "d432fbb3-d2f1-4a97-9ef7-75bd81c00000",
         "agent id: a UUID or name, or generate, hash_ek, environment (KEYLIME_AGENT_UUID), dmidecode, "
         "hostname"),
    TEXT("ip", "127.0.0.1", "address to listen on: IPv4, IPv6, host name, or * for all"),
    NUMBER("port", 1, 65535, "9002", "port to listen on"),
    TEXT("contact_ip", "127.0.0.1",
         "address told to the registrar: where tenant and verifier reach this agent"),
    NUMBER("contact_port", 1, 65535, "9002", "port told to the registrar"),
    TEXT("registrar_ip", "127.0.0.1", "registrar's address or host name"),
    NUMBER("registrar_port", 1, 65535, "8890", "registrar's port without TLS"),
    NUMBER("registrar_tls_port", 1, 65535, "8891", "registrar's port with TLS (push model)"),
    FLAG("registrar_tls_enabled", "false", "register over TLS (push model)"),
    TEXT("registrar_tls_ca_cert", "default", "CA of the registrar (push model); default: cv_ca/cacert.crt"),
    FLAG("enable_agent_mtls", "true",
         "serve TLS and demand client certificates; false is plain HTTP, for tests"),
    TEXT("keylime_dir", "", "folder of keys, certificates and agent_data.json; empty: the state folder"),
    TEXT("server_key", "default", "private key of the listener; default: server-private.pem, made if absent"),
    SECRET("server_key_password", "password of server_key"),
    TEXT("server_cert", "default", "certificate of the listener; default: server-cert.crt, made if absent"),
    TEXT("payload_key", "default", "RSA 2048 payload key; default: payload-private.pem, made if absent"),
    SECRET("payload_key_password", "password of payload_key"),
    LIST("trusted_client_ca", "default", "CAs whose clients may call; default: cv_ca/cacert.crt"),
    TEXT("enc_keyname", "derived_tci_key", "file that gets the payload's key"),
    TEXT("dec_payload_file", "decrypted_payload", "file that gets the decrypted payload"),
    TEXT("secure_size", "1m",
         "size of the tmpfs for payloads at keylime_dir/secure, and bytes that a payload may unpack to: "
         "digits and "
         "k, m, g or %"),
    FLAG("enable_insecure_storage", "false",
         "keep payloads in a plain folder instead of a tmpfs: secrets reach the disk"),
    FLAG("extract_payload_zip", "true", "unzip a payload that is a ZIP archive"),
    FLAG("enable_revocation_notifications", "false",
         "listen for revocations over ZeroMQ; not offered, verifiers post them"),
    TEXT("revocation_notification_ip", "127.0.0.1", "ZeroMQ publisher's address"),
    NUMBER("revocation_notification_port", 1, 65535, "8992", "ZeroMQ publisher's port"),
    TEXT("revocation_cert", "default",
         "certificate that signs revocations; default: secure/unzipped/RevocationNotifier-cert.crt"),
    LIST("revocation_actions", "", "actions to run at a revocation, in order"),
    TEXT("revocation_actions_dir", "/usr/libexec/keylime", "folder of revocation actions"),
    FLAG("revocation_actions_continue", "false", "go on with the next action after one that failed"),
    NUMBER("revocation_action_timeout", 1, 86400, "60", "seconds after which an action is killed"),
    LIST("revocation_action_settings", "",
         "what actions are told, as ACTION.NAME=VALUE; actions in Lua find it in event.settings"),
    LIST("action_exec", "", "programs that actions in Lua may start (ql.exec), absolute paths"),
    LIST("action_files", "", "folders below which actions in Lua may read and write (ql.file)"),
    LIST("action_http_hosts", "", "hosts that actions in Lua may post to over HTTPS, as HOST or HOST:PORT"),
    LIST("action_http_ca", "", "CA files for these hosts; empty: the system's CAs"),
    FLAG("python_actions", "false", "run actions ACTION.py by shim.py in revocation_actions_dir"),
    LIST("privileged_actions", "",
         "actions of revocation_actions_dir that run as root, by quicklime-actiond"),
    TEXT("actiond_path", "", "quicklime-actiond; empty: the installation's"),
    TEXT("actiond_dir", "/var/lib/quicklime-actiond",
         "folder, root's own, in which quicklime-actiond remembers what it ran; one for each agent of a "
         "machine"),
    TEXT("action_runner_path", "",
         "program that runs actions in Lua and shared objects; empty: the installation's"),
    TEXT("payload_script", "autorun.sh", "script of a payload to run; empty: none"),
    NUMBER("payload_script_timeout", 0, 604800, "0", "seconds after which payload_script is killed; 0: none"),
    TEXT("payload_run_as", "",
         "user:group that payload_script runs as, also root:root; empty: the agent's. Needs a start as root"),
    TEXT("payloadd_path", "", "quicklime-payloadd; empty: the installation's"),
    TEXT("unpack_path", "", "program that unpacks payloads; empty: the installation's"),
    FLAG("enable_insecure_payload", "false", "take payloads without mTLS"),
    FLAG("allow_payload_revocation_actions", "true", "run actions that came with a payload"),
    {.name = "tpm_hash_alg",
     .type = QL_OPT_STRING,
     .preset = "sha256",
     .choices = "sha1 sha256 sha384 sha512",
     .help = "hash of attestation key, quotes and PCR bank"},
    TEXT("tpm_encryption_alg", "rsa",
         "endorsement and attestation key: rsa2048, rsa3072, rsa4096, ecc256, ecc384, ecc521"),
    {.name = "tpm_signing_alg",
     .type = QL_OPT_STRING,
     .preset = "rsassa",
     .choices = "rsassa rsapss ecdsa ecschnorr",
     .help = "scheme of quotes; Keylime verifiers take rsassa and ecdsa"},
    TEXT("ek_handle", "generate",
         "persistent handle of the endorsement key in hex; generate: from its template"),
    SECRET("tpm_ownerpassword", "password of the endorsement hierarchy, or bytes as hex:..."),
    FLAG("enable_iak_idevid", "false", "register with IAK and IDevID"),
    {.name = "iak_idevid_template",
     .type = QL_OPT_STRING,
     .preset = "detect",
     .choices = "H-1 H-2 H-3 H-4 manual detect default",
     .help = "template of IAK and IDevID; detect: by their certificates"},
    {.name = "iak_idevid_asymmetric_alg",
     .type = QL_OPT_STRING,
     .preset = "rsa",
     .choices = "rsa ecc",
     .help = "key of the manual template"},
    {.name = "iak_idevid_name_alg",
     .type = QL_OPT_STRING,
     .preset = "sha256",
     .choices = "sha256 sha384 sha512",
     .help = "name hash of the manual template"},
    TEXT("iak_handle", "", "persistent handle of the IAK in hex; empty: from the template"),
    SECRET("iak_password", "password of the IAK at iak_handle, or bytes as hex:..."),
    TEXT("idevid_handle", "", "persistent handle of the IDevID key in hex; empty: from the template"),
    SECRET("idevid_password", "password of the IDevID key; not needed, its public part is read alone"),
    TEXT("iak_cert", "default", "IAK certificate, DER or PEM; default: iak-cert.crt; empty: none"),
    TEXT("idevid_cert", "default", "IDevID certificate, DER or PEM; default: idevid-cert.crt; empty: none"),
    TEXT("run_as", "quicklime:tss", "user:group to become when started as root; empty: stay root"),
    TEXT("agent_data_path", "default", "file that keeps the attestation key; default: agent_data.json"),
    TEXT("ima_ml_path", "/sys/kernel/security/ima/ascii_runtime_measurements", "IMA measurement list"),
    TEXT("measuredboot_ml_path", "/sys/kernel/security/tpm0/binary_bios_measurements", "UEFI event log"),
    NUMBER("exponential_backoff_initial_delay", 1, 86400000, "10000",
           "ms before the first repeat at the registrar"),
    NUMBER("exponential_backoff_max_retries", 0, 1000000, "5", "repeats at the registrar before giving up"),
    NUMBER("exponential_backoff_max_delay", 1, 86400000, "300000", "ms between repeats at most"),
    NUMBER("attestation_interval_seconds", 1, 86400, "60", "seconds between attestations (push model)"),
    TEXT("verifier_url", "https://localhost:8881", "verifier (push model)"),
    TEXT("verifier_tls_ca_cert", "default", "CA of the verifier (push model); default: cv_ca/cacert.crt"),
    LIST("registrar_api_versions", "default", "API versions to use with the registrar (push model)"),
    TEXT("certification_keys_server_identifier", "ak", "key named to the verifier (push model)"),
    TEXT("uefi_logs_evidence_version", "2.1", "version of UEFI log evidence (push model)"),
    TEXT("tcti", "",
         "TPM, as tpm2-tss names it (device:/dev/tpmrm0); empty: variable TCTI, then /dev/tpmrm0, /dev/tpm0"),
    LIST("plugins", "", "plugins to load, by name"),
    TEXT("plugin_dir", "", "folder of plugins; empty: the installation's"),
    NUMBER("max_evidence", 4096, INT64_C(1) << 31, "256M", "bytes of one log or evidence item in an answer"),
    NUMBER("max_connections", 1, 10000, "64", "open connections"),
    NUMBER("max_connections_per_address", 1, 10000, "32", "open connections of one address"),
    NUMBER("idle_timeout", 1, 86400, "120", "seconds that a connection stays open without a request"),
    NUMBER("request_timeout", 1, 3600, "60", "seconds for a request's body and for its answer"),
    {0},
};

const struct ql_option_group QL_AGENT_GROUPS[] = {{"agent", AGENT}, {0}};

char *ql_agent_path(const struct ql_agent *a, const char *option, const char *preset)
{
    const char *text = ql_config_string(a->config, "agent", option);

    if (*text == '\0' || strcmp(text, "default") == 0)
        text = preset;
    return ql_path_join(a->dir, text);
}

int ql_agent_password(const struct ql_agent *a, const char *option, struct ql_secret **ret,
                      struct ql_err *err)
{
    const char *text = ql_config_string(a->config, "agent", option);
    size_t len = strlen(text);
    ql_auto(ql_secret_freep) struct ql_secret *secret = NULL;
    int r;

    if (len == 0) {
        *ret = NULL;
        return QL_OK;
    }
    if (strncmp(text, "hex:", 4) != 0)
        return ql_secret_new(text, len, ret, err);
    if (len == 4 || len % 2 != 0)
        return ql_fail(err, QL_EPARSE, "%s: what follows hex: is not a number of hex pairs", option);
    r = ql_secret_new_empty((len - 4) / 2, &secret, err);
    if (r < 0)
        return r;
    /* The decoder's own text would quote the password. */
    if (ql_hex_decode(text + 4, len - 4, ql_secret_writable(secret), (len - 4) / 2, NULL) < 0)
        return ql_fail(err, QL_EPARSE, "%s: what follows hex: is not a number of hex pairs", option);
    *ret = ql_steal(secret);
    return QL_OK;
}

int ql_agent_handle(const struct ql_agent *a, const char *option, uint32_t *ret, struct ql_err *err)
{
    const char *text = ql_config_string(a->config, "agent", option);

    if (*text == '\0' || strcmp(text, "generate") == 0) {
        *ret = 0;
        return QL_OK;
    }
    if (ql_parse_hex_u32(text, strlen(text), ret, NULL) < 0 || *ret == 0)
        return ql_fail(err, QL_EPARSE, "%s \"%s\" is not a handle in hex", option, text);
    return QL_OK;
}

void ql_agent_versions(const struct ql_agent *a, unsigned *ret)
{
    const size_t count = ql_config_count(a->config, "agent", "api_versions");
    bool wanted[QL_AGENT_VERSIONS] = {false}, any = false;
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        const char *item = ql_config_item(a->config, "agent", "api_versions", i);
        unsigned version = 0;

        if (strcmp(item, "latest") == 0)
            version = QL_API(2, QL_AGENT_VERSIONS);
        else if (ql_api_parse(item, strlen(item), &version, NULL) < 0)
            continue;
        if (version < QL_API(2, 1) || version > QL_API(2, QL_AGENT_VERSIONS))
            continue;
        wanted[(version & 0xff) - 1] = any = true;
    }
    for (unsigned i = 0; i < QL_AGENT_VERSIONS; i++)
        if (wanted[i] || !any)
            ret[at++] = QL_API(2, i + 1);
    ret[at] = 0;
}

/** Letters, digits and inner hyphens, joined by dots; or an IP address. */
static bool host_ok(const char *text)
{
    size_t label = 0;

    /* IPv6, with or without brackets and zone: the resolver is the judge, but nothing else may stand in it. */
    if (strchr(text, ':'))
        return text[strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:.%[]_-")] ==
               '\0';
    for (const char *p = text; *p != '\0'; p++) {
        bool alnum = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');

        if (*p == '.' || *p == '-') {
            if (label == 0 || (*p == '.' && p[-1] == '-'))
                return false;
            label = *p == '.' ? 0 : label + 1;
        } else if (alnum) {
            label++;
        } else {
            return false;
        }
        if (label > 63)
            return false;
    }
    return label > 0 && text[strlen(text) - 1] != '-';
}

int ql_agent_check_options(const struct ql_agent *a, struct ql_err *err)
{
    static const char *const hosts[] = {"ip", "contact_ip", "registrar_ip"};
    uint64_t bytes;
    int r;

    for (size_t i = 0; i < QL_ARRAY_LEN(hosts); i++) {
        const char *text = ql_config_string(a->config, "agent", hosts[i]);

        if (!host_ok(text) && !(i == 0 && strcmp(text, "*") == 0))
            return ql_fail(err, QL_ERANGE, "%s \"%s\" is neither an address nor a host name", hosts[i], text);
    }
    r = ql_payload_check_options(a->config, err);
    if (r == QL_OK)
        r = ql_secure_size(ql_config_string(a->config, "agent", "secure_size"), &bytes, err);
    if (r < 0)
        return r;
    if (!ql_config_bool(a->config, "agent", "enable_agent_mtls") &&
        !ql_config_bool(a->config, "agent", "enable_insecure_payload") &&
        *ql_config_string(a->config, "agent", "payload_script") != '\0')
        return ql_fail(
            err, QL_ERANGE,
            "enable_agent_mtls is off, so anybody could send a payload: set payload_script to \"\" or turn "
            "mTLS on");
    return QL_OK;
}
