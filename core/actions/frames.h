/* SPDX-License-Identifier: Apache-2.0 */
/** @file frames.h  Frames over a blocking stream socket: u32be length, then JSON. For processes that serve one other. */
#pragma once
#include <stddef.h>

/**
 * Read one.
 * @param[out] ret  its text and a NUL, caller frees
 * @return 1: read, 0: the socket was closed, -1: broken, or longer than @p max_len
 */
int ql_frame_read(int sock, size_t max_len, char **ret, size_t *ret_len);
/** @return 0, -1: broken */
int ql_frame_write(int sock, const char *text);
