/* SPDX-License-Identifier: Apache-2.0 */
#include "notice.h"

#include <string.h>
#include <time.h>

#include "clock.h"
#include "digest.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "parse.h"

int ql_notice_parse(const void *body, size_t len, struct ql_notice **ret, struct ql_err *err)
{
    ql_auto_json json_t *j = NULL;
    ql_auto(ql_notice_freep) struct ql_notice *n = NULL;
    const char *msg = NULL, *signature = NULL;
    size_t msg_len = 0, signature_len = 0;
    int r = ql_json_parse_object(body, len, QL_NOTICE_MAX, &j, err);

    if (r == QL_OK)
        r = ql_json_get_text(j, "msg", &msg, &msg_len, err);
    if (r == QL_OK)
        r = ql_json_get_text(j, "signature", &signature, &signature_len, err);
    if (r != QL_OK)
        return r == QL_ENOTFOUND ? ql_fail_context(err, QL_EPARSE, "message") : r;
    n = calloc(1, sizeof *n);
    if (!n || !(n->msg = strndup(msg, msg_len)) || !(n->signature = strndup(signature, signature_len)))
        return ql_fail_nomem(err);
    n->msg_len = msg_len;
    r = ql_digest_once(QL_SHA256, msg, msg_len, n->digest);
    if (r < 0)
        return ql_fail(err, r, "SHA-256 failed");
    *ret = ql_steal(n);
    return QL_OK;
}

int ql_notice_check(const struct ql_notice *n, const struct ql_cert *cert, struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    ql_auto_free uint8_t *signature = NULL;
    size_t len = 0;

    if (*n->signature == '\0')
        return ql_fail(err, QL_ECRYPTO, "message is not signed");
    if (ql_base64_decode_dup(n->signature, strlen(n->signature), QL_NOTICE_SIGNATURE_MAX, &signature, &len,
                             NULL) < 0)
        return ql_fail(err, QL_ECRYPTO, "signature is no base64 of at most %d bytes",
                       QL_NOTICE_SIGNATURE_MAX);
    if (ql_cert_key(cert, &key, err) < 0)
        return ql_fail_context(err, QL_ECRYPTO, "revocation certificate");
    if (!ql_key_is_rsa(key))
        return ql_fail(err, QL_ECRYPTO, "key of the revocation certificate is not RSA");
    return ql_key_verify(key, QL_RSAPSS, QL_SHA256, n->msg, n->msg_len, signature, len, NULL, 0, -2, err) ==
                   QL_OK
               ? QL_OK
               : ql_fail(err, QL_ECRYPTO, "signature is not that of the revocation certificate");
}

int ql_notice_cert(const char *path, struct ql_cert **ret, struct ql_err *err)
{
    ql_auto_free uint8_t *pem = NULL;
    size_t len = 0;
    int r = ql_file_read(path, QL_NOTICE_CERT_MAX, &pem, &len, err);

    return r == QL_OK ? ql_cert_from_pem((const char *)pem, len, ret, err) : r;
}

/* A text member that may be absent. */
static const char *text_of(const json_t *j, const char *key)
{
    const json_t *value = json_object_get(j, key);

    return json_is_string(value) ? json_string_value(value) : "";
}

/* "Sun Nov 22 22:02:57 2026" */
static int read_time(const char *text, int64_t *ret, struct ql_err *err)
{
    struct tm tm = {0};
    const char *end = strlen(text) < 32 ? strptime(text, "%a %b %d %H:%M:%S %Y", &tm) : NULL;
    int64_t seconds;

    if (!end || *end != '\0')
        return ql_fail(err, QL_EPARSE, "event_time is no time such as \"Sun Nov 22 22:02:57 2026\"");
    tm.tm_isdst = 0;
    seconds = (int64_t)timegm(&tm);
    if (__builtin_mul_overflow(seconds, QL_NS_PER_S, ret))
        return ql_fail(err, QL_EPARSE, "event_time is out of range");
    return QL_OK;
}

int ql_notice_read(struct ql_notice *n, struct ql_err *err)
{
    ql_auto_json json_t *j = NULL;
    const json_t *port;
    int64_t time_ns = 0;
    int r = ql_json_parse_object(n->msg, n->msg_len, QL_NOTICE_MAX, &j, err);

    if (r == QL_OK)
        r = read_time(text_of(j, "event_time"), &time_ns, err);
    if (r < 0)
        return r;
    if (*text_of(j, "type") == '\0')
        return ql_fail(err, QL_EPARSE, "message has no type");
    if (!ql_agent_id_ok(text_of(j, "agent_id"), strlen(text_of(j, "agent_id"))))
        return ql_fail(err, QL_EPARSE, "agent_id of the message is no agent id");
    json_decref(n->json);
    n->json = ql_steal(j);
    n->type = text_of(n->json, "type");
    n->agent_id = text_of(n->json, "agent_id");
    n->ip = text_of(n->json, "ip");
    n->meta_data = text_of(n->json, "meta_data");
    n->event_id = text_of(n->json, "event_id");
    n->severity = text_of(n->json, "severity_label");
    n->event_time = text_of(n->json, "event_time");
    port = json_object_get(n->json, "port");
    n->port = json_is_integer(port) ? json_integer_value(port) : 0;
    n->time_ns = time_ns;
    return QL_OK;
}

char *ql_notice_body(const struct ql_notice *n)
{
    ql_auto_json json_t *j = json_pack("{s:s, s:s}", "msg", n->msg, "signature", n->signature);

    return j ? ql_json_text(j) : NULL;
}

char *ql_notice_name(const struct ql_notice *n, char *out)
{
    ql_hex_encode(n->digest, 8, out);
    return out;
}

void ql_notice_free(struct ql_notice *n)
{
    if (!n)
        return;
    json_decref(n->json);
    free(n->msg);
    free(n->signature);
    free(n);
}
