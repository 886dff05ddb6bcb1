/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file initramfs.h
 * Files of an initramfs image, hashed as they come out of the stream; nothing is written anywhere.
 *
 * An image is one or more cpio archives (newc), plain ones in front, the last one usually compressed. As the kernel's
 * first archives hold microcode, the last one counts unless all are asked for.
 *
 * Layer: policy. Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
 */
#pragma once
#include <stdbool.h>

#include "draft.h"

enum {
    QL_INITRAMFS_NAME_MAX = 4096,              /**< bytes of a name */
    QL_INITRAMFS_ENTRIES_MAX = 2000000,        /**< entries of an image */
    QL_INITRAMFS_FILE_MAX = 1024 * 1024 * 1024 /**< bytes of an image as it is on disk */
};
#define QL_INITRAMFS_UNPACKED_MAX (UINT64_C(4) << 30) /**< bytes of what is in it */

/**
 * Add the regular files of an image.
 * @retval QL_EPARSE neither an archive nor a compressed one, damaged or cut short @retval QL_ELIMIT
 */
int ql_initramfs_read(const uint8_t *image, size_t len, const char *algorithm, bool all_segments,
                      struct ql_draft *to, struct ql_err *err);
/** All files of a folder whose names begin with "initr"; what is no image is reported and passed over. */
int ql_initramfs_folder(const char *folder, const char *algorithm, bool all_segments, struct ql_draft *to,
                        struct ql_err *err);
