/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file decompress.h
 * A compressed stream in memory, handed on piece by piece. The kind is told by its first bytes.
 *
 * Layer: policy. Which kinds are there depends on the libraries of the build.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

/** Takes unpacked bytes. @return 0, or what decompressing is to stop with */
typedef int (*ql_unpack_fn)(void *arg, const uint8_t *data, size_t len, struct ql_err *err);

/**
 * Unpack gzip, xz, zstd, bzip2, lz4 (both forms), lzop; what is none of these is tried as xz.
 * @param max_len limit of what comes out, bytes
 * @retval QL_EPARSE damaged @retval QL_ELIMIT @retval QL_EUNSUPPORTED the kind is not in this build
 */
int ql_unpack(const uint8_t *data, size_t len, uint64_t max_len, ql_unpack_fn fn, void *arg,
              struct ql_err *err);
