/* SPDX-License-Identifier: Apache-2.0 */
#include "payload.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "child.h"
#include "deliveries.h"
#include "error.h"
#include "file.h"
#include "keeper.h"
#include "log.h"
#include "lookup.h"
#include "paths.h"

enum {
    TREE_FDS = 32, /* folders that are open while a tree is removed */
    HEAD_LEN = 4   /* first bytes that tell what a file is */
};

/** One payload, decrypted. */
struct piece {
    struct ql_secret *plain, *key;
    uint8_t sealed_digest[QL_DELIVERY_DIGEST], plain_digest[QL_DELIVERY_DIGEST];
};

struct ql_payload {
    struct ql_agent *agent;
    char *fresh, *current; /* folders: the one that is filled, and `unzipped` */
    struct ql_deliveries *deliveries;
    struct piece *now, *next; /* worked on; waiting */
    struct ql_child *child;
    struct event *again;    /* the turn of `next` */
    enum ql_delivery_is is; /* what `now` is */
};

static void piece_free(struct piece *x)
{
    if (!x)
        return;
    ql_secret_free(x->plain);
    ql_secret_free(x->key);
    free(x);
}
QL_DEFINE_CLEANUP(struct piece, piece_free)

static const char *option(const struct ql_payload *p, const char *name)
{
    return ql_config_string(p->agent->config, "agent", name);
}

/* ---- folders ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)at;
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

/* Links are removed, not followed, and what is mounted inside is left alone. */
static int remove_tree(const char *path, struct ql_err *err)
{
    struct stat st;

    if (lstat(path, &st) != 0 && errno == ENOENT)
        return QL_OK;
    if (nftw(path, remove_one, TREE_FDS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
        return ql_fail(err, QL_EIO, "%s cannot be removed: %s", path, strerror(errno));
    return QL_OK;
}

static int put(const struct ql_payload *p, const char *name, const struct ql_secret *s, struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(p->fresh, name);
    const mode_t mode = p->agent->secure_group ? 0640 : 0600;

    return path ? ql_file_write(path, mode, ql_secret_data(s), ql_secret_len(s), err) : ql_fail_nomem(err);
}

static int fill(const struct ql_payload *p, struct ql_err *err)
{
    int r = remove_tree(p->fresh, err);

    if (r == QL_OK && mkdir(p->fresh, p->agent->secure_group ? 0750 : 0700) != 0)
        r = ql_fail(err, QL_EIO, "%s: %s", p->fresh, strerror(errno));
    if (r == QL_OK)
        r = put(p, option(p, "enc_keyname"), p->now->key, err);
    if (r == QL_OK)
        r = put(p, option(p, "dec_payload_file"), p->now->plain, err);
    return r;
}

/* The new folder in place of the old one, in one step. */
static int take_place(const struct ql_payload *p, struct ql_err *err)
{
    int r = renameat2(AT_FDCWD, p->fresh, AT_FDCWD, p->current, RENAME_EXCHANGE);

    if (r != 0 && errno == ENOENT)
        r = rename(p->fresh, p->current);
    if (r != 0)
        return ql_fail(err, QL_EIO, "%s to %s: %s", p->fresh, p->current, strerror(errno));
    return remove_tree(p->fresh, err);
}

/* secure/NAME for scripts that look for the file there, as documentation of Keylime says. */
static int link_up(const struct ql_payload *p, const char *name, struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(p->agent->secure.path, name);
    char target[QL_ACTION_NAME_MAX + 16];

    (void)snprintf(target, sizeof target, "unzipped/%s", name); /* fits: the option was checked */
    if (!path)
        return ql_fail_nomem(err);
    if ((unlink(path) != 0 && errno != ENOENT) || symlink(target, path) != 0)
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    return QL_OK;
}

/* A regular file of the payload made executable. @retval QL_ENOTFOUND it has none of that name */
static int make_executable(const struct ql_payload *p, const char *name, struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(p->current, name);
    ql_auto_close int fd = -1;
    struct stat st;

    if (!path)
        return ql_fail_nomem(err);
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return QL_ENOTFOUND;
    if (fd < 0 || fstat(fd, &st) != 0)
        return ql_fail(err, QL_EIO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return ql_fail(err, QL_EACCES, "%s is not a file", path);
    if (fchmod(fd, p->agent->secure_group ? 0750 : 0700) != 0)
        return ql_fail(err, QL_EIO, "%s: chmod: %s", path, strerror(errno));
    return QL_OK;
}

/* Archives made by scripts seldom keep modes. */
static void prepare_actions(const struct ql_payload *p)
{
    ql_auto(ql_action_names_done) struct ql_action_names names = {.count = 0};
    ql_auto_free char *path = ql_path_join(p->current, "action_list");
    ql_auto_free uint8_t *text = NULL;
    struct ql_err err = QL_ERR_INIT;
    size_t len = 0;
    int r;

    if (!path || !ql_config_bool(p->agent->config, "agent", "allow_payload_revocation_actions"))
        return;
    r = ql_file_read(path, QL_ACTION_LIST_MAX, &text, &len, &err);
    if (r == QL_OK)
        r = ql_action_names_add(&names, (const char *)text, len, &err);
    if (r < 0 && r != QL_ENOTFOUND)
        ql_log(QL_WARN, "payload", "action_list: %s", err.text);
    for (size_t i = 0; i < names.count; i++)
        if (ql_action_name_ok(names.names[i], strlen(names.names[i]))) {
            r = make_executable(p, names.names[i], &err);
            if (r < 0 && r != QL_ENOTFOUND)
                ql_log(QL_WARN, "payload", "action_list: %s", err.text);
        }
}

/* ---- steps ---- */

/* Done with this one, in whatever way. */
static void finish(struct ql_payload *p)
{
    const struct timeval now = {0};

    piece_free(p->now);
    p->now = NULL;
    if (p->next && event_add(p->again, &now) != 0)
        ql_log(QL_ERROR, "payload",
               "no memory for a timer: the payload that waits does so until another comes");
}

static void script_ended(const struct ql_child_end *end, void *arg)
{
    struct ql_payload *p = arg;
    char text[64];

    p->child = NULL;
    ql_log(ql_child_ok(end) ? QL_INFO : QL_WARN, "payload", "script %s: %s", option(p, "payload_script"),
           ql_child_end_text(end, text));
    finish(p);
}

/* A file without #! and not of ELF is for the shell, as it would be when typed there. */
static bool needs_shell(const char *path)
{
    ql_auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char head[HEAD_LEN] = {0};

    return fd >= 0 && read(fd, head, sizeof head) >= 0 && memcmp(head, "#!", 2) != 0 &&
           memcmp(head, "\177ELF", HEAD_LEN) != 0;
}

static int start_script(struct ql_payload *p, const char *script, struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(p->current, script), *id = NULL;
    const char *argv[] = {"/bin/sh", path, NULL}, *env[] = {NULL, NULL};
    const struct ql_child_config config = {
        .base = p->agent->base,
        .argv = path && !needs_shell(path) ? argv + 1 : argv,
        .env = env,
        .cwd = p->current,
        .area = "payload",
        .label = script,
        .timeout_ms = (unsigned)ql_config_int(p->agent->config, "agent", "payload_script_timeout") * 1000,
        .fd = -1,
    };

    if (!path || asprintf(&id, "AGENT_UUID=%s", p->agent->id) < 0) {
        id = NULL; /* undefined after a failure */
        return ql_fail_nomem(err);
    }
    env[0] = id;
    return ql_child_start(&config, script_ended, p, &p->child, err);
}

/* @return true: a script runs */
static bool run_script(struct ql_payload *p, bool has_script)
{
    const char *script = option(p, "payload_script");
    struct ql_err err = QL_ERR_INIT;
    int r;

    if (!has_script)
        return false;
    if (p->is != QL_DELIVERY_NEW) {
        ql_log(QL_WARN, "payload", "script %s is not run: this payload was delivered before%s", script,
               p->is == QL_DELIVERY_SAME ? " since the machine was started" : "");
        return false;
    }
    r = ql_keeper_runs_scripts(p->agent->keeper) ? ql_keeper_run(p->agent->keeper, script_ended, p, &err)
                                                 : start_script(p, script, &err);
    if (r < 0) {
        ql_log(QL_WARN, "payload", "script %s cannot be run: %s", script, err.text);
        return false;
    }
    ql_log(QL_INFO, "payload", "script %s runs", script);
    return true;
}

/* The files are whole. @return true: a script runs */
static bool place(struct ql_payload *p)
{
    const char *script = option(p, "payload_script");
    struct ql_err err = QL_ERR_INIT;
    bool has_script = false;
    int r = take_place(p, &err);

    if (r == QL_OK)
        r = link_up(p, option(p, "enc_keyname"), &err);
    if (r == QL_OK)
        r = link_up(p, option(p, "dec_payload_file"), &err);
    if (r == QL_OK && *script != '\0') {
        r = make_executable(p, script, &err);
        has_script = r == QL_OK;
        r = r == QL_ENOTFOUND ? QL_OK : r;
    }
    if (r < 0) {
        ql_log(QL_WARN, "payload", "payload cannot be put in place: %s", err.text);
        return false;
    }
    prepare_actions(p);
    ql_log(QL_INFO, "payload", "payload is in %s", p->current);
    /* Not on disk, not run: it could be run twice. What holds no script need not be recognised by its plaintext. */
    r = ql_deliveries_add(p->deliveries, p->now->sealed_digest, has_script ? p->now->plain_digest : NULL,
                          &err);
    if (r < 0) {
        ql_log(QL_ERROR, "payload", "no script is run, because the payload cannot be remembered: %s",
               err.text);
        return false;
    }
    return run_script(p, has_script);
}

static void unpack_ended(const struct ql_child_end *end, void *arg)
{
    struct ql_payload *p = arg;
    struct ql_err err = QL_ERR_INIT;
    char text[64];

    p->child = NULL;
    if (ql_child_ok(end)) {
        if (!place(p))
            finish(p);
        return;
    }
    if (remove_tree(p->fresh, &err) < 0)
        ql_log(QL_WARN, "payload", "%s", err.text);
    ql_log(QL_WARN, "payload", "payload refused, nothing was changed: its archive cannot be unpacked (%s)",
           ql_child_end_text(end, text));
    finish(p);
}

static int start_unpack(struct ql_payload *p, struct ql_err *err)
{
    ql_auto_free char *path = ql_path_join(p->fresh, option(p, "dec_payload_file"));
    ql_auto_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char bytes[24];
    const char *argv[] = {ql_unpack_path(option(p, "unpack_path")), bytes,
                          p->agent->secure_group ? "group" : NULL, NULL};
    const struct ql_child_config config = {.base = p->agent->base,
                                           .argv = argv,
                                           .cwd = p->fresh,
                                           .area = "payload",
                                           .label = "archive",
                                           .timeout_ms = QL_UNPACK_TIMEOUT_S * 1000,
                                           .fd = fd};

    if (fd < 0)
        return ql_fail(err, QL_EIO, "the archive cannot be read back: %s", strerror(errno));
    (void)snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)p->agent->secure.bytes_max); /* fits */
    return ql_child_start(&config, unpack_ended, p, &p->child, err);
}

static bool is_zip(const struct ql_secret *s)
{
    return ql_secret_len(s) >= HEAD_LEN && memcmp(ql_secret_data(s), "PK\003\004", HEAD_LEN) == 0;
}

static void start(struct ql_payload *p)
{
    const bool unpack =
        ql_config_bool(p->agent->config, "agent", "extract_payload_zip") && is_zip(p->now->plain);
    struct ql_err err = QL_ERR_INIT;
    int r;

    p->is = ql_deliveries_look(p->deliveries, p->now->sealed_digest, p->now->plain_digest);
    if (p->is == QL_DELIVERY_REPLACED) {
        ql_log(QL_WARN, "payload",
               "payload dropped: these very bytes were delivered before, and another payload since");
        finish(p);
        return;
    }
    r = fill(p, &err);
    if (r == QL_OK && unpack)
        r = start_unpack(p, &err);
    if (r < 0) {
        (void)remove_tree(p->fresh, NULL); /* tried again with the next one */
        ql_log(QL_WARN, "payload", "payload refused, nothing was changed: %s", err.text);
        finish(p);
        return;
    }
    if (!unpack && !place(p))
        finish(p);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    struct ql_payload *p = arg;

    (void)fd;
    (void)what;
    if (p->now || !p->next)
        return;
    p->now = ql_steal(p->next);
    start(p);
}

/* ---- from outside ---- */

static int open_piece(const struct ql_secret *key, const uint8_t *sealed, size_t len, struct piece **ret,
                      struct ql_err *err)
{
    ql_auto(piece_freep) struct piece *x = calloc(1, sizeof *x);
    int r = x ? ql_gcm_open(key, sealed, len, &x->plain, err) : ql_fail_nomem(err);

    if (r == QL_OK)
        r = ql_secret_new(ql_secret_data(key), ql_secret_len(key), &x->key, err);
    if (r == QL_OK &&
        (ql_digest_once(QL_SHA256, sealed, len, x->sealed_digest) < 0 ||
         ql_digest_once(QL_SHA256, ql_secret_data(x->plain), ql_secret_len(x->plain), x->plain_digest) < 0))
        r = ql_fail(err, QL_ECRYPTO, "SHA-256 failed");
    if (r == QL_OK)
        *ret = ql_steal(x);
    return r;
}

void ql_payload_take(struct ql_payload *p, const struct ql_secret *key, const uint8_t *sealed, size_t len)
{
    struct ql_err err = QL_ERR_INIT;
    struct piece *x = NULL;

    if (open_piece(key, sealed, len, &x, &err) < 0 || !x) {
        ql_log(QL_WARN, "payload", "payload of %zu bytes refused: it cannot be decrypted by its key: %s", len,
               err.text);
        return;
    }
    if (p->now || p->next) {
        ql_log(QL_WARN, "payload", "payload of %zu bytes waits for the end of the one before%s", len,
               p->next ? ", in place of another that waited" : "");
        piece_free(p->next);
        p->next = x;
        if (!p->now)
            on_again(-1, 0, p);
        return;
    }
    p->now = x;
    start(p);
}

int ql_payload_new(struct ql_agent *a, struct ql_payload **ret, struct ql_err *err)
{
    ql_auto(ql_payload_freep) struct ql_payload *p = calloc(1, sizeof *p);
    ql_auto_free char *memory = ql_path_join(a->dir, "payloads");
    int r;

    if (!p || !memory)
        return ql_fail_nomem(err);
    p->agent = a;
    p->fresh = ql_path_join(a->secure.path, ".unzipped.new");
    p->current = ql_path_join(a->secure.path, "unzipped");
    p->again = evtimer_new(a->base, on_again, p);
    if (!p->fresh || !p->current || !p->again)
        return ql_fail_nomem(err);
    r = ql_deliveries_open(memory, NULL, &p->deliveries, err);
    if (r == QL_OK)
        r = remove_tree(p->fresh, err);
    if (r == QL_OK)
        *ret = ql_steal(p);
    return r;
}

void ql_payload_free(struct ql_payload *p)
{
    if (!p)
        return;
    ql_child_free(p->child);
    ql_keeper_forget(p->agent->keeper);
    if (p->again)
        event_free(p->again);
    piece_free(p->now);
    piece_free(p->next);
    ql_deliveries_free(p->deliveries);
    free(p->fresh);
    free(p->current);
    free(p);
}

int ql_payload_check_options(const struct ql_config *c, struct ql_err *err)
{
    static const char *const names[] = {"enc_keyname", "dec_payload_file", "payload_script"};

    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++) {
        const char *text = ql_config_string(c, "agent", names[i]);

        if (*text == '\0' && i == 2)
            continue; /* none is run */
        if (!ql_action_name_ok(text, strlen(text)) || strcmp(text, "unzipped") == 0)
            return ql_fail(err, QL_ERANGE, "%s \"%s\" is not a plain name of a file", names[i], text);
        for (size_t k = 0; k < i; k++)
            if (strcmp(text, ql_config_string(c, "agent", names[k])) == 0)
                return ql_fail(err, QL_ERANGE, "%s and %s are the same name, \"%s\"", names[k], names[i],
                               text);
    }
    return QL_OK;
}
