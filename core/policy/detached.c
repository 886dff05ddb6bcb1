/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "detached.h"
#include "encode.h"
#include "error.h"

#define PGP_KEY "-----BEGIN PGP PUBLIC KEY BLOCK-----"
#define PEM_KEY "-----BEGIN PUBLIC KEY-----"

enum {
    STATUS_MAX = 64 * 1024 /* bytes of what gpgv says */
};

static bool begins(struct ql_span s, const char *text)
{
    return s.len >= strlen(text) && memcmp(s.data, text, strlen(text)) == 0;
}

/* ---- OpenPGP ---- */

/* The next line without its end; false: there is none. */
static bool next_line(struct ql_span *rest, struct ql_span *line)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->data, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len;

    if (rest->len == 0)
        return false;
    *line = (struct ql_span){.data = rest->data, .len = len};
    rest->data += end ? len + 1 : len;
    rest->len -= end ? len + 1 : len;
    while (line->len > 0 && strchr(" \t\r", line->data[line->len - 1]))
        line->len--;
    return true;
}

int ql_openpgp_dearmour(struct ql_span text, uint8_t **ret, size_t *ret_len, struct ql_err *err)
{
    ql_auto_free char *base64 = NULL;
    struct ql_span line;
    size_t len = 0;
    bool has_end = false;

    if (text.len > QL_DETACHED_MAX)
        return ql_fail(err, QL_ELIMIT, "OpenPGP: more than %d bytes", QL_DETACHED_MAX);
    if (!begins(text, "-----BEGIN PGP ") || !(base64 = malloc(text.len)))
        return ql_fail(err, QL_EPARSE, "OpenPGP: no armoured block");
    while (next_line(&text, &line) && line.len > 0)
        ; /* its first line and headers; a blank line ends them */
    while (!has_end && next_line(&text, &line)) {
        has_end = begins(line, "-----END PGP ");
        if (has_end ||
            (line.len > 0 && line.data[0] == '=')) /* = begins the checksum, which proves nothing */
            continue;
        memcpy(base64 + len, line.data, line.len);
        len += line.len;
    }
    if (!has_end || len == 0)
        return ql_fail(err, QL_EPARSE, "OpenPGP: the armoured block is cut short");
    return ql_base64_decode_dup(base64, len, QL_DETACHED_MAX, ret, ret_len, err);
}

/* A file in memory that a child may open by its number. */
static int memory_file(const char *name, struct ql_span s, int *ret, struct ql_err *err)
{
    ql_auto_close int fd = memfd_create(name, 0);

    if (fd < 0)
        return ql_fail(err, QL_EIO, "%s: %s", name, strerror(errno));
    for (size_t at = 0; at < s.len;) {
        const ssize_t n = write(fd, s.data + at, s.len - at);

        if (n <= 0)
            return ql_fail(err, QL_EIO, "%s: %s", name, strerror(errno));
        at += (size_t)n;
    }
    *ret = ql_steal_fd(fd);
    return QL_OK;
}

static const char *gpgv(void)
{
    static const char *const places[] = {"/usr/bin/gpgv", "/bin/gpgv", "/usr/local/bin/gpgv"};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

/* Lines of gpgv's status. One signature at least, and each must be good; see doc/DETAILS of GnuPG. */
static bool status_is_good(const char *text)
{
    static const char *const bad[] = {"BADSIG",    "ERRSIG", "EXPSIG", "EXPKEYSIG",
                                      "REVKEYSIG", "NODATA", "FAILURE"};
    const size_t mark = strlen("[GNUPG:] ");
    size_t good = 0;

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, "[GNUPG:] ", mark) != 0)
            continue;
        good += strncmp(line + mark, "VALIDSIG ", 9) == 0;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
            if (strncmp(line + mark, bad[i], strlen(bad[i])) == 0)
                return false;
    }
    return good > 0;
}

/* Run gpgv on three open files and keep what it says. @return its exit status, or an error */
static int run_gpgv(const char *program, const int fds[3], char status[STATUS_MAX], struct ql_err *err)
{
    char paths[3][32];
    char *argv[] = {(char *)(uintptr_t) "gpgv",
                    (char *)(uintptr_t) "--status-fd",
                    (char *)(uintptr_t) "1",
                    (char *)(uintptr_t) "--keyring",
                    paths[0],
                    paths[1],
                    paths[2],
                    NULL};
    char *env[] = {(char *)(uintptr_t) "LC_ALL=C", (char *)(uintptr_t) "GNUPGHOME=/nonexistent",
                   (char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};
    ql_auto_close int in = -1, out = -1;
    posix_spawn_file_actions_t files;
    int both[2], e, result = 0;
    size_t len = 0;
    ssize_t n;
    pid_t pid;

    for (int i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], "/proc/self/fd/%d", fds[i]);
    if (pipe2(both, O_CLOEXEC) != 0)
        return ql_fail(err, QL_EIO, "gpgv: %s", strerror(errno));
    in = both[0];
    out = both[1];
    posix_spawn_file_actions_init(&files);
    e = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    e = e ? e : posix_spawn_file_actions_adddup2(&files, out, 1);
    e = e ? e : posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    e = e ? e : posix_spawn(&pid, program, &files, NULL, argv, env);
    posix_spawn_file_actions_destroy(&files);
    if (e)
        return ql_fail(err, QL_EIO, "%s: %s", program, strerror(e));
    ql_closep(&out);
    while (len < STATUS_MAX - 1 &&
           ((n = read(in, status + len, STATUS_MAX - 1 - len)) > 0 || (n < 0 && errno == EINTR)))
        len += n > 0 ? (size_t)n : 0;
    status[len] = '\0';
    ql_closep(&in); /* one that says more than that gets no further */
    while (waitpid(pid, &result, 0) < 0)
        if (errno != EINTR)
            return ql_fail(err, QL_EIO, "%s: %s", program, strerror(errno));
    return WIFEXITED(result) ? WEXITSTATUS(result) : 128;
}

static int check_openpgp(struct ql_span key, struct ql_span signature, struct ql_span data,
                         struct ql_err *err)
{
    const char *program = gpgv();
    ql_auto_free uint8_t *ring = NULL;
    ql_auto_free char *status = malloc(STATUS_MAX);
    ql_auto_close int ring_fd = -1, signature_fd = -1, data_fd = -1;
    size_t ring_len;
    int r;

    if (!program)
        return ql_fail(err, QL_ENOTFOUND, "gpgv, which checks OpenPGP signatures, is not installed");
    r = status ? ql_openpgp_dearmour(key, &ring, &ring_len, err) : ql_fail_nomem(err);
    if (r == QL_OK)
        r = memory_file("keyring", (struct ql_span){ring, ring_len}, &ring_fd, err);
    if (r == QL_OK)
        r = memory_file("signature", signature, &signature_fd, err);
    if (r == QL_OK)
        r = memory_file("data", data, &data_fd, err);
    if (r == QL_OK)
        r = run_gpgv(program, (const int[]){ring_fd, signature_fd, data_fd}, status, err);
    if (r < 0)
        return r;
    return r == 0 && status_is_good(status) ? QL_OK : ql_fail(err, QL_ECRYPTO, "the signature is not good");
}

/* ---- ECDSA ---- */

static int check_ecdsa(struct ql_span key, struct ql_span signature, struct ql_span data, struct ql_err *err)
{
    BIO *bio = BIO_new_mem_buf(key.data, (int)key.len);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool is_good = pkey && ctx && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC &&
                         EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, pkey) == 1 &&
                         EVP_DigestVerify(ctx, signature.data, signature.len, data.data, data.len) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    BIO_free(bio);
    return is_good ? QL_OK : ql_fail(err, QL_ECRYPTO, "the signature is not good");
}

int ql_detached_check(struct ql_span key, struct ql_span signature, struct ql_span data, struct ql_err *err)
{
    if (key.len > QL_DETACHED_MAX || signature.len > QL_DETACHED_MAX)
        return ql_fail(err, QL_ELIMIT, "key or signature of more than %d bytes", QL_DETACHED_MAX);
    if (begins(key, PGP_KEY))
        return check_openpgp(key, signature, data, err);
    if (begins(key, PEM_KEY))
        return check_ecdsa(key, signature, data, err);
    return ql_fail(err, QL_ECRYPTO, "the key is neither OpenPGP's nor a PEM public key");
}
