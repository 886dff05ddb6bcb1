/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "error.h"
#include "file.h"
#include "log.h"
#include "loop.h"
#include "verifier.h"

static int run(struct ql_verifier *v, struct ql_err *err)
{
    ql_auto_close int lock = -1;
    int r = ql_dir_make(v->state_dir, 0700, err);

    if (r == QL_OK)
        r = ql_state_dir_lock(v->state_dir, &lock, err);
    if (r == QL_OK)
        r = ql_verifier_start(v, err);
    if (r == QL_OK)
        (void)event_base_dispatch(v->base); /* ends by loopbreak */
    ql_verifier_done(v);                    /* while the lock is held */
    if (r == QL_OK)
        ql_log(QL_INFO, "main", "stopped");
    return r;
}

/*
 * Requests switch reading and writing of a connection on and off several times; with the change list the kernel hears of
 * the outcome once a turn of the loop. It asks that no descriptor is watched under two numbers: none is.
 */
static const int loop_flags = EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST;

int main(int argc, char **argv)
{
    static const struct ql_program program = {
        .name = "quicklime-verifier",
        .component = "verifier",
        .summary = "asks agents for proofs of their integrity, judges them, and tells when one fails",
        .groups = ql_verifier_options,
    };
    struct ql_verifier v = {.config = NULL};
    struct ql_start start = {0};
    struct ql_err err = QL_ERR_INIT;
    int exit_code = 0, r;

    if (ql_program_start(&program, argc, argv, &start, &exit_code) != 0)
        return exit_code;
    v.config = start.config;
    v.state_dir = start.state_dir;
    v.base = ql_loop_new(loop_flags);
    r = v.base ? ql_verifier_prepare(&v, &err) : ql_fail_nomem(&err);
    if (r == QL_OK && !start.show_config && !start.check_config) {
        r = run(&v, &err);
    } else {
        if (r == QL_OK && start.show_config)
            ql_config_show(v.config, stdout);
        ql_verifier_done(&v);
    }
    if (r < 0) {
        ql_log(QL_ERROR, "main", "%s", err.text);
        exit_code = 1;
    }
    ql_start_done(&start);
    return exit_code;
}
