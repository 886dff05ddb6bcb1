/* SPDX-License-Identifier: Apache-2.0 */
/* Ending in order: nothing new, what runs may finish for a while, everything that was decided is stored. */
#include <string.h>

#include "clock.h"
#include "journal.h"
#include "leases.h"
#include "log.h"
#include "notifier.h"
#include "verifier.h"

enum {
    LOOK_MS = 20 /* how often the drain looks whether all is done */
};

static void count_busy(struct ql_agent *a, void *arg)
{
    size_t *busy = arg;

    /* Calls of agents are given up: the next start asks again. */
    if (a->op && (strcmp(a->op->what, "check") == 0 || strcmp(a->op->what, "failure") == 0))
        (*busy)++;
}

static void on_drain(evutil_socket_t fd, short what, void *arg)
{
    struct ql_verifier *v = arg;
    size_t busy = ql_http_server_pending(v->https);

    (void)fd;
    (void)what;
    ql_agents_visit(&v->agents, count_busy, &busy);
    if (busy == 0 || ql_mono_ns() >= v->drain_until_ns) {
        if (busy > 0)
            ql_log(QL_WARN, "main", "%zu checks and requests given up", busy);
        (void)event_base_loopbreak(v->base);
    }
}

void ql_verifier_stop(struct ql_verifier *v)
{
    const struct timeval look = ql_timeval(LOOK_MS * QL_NS_PER_MS);

    if (v->is_stopping || !v->https) {
        (void)event_base_loopbreak(v->base); /* asked twice: at once */
        return;
    }
    ql_notify("STOPPING=1");
    ql_log(QL_INFO, "main", "stopping");
    v->is_stopping = true;
    v->drain_until_ns =
        ql_mono_ns() + (int64_t)(ql_config_float(v->config, "verifier", "shutdown_drain_timeout") * 1e9);
    ql_http_server_drain(v->https);
    ql_scheduler_stop(v);
    v->drain_timer = event_new(v->base, -1, EV_PERSIST, on_drain, v);
    if (!v->drain_timer || event_add(v->drain_timer, &look) != 0)
        (void)event_base_loopbreak(v->base);
}

void ql_verifier_done(struct ql_verifier *v)
{
    struct event *events[] = {v->start_timer, v->watchdog, v->drain_timer, v->term, v->interrupt, v->hangup};

    v->is_stopping = v->is_closing = true;
    ql_agents_table_done(&v->agents);
    ql_breath_done(&v->breath);
    /* Each of these may still call back: answers to requests, ends of failures being stored. */
    ql_pool_free(v->pool);
    ql_pool_free(v->public_pool);
    ql_offload_free(v->offload);
    ql_leases_leave(v);
    ql_store_close(v->store);
    ql_failures_done(v);
    ql_leases_free(v->leases);
    v->leases = NULL;
    ql_outbox_runner_free(v->outbox);
    ql_http_server_free(v->https);
    ql_http_client_free(v->client);
    ql_tls_unref(v->agent_tls);
    ql_journal_free(v->journal);
    ql_seal_free(v->seal);
    ql_contents_free(v->contents);
    ql_severity_free(v->severity);
    ql_registry_free(v->worker_plugins);
    ql_registry_free(v->plugins);
    free(v->routes);
    for (size_t i = 0; i < QL_ARRAY_LEN(events); i++)
        if (events[i])
            event_free(events[i]);
    if (v->base)
        event_base_free(v->base);
}
