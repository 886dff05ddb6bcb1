/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file scripts.h
 * Policy scripts by name: those that are bundled, and those that the configuration imports.
 *
 * Layer: plugin mboot.
 */
#pragma once
#include <stddef.h>

#include <quicklime/plugin.h>

enum {
    MB_SCRIPT_MAX = 1024 * 1024, /**< bytes of a script, as the host allows */
    MB_IMPORTS_MAX = 32          /**< imported scripts */
};

/** One script; its text is borrowed from the program or owned by mb_scripts. */
struct mb_script {
    const char *name; /**< without ending, `[a-z0-9-]{1,48}` */
    const char *text; /**< not NUL-terminated */
    size_t len;
};

/** Bundled scripts, made from policies/NAME.lua; name NULL at the end. */
extern const struct mb_script mb_bundled[];

struct mb_scripts {
    const struct ql_host *host;
    struct mb_script imported[MB_IMPORTS_MAX]; /**< text and name owned */
    size_t imported_count;
};

/**
 * Read the imports.
 * @param paths  item(arg, n) gives path number n, NULL past the end; each ends in .lua, and its file name is the policy's name
 * @retval QL_EIO @retval QL_ELIMIT @retval QL_EEXIST two of one name, or the name of a bundled one @retval QL_ERANGE name
 */
int mb_scripts_new(const struct ql_host *host, const char *(*item)(const void *arg, size_t n),
                   const void *arg, struct mb_scripts **ret, struct ql_err *err);
void mb_scripts_free(struct mb_scripts *s);
/** @return NULL: no such policy; @p s may be NULL: bundled ones only */
const struct mb_script *mb_scripts_find(const struct mb_scripts *s, const char *name);
/** Script number @p n, bundled ones first; NULL past the end. @p s may be NULL: bundled ones only */
const struct mb_script *mb_scripts_at(const struct mb_scripts *s, size_t n);
