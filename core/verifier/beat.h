/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file beat.h
 * What a verifier that shares agents asks of the database: the transactions of leases.c, on the store thread.
 */
#pragma once
#include "leases.h"

/** What a look at the database found of one agent. */
struct ql_sight {
    char id[81];
    bool is_there, is_ours; /* ours: of this uuid */
    char owner[QL_MEMBER_NAME_MAX + 1];
    int64_t generation, state, severity;
};

struct ql_sights {
    struct ql_sight *all;
    size_t count, room;
};

/** One look. Made on the loop, filled on the store thread. */
struct ql_beat {
    struct ql_leases *leases;
    char name[QL_MEMBER_NAME_MAX + 1];
    bool joins, spares;
    int64_t began_ns; /* CLOCK_BOOTTIME, before the database was asked */
    int64_t after;
    /* what came out */
    bool held;
    struct ql_member_list members;
    struct ql_err proof_err; /* code 0: all have our key */
    struct ql_sights sights;
    int64_t seen, outbox;
    bool has_gap, has_more;
};

/** A look at all agents. */
struct ql_survey {
    struct ql_leases *leases;
    struct ql_sights sights;
};
void ql_sights_done(struct ql_sights *s);

/** Prolong the lease, and see who is there and what was changed. `arg` is a struct ql_beat. */
int ql_beat_txn(struct ql_txn *t, void *arg, struct ql_err *err);
/** See whether others share this uuid: then proof_err names one. `arg` is a struct ql_beat. */
int ql_beat_alone_txn(struct ql_txn *t, void *arg, struct ql_err *err);
/** See all agents. `arg` is a struct ql_survey. */
int ql_survey_txn(struct ql_txn *t, void *arg, struct ql_err *err);
