/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file rpm.h
 * Digests of files out of the headers of RPM packages: no package is unpacked, installed or run, and librpm is not needed.
 * A header is taken at its word: whether a package is genuine is for its repository's signature.
 *
 * Layer: policy. Source: RPM package format (lead, signature header, header; versions 4 and 6).
 */
#pragma once
#include "draft.h"

enum {
    QL_RPM_HEADER_MAX = 256 * 1024 * 1024, /**< bytes of a header, as rpm itself has it */
    QL_RPM_FILES_MAX = 4 * 1024 * 1024     /**< files of a package */
};

/**
 * Add the files of one package.
 * @param data, len  the file's beginning, at least up to the end of its header
 * @retval QL_EPARSE no package, or cut short @retval QL_ELIMIT
 */
int ql_rpm_read(const uint8_t *data, size_t len, struct ql_draft *to, struct ql_err *err);
/**
 * Add the packages of a folder that has repodata/repomd.xml, and of the folders below it.
 * @param[out] bad  packages that could not be read; each is reported on standard error
 */
int ql_rpm_folder(const char *folder, struct ql_draft *to, size_t *bad, struct ql_err *err);
