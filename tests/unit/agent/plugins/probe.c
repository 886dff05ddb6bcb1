/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence for the agent's tests: three files. "note" and "alpha" are bound by the nonce; "lines" counts lines and feeds
 * Keylime's IMA member; "blob" feeds its boot log member. A file that is missing fails its collection. "echo" answers the
 * parameters that it is asked with.
 */
#include <quicklime/evidence.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct probe {
    const struct ql_host *host;
    const struct ql_options *options;
};

struct handle {
    const char *path;
    uint32_t counts_lines;
};

static int probe_init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                      struct ql_err *err)
{
    struct probe *p = host->alloc(host, sizeof *p);

    if (!p)
        return host->fail(err, QL_ENOMEM, "out of memory");
    p->host = host;
    p->options = options;
    *plugin = p;
    return QL_OK;
}

static void probe_fini(void *plugin)
{
    struct probe *p = plugin;

    p->host->free(p->host, p);
}

static int open_file(struct probe *p, const char *option, uint32_t counts_lines, void **ret,
                     struct ql_err *err)
{
    struct handle *h = p->host->alloc(p->host, sizeof *h);

    if (!h)
        return p->host->fail(err, QL_ENOMEM, "out of memory");
    h->path = p->options->get_string(p->options, option);
    h->counts_lines = counts_lines;
    *ret = h;
    return QL_OK;
}

static int open_note(void *plugin, void **handle, struct ql_err *err)
{
    return open_file(plugin, "note", 0, handle, err);
}

static int open_lines(void *plugin, void **handle, struct ql_err *err)
{
    return open_file(plugin, "lines", 1, handle, err);
}

static int open_blob(void *plugin, void **handle, struct ql_err *err)
{
    return open_file(plugin, "blob", 0, handle, err);
}

static void probe_close(void *plugin, void *handle)
{
    struct probe *p = plugin;

    p->host->free(p->host, handle);
}

/** Byte at which line @p cursor begins; 0 and *from = 0 when there are fewer. */
static size_t line_start(const char *text, size_t len, uint64_t cursor, uint64_t *from, uint64_t *total)
{
    size_t start = 0;

    *from = 0;
    *total = 0;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n' && ++*total == cursor) {
            start = i + 1;
            *from = cursor;
        }
    return start;
}

static int probe_collect(void *plugin, void *handle, const char *parameters, uint64_t cursor,
                         struct ql_sink *sink, struct ql_collected *ret, struct ql_err *err)
{
    struct probe *p = plugin;
    struct handle *h = handle;
    FILE *f = fopen(h->path, "rb");
    char text[65536];
    size_t len, start = 0;
    int r;

    (void)parameters;
    if (!f)
        return p->host->fail(err, QL_ENOTFOUND, "%s cannot be opened", h->path);
    len = fread(text, 1, sizeof text, f);
    fclose(f);
    if (h->counts_lines)
        start = line_start(text, len, cursor, &ret->cursor_from, &ret->cursor_to);
    else
        ret->cursor_to = len;
    r = sink->write(sink, text + start, len - start);
    if (r == QL_ELIMIT) {
        ret->more = 1;
        ret->cursor_to = ret->cursor_from;
        return QL_OK;
    }
    return r;
}

static const struct ql_evidence note = {
    .head = {sizeof(struct ql_evidence), QL_KIND_EVIDENCE, "note", NULL, QL_EVIDENCE_BOUND_NONCE},
    .open = open_note,
    .collect = probe_collect,
    .close = probe_close,
};
static const struct ql_evidence alpha = {
    .head = {sizeof(struct ql_evidence), QL_KIND_EVIDENCE, "alpha", NULL, QL_EVIDENCE_BOUND_NONCE},
    .open = open_note,
    .collect = probe_collect,
    .close = probe_close,
};
static const struct ql_evidence lines = {
    .head = {sizeof(struct ql_evidence), QL_KIND_EVIDENCE, "lines", NULL, QL_EVIDENCE_BOUND_PCR},
    .pcr = 10,
    .open = open_lines,
    .collect = probe_collect,
    .close = probe_close,
    .legacy_member = "ima_measurement_list",
};
static const struct ql_evidence blob = {
    .head = {sizeof(struct ql_evidence), QL_KIND_EVIDENCE, "blob", NULL, QL_EVIDENCE_BOUND_PCR},
    .pcr = 0,
    .open = open_blob,
    .collect = probe_collect,
    .close = probe_close,
    .legacy_member = "mb_measurement_list",
};

static int collect_echo(void *plugin, void *handle, const char *parameters, uint64_t cursor,
                        struct ql_sink *sink, struct ql_collected *ret, struct ql_err *err)
{
    (void)plugin, (void)handle, (void)cursor, (void)ret, (void)err;
    return parameters ? sink->write(sink, parameters, strlen(parameters)) : sink->write(sink, "none", 4);
}

static const struct ql_evidence echo = {
    .head = {sizeof(struct ql_evidence), QL_KIND_EVIDENCE, "echo", NULL, QL_EVIDENCE_BOUND_NONCE},
    .open = open_note,
    .collect = collect_echo,
    .close = probe_close,
};

static const struct ql_component *const components[] = {&note.head, &lines.head, &alpha.head,
                                                        &blob.head, &echo.head,  NULL};

static const struct ql_option options[] = {
    {.name = "note", .type = QL_OPT_STRING, .help = "file of note and alpha"},
    {.name = "lines", .type = QL_OPT_STRING, .help = "text file of lines"},
    {.name = "blob", .type = QL_OPT_STRING, .help = "binary file"},
    {.name = NULL},
};

QL_PLUGIN(.name = "probe", .version = "1.0", .license = "Apache-2.0",
          .summary = "files as evidence, for tests", .options = options, .components = components,
          .init = probe_init, .fini = probe_fini);
