/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a runtime policy costs: CPU time to compile it and memory it takes then, beside jansson's bare parse of the same
 * text in the same run; and one question put to it.
 *
 *     bench_ima_policy [--paths N] [--max-ratio R]
 *
 * With --max-ratio the program fails when compiling takes more than R times the bare parse, or more memory than the text.
 */
#include <getopt.h>
#include <string.h>
#include <time.h>

#include <quicklime/validator.h>

#include "policy.h"
#include "toolhost.h"

enum {
    PASSES = 3,
    ENTRY_MAX = 512,
    LOOKUPS = 1000000
};

struct text {
    char *data;
    size_t len;
    uint64_t seed;
};

static uint64_t next(struct text *t)
{
    t->seed ^= t->seed << 13;
    t->seed ^= t->seed >> 7;
    t->seed ^= t->seed << 17;
    return t->seed;
}

static void add(struct text *t, const char *s)
{
    size_t n = strlen(s);

    memcpy(t->data + t->len, s, n + 1);
    t->len += n;
}

static void add_name(struct text *t, unsigned i)
{
    char name[128];

    snprintf(name, sizeof name, "\"/usr/%s/package-%u/modules/%s-%u.so\":[",
             i % 3 ? "lib/x86_64-linux-gnu" : "bin", i / 40, i % 2 ? "component" : "thing", i);
    add(t, name);
}

/* Every third path has two digests, as where a file was updated. */
static void add_digests(struct text *t, unsigned i)
{
    char hex[80];

    for (unsigned n = 0; n < (i % 3 == 0 ? 2u : 1u); n++) {
        snprintf(hex, sizeof hex, "%s\"%016llx%016llx%016llx%016llx\"", n > 0 ? "," : "",
                 (unsigned long long)next(t), (unsigned long long)next(t), (unsigned long long)next(t),
                 (unsigned long long)next(t));
        add(t, hex);
    }
    add(t, "]");
}

static struct text make(unsigned paths)
{
    struct text t = {.data = malloc((size_t)paths * ENTRY_MAX + 4096), .seed = 88172645463325252u};

    if (!t.data)
        exit(2);
    add(&t, "{\"meta\":{\"version\":1,\"generator\":3},\"release\":0,\"digests\":{");
    for (unsigned i = 0; i < paths; i++) {
        if (i > 0)
            add(&t, ",");
        add_name(&t, i);
        add_digests(&t, i);
    }
    add(&t, "},\"excludes\":[\"/tmp/.*\",\"/var/log/.*\",\"/var/tmp/.*\",\".*\\\\.pyc$\",\"/home/[^/]+/"
            "\\\\.cache/.*\","
            "\"/run/(user|lock)/.*\",\"/proc/.*\",\"/opt/app/data/"
            ".*\",\"boot_aggregate$\"],\"keyrings\":{},\"ima\":{"
            "\"ignored_keyrings\":[],\"log_hash_alg\":\"sha1\",\"dm_policy\":null},\"ima-buf\":{},"
            "\"verification-keys\":\"\"}");
    return t;
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double compile_s(const struct text *t, struct ima_policy **ret)
{
    double best = 1e9;

    for (unsigned i = 0; i < PASSES; i++) {
        struct ql_err err = QL_ERR_INIT;
        double from = cpu_s(), took;

        ima_policy_free(*ret);
        from = cpu_s();
        if (ima_policy_compile(&ql_tool_host, (const uint8_t *)t->data, t->len, QL_ORIGIN_UPLOAD, ret, &err) <
            0) {
            fprintf(stderr, "%s\n", err.text);
            exit(2);
        }
        took = cpu_s() - from;
        best = took < best ? took : best;
    }
    return best;
}

static double parse_s(const struct text *t)
{
    double best = 1e9;

    for (unsigned i = 0; i < PASSES; i++) {
        double from = cpu_s(), took;
        json_t *j = json_loadb(t->data, t->len, 0, NULL);

        took = cpu_s() - from;
        best = took < best ? took : best;
        if (!j)
            exit(2);
        json_decref(j);
    }
    return best;
}

enum question {
    QUESTION_NONE, /* only makes the names: what the others cost besides */
    QUESTION_LOOKUP,
    QUESTION_EXCLUDES
};

/* Names that are there and names that are not. @return CPU ns each */
static double question_ns(const struct ima_policy *p, unsigned paths, enum question question, double *known)
{
    const uint8_t digest[32] = {0};
    struct text t = {.data = malloc(ENTRY_MAX)};
    unsigned yes = 0;
    double from = cpu_s();

    for (unsigned i = 0; i < LOOKUPS; i++) {
        const uint8_t *name = (const uint8_t *)t.data + 1;

        t.len = 0;
        add_name(&t, (i * 7919u) % (paths + paths / 4));
        if (question == QUESTION_LOOKUP)
            yes += ima_policy_lookup(p, IMA_MAP_DIGESTS, name, t.len - 4, digest, 32) != IMA_NAME_UNKNOWN;
        else if (question == QUESTION_EXCLUDES)
            yes += ima_policy_excludes(p, name, t.len - 4) == IMA_EXCLUDED;
    }
    free(t.data);
    *known = (double)yes / LOOKUPS;
    return (cpu_s() - from) * 1e9 / LOOKUPS;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"paths", required_argument, NULL, 'p'}, {"max-ratio", required_argument, NULL, 'r'}, {0}};
    struct ima_policy *p = NULL;
    unsigned paths = 200000;
    double max_ratio = 0, ours, bare, idle, excludes, lookup, known;
    struct text t;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'p')
            paths = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'r')
            max_ratio = strtod(optarg, NULL);
        else
            return 2;
    }
    t = make(paths);
    ours = compile_s(&t, &p);
    bare = parse_s(&t);
    printf("policy: %u paths, %.1f MB of JSON\n", paths, (double)t.len / 1e6);
    printf("compile: %.3f s CPU; jansson's bare parse: %.3f s; ratio %.2f\n", ours, bare, ours / bare);
    printf("memory: %.1f MB compiled, %.2f of the text\n", (double)ima_policy_size(p) / 1e6,
           (double)ima_policy_size(p) / (double)t.len);
    idle = question_ns(p, paths, QUESTION_NONE, &known);
    excludes = question_ns(p, paths, QUESTION_EXCLUDES, &known);
    printf("excludes: %.0f ns a name\n", excludes - idle);
    lookup = question_ns(p, paths, QUESTION_LOOKUP, &known);
    printf("lookup: %.0f ns a name, %.0f%% of them known\n", lookup - idle, known * 100);
    c = max_ratio > 0 && (ours > max_ratio * bare || ima_policy_size(p) > t.len);
    ima_policy_free(p);
    free(t.data);
    return c;
}
