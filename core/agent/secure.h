/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file secure.h
 * The folder that payloads are decrypted into: a tmpfs at keylime_dir/secure (spec/agent.md 1.2), so that no secret
 * reaches a disk. Opened while the agent is still root.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <quicklime/error.h>

/** What is wanted. */
struct ql_secure_config {
    const char *path; /**< absolute */
    const char *size; /**< secure_size */
    bool is_insecure; /**< enable_insecure_storage: nothing is mounted, a plain folder will do */
    uid_t uid;        /**< who the agent will be */
    gid_t gid;        /**< its group, or the one that may read payloads */
    bool for_group;   /**< that group may read; files made inside belong to it */
};

/** What there is. */
struct ql_secure {
    char *path;         /**< owned */
    dev_t device;       /**< of the file system that was mounted */
    uint64_t bytes_max; /**< secure_size in bytes */
    bool is_tmpfs;
    bool is_mine; /**< mounted by this process, which unmounts it */
};

/**
 * Bytes of a secure_size: digits, with k, m, g (powers of 1024) or % (of the memory) behind them, either case.
 * @retval QL_EPARSE @retval QL_ERANGE below 64 KiB or more than the memory
 */
int ql_secure_size(const char *text, uint64_t *ret, struct ql_err *err);
/**
 * Make the folder, mount a tmpfs on it unless one is mounted there, and give it to its user with mode 0700 (2750 for a
 * group).
 * @param[out] ret  ql_secure_close()
 * @retval QL_EACCES  may not be mounted; a link; somebody else's folder; another file system is mounted there
 * @retval QL_EPARSE @retval QL_ERANGE size
 */
int ql_secure_open(const struct ql_secure_config *config, struct ql_secure *ret, struct ql_err *err);
/** Unmount what was mounted, if this process still may, and free. @return false: it stays mounted */
bool ql_secure_close(struct ql_secure *s);
