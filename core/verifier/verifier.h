/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file verifier.h
 * The verifier: asks each agent for quotes, has them judged in workers, remembers, and tells when one fails.
 *
 * One loop. It moves bytes, reads HTTP and JSON envelopes under limits, and keeps time; evidence, policies and
 * certificates are interpreted in workers, the database is used on the store thread, RSA on a helper thread.
 * Wire: spec/server.md 1–6.
 */
#pragma once
#include <event2/event.h>

#include "agent.h"
#include "breath.h"
#include "config.h"
#include "offload.h"
#include "pool.h"
#include "program.h"
#include "server.h"
#include "severity.h"
#include "store.h"

enum {
    QL_API_BODY_SMALL = 64 * 1024,          /**< larger bodies are read in a worker (decision 15) */
    QL_COLUMN_MAX = 256 * 1024,             /**< bytes of JSON in a column that the verifier wrote itself */
    QL_EVIDENCE_BODY_MAX = 8 * 1024 * 1024, /**< of /verify/evidence (decision 9) */
    QL_EVIDENCE_WAITING = 16,               /**< one-shot checks that wait behind the one that runs */
    QL_EVIDENCE_CPU_MS = 5000,
    QL_RETRY_MAX_MS = 3600 * 1000, /**< longest wait before a call is repeated */
    QL_ANSWER_MEMFD = 64 * 1024,   /**< larger answers of agents go into a memfd */
    QL_WATCHDOG_S = 30             /**< how often agents are checked for being forgotten */
};

/** Options that polls use, read once. */
struct ql_poll_options {
    int64_t interval_ms;
    unsigned request_ms;
    int64_t retry_ms;
    bool exponential;
    unsigned max_retries;
    size_t response_max;
    unsigned min_rate;
};

TAILQ_HEAD(ql_agent_queue, ql_agent);

/** The process's one context. */
struct ql_verifier {
    struct event_base *base;
    struct ql_config *config;
    const char *state_dir;
    const char *uuid; /**< whose agents are ours */
    struct ql_registry *plugins;
    struct ql_registry
        *worker_plugins; /**< what the workers run: checked here, options read, nothing called */
    struct ql_store *store;
    struct ql_seal *seal;
    struct ql_pool *pool, *public_pool; /**< NULL: no one-shot checks */
    unsigned public_jobs;               /**< one-shot checks that run or wait */
    struct ql_offload *offload;
    struct ql_http_server *https;
    struct ql_http_client *client;
    struct ql_tls *agent_tls;
    struct ql_route *routes; /**< owned copy of the table */
    struct ql_severity *severity;
    struct ql_contents *contents;
    struct ql_agent_table agents;
    struct ql_poll_options poll;
    struct ql_journal *journal;
    size_t journaled;           /**< failures in the journal that are not in the database yet */
    bool is_halted;             /**< a failure could not even be journaled: nothing is polled */
    struct ql_op_list unstored; /**< failures that are tried again when the timer fires */
    struct event *unstored_timer;
    struct ql_outbox_runner *outbox;
    struct ql_leases *leases; /**< NULL: `leases = false`, all agents of the uuid are ours */

    struct ql_agent_queue start_queue;
    size_t start_count;
    int64_t start_due_ns;
    struct ql_breath breath;
    unsigned large_answers; /**< since the watchdog last looked */
    bool keeps_memory;      /**< there were some before that */
    struct event *start_timer, *watchdog, *drain_timer, *term, *interrupt, *hangup;
    int64_t drain_until_ns;
    bool is_stopping; /**< nothing new is begun */
    bool is_closing;  /**< the loop has ended */
};

/** Options of verifier.conf. */
extern const struct ql_option_group ql_verifier_options[];
/** Routes, and the versions whose paths exist, 0 at the end. */
extern const struct ql_route ql_verifier_routes[];
extern const unsigned ql_verifier_versions[];
/** API versions spoken with agents, 0 at the end. */
extern const unsigned ql_agent_api_versions[];

/** A copy of the table as `verify_evidence` wants it. Caller frees. NULL: no memory */
struct ql_route *ql_verifier_routes_for(const char *verify_evidence);

/* ---- life (start.c, recovery.c, stop.c) ---- */

/** Everything that can be checked without a state folder: plugins, options. */
int ql_verifier_prepare(struct ql_verifier *v, struct ql_err *err);
/** Open, load, listen. */
int ql_verifier_start(struct ql_verifier *v, struct ql_err *err);
/** Load the agents of this verifier and queue their first polls. Blocks: start-up only. */
int ql_verifier_recover(struct ql_verifier *v, struct ql_err *err);
/** Does an agent in this state have to be polled? Those that failed below the top label are polled on (spec/server.md 3.5). */
bool ql_agent_is_polled(const struct ql_verifier *v, int64_t state, int64_t severity);
/**
 * Poll a loaded agent as one whose poll was interrupted; policies whose content is neither loaded nor in memory are missing.
 * @param keeps_state  it has just been polled by another verifier, so it is shown as it was; else as one that starts
 */
int ql_agent_resume(struct ql_verifier *v, const struct ql_loaded *loaded, bool keeps_state,
                    struct ql_err *err);
/** Replace certificates and workers. */
void ql_verifier_reload(struct ql_verifier *v);
/** Begin to stop; the loop ends when nothing is under way or the drain time is over. */
void ql_verifier_stop(struct ql_verifier *v);
void ql_verifier_done(struct ql_verifier *v);

/* ---- polling ---- */

/** What failed. */
enum ql_failure_kind {
    QL_FAIL_ATTESTATION, /**< state 9, revocation */
    QL_FAIL_CONTACT,     /**< state 7, comm_error when it had been attested before */
    QL_FAIL_CONTACT_V,   /**< state 7, comm_error */
    QL_FAIL_INTERNAL     /**< state 7, nobody is told */
};

/** scheduler.c: poll after @p ms. */
void ql_schedule_after(struct ql_agent *a, int64_t ms);
/** Poll when the interval since the last due time is over; polls that are overdue by then are skipped. */
void ql_schedule_next(struct ql_agent *a);
/** First poll in the order of the queue, as fast as the loop keeps up. */
void ql_schedule_start(struct ql_agent *a);
/** Its timer fired: poll it, or leave this one out (breath.h). */
void ql_schedule_due(struct ql_agent *a);
void ql_schedule_cancel(struct ql_agent *a);
int ql_scheduler_init(struct ql_verifier *v, struct ql_err *err);
void ql_scheduler_stop(struct ql_verifier *v);
/** Due time after @p due_ns on a grid of @p interval_ns that is later than @p now_ns. */
int64_t ql_next_due(int64_t due_ns, int64_t interval_ns, int64_t now_ns);
/**
 * The common tick nearest to @p due_ns: there are ten in an interval of up to a second, and one each 100 ms or a little more
 * in longer ones. A tick plus @p interval_ns is a tick again. An interval too short to be divided: @p due_ns itself.
 */
int64_t ql_tick_of(int64_t due_ns, int64_t interval_ns);

/** poll.c: do what is next for an agent whose time has come. */
void ql_poll(struct ql_agent *a);
/**
 * A call failed, or the fault is ours: try again later with a full quote, or give up with this failure.
 * @param why for the log and the failure's context
 */
void ql_poll_retry(struct ql_agent *a, enum ql_failure_kind kind, const char *event_id, const char *why);
/** Wait before retry number @p retries (from 1), ms (spec/server.md 3.3). */
int64_t ql_retry_ms(const struct ql_poll_options *o, unsigned retries);
/** Path of a quote request into @p out. @return its length, 0: does not fit */
size_t ql_quote_path(const struct ql_agent *a, const struct ql_op *op, char *out, size_t room);
/** A call of the agent; op->what names it. On failure the op is gone and the agent retries. */
void ql_poll_call(struct ql_op *op, const struct ql_call *call, ql_call_done done);

/** judge.c: have an answer checked; takes the op over. */
void ql_judge(struct ql_op *op, struct ql_http_result *answer);
/** vkey.c: encrypt V to the proven key and send it; the agent is in PROVIDE_V. */
void ql_vkey_provide(struct ql_agent *a);
/** True when V has to be sent to the key that was proven last. */
bool ql_vkey_due(const struct ql_agent *a);

/* ---- failures ---- */

int ql_failures_init(struct ql_verifier *v, struct ql_err *err);
/** Forget those that are not stored; after the store was closed. The next start reads them from the journal. */
void ql_failures_done(struct ql_verifier *v);
/**
 * Store a failure with its notification in one transaction; polling ends if it is irrecoverable or has the top label.
 * @param event_id copied @param context an object, reference taken over
 * @param level label, as the severity policy or the validator says
 */
void ql_agent_fail(struct ql_agent *a, enum ql_failure_kind kind, const char *event_id, json_t *context,
                   int level, bool recoverable);
/** The same with the context {"message": text}, irrecoverable. */
void ql_agent_failf(struct ql_agent *a, enum ql_failure_kind kind, const char *event_id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** An agent that cannot even be polled, because of what its row says: state 7. */
void ql_row_fail(struct ql_verifier *v, const struct ql_agent_row *row, const char *why);
void ql_failing_free(struct ql_failing *f);
void ql_sending_free(struct ql_sending *s);

/* ---- API ---- */

void ql_api_agents_list(struct ql_http_req *req, void *arg);
void ql_api_agent_show(struct ql_http_req *req, void *arg);
void ql_api_agent_policies(struct ql_http_req *req, void *arg);
void ql_api_agent_add(struct ql_http_req *req, void *arg);
void ql_api_agent_delete(struct ql_http_req *req, void *arg);
void ql_api_agent_stop(struct ql_http_req *req, void *arg);
void ql_api_agent_reactivate(struct ql_http_req *req, void *arg);
void ql_api_runtime_list(struct ql_http_req *req, void *arg);
void ql_api_runtime_show(struct ql_http_req *req, void *arg);
void ql_api_runtime_create(struct ql_http_req *req, void *arg);
void ql_api_runtime_replace(struct ql_http_req *req, void *arg);
void ql_api_runtime_delete(struct ql_http_req *req, void *arg);
void ql_api_mb_list(struct ql_http_req *req, void *arg);
void ql_api_mb_show(struct ql_http_req *req, void *arg);
void ql_api_mb_create(struct ql_http_req *req, void *arg);
void ql_api_mb_replace(struct ql_http_req *req, void *arg);
void ql_api_mb_delete(struct ql_http_req *req, void *arg);
void ql_api_identity(struct ql_http_req *req, void *arg);
void ql_api_evidence(struct ql_http_req *req, void *arg);
void ql_api_version(struct ql_http_req *req, void *arg);
void ql_api_root(struct ql_http_req *req, void *arg);
void ql_api_probe(struct ql_http_req *req, void *arg);
void ql_api_not_here(struct ql_http_req *req, void *arg);

/** Answer for a store that failed: 503 with Retry-After when it may work again, else 500; logs once. */
void ql_api_store_failed(struct ql_http_req *req, int result, const struct ql_err *err);
/** Answer for a worker that gave no result. */
void ql_api_pool_failed(struct ql_http_req *req, const struct ql_pool_result *result);
/** 503 with Retry-After. */
void ql_api_busy(struct ql_http_req *req);
/** Agent id of the path; NULL: answered with 400. */
const char *ql_api_agent_id(struct ql_http_req *req);

/** Called with the body's object (reference handed over); not called when the request was answered with an error. */
typedef void (*ql_body_done)(struct ql_http_req *req, json_t *body, void *arg);
/**
 * Read a request's JSON body: here, or in a worker when it is large. Answers 400 by itself: with an empty answer when the
 * Content-Type says JSON, else in the envelope.
 */
void ql_api_body(struct ql_verifier *v, struct ql_http_req *req, ql_body_done done, void *arg);
