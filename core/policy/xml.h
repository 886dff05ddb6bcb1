/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file xml.h
 * XML of strangers, read as a stream, plain or compressed: no document type, so no entities but XML's own five; bounded
 * nesting, bounded tokens.
 *
 * Layer: policy.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

enum {
    QL_XML_DEPTH_MAX = 32,
    QL_XML_TEXT_MAX = 16 * 1024,    /**< bytes of an element's text */
    QL_XML_TOKEN_MAX = 1024 * 1024, /**< bytes of a tag or of anything else that is looked at whole */
    QL_XML_NAME_MAX = 256           /**< bytes of an element's name with its name space */
};

/** What takes elements. A value below 0 stops reading and is its result. */
struct ql_xml_reader {
    /**
     * @param name   name space, a blank, local name
     * @param attrs  name, value, name, value … NULL
     * @param depth  1: the document's element
     * @param[out] wants_text  the text up to the first child or the end is kept for `end`
     */
    int (*start)(void *arg, const char *name, const char **attrs, unsigned depth, bool *wants_text,
                 struct ql_err *err);
    /** @param text NUL-terminated, "" unless it was wanted */
    int (*end)(void *arg, const char *name, unsigned depth, const char *text, struct ql_err *err);
};

/**
 * @param data, len  the document, or the same compressed in a way that ql_unpack() knows
 * @param max_len    limit of the document, bytes
 * @retval QL_EPARSE not well formed, damaged, or with a document type @retval QL_ELIMIT @retval QL_ENOMEM
 */
int ql_xml_read(const uint8_t *data, size_t len, uint64_t max_len, const struct ql_xml_reader *reader,
                void *arg, struct ql_err *err);
/** Value of an attribute without a name space; NULL: none. */
const char *ql_xml_attr(const char **attrs, const char *name);
