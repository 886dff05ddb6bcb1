/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file draft.h
 * A runtime policy while it is made or compared: what its JSON says, in memory; written in Python's spelling, in the order
 * that Keylime's tools write.
 *
 * Layer: policy.
 */
#pragma once
#include <jansson.h>
#include <stdio.h>

#include <quicklime/error.h>

#include "names.h"

enum {
    QL_DRAFT_TEXT_MAX = 256 * 1024 * 1024, /**< bytes of a policy's text */
    QL_DRAFT_GENERATOR = 3                 /**< what all current tools write */
};

struct ql_draft {
    struct ql_names digests, keyrings, buffers;
    struct ql_names excludes, ignored; /**< names alone, in order */
    const json_t *more_excludes; /**< list of texts written behind `excludes`, repeated ones too; borrowed */
    char log_hash[16];
    char *keys; /**< "verification-keys", NULL: "" */
    int generator;
};

void ql_draft_init(struct ql_draft *d);
void ql_draft_done(struct ql_draft *d);
/**
 * Take what a policy says: digests, excludes, keyrings, ima-buf, log_hash_alg, ignored_keyrings, verification-keys.
 * @param text a policy; that its form is right was checked before, or is checked when the result is
 */
int ql_draft_read(struct ql_draft *d, const uint8_t *text, size_t len, struct ql_err *err);
/** Sort and drop what is repeated in all lists. */
int ql_draft_tidy(struct ql_draft *d);
/** Write JSON without a final newline. @param timestamp local time, or NULL: none */
int ql_draft_write(const struct ql_draft *d, const char *timestamp, FILE *out);
/** As lines `digest  path`, boot_aggregate first. */
void ql_draft_write_legacy(const struct ql_draft *d, FILE *out);
/** "2026-01-02 03:04:05.678901", local. @param out room for 40 */
void ql_draft_timestamp(char out[40]);
/** A text as JSON writes it, ASCII alone; bytes that are no UTF-8 as lone surrogates. */
void ql_draft_write_text(const uint8_t *s, size_t len, FILE *out);
/**
 * Add public keys of files (certificates, public or private keys) to keyring text.
 * @param[in,out] keys  NULL or text; replaced
 * @return how many could not be read; they are reported on standard error. Negative: QL_E…
 */
int ql_draft_add_keys(char **keys, const char *const *files, size_t count, struct ql_err *err);
