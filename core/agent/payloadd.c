/* SPDX-License-Identifier: Apache-2.0 */
#include "payloadd.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "error.h"
#include "log.h"
#include "parse.h"
#include "payload_user.h"

enum {
    ARGS = 8,
    EXEC_ARGS = 7,
    EXIT_NOT_STARTED = 126, /* as shells say it */
    TIMEOUT_MAX_S = 604800
};

struct payloadd {
    struct ql_secure secure;
    char **argv;
    unsigned timeout_ms;
    struct event_base *base;
    struct ql_child *child;
    char self[PATH_MAX];
};

/* ---- the script's own process ---- */

static int not_started(const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n", what, why);
    return EXIT_NOT_STARTED;
}

/*
 * Into the payload's folder while still root, because the folders above it are the agent's alone. The agent could have put
 * anything there under that name, so what was opened must be its own folder in the secure file system.
 */
static int enter(const char *secure, const char *device, const char *owner)
{
    ql_auto_close int top = open(secure, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    ql_auto_close int dir =
        top < 0 ? -1 : openat(top, "unzipped", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    uint64_t dev = 0, uid = 0;
    struct stat st;

    if (dir < 0 || fstat(dir, &st) != 0 ||
        ql_parse_u64(device, strlen(device), 0, UINT64_MAX, &dev, NULL) < 0 ||
        ql_parse_u64(owner, strlen(owner), 0, UINT32_MAX, &uid, NULL) < 0 || st.st_dev != dev ||
        st.st_uid != uid)
        return -1;
    return fchdir(dir);
}

static int exec_script(char **argv)
{
    struct ql_err err = QL_ERR_INIT;
    char path[NAME_MAX + 3];
    char *const plain[] = {path, NULL}, *const shell[] = {(char *)(uintptr_t) "/bin/sh", path, NULL};

    if (snprintf(path, sizeof path, "./%s", argv[6]) >= (int)sizeof path || strchr(argv[6], '/'))
        return not_started("payload_script", "bad name");
    if (enter(argv[2], argv[3], argv[5]) != 0)
        return not_started("secure folder", "has no folder of a payload that belongs to the agent");
    if (ql_payload_user_become(argv[4], &err) < 0)
        return not_started("payload_run_as", err.text);
    (void)umask(0077);
    (void)execve(path, plain, environ);
    if (errno == ENOEXEC) /* no #!: for the shell, as when typed there */
        (void)execve(shell[0], shell, environ);
    return not_started(path, strerror(errno));
}

/* ---- serving ---- */

static void answer(const struct ql_child_end *end)
{
    const struct ql_payloadd_answer a = {
        .status = end->status, .timed_out = end->timed_out, .is_cut = end->is_cut};

    (void)send(QL_PAYLOADD_SOCKET, &a, sizeof a, MSG_NOSIGNAL | MSG_DONTWAIT); /* gone: noticed by the loop */
}

static void script_ended(const struct ql_child_end *end, void *arg)
{
    struct payloadd *d = arg;

    d->child = NULL;
    answer(end);
}

static void start_script(struct payloadd *d)
{
    const char *argv[] = {d->self,    "--exec",   d->argv[1], d->argv[2],
                          d->argv[4], d->argv[5], d->argv[6], NULL};
    const struct ql_child_config config = {.base = d->base,
                                           .argv = argv,
                                           .area = "payload",
                                           .label = d->argv[6],
                                           .timeout_ms = d->timeout_ms,
                                           .fd = -1};
    struct ql_err err = QL_ERR_INIT;

    if (ql_child_start(&config, script_ended, d, &d->child, &err) == QL_OK)
        return;
    ql_log(QL_ERROR, "payload", "script %s cannot be run: %s", d->argv[6], err.text);
    answer(&(struct ql_child_end){.status = EXIT_NOT_STARTED << 8});
}

static void on_request(evutil_socket_t fd, short what, void *arg)
{
    struct payloadd *d = arg;
    uint8_t request[2];
    const ssize_t got = recv(fd, request, sizeof request, MSG_DONTWAIT);

    (void)what;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got != 1 || request[0] != QL_PAYLOADD_RUN || strcmp(d->argv[4], "-") == 0) {
        (void)event_base_loopbreak(d->base); /* the agent has ended */
        return;
    }
    if (!d->child) /* else it asks for what runs */
        start_script(d);
}

static int serve(struct payloadd *d)
{
    struct event *event;
    int r = 1;

    d->base = event_base_new();
    event = d->base ? event_new(d->base, QL_PAYLOADD_SOCKET, EV_READ | EV_PERSIST, on_request, d) : NULL;
    if (event && event_add(event, NULL) == 0)
        r = event_base_dispatch(d->base) == 0 ? 0 : 1;
    ql_child_free(d->child);
    if (event)
        event_free(event);
    if (d->base)
        event_base_free(d->base);
    return r;
}

int ql_payloadd_main(int argc, char **argv)
{
    struct payloadd d = {.argv = argv};
    uint64_t device = 0, seconds = 0;
    ssize_t len;
    int r;

    if (argc == EXEC_ARGS && strcmp(argv[1], "--exec") == 0)
        return exec_script(argv);
    len = readlink("/proc/self/exe", d.self, sizeof d.self - 1);
    if (argc != ARGS || len <= 0 ||
        ql_parse_u64(argv[2], strlen(argv[2]), 0, UINT64_MAX, &device, NULL) < 0 ||
        ql_parse_u64(argv[7], strlen(argv[7]), 0, TIMEOUT_MAX_S, &seconds, NULL) < 0) {
        (void)fprintf(stderr, "usage: started by quicklime-agent\n");
        return 2;
    }
    /* It goes when the agent does, not when a service manager signals all that there is. */
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    ql_log_setup("quicklime-payloadd", QL_INFO, QL_LOG_PLAIN);
    d.timeout_ms = (unsigned)seconds * 1000;
    d.secure = (struct ql_secure){
        .path = strdup(argv[1]), .device = (dev_t)device, .is_mine = strcmp(argv[3], "1") == 0};
    r = d.secure.path ? serve(&d) : 1;
    if (!ql_secure_close(&d.secure)) {
        ql_log(QL_ERROR, "payload", "%s cannot be unmounted", argv[1]);
        r = 1;
    }
    return r;
}
