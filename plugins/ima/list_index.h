/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file list_index.h
 * Where the entries of a growing list begin: an offset for every 64th, so that one of millions is found by reading a few KiB.
 * Entries are complete lines; what stands behind the last line feed is not there yet.
 *
 * Layer: plugin ima.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include <quicklime/plugin.h>

enum {
    IMA_INDEX_STEP = 64,   /**< entries to an offset: 1/8 byte an entry */
    IMA_CHUNK = 64 * 1024, /**< bytes read at a time */
    IMA_TAIL_MAX = 256     /**< bytes of the last entry that are kept to recognise the list */
};

struct ima_index {
    const struct ql_host *host;
    uint64_t *offsets; /* of entries 0, 64, 128, … */
    size_t room;
    uint64_t count; /**< entries */
    uint64_t end;   /**< behind the last entry */
    uint8_t tail[IMA_TAIL_MAX];
    size_t tail_len; /**< bytes before `end` that `tail` holds */
};

void ima_index_init(struct ima_index *x, const struct ql_host *host);
void ima_index_done(struct ima_index *x);
/**
 * Bring up to date with the file: entries were added, or it is another list (shorter, or with other bytes before the end known
 * so far): then it is read from its start.
 * @param chunk IMA_CHUNK bytes to work in
 * @param[out] is_new true: another list than before
 * @retval QL_EIO @retval QL_ENOMEM
 */
int ima_index_update(struct ima_index *x, int fd, uint8_t *chunk, bool *is_new, struct ql_err *err);
/**
 * Offset of entry @p n, at most `count`.
 * @retval QL_EIO @retval QL_EAGAIN the list is shorter than it was
 */
int ima_index_find(const struct ima_index *x, int fd, uint64_t n, uint8_t *chunk, uint64_t *ret,
                   struct ql_err *err);
/** pread() that goes on after a signal. @return bytes, 0: end, -1: errno */
ssize_t ima_read_at(int fd, void *to, size_t len, uint64_t at);
