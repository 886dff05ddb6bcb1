/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file bundle.h
 * A ZIP archive in memory: what a node is sent (spec/server.md 11.4). Entries are stored, not deflated, have no times and
 * keep their order, so that the same files give the same bytes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "cleanup.h"
#include "secret.h"

enum {
    QL_BUNDLE_MAX =
        2 * 1024 * 1024,         /**< bytes of an archive, and of all files that go in; agents take no more */
    QL_BUNDLE_ENTRIES_MAX = 1024 /**< as agents take */
};

struct ql_bundle;

int ql_bundle_new(struct ql_bundle **ret, struct ql_err *err);
/**
 * Add a file by its base name.
 * @param executable  for its owner, as agents unpack it
 * @retval QL_EEXIST the name is there @retval QL_ERANGE no base name, or one with control characters @retval QL_ELIMIT
 */
int ql_bundle_add(struct ql_bundle *b, const char *name, const void *data, size_t len, bool executable,
                  struct ql_err *err);
/**
 * Add the regular files of a folder (flat, by name; folders in it are passed over, so are links to folders), or those of a ZIP
 * archive, by their base names.
 * @param[out] count  files added
 * @retval QL_ENOTFOUND nothing is there
 */
int ql_bundle_include(struct ql_bundle *b, const char *path, size_t *count, struct ql_err *err);
/** Close the archive. @param[out] ret its bytes, caller frees; @p b takes nothing any more */
int ql_bundle_end(struct ql_bundle *b, struct ql_secret **ret, struct ql_err *err);
void ql_bundle_free(struct ql_bundle *b);
QL_DEFINE_CLEANUP(struct ql_bundle, ql_bundle_free)
