/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <openssl/err.h>
#include <openssl/ui.h>
#include <string.h>

#include "error.h"
#include "file.h"
#include "secret.h"

enum {
    PASSWORD_MAX = 1023, /* characters: what fits OpenSSL's prompt, and more than anybody types */
    PASSWORD_FILE_MAX = 4096
};

static const struct ql_option rows[] = {
    {.name = "version",
     .type = QL_OPT_STRING,
     .preset = "2.6",
     .help = "version of the options, as Keylime writes it"},
    {.name = "password",
     .type = QL_OPT_STRING,
     .flags = QL_OPT_SECRET,
     .preset = "default",
     .help = "password of the key store; \"default\": password_file, or ask"},
    {.name = "password_file", .type = QL_OPT_STRING, .help = "file whose first line is the password"},
    {.name = "cert_country", .type = QL_OPT_STRING, .preset = "US", .help = "country, two letters"},
    {.name = "cert_ca_name",
     .type = QL_OPT_STRING,
     .preset = "Keylime Certificate Authority",
     .help = "common name of the CA"},
    {.name = "cert_state", .type = QL_OPT_STRING, .preset = "MA", .help = "state"},
    {.name = "cert_locality", .type = QL_OPT_STRING, .preset = "Lexington", .help = "locality"},
    {.name = "cert_organization", .type = QL_OPT_STRING, .preset = "Keylime", .help = "organization"},
    {.name = "cert_org_unit", .type = QL_OPT_STRING, .preset = "53", .help = "organizational unit"},
    {.name = "cert_ca_lifetime",
     .type = QL_OPT_INT,
     .min = 1,
     .max = 36500,
     .preset = "3650",
     .help = "validity of the CA's certificate, days"},
    {.name = "cert_lifetime",
     .type = QL_OPT_INT,
     .min = 1,
     .max = 36500,
     .preset = "365",
     .help = "validity of certificates, days"},
    {.name = "cert_crl_lifetime",
     .type = QL_OPT_INT,
     .min = 1,
     .max = 36500,
     .preset = "365",
     .help = "time until the next revocation list, days"},
    {.name = "cert_bits",
     .type = QL_OPT_INT,
     .min = 2048,
     .max = 4096,
     .preset = "2048",
     .help = "length of RSA keys"},
    {.name = "key_type",
     .type = QL_OPT_STRING,
     .preset = "rsa",
     .choices = "rsa p256 p384",
     .help = "kind of new keys; that of RevocationNotifier is RSA whatever stands here"},
    {.name = "cert_crl_dist",
     .type = QL_OPT_STRING,
     .preset = QL_CA_CRL_URL,
     .help = "URL of the revocation list, written into certificates; empty: none"},
    {.name = "listen_ip",
     .type = QL_OPT_STRING,
     .preset = "127.0.0.1",
     .help = "address on which listen hands out the list"},
    {.name = "listen_port",
     .type = QL_OPT_INT,
     .max = 65535,
     .preset = "38080",
     .help = "port of listen; 0: any free one"},
    {.name = NULL},
};

const struct ql_option_group ql_ca_options[] = {
    {.name = "ca", .rows = rows},
    {.name = NULL},
};

static int read_key_type(const char *text, struct ql_ca_profile *p, struct ql_err *err)
{
    if (strcmp(text, "rsa") == 0)
        p->curve = 0;
    else if (strcmp(text, "p256") == 0)
        p->curve = QL_P256;
    else if (strcmp(text, "p384") == 0)
        p->curve = QL_P384;
    else
        return ql_fail(err, QL_ERANGE, "key type %.40s is none of rsa, p256, p384", text);
    return QL_OK;
}

/* An attribute that is set to nothing is left out. */
static const char *attribute(const struct ql_config *c, const char *name)
{
    const char *text = ql_config_string(c, "ca", name);

    return *text ? text : NULL;
}

int ql_ca_profile_read(const struct ql_config *c, const char *key_type, struct ql_ca_profile *ret,
                       struct ql_err *err)
{
    struct ql_ca_profile p = {
        .subject = {.country = attribute(c, "cert_country"),
                    .common_name = attribute(c, "cert_ca_name"),
                    .state = attribute(c, "cert_state"),
                    .locality = attribute(c, "cert_locality"),
                    .organization = attribute(c, "cert_organization"),
                    .unit = attribute(c, "cert_org_unit")},
        .ca_days = (unsigned)ql_config_int(c, "ca", "cert_ca_lifetime"),
        .leaf_days = (unsigned)ql_config_int(c, "ca", "cert_lifetime"),
        .crl_days = (unsigned)ql_config_int(c, "ca", "cert_crl_lifetime"),
        .crl_url = attribute(c, "cert_crl_dist"),
        .rsa_bits = (unsigned)ql_config_int(c, "ca", "cert_bits"),
    };
    int r = read_key_type(key_type ? key_type : ql_config_string(c, "ca", "key_type"), &p, err);

    if (r == QL_OK)
        *ret = p;
    return r;
}

static int from_text(const char *text, size_t len, struct ql_secret **ret, struct ql_err *err)
{
    if (len == 0)
        return ql_fail(err, QL_ENOTFOUND, "You must specify a password!");
    if (len > PASSWORD_MAX)
        return ql_fail(err, QL_ELIMIT, "password of %zu characters, at most %d", len, PASSWORD_MAX);
    return ql_secret_new(text, len, ret, err);
}

static int from_file(const char *path, struct ql_secret **ret, struct ql_err *err)
{
    uint8_t *text = NULL;
    size_t len;
    int r = ql_file_read(path, PASSWORD_FILE_MAX, &text, &len, err);

    if (r < 0)
        return r;
    r = from_text((const char *)text, strcspn((const char *)text, "\r\n"), ret, err);
    ql_wipe(text, len);
    free(text);
    return r < 0 ? ql_fail_context(err, r, "%s", path) : r;
}

static int ask(struct ql_secret **ret, struct ql_err *err)
{
    char text[PASSWORD_MAX + 1] = "";
    int r =
        UI_UTIL_read_pw_string(text, sizeof text, "Please enter the password to decrypt your keystore: ", 0);

    ERR_clear_error(); /* what failed is said below */
    text[sizeof text - 1] = '\0';
    r = from_text(text, r == 0 ? strlen(text) : 0, ret, err);
    ql_wipe(text, sizeof text);
    return r;
}

int ql_ca_password(const struct ql_config *c, const char *file, struct ql_secret **ret, struct ql_err *err)
{
    const char *option = ql_config_string(c, "ca", "password"),
               *option_file = ql_config_string(c, "ca", "password_file");

    if (file)
        return from_file(file, ret, err);
    if (*option != '\0' && strcmp(option, "default") != 0)
        return from_text(option, strlen(option), ret, err);
    return *option_file != '\0' ? from_file(option_file, ret, err) : ask(ret, err);
}
