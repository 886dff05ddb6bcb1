/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin as shared object: mapping it, and believing none of its fields before they were checked. */
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "internal.h"
#include "log.h"
#include "parse.h"

/*
 * A path to the descriptor that differs for each file. The dynamic linker takes a name that it has seen
 * before for the same library, and descriptor numbers come again: the identity of the file is written into
 * the path, one bit a step ("/" or "/./"), which the kernel skips.
 */
static void descriptor_path(int fd, const struct stat *st, char out[512])
{
    const uint64_t id[2] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino};
    char *at = stpcpy(out, "/proc/self/fd/");

    for (size_t i = 0; i < 128; i++)
        at = stpcpy(at, id[i / 64] >> (i % 64) & 1 ? "./" : "/");
    sprintf(at, "%d", fd);
}

static int check_text(const char *file, const char *field, const char *text, struct ql_err *err)
{
    size_t len = text ? strnlen(text, QL_PLUGIN_TEXT_MAX) : 0;

    if (len == 0 || len >= QL_PLUGIN_TEXT_MAX || !ql_utf8_ok(text, len))
        return ql_fail(err, QL_ERANGE, "%s: %s: wanted 1 to %d characters of UTF-8, found %s", file, field,
                       QL_PLUGIN_TEXT_MAX - 1, len == 0 ? "none" : "something else");
    return QL_OK;
}

static int check_row(const char *file, const struct ql_option *row, bool is_field, struct ql_err *err)
{
    size_t len = strnlen(row->name, QL_PLUGIN_TEXT_MAX);

    if (len == 0 || len > 64 || strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != len)
        return ql_fail(err, QL_ERANGE, "%s: option name: wanted 1 to 64 of a-z, 0-9, _ and -", file);
    if (row->type < QL_OPT_BOOL || row->type > QL_OPT_GROUPS)
        return ql_fail(err, QL_ERANGE, "%s: option %s: type: wanted 1 to 6, found %u", file, row->name,
                       row->type);
    if (row->flags & ~QL_OPT_SECRET)
        return ql_fail(err, QL_ERANGE, "%s: option %s: flags: wanted 0 or 1, found %u", file, row->name,
                       row->flags);
    if (!row->help)
        return ql_fail(err, QL_ERANGE, "%s: option %s: help: wanted one line, found none", file, row->name);
    if ((row->type == QL_OPT_GROUPS) != (row->fields != NULL) || (is_field && row->fields))
        return ql_fail(err, QL_ERANGE, "%s: option %s: fields: wanted for a list of groups and nothing else",
                       file, row->name);
    return QL_OK;
}

static int check_rows(const char *file, const struct ql_option *rows, bool is_field, struct ql_err *err)
{
    int r = QL_OK;

    for (; r == QL_OK && rows && rows->name; rows++) {
        r = check_row(file, rows, is_field, err);
        if (r == QL_OK && rows->fields)
            r = check_rows(file, rows->fields, true, err); /* no deeper than this once */
    }
    return r;
}

/* Copy as much as the plugin's author had, after the sizes were found to be possible. */
static int read_definition(const char *file, void *symbol, struct ql_plugin *ret, struct ql_err *err)
{
    const size_t least = offsetof(struct ql_plugin, fini) + sizeof ret->fini;
    const ElfW(Sym) *elf = NULL;
    uint32_t head[2];
    void *extra = NULL;
    size_t room = 0;
    Dl_info info;

    /*
     * The symbol table says how many bytes there are: a text or a function of that name is not read past its
     * end.
     */
    if (dladdr1(symbol, &info, &extra, RTLD_DL_SYMENT) != 0 && extra && info.dli_saddr == symbol) {
        elf = extra;
        room = elf->st_size;
    }
    if (room < sizeof head)
        return ql_fail(err, QL_EABI, "%s: symbol ql_plugin: wanted at least %zu bytes, found %zu", file,
                       least, room);
    memcpy(head, symbol, sizeof head);
    if (head[0] != QL_PLUGIN_MAGIC)
        return ql_fail(err, QL_EABI, "%s: magic: wanted 0x%08x, found 0x%08x", file, QL_PLUGIN_MAGIC,
                       head[0]);
    if (head[1] < offsetof(struct ql_plugin, name) || head[1] > room)
        return ql_fail(err, QL_EABI, "%s: size: wanted %zu to %zu bytes, found %u", file, least, room,
                       head[1]);
    memset(ret, 0, sizeof *ret);
    memcpy(ret, symbol, head[1] < sizeof *ret ? head[1] : sizeof *ret);
    /* The major before the rest of the size: under another major the layout may be anything. */
    if (ret->abi_major != QL_ABI_MAJOR)
        return ql_fail(err, QL_EABI, "%s: ABI major: wanted %u, found %u", file, QL_ABI_MAJOR,
                       ret->abi_major);
    if (ret->abi_minor > QL_ABI_MINOR)
        return ql_fail(err, QL_EABI, "%s: ABI minor: wanted at most %u, found %u", file, QL_ABI_MINOR,
                       ret->abi_minor);
    if (head[1] < least)
        return ql_fail(err, QL_EABI, "%s: size: wanted at least %zu bytes, found %u", file, least, head[1]);
    return QL_OK;
}

/* @p d gets the rows of this release's size. */
static int check_definition(const char *file, struct ql_plugin *d, struct ql_err *err)
{
    int r = check_text(file, "name", d->name, err);

    if (r == QL_OK && !ql_component_name_ok(d->name, strlen(d->name)))
        r = ql_fail(err, QL_ERANGE, "%s: name: wanted 1 to 32 of a-z, 0-9 and -, found \"%s\"", file,
                    d->name);
    if (r == QL_OK)
        r = check_text(file, "version", d->version, err);
    if (r == QL_OK)
        r = check_text(file, "license", d->license, err);
    if (r == QL_OK)
        r = check_text(file, "summary", d->summary, err);
    if (r == QL_OK)
        r = ql_plugin_rows(file, d->options, d->option_size, &d->options, err);
    if (r == QL_OK)
        r = check_rows(file, d->options, false, err);
    if (r == QL_OK && (!d->components || !d->components[0]))
        r = ql_fail(err, QL_ERANGE, "%s: components: wanted at least one, found none", file);
    return r;
}

static int map_library(const char *file, int fd, void **ret_symbol, struct ql_err *err)
{
    char path[512];
    struct stat st;
    void *library, *symbol;

    if (fstat(fd, &st) != 0)
        return ql_fail(err, QL_EIO, "%s: %m", file);
    descriptor_path(fd, &st, path);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char *why = dlerror(), *reason = why ? strstr(why, ": ") : NULL;

        /* The linker begins with its name for the file, which nobody else knows. */
        return ql_fail(err, QL_EABI, "%s: cannot be mapped: %s", file,
                       reason ? reason + 2 : "no reason given");
    }
    symbol = dlsym(library, "ql_plugin");
    if (!symbol)
        return ql_fail(err, QL_EABI, "%s: symbol: wanted ql_plugin, found none", file);
    *ret_symbol = symbol;
    return QL_OK;
}

static int give_options(struct ql_loaded *p, const struct ql_plugin *d, struct ql_config *config,
                        const struct ql_options **ret, struct ql_err *err)
{
    /* The configuration may outlive us: the name is the library's, rows stay for the life of the process. */
    const struct ql_option_group group = {.name = d->name, .rows = d->options};
    int r = QL_OK;

    if (config && d->options) {
        /* One plugin may be loaded for two purposes, its group is one. */
        if (ql_config_rows(config, p->name) != d->options)
            r = ql_config_add_group(config, &group, err);
        if (r == QL_OK)
            *ret = ql_config_options(config, p->name);
        return r;
    }
    r = ql_option_defaults_new(d->options, &p->defaults, err);
    if (r == QL_OK)
        *ret = ql_option_defaults_view(p->defaults);
    return r;
}

int ql_library_load(struct ql_registry *r, struct ql_loaded *p, const struct ql_plugin_file *file,
                    struct ql_config *config, struct ql_err *err)
{
    const struct ql_options *options = NULL;
    struct ql_plugin d;
    char name[80];
    void *symbol = NULL;
    int e;

    snprintf(name, sizeof name, "%s.so", file->name);
    e = map_library(name, file->fd, &symbol, err);
    if (e == QL_OK)
        e = read_definition(name, symbol, &d, err);
    if (e == QL_OK)
        e = check_definition(name, &d, err);
    if (e == QL_OK)
        e = ql_registry_name_check(r, name, d.name, err);
    if (e < 0)
        return e;
    snprintf(p->name, sizeof p->name, "%s", d.name);
    snprintf(p->version, sizeof p->version, "%s", d.version);
    snprintf(p->license, sizeof p->license, "%s", d.license);
    snprintf(p->summary, sizeof p->summary, "%s", d.summary);
    p->rows = d.options;
    ql_plugin_host_init(&p->host, r, p->name, r->config.plugin_memory);
    e = give_options(p, &d, config, &options, err);
    if (e < 0)
        return ql_fail_context(err, e, "%s: options", name);
    if (d.init && !r->config.rows_only) {
        e = d.init(&p->host.table, options, &p->state, err);
        if (e != QL_OK)
            return ql_fail_context(err, e < 0 ? e : QL_EINTERNAL, "%s: init", name);
    }
    if (!r->config.rows_only)
        p->fini = d.fini;
    for (size_t i = 0; d.components[i]; i++) {
        if (i >= QL_COMPONENTS_MAX)
            return ql_fail(err, QL_ELIMIT, "%s: components: wanted at most %d", name, QL_COMPONENTS_MAX);
        e = ql_registry_keep(r, p, name, d.components[i], p->state, err);
        if (e < 0)
            return e;
    }
    return QL_OK;
}
