/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "digest.h"
#include "error.h"
#include "store.h"

enum {
    KEY_LEN = 32,
    IV_LEN = 12,
    TAG_LEN = 16,
    HEAD_LEN = 1 + IV_LEN,
    VERSION = 1,
    SEALED_MAX = QL_SECRET_MAX
};

struct ql_seal {
    struct ql_secret *key;
};

static int io_code(int error)
{
    return error == EACCES || error == EPERM || error == EROFS || error == ELOOP ? QL_EACCES : QL_EIO;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static void sync_folder(const char *path)
{
    ql_auto_free char *dir = strdup(path);
    ql_auto_close int fd = -1;
    char *slash = dir ? strrchr(dir, '/') : NULL;

    if (slash)
        slash[slash == dir] = 0;
    fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd); /* a key lost with the power is made anew while nothing is sealed under it */
}

/**
 * A new key under a name of its own, then linked to @p path: link() takes no name that exists, and nobody ever sees
 * half a key. @return 1: somebody else's key is there now
 */
static int make_key(const char *path, struct ql_err *err)
{
    uint8_t key[KEY_LEN];
    ql_auto_free char *draft = NULL;
    ql_auto_close int fd = -1;
    char suffix[13];
    int r = QL_OK, failed;

    ql_random_alnum(suffix, sizeof suffix - 1);
    if (asprintf(&draft, "%s.%s", path, suffix) < 0)
        return ql_fail_nomem(err);
    fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ql_fail(err, io_code(errno), "store_key_file %s cannot be made: %s", path, strerror(errno));
    ql_random(key, sizeof key);
    failed = fchmod(fd, 0600) < 0 || write_all(fd, key, sizeof key) < 0 || fsync(fd) < 0;
    ql_wipe(key, sizeof key);
    if (failed)
        r = ql_fail(err, errno == ENOSPC || errno == EDQUOT ? QL_EFULL : QL_EIO,
                    "store_key_file %s cannot be written: %s", path, strerror(errno));
    else if (link(draft, path) < 0)
        r = errno == EEXIST ? 1
                            : ql_fail(err, io_code(errno), "store_key_file %s: %s", path, strerror(errno));
    (void)unlink(draft); /* one name is enough; a second one that stays is as well guarded */
    if (r == QL_OK)
        sync_folder(path);
    return r;
}

static int read_key(int fd, const char *path, struct ql_secret **ret, struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *key = NULL;
    struct stat st;
    size_t at = 0;
    int r;

    if (fstat(fd, &st) < 0)
        return ql_fail(err, QL_EIO, "store_key_file %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return ql_fail(err, QL_EACCES, "store_key_file %s is not a regular file", path);
    if (st.st_mode & 077)
        return ql_fail(err, QL_EACCES,
                       "store_key_file %s has mode %04o, wanted 0600: others must not reach it", path,
                       (unsigned)(st.st_mode & 07777));
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return ql_fail(err, QL_EACCES, "store_key_file %s belongs to user %u, wanted %u", path,
                       (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_size != KEY_LEN)
        return ql_fail(err, QL_ERANGE, "store_key_file %s has %lld bytes, wanted %d", path,
                       (long long)st.st_size, KEY_LEN);
    r = ql_secret_new_empty(KEY_LEN, &key, err);
    if (r < 0)
        return r;
    while (at < KEY_LEN) {
        ssize_t n = read(fd, ql_secret_writable(key) + at, KEY_LEN - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ql_fail(err, QL_EIO, "store_key_file %s: %s", path, n ? strerror(errno) : "cut short");
        at += (size_t)n;
    }
    *ret = ql_steal(key);
    return QL_OK;
}

int ql_seal_open(const char *key_file, struct ql_seal **ret, struct ql_err *err)
{
    ql_auto(ql_seal_freep) struct ql_seal *s = NULL;
    ql_auto_close int fd = -1;
    int r;

    s = calloc(1, sizeof *s);
    if (!s)
        return ql_fail_nomem(err);
    fd = open(key_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        r = make_key(key_file, err);
        if (r < 0)
            return r;
        fd = open(key_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    }
    if (fd < 0)
        return ql_fail(err, io_code(errno), "store_key_file %s cannot be read: %s", key_file,
                       strerror(errno));
    r = read_key(fd, key_file, &s->key, err);
    if (r < 0)
        return r;
    *ret = ql_steal(s);
    return QL_OK;
}

void ql_seal_free(struct ql_seal *s)
{
    if (!s)
        return;
    ql_secret_free(s->key);
    free(s);
}

QL_DEFINE_CLEANUP(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)

int ql_seal_wrap(const struct ql_seal *s, const void *data, size_t len, uint8_t **ret, size_t *ret_len,
                 struct ql_err *err)
{
    ql_auto(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = NULL;
    ql_auto_free uint8_t *out = NULL;
    int n = 0, last = 0;

    if (len > SEALED_MAX)
        return ql_fail(err, QL_ELIMIT, "%zu bytes to seal, at most %d", len, SEALED_MAX);
    out = malloc(HEAD_LEN + len + TAG_LEN);
    ctx = EVP_CIPHER_CTX_new();
    if (!out || !ctx)
        return ql_fail_nomem(err);
    out[0] = VERSION;
    ql_random(out + 1, IV_LEN);
    if (EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, ql_secret_data(s->key), out + 1) != 1 ||
        EVP_EncryptUpdate(ctx, NULL, &n, out, 1) != 1 ||
        EVP_EncryptUpdate(ctx, out + HEAD_LEN, &n, len ? data : out, (int)len) != 1 ||
        EVP_EncryptFinal_ex(ctx, out + HEAD_LEN + n, &last) != 1 || (size_t)n + (size_t)last != len ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, out + HEAD_LEN + len) != 1)
        return ql_fail(err, QL_ECRYPTO, "sealing failed");
    *ret = ql_steal(out);
    *ret_len = HEAD_LEN + len + TAG_LEN;
    return QL_OK;
}

int ql_seal_unwrap(const struct ql_seal *s, const void *data, size_t len, struct ql_secret **ret,
                   struct ql_err *err)
{
    ql_auto(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = NULL;
    ql_auto(ql_secret_freep) struct ql_secret *plain = NULL;
    const uint8_t *in = data;
    uint8_t tag[TAG_LEN];
    size_t body;
    int n = 0, last = 0, r;

    if (!in || len < HEAD_LEN + TAG_LEN || len - HEAD_LEN - TAG_LEN > SEALED_MAX || in[0] != VERSION)
        return ql_fail(err, QL_ECRYPTO, "a sealed value does not open with this store_key_file");
    body = len - HEAD_LEN - TAG_LEN;
    r = ql_secret_new_empty(body, &plain, err);
    if (r < 0)
        return r;
    ctx = EVP_CIPHER_CTX_new();
    if (!ctx)
        return ql_fail_nomem(err);
    memcpy(tag, in + len - TAG_LEN, TAG_LEN);
    if (EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, ql_secret_data(s->key), in + 1) != 1 ||
        EVP_DecryptUpdate(ctx, NULL, &n, in, 1) != 1 ||
        EVP_DecryptUpdate(ctx, ql_secret_writable(plain), &n, in + HEAD_LEN, (int)body) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) != 1 ||
        EVP_DecryptFinal_ex(ctx, ql_secret_writable(plain) + n, &last) != 1)
        return ql_fail(err, QL_ECRYPTO, "a sealed value does not open with this store_key_file");
    *ret = ql_steal(plain);
    return QL_OK;
}
