/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "error.h"
#include "log.h"
#include "paths.h"
#include "payloadd.h"

struct ql_keeper {
    struct ql_agent *agent;
    int sock;
    pid_t pid;
    bool runs_scripts, is_busy;
    struct event *event;
    ql_keeper_done done;
    void *arg;
};

/* ---- start ---- */

/* Out of the way of the numbers that it gets there. */
static int move_up(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 16);
}

static int spawn(const char *const *argv, const char *const *env, int sock, int lock, pid_t *ret)
{
    ql_auto_close int theirs = move_up(sock), kept = move_up(lock);
    posix_spawn_file_actions_t files;
    int e = theirs < 0 || kept < 0 ? errno : posix_spawn_file_actions_init(&files);

    if (e != 0)
        return e;
    e = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (e == 0)
        e = posix_spawn_file_actions_adddup2(&files, theirs, QL_PAYLOADD_SOCKET);
    if (e == 0)
        e = posix_spawn_file_actions_adddup2(&files, kept, QL_PAYLOADD_LOCK);
    if (e == 0)
        e = posix_spawn_file_actions_addclosefrom_np(&files, QL_PAYLOADD_LOCK + 1);
    if (e == 0)
        e = posix_spawn(ret, argv[0], &files, NULL, (char *const *)(uintptr_t)argv,
                        (char *const *)(uintptr_t)env);
    (void)posix_spawn_file_actions_destroy(&files); /* cannot fail */
    return e;
}

static int start(struct ql_keeper *k, bool unmount, uid_t owner, struct ql_err *err)
{
    const struct ql_agent *a = k->agent;
    const char *user = ql_config_string(a->config, "agent", "payload_run_as");
    char device[24], uid[24], seconds[24];
    const char *argv[] = {ql_payloadd_path(ql_config_string(a->config, "agent", "payloadd_path")),
                          a->secure.path,
                          device,
                          unmount ? "1" : "0",
                          k->runs_scripts ? user : "-",
                          uid,
                          ql_config_string(a->config, "agent", "payload_script"),
                          seconds,
                          NULL};
    ql_auto_free char *id = NULL;
    const char *env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL, NULL};
    ql_auto_close int theirs = -1;
    int pair[2], e;

    (void)snprintf(device, sizeof device, "%llu", (unsigned long long)a->secure.device); /* these fit */
    (void)snprintf(uid, sizeof uid, "%u", (unsigned)owner);
    (void)snprintf(seconds, sizeof seconds, "%lld",
                   (long long)ql_config_int(a->config, "agent", "payload_script_timeout"));
    if (asprintf(&id, "AGENT_UUID=%s", a->id) < 0) {
        id = NULL; /* undefined after a failure */
        return ql_fail_nomem(err);
    }
    env[2] = id;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return ql_fail(err, QL_EIO, "quicklime-payloadd: %s", strerror(errno));
    k->sock = pair[0];
    theirs = pair[1];
    e = spawn(argv, env, theirs, a->lock_fd, &k->pid);
    return e == 0 ? QL_OK : ql_fail(err, QL_EIO, "%s: %s", argv[0], strerror(e));
}

int ql_keeper_start(struct ql_agent *a, bool will_drop, struct ql_keeper **ret, struct ql_err *err)
{
    const bool unmount = a->secure.is_mine && will_drop,
               runs_scripts = *ql_config_string(a->config, "agent", "payload_run_as") != '\0';
    ql_auto(ql_keeper_freep) struct ql_keeper *k = NULL;
    int r;

    if (!a->secure.path || (!unmount && !runs_scripts))
        return QL_OK;
    if (geteuid() != 0)
        return ql_fail(err, QL_EACCES, "payload_run_as is not empty, but the agent was not started as root");
    k = calloc(1, sizeof *k);
    if (!k)
        return ql_fail_nomem(err);
    *k = (struct ql_keeper){.agent = a, .sock = -1, .runs_scripts = runs_scripts};
    r = start(k, unmount, a->secure_owner, err);
    if (r == QL_OK)
        *ret = ql_steal(k);
    return r;
}

/* ---- talking ---- */

static void finish(struct ql_keeper *k, const struct ql_child_end *end)
{
    const ql_keeper_done done = k->done;

    k->is_busy = false;
    k->done = NULL;
    if (done)
        done(end, k->arg);
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
    struct ql_keeper *k = arg;
    struct ql_payloadd_answer a;
    const ssize_t got = recv(fd, &a, sizeof a, MSG_DONTWAIT);

    (void)what;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got == (ssize_t)sizeof a) {
        finish(k, &(struct ql_child_end){
                      .status = a.status, .timed_out = a.timed_out != 0, .is_cut = a.is_cut != 0});
        return;
    }
    (void)event_del(k->event); /* nothing will come any more */
    ql_log(QL_ERROR, "payload",
           "quicklime-payloadd has ended: scripts are not run and the secure folder stays mounted until the "
           "agent "
           "is restarted");
    ql_closep(&k->sock);
    if (k->is_busy)
        finish(k, &(struct ql_child_end){.status = SIGKILL});
}

int ql_keeper_attach(struct ql_keeper *k, struct ql_err *err)
{
    if (!k)
        return QL_OK;
    k->event = event_new(k->agent->base, k->sock, EV_READ | EV_PERSIST, on_answer, k);
    return k->event && event_add(k->event, NULL) == 0 ? QL_OK : ql_fail_nomem(err);
}

bool ql_keeper_runs_scripts(const struct ql_keeper *k)
{
    return k && k->runs_scripts;
}

int ql_keeper_run(struct ql_keeper *k, ql_keeper_done done, void *arg, struct ql_err *err)
{
    const uint8_t request = QL_PAYLOADD_RUN;

    if (k->sock < 0)
        return ql_fail(err, QL_ECLOSED, "quicklime-payloadd has ended");
    if (k->is_busy)
        return ql_fail(err, QL_EAGAIN, "quicklime-payloadd is busy");
    if (send(k->sock, &request, sizeof request, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof request)
        return ql_fail(err, QL_ECLOSED, "quicklime-payloadd: %s", strerror(errno));
    k->is_busy = true;
    k->done = done;
    k->arg = arg;
    return QL_OK;
}

void ql_keeper_forget(struct ql_keeper *k)
{
    if (k)
        k->done = NULL;
}

/* It has closed its end when it has ended, with all that it had to do. */
static void wait_for_end(struct ql_keeper *k)
{
    struct pollfd p = {.fd = k->sock, .events = POLLIN};
    struct ql_payloadd_answer a;

    (void)shutdown(k->sock, SHUT_WR); /* that is the word */
    while (poll(&p, 1, QL_KEEPER_END_MS) == 1 && recv(k->sock, &a, sizeof a, 0) > 0)
        ;
    if (p.revents == 0)
        ql_log(QL_WARN, "payload", "quicklime-payloadd does not end: the secure folder may stay mounted");
    else
        (void)waitpid(k->pid, NULL, 0); /* it is only dying */
}

void ql_keeper_free(struct ql_keeper *k)
{
    if (!k)
        return;
    if (k->event)
        event_free(k->event);
    if (k->sock >= 0 && k->pid > 0)
        wait_for_end(k);
    ql_closep(&k->sock);
    free(k);
}
