/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>

#include "actiond.h"
#include "error.h"
#include "log.h"
#include "paths.h"

struct ql_privileged {
    struct ql_agent *agent;
    int sock; /* until it is attached */
    char *setup;
    struct bufferevent *socket;
    bool is_gone, is_busy;
    ql_privileged_done done;
    void *arg;
};

bool ql_privileged_has(const struct ql_agent *a, const char *action)
{
    for (size_t i = 0; i < ql_config_count(a->config, "agent", "privileged_actions"); i++)
        if (strcmp(ql_config_item(a->config, "agent", "privileged_actions", i), action) == 0)
            return true;
    return false;
}

/* ---- start ---- */

static json_t *list_of(const struct ql_agent *a, const char *option)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ql_config_count(a->config, "agent", option); i++)
        (void)json_array_append_new(list, json_string(ql_config_item(a->config, "agent", option, i)));
    return list; /* what is missing for lack of memory is not granted */
}

static char *setup_of(const struct ql_agent *a)
{
    ql_auto_free char *cert =
        ql_agent_path(a, "revocation_cert", "secure/unzipped/RevocationNotifier-cert.crt");
    ql_auto_json json_t *j =
        cert ? json_pack("{s:o, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "actions",
                         list_of(a, "privileged_actions"), "dir",
                         ql_config_string(a->config, "agent", "revocation_actions_dir"), "memory",
                         ql_config_string(a->config, "agent", "actiond_dir"), "cert", cert, "runner",
                         ql_action_runner_path(ql_config_string(a->config, "agent", "action_runner_path")),
                         "timeout_s", (int)ql_config_int(a->config, "agent", "revocation_action_timeout"),
                         "exec", list_of(a, "action_exec"), "files", list_of(a, "action_files"), "http",
                         list_of(a, "action_http_hosts"), "http_ca", list_of(a, "action_http_ca"), "settings",
                         list_of(a, "revocation_action_settings"))
             : NULL;

    return j ? ql_json_text(j) : NULL;
}

static int spawn(const char *program, int theirs)
{
    const char *const argv[] = {program, NULL}, *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                                                "LC_ALL=C", NULL};
    posix_spawn_file_actions_t files;
    pid_t pid;
    int e = posix_spawn_file_actions_init(&files);

    if (e != 0)
        return e;
    e = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (e == 0)
        e = posix_spawn_file_actions_adddup2(&files, theirs, QL_ACTIOND_SOCKET);
    if (e == 0)
        e = posix_spawn_file_actions_addclosefrom_np(&files, QL_ACTIOND_SOCKET + 1);
    if (e == 0)
        e = posix_spawn(&pid, program, &files, NULL, (char *const *)(uintptr_t)argv,
                        (char *const *)(uintptr_t)env);
    (void)posix_spawn_file_actions_destroy(&files); /* cannot fail */
    return e;
}

int ql_privileged_start(struct ql_agent *a, struct ql_privileged **ret, struct ql_err *err)
{
    const char *program = ql_actiond_path(ql_config_string(a->config, "agent", "actiond_path"));
    ql_auto(ql_privileged_freep) struct ql_privileged *p = NULL;
    ql_auto_close int theirs = -1, spare = -1;
    int pair[2], e;

    if (ql_config_count(a->config, "agent", "privileged_actions") == 0)
        return QL_OK;
    if (geteuid() != 0)
        return ql_fail(err, QL_EACCES,
                       "privileged_actions is not empty, but the agent was not started as root");
    p = calloc(1, sizeof *p);
    if (!p)
        return ql_fail_nomem(err);
    p->agent = a;
    p->sock = -1;
    p->setup = setup_of(a);
    if (!p->setup)
        return ql_fail_nomem(err);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return ql_fail(err, QL_EIO, "quicklime-actiond: %s", strerror(errno));
    p->sock = pair[0];
    spare = pair[1];
    theirs = fcntl(spare, F_DUPFD_CLOEXEC, 16); /* out of the way of the number it gets there */
    e = theirs < 0 ? errno : spawn(program, theirs);
    if (e != 0)
        return ql_fail(err, QL_EIO, "%s: %s", program, strerror(e));
    *ret = ql_steal(p);
    return QL_OK;
}

/* ---- talking ---- */

static void send_frame(struct ql_privileged *p, const char *text)
{
    const size_t len = strlen(text);
    const uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

    if (bufferevent_write(p->socket, head, sizeof head) != 0 || bufferevent_write(p->socket, text, len) != 0)
        ql_log(QL_ERROR, "action", "quicklime-actiond: out of memory");
}

static void finish(struct ql_privileged *p, int result, const char *text)
{
    const ql_privileged_done done = p->done;

    p->is_busy = false;
    p->done = NULL;
    if (done)
        done(p->arg, result, text);
}

static void on_read(struct bufferevent *b, void *arg)
{
    struct ql_privileged *p = arg;
    struct evbuffer *in = bufferevent_get_input(b);
    uint8_t head[4];

    while (evbuffer_copyout(in, head, sizeof head) == sizeof head) {
        const size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        ql_auto_free char *text = NULL;
        ql_auto_json json_t *j = NULL;
        const char *why;
        int code;

        if (evbuffer_get_length(in) - sizeof head < len)
            return;
        text = malloc(len + 1);
        if (!text)
            return;
        (void)evbuffer_drain(in, sizeof head); /* both are there */
        (void)evbuffer_remove(in, text, len);
        if (ql_json_parse_object(text, len, QL_ACTIOND_FRAME_MAX, &j, NULL) < 0)
            continue;
        code = (int)json_integer_value(json_object_get(j, "code"));
        why = json_string_value(json_object_get(j, "text"));
        finish(p, code, code == QL_OK ? "done, as root" : why ? why : "");
    }
}

static void on_event(struct bufferevent *b, short what, void *arg)
{
    struct ql_privileged *p = arg;

    (void)b;
    (void)what;
    p->is_gone = true;
    ql_log(QL_ERROR, "action",
           "quicklime-actiond has ended: privileged actions fail until the agent is restarted");
    if (p->is_busy)
        finish(p, QL_ECLOSED, "quicklime-actiond has ended");
}

int ql_privileged_attach(struct ql_privileged *p, struct ql_err *err)
{
    if (!p)
        return QL_OK;
    if (fcntl(p->sock, F_SETFL, O_NONBLOCK) != 0 ||
        !(p->socket = bufferevent_socket_new(p->agent->base, p->sock, BEV_OPT_CLOSE_ON_FREE)))
        return ql_fail(err, QL_EIO, "quicklime-actiond: %s", strerror(errno));
    p->sock = -1; /* the bufferevent's */
    bufferevent_setcb(p->socket, on_read, NULL, on_event, p);
    if (bufferevent_enable(p->socket, EV_READ | EV_WRITE) != 0)
        return ql_fail_nomem(err);
    send_frame(p, p->setup);
    return QL_OK;
}

int ql_privileged_run(struct ql_privileged *p, const char *action, const struct ql_notice *notice,
                      ql_privileged_done done, void *arg, struct ql_err *err)
{
    ql_auto_free char *body = ql_notice_body(notice), *text = NULL;
    ql_auto_json json_t *j = body ? json_pack("{s:s, s:s}", "name", action, "body", body) : NULL;

    if (!p || p->is_gone)
        return ql_fail(err, QL_ECLOSED, "quicklime-actiond has ended");
    if (p->is_busy)
        return ql_fail(err, QL_EAGAIN, "quicklime-actiond is busy");
    text = j ? ql_json_text(j) : NULL;
    if (!text)
        return ql_fail_nomem(err);
    p->is_busy = true;
    p->done = done;
    p->arg = arg;
    send_frame(p, text);
    return QL_OK;
}

void ql_privileged_forget(struct ql_privileged *p, const void *arg)
{
    if (p && p->arg == arg)
        p->done = NULL;
}

void ql_privileged_free(struct ql_privileged *p)
{
    if (!p)
        return;
    if (p->socket)
        bufferevent_free(p->socket);
    ql_closep(&p->sock);
    free(p->setup);
    free(p);
}
