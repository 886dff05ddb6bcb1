/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file folder.h
 * A CA's folder that is worked on: locked against other runs, opened by its password. Each change reaches private.json before
 * anything else, so that a run that is cut short uses up a serial number, and never gives one away twice.
 */
#pragma once
#include "bundle.h"
#include "ca.h"

enum {
    QL_CA_LOCK_WAIT_MS =
        60 * 1000 /**< other runs of a script that adds nodes side by side; a key takes a second */
};

/** The certificate whose key signs revocations, and whose certificate each node gets. */
#define QL_CA_NOTIFIER "RevocationNotifier"

struct ql_ca_folder {
    char *dir;
    int lock;
    struct ql_ca *ca; /**< NULL: there is none yet */
    const struct ql_secret *password;
    const struct ql_ca_profile *profile;
};

/**
 * Lock a folder, made when it is absent, and read its CA if there is one.
 * @param password, profile  borrowed until ql_ca_folder_close()
 * @retval QL_EEXIST another run has it for longer than QL_CA_LOCK_WAIT_MS @retval QL_ECRYPTO as ql_ca_read()
 */
int ql_ca_folder_open(const char *dir, const struct ql_secret *password, const struct ql_ca_profile *profile,
                      struct ql_ca_folder *ret, struct ql_err *err);
/** Only the lock: for what replaces an unreadable CA. */
int ql_ca_folder_lock(const char *dir, const struct ql_secret *password, const struct ql_ca_profile *profile,
                      struct ql_ca_folder *ret, struct ql_err *err);
void ql_ca_folder_close(struct ql_ca_folder *f);

/**
 * Make a new CA.
 * @param replace  remove what a CA left there: *.pem, *.crt, *.der, *.zip, private.json
 * @retval QL_EEXIST there is one, or a private.json or private.yml without its certificate
 */
int ql_ca_folder_init(struct ql_ca_folder *f, bool replace, struct ql_err *err);
/** Take over a key and its numbers; cacert.crt must be there and be its certificate. @p ca passes to the folder. */
int ql_ca_folder_adopt(struct ql_ca_folder *f, struct ql_ca *ca, struct ql_err *err);
/**
 * Make a certificate.
 * @param clear    its private key is written without a password
 * @param replace  an existing one that is valid is written over
 * @retval QL_ENOTFOUND there is no CA @retval QL_EEXIST
 */
int ql_ca_folder_create(struct ql_ca_folder *f, const char *name, bool clear, bool replace,
                        struct ql_err *err);
/** @return true when NAME-cert.crt and NAME-private.pem are there */
bool ql_ca_folder_has(const struct ql_ca_folder *f, const char *name);
/** Revoke a certificate by its name, or with @p name NULL by its number, and write the list anew. Again: nothing changes. */
int ql_ca_folder_revoke(struct ql_ca_folder *f, const char *name, uint64_t serial, struct ql_err *err);
/** Write the list anew, for its date. */
int ql_ca_folder_refresh(struct ql_ca_folder *f, struct ql_err *err);
/** The certificate @p name, checked to be of this CA. */
int ql_ca_folder_cert(const struct ql_ca_folder *f, const char *name, struct ql_cert **ret,
                      struct ql_err *err);
/** Its private key as PEM. @param clear without password */
int ql_ca_folder_key(const struct ql_ca_folder *f, const char *name, bool clear, struct ql_secret **ret,
                     struct ql_err *err);
/** A new archive with the six files of a node (spec/server.md 11.4), to be added to and ended. */
int ql_ca_folder_bundle(const struct ql_ca_folder *f, const char *name, bool clear, struct ql_bundle **ret,
                        struct ql_err *err);
/** Add a file of the folder. */
int ql_ca_folder_add_file(const struct ql_ca_folder *f, struct ql_bundle *b, const char *name,
                          const char *ending, struct ql_err *err);
