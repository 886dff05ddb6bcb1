/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file siglist.h
 * EFI signature lists: the value of PK, KEK, db and dbx. Source: UEFI specification, "EFI_SIGNATURE_LIST".
 *
 * Layer: plugin mboot. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/**
 * Are these bytes whole signature lists, one after the other, with at most MB_SIGNATURES_MAX entries?
 * @return NULL: yes; else what is wrong, a text without object
 */
const char *mb_siglist_check(const uint8_t *data, size_t len);

/** One list, as it stands in the log; pointers lead into it. */
struct mb_siglist {
    const uint8_t *type;    /**< GUID */
    const uint8_t *entries; /**< each the owner's GUID, then the signature's data */
    size_t entry_len;       /**< bytes of an entry, at least 16 */
    size_t count;           /**< entries */
};

/**
 * The first list of some bytes; the bytes behind it are left.
 * @return false: none is left, or not a whole one, which mb_siglist_check() rules out
 */
bool mb_siglist_next(const uint8_t **data, size_t *len, struct mb_siglist *ret);

/**
 * [{SignatureType, SignatureListSize, SignatureHeaderSize, SignatureSize, Keys: [{SignatureOwner, SignatureData}]}].
 * Without bytes: null; a list without entries has null for Keys.
 * @param data passed mb_siglist_check()
 * @return NULL: no memory
 */
json_t *mb_siglist_json(const uint8_t *data, size_t len);

/** {SignatureOwner, SignatureData} of one entry, @p len at least 16. @return NULL: no memory */
json_t *mb_signature_json(const uint8_t *data, size_t len);
