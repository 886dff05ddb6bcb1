/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file unpack.h
 * A payload's ZIP archive into a folder (spec/agent.md 5.4): files and folders alone, nothing outside the folder, all
 * within limits. The archive comes from whoever passed as a tenant, so it is read in a process of its own,
 * quicklime-unpack (unpack_main.c).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

enum {
    QL_UNPACK_ARCHIVE_MAX = 2 * 1024 * 1024, /**< bytes of an archive: no payload is larger */
    QL_UNPACK_ENTRIES_MAX = 1024,    /**< files and folders: a node's certificates and scripts, and room */
    QL_UNPACK_NAME_MAX = 512,        /**< bytes of an entry's name, with its folders */
    QL_UNPACK_DEPTH_MAX = 16,        /**< folders above a file */
    QL_UNPACK_RATIO_MAX = 200,       /**< bytes written for each byte of the archive; text packs 10 to 1 */
    QL_UNPACK_RATIO_FREE = 64 * 1024 /**< bytes that are not counted for that: a small file of one letter */
};

struct ql_unpack_config {
    uint64_t bytes_max; /**< all files together, counted as they are written */
    bool for_group;     /**< files and folders are readable for their group, too */
};

/** What came out. */
struct ql_unpack_count {
    size_t files, folders;
    uint64_t bytes;
};

/** @return true when it begins as a ZIP archive with entries does */
bool ql_unpack_is_zip(const void *data, size_t len);
/**
 * Unpack into a folder that holds nothing which the archive names. Files get mode 0600, those that the archive makes
 * executable for their owner 0700, folders 0700. What was written before a failure stays: the caller removes the folder.
 * @param dir  descriptor of the folder; borrowed
 * @retval QL_EPARSE  no ZIP archive, damaged, or of a kind that is not read (encrypted, packed otherwise)
 * @retval QL_EACCES  an entry that is neither file nor folder, or a name that is refused
 * @retval QL_EEXIST  a name twice
 * @retval QL_ELIMIT  which limit @retval QL_EFULL no room in the folder @retval QL_EIO
 */
int ql_unpack(const void *data, size_t len, int dir, const struct ql_unpack_config *config,
              struct ql_unpack_count *ret, struct ql_err *err);
