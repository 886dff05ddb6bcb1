/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file rpm_remote.h
 * Digests of files out of an RPM repository on a web server. Its index is checked by a signature, the documents that the index
 * lists by their checksums; the headers of packages are taken as the server gives them.
 *
 * Layer: policy. Source: spec ima 12.2.
 */
#pragma once
#include "rpm.h"

/**
 * Add the files of a repository.
 * @param url   http or https, of the folder that has repodata/
 * @param[out] bad   packages that could not be read; each is reported on standard error
 * @retval QL_ECRYPTO a signature or checksum is not good, or there is no signature and a key was given
 * @retval QL_ENOTFOUND there is no repository @retval QL_EIO @retval QL_EPARSE @retval QL_ELIMIT
 */
int ql_rpm_remote(const char *url, const struct ql_rpm_rules *rules, struct ql_draft *to, size_t *bad,
                  struct ql_err *err);
