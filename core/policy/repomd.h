/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file repomd.h
 * The XML documents of an RPM repository: its index (repomd.xml), its packages (primary.xml), its files with digests
 * (filelists-ext.xml). All are foreign bytes.
 *
 * Layer: policy. Source: the formats that createrepo_c writes; name spaces http://linux.duke.edu/metadata/….
 */
#pragma once
#include "detached.h"
#include "draft.h"

enum {
    QL_REPOMD_HREF_MAX = 4096 /**< bytes of a reference */
};
#define QL_REPOMD_LEN_MAX   (UINT64_C(16) << 20) /**< bytes of a repomd.xml */
#define QL_REPODATA_LEN_MAX (UINT64_C(4) << 30)  /**< unpacked bytes of another document */

/** A document that repomd.xml lists. */
struct ql_repomd_data {
    char href[QL_REPOMD_HREF_MAX + 1]; /**< "": it is not listed */
    char algorithm[16];                /**< of the checksum, as the document names it */
    char checksum[129];                /**< hex, of the document as it is stored */
};

struct ql_repomd {
    struct ql_repomd_data primary, filelists_ext;
};

/** @retval QL_EPARSE no repomd.xml, or a kind listed twice @retval QL_ELIMIT */
int ql_repomd_read(const uint8_t *data, size_t len, struct ql_repomd *ret, struct ql_err *err);
/**
 * Has a stored document the checksum that repomd.xml has of it?
 * @retval QL_ECRYPTO no, or its algorithm is not one of sha256, sha384, sha512
 */
int ql_repomd_check(const struct ql_repomd_data *listed, const uint8_t *data, size_t len, struct ql_err *err);

/**
 * Is the index of a repository what its owner signed? Without a signature it is taken, with a warning on standard error, unless
 * a key is asked for.
 * @param place      of the repository, for what is said
 * @param key_file   the key that must have signed it; NULL: the one that lies beside the signature
 * @param index      repomd.xml
 * @param signature  repomd.xml.asc; its data NULL: there is none
 * @param key        repomd.xml.key; its data NULL: there is none
 * @retval QL_ECRYPTO it is not; the text names the place
 */
int ql_repomd_authentic(const char *place, const char *key_file, struct ql_span index,
                        struct ql_span signature, struct ql_span key, struct ql_err *err);

/**
 * Takes one package of primary.xml.
 * @param header_end  where its header ends, bytes; 0: the document does not say
 * @return QL_OK, or an error to stop with
 */
typedef int (*ql_repomd_package_fn)(void *arg, const char *href, uint64_t header_end, struct ql_err *err);

/** @param data, len primary.xml, plain or compressed */
int ql_primary_read(const uint8_t *data, size_t len, ql_repomd_package_fn fn, void *arg, struct ql_err *err);
/**
 * Add the files that have a digest.
 * @param data, len filelists-ext.xml, plain or compressed
 */
int ql_filelists_read(const uint8_t *data, size_t len, struct ql_draft *to, struct ql_err *err);
