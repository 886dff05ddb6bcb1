/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file runner.h
 * The verifier's actions, each in a process of its own: quicklime-actionrunner --serve.
 *
 * Over descriptor 3, a stream socket, go frames: u32be length, then JSON. The first is a job without "body" (job.h). Each
 * further one is {"seq", "attempt", "body"}; each is answered, in order, by {"seq", "code", "text"}, code being 0 or a
 * QL_E…. The runner ends when the socket is closed. It is given signed messages, never the key that signs.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    QL_RUNNER_SOCKET = 3,                 /**< descriptor that a runner finds its socket at */
    QL_RUNNER_FRAME_MAX = 8 * 1024 * 1024 /**< bytes of a frame */
};

/** Serve until the socket is closed. @return exit status */
int ql_runner_serve(int sock);
