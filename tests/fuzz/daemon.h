/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file daemon.h
 * A daemon with a worker in its own process and a store that is always away, for fuzz targets of routes. The target is
 * linked with --wrap for the two functions below (tests/fuzz/CMakeLists.txt).
 */
#pragma once
#include "error.h"
#include "jobs.h"
#include "pool.h"
#include "site.h"
#include "store.h"
#include "work.h"

enum {
    DAEMON_WAITING_MAX = 8
};

int __wrap_ql_pool_submit(struct ql_pool *p, struct ql_frame *job, const char *affinity, bool large,
                          ql_pool_done done, void *arg, struct ql_err *err);
int __wrap_ql_store_submit(struct ql_store *s, ql_txn_fn fn, ql_txn_done done, void *arg, struct ql_err *err);

/** What was submitted and is called back from the loop. */
static struct {
    struct ql_frame *job; /* NULL: a transaction */
    ql_pool_done pool_done;
    ql_txn_done txn_done;
    void *arg;
} daemon_waiting[DAEMON_WAITING_MAX];
static size_t daemon_waiting_count;

int __wrap_ql_pool_submit(struct ql_pool *p, struct ql_frame *job, const char *affinity, bool large,
                          ql_pool_done done, void *arg, struct ql_err *err)
{
    (void)p;
    (void)affinity;
    (void)large;
    if (daemon_waiting_count == DAEMON_WAITING_MAX)
        return ql_fail(err, QL_EFULL, "full");
    daemon_waiting[daemon_waiting_count].job = job;
    daemon_waiting[daemon_waiting_count].pool_done = done;
    daemon_waiting[daemon_waiting_count++].arg = arg;
    return QL_OK;
}

int __wrap_ql_store_submit(struct ql_store *s, ql_txn_fn fn, ql_txn_done done, void *arg, struct ql_err *err)
{
    (void)s;
    (void)fn;
    if (daemon_waiting_count == DAEMON_WAITING_MAX)
        return ql_fail(err, QL_EFULL, "full");
    daemon_waiting[daemon_waiting_count].job = NULL;
    daemon_waiting[daemon_waiting_count].txn_done = done;
    daemon_waiting[daemon_waiting_count++].arg = arg;
    return QL_OK;
}

/* Every option as it is by default. */
static struct ql_config *daemon_config(const char *program, const struct ql_option_group *groups)
{
    char folder[] = "/tmp/ql-fuzz-XXXXXX";
    struct ql_config *config = NULL;

    site_must(mkdtemp(folder) != NULL);
    site_must(ql_config_load(program, groups, folder, NULL, 0, &config, NULL) == QL_OK);
    rmdir(folder);
    return config;
}

static struct ql_worker *daemon_worker(void)
{
    static struct ql_worker w = {.sock = -1};
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_VALIDATOR};

    if (!w.registry)
        site_must(ql_registry_new(&config, &w.registry, NULL) == QL_OK &&
                  ql_digester_new(&w.digester, NULL) == QL_OK &&
                  ql_vault_new(ql_verdict_vault_len(), &w.vault, NULL) == QL_OK &&
                  ql_policy_cache_new(1u << 20, &w.policies, NULL) == QL_OK &&
                  ql_key_cache_new(16, &w.keys, NULL) == QL_OK);
    return &w;
}

/* The oldest of what waits comes back. */
static void daemon_turn(void)
{
    ql_auto(ql_frame_freep) struct ql_frame *job = NULL, *answer = NULL;
    struct ql_pool_result result = {.validator = "", .limit = "crash"};
    struct ql_err err = QL_ERR_INIT;
    ql_pool_done pool_done = daemon_waiting[0].pool_done;
    ql_txn_done txn_done = daemon_waiting[0].txn_done;
    void *arg = daemon_waiting[0].arg;

    if (daemon_waiting_count == 0)
        return;
    job = daemon_waiting[0].job;
    daemon_waiting_count--;
    memmove(daemon_waiting, daemon_waiting + 1, daemon_waiting_count * sizeof daemon_waiting[0]);
    if (!job) {
        (void)ql_fail(&err, QL_EAGAIN, "the store is away");
        txn_done(QL_EAGAIN, &err, arg);
        return;
    }
    if (ql_work(daemon_worker(), job, &answer, &err) < 0)
        result.status = QL_POOL_KILLER;
    else
        result.result = answer;
    pool_done(&result, arg);
}
