/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file registrar.h
 * The registrar: proves that an attestation key lives in the TPM whose endorsement key it was sent with, and remembers
 * who is who. One loop; TPM structures and certificates from the unauthenticated port are parsed in a worker.
 *
 * Wire: spec/server.md 9, spec/agent.md 2. Rules of pending and active records: decision 26.
 */
#pragma once
#include <event2/event.h>

#include "config.h"
#include "pool.h"
#include "program.h"
#include "registrations.h"
#include "server.h"
#include "store.h"

enum {
    QL_PENDING_MAX = 10000, /**< registrations waiting for their activation; the oldest leave first */
    QL_PENDING_S = 600,     /**< life of a challenge, seconds */
    QL_WRONG_TAGS_MAX = 5,  /**< activations that may fail before a challenge is void */
    QL_REGISTER_BODY_MAX = 256 * 1024, /**< bytes; certificates of three keys and room */
    QL_IAK_CA_MAX = 64,                /**< certificates that may have issued IAK and IDevID certificates */
    QL_EXPIRE_EVERY_S = 60
};

/** The process's one context. */
struct ql_registrar {
    struct event_base *base;
    struct ql_config *config;
    const char *state_dir;
    struct ql_registry *plugins;
    struct ql_store *store;
    struct ql_pool *pool;
    struct ql_http_server *http, *https;
    char *iak_ca[QL_IAK_CA_MAX + 1]; /**< PEM texts, NULL at the end */
    bool ek_needed, iak_needed;
    struct event *expire_timer, *term, *interrupt, *hangup;
    struct ql_err failure; /**< why the loop was left, code 0: asked to */
};

/** Options of registrar.conf. */
extern const struct ql_option_group ql_registrar_options[];
/** Routes of both listeners. */
extern const struct ql_route ql_registrar_routes[];
/** Versions whose paths exist, 0 at the end. */
extern const unsigned ql_registrar_versions[];

/** Handlers: registration and activation (register.c, activate.c). */
void ql_registrar_register(struct ql_http_req *req, void *arg);
void ql_registrar_activate(struct ql_http_req *req, void *arg);
/** Administration (admin.c). */
void ql_registrar_list(struct ql_http_req *req, void *arg);
void ql_registrar_show(struct ql_http_req *req, void *arg);
void ql_registrar_delete(struct ql_http_req *req, void *arg);
void ql_registrar_version(struct ql_http_req *req, void *arg);
void ql_registrar_root(struct ql_http_req *req, void *arg);

/** Answer for a store that failed: 503 with Retry-After when it may work again, else 500; logs once. */
void ql_registrar_store_failed(struct ql_http_req *req, int result, const struct ql_err *err);
