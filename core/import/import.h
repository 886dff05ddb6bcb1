/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file import.h
 * Keylime's rows into ours (spec/server.md 13). All of it is read and made into rows first; then everything is written in
 * one transaction, or, in a rehearsal, written and rolled back. What is not taken is named.
 */
#pragma once
#include "agents.h"
#include "policies.h"
#include "registrations.h"
#include "source.h"

/** The schema that both of Keylime's databases must have: its migrations bring older ones there. */
#define QL_KEYLIME_SCHEMA "a59cc9366774"

enum {
    QL_IMPORT_AGENTS_MAX = 1000000,
    QL_IMPORT_TEXT_MAX = 256 * 1024, /**< bytes of a text column */
    QL_IMPORT_BYTES_MAX = 64 * 1024  /**< bytes of a decoded key or certificate */
};

/** A policy and its number in Keylime's table. */
struct ql_imported_policy {
    int64_t number;
    struct ql_policy_row row;
    bool is_judged;  /**< it has to be compared with */
    char digest[65]; /**< hex SHA-256 of the content */
    bool is_there;   /**< of the transaction: ours has it now */
};

struct ql_imported_agent {
    struct ql_agent_row row;
    const struct ql_imported_policy *runtime, *mb; /**< NULL: none */
};

struct ql_import {
    const struct ql_seal *seal;
    bool is_rehearsal;

    struct ql_imported_policy *policies; /**< runtime ones first, then measured boot */
    size_t policy_count, runtime_count;
    struct ql_imported_agent *agents;
    size_t agent_count;
    struct ql_registration *registrations;
    size_t registration_count;

    size_t agents_seen, runtime_seen, mb_seen, registrations_seen; /**< rows of Keylime's tables */
    size_t agents_taken, runtime_taken, mb_taken, registrations_taken, there_already;

    char **left; /**< what is not taken, and why: one line each */
    size_t left_count, left_room;
    size_t left_read; /**< of these, found while reading */
    bool is_complete; /**< the transaction came to its end */
};

void ql_import_done(struct ql_import *g);
/** Note something that is not taken. */
int ql_import_leave(struct ql_import *g, struct ql_err *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** Read a verifier's database. @param seal  for V and revocation keys */
int ql_import_read_verifier(struct ql_source *s, struct ql_import *g, struct ql_err *err);
int ql_import_read_registrar(struct ql_source *s, struct ql_import *g, struct ql_err *err);
/** Transactions; `arg` is the struct ql_import. In a rehearsal they fail with QL_ECLOSED when all went well. */
int ql_import_write_verifier(struct ql_txn *t, void *arg, struct ql_err *err);
int ql_import_write_registrar(struct ql_txn *t, void *arg, struct ql_err *err);

/* ---- cell.c: values as they stand in Keylime's rows ---- */

bool ql_cell_is(const struct ql_cell *c, const char *text);
/** A text without NUL, UTF-8, at most QL_IMPORT_TEXT_MAX bytes; null stays NULL. New. @retval QL_EPARSE */
int ql_cell_text(const struct ql_cell *c, char **ret, struct ql_err *err);
/** The same for JSON. */
int ql_cell_json(const struct ql_cell *c, char **ret, struct ql_err *err);
/** Null: @p absent. Booleans of all servers count as 0 and 1. */
int ql_cell_int(const struct ql_cell *c, int64_t absent, int64_t *ret, struct ql_err *err);
/** Base64, null or empty: NULL. New. */
int ql_cell_base64(const struct ql_cell *c, uint8_t **ret, size_t *ret_len, struct ql_err *err);
/** A certificate as PEM, base64 of DER, or hex of DER (rows of releases before 7.12): DER. New. */
int ql_cell_cert(const struct ql_cell *c, uint8_t **ret, size_t *ret_len, struct ql_err *err);

/** `quicklime-tenant import-db`; argv[0] is that word. @return exit code */
int ql_import_main(int argc, char **argv);
