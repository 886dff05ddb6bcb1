/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "encode.h"
#include "error.h"
#include "import.h"
#include "parse.h"

enum {
    PEM_LINE = 64
};

/* Columns in the order of the query. */
enum {
    AGENT_ID,
    EK,
    EK_CERT,
    AIK,
    ACTIVE,
    REGCOUNT,
    IP,
    PORT,
    MTLS_CERT,
    IAK,
    IDEVID,
    IAK_CERT,
    IDEVID_CERT,
    PROVIDER_KEYS,
    COLUMNS
};

static const char sql[] = "SELECT agent_id, ek_tpm, ekcert, aik_tpm, active, regcount, ip, port, mtls_cert, "
                          "iak_tpm, idevid_tpm, iak_cert, "
                          "idevid_cert, provider_keys FROM registrarmain ORDER BY agent_id";

/* Ours is PEM, as on the wire. */
static int pem_of(const uint8_t *der, size_t len, char **ret, struct ql_err *err)
{
    ql_auto_free char *base64 = ql_base64_dup(der, len);
    ql_auto_buf struct ql_buf b = ql_buf_init(2 * QL_BASE64_LEN(QL_IMPORT_BYTES_MAX));
    size_t n;

    if (!base64)
        return ql_fail_nomem(err);
    (void)ql_buf_add_text(&b, "-----BEGIN CERTIFICATE-----\n"); /* poisoned */
    for (const char *at = base64; *at; at += strnlen(at, PEM_LINE))
        (void)ql_buf_addf(&b, "%.*s\n", PEM_LINE, at);        /* poisoned */
    (void)ql_buf_add_text(&b, "-----END CERTIFICATE-----\n"); /* poisoned */
    *ret = b.failed ? NULL : (char *)ql_buf_take(&b, &n);
    return *ret ? QL_OK : ql_fail_nomem(err);
}

static int read_mtls_cert(const struct ql_cell *c, char **ret, struct ql_err *why)
{
    ql_auto_free uint8_t *der = NULL;
    size_t len = 0;
    int r;

    if (ql_cell_is(c, "disabled"))
        return ql_cell_text(c, ret, why);
    r = ql_cell_cert(c, &der, &len, why);
    return r == QL_OK && der ? pem_of(der, len, ret, why) : r;
}

static int read_bytes(const struct ql_cell *row, struct ql_registration *a, struct ql_err *why)
{
    const struct {
        int column;
        const char *name;
        bool is_cert;
        uint8_t **at;
        size_t *len;
    } bytes[] = {
        {EK, "ek_tpm", false, &a->ek_tpm, &a->ek_tpm_len},
        {AIK, "aik_tpm", false, &a->aik_tpm, &a->aik_tpm_len},
        {IAK, "iak_tpm", false, &a->iak_tpm, &a->iak_tpm_len},
        {IDEVID, "idevid_tpm", false, &a->idevid_tpm, &a->idevid_tpm_len},
        {EK_CERT, "ekcert", true, &a->ekcert, &a->ekcert_len},
        {IAK_CERT, "iak_cert", true, &a->iak_cert, &a->iak_cert_len},
        {IDEVID_CERT, "idevid_cert", true, &a->idevid_cert, &a->idevid_cert_len},
    };

    for (size_t i = 0; i < QL_ARRAY_LEN(bytes); i++) {
        int r = (bytes[i].is_cert ? ql_cell_cert : ql_cell_base64)(&row[bytes[i].column], bytes[i].at,
                                                                   bytes[i].len, why);

        if (r < 0)
            return r == QL_ENOMEM ? r : ql_fail_context(why, r, "column %s", bytes[i].name);
    }
    return QL_OK;
}

static int read_registration(const struct ql_cell *row, struct ql_registration *a, struct ql_err *why)
{
    int64_t active = 0;
    int r = ql_cell_text(&row[AGENT_ID], &a->agent_id, why);

    if (r == QL_OK && (!a->agent_id || !ql_agent_id_ok(a->agent_id, strlen(a->agent_id))))
        r = ql_fail(why, QL_EPARSE, "its id cannot be one");
    if (r == QL_OK)
        r = ql_cell_int(&row[ACTIVE], 0, &active, why);
    if (r == QL_OK && active != 1)
        r = ql_fail(why, QL_EPARSE, "it was never activated; it registers again");
    if (r == QL_OK)
        r = read_bytes(row, a, why);
    if (r == QL_OK && (!a->aik_tpm || !a->ek_tpm))
        r = ql_fail(why, QL_EPARSE, "a key is missing");
    if (r == QL_OK && read_mtls_cert(&row[MTLS_CERT], &a->mtls_cert, why) < 0)
        r = ql_fail_context(why, QL_EPARSE, "column mtls_cert");
    if (r == QL_OK)
        r = ql_cell_text(&row[IP], &a->ip, why);
    if (r == QL_OK)
        r = ql_cell_int(&row[PORT], 0, &a->port, why);
    if (r == QL_OK)
        r = ql_cell_int(&row[REGCOUNT], 1, &a->regcount, why);
    a->active = true;
    a->created_ns = ql_now_ns();
    return r;
}

static int take_row(void *arg, const struct ql_cell *row, struct ql_err *err)
{
    struct ql_import *g = arg;
    struct ql_registration a = {0}, *wide;
    struct ql_err why = QL_ERR_INIT;
    const char *id = row[AGENT_ID].text ? row[AGENT_ID].text : "?";
    int r;

    if (++g->registrations_seen > QL_IMPORT_AGENTS_MAX)
        return ql_fail(err, QL_ELIMIT, "more than %d agents", QL_IMPORT_AGENTS_MAX);
    r = read_registration(row, &a, &why);
    if (r < 0) {
        ql_registration_done(&a);
        return r == QL_ENOMEM ? ql_fail_nomem(err) : ql_import_leave(g, err, "agent %.80s: %s", id, why.text);
    }
    wide = reallocarray(g->registrations, g->registration_count + 1, sizeof *wide);
    if (!wide) {
        ql_registration_done(&a);
        return ql_fail_nomem(err);
    }
    g->registrations = wide;
    wide[g->registration_count++] = a;
    return row[PROVIDER_KEYS].text && row[PROVIDER_KEYS].len > 2
               ? ql_import_leave(g, err, "agent %.80s: column provider_keys, which nothing reads", id)
               : QL_OK;
}

int ql_import_read_registrar(struct ql_source *s, struct ql_import *g, struct ql_err *err)
{
    int r = ql_source_each(s, sql, COLUMNS, take_row, g, err);

    g->left_read = g->left_count;
    return r;
}

int ql_import_write_registrar(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct ql_import *g = arg;
    int r = QL_OK;

    while (g->left_count > g->left_read) /* a transaction may run more than once */
        free(g->left[--g->left_count]);
    g->registrations_taken = 0;
    for (size_t i = 0; r == QL_OK && i < g->registration_count; i++) {
        struct ql_registration old = {0};

        r = ql_registrations_get(t, g->registrations[i].agent_id, true, &old, err);
        ql_registration_done(&old);
        if (r == QL_OK) {
            r = ql_import_leave(g, err, "agent %s: it is there already", g->registrations[i].agent_id);
        } else if (r == QL_ENOTFOUND) {
            r = ql_registrations_put(t, &g->registrations[i], err);
            g->registrations_taken += r == QL_OK;
        }
    }
    g->is_complete = r == QL_OK;
    return r == QL_OK && g->is_rehearsal ? ql_fail(err, QL_ECLOSED, "rehearsal") : r;
}
