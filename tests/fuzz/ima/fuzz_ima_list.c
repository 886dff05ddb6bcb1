/* SPDX-License-Identifier: Apache-2.0 */
/* A whole attestation: the input is the list, the quoted PCR is zero, the policy has rules of every kind. */
#include "ima.h"
#include "toolhost.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char POLICY[] =
    "{\"meta\":{\"version\":1,\"generator\":3},\"release\":0,\"digests\":{\"boot_aggregate\":["
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]},\"excludes\":[\"/tmp/.*\"],\"keyrings\":{\".ima\":["
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]},\"ima\":{\"ignored_keyrings\":[],\"log_hash_alg\":"
    "\"sha1\",\"dm_policy\":"
    "null},\"ima-buf\":{},\"verification-keys\":\"\"}";

struct input {
    const uint8_t *data;
    size_t size;
    json_t *options;
};

static int64_t get_int(const struct ql_options *o, const char *name)
{
    (void)o;
    return strcmp(name, "ima_max_failures") == 0 ? 20 : 0;
}

static const char *get_string(const struct ql_options *o, const char *name)
{
    (void)o;
    return strcmp(name, "ima_violations") == 0 ? "fail" : "";
}

static const uint8_t *pcr(const struct ql_attest *a, uint32_t n, size_t *len)
{
    static const uint8_t zeros[32];

    (void)a;
    (void)n;
    *len = sizeof zeros;
    return zeros;
}

static int evidence(const struct ql_attest *a, const char *name, struct ql_evidence_data *ret)
{
    const struct input *in = a->ctx;

    (void)name;
    ret->data = in->data;
    ret->len = in->size;
    ret->cursor_from = ret->cursor_to = 0;
    return QL_OK;
}

static const json_t *fact(const struct ql_attest *a, const char *name)
{
    (void)a;
    (void)name;
    return NULL;
}

static int fail(struct ql_report *r, const char *event_id, const char *severity, uint32_t recoverable,
                const json_t *context)
{
    (void)r;
    (void)severity;
    (void)recoverable;
    if (strncmp(event_id, "ima.", 4) != 0 || !json_is_object(context))
        abort();
    return QL_OK;
}

static int publish(struct ql_report *r, const char *name, const json_t *value)
{
    (void)r;
    (void)name;
    (void)value;
    return QL_OK;
}

static int cursor(struct ql_report *r, const char *name, uint64_t at)
{
    (void)r;
    (void)name;
    (void)at;
    return QL_OK;
}

static int retry(struct ql_report *r, const char *reason)
{
    (void)r;
    (void)reason;
    return QL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ql_options options = {
        .size = sizeof options, .get_int = get_int, .get_string = get_string};
    static struct ql_host quiet;
    static struct ima_plugin *plugin;
    static void *compiled;
    static json_t *none;
    struct input input = {.data = data, .size = size};
    const struct ql_attest attest = {.size = sizeof attest,
                                     .agent_id = "fuzz",
                                     .hash_alg = "sha256",
                                     .options = none,
                                     .ctx = &input,
                                     .pcr = pcr,
                                     .evidence = evidence,
                                     .fact = fact};
    struct ql_report report = {
        .size = sizeof report, .fail = fail, .fact = publish, .cursor = cursor, .retry = retry};
    const struct ql_state in = {.size = sizeof in};
    struct ql_state out = {.size = sizeof out};
    size_t policy_size = 0;

    if (!plugin) {
        quiet = ql_tool_host;
        none = json_object();
        if (ima_plugin_new(&quiet, &options, &plugin, NULL) < 0 ||
            ima_validator.prepare(plugin, (const uint8_t *)POLICY, sizeof POLICY - 1, QL_ORIGIN_UPLOAD,
                                  &compiled, &policy_size, NULL) < 0)
            abort();
    }
    (void)ima_validator.validate(plugin, &attest, compiled, &in, &report, &out, NULL); /* any verdict */
    free((void *)(uintptr_t)out.data);
    return 0;
}
