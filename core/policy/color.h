/* SPDX-License-Identifier: Apache-2.0 */
/** @file color.h  Colours for people at a terminal; none anywhere else. Layer: policy. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

enum ql_color {
    QL_COLOR_PLAIN,
    QL_COLOR_GOOD, /**< green */
    QL_COLOR_BAD,  /**< red, bold */
    QL_COLOR_WARN, /**< yellow */
    QL_COLOR_DIM
};

/**
 * @param when "auto" or NULL: where @p out is a terminal, TERM is not "dumb" and NO_COLOR is not set (or empty); "always"; "never"
 * @return 1, 0; -1: another word
 */
int ql_color_wanted(const char *when, FILE *out);
/** @return the sequence that begins a colour, "" without colours. PLAIN ends one. */
const char *ql_color(bool is_wanted, enum ql_color c);
