/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tenant.h
 * The tenant: adds, watches and removes agents through the REST APIs of registrar, verifier and agent.
 *
 * It prints as Keylime's tenant does, since scripts read it: log records and JSON lines on standard output
 * (spec/server.md 10, decision 38). Exit codes: 0 success, 1 error, 2 usage.
 */
#pragma once
#include <event2/event.h>

#include "algs.h"
#include "args.h"
#include "cert.h"
#include "client.h"
#include "config.h"
#include "json.h"
#include "public.h"
#include "say.h"
#include "secret.h"
#include "tls.h"

enum {
    QL_TENANT_RESPONSE_MAX = 256 * 1024 * 1024, /**< bytes: bulkinfo of a large fleet */
    QL_TENANT_POLICY_MAX = 100 * 1024 * 1024,   /**< bytes of a policy file */
    QL_TENANT_ADDRESS_MAX = 300                 /**< characters of "HOST:PORT" and an id */
};

/** One of the three parties that the tenant talks to. */
struct ql_link {
    const char *what; /**< "registrar", "verifier", "agent" */
    const char *host;
    uint16_t port;
    struct ql_peer *peer; /**< opened at the first call */
    unsigned version;     /**< negotiated; 0: not yet */
};

/** The process's one context. */
struct ql_tenant {
    const struct ql_args *args;
    struct ql_config *config;
    const char *state_dir;
    const char *config_dir; /**< NULL: the system's */
    struct event_base *base;
    struct ql_http_client *client;
    struct ql_tls *tls;
    struct ql_link registrar, verifier, agent;
    const char *agent_id;
    const char *verifier_id;                                                      /**< as given, NULL */
    char agent_name[QL_TENANT_ADDRESS_MAX], verifier_name[QL_TENANT_ADDRESS_MAX]; /**< for messages */
};

/** Answer of one call. */
struct ql_reply {
    int status;   /**< HTTP status */
    json_t *body; /**< owned; NULL: no JSON */
    char *text;   /**< owned: body as received */
};
void ql_reply_done(struct ql_reply *r);

/* ---- output.c ---- */

#define ql_say_info(...)    ql_say("keylime.tenant", "INFO", __VA_ARGS__)
#define ql_say_warning(...) ql_say("keylime.tenant", "WARNING", __VA_ARGS__)
#define ql_say_error(...)   ql_say("keylime.tenant", "ERROR", __VA_ARGS__)
/** Print a value as Python does, one line. */
void ql_say_python(const json_t *value);
/** Text of an operational state, as the tenant shows it; "Unknown" for others. Static. */
const char *ql_state_text(int64_t state);

/* ---- link.c ---- */

/** Open the TLS context and the client. */
int ql_tenant_open(struct ql_tenant *t, struct ql_err *err);
void ql_tenant_close(struct ql_tenant *t);
/** One call and its answer. @param body may be NULL @retval QL_OK any HTTP status @return other: no answer */
int ql_link_call(struct ql_tenant *t, struct ql_link *l, unsigned method, const char *path,
                 const json_t *body, struct ql_reply *ret, struct ql_err *err);
/** As ql_link_call() with "/vX.Y" before a path built by @p fmt, after negotiation. */
int ql_link_callf(struct ql_tenant *t, struct ql_link *l, unsigned method, const json_t *body,
                  struct ql_reply *ret, struct ql_err *err, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
/** GET /version and pick the version to use; says which. 410 and no JSON: our newest. */
int ql_link_negotiate(struct ql_tenant *t, struct ql_link *l, struct ql_err *err);
/** Open the link to the agent, its certificate pinned. @param mtls_cert PEM, "disabled" or NULL */
int ql_link_agent(struct ql_tenant *t, const char *mtls_cert, struct ql_err *err);
/** Wait between tries as the options say. @param tries how many there were @return false: no more tries */
bool ql_tenant_wait(struct ql_tenant *t, unsigned tries);

/* ---- registration.c ---- */

/** What the registrar knows of an agent, checked. */
struct ql_registered {
    json_t *data; /**< results object */
    struct ql_tpm_public aik;
    const char *aik_tpm, *ek_tpm, *ekcert, *mtls_cert, *ip; /**< borrowed from data; NULL: null */
    int64_t port, regcount;
};
/** @retval QL_ENOTFOUND the registrar does not have it (said already) */
int ql_registered_get(struct ql_tenant *t, struct ql_registered *ret, struct ql_err *err);
void ql_registered_done(struct ql_registered *r);

/* ---- ekcheck.c ---- */

/** Is the EK genuine: certificate store and script, as configured (spec/server.md 10.3). Says why not. */
bool ql_ek_check(struct ql_tenant *t, const struct ql_registered *reg);

/* ---- identity.c ---- */

/** Ask for an identity quote and check it: signature, nonce, PCR 16 binds the key. Says why not.
 * @param[out] nk the agent's payload key, caller frees */
bool ql_identity_check(struct ql_tenant *t, const struct ql_registered *reg, struct ql_key **nk);

/* ---- policies.c ---- */

/** What an addition says of policies. Owned texts. */
struct ql_policies {
    char *tpm_policy;                /**< JSON text with mask */
    char *runtime_policy;            /**< base64, "" none */
    const char *runtime_policy_name; /**< "" none */
    char *runtime_policy_key;        /**< base64 PEM, "" none */
    char *file_keys;                 /**< keyring text of keys that sign files, "[]" none */
    char *mb_policy;                 /**< JSON text; NULL none */
    const char *mb_policy_name;      /**< "" none */
    json_t *custom;                  /**< object or NULL */
};
int ql_policies_read(struct ql_tenant *t, struct ql_policies *ret, struct ql_err *err);
void ql_policies_done(struct ql_policies *p);
/** PCR policy of the command line → JSON text with lower-case lists and the mask. @param mask extra bits
 * @retval QL_EPARSE @retval QL_ERANGE names the PCR */
int ql_tpm_policy_text(const char *policy, uint32_t extra_mask, char **ret, uint32_t *mask,
                       struct ql_err *err);

/* ---- runtime.c ---- */

/**
 * The runtime policy that the command line gives, a converted allowlist too; a signed one is verified.
 * @param[out] ret      base64, "" when none was given; caller frees
 * @param[out] ret_key  base64 of the key that signed it, "" none; caller frees
 */
int ql_runtime_policy_argument(const struct ql_args *a, char **ret, char **ret_key, struct ql_err *err);
/** Keys that sign files, as Keylime's keyring text; "[]" without. @param[out] ret caller frees */
int ql_file_keys_argument(const struct ql_args *a, char **ret, struct ql_err *err);
int ql_command_add_runtime(struct ql_tenant *t);
int ql_command_update_runtime(struct ql_tenant *t);
int ql_command_show_runtime(struct ql_tenant *t);
int ql_command_delete_runtime(struct ql_tenant *t);
int ql_command_list_runtime(struct ql_tenant *t);
int ql_command_add_allowlist(struct ql_tenant *t);
int ql_command_show_allowlist(struct ql_tenant *t);
int ql_command_delete_allowlist(struct ql_tenant *t);

/* ---- boot.c ---- */

/** The measured boot policy that the command line gives. @param[out] ret JSON text, untouched without; caller frees
 * @retval QL_ENOTFOUND `default` and the option mb_refstate is empty @retval QL_EPARSE no JSON */
int ql_boot_policy_argument(const struct ql_tenant *t, char **ret, struct ql_err *err);
int ql_command_add_boot(struct ql_tenant *t);
int ql_command_update_boot(struct ql_tenant *t);
int ql_command_show_boot(struct ql_tenant *t);
int ql_command_delete_boot(struct ql_tenant *t);
int ql_command_list_boot(struct ql_tenant *t);

/* ---- stored.c ---- */

/**
 * Call about a stored policy, and print the answer.
 * @param collection "allowlists" or "mbpolicies"  @param name "": the list
 * @param title of the line before the answer; NULL: no such line
 * @return exit code
 */
int ql_stored_call(struct ql_tenant *t, unsigned method, const char *collection, const char *name,
                   const json_t *body, const char *title);

/* ---- package.c ---- */

/** What --cert makes (spec/server.md 11.4). Owned. */
struct ql_package {
    struct ql_secret *zip;            /**< for the node */
    struct ql_secret *revocation_key; /**< PEM: signs revocations, for the verifier */
    char *metadata;                   /**< JSON text: number and subject of the node's certificate */
};
/**
 * Make CA, node certificate and RevocationNotifier pair as far as they are missing, and the archive of all that the node gets.
 * Asks for the password of the key store if it is not configured.
 */
int ql_package_make(struct ql_tenant *t, struct ql_package *ret, struct ql_err *err);
void ql_package_done(struct ql_package *p);

/* ---- keys.c ---- */

/** Payload keys: K = U xor V. */
struct ql_payload {
    struct ql_secret *k, *u, *v;      /**< NULL: no payload */
    char *encrypted;                  /**< base64; NULL: none */
    struct ql_secret *revocation_key; /**< PEM, for the verifier; NULL: none */
    char *metadata;                   /**< JSON text, for the verifier; NULL: none */
};
int ql_payload_read(struct ql_tenant *t, struct ql_payload *ret, struct ql_err *err);
void ql_payload_done(struct ql_payload *p);
/** Deliver U (and the payload) to the agent. */
int ql_payload_deliver(struct ql_tenant *t, const struct ql_payload *p, const struct ql_key *nk,
                       struct ql_err *err);
/** --verify: wait until the agent answers with the right HMAC. */
int ql_payload_verify(struct ql_tenant *t, const struct ql_payload *p, struct ql_err *err);

/* ---- add.c, commands.c ---- */

/** Each command returns the exit code. */
typedef int (*ql_command_fn)(struct ql_tenant *t);
struct ql_command {
    const char *name;
    ql_command_fn run;
    const char *help;
    bool takes_operand; /**< one argument without an option, in args->operand */
};
extern const struct ql_command ql_commands[]; /**< name NULL at the end */
int ql_command_add(struct ql_tenant *t);
int ql_command_update(struct ql_tenant *t);
/** Where the agent is, and a connection to it that trusts its registered certificate alone; its API version. */
int ql_tenant_find_agent(struct ql_tenant *t, const struct ql_registered *reg, struct ql_err *err);

/* ---- record.c ---- */

int ql_command_record(struct ql_tenant *t);

/* ---- commands.c ---- */

/** GET of the agent at the verifier; prints it. @return HTTP status, 0 without answer */
int ql_cv_show(struct ql_tenant *t, bool quiet);
/** DELETE at the verifier and wait until it is gone. @return exit code */
int ql_cv_delete(struct ql_tenant *t, bool verifier_check);

extern const struct ql_option_group ql_tenant_options[];
