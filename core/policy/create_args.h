/* SPDX-License-Identifier: Apache-2.0 */
/** @file create_args.h  What `create runtime` is asked for, in the flags of today and in those of the older tool. Layer: policy. */
#pragma once
#include <stdbool.h>

#include "tool.h"

#define QL_KERNEL_LIST "/sys/kernel/security/ima/ascii_runtime_measurements"

/** Texts are those of the command line, or NULL; ql_create_args_done(). */
struct ql_create_args {
    const char *output, *base, *allowlist, *excludelist, *list, *rootfs, *ramdisk, *algorithm;
    const char *rpms, *debs;       /**< folders of packages */
    const char *rpm_url, *rpm_key; /**< a repository on a server, and who must have signed repositories */
    const char *ca_file;
    bool keyrings, buffers, legacy, verbose, all_segments, no_hashes;
    unsigned threads, workers; /**< 0: as many as is usual */
    struct ql_tool_list ignored, keys;
    char *skips[QL_TOOL_LIST_MAX + 1]; /**< NULL at the end; they point into `skip_text` */
    char *skip_text;
};

/**
 * Read a command line.
 * @param is_old    the older tool's flags
 * @param[in,out] a  presets
 * @return -1 to go on, else the exit code: help was printed, or what is wrong
 */
int ql_create_args_read(struct ql_create_args *a, bool is_old, int argc, char **argv);
void ql_create_args_done(struct ql_create_args *a);
