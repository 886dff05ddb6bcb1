/* SPDX-License-Identifier: Apache-2.0 */
/** @file frame_parts.h  What frame.c (building, reading) and frame_socket.c (sending, receiving) share; private to them. */
#pragma once
#include "frame.h"

/*
 * On the socket, all big-endian:
 *   u8 version | u8 kind | u16 items | u16 descriptors | u16 0 | u64 job
 *   per item: u16 tag | u8 form | u8 0 | u32 length | bytes (form 0) or nothing (form 1: next descriptor)
 */
enum {
    QL_FRAME_HEAD_LEN = 16,
    QL_FRAME_ITEM_HEAD_LEN = 8,
    QL_FRAME_MESSAGE_MAX =
        QL_FRAME_HEAD_LEN + QL_FRAME_ITEMS_MAX * QL_FRAME_ITEM_HEAD_LEN + QL_FRAME_INLINE_MAX,
    QL_FRAME_FORM_INLINE = 0,
    QL_FRAME_FORM_FD = 1
};

/** Storage of item bytes. Never moves, so items may point into it. */
struct ql_frame_chunk {
    struct ql_frame_chunk *next;
    size_t used, room;
    uint8_t bytes[];
};

struct ql_frame_backing {
    struct ql_frame_chunk *chunks;
    uint64_t mapped[QL_FRAME_ITEMS_MAX / 64]; /* bit n: the bytes of item n are a mapping */
    size_t inline_len;                        /* of all inline items */
    size_t fd_count;
    int failed; /* code of the first failed add: a frame with a hole is never sent */
};

/** Room for @p len bytes in the frame's storage. @return NULL: no memory */
uint8_t *ql_frame_store(struct ql_frame_backing *b, size_t len);
/**
 * Parse a message that lies in the storage of @p f, which is empty. On success the frame owns @p fds; on failure they
 * stay the caller's.
 */
int ql_frame_parse_stored(struct ql_frame *f, const uint8_t *data, size_t len, const int *fds,
                          size_t fd_count, struct ql_err *err);
