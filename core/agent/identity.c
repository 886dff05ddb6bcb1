/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <netdb.h>
#include <string.h>

#include "cleanup.h"
#include "digest.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "parse.h"
#include "uuid.h"

/** A UUID in lower case with hyphens, or the text itself when it is an id. */
static int from_text(const char *text, size_t len, const char *what, char **ret, struct ql_err *err)
{
    char uuid[QL_UUID_LEN + 1];

    if (ql_uuid_normalise(text, len, uuid, NULL) == 0) {
        *ret = strdup(uuid);
    } else if (ql_agent_id_ok(text, len)) {
        *ret = strndup(text, len);
    } else {
        return ql_fail(err, QL_ERANGE,
                       "%s: \"%.*s\" is no agent id: 1 to %d characters out of 0-9 A-Z a-z . _ -, or one of "
                       "generate, hash_ek, environment, dmidecode, hostname",
                       what, (int)(len < 100 ? len : 100), text, QL_AGENT_ID_MAX);
    }
    return *ret ? QL_OK : ql_fail_nomem(err);
}

static int from_random(const struct ql_identity_sources *s, char **ret, struct ql_err *err)
{
    char uuid[QL_UUID_LEN + 1];

    (void)s;
    ql_uuid_random(uuid);
    return from_text(uuid, QL_UUID_LEN, "generate", ret, err);
}

static int from_environment(const struct ql_identity_sources *s, char **ret, struct ql_err *err)
{
    const char *text = getenv("KEYLIME_AGENT_UUID");

    (void)s;
    if (!text || *text == '\0')
        return ql_fail(err, QL_ENOTFOUND,
                       "uuid = environment, but the variable KEYLIME_AGENT_UUID is not set");
    return from_text(text, strlen(text), "KEYLIME_AGENT_UUID", ret, err);
}

static int from_firmware(const struct ql_identity_sources *s, char **ret, struct ql_err *err)
{
    const char *path = s && s->product_uuid ? s->product_uuid : "/sys/class/dmi/id/product_uuid";
    ql_auto_free uint8_t *text = NULL;
    char uuid[QL_UUID_LEN + 1];
    size_t len = 0;
    int r = ql_file_read(path, 128, &text, &len, err);

    if (r < 0)
        return ql_fail_context(err, r, "uuid = dmidecode");
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    if (ql_uuid_normalise((const char *)text, len, uuid, NULL) < 0)
        return ql_fail(err, QL_EPARSE, "uuid = dmidecode: %s holds no UUID", path);
    return from_text(uuid, QL_UUID_LEN, path, ret, err);
}

static int from_hostname(const struct ql_identity_sources *s, char **ret, struct ql_err *err)
{
    const struct addrinfo hints = {
        .ai_flags = AI_CANONNAME, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char name[256] = "";
    int r;

    if (s && s->hostname)
        return from_text(s->hostname, strlen(s->hostname), "hostname", ret, err);
    if (gethostname(name, sizeof name - 1) < 0 || *name == '\0')
        return ql_fail(err, QL_ENOTFOUND, "uuid = hostname, but this host has no name");
    if (getaddrinfo(name, NULL, &hints, &found) == 0 && found->ai_canonname &&
        strchr(found->ai_canonname, '.'))
        r = from_text(found->ai_canonname, strlen(found->ai_canonname), "hostname", ret, err);
    else
        r = from_text(name, strlen(name), "hostname", ret, err);
    if (found)
        freeaddrinfo(found);
    return r;
}

static int from_tpm(const struct ql_identity_sources *s, char **ret, struct ql_err *err)
{
    (void)s;
    (void)err;
    *ret = NULL; /* known once there is an EK */
    return QL_OK;
}

static const struct {
    const char *word;
    int (*get)(const struct ql_identity_sources *s, char **ret, struct ql_err *err);
} KEYWORDS[] = {
    {"generate", from_random},    {"hash_ek", from_tpm},       {"environment", from_environment},
    {"dmidecode", from_firmware}, {"hostname", from_hostname},
};

int ql_identity_resolve(const char *option, const struct ql_identity_sources *sources, char **ret,
                        struct ql_err *err)
{
    for (size_t i = 0; i < QL_ARRAY_LEN(KEYWORDS); i++)
        if (strcmp(KEYWORDS[i].word, option) == 0)
            return KEYWORDS[i].get(sources, ret, err);
    return from_text(option, strlen(option), "uuid", ret, err);
}

int ql_identity_from_ek(const char *ek_pem, char **ret, struct ql_err *err)
{
    uint8_t digest[QL_DIGEST_MAX];
    char *hex;

    if (ql_digest_once(QL_SHA256, ek_pem, strlen(ek_pem), digest) < 0)
        return ql_fail(err, QL_ECRYPTO, "uuid = hash_ek: SHA-256 failed");
    hex = ql_hex_dup(digest, ql_hash_len(QL_SHA256));
    if (!hex)
        return ql_fail_nomem(err);
    *ret = hex;
    return QL_OK;
}
