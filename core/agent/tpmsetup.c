/* SPDX-License-Identifier: Apache-2.0 */
/* Everything the agent wants of its TPM before it registers (spec/agent.md 1.4 to 1.10). Runs on the TPM thread. */
#include <string.h>

#include "agent.h"
#include "agentdata.h"
#include "cert.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "identity.h"
#include "log.h"

/** What is known of the EK while setting up. */
struct ek {
    struct ql_tpm_public public;
    char *pem;
    char *hash; /* hex SHA-256 of pem */
};

static void ek_done(struct ek *e)
{
    free(e->pem);
    free(e->hash);
}

static int set_owner_password(struct ql_agent *a, struct ql_tpm *tpm, struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *auth = NULL;
    int r = ql_agent_password(a, "tpm_ownerpassword", &auth, err);

    return r < 0 || !auth ? r : ql_tpm_set_owner_auth(tpm, auth, err);
}

static int public_pem(const struct ql_tpm_public *p, char **ret, struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    int r = ql_tpm_public_key(p, &key, err);

    if (r < 0)
        return r;
    *ret = ql_key_public_pem(key);
    return *ret ? QL_OK : ql_fail_nomem(err);
}

static int setup_ek(struct ql_agent *a, struct ql_tpm *tpm, struct ek *ek, struct ql_err *err)
{
    uint32_t handle = 0;
    int r = ql_agent_handle(a, "ek_handle", &handle, err);

    if (r == 0)
        r = ql_tpm_ek(tpm, &a->algs, handle, &a->ek, &a->ek_len, err);
    if (r == 0)
        r = ql_tpm_public_parse(a->ek, a->ek_len, &ek->public, err);
    if (r == 0)
        r = public_pem(&ek->public, &ek->pem, err);
    if (r == 0)
        r = ql_identity_from_ek(ek->pem, &ek->hash, err);
    if (r == 0 && !a->id) {
        a->id = strdup(ek->hash);
        r = a->id ? QL_OK : ql_fail_nomem(err);
    }
    return r;
}

/** PEM around the bytes as they are: known EK certificates are no strict DER and must not be encoded anew. */
static int add_pem(struct ql_buf *out, const uint8_t *der, size_t len)
{
    ql_auto_free char *text = ql_base64_dup(der, len);
    size_t left = text ? strlen(text) : 0, at = 0;

    if (!text)
        return QL_ENOMEM;
    (void)ql_buf_add_text(out, "-----BEGIN CERTIFICATE-----\n"); /* the buffer remembers a failure */
    while (left > 0) {
        const size_t line = left < 64 ? left : 64;

        (void)ql_buf_add(out, text + at, line);
        (void)ql_buf_add_text(out, "\n");
        at += line;
        left -= line;
    }
    return ql_buf_add_text(out, "-----END CERTIFICATE-----\n");
}

/** Chain in reverse order of NV: what stands last there is nearest to the leaf in Keylime's text. */
static int add_chain(struct ql_buf *out, const uint8_t *der, size_t len)
{
    size_t starts[QL_CERT_MAX_CHAIN + 1], count = 0, at = 0, size = 0;

    while (at < len && count < QL_CERT_MAX_CHAIN && ql_der_element_len(der + at, len - at, &size) == 0) {
        starts[count++] = at;
        at += size;
    }
    starts[count] = at;
    while (count-- > 0)
        if (add_pem(out, der + starts[count], starts[count + 1] - starts[count]) < 0)
            return QL_ENOMEM;
    return QL_OK;
}

static int setup_ekcert(struct ql_agent *a, struct ql_tpm *tpm, struct ql_err *err)
{
    ql_auto_buf struct ql_buf text =
        ql_buf_init((size_t)256 * 1024); /* 17 certificates of at most 16 KiB fit no TPM */
    ql_auto(ql_cert_freep) struct ql_cert *cert = NULL;
    ql_auto_free uint8_t *leaf = NULL, *chain = NULL;
    size_t leaf_len = 0, chain_len = 0;
    struct ql_err why = QL_ERR_INIT;
    int r = ql_tpm_ek_cert(tpm, &a->algs, &leaf, &leaf_len, &why);

    if (r == QL_ENOTFOUND) {
        ql_log(QL_INFO, "tpm", "%s", why.text);
        return QL_OK;
    }
    if (r == 0 && ql_cert_from_der(leaf, leaf_len, &cert, &why) < 0)
        ql_log(QL_WARN, "tpm", "EK certificate is sent as the TPM holds it, but: %s", why.text);
    if (r == 0)
        r = ql_tpm_ek_chain(tpm, &chain, &chain_len, &why);
    if (r < 0)
        return ql_fail(err, r, "EK certificate: %s", why.text);
    if (add_pem(&text, leaf, leaf_len) < 0 || add_chain(&text, chain, chain_len) < 0)
        return ql_fail_nomem(err);
    a->ekcert = (char *)ql_buf_take(&text, &leaf_len);
    return a->ekcert ? QL_OK : ql_fail_nomem(err);
}

/** Does a loaded key do what the configuration asks for? The file names the algorithms, but the key has the last word. */
static int check_ak(const struct ql_agent *a, const struct ek *ek, struct ql_tpm_public *ret,
                    struct ql_err *err)
{
    static const struct {
        const char *name;
        unsigned scheme;
    } schemes[] = {
        {"rsassa", QL_RSASSA}, {"rsapss", QL_RSAPSS}, {"ecdsa", QL_ECDSA}, {"ecschnorr", QL_ECSCHNORR}};
    const char *enc;
    int r = ql_tpm_public_parse(a->ak, a->ak_len, ret, err);

    if (r < 0)
        return r;
    enc = ql_tpm_enc_alg(ret);
    if (!enc || !ql_tpm_enc_alg(&ek->public) || strcmp(enc, ql_tpm_enc_alg(&ek->public)) != 0 ||
        ret->name_alg != a->bank || ret->scheme_hash != (unsigned)a->bank)
        return ql_fail(err, QL_ECONFLICT, "it is no %s key with %s", a->algs.enc, a->algs.hash);
    for (size_t i = 0; i < QL_ARRAY_LEN(schemes); i++)
        if (strcmp(schemes[i].name, a->algs.sign) == 0 && schemes[i].scheme == ret->scheme)
            return QL_OK;
    return ql_fail(err, QL_ECONFLICT, "its scheme is not %s", a->algs.sign);
}

/** The key of agent_data.json. @return QL_ENOTFOUND: a new one is needed, the log says why */
static int load_ak(struct ql_agent *a, struct ql_tpm *tpm, const char *path, const struct ek *ek,
                   struct ql_agent_data *data, struct ql_tpm_public *ret, struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL;
    struct ql_err why = QL_ERR_INIT;
    size_t len = 0;
    int r = ql_file_read(path, QL_AGENT_DATA_MAX, &text, &len, &why);

    if (r == QL_ENOTFOUND)
        return r;
    /* A key that is there but may not be read must not be replaced: the registrar would refuse the new one. */
    if (r < 0 && r != QL_ELIMIT)
        return ql_fail(err, r, "%s", why.text);
    if (r == 0)
        r = ql_agent_data_parse((const char *)text, len, &a->algs, ek->hash, data, &why);
    if (r == 0)
        r = ql_tpm_ak_load(tpm, data->public_area, data->public_len, data->private_area, data->private_len,
                           &a->ak, &a->ak_len, &why);
    if (r == 0)
        r = check_ak(a, ek, ret, &why);
    if (r == 0)
        return QL_OK;
    ql_log(QL_WARN, "tpm", "%s is not used, a new attestation key is made: %s", path, why.text);
    ql_agent_data_done(data);
    free(a->ak);
    a->ak = NULL;
    return QL_ENOTFOUND;
}

static int setup_ak(struct ql_agent *a, struct ql_tpm *tpm, const struct ek *ek, struct ql_err *err)
{
    ql_auto_free char *path = ql_agent_path(a, "agent_data_path", "agent_data.json"), *text = NULL;
    ql_auto(ql_agent_data_done) struct ql_agent_data data = {0};
    struct ql_tpm_public public;
    int r;

    if (!path)
        return ql_fail_nomem(err);
    r = load_ak(a, tpm, path, ek, &data, &public, err);
    if (r == QL_ENOTFOUND) {
        r = ql_tpm_ak_create(tpm, &a->algs, &data.public_area, &data.public_len, &data.private_area,
                             &data.private_len, err);
        if (r == 0)
            r = ql_tpm_ak_load(tpm, data.public_area, data.public_len, data.private_area, data.private_len,
                               &a->ak, &a->ak_len, err);
        if (r == 0)
            r = check_ak(a, ek, &public, err);
    }
    if (r == 0)
        r = ql_agent_data_format(&data, &a->algs, ek->hash, &text, err);
    if (r == 0)
        r = ql_file_write(path, 0600, text, strlen(text), err);
    if (r < 0)
        return r;
    a->ak_handle = ql_tpm_ak_handle(tpm);
    snprintf(a->enc_alg, sizeof a->enc_alg, "%s", ql_tpm_enc_alg(&public));
    return QL_OK;
}

/** Certificate named by an option; NULL with QL_OK: none. DER is tried first, then PEM. */
static int read_cert(struct ql_agent *a, const char *option, const char *preset, struct ql_cert **ret,
                     struct ql_err *err)
{
    ql_auto_free char *path = NULL;
    ql_auto_free uint8_t *bytes = NULL;
    size_t len = 0;
    int r;

    if (*ql_config_string(a->config, "agent", option) == '\0')
        return QL_OK;
    path = ql_agent_path(a, option, preset);
    if (!path)
        return ql_fail_nomem(err);
    r = ql_file_read(path, (size_t)2 * QL_CERT_MAX_LEN, &bytes, &len, err);
    if (r == 0 && ql_cert_from_der(bytes, len, ret, NULL) < 0)
        r = ql_cert_from_pem((const char *)bytes, len, ret, err);
    return r < 0 ? ql_fail_context(err, r, "%s", option) : QL_OK;
}

/** Template by the certificate's key. */
static const char *detect(const struct ql_cert *cert)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;

    if (!cert || ql_cert_key(cert, &key, NULL) < 0 || ql_key_is_rsa(key))
        return "H-1";
    switch (ql_key_bits(key)) {
    case 384:
        return "H-3";
    case 521:
        return "H-4";
    default:
        return "H-2";
    }
}

static int match(const char *what, const struct ql_cert *cert, const uint8_t *area, size_t len,
                 char **ret_b64, struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *in_cert = NULL, *in_tpm = NULL;
    struct ql_tpm_public public;
    const uint8_t *der;
    size_t der_len = 0;
    int r;

    if (!cert)
        return QL_OK;
    r = ql_tpm_public_parse(area, len, &public, err);
    if (r == 0)
        r = ql_tpm_public_key(&public, &in_tpm, err);
    if (r == 0)
        r = ql_cert_key(cert, &in_cert, err);
    if (r < 0)
        return ql_fail_context(err, r, "%s", what);
    if (!ql_key_equal(in_cert, in_tpm))
        return ql_fail(err, QL_ECRYPTO,
                       "%s: the certificate is not of the key in the TPM (template or handle wrong?)", what);
    der = ql_cert_der(cert, &der_len);
    *ret_b64 = ql_base64_dup(der, der_len);
    return *ret_b64 ? QL_OK : ql_fail_nomem(err);
}

static int setup_iak(struct ql_agent *a, struct ql_tpm *tpm, struct ql_err *err)
{
    ql_auto(ql_cert_freep) struct ql_cert *iak = NULL, *idevid = NULL;
    ql_auto(ql_secret_freep) struct ql_secret *iak_password = NULL, *idevid_password = NULL;
    struct ql_iak_template tmpl = {
        .name = ql_config_string(a->config, "agent", "iak_idevid_template"),
        .enc = ql_config_string(a->config, "agent", "iak_idevid_asymmetric_alg"),
        .hash = ql_config_string(a->config, "agent", "iak_idevid_name_alg"),
    };
    int r;

    if (!ql_config_bool(a->config, "agent", "enable_iak_idevid"))
        return QL_OK;
    r = ql_agent_handle(a, "iak_handle", &tmpl.iak_handle, err);
    if (r == 0)
        r = ql_agent_handle(a, "idevid_handle", &tmpl.idevid_handle, err);
    if (r == 0)
        r = ql_agent_password(a, "iak_password", &iak_password, err);
    if (r == 0)
        r = ql_agent_password(a, "idevid_password", &idevid_password, err);
    if (r == 0)
        r = read_cert(a, "iak_cert", "iak-cert.crt", &iak, err);
    if (r == 0)
        r = read_cert(a, "idevid_cert", "idevid-cert.crt", &idevid, err);
    if (r < 0)
        return r;
    tmpl.iak_password = iak_password;
    tmpl.idevid_password = idevid_password;
    if (strcmp(tmpl.name, "detect") == 0 || strcmp(tmpl.name, "default") == 0 || *tmpl.name == '\0')
        tmpl.name = detect(iak ? iak : idevid);
    r = ql_tpm_iak(tpm, &tmpl, &a->iak, &a->iak_len, &a->idevid, &a->idevid_len, err);
    if (r == 0)
        r = match("iak_cert", iak, a->iak, a->iak_len, &a->iak_cert, err);
    if (r == 0)
        r = match("idevid_cert", idevid, a->idevid, a->idevid_len, &a->idevid_cert, err);
    return r;
}

static int setup(struct ql_tpm **tpm, void *arg, struct ql_err *err)
{
    struct ql_agent *a = arg;
    ql_auto(ek_done) struct ek ek = {0};
    int r = ql_tpm_open(ql_config_string(a->config, "agent", "tcti"), tpm, err);

    if (r < 0)
        return r;
    if (strstr(ql_tpm_vendor(*tpm), "SW")) {
        ql_log(QL_WARN, "tpm", "INSECURE: this is a software TPM (%s)", ql_tpm_vendor(*tpm));
        ql_log(QL_WARN, "tpm",
               "INSECURE: its keys can be copied, and its quotes prove nothing about this node");
        ql_log(QL_WARN, "tpm", "INSECURE: use it for tests only");
    }
    r = set_owner_password(a, *tpm, err);
    if (r == 0)
        r = setup_ek(a, *tpm, &ek, err);
    if (r == 0)
        r = setup_ekcert(a, *tpm, err);
    if (r == 0)
        r = setup_ak(a, *tpm, &ek, err);
    if (r == 0)
        r = setup_iak(a, *tpm, err);
    return r;
}

int ql_agent_tpm_setup(struct ql_agent *a, struct ql_err *err)
{
    return ql_tpm_thread_run(a->tpm, setup, a, err);
}
