/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agents.h"
#include "outbox.h"

/*
 * A child commits rows as fast as it can and tells of each one that was acknowledged; it is killed without warning. What
 * it told of must be there afterwards: an agent and, in the same transaction, an event. What it did not tell of may be
 * there, but then whole.
 */

enum {
    ROUNDS = 20,
    IN_FLIGHT = 40
};

struct writer {
    struct fixture *f;
    int out;
    int next;
};

struct task {
    struct writer *w;
    int id;
};

static int write_pair(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct task *task = arg;
    char id[32], message[40];
    struct ql_agent_row agent = {.agent_id = id, .generation = 1, .severity_level = -1};
    struct ql_outbox_row event = {.agent_id = id, .message = message};
    int r;

    (void)snprintf(id, sizeof id, "agent-%d", task->id);
    (void)snprintf(message, sizeof message, "of %s", id);
    r = ql_agents_insert(t, &agent, err);
    return r < 0 ? r : ql_outbox_insert(t, &event, err);
}

static void submit_next(struct writer *w);

static void acknowledged(int result, const struct ql_err *err, void *arg)
{
    struct task *task = arg;
    struct writer *w = task->w;

    (void)err;
    if (result != QL_OK || write(w->out, &task->id, sizeof task->id) != sizeof task->id)
        _exit(3);
    free(task);
    submit_next(w);
}

static void submit_next(struct writer *w)
{
    struct task *task = malloc(sizeof *task);
    struct ql_err err = QL_ERR_INIT;

    if (!task)
        _exit(4);
    *task = (struct task){.w = w, .id = w->next++};
    if (ql_store_submit(w->f->store, write_pair, acknowledged, task, &err) < 0)
        _exit(5);
}

static void child_main(struct fixture *f, int out, int first)
{
    struct writer w = {.f = f, .out = out, .next = first};
    struct ql_err err;

    /* The loop of the parent is not ours: its descriptors are shared. */
    f->base = event_base_new();
    if (!f->base || fixture_try(f, "sqlite", &ql_verifier_schema, &err) < 0)
        _exit(6);
    for (int i = 0; i < IN_FLIGHT; i++)
        submit_next(&w);
    (void)event_base_dispatch(f->base);
    _exit(7);
}

/** Read acknowledged numbers until the child is gone; kill it after @p kill_after of them and @p delay_us. */
static int collect(int in, pid_t child, int kill_after, unsigned delay_us, bool *acked, int room)
{
    int count = 0, id = 0, status = 0;
    bool killed = false;

    while (read(in, &id, sizeof id) == sizeof id) {
        assert_in_range(id, 0, room - 1);
        assert_false(acked[id]);
        acked[id] = true;
        count++;
        if (count == kill_after && !killed) {
            struct timespec ts = {.tv_nsec = (long)delay_us * 1000};

            (void)nanosleep(&ts, NULL); /* chooses the moment of the kill */
            assert_int_equal(kill(child, SIGKILL), 0);
            killed = true;
        }
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return count;
}

struct check {
    const bool *acked;
    bool *agents, *events;
    int room, missing, half;
};

static int see_agent(void *arg, struct ql_agent_row *row)
{
    struct check *c = arg;
    int id = -1;

    assert_int_equal(strncmp(row->agent_id, "agent-", 6), 0);
    id = (int)strtol(row->agent_id + 6, NULL, 10);
    assert_in_range(id, 0, c->room - 1);
    c->agents[id] = true;
    return 0;
}

static int see_event(void *arg, struct ql_outbox_row *row)
{
    struct check *c = arg;
    int id = (int)strtol(row->agent_id + 6, NULL, 10);

    assert_in_range(id, 0, c->room - 1);
    assert_false(c->events[id]);
    c->events[id] = true;
    return 0;
}

static int check_all(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct check *c = arg;
    size_t skipped = 0;
    int r = ql_agents_each(t, see_agent, c, &skipped, err);

    assert_int_equal(skipped, 0);
    if (r == QL_OK)
        r = ql_outbox_each(t, 0, 0, see_event, c, err);
    for (int i = 0; i < c->room; i++) {
        c->missing += c->acked[i] && !c->agents[i];
        c->half += c->agents[i] != c->events[i];
    }
    return r;
}

static void every_acknowledged_write_survives_a_kill(void **state)
{
    enum {
        PER_ROUND = 100000,
        ROOM = ROUNDS * PER_ROUND
    };
    struct fixture *f = *state;
    bool *acked = calloc(ROOM, 1), *agents = calloc(ROOM, 1), *events = calloc(ROOM, 1);
    const char *given = getenv("QL_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)ql_now_ns();
    int total = 0;

    assert_true(acked && agents && events);
    print_message("seed %u (QL_TEST_SEED=%u repeats it)\n", seed, seed);
    srandom(seed);
    for (int round = 0; round < ROUNDS; round++) {
        struct check c = {.acked = acked, .agents = agents, .events = events, .room = ROOM};
        int kill_after = 1 + (int)(random() % 400), fds[2];
        unsigned delay_us = (unsigned)(random() % 3000);
        pid_t child;

        assert_int_equal(pipe(fds), 0);
        child = fork();
        assert_true(child >= 0);
        if (!child) {
            (void)close(fds[0]);
            child_main(f, fds[1], round * PER_ROUND);
        }
        (void)close(fds[1]);
        total += collect(fds[0], child, kill_after, delay_us, acked, ROOM);
        (void)close(fds[0]);

        fixture_open(f, &ql_verifier_schema);
        memset(agents, 0, ROOM);
        memset(events, 0, ROOM);
        fixture_run(f, check_all, &c, QL_OK);
        assert_int_equal(c.missing, 0);
        assert_int_equal(c.half, 0);
        fixture_close(f);
    }
    print_message("%d acknowledged writes over %d kills\n", total, ROUNDS);
    free(acked);
    free(agents);
    free(events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_acknowledged_write_survives_a_kill, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
