/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "error.h"
#include "vault.h"

struct ql_vault {
    void *memory;
    size_t len;
};

int ql_vault_new(size_t len, struct ql_vault **ret, struct ql_err *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct ql_vault *v = calloc(1, sizeof *v);

    if (!v)
        return ql_fail_nomem(err);
    v->len = (len + page - 1) / page * page;
    v->memory = mmap(NULL, v->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v->memory == MAP_FAILED) {
        free(v);
        return ql_fail(err, QL_ENOMEM, "mapping %zu bytes: %s", len, strerror(errno));
    }
    *ret = v;
    return QL_OK;
}

void ql_vault_free(struct ql_vault *v)
{
    if (!v)
        return;
    (void)munmap(v->memory, v->len); /* our own mapping */
    free(v);
}

void *ql_vault_open(struct ql_vault *v)
{
    return mprotect(v->memory, v->len, PROT_READ | PROT_WRITE) == 0 ? v->memory : NULL;
}

int ql_vault_close(struct ql_vault *v)
{
    return mprotect(v->memory, v->len, PROT_READ) == 0 ? QL_OK : QL_EINTERNAL;
}

size_t ql_vault_len(const struct ql_vault *v)
{
    return v->len;
}
