/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ql.file: read and replace files below folders that the configuration names, for actions. The kernel keeps
 * every look-up below the folder and off symbolic links (openat2), and what is written appears as a whole or
 * not at all (rename).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "buf.h"
#include "error.h"
#include "lua_call.h"

enum {
    FILE_MAX_LEN = 1024 * 1024, /* bytes of a file; what actions change are lists of keys, addresses, users */
};

/** What is on disk under a name. */
struct found {
    struct ql_buf text;
    struct stat st;
    bool exists;
};

static int open_below(int folder, const char *rest, uint64_t flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, folder, rest, &how, sizeof how);
}

/*
 * Open the folder that holds @p path, below the one that is granted.
 * @param[out] ret_base  last name of the path, borrowed from it
 */
static int open_parent(const struct ql_lua_grants *g, const char *path, int *ret_fd, const char **ret_base,
                       struct ql_err *err)
{
    for (size_t i = 0; g->file_dirs && g->file_dirs[i]; i++) {
        const char *dir = g->file_dirs[i], *rest, *base;
        size_t len = strlen(dir);
        char inner[4096];
        int parent;

        while (len > 1 && dir[len - 1] == '/')
            len--;
        if (dir[0] != '/' || strncmp(path, dir, len) != 0 || path[len] != '/')
            continue;
        rest = path + len + 1;
        base = strrchr(rest, '/') ? strrchr(rest, '/') + 1 : rest;
        if (*rest == '/' || *base == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0 ||
            strlen(rest) >= sizeof inner)
            return ql_fail(err, QL_ERANGE, "%s names no file", path);
        ql_auto_close int folder = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

        if (folder < 0)
            return ql_fail(err, QL_EIO, "%s: %s", dir, strerror(errno));
        snprintf(inner, sizeof inner, "%.*s", (int)(base - rest), rest);
        parent = open_below(folder, base == rest ? "." : inner, O_RDONLY | O_DIRECTORY);
        if (parent < 0)
            return ql_fail(err, errno == ENOENT ? QL_ENOTFOUND : QL_EIO, "%s: %s", path, strerror(errno));
        *ret_fd = parent;
        *ret_base = base;
        return QL_OK;
    }
    return ql_fail(err, QL_EACCES, "%s is not granted by the configuration", path);
}

static int read_found(int parent, const char *base, const char *path, struct found *ret, struct ql_err *err)
{
    ql_auto_close int fd = open_below(parent, base, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    char piece[16384];
    ssize_t got;

    if (fd < 0 && errno == ENOENT)
        return QL_OK;
    if (fd < 0 || fstat(fd, &ret->st) != 0)
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(ret->st.st_mode))
        return ql_fail(err, QL_EACCES, "%s is not a regular file", path);
    while ((got = read(fd, piece, sizeof piece)) > 0)
        if (ql_buf_add(&ret->text, piece, (size_t)got) < 0)
            return ql_fail(err, QL_ELIMIT, "%s is longer than %d bytes", path, FILE_MAX_LEN);
    if (got < 0)
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    ret->exists = true;
    return QL_OK;
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, text, len);

        if (done < 0 && errno != EINTR)
            return -1;
        if (done > 0) {
            text += done;
            len -= (size_t)done;
        }
    }
    return 0;
}

/* Write beside the file, then rename. Mode and owner are those of the file that was there. */
static int write_found(int parent, const char *base, const char *path, const struct stat *was,
                       const char *text, size_t len, struct ql_err *err)
{
    char name[300];
    bool ok;

    if (snprintf(name, sizeof name, ".%.200s.%d.new", base, (int)getpid()) < 0 || strlen(base) > 200)
        return ql_fail(err, QL_ELIMIT, "%s: name longer than 200 bytes", path);
    (void)unlinkat(parent, name, 0); /* left over from a crash, if at all; O_EXCL notices what stays */
    ql_auto_close int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    ok = write_all(fd, text, len) == 0 && (!was || fchown(fd, was->st_uid, was->st_gid) == 0) &&
         fchmod(fd, was ? was->st_mode & 0777 : 0600) == 0 && fsync(fd) == 0 &&
         renameat(parent, name, parent, base) == 0 && fsync(parent) == 0;
    if (!ok) {
        int e = errno;

        (void)unlinkat(parent, name, 0); /* gone already if the rename was done */
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(e));
    }
    return QL_OK;
}

static const char *check_path(lua_State *L)
{
    size_t len;
    const char *path = luaL_checklstring(L, 1, &len);

    if (strlen(path) != len)
        luaL_error(L, "ql.file: the path holds a zero byte");
    ql_lua_charge(L, 10000);
    return path;
}

/* No Lua function is called between opening and closing: an error of theirs would leave descriptors open. */
static int read_whole(const struct ql_lua_grants *g, const char *path, struct found *ret, struct ql_err *err)
{
    ql_auto_close int parent = -1;
    const char *base = NULL;
    int r = open_parent(g, path, &parent, &base, err);

    return r < 0 ? r : read_found(parent, base, path, ret, err);
}

static int replace_whole(const struct ql_lua_grants *g, const char *path, const char *text, size_t len,
                         struct ql_err *err)
{
    ql_auto_close int parent = -1;
    const char *base = NULL;
    struct stat st;
    int r = open_parent(g, path, &parent, &base, err);
    bool exists;

    if (r < 0)
        return r;
    exists = fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (exists && !S_ISREG(st.st_mode))
        return ql_fail(err, QL_EACCES, "%s is not a regular file", path);
    return write_found(parent, base, path, exists ? &st : NULL, text, len, err);
}

static int check_granted(const struct ql_lua_grants *g, const char *path, struct ql_err *err)
{
    ql_auto_close int parent = -1;
    const char *base = NULL;

    return open_parent(g, path, &parent, &base, err);
}

static int remove_one(const struct ql_lua_grants *g, const char *path, bool *ret, struct ql_err *err)
{
    ql_auto_close int parent = -1;
    const char *base = NULL;
    struct stat st;
    int r = open_parent(g, path, &parent, &base, err);

    if (r < 0)
        return r;
    *ret = fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*ret)
        return errno == ENOENT ? QL_OK : ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return ql_fail(err, QL_EACCES, "%s is a folder", path);
    if (g->dry_run)
        return QL_OK;
    return unlinkat(parent, base, 0) == 0 && fsync(parent) == 0
               ? QL_OK
               : ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
}

/* Push the text of a file, nil when there is none. The buffer is the call's until it is pushed. */
static void push_file(lua_State *L, const char *path)
{
    struct ql_lua_call *c = ql_lua_call_of(L);
    struct found f = {.text = ql_buf_init(FILE_MAX_LEN)};
    struct ql_err err = QL_ERR_INIT;
    int r = read_whole(c->grants, path, &f, &err);
    size_t len = f.text.len;

    free(c->buffer);
    c->buffer = f.text.data;
    if (r < 0 && r != QL_ENOTFOUND)
        luaL_error(L, "ql.file: %s", err.text);
    if (f.exists)
        lua_pushlstring(L, len > 0 ? c->buffer : "", len);
    else
        lua_pushnil(L);
}

static void write_file(lua_State *L, const char *path, const char *text, size_t len)
{
    struct ql_err err = QL_ERR_INIT;

    if (len > FILE_MAX_LEN)
        luaL_error(L, "ql.file: %I bytes for %s, at most %d", (lua_Integer)len, path, FILE_MAX_LEN);
    if (ql_lua_call_of(L)->grants->dry_run) {
        if (check_granted(ql_lua_call_of(L)->grants, path, &err) < 0)
            luaL_error(L, "ql.file: %s", err.text);
        (void)ql_lua_dry(L, "would write %s: %zu bytes", path, len); /* it is a dry run */
        return;
    }
    if (replace_whole(ql_lua_call_of(L)->grants, path, text, len, &err) < 0)
        luaL_error(L, "ql.file: %s", err.text);
}

static int file_read(lua_State *L)
{
    push_file(L, check_path(L));
    return 1;
}

static int file_write(lua_State *L)
{
    const char *path = check_path(L);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);

    write_file(L, path, text, len);
    return 0;
}

/* ql.file.replace(path, f): f gets the text (nil: no file) and returns the new one, or nil to leave it. */
static int file_replace(lua_State *L)
{
    const char *path = check_path(L);
    size_t len = 0, old_len = 0;
    const char *text, *old;

    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    push_file(L, path);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_call(L, 1, 1);
    if (!lua_isnil(L, -1)) {
        if (lua_type(L, -1) != LUA_TSTRING)
            return luaL_error(L, "ql.file.replace: wanted a text or nil, found a %s", luaL_typename(L, -1));
        text = lua_tolstring(L, -1, &len);
        old = lua_tolstring(L, 3, &old_len);
        if (!old || len != old_len || memcmp(text, old, len) != 0) {
            write_file(L, path, text, len);
            lua_pushboolean(L, 1);
            return 1;
        }
    }
    lua_pushboolean(L, 0);
    return 1;
}

/* ql.file.remove(path): true: it was there. */
static int file_remove(lua_State *L)
{
    const char *path = check_path(L);
    struct ql_err err = QL_ERR_INIT;
    bool was = false;
    int r = remove_one(ql_lua_call_of(L)->grants, path, &was, &err);

    if (r < 0 && r != QL_ENOTFOUND)
        return luaL_error(L, "ql.file: %s", err.text);
    if (was)
        (void)ql_lua_dry(L, "would remove %s", path); /* or it is done */
    lua_pushboolean(L, was);
    return 1;
}

void ql_lua_add_files(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read", file_read},
                                         {"write", file_write},
                                         {"replace", file_replace},
                                         {"remove", file_remove},
                                         {NULL, NULL}};

    luaL_newlib(L, functions);
    ql_lua_freeze(L);
    lua_setfield(L, -2, "file");
}
