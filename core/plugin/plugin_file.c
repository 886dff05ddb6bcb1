/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding a plugin's file. Every folder on the way is opened and checked before the next name is looked up in
 * it, links included, so what was checked is what is loaded: nobody but root and the daemon's user can have
 * put it there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "internal.h"
#include "parse.h"

enum {
    LINKS_MAX =
        16, /* symbolic links on the way, as few as any installation has and far below the kernel's 40 */
};

/** A walk from the root to a file. */
struct walk {
    const char *what;    /* path as asked for, for messages */
    char rest[PATH_MAX]; /* names still to be looked up */
    unsigned links;
    int dir; /* owned */
};

static int check_owner(const struct stat *st, const char *kind, const char *name, const char *what,
                       struct ql_err *err)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return ql_fail(err, QL_EACCES, "%s: %s %s: owner: wanted root or user %u, found user %u", what, kind,
                       name, (unsigned)geteuid(), (unsigned)st->st_uid);
    return QL_OK;
}

int ql_plugin_fd_check(int fd, const char *what, struct ql_err *err)
{
    struct stat st;
    int r;

    if (fstat(fd, &st) != 0)
        return ql_fail(err, QL_EIO, "%s: %m", what);
    if (!S_ISREG(st.st_mode))
        return ql_fail(err, QL_EACCES, "%s: type: wanted a regular file, found mode %06o", what,
                       (unsigned)st.st_mode);
    r = check_owner(&st, "file", "itself", what, err);
    if (r < 0)
        return r;
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return ql_fail(err, QL_EACCES, "%s: mode: wanted a file that only its owner may write, found %04o",
                       what, (unsigned)(st.st_mode & 07777));
    return QL_OK;
}

/*
 * A folder that others may write is fine only in the way of /tmp: root's, and sticky, so entries cannot be
 * replaced.
 */
static int check_folder(int fd, const char *name, const char *what, struct ql_err *err)
{
    struct stat st;
    int r;

    if (fstat(fd, &st) != 0)
        return ql_fail(err, QL_EIO, "%s: %m", what);
    r = check_owner(&st, "folder", name, what, err);
    if (r < 0)
        return r;
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !((st.st_mode & S_ISVTX) && st.st_uid == 0))
        return ql_fail(err, QL_EACCES,
                       "%s: mode of folder %s: wanted one that only its owner may write, found %04o", what,
                       name, (unsigned)(st.st_mode & 07777));
    return QL_OK;
}

static int enter(struct walk *w, int at, const char *name, struct ql_err *err)
{
    int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;

    if (fd < 0)
        return ql_fail(err, errno == ENOENT ? QL_ENOTFOUND : QL_EIO, "%s: folder %s: %m", w->what, name);
    r = check_folder(fd, name, w->what, err);
    if (r < 0) {
        (void)close(fd); /* O_PATH: nothing to lose */
        return r;
    }
    ql_closep(&w->dir);
    w->dir = fd;
    return QL_OK;
}

/* Put the text of a link before what is left of the path. */
static int follow(struct walk *w, const char *name, struct ql_err *err)
{
    char text[PATH_MAX], joined[2 * PATH_MAX];
    ssize_t len = readlinkat(w->dir, name, text, sizeof text - 1);

    if (len < 0)
        return ql_fail(err, QL_EIO, "%s: link %s: %m", w->what, name);
    if (++w->links > LINKS_MAX)
        return ql_fail(err, QL_ELIMIT, "%s: more than %d links", w->what, LINKS_MAX);
    text[len] = '\0';
    snprintf(joined, sizeof joined, "%s%s%s", text, w->rest[0] ? "/" : "", w->rest);
    if (strlen(joined) >= sizeof w->rest)
        return ql_fail(err, QL_ELIMIT, "%s: path longer than %zu bytes", w->what, sizeof w->rest - 1);
    memcpy(w->rest, joined, strlen(joined) + 1);
    return text[0] == '/' ? enter(w, AT_FDCWD, "/", err) : QL_OK;
}

/* Take the next name off the path. @return false: none is left */
static bool next_name(struct walk *w, char name[NAME_MAX + 1], bool *is_last)
{
    const char *at = w->rest + strspn(w->rest, "/");
    size_t len = strcspn(at, "/");

    if (len == 0 || len > NAME_MAX)
        return false;
    memcpy(name, at, len);
    name[len] = '\0';
    *is_last = at[len] == '\0';
    memmove(w->rest, at + len, strlen(at + len) + 1);
    return true;
}

static int walk_to(struct walk *w, int *ret_fd, struct ql_err *err)
{
    char name[NAME_MAX + 1];
    bool is_last = false;

    while (next_name(w, name, &is_last)) {
        struct stat st;
        int r;

        if (fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return ql_fail(err, errno == ENOENT ? QL_ENOTFOUND : QL_EIO, "%s: %s: %m", w->what, name);
        if (S_ISLNK(st.st_mode)) {
            r = follow(w, name, err);
        } else if (!is_last) {
            r = enter(w, w->dir, name, err);
        } else {
            /* Not blocking: a pipe in the place of a plugin must not hold up the start. */
            ql_auto_close int fd =
                openat(w->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

            if (fd < 0)
                return ql_fail(err, errno == EACCES ? QL_EACCES : QL_EIO, "%s: %m", w->what);
            r = ql_plugin_fd_check(fd, w->what, err);
            if (r == QL_OK)
                *ret_fd = ql_steal_fd(fd);
            return r;
        }
        if (r < 0)
            return r;
    }
    return ql_fail(err, QL_EACCES, "%s: type: wanted a regular file, found none at the end of the path",
                   w->what);
}

static int open_path(const char *path, int *ret_fd, struct ql_err *err)
{
    struct walk w = {.what = path, .dir = -1};
    char here[PATH_MAX] = "";
    int n, r;

    if (path[0] != '/' && !getcwd(here, sizeof here))
        return ql_fail(err, QL_EIO, "%s: the working folder: %m", path);
    n = snprintf(w.rest, sizeof w.rest, "%s/%s", here, path);
    if (n < 0 || (size_t)n >= sizeof w.rest)
        return ql_fail(err, QL_ELIMIT, "%s: path longer than %zu bytes", path, sizeof w.rest - 1);
    r = enter(&w, AT_FDCWD, "/", err);
    if (r == QL_OK)
        r = walk_to(&w, ret_fd, err);
    ql_closep(&w.dir);
    return r;
}

/* Names of actions are freer than those of plugins: local_action_x. What is made of one is a plugin's name. */
static bool action_name(const char *base, size_t len, char name[64])
{
    size_t at = 0;

    for (; at < len && at < 32; at++) {
        const char c = base[at];

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')
            name[at] = c;
        else if (c >= 'A' && c <= 'Z')
            name[at] = (char)(c - 'A' + 'a');
        else if (c == '_' || c == '.')
            name[at] = '-';
        else
            return false;
    }
    name[at] = '\0';
    return at > 0;
}

static int path_open(const char *path, bool is_action, struct ql_plugin_file *ret, struct ql_err *err)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    const char *dot = strrchr(base, '.');
    struct ql_plugin_file f = {.fd = -1};
    size_t len = dot ? (size_t)(dot - base) : 0;
    int r;

    if (!dot || (strcmp(dot, ".so") != 0 && strcmp(dot, ".lua") != 0))
        return ql_fail(err, QL_ERANGE, "%s: ending: wanted .so or .lua", path);
    if (is_action && !action_name(base, len, f.name))
        return ql_fail(err, QL_ERANGE, "%s: name: wanted letters, digits, _, . and -", path);
    if (!is_action && !ql_component_name_ok(base, len))
        return ql_fail(err, QL_ERANGE, "%s: name: wanted 1 to 32 of a-z, 0-9 and -", path);
    if (!is_action)
        memcpy(f.name, base, len);
    f.is_lua = strcmp(dot, ".lua") == 0;
    r = open_path(path, &f.fd, err);
    if (r == QL_OK)
        *ret = f;
    return r;
}

int ql_plugin_path_open(const char *path, struct ql_plugin_file *ret, struct ql_err *err)
{
    return path_open(path, false, ret, err);
}

int ql_plugin_action_open(const char *path, struct ql_plugin_file *ret, struct ql_err *err)
{
    return path_open(path, true, ret, err);
}

int ql_plugin_file_open(const char *dir, const char *name, struct ql_plugin_file *ret, struct ql_err *err)
{
    struct ql_plugin_file found[2] = {{.fd = -1}, {.fd = -1}};
    static const char *const endings[] = {"so", "lua"};
    size_t count = 0;

    if (!ql_component_name_ok(name, strlen(name)))
        return ql_fail(err, QL_ERANGE, "plugin name \"%.64s\": wanted 1 to 32 of a-z, 0-9 and -", name);
    for (size_t i = 0; i < QL_ARRAY_LEN(endings); i++) {
        ql_auto_free char *path = NULL;
        int r;

        if (asprintf(&path, "%s/%s.%s", dir, name, endings[i]) < 0) {
            path = NULL; /* undefined after a failure */
            r = ql_fail_nomem(err);
        } else {
            r = ql_plugin_path_open(path, &found[count], err);
        }
        if (r == QL_OK) {
            count++;
        } else if (r != QL_ENOTFOUND) {
            ql_plugin_file_close(&found[0]);
            return r;
        }
    }
    if (count == 0)
        return ql_fail(err, QL_ENOTFOUND, "plugin %s: neither %s.so nor %s.lua is in %s", name, name, name,
                       dir);
    if (count == 2) {
        ql_plugin_file_close(&found[0]);
        ql_plugin_file_close(&found[1]);
        return ql_fail(err, QL_EEXIST, "plugin %s: both %s.so and %s.lua are in %s", name, name, name, dir);
    }
    *ret = found[0];
    return QL_OK;
}

void ql_plugin_file_close(struct ql_plugin_file *f)
{
    if (f->fd > 0)
        (void)close(f->fd); /* read only */
    f->fd = -1;
}
