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
 * How long the beginning of a package is that ql_rpm_read() needs.
 * @param data, len  what is there of it
 * @return bytes; more than @p len: at least so many must be there before more can be told. 0: no package, or above the limit
 */
size_t ql_rpm_need(const uint8_t *data, size_t len);
/** Add one file, blanks in its path as the kernel has them in its list; without a digest (%ghost, empty) it is left out. */
int ql_rpm_add_file(struct ql_draft *to, const char *dir, size_t dir_len, const char *base, size_t base_len,
                    const char *hex, size_t hex_len, struct ql_err *err);

/** How repositories are read. */
struct ql_rpm_rules {
    const char *
        key; /**< file with the key that must have signed the index; NULL: the one beside the signature, if any */
    const char *ca_file; /**< CAs of the server, PEM; NULL: the system's */
    unsigned workers;    /**< packages at a time; 0: 8 */
    bool shows_progress;
};

/**
 * Add the packages of a folder that has repodata/repomd.xml, and of the folders below it. The signature of repomd.xml is checked
 * if it has one; that does not cover the packages.
 * @param[out] bad  packages that could not be read; each is reported on standard error
 * @retval QL_ECRYPTO a signature is not good, or there is none and a key was given
 */
int ql_rpm_folder(const char *folder, const struct ql_rpm_rules *rules, struct ql_draft *to, size_t *bad,
                  struct ql_err *err);
