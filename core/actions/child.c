/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "error.h"
#include "log.h"

enum {
    LINE_COST =
        64, /* bytes that a logged line counts for beside its own: short ones are not cheaper to keep */
    PIECES_MAX = 16, /* reads in one go: a child that writes without end must not hold the loop */
    HANDED_FD = 3
};

/** One of its outputs. */
struct stream {
    struct ql_child *child;
    enum ql_log_level level;
    int fd;
    struct event *event;
    char line[QL_CHILD_LINE_MAX];
    size_t line_len, total;
};

struct ql_child {
    pid_t pid;
    int pidfd;
    struct event *ended, *timer;
    struct stream streams[2];
    char *area, *label;
    bool timed_out, is_cut;
    ql_child_done done;
    void *arg;
};

bool ql_child_ok(const struct ql_child_end *end)
{
    return !end->timed_out && WIFEXITED(end->status) && WEXITSTATUS(end->status) == 0;
}

char *ql_child_end_text(const struct ql_child_end *end, char *out)
{
    if (end->timed_out)
        (void)snprintf(out, 64, "killed at its time limit"); /* fits, as the others do */
    else if (WIFEXITED(end->status))
        (void)snprintf(out, 64, "exit status %d", WEXITSTATUS(end->status));
    else
        (void)snprintf(out, 64, "killed by signal %d", WTERMSIG(end->status));
    return out;
}

/* ---- output ---- */

static void log_line(struct stream *s)
{
    if (s->line_len > 0) {
        ql_log(s->level, s->child->area, "%s: %.*s", s->child->label, (int)s->line_len, s->line);
        s->total += LINE_COST;
    }
    s->line_len = 0;
}

static void take_bytes(struct stream *s, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s->total >= QL_CHILD_OUTPUT_MAX) {
            s->child->is_cut = true;
            return;
        }
        s->total++;
        if (data[i] != '\n')
            s->line[s->line_len++] = data[i];
        if (data[i] == '\n' || s->line_len == sizeof s->line)
            log_line(s);
    }
}

static void close_stream(struct stream *s)
{
    if (s->event)
        event_free(s->event);
    s->event = NULL;
    ql_closep(&s->fd);
}

/* @return false: nothing more will come */
static bool read_some(struct stream *s)
{
    char piece[8192];

    for (int i = 0; i < PIECES_MAX; i++) {
        ssize_t got = read(s->fd, piece, sizeof piece);

        if (got > 0)
            take_bytes(s, piece, (size_t)got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return false;
        else if (errno == EAGAIN)
            return true;
    }
    return true;
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;

    (void)fd;
    (void)what;
    if (!read_some(s))
        close_stream(s);
}

/* ---- end ---- */

static void child_free(struct ql_child *c)
{
    struct event *events[] = {c->ended, c->timer};

    for (size_t i = 0; i < QL_ARRAY_LEN(events); i++)
        if (events[i])
            event_free(events[i]);
    for (size_t i = 0; i < QL_ARRAY_LEN(c->streams); i++)
        close_stream(&c->streams[i]);
    ql_closep(&c->pidfd);
    free(c->area);
    free(c->label);
    free(c);
}

/* While it has not been waited for, its number and its group's belong to nobody else. */
static int reap(struct ql_child *c)
{
    int status = 0;

    (void)kill(-c->pid, SIGKILL); /* whoever of the group is left; none is fine */
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        ;
    c->pid = 0;
    return status;
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    struct ql_child *c = arg;
    struct ql_child_end end;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < QL_ARRAY_LEN(c->streams); i++) {
        if (c->streams[i].fd >= 0)
            (void)read_some(
                &c->streams[i]); /* what it wrote last; others may hold the pipe open, they are killed */
        log_line(&c->streams[i]);
    }
    end = (struct ql_child_end){.status = reap(c), .timed_out = c->timed_out, .is_cut = c->is_cut};
    if (end.is_cut)
        ql_log(QL_WARN, c->area, "%s: wrote more than %d bytes; the rest was not logged", c->label,
               QL_CHILD_OUTPUT_MAX);
    c->done(&end, c->arg);
    child_free(c);
}

void ql_child_kill(struct ql_child *c)
{
    (void)kill(-c->pid, SIGKILL); /* its end is noticed as any other */
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct ql_child *c = arg;

    (void)fd;
    (void)what;
    c->timed_out = true;
    ql_child_kill(c);
}

void ql_child_free(struct ql_child *c)
{
    if (!c)
        return;
    if (c->pid > 0)
        (void)reap(c);
    child_free(c);
}

long ql_child_pid(const struct ql_child *c)
{
    return c->pid;
}

/* ---- start ---- */

/* The environment with some variables in front; they hide those of the same name behind them for libc's getenv(). */
static char **make_env(const char *const *more)
{
    size_t count = 0, at = 0;
    char **env;

    while (environ[count])
        count++;
    env = calloc(count + QL_CHILD_ENV_MAX + 1, sizeof *env);
    if (!env)
        return NULL;
    for (size_t i = 0; more && more[i] && i < QL_CHILD_ENV_MAX; i++)
        env[at++] = (char *)(uintptr_t)more[i];
    for (size_t i = 0; i < count; i++) {
        bool is_hidden = false;

        for (size_t k = 0; more && more[k] && k < QL_CHILD_ENV_MAX; k++)
            is_hidden |= strncmp(more[k], environ[i], strcspn(more[k], "=") + 1) == 0;
        /* The service manager's channel is ours alone. */
        if (!is_hidden && strncmp(environ[i], "NOTIFY_SOCKET=", 14) != 0)
            env[at++] = environ[i];
    }
    return env;
}

static int add_files(posix_spawn_file_actions_t *f, const struct ql_child_config *config, const int out[2])
{
    int e = posix_spawn_file_actions_addopen(f, 0, "/dev/null", O_RDONLY, 0);

    if (e == 0 && config->fd >= 0)
        e = posix_spawn_file_actions_adddup2(f, config->fd, HANDED_FD);
    if (e == 0)
        e = posix_spawn_file_actions_adddup2(f, out[0], 1);
    if (e == 0)
        e = posix_spawn_file_actions_adddup2(f, out[1], 2);
    if (e == 0)
        e = posix_spawn_file_actions_addclosefrom_np(f, config->fd >= 0 ? HANDED_FD + 1 : HANDED_FD);
    if (e == 0 && config->cwd)
        e = posix_spawn_file_actions_addchdir_np(f, config->cwd);
    return e;
}

static int add_attributes(posix_spawnattr_t *a)
{
    sigset_t none, all;
    int e;

    sigemptyset(&none);
    sigfillset(&all);
    e = posix_spawnattr_setpgroup(a, 0);
    if (e == 0)
        e = posix_spawnattr_setsigmask(a, &none);
    if (e == 0)
        e = posix_spawnattr_setsigdefault(a, &all);
    if (e == 0)
        e = posix_spawnattr_setflags(a,
                                     POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return e;
}

/* @return errno, 0: started */
static int spawn(const struct ql_child_config *config, const int out[2], pid_t *ret)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    ql_auto_free char **env = make_env(config->env);
    int e = env ? posix_spawn_file_actions_init(&files) : ENOMEM;

    if (e != 0)
        return e;
    e = posix_spawnattr_init(&attributes);
    if (e == 0) {
        e = add_files(&files, config, out);
        if (e == 0)
            e = add_attributes(&attributes);
        if (e == 0)
            e = posix_spawn(ret, config->argv[0], &files, &attributes, (char *const *)(uintptr_t)config->argv,
                            env);
        (void)posix_spawnattr_destroy(&attributes); /* cannot fail */
    }
    (void)posix_spawn_file_actions_destroy(&files); /* cannot fail */
    return e;
}

/* A pipe away from the numbers that a child gets; its reading end does not block. */
static int make_pipe(int *ret_read, int *ret_write)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    *ret_read = fds[0];
    *ret_write = fcntl(fds[1], F_DUPFD_CLOEXEC, 10);
    (void)close(fds[1]); /* kept under another number */
    return *ret_write >= 0 && fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0 ? 0 : -1;
}

static int watch(struct ql_child *c, const struct ql_child_config *config)
{
    const struct timeval limit = {.tv_sec = config->timeout_ms / 1000,
                                  .tv_usec = config->timeout_ms % 1000 * 1000};

    c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    if (c->pidfd < 0)
        return -1;
    c->ended = event_new(config->base, c->pidfd, EV_READ, on_end, c);
    c->timer = evtimer_new(config->base, on_timeout, c);
    if (!c->ended || !c->timer || event_add(c->ended, NULL) != 0 ||
        (config->timeout_ms > 0 && event_add(c->timer, &limit) != 0))
        return -1;
    for (size_t i = 0; i < QL_ARRAY_LEN(c->streams); i++) {
        struct stream *s = &c->streams[i];

        s->event = event_new(config->base, s->fd, EV_READ | EV_PERSIST, on_output, s);
        if (!s->event || event_add(s->event, NULL) != 0)
            return -1;
    }
    return 0;
}

static int start_failed(int e, const char *path, struct ql_err *err)
{
    return ql_fail(err,
                   e == ENOENT                 ? QL_ENOTFOUND
                   : e == EACCES || e == EPERM ? QL_EACCES
                                               : QL_EIO,
                   "%s: %s", path, strerror(e));
}

int ql_child_start(const struct ql_child_config *config, ql_child_done done, void *arg, struct ql_child **ret,
                   struct ql_err *err)
{
    struct ql_child *c = calloc(1, sizeof *c);
    int out[2] = {-1, -1}, e = 0;

    if (!c)
        return ql_fail_nomem(err);
    *c = (struct ql_child){
        .pidfd = -1,
        .streams = {{.child = c, .level = QL_INFO, .fd = -1}, {.child = c, .level = QL_WARN, .fd = -1}},
        .area = strdup(config->area),
        .label = strdup(config->label),
        .done = done,
        .arg = arg};
    if (!c->area || !c->label)
        e = ENOMEM;
    for (size_t i = 0; e == 0 && i < QL_ARRAY_LEN(out); i++)
        if (make_pipe(&c->streams[i].fd, &out[i]) != 0)
            e = errno;
    if (e == 0)
        e = spawn(config, out, &c->pid);
    ql_closep(&out[0]);
    ql_closep(&out[1]);
    if (e == 0 && watch(c, config) != 0)
        e = ENOMEM;
    if (e != 0) {
        ql_child_free(c);
        return start_failed(e, config->argv[0], err);
    }
    *ret = c;
    return QL_OK;
}
