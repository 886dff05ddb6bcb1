/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/pem.h>
#include <string.h>

#include "draft.h"
#include "dsse.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "key.h"
#include "policy.h"
#include "tool.h"
#include "toolhost.h"

#include <quicklime/validator.h>

enum {
    KEY_FILE_MAX = 64 * 1024
};

struct sign {
    const char *policy, *output, *keyfile, *keypath, *backend, *cert;
    bool is_old; /* the file as it is, no look into it */
};

static const struct option options[] = {
    {"runtime-policy", required_argument, NULL, 'r'},
    {"runtime_policy", required_argument, NULL, 'r'},
    {"output", required_argument, NULL, 'o'},
    {"output_file", required_argument, NULL, 'o'},
    {"keyfile", required_argument, NULL, 'k'},
    {"keypath", required_argument, NULL, 'p'},
    {"backend", required_argument, NULL, 'b'},
    {"cert-outfile", required_argument, NULL, 'c'},
    {"certificate_output_file", required_argument, NULL, 'c'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void help(FILE *out)
{
    fputs("usage: quicklime-policy sign runtime -r POLICY [-o OUTPUT] [-k KEY | -p NEW_KEY]\n"
          "                                     [-b ecdsa|x509] [-c CERTIFICATE]\n",
          out);
}

/* A private key file is never written over, and only its owner may read it. */
static int write_new(const char *path, const char *text, size_t len, mode_t mode, struct ql_err *err)
{
    ql_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

    if (fd < 0 || write(fd, text, len) != (ssize_t)len)
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    return QL_OK;
}

static int new_key(const char *path, struct ql_key **ret, struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    BIO *out;
    char *text = NULL;
    long len;
    int r = ql_key_generate_ec(QL_P256, &key, err);

    if (r < 0)
        return r;
    out = BIO_new(BIO_s_secmem());
    if (!out ||
        PEM_write_bio_PrivateKey_traditional(out, ql_key_native(key), NULL, NULL, 0, NULL, NULL) != 1 ||
        (len = BIO_get_mem_data(out, &text)) <= 0)
        r = ql_fail(err, QL_ECRYPTO, "the new key cannot be written");
    else
        r = write_new(path, text, (size_t)len, 0600, err);
    BIO_free(out);
    if (r == QL_OK)
        *ret = ql_steal(key);
    return r;
}

static int load_key(const struct sign *s, struct ql_key **ret, struct ql_err *err)
{
    uint8_t *pem = NULL;
    size_t len = 0;
    int r;

    if (!s->keyfile)
        return new_key(s->keypath, ret, err);
    r = ql_file_read(s->keyfile, KEY_FILE_MAX, &pem, &len, err);
    if (r < 0)
        return r;
    r = ql_key_from_private_pem((const char *)pem, len, NULL, ret, err);
    ql_wipe(pem, len);
    free(pem);
    return r < 0 ? ql_fail_context(err, r, "%s", s->keyfile) : QL_OK;
}

/* The policy, checked, in Python's spelling; as it stands where names are no UTF-8 and jansson cannot hold it. */
static int read_payload(const struct sign *s, char **ret, size_t *ret_len, struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL;
    ql_auto_json json_t *j = NULL;
    struct ima_policy *policy = NULL;
    struct ql_err why = QL_ERR_INIT;
    size_t len = 0;
    int r = ql_file_read(s->policy, QL_DRAFT_TEXT_MAX, &text, &len, err);

    if (r == QL_OK && !s->is_old) {
        r = ima_policy_compile(&ql_tool_host, text, len, QL_ORIGIN_UPLOAD, &policy, &why);
        ima_policy_free(policy);
        if (r < 0)
            return ql_fail(err, r, "%s: %s", s->policy, why.text);
        if (ql_json_parse_object((const char *)text, len, QL_DRAFT_TEXT_MAX, &j, NULL) == QL_OK) {
            *ret = ql_json_text_spaced(j);
            *ret_len = *ret ? strlen(*ret) : 0;
            return *ret ? QL_OK : ql_fail_nomem(err);
        }
    }
    if (r < 0)
        return r;
    *ret = (char *)ql_steal(text);
    *ret_len = len;
    return QL_OK;
}

static int sign(const struct sign *s)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    ql_auto_free char *payload = NULL, *envelope = NULL, *cert = NULL;
    bool is_x509 = strcasecmp(s->backend, "x509") == 0;
    struct ql_err err = QL_ERR_INIT;
    size_t len = 0;
    FILE *out;
    int r = read_payload(s, &payload, &len, &err);

    if (r == QL_OK)
        r = load_key(s, &key, &err);
    if (r == QL_OK)
        r = ql_dsse_sign(key, is_x509, payload, len, &envelope, &cert, &err);
    if (r == QL_OK && is_x509)
        r = ql_file_write(s->cert, 0644, cert, strlen(cert), &err);
    if (r < 0)
        return ql_tool_fail(&err);
    out = ql_tool_open(s->output);
    if (!out)
        return QL_TOOL_FAILED;
    fputs(envelope, out);
    return ql_tool_close(out, s->output);
}

/* @return -1 to go on, else the exit code */
static int parse(int argc, char **argv, struct sign *s)
{
    int flag;

    while ((flag = getopt_long(argc, argv, "r:o:k:p:b:c:h", options, NULL)) != -1) {
        switch (flag) {
        case 'r':
            s->policy = optarg;
            break;
        case 'o':
            s->output = optarg;
            break;
        case 'k':
            s->keyfile = optarg;
            break;
        case 'p':
            s->keypath = optarg;
            break;
        case 'b':
            s->backend = optarg;
            break;
        case 'c':
            s->cert = optarg;
            break;
        case 'h':
            help(stdout);
            return QL_TOOL_OK;
        default:
            return QL_TOOL_USAGE;
        }
    }
    return -1;
}

static int check(struct sign *s, const char *default_key)
{
    const char *wrong = NULL;

    if (!s->policy)
        wrong = "--runtime-policy is needed";
    else if (s->keyfile && s->keypath)
        wrong = "--keyfile and --keypath exclude each other";
    else if (strcasecmp(s->backend, "ecdsa") != 0 && strcasecmp(s->backend, "x509") != 0)
        wrong = "--backend is ecdsa or x509";
    else if (strcasecmp(s->backend, "x509") == 0 && !s->cert)
        wrong = "--backend x509 needs --cert-outfile";
    else if (s->is_old && !s->output)
        wrong = "--output_file is needed";
    if (wrong) {
        fprintf(stderr, "%s\n", wrong);
        return QL_TOOL_FAILED;
    }
    if (!s->keypath)
        s->keypath = default_key;
    return sign(s);
}

int ql_tool_sign(int argc, char **argv)
{
    struct sign s = {.backend = "ecdsa"};
    int code = parse(argc, argv, &s);

    return code >= 0 ? code : check(&s, "keylime-ecdsa-key.pem");
}

int ql_tool_sign_old(int argc, char **argv)
{
    struct sign s = {.backend = "ecdsa", .cert = "certificate.crt", .is_old = true};
    int code;

    if (argc < 2) {
        help(stdout);
        return QL_TOOL_OK;
    }
    code = parse(argc, argv, &s);
    return code >= 0 ? code : check(&s, "keylime-ecdsa-key");
}
