/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A widget is a file of the node whose SHA-256 must be one of those that the policy names: {"allowed":
 * ["hex", ...]}. The evidence is bound by the nonce. State counts how often the widget was seen and remembers
 * which it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include <quicklime/evidence.h>
#include <quicklime/validator.h>

#define ALLOWED_MAX 4096 /* digests of one policy */

struct widget {
    const struct ql_host *host;
    const char *path;
};

struct policy {
    size_t count;
    unsigned char allowed[ALLOWED_MAX][32];
};

/* State, version 1. */
struct memory {
    uint32_t seen;
    unsigned char digest[32];
};

static int start(const struct ql_host *host, const struct ql_options *options, void **plugin,
                 struct ql_err *err)
{
    struct widget *w = calloc(1, sizeof *w);

    if (!w)
        return host->fail(err, QL_ENOMEM, "out of memory");
    w->host = host;
    w->path = options->get_string(options, "path");
    *plugin = w;
    return QL_OK;
}

static void stop(void *plugin)
{
    free(plugin);
}

/* ---- evidence ---- */

static int evidence_open(void *plugin, void **handle, struct ql_err *err)
{
    (void)plugin, (void)err;
    *handle = NULL;
    return QL_OK;
}

static int evidence_collect(void *plugin, void *handle, const char *parameters, uint64_t cursor,
                            struct ql_sink *sink, struct ql_collected *ret, struct ql_err *err)
{
    const struct widget *w = plugin;
    int fd = open(w->path, O_RDONLY | O_CLOEXEC), r = QL_OK;
    char piece[4096];
    ssize_t got;

    (void)handle, (void)parameters, (void)cursor;
    if (fd < 0)
        return w->host->fail(err, QL_EIO, "widget %s: %s", w->path, strerror(errno));
    while (r == QL_OK && (got = read(fd, piece, sizeof piece)) != 0)
        r = got > 0 ? sink->write(sink, piece, (size_t)got)
                    : w->host->fail(err, QL_EIO, "widget %s: %s", w->path, strerror(errno));
    close(fd);
    if (r < 0)
        return r;
    ret->cursor_from = ret->cursor_to = 0;
    ret->more = 0;
    return QL_OK;
}

static void evidence_close(void *plugin, void *handle)
{
    (void)plugin, (void)handle;
}

/* ---- validator ---- */

static int read_digest(const char *hex, unsigned char out[32])
{
    if (!hex || strlen(hex) != 64 || strspn(hex, "0123456789abcdef") != 64)
        return -1;
    for (size_t i = 0; i < 32; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return 0;
}

static int validator_prepare(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                             size_t *ret_size, struct ql_err *err)
{
    const struct widget *w = plugin;
    json_error_t why;
    json_t *object = json_loadb((const char *)policy, len, JSON_REJECT_DUPLICATES, &why);
    const json_t *list = json_object_get(object, "allowed");
    struct policy *p = NULL;
    int r = QL_OK;

    (void)origin;
    if (!object)
        return w->host->fail(err, QL_EPARSE, "line %d column %d: %s", why.line, why.column, why.text);
    if (!json_is_array(list) || json_object_size(object) != 1 || json_array_size(list) > ALLOWED_MAX)
        r = w->host->fail(err, QL_EPARSE, "wanted {\"allowed\": [...]} with at most %d digests", ALLOWED_MAX);
    else if (!(p = calloc(1, sizeof *p)))
        r = w->host->fail(err, QL_ENOMEM, "out of memory");
    for (; r == QL_OK && p->count < json_array_size(list); p->count++)
        if (read_digest(json_string_value(json_array_get(list, p->count)), p->allowed[p->count]) < 0)
            r = w->host->fail(err, QL_EPARSE, "allowed: item %zu: wanted 64 lower-case hex digits",
                              p->count + 1);
    json_decref(object);
    if (r < 0) {
        free(p);
        return r;
    }
    *ret = p;
    *ret_size = sizeof *p;
    return QL_OK;
}

static void validator_release(void *plugin, void *compiled)
{
    (void)plugin;
    free(compiled);
}

static int validator_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    static const struct ql_need need = {.size = sizeof need, .evidence = "widget", .bound = QL_BOUND_NONCE};

    (void)plugin, (void)compiled, (void)err;
    ret->items = &need;
    ret->item_count = 1;
    return QL_OK;
}

static int is_allowed(const struct policy *p, const unsigned char digest[32])
{
    for (size_t i = 0; i < p->count; i++)
        if (memcmp(p->allowed[i], digest, 32) == 0)
            return 1;
    return 0;
}

static int report_digest(struct ql_report *report, const unsigned char digest[32])
{
    char hex[65];
    json_t *context;
    int r;

    for (size_t i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    context = json_pack("{s:s}", "sha256", hex);
    r = context ? report->fail(report, "widget.not_allowed", NULL, 1, context) : QL_ENOMEM;
    json_decref(context);
    return r;
}

static int validator_validate(void *plugin, const struct ql_attest *attest, const void *compiled,
                              const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                              struct ql_err *err)
{
    const struct widget *w = plugin;
    struct ql_evidence_data data = {.size = sizeof data};
    struct memory now = {0}, *kept;
    json_t *fact;
    int r = attest->evidence(attest, "widget", &data);

    if (r < 0)
        return w->host->fail(err, r, "no widget in the evidence");
    if (EVP_Digest(data.data, data.len, now.digest, NULL, EVP_sha256(), NULL) != 1)
        return w->host->fail(err, QL_ECRYPTO, "SHA-256 is not available");
    if (!is_allowed(compiled, now.digest)) {
        r = report_digest(report, now.digest);
        if (r < 0)
            return r;
    }
    if (in->len == sizeof now && in->version == 1)
        memcpy(&now.seen, in->data, sizeof now.seen);
    now.seen++;
    fact = json_pack("{s:i}", "seen", (int)now.seen);
    r = fact ? report->fact(report, "widget", fact) : QL_ENOMEM;
    json_decref(fact);
    if (r < 0)
        return r;
    kept = w->host->alloc(w->host, sizeof *kept);
    if (!kept)
        return w->host->fail(err, QL_ENOMEM, "out of memory");
    *kept = now;
    out->version = 1;
    out->data = (const uint8_t *)kept;
    out->len = sizeof *kept;
    out->changed = 1;
    return QL_OK;
}

/* Arguments are files; their digests become the policy. */
static int validator_author(void *plugin, int argc, char **argv, struct ql_text_sink *sink,
                            struct ql_err *err)
{
    const struct widget *w = plugin;
    int r = sink->write(sink, "{\"allowed\": [", 13);

    for (int i = 0; r == QL_OK && i < argc; i++) {
        static unsigned char content[1 << 20];
        unsigned char digest[32];
        char item[80];
        FILE *f = fopen(argv[i], "rb");
        size_t len = f ? fread(content, 1, sizeof content, f) : 0;
        int n = i > 0 ? snprintf(item, sizeof item, ", ") : 0;

        if (!f || !feof(f) || EVP_Digest(content, len, digest, NULL, EVP_sha256(), NULL) != 1)
            r = w->host->fail(err, QL_EIO, "%s: cannot be read, or longer than 1 MiB", argv[i]);
        if (f)
            fclose(f);
        item[n++] = '"';
        for (size_t k = 0; r == QL_OK && k < 32; k++)
            n += snprintf(item + n, 3, "%02x", digest[k]);
        item[n++] = '"';
        if (r == QL_OK)
            r = sink->write(sink, item, (size_t)n);
    }
    return r == QL_OK ? sink->write(sink, "]}\n", 3) : r;
}

static const struct ql_evidence evidence = {
    .head = {.size = sizeof(struct ql_evidence),
             .kind = QL_KIND_EVIDENCE,
             .name = "widget",
             .flags = QL_EVIDENCE_BOUND_NONCE},
    .open = evidence_open,
    .collect = evidence_collect,
    .close = evidence_close,
};

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "widget"},
    .prepare = validator_prepare,
    .release = validator_release,
    .needs = validator_needs,
    .validate = validator_validate,
    .author = validator_author,
};

static const struct ql_option options[] = {
    {.name = "path", .type = QL_OPT_STRING, .preset = "/etc/widget", .help = "file that is the widget"},
    {0},
};

QL_PLUGIN(.name = "widget", .version = "1.0", .license = "Apache-2.0",
          .summary = "knows the files that a node may have", .options = options, .init = start, .fini = stop,
          .components = (const struct ql_component *const[]){&evidence.head, &validator.head, NULL});
