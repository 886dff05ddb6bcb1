/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file suite.h
 * The conformance suite of store backends: what the plugin author's guide asks of one, as tests that any backend can be
 * put through. It calls the backend's own functions, without the store thread, and prints TAP.
 *
 * The database that the URL names must be empty at first. Other processes are started for what several connections must
 * bear; the plugin is loaded before and connected in each of them.
 */
#pragma once
#include <stdbool.h>

#include <quicklime/store.h>

struct suite {
    const struct ql_store_backend *backend;
    void *plugin;
    const char *url, *state_dir;
    void *db;          /**< open with the newest schema that was used; NULL: closed */
    struct ql_err err; /**< of the last call */
    char why[600];     /**< why the test under way failed */
};

/** One guarantee. */
struct suite_test {
    const char *name; /**< a sentence */
    bool (*run)(struct suite *s);
};

/** Schemas in the order of their use. The tables of all: see suite.c. */
extern const struct ql_schema suite_first, suite_second, suite_second_by_hand, suite_third, suite_foreign;
extern const struct ql_table suite_things, suite_things_more, suite_jobs, suite_late;

/** Columns of suite_things. */
enum {
    ID,
    TEXT,
    DATA,
    JSON,
    NUMBER,
    UNIQUE,
    MORE
};
/** Columns of suite_jobs. */
enum {
    JOB_GROUP,
    JOB_ID,
    JOB_OWNER,
    JOB_UNTIL,
    JOB_CLAIM
};

/** Tests of one file, ended by a row without name. */
extern const struct suite_test row_tests[], scan_tests[], transaction_tests[], lease_tests[], schema_tests[];

/** Run everything. @return number of failures */
int suite_run(struct suite *s);

/** Fail the test with a place and the backend's text. @return false */
bool suite_fail(struct suite *s, const char *file, int line, const char *what);
#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond))                                                                                         \
            return suite_fail(s, __FILE__, __LINE__, #cond);                                                 \
    } while (0)
/** Expect a code. */
#define EXPECT(call, code)                                                                                   \
    do {                                                                                                     \
        int _r = (call);                                                                                     \
        if (_r != (code))                                                                                    \
            return suite_fail_code(s, __FILE__, __LINE__, #call, _r, code);                                  \
    } while (0)
bool suite_fail_code(struct suite *s, const char *file, int line, const char *what, int got, int want);

/** Open with a schema (closing what is open); tries again for half a minute where the answer is QL_EAGAIN. */
int suite_open(struct suite *s, const struct ql_schema *schema);
void suite_close(struct suite *s);
/** Remove all rows of a table, in a transaction of its own. */
int suite_clear(struct suite *s, const struct ql_table *table);

/* The backend's functions with the suite's arguments. */
int do_begin(struct suite *s); /**< repeats QL_EAGAIN for up to 30 s */
int do_commit(struct suite *s);
void do_rollback(struct suite *s);
int do_get(struct suite *s, const struct ql_table *t, const struct ql_value *key, ql_row_fn fn, void *arg);
int do_put(struct suite *s, const struct ql_table *t, uint32_t mode, const struct ql_value *row,
           uint64_t mask, const struct ql_cond *only_if, uint32_t cond_count);
int do_del(struct suite *s, const struct ql_table *t, const struct ql_value *key,
           const struct ql_cond *only_if, uint32_t cond_count);
int do_scan(struct suite *s, const struct ql_table *t, const char *index, const struct ql_value *from,
            uint32_t from_count, uint64_t limit, ql_row_fn fn, void *arg);

/** Count rows: a ql_row_fn whose argument is an int. */
int count_row(void *arg, const struct ql_value *row, uint32_t column_count);
/** Rows of a table; negative: a failure. */
int count_rows(struct suite *s, const struct ql_table *t);
/** A row of suite_things with its id and text; all else null. @p row has room for MORE values. */
void thing(struct ql_value *row, int64_t id, const char *text);
/** The text and number of a thing: a ql_row_fn whose argument is a struct brief. */
struct brief {
    int64_t id, number;
    bool has_number;
    char text[64];
    char more[64]; /**< "null" when it is, "" when the table has no such column */
    int count;
};
int read_brief(void *arg, const struct ql_value *row, uint32_t column_count);

/**
 * Run @p child in a process of its own with a connection of its own; what it writes to the descriptor is read from
 * *ret_fd.
 * @return its process id, negative: failure
 */
int suite_fork(struct suite *s, const struct ql_schema *schema, int (*child)(struct suite *s, int out, int n),
               int n, int *ret_fd);
