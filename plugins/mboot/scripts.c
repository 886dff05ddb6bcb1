/* SPDX-License-Identifier: Apache-2.0 */
#include "scripts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum {
    NAME_MAX_LEN = 48
};

const struct mb_script *mb_scripts_find(const struct mb_scripts *s, const char *name)
{
    for (size_t i = 0; s && i < s->imported_count; i++)
        if (strcmp(s->imported[i].name, name) == 0)
            return &s->imported[i];
    for (const struct mb_script *b = mb_bundled; b->name; b++)
        if (strcmp(b->name, name) == 0)
            return b;
    return NULL;
}

void mb_scripts_free(struct mb_scripts *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->imported_count; i++) {
        s->host->free(s->host, (void *)(uintptr_t)s->imported[i].name);
        s->host->free(s->host, (void *)(uintptr_t)s->imported[i].text);
    }
    s->host->free(s->host, s);
}

static bool name_ok(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || name[i] == '-'))
            return false;
    return len > 0 && len <= NAME_MAX_LEN;
}

/* The whole file, at most MB_SCRIPT_MAX bytes. */
static int read_all(const struct ql_host *h, const char *path, char **ret, size_t *ret_len,
                    struct ql_err *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    char *text;
    ssize_t got = 0;

    if (fd < 0)
        return h->fail(err, errno == ENOENT ? QL_ENOTFOUND : QL_EIO, "measured_boot_imports: %s: %s", path,
                       strerror(errno));
    text = h->alloc(h, MB_SCRIPT_MAX + 1);
    while (text && len <= MB_SCRIPT_MAX && (got = read(fd, text + len, MB_SCRIPT_MAX + 1 - len)) > 0)
        len += (size_t)got;
    (void)close(fd); /* only read */
    if (!text)
        return h->fail(err, QL_ENOMEM, "out of memory");
    if (got < 0 || len > MB_SCRIPT_MAX) {
        h->free(h, text);
        return got < 0 ? h->fail(err, QL_EIO, "measured_boot_imports: %s: %s", path, strerror(errno))
                       : h->fail(err, QL_ELIMIT, "measured_boot_imports: %s: more than %d bytes", path,
                                 MB_SCRIPT_MAX);
    }
    *ret = text;
    *ret_len = len;
    return QL_OK;
}

static int import(struct mb_scripts *s, const char *path, struct ql_err *err)
{
    const struct ql_host *h = s->host;
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const size_t base_len = strlen(base);
    struct mb_script *to = &s->imported[s->imported_count];
    char *name, *text = NULL;
    size_t len = 0;
    int r;

    if (s->imported_count == MB_IMPORTS_MAX)
        return h->fail(err, QL_ELIMIT, "measured_boot_imports: more than %d scripts", MB_IMPORTS_MAX);
    if (base_len < 5 || strcmp(base + base_len - 4, ".lua") != 0 || !name_ok(base, base_len - 4))
        return h->fail(err, QL_ERANGE,
                       "measured_boot_imports: %s: wanted the path of a script NAME.lua, NAME of a-z, 0-9, -",
                       path);
    name = h->alloc(h, base_len - 3);
    if (!name)
        return h->fail(err, QL_ENOMEM, "out of memory");
    memcpy(name, base, base_len - 4);
    name[base_len - 4] = '\0';
    r = mb_scripts_find(s, name)
            ? h->fail(err, QL_EEXIST, "measured_boot_imports: %s: there is a policy %s already", path, name)
            : read_all(h, path, &text, &len, err);
    if (r < 0) {
        h->free(h, name);
        return r;
    }
    *to = (struct mb_script){.name = name, .text = text, .len = len};
    s->imported_count++;
    return QL_OK;
}

int mb_scripts_new(const struct ql_host *host, const char *(*item)(const void *arg, size_t n),
                   const void *arg, struct mb_scripts **ret, struct ql_err *err)
{
    struct mb_scripts *s = host->alloc(host, sizeof *s);
    const char *path;
    int r = QL_OK;

    if (!s)
        return host->fail(err, QL_ENOMEM, "out of memory");
    *s = (struct mb_scripts){.host = host};
    for (size_t n = 0; r == QL_OK && (path = item(arg, n)) != NULL; n++)
        r = import(s, path, err);
    if (r < 0) {
        mb_scripts_free(s);
        return r;
    }
    *ret = s;
    return QL_OK;
}

const struct mb_script *mb_scripts_at(const struct mb_scripts *s, size_t n)
{
    size_t bundled = 0;

    while (mb_bundled[bundled].name)
        bundled++;
    if (n < bundled)
        return &mb_bundled[n];
    return s && n - bundled < s->imported_count ? &s->imported[n - bundled] : NULL;
}
