/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file actiond.h
 * quicklime-actiond: runs a node's privileged actions as root (decision 33).
 *
 * The agent starts it while it is still root, over descriptor 3, a stream socket of frames (u32be length, JSON). The first
 * frame comes from the agent that is still trusted: what the configuration says. After that the agent has given root up, and
 * all it can send is {"name", "body"}: the name of an action and a message. Both are checked here, with nothing taken from
 * the agent: the name is one of privileged_actions and its file is in the folder, which is root's; the signature is that
 * of a certificate that only root can write; the message is young and the action was not run for it (seen.h). The answer is
 * {"code", "text"}. It ends when the socket is closed, and at once when it could not remember what it runs.
 *
 * First frame: "actions" (list), "dir", "memory" (folder of root's own), "cert", "runner", "python" (bool), "timeout_s", "exec", "files", "http", "http_ca"
 * (lists), "settings" (list of lines ACTION.NAME=VALUE), "certificate".
 */
#pragma once

enum {
    QL_ACTIOND_SOCKET = 3,
    QL_ACTIOND_FRAME_MAX = 8 * 1024 * 1024 /**< bytes of a frame */
};
#define QL_ACTIOND_DIR "/run/quicklime-actiond" /**< folder of its files, root's own */

/** Serve until the socket is closed. @return exit status */
int ql_actiond_serve(int sock);
