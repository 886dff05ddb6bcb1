/* SPDX-License-Identifier: Apache-2.0 */
/* quicklime-actiond: started by quicklime-agent before it gives root up. */
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "actiond.h"
#include "log.h"

int main(int argc, char **argv)
{
    int kind = 0;
    socklen_t len = sizeof kind;

    (void)argv;
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    ql_log_setup("quicklime-actiond", QL_INFO, QL_LOG_LOGFMT);
    if (argc != 1 || getsockopt(QL_ACTIOND_SOCKET, SOL_SOCKET, SO_TYPE, &kind, &len) != 0 ||
        kind != SOCK_STREAM) {
        (void)fprintf(stderr, "usage: quicklime-actiond\nStarted by quicklime-agent.\n");
        return 2;
    }
    return ql_actiond_serve(QL_ACTIOND_SOCKET);
}
