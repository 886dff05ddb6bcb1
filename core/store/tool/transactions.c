/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "store.h"
#include "suite.h"

static bool rollback_undoes(struct suite *s)
{
    struct ql_value row[MORE];
    struct brief b = {0};

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, "stays");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    thing(row, 2, "stays");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_commit(s), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    EXPECT(do_del(s, &suite_things, row, NULL, 0), QL_OK);
    thing(row, 1, "changed");
    EXPECT(do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << TEXT, NULL, 0), QL_OK);
    thing(row, 3, "new");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    do_rollback(s);
    EXPECT(do_begin(s), QL_OK);
    CHECK(count_rows(s, &suite_things) == 2);
    thing(row, 1, NULL);
    EXPECT(do_get(s, &suite_things, row, read_brief, &b), QL_OK);
    CHECK(!strcmp(b.text, "stays"));
    EXPECT(do_commit(s), QL_OK);
    /* Closing without commit undoes as well. */
    EXPECT(do_begin(s), QL_OK);
    EXPECT(do_del(s, &suite_things, row, NULL, 0), QL_OK);
    EXPECT(suite_open(s, &suite_first), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    CHECK(count_rows(s, &suite_things) == 2);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool others_see_commits_alone(struct suite *s)
{
    struct suite other = *s;
    struct ql_value row[MORE];
    int r;

    other.db = NULL;
    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(suite_open(&other, &suite_first), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, "one");
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    /* A backend may make the other one wait its turn; it must not show what is not committed. */
    r = other.backend->begin(other.plugin, other.db, NULL);
    CHECK(r == QL_OK || r == QL_EAGAIN);
    if (r == QL_OK) {
        CHECK(count_rows(&other, &suite_things) == 0);
        do_rollback(&other);
    }
    EXPECT(do_commit(s), QL_OK);
    EXPECT(do_begin(&other), QL_OK);
    CHECK(count_rows(&other, &suite_things) == 1);
    EXPECT(do_commit(&other), QL_OK);
    suite_close(&other);
    return true;
}

static int add_hundred(struct suite *s, int out, int n)
{
    struct ql_value row[MORE];

    (void)out, (void)n;
    for (int i = 0; i < 100;) {
        struct ql_cond only_if = {.column = NUMBER};
        struct brief b = {0};
        int r = do_begin(s);

        thing(row, 1, NULL);
        if (r == QL_OK)
            r = do_get(s, &suite_things, row, read_brief, &b);
        only_if.value = ql_int(b.number);
        row[NUMBER] = ql_int(b.number + 1);
        if (r == QL_OK)
            r = do_put(s, &suite_things, QL_PUT_UPDATE, row, 1 << NUMBER, &only_if, 1);
        if (r == QL_OK)
            r = do_commit(s);
        if (r < 0)
            do_rollback(s);
        if (r < 0 && r != QL_EAGAIN && r != QL_ECONFLICT)
            return 3;
        i += r == QL_OK;
    }
    return 0;
}

static bool no_update_is_lost(struct suite *s)
{
    enum {
        PROCESSES = 3
    };
    struct ql_value row[MORE];
    struct brief b = {0};
    int status = 0, pids[PROCESSES], fds[PROCESSES];

    CHECK(suite_clear(s, &suite_things) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    thing(row, 1, NULL);
    row[NUMBER] = ql_int(0);
    EXPECT(do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    EXPECT(do_commit(s), QL_OK);
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = suite_fork(s, &suite_first, add_hundred, i, &fds[i]);
        CHECK(pids[i] > 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        CHECK(waitpid(pids[i], &status, 0) == pids[i]);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        (void)close(fds[i]);
    }
    EXPECT(suite_open(s, &suite_first), QL_OK);
    EXPECT(do_begin(s), QL_OK);
    EXPECT(do_get(s, &suite_things, row, read_brief, &b), QL_OK);
    CHECK(b.number == 100 * PROCESSES);
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static int commit_until_killed(struct suite *s, int out, int n)
{
    struct ql_value row[MORE];

    for (int id = n;; id++) {
        thing(row, id, "committed");
        if (do_begin(s) < 0 || do_put(s, &suite_things, QL_PUT_INSERT, row, 0, NULL, 0) < 0 ||
            do_commit(s) < 0)
            return 3;
        if (write(out, &id, sizeof id) != sizeof id)
            return 4;
    }
}

static bool commits_survive_a_kill(struct suite *s)
{
    CHECK(suite_clear(s, &suite_things) == QL_OK);
    for (int round = 0; round < 5; round++) {
        int fd = -1, id = 0, last = -1, count = 0, status = 0, first = round * 100000;
        int pid = suite_fork(s, &suite_first, commit_until_killed, first, &fd);
        struct ql_value row[MORE];

        CHECK(pid > 0);
        while (read(fd, &id, sizeof id) == sizeof id) {
            last = id;
            if (++count == 10 + round * 7)
                CHECK(kill(pid, SIGKILL) == 0);
        }
        (void)close(fd);
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFSIGNALED(status));
        EXPECT(suite_open(s, &suite_first), QL_OK);
        EXPECT(do_begin(s), QL_OK);
        for (id = first; id <= last; id++) {
            thing(row, id, NULL);
            EXPECT(do_get(s, &suite_things, row, count_row, &count), QL_OK);
        }
        EXPECT(do_commit(s), QL_OK);
    }
    return true;
}

const struct suite_test transaction_tests[] = {
    {"what is rolled back, or not committed at the end, leaves no trace", rollback_undoes},
    {"others see what is committed and nothing else", others_see_commits_alone},
    {"no update of several processes is lost", no_update_is_lost},
    {"what was committed survives a kill", commits_survive_a_kill},
    {0},
};
