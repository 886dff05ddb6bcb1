/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "vault.h"

struct ql_vault {
    void *writable;
    const void *readable;
    size_t len;
};

int ql_vault_new(size_t len, struct ql_vault **ret, struct ql_err *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    ql_auto(ql_vault_freep) struct ql_vault *v = calloc(1, sizeof *v);
    ql_auto_close int fd = memfd_create("vault", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *at;

    if (!v)
        return ql_fail_nomem(err);
    v->len = (len + page - 1) / page * page;
    if (fd < 0 || ftruncate(fd, (off_t)v->len) != 0)
        return ql_fail(err, QL_ENOMEM, "memory of %zu bytes: %s", len, strerror(errno));
    at = mmap(NULL, v->len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return ql_fail(err, QL_ENOMEM, "mapping %zu bytes: %s", len, strerror(errno));
    v->writable = at;
    at = mmap(NULL, v->len, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return ql_fail(err, QL_ENOMEM, "mapping %zu bytes: %s", len, strerror(errno));
    v->readable = at;
    *ret = ql_steal(v);
    return QL_OK;
}

void ql_vault_free(struct ql_vault *v)
{
    if (!v)
        return;
    if (v->writable)
        (void)munmap(v->writable, v->len); /* our own mappings */
    if (v->readable)
        (void)munmap((void *)(uintptr_t)v->readable, v->len);
    free(v);
}

void *ql_vault_writable(const struct ql_vault *v)
{
    return v->writable;
}

const void *ql_vault_readable(const struct ql_vault *v)
{
    return v->readable;
}

size_t ql_vault_len(const struct ql_vault *v)
{
    return v->len;
}
