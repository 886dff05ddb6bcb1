/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file option_rows.h
 * Options that verifier and registrar share, to be pasted into their tables like QL_COMMON_ROWS. What differs between
 * the two, by name, default or wording, is a parameter; each table keeps its own order (that of its sample file).
 * daemon.h reads what these rows say.
 */
#pragma once
#include <quicklime/plugin.h>

/** Help of an option that does nothing: put it in front of the reason. */
#define QL_NO_EFFECT "accepted for Keylime's files, without effect: "

#define QL_ROW_VERSION                                                                                       \
    {                                                                                                        \
        .name = "version", .type = QL_OPT_STRING, .preset = "2.6",                                           \
        .help = "version of the options, as Keylime writes it"                                               \
    }

/* ---- listening ---- */

#define QL_ROW_IP                                                                                            \
    {                                                                                                        \
        .name = "ip", .type = QL_OPT_STRING, .preset = "127.0.0.1",                                          \
        .help = "address to listen on; \"*\": all"                                                           \
    }
#define QL_ROW_PORT(NAME, PRESET, WHAT)                                                                      \
    {                                                                                                        \
        .name = (NAME), .type = QL_OPT_INT, .max = 65535, .preset = (PRESET),                                \
        .help = WHAT "; 0: any free one"                                                                     \
    }

/* ---- TLS ---- */

/** The server's own key and certificate, and whom it trusts. */
#define QL_ROWS_SERVER_TLS                                                                                   \
    {.name = "server_key", .type = QL_OPT_STRING, .preset = "default", .help = "private key, PEM file"},     \
        {.name = "server_key_password",                                                                      \
         .type = QL_OPT_STRING,                                                                              \
         .flags = QL_OPT_SECRET,                                                                             \
         .help = "its password"},                                                                            \
        {.name = "server_cert",                                                                              \
         .type = QL_OPT_STRING,                                                                              \
         .preset = "default",                                                                                \
         .help = "certificate, PEM file"},                                                                   \
    {                                                                                                        \
        .name = "trusted_client_ca", .type = QL_OPT_LIST, .preset = "default",                               \
        .help = "PEM files of CAs whose clients administrate"                                                \
    }
#define QL_ROW_CERT_NAMES                                                                                    \
    {                                                                                                        \
        .name = "cert_subject_alternative_names", .type = QL_OPT_LIST,                                       \
        .help = "further names of a generated server certificate"                                            \
    }
#define QL_ROW_AUTHORIZATION                                                                                 \
    {                                                                                                        \
        .name = "authorization_provider", .type = QL_OPT_STRING, .preset = "simple", .choices = "simple",    \
        .help = "who may do what"                                                                            \
    }

/* ---- store ---- */

/** @param WHAT is kept there: "agents and policies are" */
#define QL_ROWS_DATABASE(WHAT)                                                                               \
    {.name = "database_url",                                                                                 \
     .type = QL_OPT_STRING,                                                                                  \
     .flags = QL_OPT_SECRET,                                                                                 \
     .preset = "sqlite",                                                                                     \
     .help = "where " WHAT " kept: sqlite, sqlite:///FILE, "                                                 \
             "postgresql://USER:PASSWORD@HOST/DATABASE, mysql://…"},                                         \
        {.name = "database_pool_sz_ovfl",                                                                    \
         .type = QL_OPT_STRING,                                                                              \
         .preset = "5,10",                                                                                   \
         .help = QL_NO_EFFECT "one connection is enough"},                                                   \
    {                                                                                                        \
        .name = "auto_migrate_db", .type = QL_OPT_BOOL, .preset = "true",                                    \
        .help = "bring an older schema forward at start"                                                     \
    }

/* ---- plugins and workers ---- */

#define QL_ROW_PLUGIN_DIR                                                                                    \
    {                                                                                                        \
        .name = "plugin_dir", .type = QL_OPT_STRING, .help = "folder of plugins; empty: the installed one"   \
    }
#define QL_ROW_WORKER_PATH                                                                                   \
    {                                                                                                        \
        .name = "worker_path", .type = QL_OPT_STRING, .help = "quicklime-worker; empty: the installed one"   \
    }

/* ---- HTTP ---- */

#define QL_ROW_UPLOAD(PRESET)                                                                                \
    {                                                                                                        \
        .name = "max_upload_size", .type = QL_OPT_INT, .min = 1024, .max = 104857600, .preset = (PRESET),    \
        .help = "largest request body, bytes"                                                                \
    }
/** @param OF "" or " of one listener" */
#define QL_ROWS_CONNECTIONS(OF)                                                                              \
    {.name = "http_connections_max",                                                                         \
     .type = QL_OPT_INT,                                                                                     \
     .min = 1,                                                                                               \
     .max = 1000000,                                                                                         \
     .preset = "10500",                                                                                      \
     .help = "open connections" OF},                                                                         \
    {                                                                                                        \
        .name = "http_per_address_max", .type = QL_OPT_INT, .min = 1, .max = 1000000, .preset = "1024",      \
        .help = "open connections of one address"                                                            \
    }
/** A time-out in ms; MOST is its largest value. */
#define QL_ROW_TIMEOUT(NAME, MOST, PRESET, HELP)                                                             \
    {                                                                                                        \
        .name = (NAME), .type = QL_OPT_INT, .min = 100, .max = (MOST), .preset = (PRESET), .help = (HELP)    \
    }
/** What one request may take. */
#define QL_ROWS_REQUEST                                                                                      \
    {.name = "http_header_max",                                                                              \
     .type = QL_OPT_INT,                                                                                     \
     .min = 1024,                                                                                            \
     .max = 1048576,                                                                                         \
     .preset = "32768",                                                                                      \
     .help = "bytes of a request line and its headers"},                                                     \
        QL_ROW_TIMEOUT("http_header_ms", 3600000, "10000", "time for the headers of a request, ms"),         \
        QL_ROW_TIMEOUT("http_body_ms", 3600000, "60000", "time for the body of a request, ms"),              \
        QL_ROW_TIMEOUT("http_idle_ms", 86400000, "120000", "time a connection may be idle, ms"),             \
        QL_ROW_TIMEOUT("http_handshake_ms", 3600000, "10000", "time for a TLS handshake, ms")

/* ---- not offered ---- */

#define QL_ROW_DURABLE_IMPORT                                                                                \
    {                                                                                                        \
        .name = "durable_attestation_import", .type = QL_OPT_STRING, .help = "must be empty"                 \
    }
