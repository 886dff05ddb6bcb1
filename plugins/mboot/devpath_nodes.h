/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file devpath_nodes.h
 * Private to devpath: the forms of nodes, shared between the files that hold them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"

enum {
    MB_NODE_ANY = -1 /**< in a table: every other subtype */
};

/** One node's contents. */
struct mb_node {
    uint8_t type, subtype;
    const uint8_t *data;
    size_t len;
};

/** One form. A node shorter than its form is shown as hex of its bytes. Within a table, MB_NODE_ANY comes last. */
struct mb_node_form {
    int16_t subtype;
    uint8_t shortest; /**< bytes of data */
    /** @return false: the path cannot be shown as text */
    bool (*text)(struct mb_text *t, const struct mb_node *n);
};

/** Forms of type 3, messaging: buses and networks. Ends with MB_NODE_ANY. */
extern const struct mb_node_form mb_message_forms[];

/** Text that should end in NUL. */
void mb_node_string(struct mb_text *t, const uint8_t *p, size_t len);
/** UTF-16 text up to its NUL or, without one, but for its last character. @return false: a character is outside ASCII */
bool mb_node_ucs2(struct mb_text *t, const uint8_t *p, size_t units);
/** "NAME(12345678-…[,hex])" */
void mb_node_vendor(struct mb_text *t, const char *name, const struct mb_node *n);
/** "NAME(SUBTYPE,hex)" of the first @p len bytes */
void mb_node_other(struct mb_text *t, const char *name, const struct mb_node *n, size_t len);
