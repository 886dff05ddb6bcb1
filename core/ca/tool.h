/* SPDX-License-Identifier: Apache-2.0 */
/** @file tool.h  quicklime-ca: commands and options as those of keylime_ca (spec/server.md 11.1), and some more. */
#pragma once
#include "config.h"

/** @return exit code: 0, 1 an error, 2 usage, 255 what Keylime's tool answers so: an unknown command, a missing value */
int ql_ca_main(int argc, char **argv);

/* ---- listing.c ---- */

/** Print the certificates of a folder: serial number, state, end of validity, name. Needs no password. */
int ql_ca_list(const char *dir, struct ql_err *err);

/* ---- listen.c ---- */

/** Hand out a folder's revocation list over HTTP until SIGTERM or SIGINT. Needs no password. */
int ql_ca_listen(const char *dir, const char *address, uint16_t port, struct ql_err *err);
