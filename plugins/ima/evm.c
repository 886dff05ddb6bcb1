/* SPDX-License-Identifier: Apache-2.0 */
#include "evm.h"

#include <stdlib.h>
#include <string.h>

enum {
    TYPE_DIGEST = 1, /* of security.ima: SHA-1 follows */
    TYPE_SIGNATURE = 3,
    TYPE_DIGEST_NG = 4, /* of security.ima: hash id and digest follow */
    TYPE_EVM = 5,
    TYPE_VERITY = 6,
    MISC_LEN = 24 /* bytes of a file's attributes as a 64-bit kernel hashes them */
};

/* The kernel's numbers for hashes. */
static const struct {
    uint8_t id;
    enum ima_alg alg;
} IDS[] = {{1, IMA_MD5},    {2, IMA_SHA1},   {4, IMA_SHA256}, {5, IMA_SHA384},
           {6, IMA_SHA512}, {7, IMA_SHA224}, {17, IMA_SM3}};

static bool alg_by_id(uint8_t id, enum ima_alg *ret)
{
    for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++)
        if (IDS[i].id == id) {
            *ret = IDS[i].alg;
            return true;
        }
    return false;
}

static void set_made(struct ima_signed *s, enum ima_alg alg)
{
    s->alg = ima_alg_name(alg);
    s->alg_len = strlen(s->alg);
    s->digest = s->made;
    s->digest_len = ima_alg_len(alg);
}

/* Version 3: over the hash of type, hash id and fs-verity digest. */
static bool verity_value(struct ima_hasher *h, const struct ima_entry *e, struct ima_signed *s)
{
    uint8_t id[2 + IMA_HASH_MAX] = {TYPE_VERITY, s->signature.hash_id};
    enum ima_alg alg, named;

    if (s->signature.version != 3 || !e->digest.is_verity || !alg_by_id(s->signature.hash_id, &alg) ||
        !ima_alg_by_name(e->digest.alg.at, e->digest.alg.len, &named) || named != alg ||
        e->digest.bytes.len != ima_alg_len(alg))
        return false;
    memcpy(id + 2, e->digest.bytes.at, e->digest.bytes.len);
    if (!ima_hash(h, alg, id, 2 + e->digest.bytes.len, s->made))
        return false;
    set_made(s, alg);
    s->signature.type = TYPE_SIGNATURE;
    s->signature.version = 2;
    return true;
}

static uint32_t u32_at(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The attribute security.ima must hold the digest of this entry: only so do attributes and contents belong together. */
static bool holds_digest(struct ima_bytes value, const struct ima_digest *d)
{
    enum ima_alg alg, named;
    size_t at;

    if (value.len < 2 || !ima_alg_by_name(d->alg.at, d->alg.len, &named))
        return false;
    if (value.at[0] == TYPE_DIGEST) {
        alg = IMA_SHA1;
        at = 1;
    } else if (value.at[0] == TYPE_DIGEST_NG && alg_by_id(value.at[1], &alg)) {
        at = 2;
    } else {
        return false;
    }
    return alg == named && value.len - at == d->bytes.len && d->bytes.len == ima_alg_len(alg) &&
           memcmp(value.at + at, d->bytes.at, d->bytes.len) == 0;
}

/* Do names, lengths and values agree, and is security.ima right? */
static bool xattrs_ok(const struct ima_entry *e)
{
    struct ima_bytes names = e->xattr_names, lengths = e->xattr_lengths, values = e->xattr_values;
    bool found = false;

    for (;;) {
        const uint8_t *bar = names.len > 0 ? memchr(names.at, '|', names.len) : NULL;
        const struct ima_bytes name = {names.at, bar ? (size_t)(bar - names.at) : names.len};
        struct ima_bytes value;

        if (lengths.len < 4 || u32_at(lengths.at) > values.len)
            return false;
        value = (struct ima_bytes){values.at, u32_at(lengths.at)};
        if (ima_bytes_are(name, "security.ima")) {
            if (found || !holds_digest(value, &e->digest))
                return false;
            found = true;
        }
        lengths.at += 4;
        lengths.len -= 4;
        values.at += value.len;
        values.len -= value.len;
        if (!bar)
            break;
        names.at += name.len + 1;
        names.len -= name.len + 1;
    }
    return found && lengths.len == 0 && values.len == 0;
}

static void put_le(uint8_t *at, uint32_t v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

/* Portable: inode, generation and file system play no part. */
static bool evm_value(struct ima_hasher *h, const struct ima_entry *e, struct ima_signed *s)
{
    uint8_t *bytes;
    enum ima_alg alg;
    bool ok;

    if (s->signature.type != TYPE_EVM || !alg_by_id(s->signature.hash_id, &alg) || !xattrs_ok(e))
        return false;
    bytes = calloc(1, e->xattr_values.len + MISC_LEN);
    if (!bytes)
        return false;
    memcpy(bytes, e->xattr_values.at, e->xattr_values.len);
    put_le(bytes + e->xattr_values.len + 12, e->uid, 4);
    put_le(bytes + e->xattr_values.len + 16, e->gid, 4);
    put_le(bytes + e->xattr_values.len + 20, e->mode, 2);
    ok = ima_hash(h, alg, bytes, e->xattr_values.len + MISC_LEN, s->made);
    free(bytes);
    set_made(s, alg);
    return ok;
}

bool ima_signed_of(struct ima_hasher *h, const struct ima_entry *e, struct ima_signed *ret)
{
    if (e->signature.len == 0 || !ima_signature_read(e->signature.at, e->signature.len, &ret->signature))
        return false;
    if (e->kind == IMA_KIND_EVM)
        return evm_value(h, e, ret);
    if (ret->signature.type == TYPE_VERITY)
        return verity_value(h, e, ret);
    if (e->digest.is_verity)
        return false; /* a plain signature is over a file's bytes */
    ret->alg = (const char *)e->digest.alg.at;
    ret->alg_len = e->digest.alg.len;
    ret->digest = e->digest.bytes.at;
    ret->digest_len = e->digest.bytes.len;
    return true;
}
