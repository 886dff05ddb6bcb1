/* SPDX-License-Identifier: Apache-2.0 */
/* ql.exec: start a program that the configuration names, for actions. An argument list, never a shell. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "clock.h"
#include "lua_call.h"

enum {
    ARGUMENTS_MAX = 64,
    OUTPUT_MAX = 64 * 1024, /* bytes kept of what a program writes; the rest is read and thrown away */
    TIMEOUT_PRESET_S = 10,
    TIMEOUT_MAX_S = 600
};

/** One program run. Holds no memory of its own: the output is on the C stack of exec_call(). */
struct run {
    char *argv[ARGUMENTS_MAX + 1];
    int64_t end_ns; /* monotonic */
    char output[OUTPUT_MAX];
    size_t output_len;
    bool is_cut, timed_out;
    int status; /* of waitpid() */
};

static bool is_granted(const struct ql_lua_grants *g, const char *program)
{
    for (size_t i = 0; g->exec && g->exec[i]; i++)
        if (program && program[0] == '/' && strcmp(g->exec[i], program) == 0)
            return true;
    return false;
}

static int64_t take_timeout(lua_State *L)
{
    lua_Number seconds = TIMEOUT_PRESET_S;

    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "timeout");
        seconds = luaL_optnumber(L, -1, TIMEOUT_PRESET_S);
        lua_pop(L, 1);
    }
    if (!(seconds > 0 && seconds <= TIMEOUT_MAX_S))
        luaL_error(L, "ql.exec: timeout: wanted up to %d seconds", TIMEOUT_MAX_S);
    return (int64_t)(seconds * (lua_Number)QL_NS_PER_S);
}

static void take_arguments(lua_State *L, struct run *r)
{
    size_t count;

    luaL_checktype(L, 1, LUA_TTABLE);
    count = lua_rawlen(L, 1);
    if (count == 0 || count > ARGUMENTS_MAX)
        luaL_error(L, "ql.exec: wanted a list of 1 to %d texts", ARGUMENTS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, 1, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "ql.exec: argument %d: wanted a text", (int)i + 1);
        if (strlen(lua_tostring(L, -1)) != lua_rawlen(L, -1))
            luaL_error(L, "ql.exec: argument %d holds a zero byte", (int)i + 1);
        r->argv[i] = (char *)(uintptr_t)lua_tostring(L, -1); /* the table keeps it alive */
        lua_pop(L, 1);
    }
    r->argv[count] = NULL;
}

/* @return pid, or -1 with errno */
static pid_t start(const struct run *r, int output)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
    char *const environment[] = {path, locale, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t pid = -1;
    int e;

    sigemptyset(&none);
    sigfillset(&all);
    if ((e = posix_spawn_file_actions_init(&files)) != 0) {
        errno = e;
        return -1;
    }
    if ((e = posix_spawnattr_init(&attributes)) == 0) {
        if ((e = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)) == 0 &&
            (e = posix_spawn_file_actions_adddup2(&files, output, 1)) == 0 &&
            (e = posix_spawn_file_actions_adddup2(&files, output, 2)) == 0 &&
            (e = posix_spawn_file_actions_addclosefrom_np(&files, 3)) == 0 &&
            (e = posix_spawnattr_setpgroup(&attributes, 0)) == 0 &&
            (e = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
            (e = posix_spawnattr_setsigdefault(&attributes, &all)) == 0 &&
            (e = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                           POSIX_SPAWN_SETSIGDEF)) == 0)
            e = posix_spawn(&pid, r->argv[0], &files, &attributes, r->argv, environment);
        (void)posix_spawnattr_destroy(&attributes); /* cannot fail */
    }
    (void)posix_spawn_file_actions_destroy(&files); /* cannot fail */
    errno = e;
    return e == 0 ? pid : -1;
}

/* Read until the program closed its output or the time is over. */
static void collect(struct run *r, int from)
{
    char rest[4096];

    for (;;) {
        const int64_t left_ms = (r->end_ns - ql_mono_ns()) / QL_NS_PER_MS;
        struct pollfd p = {.fd = from, .events = POLLIN};
        const size_t room = sizeof r->output - r->output_len;
        ssize_t got;

        if (left_ms <= 0) {
            r->timed_out = true;
            return;
        }
        if (poll(&p, 1, left_ms < INT32_MAX ? (int)left_ms : INT32_MAX) <= 0)
            continue;
        got = read(from, room > 0 ? r->output + r->output_len : rest, room > 0 ? room : sizeof rest);
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
            return;
        if (got > 0 && room > 0)
            r->output_len += (size_t)got;
        else if (got > 0)
            r->is_cut = true;
    }
}

/* It may have closed its output and live on: wait for it up to the end of its time. */
static void reap(struct run *r, pid_t pid)
{
    const struct timespec pause = {.tv_nsec = 2 * QL_NS_PER_MS};
    bool gone = false;

    while (!r->timed_out && !gone) {
        siginfo_t info = {0};

        /* Not reaped yet: until then its number, and its group's, belong to nobody else. */
        gone = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
        if (!gone && ql_mono_ns() >= r->end_ns)
            r->timed_out = true;
        else if (!gone)
            (void)nanosleep(&pause, NULL); /* an early wake only asks again */
    }
    (void)kill(-pid, SIGKILL); /* whoever of the group is left; none is fine */
    while (waitpid(pid, &r->status, 0) < 0 && errno == EINTR)
        ;
}

static bool run_program(struct run *r)
{
    int pipe_fds[2];
    pid_t pid;
    int e;

    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return false;
    pid = start(r, pipe_fds[1]);
    e = errno;
    (void)close(pipe_fds[1]); /* the program has its own */
    if (pid >= 0) {
        collect(r, pipe_fds[0]);
        reap(r, pid);
    }
    (void)close(pipe_fds[0]); /* read to the end, or no longer wanted */
    errno = e;
    return pid >= 0;
}

/* What a script sees in a dry run: a program that did well and said nothing. */
static int push_dry(lua_State *L)
{
    lua_newtable(L);
    lua_pushinteger(L, 0);
    lua_setfield(L, -2, "status");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "timed_out");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "cut");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "output");
    return 1;
}

static bool is_dry(lua_State *L, const struct run *r)
{
    char text[800] = "";
    size_t at = 0;

    for (size_t i = 0; r->argv[i] && at < sizeof text; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, " %s", r->argv[i]);
    return ql_lua_dry(L, "would run:%s", text);
}

static int exec_call(lua_State *L)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    struct run r;

    r.output_len = 0;
    r.is_cut = r.timed_out = false;
    r.status = 0;
    take_arguments(L, &r);
    if (!is_granted(c->grants, r.argv[0]))
        return luaL_error(L, "ql.exec: %s is not granted by the configuration", r.argv[0]);
    r.end_ns = ql_mono_ns() + take_timeout(L);
    if (c->deadline_ns < r.end_ns)
        r.end_ns = c->deadline_ns;
    ql_lua_charge(L, 100000);
    if (is_dry(L, &r))
        return push_dry(L);
    if (!run_program(&r))
        return luaL_error(L, "ql.exec: %s: %s", r.argv[0], strerror(errno));

    lua_newtable(L);
    if (!r.timed_out && WIFEXITED(r.status)) {
        lua_pushinteger(L, WEXITSTATUS(r.status));
        lua_setfield(L, -2, "status");
    } else if (!r.timed_out && WIFSIGNALED(r.status)) {
        lua_pushinteger(L, WTERMSIG(r.status));
        lua_setfield(L, -2, "signal");
    }
    lua_pushboolean(L, r.timed_out);
    lua_setfield(L, -2, "timed_out");
    lua_pushboolean(L, r.is_cut);
    lua_setfield(L, -2, "cut");
    lua_pushlstring(L, r.output, r.output_len);
    lua_setfield(L, -2, "output");
    return 1;
}

void ql_lua_add_exec(lua_State *L)
{
    lua_pushcfunction(L, exec_call);
    lua_setfield(L, -2, "exec");
}
