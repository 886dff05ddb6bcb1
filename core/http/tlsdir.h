/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file tlsdir.h
 * From the options tls_dir, *_key, *_cert, trusted_*_ca to absolute paths (spec/server.md 11.5), for all programs alike.
 */
#pragma once
#include "config.h"
#include "tls.h"

enum {
    QL_TLS_CA_MAX = 16 /**< files of one trusted_*_ca list */
};

/** Which of the two roles a program's options describe. */
enum ql_tls_role {
    QL_TLS_SERVER,
    QL_TLS_CLIENT
};

/** Absolute paths; owned: ql_tls_paths_done(). */
struct ql_tls_paths {
    char *dir; /**< tls_dir */
    char *cert, *key;
    char *ca[QL_TLS_CA_MAX + 1];    /**< NULL at the end */
    struct ql_secret *key_password; /**< NULL: none */
};

/**
 * Resolve the options of a configuration group.
 * @param state_dir  work directory, absolute
 * @param generate   folder below it that `tls_dir = "generate"` means ("cv_ca", "reg_ca"); NULL: refused
 * @param role       server: server_key, server_cert, server_key_password, trusted_client_ca;
 *                   client: client_key, client_cert, client_key_password, trusted_server_ca
 * @retval QL_ERANGE an option is unfit (`all` is no list of certificates: verification has no "off")
 */
int ql_tls_paths_resolve(const struct ql_config *config, const char *group, const char *state_dir,
                         const char *generate, enum ql_tls_role role, struct ql_tls_paths *ret,
                         struct ql_err *err);
void ql_tls_paths_done(struct ql_tls_paths *p);

/** A context from resolved paths. @retval QL_ENOTFOUND a file is missing (names it): the caller may wait for it */
int ql_tls_from_paths(const struct ql_tls_paths *paths, enum ql_tls_role role,
                      enum ql_client_cert client_cert, struct ql_tls **ret, struct ql_err *err);
