/* SPDX-License-Identifier: Apache-2.0 */
#include "option_rows.h"
#include "registrar.h"

static const struct ql_option registrar_rows[] = {
    QL_COMMON_ROWS,
    QL_ROW_VERSION,
    QL_ROW_IP,
    QL_ROW_PORT("port", "8890", "HTTP port for agents"),
    QL_ROW_PORT("tls_port", "8891", "HTTPS port for administration"),
    {.name = "tls_dir",
     .type = QL_OPT_STRING,
     .preset = "default",
     .help = "\"generate\", \"default\" (the verifier's cv_ca) or a folder of keys and certificates"},
    QL_ROWS_SERVER_TLS,
    QL_ROW_CERT_NAMES,
    QL_ROW_AUTHORIZATION,
    QL_ROWS_DATABASE("registrations are"),
    {.name = "max_workers",
     .type = QL_OPT_INT,
     .max = 1024,
     .preset = "1",
     .help = "worker processes that read what agents send; 0: one a CPU"},
    QL_ROW_UPLOAD("262144"),
    {.name = "tpm_identity",
     .type = QL_OPT_STRING,
     .preset = "default",
     .choices = "default ek_cert_or_iak_idevid ek_cert iak_idevid",
     .help = "what proves that a TPM is genuine"},
    {.name = "malformed_cert_action",
     .type = QL_OPT_STRING,
     .preset = "warn",
     .choices = "warn ignore reject",
     .help = "what to do with a certificate that is not strict DER"},
    {.name = "tpm_cert_store",
     .type = QL_OPT_STRING,
     .preset = "tpm_cert_store",
     .help = "folder of certificates that issue IAK and IDevID certificates, below the state folder unless "
             "absolute"},
    QL_ROW_PLUGIN_DIR,
    QL_ROW_WORKER_PATH,
    QL_ROW_DURABLE_IMPORT,
    QL_ROWS_CONNECTIONS(" of one listener"),
    QL_ROWS_REQUEST,
    {.name = NULL},
};

const struct ql_option_group ql_registrar_options[] = {
    {.name = "registrar", .rows = registrar_rows},
    {.name = NULL},
};
