/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file deb.h
 * Digests of files out of Debian packages: what data.tar holds is hashed as it streams by. The MD5 sums that packages carry are
 * not used, and nothing is unpacked to disk, installed or run. Whether a package is genuine is for its repository's signature.
 *
 * Layer: policy. Source: deb(5); Debian's merged /usr for the second names.
 */
#pragma once
#include "draft.h"

enum {
    QL_DEB_FILES_MAX = 1024 * 1024 /**< files of a package */
};
#define QL_DEB_BYTES_MAX (UINT64_C(64) * 1024 * 1024 * 1024) /**< unpacked bytes of a package */

/**
 * Add the regular files of one package; nothing of a package that cannot be read to its end. A file below /bin, /sbin or /lib* is
 * added below /usr as well, which is where the kernel sees it when these are links.
 * @param fd         the package, at its beginning; stays the caller's
 * @param algorithm  one of ql_policy_algorithms
 * @retval QL_EPARSE no package, damaged or cut short @retval QL_ELIMIT
 */
int ql_deb_read(int fd, const char *algorithm, struct ql_draft *to, struct ql_err *err);

/** How a folder is read. */
struct ql_deb_rules {
    const char *algorithm;
    unsigned threads; /**< 0: one a processor */
    bool shows_progress;
};
/**
 * Add all `.deb` files below a folder.
 * @param[out] bad  packages that could not be read; each is reported on standard error
 * @retval QL_ENOTFOUND there are no packages
 */
int ql_deb_folder(const char *folder, const struct ql_deb_rules *rules, struct ql_draft *to, size_t *bad,
                  struct ql_err *err);
