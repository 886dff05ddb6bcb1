/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "secret.h"

struct ql_secret {
    uint8_t *bytes; /* a mapping of its own: locking and MADV_DONTDUMP work by pages */
    size_t len;
    size_t map_len;
};

int ql_secret_new_empty(size_t len, struct ql_secret **ret, struct ql_err *err)
{
    struct ql_secret *s;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *map;

    if (len > QL_SECRET_MAX)
        return ql_fail(err, QL_ELIMIT, "secret of %zu bytes, at most %d", len, QL_SECRET_MAX);
    s = calloc(1, sizeof *s);
    if (!s)
        return ql_fail_nomem(err);
    s->len = len;
    s->map_len = (len + 1 + page - 1) / page * page;
    map = mmap(NULL, s->map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) {
        free(s);
        return ql_fail_nomem(err);
    }
    s->bytes = map;
    /* Both only lower the risk: a container's RLIMIT_MEMLOCK must not keep a daemon from working. */
    (void)mlock(map, s->map_len);
    (void)madvise(map, s->map_len, MADV_DONTDUMP);
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
    ql_wipe(s->bytes, s->map_len);
    (void)munmap(s->bytes, s->map_len); /* cannot fail for a mapping of ours */
    free(s);
}

void ql_wipe(void *data, size_t len)
{
    if (len > 0)
        explicit_bzero(data, len);
}

bool ql_equal_ct(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *p = a, *q = b;
    uint8_t differ = 0;

    for (size_t i = 0; i < len; i++)
        differ |= p[i] ^ q[i];
    return differ == 0;
}
