/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin to begin with: evidence and a validator for it.
 *
 * On the node, the evidence component `sample` hands over the text of one file. On the verifier, the
 * validator `sample` wants certain lines in it. The policy is JSON: {"require": ["a line", "another line"]}.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <quicklime/evidence.h>
#include <quicklime/validator.h>

#define LINES_MAX 1000 /* lines that a policy may require */

/* What init keeps: the same for both components, but each runs in a process of its own. */
static struct {
    const struct ql_host *host;
    const char *path;
} sample;

static int start(const struct ql_host *host, const struct ql_options *options, void **plugin,
                 struct ql_err *err)
{
    (void)err;
    sample.host = host;
    sample.path = options->get_string(options, "path");
    *plugin = &sample;
    return QL_OK;
}

/* ---- the node: evidence ---- */

static int evidence_open(void *plugin, void **handle, struct ql_err *err)
{
    (void)plugin, (void)err;
    *handle = NULL; /* nothing that only root could open */
    return QL_OK;
}

static int evidence_collect(void *plugin, void *handle, const char *parameters, uint64_t cursor,
                            struct ql_sink *sink, struct ql_collected *ret, struct ql_err *err)
{
    char piece[4096];
    ssize_t got;
    int r = QL_OK, fd;

    (void)plugin, (void)handle, (void)parameters, (void)cursor;
    fd = open(sample.path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sample.host->fail(err, QL_EIO, "%s: %s", sample.path, strerror(errno));
    while (r == QL_OK && (got = read(fd, piece, sizeof piece)) != 0)
        r = got > 0 ? sink->write(sink, piece, (size_t)got)
                    : sample.host->fail(err, QL_EIO, "%s: %s", sample.path, strerror(errno));
    close(fd);
    if (r < 0)
        return r;
    ret->cursor_from = ret->cursor_to = 0; /* always the whole file */
    ret->more = 0;
    return QL_OK;
}

static void evidence_close(void *plugin, void *handle)
{
    (void)plugin, (void)handle;
}

/* ---- the verifier: the validator ---- */

static int validator_prepare(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                             size_t *ret_size, struct ql_err *err)
{
    json_error_t why;
    json_t *object = json_loadb((const char *)policy, len, JSON_REJECT_DUPLICATES, &why), *list, *line;
    size_t i;

    (void)plugin, (void)origin;
    if (!object)
        return sample.host->fail(err, QL_EPARSE, "line %d column %d: %s", why.line, why.column, why.text);
    list = json_object_get(object, "require");
    if (!json_is_array(list) || json_object_size(object) != 1 || json_array_size(list) > LINES_MAX) {
        json_decref(object);
        return sample.host->fail(err, QL_EPARSE, "wanted {\"require\": [...]} with at most %d lines",
                                 LINES_MAX);
    }
    json_array_foreach(list, i, line)
        if (!json_is_string(line)) {
            json_decref(object);
            return sample.host->fail(err, QL_EPARSE, "require: item %zu is not a text", i + 1);
        }
    *ret = object;
    *ret_size = len; /* about what it takes; for the cache */
    return QL_OK;
}

static void validator_release(void *plugin, void *compiled)
{
    (void)plugin;
    json_decref(compiled);
}

static int validator_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    static const struct ql_need need = {.size = sizeof need, .evidence = "sample", .bound = QL_BOUND_NONCE};

    (void)plugin, (void)compiled, (void)err;
    ret->items = &need;
    ret->item_count = 1;
    return QL_OK;
}

static int has_line(const struct ql_evidence_data *text, const char *line, size_t len)
{
    const uint8_t *at = text->data, *end = text->data + text->len;

    while (at < end) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        size_t this_len = (size_t)((stop ? stop : end) - at);

        if (this_len == len && memcmp(at, line, len) == 0)
            return 1;
        at = stop ? stop + 1 : end;
    }
    return 0;
}

static int validator_validate(void *plugin, const struct ql_attest *attest, const void *compiled,
                              const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                              struct ql_err *err)
{
    struct ql_evidence_data text = {.size = sizeof text};
    const json_t *list = json_object_get((const json_t *)compiled, "require");
    int r = attest->evidence(attest, "sample", &text);

    (void)plugin, (void)in, (void)out;
    if (r < 0)
        return sample.host->fail(err, r, "no evidence");
    for (size_t i = 0; r == QL_OK && i < json_array_size(list); i++) {
        const json_t *line = json_array_get(list, i);
        json_t *context;

        if (has_line(&text, json_string_value(line), json_string_length(line)))
            continue;
        context = json_pack("{s:s}", "missing", json_string_value(line));
        r = context ? report->fail(report, "sample.missing_line", NULL, 1, context) : QL_ENOMEM;
        json_decref(context);
    }
    return r; /* 0 and nothing reported: passed */
}

/* ---- what the plugin is ---- */

static const struct ql_evidence evidence = {
    .head = {.size = sizeof(struct ql_evidence),
             .kind = QL_KIND_EVIDENCE,
             .name = "sample",
             .flags = QL_EVIDENCE_BOUND_NONCE},
    .open = evidence_open,
    .collect = evidence_collect,
    .close = evidence_close,
};

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "sample"},
    .prepare = validator_prepare,
    .release = validator_release,
    .needs = validator_needs,
    .validate = validator_validate,
};

static const struct ql_option options[] = {
    {.name = "path", .type = QL_OPT_STRING, .preset = "/etc/os-release", .help = "file that is handed over"},
    {0},
};

QL_PLUGIN(.name = "sample", .version = "1.0", .license = "Apache-2.0",
          .summary = "wants lines in a file of the node", .options = options, .init = start,
          .components = (const struct ql_component *const[]){&evidence.head, &validator.head, NULL});
