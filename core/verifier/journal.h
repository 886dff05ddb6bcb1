/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file journal.h
 * Failures that the database could not take: one line of JSON each, fsynced, until they are transactions (decision 21).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_JOURNAL_MAX = 64 * 1024 * 1024, /**< bytes; then polling stops: a failure could get lost */
    QL_JOURNAL_LINE_MAX = 64 * 1024    /**< bytes of one record */
};

struct ql_journal;
/** Open or make the file. @param path borrowed for the call */
int ql_journal_open(const char *path, struct ql_journal **ret, struct ql_err *err);
void ql_journal_free(struct ql_journal *j);
QL_DEFINE_CLEANUP(struct ql_journal, ql_journal_free)

/**
 * Append a record and fsync; blocks: helper thread only. @param line without line feeds
 * @retval QL_EFULL the journal would pass its limit @retval QL_EIO
 */
int ql_journal_append(struct ql_journal *j, const char *line, struct ql_err *err);
/** Each whole record, in order; a last line that was cut short by a crash was never acknowledged and is left out. */
int ql_journal_each(struct ql_journal *j,
                    int (*fn)(void *arg, const char *line, size_t len, struct ql_err *err), void *arg,
                    struct ql_err *err);
/** Forget all records; blocks. */
int ql_journal_clear(struct ql_journal *j, struct ql_err *err);
bool ql_journal_is_empty(const struct ql_journal *j);
