/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file loop.h
 * The event loop of a daemon, in which strangers wait for everybody else.
 *
 * A handshake takes a private key, about a millisecond, and anybody may begin one. In a loop of ql_loop_new() the
 * connections to a server (server.h) that have shown no certificate which verifies, so all without TLS, are served when
 * nothing else is due, and no longer than a moment at a time; and so is the rest of an answer that is large (client.h),
 * which may have no end. All other events of the loop need not know of it.
 */
#pragma once
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>

enum {
    QL_PRIORITIES = 5,     /**< 0: libevent's own */
    QL_PRIORITY_KNOWN = 2, /**< libevent's default, the middle: all events that say nothing else */
    QL_PRIORITY_IDLE = 3,  /**< when none of those is due: before the strangers, whose queue may be long */
    QL_PRIORITY_STRANGERS = 4, /**< when nothing else is due, for a moment at a time */
};

/**
 * @param flags  EVENT_BASE_FLAG_…
 * @return the loop, the caller's (event_base_free()); NULL: no memory
 */
struct event_base *ql_loop_new(int flags);
/**
 * Give @p ev, which is not active, one of the priorities above. Does nothing in a loop of another make, and nothing to
 * an active event.
 */
void ql_loop_set_priority(struct event *ev, int priority);
/** The same for the events of a bufferevent. @return false: one of them was active, try again */
bool ql_loop_set_bev_priority(struct bufferevent *bev, int priority);
