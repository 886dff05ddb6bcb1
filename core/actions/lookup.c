/* SPDX-License-Identifier: Apache-2.0 */
#include "lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "error.h"

static bool is_name_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool ql_action_name_ok(const char *name, size_t len)
{
    if (len == 0 || len > QL_ACTION_NAME_MAX || !is_name_byte(name[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_name_byte(name[i]) && name[i] != '.' && name[i] != '-')
            return false;
    return true;
}

/* Whoever may write it could have put anything there. */
static int check_rights(const struct stat *st, const char *path, struct ql_err *err)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return ql_fail(err, QL_EACCES, "%s: owner: wanted root or user %u, found user %u", path,
                       (unsigned)geteuid(), (unsigned)st->st_uid);
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return ql_fail(err, QL_EACCES, "%s: mode: only its owner may write it, found %04o", path,
                       (unsigned)(st->st_mode & 07777));
    return QL_OK;
}

static int check_file(int folder, const char *file, const char *path, enum ql_action_kind kind,
                      struct ql_err *err)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    ql_auto_close int fd = (int)syscall(SYS_openat2, folder, file, &how, sizeof how);
    struct stat st;
    int r;

    if (fd < 0 && errno == ENOENT)
        return QL_ENOTFOUND;
    if (fd < 0 && errno == EXDEV)
        return ql_fail(err, QL_EACCES, "%s is a link that leaves its folder", path);
    if (fd < 0 || fstat(fd, &st) != 0)
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return ql_fail(err, QL_EACCES, "%s is not a regular file", path);
    r = check_rights(&st, path, err);
    if (r == QL_OK && kind == QL_ACTION_PROGRAM && !(st.st_mode & 0111))
        return ql_fail(err, QL_EACCES, "%s is not executable", path);
    return r;
}

static const struct {
    const char *ending;
    enum ql_action_kind kind;
} forms[] = {
    {"", QL_ACTION_PROGRAM}, {".lua", QL_ACTION_LUA}, {".so", QL_ACTION_SO}, {".py", QL_ACTION_PYTHON}};

/* A name may have its ending already: `local_action_x.lua`. */
static enum ql_action_kind kind_of(const char *name, enum ql_action_kind kind)
{
    const char *dot = strrchr(name, '.');

    for (size_t i = 1; kind == QL_ACTION_PROGRAM && dot && i < QL_ARRAY_LEN(forms); i++)
        if (strcmp(dot, forms[i].ending) == 0)
            kind = forms[i].kind;
    return kind;
}

static int look_in(const struct ql_action_dirs *dirs, bool in_payload, const char *name,
                   struct ql_action_file *ret, struct ql_err *err)
{
    const char *dir = in_payload ? dirs->payload : dirs->configured;
    ql_auto_close int folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    int r;

    if (folder < 0 && errno == ENOENT)
        return QL_ENOTFOUND;
    if (folder < 0 || fstat(folder, &st) != 0)
        return ql_fail(err, QL_EIO, "%s: %s", dir, strerror(errno));
    for (size_t i = 0; i < QL_ARRAY_LEN(forms); i++) {
        const enum ql_action_kind kind = kind_of(name, forms[i].kind);
        char file[QL_ACTION_NAME_MAX + 8];
        int n;

        if ((kind == QL_ACTION_SO && in_payload) || (kind == QL_ACTION_PYTHON && !dirs->python))
            continue;
        (void)snprintf(file, sizeof file, "%s%s", name, forms[i].ending); /* fits: the name was checked */
        n = snprintf(ret->path, sizeof ret->path, "%s/%s", dir, file);
        if (n < 0 || (size_t)n >= sizeof ret->path)
            return ql_fail(err, QL_ELIMIT, "%s: path of an action is longer than %zu bytes", dir,
                           sizeof ret->path - 1);
        r = check_file(folder, file, ret->path, kind, err);
        if (r == QL_ENOTFOUND)
            continue;
        if (r == QL_OK)
            r = check_rights(&st, dir, err);
        ret->kind = kind;
        ret->dir = dir;
        return r;
    }
    return QL_ENOTFOUND;
}

int ql_action_find(const struct ql_action_dirs *dirs, const char *name, struct ql_action_file *ret,
                   struct ql_err *err)
{
    int r;

    if (!ql_action_name_ok(name, strlen(name)))
        return ql_fail(err, QL_ERANGE,
                       "name of an action: wanted at most %d of A-Z, a-z, 0-9, ., _ and -, none of . and "
                       "- in front",
                       QL_ACTION_NAME_MAX);
    r = look_in(dirs, false, name, ret, err);
    if (r == QL_ENOTFOUND && dirs->payload)
        r = look_in(dirs, true, name, ret, err);
    if (r == QL_ENOTFOUND)
        return ql_fail(err, QL_ENOTFOUND, "no action %s in %s%s%s", name, dirs->configured,
                       dirs->payload ? " or " : "; payload actions are not allowed",
                       dirs->payload ? dirs->payload : "");
    return r;
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool has_name(const struct ql_action_names *n, const char *name, size_t len)
{
    for (size_t i = 0; i < n->count; i++)
        if (strlen(n->names[i]) == len && memcmp(n->names[i], name, len) == 0)
            return true;
    return false;
}

int ql_action_names_add(struct ql_action_names *n, const char *text, size_t len, struct ql_err *err)
{
    size_t at = 0;

    if (len > QL_ACTION_LIST_MAX)
        return ql_fail(err, QL_ELIMIT, "list of actions: %zu bytes, at most %d", len, QL_ACTION_LIST_MAX);
    while (len > 0 && is_separator(text[len - 1]))
        len--;
    while (at < len && is_separator(text[at]))
        at++;
    if (len - at >= 2 && text[at] == '[' && text[len - 1] == ']') {
        at++;
        len--;
    }
    while (at < len) {
        const size_t from = at;

        while (at < len && !is_separator(text[at]))
            at++;
        if (at > from && !has_name(n, text + from, at - from)) {
            if (n->count == QL_ACTION_NAMES_MAX)
                return ql_fail(err, QL_ELIMIT, "list of actions: at most %d names", QL_ACTION_NAMES_MAX);
            n->names[n->count] = strndup(text + from, at - from);
            if (!n->names[n->count])
                return ql_fail_nomem(err);
            n->count++;
        }
        if (at < len)
            at++;
    }
    return QL_OK;
}

void ql_action_names_done(struct ql_action_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->names[i]);
    n->count = 0;
}
