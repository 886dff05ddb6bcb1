/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file listen.h
 * A listening socket that survives running out of descriptors. Internal to core/http.
 */
#pragma once
#include <event2/event.h>
#include <event2/listener.h>
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

struct evhttp;
struct ql_listen;

/**
 * Bind and listen; connections go to @p http. TCP_NODELAY is set on the listening socket, accepted ones inherit it.
 * @param address  "" or "*": all addresses, IPv6 and IPv4
 * @retval QL_EIO with address, port and reason
 */
int ql_listen_new(struct event_base *base, const char *address, uint16_t port, struct evhttp *http,
                  struct ql_listen **ret, struct ql_err *err);
uint16_t ql_listen_port(const struct ql_listen *l);
/** Stop accepting for now, from inside the accept callback too; the backlog keeps what comes. */
void ql_listen_pause(struct ql_listen *l);
void ql_listen_resume(struct ql_listen *l);
/** Stop for good: the socket closes. */
void ql_listen_stop(struct ql_listen *l);
void ql_listen_free(struct ql_listen *l);
QL_DEFINE_CLEANUP(struct ql_listen, ql_listen_free)
