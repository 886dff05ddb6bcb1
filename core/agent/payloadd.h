/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file payloadd.h
 * quicklime-payloadd: root's part of payloads. The agent starts it while it is still root; all that it is to do stands on its
 * command line, written then. Afterwards the agent, root no more, can say one thing, "run the script", and nothing about
 * which, where or as whom. When the agent is gone, however it ended, a script that runs is killed and the secure folder
 * unmounted, so that no secret outlives it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "secure.h"

enum {
    QL_PAYLOADD_SOCKET = 3, /**< SOCK_SEQPACKET: QL_PAYLOADD_RUN comes, struct ql_payloadd_answer goes back */
    QL_PAYLOADD_LOCK =
        4, /**< lock of the state folder, held until the mount is down: no new agent starts before */
    QL_PAYLOADD_RUN = 'r'
};

/** How the script ended. */
struct ql_payloadd_answer {
    int32_t status; /**< as of waitpid() */
    uint8_t timed_out, is_cut;
};

/**
 * The program.
 *
 *     quicklime-payloadd PATH DEVICE UNMOUNT USER OWNER SCRIPT SECONDS
 *
 * PATH of the secure folder and number of its file system; UNMOUNT 1 or 0; USER "user:group" of scripts, "-": none are run;
 * OWNER: uid that the payload's folder must have. And, of itself:
 *
 *     quicklime-payloadd --exec PATH DEVICE USER OWNER SCRIPT
 */
int ql_payloadd_main(int argc, char **argv);
