/* SPDX-License-Identifier: Apache-2.0 */
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "error.h"
#include "items.h"
#include "json.h"
#include "log.h"

static int make_setup(const struct ql_pool_config *config, const struct ql_plugin_file *files,
                      struct ql_frame **ret, struct ql_err *err)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_HELLO, 0);
    ql_auto_json json_t *setup = NULL, *plugins = json_array(), *readable = json_array();
    const char *text = config->config_text ? config->config_text : "";
    int level = QL_ERROR, r = QL_OK;

    while (level < QL_DEBUG && ql_log_on((enum ql_log_level)(level + 1)))
        level++;
    for (size_t i = 0; r == QL_OK && i < config->plugin_count; i++)
        if (json_array_append_new(
                plugins, json_pack("{s:s, s:b}", "name", files[i].name, "lua", files[i].is_lua ? 1 : 0)) != 0)
            r = ql_fail_nomem(err);
    if (config->readable_count > QL_POOL_READABLE_MAX)
        return ql_fail(err, QL_ELIMIT, "plugins want to read %zu files, at most %d", config->readable_count,
                       QL_POOL_READABLE_MAX);
    for (size_t i = 0; r == QL_OK && i < config->readable_count; i++)
        if (json_array_append_new(readable, json_string(config->readable[i])) != 0)
            r = ql_fail_nomem(err);
    if (r < 0)
        return r;
    setup = json_pack("{s:O, s:O, s:I, s:I, s:s, s:i}", "plugins", plugins, "readable", readable,
                      "memory_max", (json_int_t)config->memory_max, "wall_ms", (json_int_t)config->wall_ms,
                      "options", text, "log_level", level);
    if (!setup || !f)
        return ql_fail_nomem(err);
    r = ql_frame_add_json(f, QL_TAG_OPTIONS, setup, err);
    if (r == QL_OK)
        *ret = ql_steal(f);
    return r;
}

static int open_kept(const char *path, int flags, int *ret, struct ql_err *err)
{
    ql_auto_close int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0)
        return ql_fail(err, errno == ENOENT ? QL_ENOTFOUND : QL_EIO, "%s: %s", path, strerror(errno));
    return ql_spawn_keep(fd, ret, err);
}

/* The program and the plugins as they are now: an upgrade under a running daemon never mixes versions. */
int ql_kit_init(const struct ql_pool_config *config, struct ql_kit *ret, struct ql_err *err)
{
    struct ql_plugin_file files[QL_PLUGINS_MAX];
    size_t opened = 0;
    int r;

    *ret = (struct ql_kit){.spawn = {.program = -1, .null = -1}};
    if (config->plugin_count > QL_PLUGINS_MAX)
        return ql_fail(err, QL_ELIMIT, "%zu plugins, at most %d", config->plugin_count, QL_PLUGINS_MAX);
    ret->spawn.plugins = calloc(config->plugin_count + 1, sizeof *ret->spawn.plugins);
    if (!ret->spawn.plugins)
        return ql_fail_nomem(err);
    r = open_kept(config->worker_path, O_RDONLY, &ret->spawn.program, err);
    if (r == QL_OK)
        r = open_kept("/dev/null", O_RDWR, &ret->spawn.null, err);
    for (; r == QL_OK && opened < config->plugin_count; opened++) {
        r = ql_plugin_file_open(config->plugin_dir, config->plugins[opened], &files[opened], err);
        if (r < 0)
            break;
        r = ql_spawn_keep(files[opened].fd, &ret->spawn.plugins[opened], err);
        if (r == QL_OK)
            ret->spawn.plugin_count++;
    }
    if (r == QL_OK)
        r = make_setup(config, files, &ret->setup, err);
    while (opened > 0)
        ql_plugin_file_close(&files[--opened]);
    return r;
}

void ql_kit_done(struct ql_kit *k)
{
    for (size_t i = 0; i < k->spawn.plugin_count; i++)
        (void)close(k->spawn.plugins[i]); /* read only */
    free(k->spawn.plugins);
    ql_closep(&k->spawn.program);
    ql_closep(&k->spawn.null);
    ql_frame_free(k->setup);
}
