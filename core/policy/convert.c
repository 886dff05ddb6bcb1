/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <getopt.h>
#include <string.h>

#include "convert.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "sources.h"
#include "tool.h"

enum {
    GENERATOR_COMPATIBLE = 2
};

static const char *const copied[] = {"release", "digests", "excludes",         "keyrings",
                                     "ima",     "ima-buf", "verification-keys"};

/* As Python's truth: not null, false, 0, "", [] or {}. */
static bool is_truthy(const json_t *j)
{
    switch (j ? json_typeof(j) : JSON_NULL) {
    case JSON_OBJECT:
        return json_object_size(j) > 0;
    case JSON_ARRAY:
        return json_array_size(j) > 0;
    case JSON_STRING:
        return json_string_length(j) > 0;
    case JSON_INTEGER:
        return json_integer_value(j) != 0;
    case JSON_REAL:
        return json_real_value(j) != 0;
    case JSON_TRUE:
        return true;
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return false;
}

static json_t *fresh_policy(int generator)
{
    char timestamp[40];

    ql_draft_timestamp(timestamp);
    return json_pack("{s:{s:i, s:i, s:s}, s:i, s:{}, s:[], s:{}, s:{s:[], s:s, s:n}, s:{}, s:s}", "meta",
                     "version", 1, "generator", generator, "timestamp", timestamp, "release", 0, "digests",
                     "excludes", "keyrings", "ima", "ignored_keyrings", "log_hash_alg", "sha1", "dm_policy",
                     "ima-buf", "verification-keys", "");
}

/* Blanks around lines cut, empty ones and comments passed over. */
static int add_excludes(json_t *policy, const uint8_t *text, size_t len, struct ql_err *err)
{
    json_t *list = json_object_get(policy, "excludes");
    const char *at = (const char *)text, *end = at + len;

    if (!json_is_array(list)) {
        list = json_array();
        if (json_object_set_new(policy, "excludes", list) != 0)
            return ql_fail_nomem(err);
    }
    while (at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at)), *stop = lf ? lf : end,
                   *next = lf ? lf + 1 : end;

        while (at < stop && isspace((unsigned char)*at))
            at++;
        while (stop > at && isspace((unsigned char)stop[-1]))
            stop--;
        if (stop > at && *at != '#' &&
            json_array_append_new(list, json_stringn(at, (size_t)(stop - at))) != 0)
            return ql_fail(err, QL_EPARSE, "exclude list is not UTF-8");
        at = next;
    }
    return QL_OK;
}

static int finish(json_t *policy, const uint8_t *excludes, size_t excludes_len, char **ret,
                  struct ql_err *err)
{
    int r = excludes ? add_excludes(policy, excludes, excludes_len, err) : QL_OK;

    if (r < 0)
        return r;
    *ret = ql_json_text_spaced(policy);
    return *ret ? QL_OK : ql_fail_nomem(err);
}

static int from_json(const json_t *list, const uint8_t *excludes, size_t excludes_len, char **ret,
                     struct ql_err *err)
{
    ql_auto_json json_t *policy = NULL;

    if (json_object_get(list, "digests"))
        return ql_fail(err, QL_EPARSE, "this is a runtime policy, no allow-list");
    if (!is_truthy(json_object_get(list, "hashes")))
        return ql_fail(err, QL_EPARSE, "the allow-list has no hashes");
    policy = fresh_policy(QL_DRAFT_GENERATOR);
    if (!policy || json_object_set(policy, "digests", json_object_get(list, "hashes")) != 0)
        return ql_fail_nomem(err);
    for (size_t i = 0; i < QL_ARRAY_LEN(copied); i++) {
        json_t *value = json_object_get(list, copied[i]);

        if (is_truthy(value) && json_object_set(policy, copied[i], value) != 0)
            return ql_fail_nomem(err);
    }
    return finish(policy, excludes, excludes_len, ret, err);
}

static int from_flat(const uint8_t *text, size_t len, const uint8_t *excludes, size_t excludes_len,
                     char **ret, struct ql_err *err)
{
    const struct ql_flat_rules rules = {.has_keyrings = true};
    ql_auto_json json_t *spare = json_object();
    char timestamp[40];
    struct ql_draft d;
    size_t out_len = 0;
    FILE *out;
    int r;

    ql_draft_init(&d);
    ql_draft_timestamp(timestamp);
    r = ql_flat_read_text((const char *)text, len, &rules, &d, err);
    if (r == QL_OK && excludes)
        r = add_excludes(spare, excludes, excludes_len, err);
    d.more_excludes = json_object_get(spare, "excludes");
    out = r == QL_OK ? open_memstream(ret, &out_len) : NULL;
    if (out)
        r = ql_draft_write(&d, timestamp, out);
    if ((out && fclose(out) != 0) || (r == QL_OK && !out))
        r = ql_fail_nomem(err);
    ql_draft_done(&d);
    return r;
}

int ql_convert_allowlist(const uint8_t *text, size_t len, const uint8_t *excludes, size_t excludes_len,
                         char **ret, struct ql_err *err)
{
    ql_auto_json json_t *list = NULL;

    if (ql_json_parse((const char *)text, len, QL_DRAFT_TEXT_MAX, &list, NULL) == QL_OK)
        return from_json(list, excludes, excludes_len, ret, err);
    return from_flat(text, len, excludes, excludes_len, ret, err);
}

int ql_convert_policy(const uint8_t *text, size_t len, const uint8_t *excludes, size_t excludes_len,
                      char **ret, struct ql_err *err)
{
    ql_auto_json json_t *given = NULL, *made = NULL;
    const json_t *version;
    int r = ql_json_parse_object((const char *)text, len, QL_DRAFT_TEXT_MAX, &given, err);

    if (r < 0)
        return r;
    version = json_object_get(json_object_get(given, "meta"), "version");
    if (!json_is_number(version))
        return ql_fail(err, QL_EPARSE, "meta.version is no number");
    if (json_number_value(version) >= 1)
        return finish(given, excludes, excludes_len, ret, err);
    made = fresh_policy(GENERATOR_COMPATIBLE);
    for (size_t i = 0; made && i < QL_ARRAY_LEN(copied); i++) {
        json_t *value = json_object_get(given, copied[i]);

        if (is_truthy(value) && json_object_set(made, copied[i], value) != 0)
            return ql_fail_nomem(err);
    }
    return made ? finish(made, excludes, excludes_len, ret, err) : ql_fail_nomem(err);
}

int ql_convert_add_keys(char **policy, const char *const *files, size_t count, struct ql_err *err)
{
    ql_auto_json json_t *j = NULL;
    ql_auto_free char *keys = NULL;
    const char *text;
    int r = ql_json_parse_object(*policy, strlen(*policy), QL_DRAFT_TEXT_MAX, &j, err);

    if (r < 0)
        return r;
    text = json_string_value(json_object_get(j, "verification-keys"));
    keys = text && *text ? strdup(text) : NULL;
    r = ql_draft_add_keys(&keys, files, count, err);
    if (r < 0)
        return r;
    if (json_object_set_new(j, "verification-keys", json_string(keys)) != 0)
        return ql_fail_nomem(err);
    free(*policy);
    *policy = ql_json_text_spaced(j);
    return *policy ? r : ql_fail_nomem(err);
}

/* ---- the command ---- */

static const struct option options[] = {
    {"allowlist", required_argument, NULL, 'a'},
    {"runtime_policy", required_argument, NULL, 'r'},
    {"runtime-policy", required_argument, NULL, 'r'},
    {"excludelist", required_argument, NULL, 'e'},
    {"verification_keys", required_argument, NULL, 'v'},
    {"verification-keys", required_argument, NULL, 'v'},
    {"output_file", required_argument, NULL, 'o'},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void help(FILE *out)
{
    fputs("usage: quicklime-policy convert (-a ALLOWLIST | -r RUNTIME_POLICY) [-e EXCLUDELIST]\n"
          "                                [-v KEY_FILE …] -o OUTPUT\n",
          out);
}

static int convert(const char *allowlist, const char *policy, const char *excludelist,
                   const struct ql_tool_list *keys, const char *output)
{
    ql_auto_free uint8_t *text = NULL, *excludes = NULL;
    ql_auto_free char *made = NULL;
    struct ql_err err = QL_ERR_INIT;
    size_t len = 0, excludes_len = 0;
    FILE *out;
    int r = ql_file_read(allowlist ? allowlist : policy, QL_DRAFT_TEXT_MAX, &text, &len, &err);

    if (r == QL_OK && excludelist)
        r = ql_file_read(excludelist, QL_SOURCE_MAX, &excludes, &excludes_len, &err);
    if (r == QL_OK)
        r = (allowlist ? ql_convert_allowlist : ql_convert_policy)(text, len, excludes, excludes_len, &made,
                                                                   &err);
    if (r == QL_OK && keys->count > 0)
        r = ql_convert_add_keys(&made, keys->values, keys->count, &err);
    if (r < 0)
        return ql_tool_fail(&err);
    out = ql_tool_open(output);
    if (!out)
        return QL_TOOL_FAILED;
    fputs(made, out);
    return ql_tool_close(out, output);
}

int ql_tool_convert(int argc, char **argv)
{
    const char *allowlist = NULL, *policy = NULL, *excludelist = NULL, *output = NULL;
    struct ql_tool_list keys = {0};
    int flag;

    if (argc < 2) {
        help(stdout);
        return QL_TOOL_OK;
    }
    while ((flag = getopt_long(argc, argv, "a:r:e:v:o:h", options, NULL)) != -1) {
        switch (flag) {
        case 'a':
            allowlist = optarg;
            break;
        case 'r':
            policy = optarg;
            break;
        case 'e':
            excludelist = optarg;
            break;
        case 'o':
            output = optarg;
            break;
        case 'v':
            if (!ql_tool_add(&keys, optarg))
                return QL_TOOL_USAGE;
            while (optind < argc && argv[optind][0] != '-')
                if (!ql_tool_add(&keys, argv[optind++]))
                    return QL_TOOL_USAGE;
            break;
        case 'h':
            help(stdout);
            return QL_TOOL_OK;
        default:
            return QL_TOOL_USAGE;
        }
    }
    if (!output || !allowlist == !policy) {
        fputs("one of --allowlist and --runtime_policy, and --output_file, are needed\n", stderr);
        return QL_TOOL_FAILED;
    }
    return convert(allowlist, policy, excludelist, &keys, output);
}
