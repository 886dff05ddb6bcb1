/* SPDX-License-Identifier: Apache-2.0 */
/* Says what is wrong in a policy, and judges a measurement list by it with the validator that verifiers use. */
#include <getopt.h>
#include <string.h>

#include "digest.h"
#include "draft.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "ima.h"
#include "json.h"
#include "policy.h"
#include "report.h"
#include "sources.h"
#include "tool.h"
#include "toolhost.h"

enum {
    BITS_PER_HEX = 4
};

/** What the command line asked for. */
struct check {
    const char *policy, *list, *bank, *boot_aggregate;
    bool violations_fail;
    uint8_t pcr[QL_DIGEST_MAX];
    size_t pcr_len;
    bool has_pcr;
};

static const struct option options[] = {
    {"runtime-policy", required_argument, NULL, 'r'},
    {"ima-measurement-list", optional_argument, NULL, 'm'},
    {"bank", required_argument, NULL, 'B'},
    {"pcr", required_argument, NULL, 'P'},
    {"fail-on-violations", no_argument, NULL, 'V'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void help(FILE *out)
{
    fputs(
        "usage: quicklime-policy check POLICY [-m [LIST]] [--bank sha256] [--pcr HEX] "
        "[--fail-on-violations]\n\n"
        "  POLICY      runtime policy, signed or not\n"
        "  -m LIST     judge this measurement list (the kernel's without LIST): which entries fail, and why\n"
        "  --pcr HEX   value of PCR 10 that the list must give; without it only the entries are judged\n"
        "  --bank ALG  bank of that PCR: sha1, sha256, sha384 or sha512\n",
        out);
}

/* ---- the policy alone ---- */

/* What is allowed and still worth a look. */
static void warn(const uint8_t *text, size_t len)
{
    struct ql_err err = QL_ERR_INIT;
    size_t lens[2 * QL_DIGEST_MAX + 1] = {0}, kinds = 0;
    struct ql_draft d;

    ql_draft_init(&d);
    if (ql_draft_read(&d, text, len, &err) == QL_OK) {
        for (size_t i = 0; i < d.digests.count; i++)
            for (size_t k = 0; k < d.digests.list[i].count; k++) {
                size_t n = strlen(d.digests.list[i].values[k]);

                if (n <= 2 * QL_DIGEST_MAX && lens[n]++ == 0)
                    kinds++;
            }
        if (kinds > 1) {
            printf("warning: digests of %zu lengths:", kinds);
            for (size_t n = 0; n <= 2 * QL_DIGEST_MAX; n++)
                if (lens[n] > 0)
                    printf(" %zu of %zu bits,", lens[n], n * BITS_PER_HEX);
            printf(" entries of each hash are taken\n");
        }
        if (!ql_names_find(&d.digests, "boot_aggregate", strlen("boot_aggregate")))
            printf("warning: no boot_aggregate: it must come from a boot log that is checked\n");
        if (ql_names_find(&d.excludes, "", 0) || ql_names_find(&d.excludes, ".*", 2))
            printf("warning: an exclude matches every file: nothing is checked\n");
    }
    ql_draft_done(&d);
}

/* ---- the list ---- */

struct judging {
    struct ql_attest attest; /* first: callbacks find the rest by it */
    struct ql_report report;
    const struct check *asked;
    uint8_t *list;
    size_t list_len;
    json_t *no_options;
    uint64_t failures;
};

static const uint8_t *give_pcr(const struct ql_attest *a, uint32_t n, size_t *len)
{
    const struct judging *j = (const struct judging *)a->ctx;

    *len = j->asked->pcr_len;
    return n == IMA_PCR ? j->asked->pcr : NULL;
}

static int give_evidence(const struct ql_attest *a, const char *name, struct ql_evidence_data *ret)
{
    const struct judging *j = (const struct judging *)a->ctx;

    if (strcmp(name, "ima") != 0)
        return QL_ENOTFOUND;
    *ret = (struct ql_evidence_data){.size = sizeof *ret, .data = j->list, .len = j->list_len};
    return QL_OK;
}

static const json_t *give_fact(const struct ql_attest *a, const char *name)
{
    (void)a;
    (void)name;
    return NULL;
}

static int take_failure(struct ql_report *r, const char *event_id, const char *severity, uint32_t recoverable,
                        const json_t *context)
{
    struct judging *j = r->ctx;
    const char *message = json_string_value(json_object_get(context, "message"));
    ql_auto_free char *whole = message ? NULL : json_dumps(context, JSON_COMPACT);

    (void)severity;
    (void)recoverable;
    if (!j->asked->has_pcr && strcmp(event_id, "ima.pcr_mismatch") == 0)
        return QL_OK; /* nothing to compare with was given */
    j->failures++;
    printf("%s: %s\n", event_id, message ? message : whole ? whole : "");
    return QL_OK;
}

static int take_fact(struct ql_report *r, const char *name, const json_t *value)
{
    ql_auto_free char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    (void)r;
    printf("%s: %s\n", name, text ? text : "");
    return QL_OK;
}

static int take_cursor(struct ql_report *r, const char *evidence, uint64_t cursor)
{
    (void)r;
    (void)evidence;
    (void)cursor;
    return QL_OK;
}

static int take_retry(struct ql_report *r, const char *reason)
{
    (void)r;
    printf("%s\n", reason);
    return QL_OK;
}

/* Options of the plugin as they are without a file. */
static const char *preset(const char *name)
{
    for (const struct ql_option *row = ima_options; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row->preset ? row->preset : "";
    return "";
}

static bool violations_fail; /* --fail-on-violations: options have no context of their own */

static const char *option_text(const struct ql_options *o, const char *name)
{
    (void)o;
    return violations_fail && strcmp(name, "ima_violations") == 0 ? "fail" : preset(name);
}

static int64_t option_int(const struct ql_options *o, const char *name)
{
    (void)o;
    if (strcmp(name, "ima_max_failures") == 0)
        return IMA_REPORTED_MAX;
    return strcmp(preset(name), "true") == 0 ? 1 : strtoll(preset(name), NULL, 10);
}

static double option_float(const struct ql_options *o, const char *name)
{
    return (double)option_int(o, name);
}

static const char *option_item(const struct ql_options *o, const char *name, size_t n)
{
    (void)o;
    (void)name;
    (void)n;
    return NULL;
}

static const struct ql_options no_file = {.size = sizeof no_file,
                                          .get_int = option_int,
                                          .get_float = option_float,
                                          .get_string = option_text,
                                          .get_item = option_item};

static int judge(const struct check *c, const uint8_t *text, size_t len, uint64_t *failures,
                 struct ql_err *err)
{
    struct judging j = {.asked = c, .no_options = json_object()};
    struct ql_state in = {.size = sizeof in}, out = {.size = sizeof out};
    struct ima_plugin *plugin = NULL;
    void *compiled = NULL;
    size_t size = 0;
    int r = ql_file_read(c->list, QL_SOURCE_MAX, &j.list, &j.list_len, err);

    violations_fail = c->violations_fail;
    j.attest = (struct ql_attest){.size = sizeof j.attest,
                                  .agent_id = "offline",
                                  .hash_alg = c->bank,
                                  .is_first = 1,
                                  .options = j.no_options,
                                  .ctx = &j,
                                  .pcr = give_pcr,
                                  .evidence = give_evidence,
                                  .fact = give_fact};
    j.report = (struct ql_report){.size = sizeof j.report,
                                  .ctx = &j,
                                  .fail = take_failure,
                                  .fact = take_fact,
                                  .cursor = take_cursor,
                                  .retry = take_retry};
    if (r == QL_OK)
        r = ima_plugin_new(&ql_tool_host, &no_file, &plugin, err);
    if (r == QL_OK)
        r = ima_validator.prepare(plugin, text, len, QL_ORIGIN_UPLOAD, &compiled, &size, err);
    if (r == QL_OK)
        r = ima_validator.validate(plugin, &j.attest, compiled, &in, &j.report, &out, err);
    ql_tool_host.free(&ql_tool_host, (void *)(uintptr_t)out.data);
    if (compiled)
        ima_validator.release(plugin, compiled);
    if (plugin)
        ima_plugin_free(plugin);
    json_decref(j.no_options);
    free(j.list);
    *failures = j.failures;
    return r;
}

/* ---- the command ---- */

/* @return -1 to go on, else the exit code */
static int parse(int argc, char **argv, struct check *c)
{
    int flag;

    while ((flag = getopt_long(argc, argv, "r:m::h", options, NULL)) != -1) {
        switch (flag) {
        case 'r':
            c->policy = optarg;
            break;
        case 'm':
            c->list = ql_tool_optional(argc, argv, IMA_KERNEL_LIST);
            break;
        case 'B':
            c->bank = optarg;
            break;
        case 'P':
            if (ql_hex_decode_upto(optarg, strlen(optarg), c->pcr, sizeof c->pcr, &c->pcr_len, NULL) < 0) {
                fputs("--pcr is not the hex of a digest\n", stderr);
                return QL_TOOL_USAGE;
            }
            c->has_pcr = true;
            break;
        case 'V':
            c->violations_fail = true;
            break;
        case 'h':
            help(stdout);
            return QL_TOOL_OK;
        default:
            return QL_TOOL_USAGE;
        }
    }
    if (!c->policy && optind < argc)
        c->policy = argv[optind++];
    if (!c->policy || optind < argc) {
        help(stderr);
        return QL_TOOL_USAGE;
    }
    return -1;
}

static int check_bank(struct check *c)
{
    enum ql_hash alg;

    if (ql_hash_by_name(c->bank, strlen(c->bank), &alg) < 0 ||
        (c->has_pcr && c->pcr_len != ql_hash_len(alg))) {
        fprintf(stderr, "--bank %s is unknown, or --pcr has another length\n", c->bank);
        return QL_TOOL_USAGE;
    }
    c->pcr_len = ql_hash_len(alg);
    return -1;
}

int ql_tool_check(int argc, char **argv)
{
    struct check c = {.bank = "sha256"};
    ql_auto_free uint8_t *text = NULL;
    struct ima_policy *policy = NULL;
    struct ql_err err = QL_ERR_INIT;
    uint64_t failures = 0;
    size_t len = 0;
    int code = parse(argc, argv, &c), r;

    if (code < 0)
        code = check_bank(&c);
    if (code >= 0)
        return code;
    r = ql_file_read(c.policy, QL_DRAFT_TEXT_MAX, &text, &len, &err);
    if (r == QL_OK) {
        r = ima_policy_compile(&ql_tool_host, text, len, QL_ORIGIN_UPLOAD, &policy, &err);
        ima_policy_free(policy);
    }
    if (r < 0) {
        printf("error: %s\n", err.text);
        return QL_TOOL_FAILED;
    }
    warn(text, len);
    if (c.list && judge(&c, text, len, &failures, &err) < 0)
        return ql_tool_fail(&err);
    if (c.list)
        printf("%llu entries fail\n", (unsigned long long)failures);
    else
        printf("policy is good\n");
    return failures > 0 ? QL_TOOL_FAILED : QL_TOOL_OK;
}
