/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file offload.h
 * One helper thread for what would hold up the loop: RSA encryption of V, fsync of the journal.
 */
#pragma once
#include <event2/event.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_OFFLOAD_QUEUE_MAX = 65536 /**< tasks waiting; more: QL_EFULL */
};

struct ql_offload;

/** Runs on the helper thread. */
typedef void (*ql_offload_work)(void *arg);
/** Runs on the loop thread afterwards, exactly once. */
typedef void (*ql_offload_done)(void *arg);

int ql_offload_new(struct event_base *base, struct ql_offload **ret, struct ql_err *err);
/** Queue a task; loop thread only. @retval QL_EFULL @retval QL_ENOMEM: neither function is called */
int ql_offload_submit(struct ql_offload *o, ql_offload_work work, ql_offload_done done, void *arg,
                      struct ql_err *err);
/** Finish what is queued, callbacks included, and end the thread. On the loop thread, not from a callback. */
void ql_offload_free(struct ql_offload *o);
QL_DEFINE_CLEANUP(struct ql_offload, ql_offload_free)
