/* SPDX-License-Identifier: Apache-2.0 */
/** @file confine.h  What a process that reads a foreign archive gives up. */
#pragma once
#include <stdint.h>

#include <quicklime/error.h>

/**
 * No new rights, no core file, no further process, limits on memory, time, descriptors and size of a file; with Landlock
 * (Linux 5.13 and later; without it, less) no file but those below a folder, and no TCP.
 * @param dir  descriptor of the folder; borrowed @param bytes_max  of a file
 */
int ql_confine(int dir, uint64_t bytes_max, struct ql_err *err);
