/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file error.h
 * Result codes and the error text that travels with them, on both sides of the plugin line.
 *
 * Contract: plugin author's guide, "Common rules": functions return 0 or a negative QL_E… code, write their
 * results only on success, and describe a failure in a struct ql_err for an operator to read.
 */
#pragma once
#include <stdint.h>

/** Result of a call: 0, or one of these. Values never change; new ones are only added. */
enum ql_code {
    QL_OK = 0,
    QL_EPARSE = -1,        /**< foreign bytes do not have the form they must have */
    QL_ERANGE = -2,        /**< a value is well formed but outside what is allowed */
    QL_ELIMIT = -3,        /**< something is larger, longer or deeper than its stated limit */
    QL_ENOMEM = -4,        /**< no memory, or the plugin's allowance is used up */
    QL_ENOTFOUND = -5,     /**< what was named does not exist */
    QL_EEXIST = -6,        /**< it exists already */
    QL_EACCES = -7,        /**< rights are missing */
    QL_EIO = -8,           /**< reading, writing or connecting failed */
    QL_ETIMEOUT = -9,      /**< the deadline passed */
    QL_EAGAIN = -10,       /**< may work when repeated (deadlock, connection lost, busy) */
    QL_ECONFLICT = -11,    /**< a condition asked for (`only_if`) does not hold */
    QL_EFULL = -12,        /**< no room: disk, quota, queue */
    QL_ECORRUPT = -13,     /**< stored data is damaged: stop, keep the file */
    QL_EUNSUPPORTED = -14, /**< known but not offered here (algorithm, version, server) */
    QL_ECRYPTO = -15,      /**< a signature, tag, digest or key does not verify */
    QL_EABI = -16,         /**< a plugin was built for another ABI */
    QL_ECLOSED = -17,      /**< the peer went away */
    QL_EINTERNAL = -18     /**< a fault of our own, independent of input */
};

/**
 * What went wrong, in words fit for an operator: what, where, and with what limit. Never a secret.
 * The caller provides it (usually on its stack) and may pass NULL instead where a function takes one.
 */
struct ql_err {
    uint32_t size;  /**< sizeof(struct ql_err) of whoever made it; see QL_ERR_INIT */
    int32_t code;   /**< a value of enum ql_code; 0 while nothing failed */
    char text[504]; /**< UTF-8, one line, ends in NUL */
};

#define QL_ERR_INIT                                                                                          \
    {                                                                                                        \
        .size = sizeof(struct ql_err)                                                                        \
    }
