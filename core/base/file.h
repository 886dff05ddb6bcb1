/* SPDX-License-Identifier: Apache-2.0 */
/** @file file.h  Whole files, read under a limit and written atomically. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <quicklime/error.h>

/**
 * Read a whole file (or pipe, or securityfs file: st_size is not trusted).
 * @param max_len  limit in bytes
 * @param[out] ret contents followed by a NUL, caller frees
 * @retval QL_ENOTFOUND @retval QL_EACCES @retval QL_ELIMIT @retval QL_EIO
 */
int ql_file_read(const char *path, size_t max_len, uint8_t **ret, size_t *ret_len, struct ql_err *err);
/** Write by a temporary file in the same folder (O_EXCL, @p mode), fsync, rename, fsync of the folder. */
int ql_file_write(const char *path, mode_t mode, const void *data, size_t len, struct ql_err *err);
/** Make a folder and its missing parents with @p mode; an existing folder is fine, a link or file is not. */
int ql_dir_make(const char *path, mode_t mode, struct ql_err *err);
/** "DIR/NAME" in new memory, or NAME alone when absolute; caller frees; NULL: no memory. */
char *ql_path_join(const char *dir, const char *name);
/** Lock the state folder (flock on DIR/lock). @param[out] ret_fd keep open. @retval QL_EEXIST another process has it */
int ql_state_dir_lock(const char *dir, int *ret_fd, struct ql_err *err);
