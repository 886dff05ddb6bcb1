/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tpm_thread.h
 * The one thread that talks to the TPM and runs evidence components: both block. Work is queued from the loop, its end is
 * told on the loop. At start-up, before the loop runs, calls can be made synchronously.
 */
#pragma once
#include <event2/event.h>

#include "device.h"

enum {
    QL_TPM_QUEUE_MAX = 64 /**< work items waiting: at 0.5 s a quote more than anybody waits for */
};

struct ql_tpm_thread;

/** Runs on the TPM thread. @param tpm the open TPM; NULL before ql_tpm_thread_call() opened one */
typedef void (*ql_tpm_work)(struct ql_tpm *tpm, void *arg);
/** Runs on the loop, once for each item. @param ran false: the thread ended before the item's turn came */
typedef void (*ql_tpm_done)(void *arg, bool ran);
/** Synchronous work. @param tpm may be set (opened); closed with the thread */
typedef int (*ql_tpm_call)(struct ql_tpm **tpm, void *arg, struct ql_err *err);

/** Start the thread. All signals are blocked in it. */
int ql_tpm_thread_new(struct event_base *base, struct ql_tpm_thread **ret, struct ql_err *err);
/** Call @p last on the thread when it ends, after all items, before the TPM is closed. */
void ql_tpm_thread_at_end(struct ql_tpm_thread *t, ql_tpm_call last, void *arg);
/** Waits for the item under way; the others end with ran = false before this returns. Closes the TPM. */
void ql_tpm_thread_free(struct ql_tpm_thread *t);
QL_DEFINE_CLEANUP(struct ql_tpm_thread, ql_tpm_thread_free)

/** Queue an item. @retval QL_EFULL nothing was queued, `done` will not be called */
int ql_tpm_thread_submit(struct ql_tpm_thread *t, ql_tpm_work work, ql_tpm_done done, void *arg,
                         struct ql_err *err);
/** Run on the thread and wait. Blocks: start-up and end only. */
int ql_tpm_thread_run(struct ql_tpm_thread *t, ql_tpm_call call, void *arg, struct ql_err *err);
