/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file agent.h
 * quicklime-agent: one event loop, one TPM thread (design section 3; wire facts: spec/agent.md).
 *
 * Order of start (spec/agent.md 1.1): configuration, plugins, state folder's lock, evidence opened while still root,
 * privilege drop, TPM (EK, id, AK, IAK), keys and certificate, registration and activation, and only then the listener.
 */
#pragma once
#include <event2/event.h>

#include "bootstrap.h"
#include "device.h"
#include "evidence_set.h"
#include "program.h"
#include "secure.h"
#include "server.h"
#include "tpm_thread.h"

enum {
    QL_AGENT_BODY_MAX = 2 * 1024 * 1024, /**< bytes of a request's body: the payload (spec/agent.md 3) */
    QL_AGENT_VERSIONS = 6,               /**< API 2.1 to 2.6 */
    QL_AGENT_CAS_MAX = 16,               /**< files of trusted_client_ca */
    QL_AGENT_DRAIN_MS = 10000            /**< how long SIGTERM waits for requests under way */
};

/** Everything of the process. Owned by ql_agent_main(); handlers get it as `arg`. Loop thread, unless a field says more. */
struct ql_agent {
    struct ql_start start;
    const struct ql_config *config; /**< borrowed from `start` */
    struct event_base *base;
    struct ql_registry *registry;
    struct ql_evidence_set *evidence; /**< used on the TPM thread alone once started */
    struct ql_tpm_thread *tpm;
    int lock_fd;

    char *dir;  /**< keylime_dir, absolute */
    char *id;   /**< agent id */
    char *host; /**< contact_ip */

    /* Set before the listener opens, constant afterwards; read on both threads. */
    unsigned versions[QL_AGENT_VERSIONS + 1]; /**< enabled, ascending, 0 at the end */
    struct ql_tpm_algs algs;
    enum ql_hash bank;
    char enc_alg[16];                 /**< exact: "rsa2048", "ecc256" */
    size_t evidence_max;              /**< bytes of one evidence item */
    struct ql_key *nk;                /**< payload key */
    char *nk_pem;                     /**< its public part, the very bytes sent */
    uint8_t nk_digest[QL_DIGEST_MAX]; /**< of nk_pem, in bank */

    /* What registration sends. */
    uint8_t *ek, *ak, *iak, *idevid; /**< TPM2B_PUBLIC; iak and idevid NULL without enable_iak_idevid */
    size_t ek_len, ak_len, iak_len, idevid_len;
    uint32_t ak_handle;
    char *ekcert;                 /**< PEM of leaf and chain; NULL: none */
    char *iak_cert, *idevid_cert; /**< base64 of DER; NULL: none */
    char *mtls_cert;              /**< PEM, or "disabled" */

    struct ql_tls *tls; /**< NULL: mTLS is off */
    struct ql_http_server *server;
    struct ql_bootstrap *bootstrap;
    struct ql_registration *registration;
    struct ql_revocation *revocation;
    struct ql_privileged *privileged; /**< NULL: no action is root's */
    struct event *signals[3], *drain;
    int64_t drain_until_ns; /**< monotonic; 0: not ending */
    bool payload_allowed;
    struct ql_secure secure;            /**< path is NULL when no payload is taken */
    bool secure_group;                  /**< the group of `secure` may read payloads */
    uid_t secure_owner;                 /**< whose it is: who the agent becomes */
    struct ql_keeper *keeper;           /**< NULL: nothing of payloads needs root */
    struct ql_payload *payload;         /**< NULL: none is taken */
    const char *try_action, *try_event; /**< --test-action; NULL: not asked for */
    int exit_code;
};

/** The program. @return exit status */
int ql_agent_main(int argc, char **argv);

/** Option tables (options.c). */
extern const struct ql_option_group QL_AGENT_GROUPS[];
/**
 * Path of an option: absolute as it stands, else below keylime_dir; `default` or empty: @p preset below keylime_dir.
 * @return caller frees; NULL: no memory
 */
char *ql_agent_path(const struct ql_agent *a, const char *option, const char *preset);
/** A password option: text, or bytes after "hex:". *ret NULL when it is empty. @retval QL_EPARSE names the option */
int ql_agent_password(const struct ql_agent *a, const char *option, struct ql_secret **ret,
                      struct ql_err *err);
/** A handle option: "", "generate" → 0; else hex with or without 0x. */
int ql_agent_handle(const struct ql_agent *a, const char *option, uint32_t *ret, struct ql_err *err);
/** Enabled API versions from api_versions: `default`, `latest`, or a list (unknown ones skipped; none left: all). */
void ql_agent_versions(const struct ql_agent *a, unsigned *ret);
/** Rules that concern more than one option (spec/agent.md 1.1: payload scripts without mTLS; host names). */
int ql_agent_check_options(const struct ql_agent *a, struct ql_err *err);

/** Open the TPM, EK, agent id, AK, IAK; writes agent_data.json (tpmsetup.c). Blocks: start-up only. */
int ql_agent_tpm_setup(struct ql_agent *a, struct ql_err *err);
/** NK, mTLS key and certificate, TLS context (keyfiles.c). */
int ql_agent_keys_setup(struct ql_agent *a, struct ql_err *err);
/** A TLS context from the files as they are now (start and SIGHUP). */
int ql_agent_tls_load(const struct ql_agent *a, struct ql_tls **ret, struct ql_err *err);

/** Route table and the answers to what it does not hold (routes.c, keys.c, quotes.c). */
extern const struct ql_route QL_AGENT_ROUTES[];
void ql_agent_miss(struct ql_http_req *req, enum ql_miss miss, void *arg);
void ql_agent_get_pubkey(struct ql_http_req *req, void *arg);
void ql_agent_get_verify(struct ql_http_req *req, void *arg);
void ql_agent_post_ukey(struct ql_http_req *req, void *arg);
void ql_agent_post_vkey(struct ql_http_req *req, void *arg);
void ql_agent_get_identity(struct ql_http_req *req, void *arg);
void ql_agent_get_integrity(struct ql_http_req *req, void *arg);

/** enc_alg as an API version says it: before 2.5 "rsa" and "ecc" for the two usual sizes (spec/agent.md 3.1). */
const char *ql_agent_enc_alg(const struct ql_agent *a, unsigned version);
/** Exactly one value of a query parameter; else the answer is sent. @return borrowed; NULL: answered */
const char *ql_agent_query(struct ql_http_req *req, const char *name);
/** @return true for ASCII letters and digits alone ("" too) */
bool ql_alnum_ok(const char *text);
/** Foreign text for an error message: cut, and replaced when it is no UTF-8. @p out has room for 100. @return text to show */
const char *ql_agent_echo(const char *text, char *out);
