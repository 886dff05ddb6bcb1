/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeding events to actions. Each action has a process, which does one event at a time; one that is slow, hangs or crashes
 * holds up no other. An event that has to be tried again holds up later ones of the same agent, and nobody else's.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "child.h"
#include "clock.h"
#include "error.h"
#include "feed_setup.h"
#include "leases.h"
#include "log.h"
#include "notifier.h"
#include "paths.h"
#include "runner.h"
#include "verifier.h"

enum {
    GRACE_S = 5 /* beyond an action's time limit, before its process is killed */
};

/** An event that is to be tried again. */
struct held {
    int64_t seq, due_ns;
    unsigned attempts, crashes;
};

struct feed {
    struct ql_feeds *feeds;
    unsigned number;
    char name[64];
    char *setup; /* first frame; may hold a password */
    size_t setup_len;
    struct ql_child *child;
    struct bufferevent *socket;
    struct event *timer; /* when something has to be tried again, or the process to be started again */
    int64_t seq;         /* event under way, 0: none */
    struct held flying;  /* what is known of it */
    struct held held[QL_FEED_WAITING_MAX];
    size_t held_count;
    bool is_kept;    /* its process is there although there is nothing to do: subscribers come to it */
    bool is_resting; /* its process ended: not started again before the timer */
};

struct ql_feeds {
    struct ql_verifier *verifier;
    struct ql_outbox_runner *runner;
    struct feed feeds[QL_FEEDS_MAX];
    unsigned count;
    unsigned timeout_s;
    const char *program;
};

static void feed_next(struct feed *f);

uint32_t ql_feeds_all(const struct ql_feeds *f)
{
    return !f ? 0 : f->count == 32 ? UINT32_MAX : (UINT32_C(1) << f->count) - 1;
}

const char *ql_feeds_name(const struct ql_feeds *f, unsigned n)
{
    return f && n < f->count ? f->feeds[n].name : NULL;
}

uint32_t ql_feeds_bit(const struct ql_feeds *f, const char *name)
{
    for (unsigned i = 0; f && i < f->count; i++)
        if (strcmp(f->feeds[i].name, name) == 0)
            return UINT32_C(1) << i;
    return 0;
}

static uint32_t bit(const struct feed *f)
{
    return UINT32_C(1) << f->number;
}

static void set_timer(struct feed *f, int64_t wait_ns)
{
    struct timeval tv = {0};

    if (wait_ns > 0)
        tv = (struct timeval){.tv_sec = (time_t)(wait_ns / QL_NS_PER_S),
                              .tv_usec = wait_ns % QL_NS_PER_S / 1000};
    if (evtimer_add(f->timer, &tv) != 0)
        ql_log(QL_ERROR, "revocation", "action=%s: no memory for a timer", f->name);
}

/* ---- events ---- */

static struct ql_note *note_of(const struct feed *f, int64_t seq)
{
    struct ql_note *n;

    TAILQ_FOREACH(n, ql_outbox_notes(f->feeds->runner), next)
        if (n->row.seq >= seq)
            return n->row.seq == seq ? n : NULL;
    return NULL;
}

static void through(struct feed *f, struct ql_note *n)
{
    n->feeds &= ~bit(f);
    ql_outbox_note_changed(f->feeds->runner, n);
}

static struct held *held_of(struct feed *f, int64_t seq)
{
    for (size_t i = 0; i < f->held_count; i++)
        if (f->held[i].seq == seq)
            return &f->held[i];
    return NULL;
}

static void forget(struct feed *f, struct held *h)
{
    *h = f->held[--f->held_count];
}

/* Those whose event has left: expired, or given up. */
static void forget_gone(struct feed *f)
{
    for (size_t i = f->held_count; i > 0; i--) {
        const struct ql_note *n = note_of(f, f->held[i - 1].seq);

        if (!n || !(n->feeds & bit(f)))
            forget(f, &f->held[i - 1]);
    }
}

static bool is_held_up(const struct feed *f, const struct ql_note *n)
{
    for (size_t i = 0; i < f->held_count; i++) {
        const struct ql_note *earlier = f->held[i].seq < n->row.seq ? note_of(f, f->held[i].seq) : NULL;

        if (earlier && strcmp(earlier->row.agent_id, n->row.agent_id) == 0)
            return true;
    }
    return false;
}

/* The next event to do now. @param[out] due_ns  when there is none: time of the first to be tried again, 0: none */
static struct ql_note *pick(struct feed *f, int64_t *due_ns)
{
    const int64_t now = ql_mono_ns();
    struct ql_note *n;

    *due_ns = 0;
    forget_gone(f);
    for (size_t i = 0; i < f->held_count; i++)
        if (*due_ns == 0 || f->held[i].due_ns < *due_ns)
            *due_ns = f->held[i].due_ns;
    TAILQ_FOREACH(n, ql_outbox_notes(f->feeds->runner), next) {
        const struct held *h = n->feeds & bit(f) ? held_of(f, n->row.seq) : NULL;

        if (!(n->feeds & bit(f)) || n->is_expired || (h && h->due_ns > now) || is_held_up(f, n))
            continue;
        /* With as many to be tried again, whatever it needs is not there: wait for it in order. */
        if (!h && f->held_count == QL_FEED_WAITING_MAX)
            return NULL;
        return n;
    }
    return NULL;
}

static void hold(struct feed *f, struct held h)
{
    h.due_ns = ql_mono_ns() + (int64_t)ql_tell_wait_s(h.attempts) * QL_NS_PER_S;
    if (f->held_count < QL_FEED_WAITING_MAX) /* pick() sees to it */
        f->held[f->held_count++] = h;
}

/* ---- process ---- */

static void send_frame(struct feed *f, const char *text, size_t len)
{
    const uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

    if (bufferevent_write(f->socket, head, sizeof head) != 0 || bufferevent_write(f->socket, text, len) != 0)
        ql_log(QL_ERROR, "revocation", "action=%s: out of memory",
               f->name); /* its time limit ends the wait */
}

static void take_answer(struct feed *f, const char *text, size_t len)
{
    ql_auto_json json_t *j = NULL;
    struct ql_note *n = note_of(f, f->seq);
    const char *why;
    int code;

    if (f->seq == 0 || ql_json_parse_object(text, len, QL_RUNNER_FRAME_MAX, &j, NULL) < 0 ||
        json_integer_value(json_object_get(j, "seq")) != f->seq) {
        ql_child_kill(f->child); /* it is out of step */
        return;
    }
    code = (int)json_integer_value(json_object_get(j, "code"));
    why = json_string_value(json_object_get(j, "text"));
    f->seq = 0;
    if (n && code == QL_OK) {
        ql_log(QL_INFO, "revocation", "action=%s agent=%s event=%s: done", f->name, n->row.agent_id,
               n->row.event_id ? n->row.event_id : "");
        through(f, n);
    } else if (n && code == QL_EAGAIN) {
        ql_log(f->flying.attempts == 1 ? QL_WARN : QL_INFO, "revocation",
               "action=%s agent=%s attempt=%u: to be tried again: %s", f->name, n->row.agent_id,
               f->flying.attempts, why ? why : "");
        hold(f, f->flying);
    } else if (n) {
        ql_log(QL_WARN, "revocation", "action=%s agent=%s: given up: %s", f->name, n->row.agent_id,
               why ? why : "");
        through(f, n);
    }
    feed_next(f);
}

static void on_read(struct bufferevent *b, void *arg)
{
    struct feed *f = arg;
    struct evbuffer *in = bufferevent_get_input(b);
    uint8_t head[4];

    while (f->socket == b && evbuffer_copyout(in, head, sizeof head) == sizeof head) {
        const size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        ql_auto_free char *text = NULL;

        if (len > QL_RUNNER_FRAME_MAX) {
            ql_child_kill(f->child);
            return;
        }
        if (evbuffer_get_length(in) < sizeof head + len)
            return;
        text = malloc(len + 1);
        if (!text)
            return;                            /* its time limit ends the wait */
        (void)evbuffer_drain(in, sizeof head); /* both are there */
        (void)evbuffer_remove(in, text, len);
        text[len] = '\0';
        take_answer(f, text, len);
    }
}

static void on_socket(struct bufferevent *b, short what, void *arg)
{
    (void)b;
    (void)what;
    (void)arg; /* its end is noticed as the end of the process */
}

static void let_go(struct feed *f)
{
    if (f->socket)
        bufferevent_free(f->socket);
    f->socket = NULL;
}

static void on_end(const struct ql_child_end *end, void *arg)
{
    struct feed *f = arg;
    struct ql_note *n = note_of(f, f->seq);
    char text[64];

    f->child = NULL; /* frees itself */
    let_go(f);
    ql_log(QL_WARN, "revocation", "action=%s: its process ended: %s", f->name, ql_child_end_text(end, text));
    if (n && f->seq != 0 && ++f->flying.crashes >= QL_FEED_CRASHES_MAX) {
        ql_log(QL_WARN, "revocation", "action=%s agent=%s: given up: its process ended %d times", f->name,
               n->row.agent_id, QL_FEED_CRASHES_MAX);
        through(f, n);
    } else if (n && f->seq != 0) {
        hold(f, f->flying);
    }
    f->seq = 0;
    f->is_resting = true;
    set_timer(f, QL_FEED_RESTART_S * QL_NS_PER_S);
}

static bool start(struct feed *f)
{
    const char *const argv[] = {f->feeds->program, "--serve", NULL};
    struct ql_child_config config = {
        .base = f->feeds->verifier->base, .argv = argv, .area = "action", .label = f->name, .fd = -1};
    ql_auto_close int ours = -1, theirs = -1;
    struct ql_err err = QL_ERR_INIT;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
        ours = pair[0];
        theirs = pair[1];
        config.fd = theirs;
    }
    if (ours >= 0 && fcntl(ours, F_SETFL, O_NONBLOCK) == 0 &&
        ql_child_start(&config, on_end, f, &f->child, &err) == QL_OK) {
        f->socket = bufferevent_socket_new(config.base, ours, BEV_OPT_CLOSE_ON_FREE);
        if (f->socket) {
            (void)ql_steal_fd(ours); /* the bufferevent's */
            bufferevent_setcb(f->socket, on_read, NULL, on_socket, f);
            if (bufferevent_enable(f->socket, EV_READ | EV_WRITE) == 0) {
                send_frame(f, f->setup, f->setup_len);
                return true;
            }
        }
        ql_child_free(ql_steal(f->child));
        let_go(f);
    }
    ql_log(QL_ERROR, "revocation", "action=%s: cannot be started: %s", f->name,
           *err.text ? err.text : strerror(errno));
    f->is_resting = true;
    set_timer(f, QL_FEED_RESTART_S * QL_NS_PER_S);
    return false;
}

static void feed_next(struct feed *f)
{
    ql_auto_json json_t *j = NULL;
    ql_auto_free char *text = NULL;
    const struct held *h;
    struct ql_note *n;
    int64_t due_ns;

    if (f->seq != 0 || f->is_resting || f->feeds->verifier->is_stopping ||
        !ql_leases_lead(f->feeds->verifier))
        return;
    n = pick(f, &due_ns);
    if (!n) {
        if (due_ns != 0)
            set_timer(f, due_ns - ql_mono_ns());
        return;
    }
    if (!f->child && !start(f))
        return;
    h = held_of(f, n->row.seq);
    f->flying = h ? *h : (struct held){.seq = n->row.seq};
    if (h)
        forget(f, held_of(f, n->row.seq));
    f->flying.attempts++;
    j = json_pack("{s:I, s:i, s:s}", "seq", (json_int_t)n->row.seq, "attempt", (int)f->flying.attempts,
                  "body", n->body);
    text = j ? ql_json_text(j) : NULL;
    if (!text || strlen(text) > QL_RUNNER_FRAME_MAX) {
        ql_log(QL_ERROR, "revocation", "action=%s agent=%s: given up: event is too large", f->name,
               n->row.agent_id);
        through(f, n);
        set_timer(f, 0);
        return;
    }
    f->seq = n->row.seq;
    send_frame(f, text, strlen(text));
    set_timer(f, (int64_t)(f->feeds->timeout_s + GRACE_S) * QL_NS_PER_S);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct feed *f = arg;

    (void)fd;
    (void)what;
    f->is_resting = false;
    if (f->seq != 0 && f->child) {
        ql_log(QL_WARN, "revocation", "action=%s: killed at its time limit of %u s", f->name,
               f->feeds->timeout_s);
        ql_child_kill(f->child);
        return;
    }
    if (f->is_kept && !f->child && !start(f))
        return;
    feed_next(f);
}

void ql_feeds_wake(struct ql_feeds *f)
{
    for (unsigned i = 0; f && i < f->count; i++)
        feed_next(&f->feeds[i]);
}

/* ---- configuration ---- */

static int add_feed(struct ql_feeds *f, const char *name, struct ql_err *err)
{
    struct feed *feed = &f->feeds[f->count];
    int r;

    if (ql_feeds_bit(f, name) != 0)
        return QL_OK;
    if (f->count == QL_FEEDS_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d actions are fed with events", QL_FEEDS_MAX);
    if (strlen(name) >= sizeof feed->name)
        return ql_fail(err, QL_ERANGE, "name of an action is longer than %zu characters",
                       sizeof feed->name - 1);
    *feed = (struct feed){.feeds = f, .number = f->count++};
    (void)snprintf(feed->name, sizeof feed->name, "%s", name); /* fits */
    feed->timer = evtimer_new(f->verifier->base, on_timer, feed);
    if (!feed->timer)
        return ql_fail_nomem(err);
    r = ql_feed_setup(f->verifier, name, &feed->setup, err);
    if (r == QL_OK)
        feed->setup_len = strlen(feed->setup);
    return r;
}

static int add_feeds(struct ql_feeds *f, struct ql_err *err)
{
    const struct ql_config *c = f->verifier->config;
    int r = QL_OK;

    for (size_t i = 0;
         r == QL_OK && i < ql_config_count(c, "revocations", "enabled_revocation_notifications"); i++) {
        const char *name = ql_config_item(c, "revocations", "enabled_revocation_notifications", i);

        if (strcmp(name, "webhook") == 0 || strcmp(name, "zeromq") == 0)
            r = add_feed(f, name, err);
        else if (strcmp(name, "agent") != 0)
            ql_log(QL_WARN, "main", "enabled_revocation_notifications: %s is unknown, left out", name);
    }
    for (size_t i = 0; r == QL_OK && i < ql_config_count(c, "revocations", "actions"); i++)
        r = add_feed(f, ql_config_item(c, "revocations", "actions", i), err);
    return r;
}

int ql_feeds_new(struct ql_verifier *v, struct ql_outbox_runner *o, struct ql_feeds **ret, struct ql_err *err)
{
    struct ql_feeds *f = calloc(1, sizeof *f);
    int r;

    if (!f)
        return ql_fail_nomem(err);
    f->verifier = v;
    f->runner = o;
    f->timeout_s = (unsigned)ql_config_int(v->config, "revocations", "action_timeout");
    f->program = ql_action_runner_path(ql_config_string(v->config, "revocations", "action_runner_path"));
    r = add_feeds(f, err);
    if (r < 0) {
        ql_feeds_free(f);
        return r;
    }
    for (unsigned i = 0; i < f->count; i++) {
        f->feeds[i].is_kept = strcmp(f->feeds[i].name, "zeromq") == 0;
        if (f->feeds[i].is_kept)
            (void)start(&f->feeds[i]); /* tried again */
    }
    *ret = f;
    return QL_OK;
}

void ql_feeds_free(struct ql_feeds *f)
{
    if (!f)
        return;
    for (unsigned i = 0; i < f->count; i++) {
        struct feed *feed = &f->feeds[i];

        ql_child_free(feed->child);
        let_go(feed);
        if (feed->timer)
            event_free(feed->timer);
        if (feed->setup)
            ql_wipe(feed->setup, feed->setup_len);
        free(feed->setup);
    }
    free(f);
}
