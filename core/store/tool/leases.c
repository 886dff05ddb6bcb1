/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "store.h"
#include "suite.h"

enum {
    LONG_MS = 600000,
    SHORT_MS = 100
};

struct claims {
    int count, wrong;
    int64_t ids[128], number, lowest;
    const char *owner;
};

static int note_claim(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct claims *c = arg;

    if (column_count != 5 || row[JOB_OWNER].type != QL_COL_TEXT ||
        strcmp(row[JOB_OWNER].data, c->owner) != 0 || row[JOB_UNTIL].type != QL_COL_INT ||
        row[JOB_CLAIM].type != QL_COL_INT)
        c->wrong++;
    else
        c->number = row[JOB_CLAIM].i > c->number ? row[JOB_CLAIM].i : c->number;
    if (!c->count || row[JOB_CLAIM].i < c->lowest)
        c->lowest = row[JOB_CLAIM].i;
    if (c->count < 128)
        c->ids[c->count] = row[JOB_ID].i;
    c->count++;
    return 0;
}

/** Claim in a transaction of its own. @return rows, negative: failure */
static int claim(struct suite *s, const char *owner, int64_t ttl_ms, uint32_t max, struct claims *ret)
{
    int r;

    *ret = (struct claims){.owner = owner};
    r = do_begin(s);
    if (r == QL_OK)
        r = s->backend->claim(s->plugin, s->db, &suite_jobs, owner, ttl_ms, max, note_claim, ret, &s->err);
    if (r == QL_OK)
        r = do_commit(s);
    if (r < 0) {
        do_rollback(s);
        return r;
    }
    return ret->wrong ? -100 : ret->count;
}

static int renew(struct suite *s, const char *owner, int64_t ttl_ms)
{
    uint64_t count = 0;
    int r = do_begin(s);

    if (r == QL_OK)
        r = s->backend->renew(s->plugin, s->db, &suite_jobs, owner, ttl_ms, &count, &s->err);
    if (r == QL_OK)
        r = do_commit(s);
    return r < 0 ? r : (int)count;
}

static int yield(struct suite *s, int64_t id, const char *owner)
{
    struct ql_value key[] = {ql_text("g"), ql_int(id)};
    int r = do_begin(s), done;

    if (r < 0)
        return r;
    r = s->backend->yield(s->plugin, s->db, &suite_jobs, key, owner, &s->err);
    done = do_commit(s);
    return r < 0 ? r : done;
}

static bool fill(struct suite *s, int count)
{
    CHECK(suite_clear(s, &suite_jobs) == QL_OK);
    EXPECT(do_begin(s), QL_OK);
    for (int i = 0; i < count; i++) {
        struct ql_value row[] = {ql_text("g"), ql_int(i), ql_null(), ql_null(), ql_null()};

        EXPECT(do_put(s, &suite_jobs, QL_PUT_INSERT, row, 0, NULL, 0), QL_OK);
    }
    EXPECT(do_commit(s), QL_OK);
    return true;
}

static bool a_lease_has_one_owner(struct suite *s)
{
    struct claims c;

    if (!fill(s, 10))
        return false;
    CHECK(claim(s, "one", LONG_MS, 4, &c) == 4);
    CHECK(claim(s, "two", LONG_MS, 100, &c) == 6);
    CHECK(claim(s, "two", LONG_MS, 100, &c) == 0);
    CHECK(claim(s, "three", LONG_MS, 100, &c) == 0);
    CHECK(renew(s, "one", LONG_MS) == 4);
    CHECK(renew(s, "two", LONG_MS) == 6);
    CHECK(renew(s, "three", LONG_MS) == 0);
    return true;
}

static bool only_the_holder_gives_back(struct suite *s)
{
    struct claims c;

    if (!fill(s, 3))
        return false;
    CHECK(claim(s, "one", LONG_MS, 3, &c) == 3);
    EXPECT(yield(s, 1, "two"), QL_ECONFLICT);
    CHECK(claim(s, "two", LONG_MS, 3, &c) == 0);
    EXPECT(yield(s, 1, "one"), QL_OK);
    EXPECT(yield(s, 1, "one"), QL_ECONFLICT);
    CHECK(renew(s, "one", LONG_MS) == 2);
    CHECK(claim(s, "two", LONG_MS, 3, &c) == 1);
    CHECK(c.ids[0] == 1);
    return true;
}

/** Claim until somebody else's lease has run out. */
static bool claim_when_free(struct suite *s, const char *owner, int count, struct claims *c)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int64_t end = ql_mono_ns() + 20 * QL_NS_PER_S;
    int got = 0, r;

    do {
        (void)nanosleep(&pause, NULL); /* the database's clock must move on */
        r = claim(s, owner, LONG_MS, 100, c);
        CHECK(r >= 0);
        got += r;
    } while (got < count && ql_mono_ns() < end);
    CHECK(got == count);
    return true;
}

static bool a_lease_runs_out(struct suite *s)
{
    struct claims first, second;

    if (!fill(s, 5))
        return false;
    CHECK(claim(s, "one", SHORT_MS, 5, &first) == 5);
    if (!claim_when_free(s, "two", 5, &second))
        return false;
    CHECK(second.lowest > first.number);
    /* It is over for the first: prolonging finds nothing. */
    CHECK(renew(s, "one", LONG_MS) == 0);
    EXPECT(yield(s, 1, "one"), QL_ECONFLICT);
    return true;
}

/* As those who share something do: whose own lease ran out while the database was away gets it back, with a new number. */
static bool ones_own_lease_comes_back(struct suite *s)
{
    struct claims first, second;

    if (!fill(s, 1))
        return false;
    CHECK(claim(s, "one", SHORT_MS, 1, &first) == 1);
    if (!claim_when_free(s, "one", 1, &second))
        return false;
    CHECK(second.number > first.number);
    CHECK(renew(s, "one", LONG_MS) == 1);
    return true;
}

/* Renew, claim all there is, delete what was got: one transaction, which sees its own changes. */
static bool claims_and_deletions_are_one_transaction(struct suite *s)
{
    struct ql_value key[] = {ql_text("g"), ql_int(1)};
    struct claims c = {.owner = "one"};
    uint64_t count = 9;

    if (!fill(s, 3))
        return false;
    EXPECT(do_begin(s), QL_OK);
    EXPECT(s->backend->renew(s->plugin, s->db, &suite_jobs, "one", LONG_MS, &count, &s->err), QL_OK);
    CHECK(count == 0);
    EXPECT(
        s->backend->claim(s->plugin, s->db, &suite_jobs, "one", LONG_MS, UINT32_MAX, note_claim, &c, &s->err),
        QL_OK);
    CHECK(c.count == 3 && !c.wrong);
    EXPECT(s->backend->del(s->plugin, s->db, &suite_jobs, key, NULL, 0, &s->err), QL_OK);
    EXPECT(s->backend->yield(s->plugin, s->db, &suite_jobs, (struct ql_value[]){ql_text("g"), ql_int(2)},
                             "one", &s->err),
           QL_OK);
    EXPECT(do_commit(s), QL_OK);
    CHECK(renew(s, "one", LONG_MS) == 1);
    CHECK(claim(s, "two", LONG_MS, UINT32_MAX, &c) == 1);
    CHECK(c.ids[0] == 2);
    return true;
}

static bool renewing_prolongs(struct suite *s)
{
    struct claims c;
    const struct timespec pause = {.tv_nsec = 20000000};
    int64_t end;

    if (!fill(s, 2))
        return false;
    CHECK(claim(s, "one", 2000, 2, &c) == 2);
    CHECK(renew(s, "one", LONG_MS) == 2);
    for (end = ql_mono_ns() + 2200 * QL_NS_PER_MS; ql_mono_ns() < end;) {
        CHECK(claim(s, "two", LONG_MS, 2, &c) == 0);
        (void)nanosleep(&pause, NULL); /* until the first lease would be over */
    }
    return true;
}

static bool numbers_only_grow(struct suite *s)
{
    struct claims c;
    int64_t last = 0;

    if (!fill(s, 1))
        return false;
    for (int i = 0; i < 5; i++) {
        CHECK(claim(s, "one", LONG_MS, 1, &c) == 1);
        CHECK(c.number > last);
        last = c.number;
        EXPECT(yield(s, 0, "one"), QL_OK);
    }
    /* Also for a row that was deleted and made anew: its old holder must not pass for the new one. */
    if (!fill(s, 1))
        return false;
    CHECK(claim(s, "one", LONG_MS, 1, &c) == 1);
    CHECK(c.number > last);
    return true;
}

static bool a_claim_that_is_rolled_back_is_none(struct suite *s)
{
    struct claims c = {.owner = "one"};

    if (!fill(s, 2))
        return false;
    EXPECT(do_begin(s), QL_OK);
    EXPECT(s->backend->claim(s->plugin, s->db, &suite_jobs, "one", LONG_MS, 2, note_claim, &c, &s->err),
           QL_OK);
    CHECK(c.count == 2);
    do_rollback(s);
    CHECK(claim(s, "two", LONG_MS, 2, &c) == 2);
    return true;
}

static int claim_all(struct suite *s, int out, int n)
{
    const char *owner = n ? "child one" : "child two";
    struct claims c;
    int r;

    for (;;) {
        r = claim(s, owner, LONG_MS, 3, &c);
        if (r == QL_EAGAIN)
            continue;
        if (r <= 0)
            return r ? 3 : 0;
        for (int i = 0; i < r; i++)
            if (write(out, &c.ids[i], sizeof c.ids[i]) != sizeof c.ids[i])
                return 4;
    }
}

static bool processes_never_share(struct suite *s)
{
    enum {
        ROWS = 100
    };
    int fds[2], pids[2], status = 0, count = 0;
    bool taken[ROWS] = {false};
    int64_t id = 0;

    if (!fill(s, ROWS))
        return false;
    for (int i = 0; i < 2; i++) {
        pids[i] = suite_fork(s, &suite_first, claim_all, i, &fds[i]);
        CHECK(pids[i] > 0);
    }
    for (int i = 0; i < 2; i++) {
        while (read(fds[i], &id, sizeof id) == sizeof id) {
            CHECK(id >= 0 && id < ROWS && !taken[id]);
            taken[id] = true;
            count++;
        }
        (void)close(fds[i]);
        CHECK(waitpid(pids[i], &status, 0) == pids[i]);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    EXPECT(suite_open(s, &suite_first), QL_OK);
    CHECK(count == ROWS);
    return true;
}

static bool only_tables_with_leases(struct suite *s)
{
    struct claims c = {.owner = "one"};

    EXPECT(do_begin(s), QL_OK);
    CHECK(s->backend->claim(s->plugin, s->db, &suite_things, "one", LONG_MS, 2, note_claim, &c, &s->err) < 0);
    do_rollback(s);
    return true;
}

const struct suite_test lease_tests[] = {
    {"a lease has one owner", a_lease_has_one_owner},
    {"only the holder of a lease gives it back", only_the_holder_gives_back},
    {"a lease runs out by itself and then belongs to the next", a_lease_runs_out},
    {"one's own lease that ran out can be claimed again", ones_own_lease_comes_back},
    {"claims, deletions and giving back make one transaction", claims_and_deletions_are_one_transaction},
    {"renewing prolongs a lease", renewing_prolongs},
    {"claim numbers only grow", numbers_only_grow},
    {"a claim that is rolled back is none", a_claim_that_is_rolled_back_is_none},
    {"two processes never get the same row", processes_never_share},
    {"a table without leases gives none", only_tables_with_leases},
    {0},
};
