/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file child.h
 * A child process watched from the event loop: started without a shell, limited in time, its output logged line by line
 * and bounded, its process group killed at its end.
 */
#pragma once
#include <event2/event.h>
#include <stdbool.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_CHILD_OUTPUT_MAX =
        64 *
        1024, /**< bytes logged of each of standard output and error, 64 more for a line; the rest is thrown away */
    QL_CHILD_LINE_MAX = 1024, /**< bytes of a logged line; longer ones are logged in pieces */
    QL_CHILD_ENV_MAX = 16     /**< variables added to the environment */
};

struct ql_child_config {
    struct event_base *base;
    const char *const *argv;  /**< argv[0] is the absolute path of the program; NULL at the end */
    const char *const *env;   /**< NAME=VALUE added to the environment, NULL at the end; NULL: none */
    const char *cwd;          /**< working folder; NULL: that of this process */
    const char *area, *label; /**< of its log lines */
    unsigned timeout_ms;      /**< then it is killed; 0: no limit */
    int fd;                   /**< handed to it as descriptor 3; -1: none. Stays the caller's. */
};

/** How it ended. */
struct ql_child_end {
    int status;             /**< as of waitpid() */
    bool timed_out, is_cut; /**< it wrote more than is logged */
};
/** @return true when it exited with 0, in time */
bool ql_child_ok(const struct ql_child_end *end);
/** "exit status 3", "killed by signal 9", "time limit". @p out has room for 64. @return out */
char *ql_child_end_text(const struct ql_child_end *end, char *out);

struct ql_child;
/** Called once, on the loop; the child is freed when it returns. */
typedef void (*ql_child_done)(const struct ql_child_end *end, void *arg);

/**
 * Start a program: standard input at end of file, own process group, no descriptor of ours beside `fd`.
 * @retval QL_ENOTFOUND @retval QL_EACCES @retval QL_EIO
 */
int ql_child_start(const struct ql_child_config *config, ql_child_done done, void *arg, struct ql_child **ret,
                   struct ql_err *err);
/** Process id. */
long ql_child_pid(const struct ql_child *c);
/** Kill it; its end is reported as any other. */
void ql_child_kill(struct ql_child *c);
/** Kill it and its group, wait for it, free; `done` is not called. NULL is allowed. */
void ql_child_free(struct ql_child *c);
QL_DEFINE_CLEANUP(struct ql_child, ql_child_free)
