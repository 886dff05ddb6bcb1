/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "error.h"
#include "spawn.h"
#include "worker.h"

enum {
    KEPT_FROM = 256, /* beyond all numbers that descriptors have in a worker */
    SOCKET_ROOM = 256 * 1024
};

int ql_spawn_keep(int fd, int *ret, struct ql_err *err)
{
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, KEPT_FROM);

    if (kept < 0)
        return ql_fail(err, QL_EIO, "keeping a descriptor: %s", strerror(errno));
    *ret = kept;
    return QL_OK;
}

static int put_at(int fd, int number)
{
    return dup2(fd, number) == number ? 0 : -1;
}

/*
 * In the child, which shares our memory until exec: system calls only. Whatever descriptor the daemon has
 * open beside those named is closed by the exec. @return only on failure
 */
static void become_worker(const struct ql_spawn *from, int sock, pid_t parent)
{
    static char *const argv[] = {(char *)(uintptr_t) "quicklime-worker", NULL};
    static char *const envp[] = {NULL};
    sigset_t none;
    int next = QL_WORKER_PLUGINS;

    sigemptyset(&none);
    if (put_at(from->null, 0) != 0 || put_at(from->null, 1) != 0 || put_at(sock, QL_WORKER_SOCKET) != 0)
        return;
    for (size_t i = 0; i < from->plugin_count; i++)
        if (put_at(from->plugins[i], next++) != 0)
            return;
    if (syscall(SYS_close_range, (unsigned)next, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0)
        return;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent)
        return;
    if (sigprocmask(SIG_SETMASK, &none, NULL) != 0)
        return;
    fexecve(from->program, argv, envp);
}

static pid_t start_child(const struct ql_spawn *from, int sock)
{
    pid_t parent = getpid(), pid;
    sigset_t all, old;

    /* No handler of ours may run in the child while it shares our memory. */
    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, &old) != 0)
        return -1;
    pid = vfork();
    if (pid == 0) {
        become_worker(from, sock, parent);
        _exit(QL_WORKER_FAULT);
    }
    (void)sigprocmask(SIG_SETMASK, &old, NULL); /* cannot fail with a mask that it gave us */
    return pid;
}

int ql_spawn(const struct ql_spawn *from, struct ql_spawned *ret, struct ql_err *err)
{
    int pair[2], room = SOCKET_ROOM;
    ql_auto_close int ours = -1, theirs = -1;
    struct ql_spawned s;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return ql_fail(err, QL_EIO, "socket for a worker: %s", strerror(errno));
    ours = pair[0];
    if (ql_spawn_keep(pair[1], &theirs, err) < 0) {
        (void)close(pair[1]); /* never used */
        return QL_EIO;
    }
    (void)close(pair[1]); /* kept under another number */
    /* A frame must fit whatever the system's default is; a smaller grant shows when one does not. */
    (void)setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    (void)setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (fcntl(ours, F_SETFL, O_NONBLOCK) != 0)
        return ql_fail(err, QL_EIO, "socket for a worker: %s", strerror(errno));
    s.pid = start_child(from, theirs);
    if (s.pid < 0)
        return ql_fail(err, QL_EIO, "starting a worker: %s", strerror(errno));
    s.pidfd = (int)syscall(SYS_pidfd_open, s.pid, 0);
    if (s.pidfd < 0) {
        int why = errno;

        (void)kill(s.pid, SIGKILL); /* ours, and not waited for yet: the number is still its own */
        (void)waitpid(s.pid, NULL, 0);
        return ql_fail(err, QL_EIO, "watching a worker: %s", strerror(why));
    }
    s.sock = ql_steal_fd(ours);
    *ret = s;
    return QL_OK;
}
