/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quicklime-actionrunner JOBFILE, or --serve: runs one action of Lua or a shared object in a process of its own, so that one that
 * crashes or hangs takes nobody along. Started by the agent, by quicklime-actiond and, to
 * serve, by the verifier, which watch it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "error.h"
#include "file.h"
#include "job.h"
#include "log.h"
#include "runner.h"

int main(int argc, char **argv)
{
    ql_auto_free uint8_t *text = NULL;
    struct ql_err err = QL_ERR_INIT;
    size_t len = 0;
    int r;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* no action goes on unwatched */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)dup2(STDOUT_FILENO, STDERR_FILENO); /* who watches us logs what we say */
    ql_log_setup("quicklime-actionrunner", QL_INFO, QL_LOG_PLAIN);
    if (argc == 2 && strcmp(argv[1], "--serve") == 0)
        return ql_runner_serve(QL_RUNNER_SOCKET);
    if (argc != 2) {
        (void)fprintf(stderr,
                      "usage: quicklime-actionrunner JOBFILE\nStarted by other programs of Quicklime.\n");
        return 2;
    }
    r = ql_file_read(argv[1], QL_JOB_MAX, &text, &len, &err);
    if (r == QL_OK)
        r = ql_job_run((const char *)text, len, &err);
    if (r < 0)
        ql_log(QL_ERROR, "action", "%s", err.text);
    return r == QL_OK ? 0 : r == QL_EAGAIN ? QL_JOB_EXIT_AGAIN : 1;
}
