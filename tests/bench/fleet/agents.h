/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file agents.h
 * The HTTP side of simulated agents: each has an address of its own in 127.1.0.0/16 and all have one port. It is written
 * on bare evhttp, so that nothing of what is measured also answers.
 */
#pragma once
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>

#include "board.h"
#include "signer.h"

enum {
    AGENTS_MAX = 60000,
    AGENTS_A_NET = 250 /**< 127.1.0.1 to 127.1.0.250, 127.1.1.1 … */
};

/** What all agents of a process have in common. Borrowed while it serves. */
struct fleet {
    const struct signer *signer;
    struct board_row *board; /**< of all agents of the fleet */
    SSL_CTX *tls;
    size_t agents;      /**< of the fleet */
    unsigned bad;       /**< per cent that lie */
    unsigned bad_after; /**< right quotes that a liar gives first */
    uint16_t port;
};

/** Room for 16 characters. @return out */
char *agent_address(size_t agent, char *out);
/** Liars are spread evenly: of any 100 agents in a row about `bad`, of the whole fleet that part, rounded down. */
bool agent_is_liar(const struct fleet *f, size_t agent);
/** Listen for agents [first, end) and serve on @p base. @retval QL_EIO an address cannot be had */
int agents_serve(const struct fleet *f, struct event_base *base, size_t first, size_t end,
                 struct ql_err *err);
