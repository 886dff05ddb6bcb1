/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file template.h
 * From the fields of a line to the bytes that the kernel hashed (the template data), and what the fields say.
 *
 * `ima`, `ima-ng`, `ima-sig` and `ima-buf` are read as Keylime reads them; `ima-ngv2`, `ima-sigv2`, `ima-modsig`, `evm-sig`
 * and field lists (`d-ng|n-ng|sig`) as the kernel writes them.
 *
 * Layer: plugin ima. Pure. Source: Linux security/integrity/ima/ima_template.c, ima_template_lib.c.
 */
#pragma once
#include <quicklime/plugin.h>

#include "line.h"

enum {
    IMA_FIELDS_MAX = 15, /**< fields of a template; the kernel's limit */
    IMA_FIELD_ID_MAX = 16,
    IMA_LEGACY_NAME = 255 /**< bytes of a name in template `ima` */
};

/** Which rules of a policy an entry falls under. */
enum ima_kind {
    IMA_KIND_FILE,   /**< digest alone */
    IMA_KIND_SIGNED, /**< a good signature is enough */
    IMA_KIND_BUFFER, /**< a key, device mapper data, or another buffer */
    IMA_KIND_MODSIG, /**< a second digest is as good */
    IMA_KIND_EVM     /**< an EVM portable signature is enough */
};

/** A digest field. */
struct ima_digest {
    struct ima_bytes alg;   /**< as the log names it */
    struct ima_bytes bytes; /**< in the template data */
    bool is_verity;         /**< of type "verity", not "ima" */
};

/** An entry that was understood. Pointers lie in the line or in the reader's memory: valid until the next entry is read. */
struct ima_entry {
    struct ima_columns columns;
    enum ima_kind kind;
    struct ima_digest digest, modsig_digest; /**< the latter without bytes: none */
    struct ima_bytes name;
    struct ima_bytes signature; /**< also an EVM signature; empty: none */
    struct ima_bytes buffer;
    struct ima_bytes xattr_names, xattr_lengths, xattr_values; /**< names without the closing NUL */
    uint32_t uid, gid;
    uint16_t mode;
    struct ima_bytes data; /**< template data */
};

/** Reads entries one after the other; holds the memory for the template data. */
struct ima_reader;

int ima_reader_new(const struct ql_host *host, struct ima_reader **ret, struct ql_err *err);
void ima_reader_free(struct ima_reader *r);

enum ima_read {
    IMA_READ_OK,
    IMA_READ_BAD, /**< not an entry: nothing of it can be hashed */
    IMA_READ_OPAQUE, /**< hashed, but without a digest and a name there is nothing to look up: only `data` and columns */
    IMA_READ_NOMEM
};
enum ima_read ima_entry_read(struct ima_reader *r, struct ima_bytes line, struct ima_entry *ret);
