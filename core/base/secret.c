/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "secret.h"

/* Pages of its own, so that locking and excluding from core files touch nothing else. */
struct ql_secret {
    size_t map_len, len;
    uint8_t bytes[];
};

void ql_wipe(void *data, size_t len)
{
    explicit_bzero(data, len);
}

bool ql_equal_ct(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t differs = 0;

    for (size_t i = 0; i < len; i++)
        differs |= x[i] ^ y[i];
    return differs == 0;
}

int ql_secret_new_empty(size_t len, struct ql_secret **ret, struct ql_err *err)
{
    size_t map_len = sizeof(struct ql_secret) + len + 1;
    struct ql_secret *s;

    if (len > QL_SECRET_MAX)
        return ql_fail(err, QL_ELIMIT, "secret of %zu bytes, at most %d", len, QL_SECRET_MAX);
    s = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        return ql_fail_nomem(err);
    /* Locking may be refused by a limit; the secret then still stays out of core files. */
    (void)mlock(s, map_len);
    (void)madvise(s, map_len, MADV_DONTDUMP);
    s->map_len = map_len;
    s->len = len;
    *ret = s;
    return QL_OK;
}

int ql_secret_new(const void *data, size_t len, struct ql_secret **ret, struct ql_err *err)
{
    int r = ql_secret_new_empty(len, ret, err);

    if (r == QL_OK && len > 0)
        memcpy((*ret)->bytes, data, len);
    return r;
}

const uint8_t *ql_secret_data(const struct ql_secret *s)
{
    return s->bytes;
}

uint8_t *ql_secret_writable(struct ql_secret *s)
{
    return s->bytes;
}

size_t ql_secret_len(const struct ql_secret *s)
{
    return s->len;
}

void ql_secret_free(struct ql_secret *s)
{
    if (!s)
        return;
    ql_wipe(s->bytes, s->len);
    (void)munmap(s, s->map_len); /* cannot fail for a mapping of ours */
}
