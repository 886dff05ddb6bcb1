/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a measurement list costs: the validator's CPU time for a first attestation against bare hashing of the same template
 * data (three digests an entry, fetched, one context reused), and for ten further entries at several lengths of the list.
 *
 *     bench_ima [--entries N] [--paths N] [--min-ratio R] [--max-next-us U]
 *
 * With --min-ratio the program fails when the validator takes fewer entries a second than R times bare hashing; with
 * --max-next-us when ten further entries take longer.
 */
#include "ima/rig.h"

#include <getopt.h>
#include <sys/resource.h>

#include "ima/loggen.h"

enum {
    ROUNDS = 5,
    NEXT_ROUNDS = 2000,
    FURTHER = 10
};

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t file_number(uint64_t entry, uint64_t paths)
{
    return entry * UINT64_C(2654435761) % paths;
}

/* A policy of this many paths, and the exclude list of an ordinary one. */
static char *make_policy(uint64_t paths)
{
    const size_t room = paths * 220 + 4096;
    char *text = malloc(room), hex[65], path[128];
    uint8_t digest[32];
    size_t at;

    if (!text)
        abort();
    memset(digest, 0xaa, sizeof digest);
    loggen_hex(hex, digest, 32);
    at = (size_t)snprintf(
        text, room,
        "{\"meta\":{\"version\":1,\"generator\":3},\"release\":0,\"digests\":{\"boot_aggregate\":[\"%s\"]",
        hex);
    for (uint64_t n = 0; n < paths; n++) {
        loggen_path(n, path);
        loggen_digest(n, digest);
        loggen_hex(hex, digest, 32);
        at += (size_t)snprintf(text + at, room - at, ",\"%s\":[\"%s\"]", path, hex);
    }
    (void)snprintf(text + at, room - at,
                   "},\"excludes\":[\"/tmp/.*\",\"/var/.*\",\"/root/\\\\..*\",\"/home/[^/]+/"
                   ".*\"],\"keyrings\":{},\"ima\":{"
                   "\"ignored_keyrings\":[],\"log_hash_alg\":\"sha1\",\"dm_policy\":null},\"ima-buf\":{},"
                   "\"verification-keys\":\"\"}");
    return text;
}

static void add_files(struct loggen *g, uint64_t count, uint64_t paths)
{
    char path[128];
    uint8_t digest[32];

    for (uint64_t i = 0; i < count; i++) {
        const uint64_t n = file_number(g->count, paths);

        loggen_path(n, path);
        loggen_digest(n, digest);
        loggen_file(g, digest, path);
    }
}

static void begin(struct loggen *g, uint64_t entries, uint64_t paths)
{
    uint8_t digest[32];

    loggen_init(g, 1);
    memset(digest, 0xaa, sizeof digest);
    loggen_file(g, digest, "boot_aggregate");
    add_files(g, entries - 1, paths);
}

/* Best of some rounds: SHA-1 and SHA-256 of the template data and the extend, nothing else. */
static double bare_hashing(struct loggen *g, uint64_t entries, uint64_t paths)
{
    const size_t each = 256;
    uint8_t *data = malloc(entries * each), digest[32], out[32];
    size_t *lens = malloc(entries * sizeof *lens);
    double best = 1e9;
    char path[128];

    if (!data || !lens)
        abort();
    for (uint64_t i = 0; i < entries; i++) {
        loggen_path(file_number(i, paths), path);
        loggen_digest(file_number(i, paths), digest);
        lens[i] = loggen_data(data + i * each, digest, path, NULL, 0, false);
    }
    for (int round = 0; round < ROUNDS; round++) {
        const double start = cpu_s();

        for (uint64_t i = 0; i < entries; i++) {
            loggen_hash(g, g->sha1, data + i * each, lens[i], out);
            loggen_hash(g, g->sha256, data + i * each, lens[i], out);
            loggen_extend(g, out);
        }
        if (cpu_s() - start < best)
            best = cpu_s() - start;
    }
    free(data);
    free(lens);
    return best;
}

static void must_pass(struct rig *r)
{
    if (rig_run(r) == RIG_PASS)
        return;
    fprintf(stderr, "bench_ima: the list does not pass: %s %s %s\n", rig_event(r, 0), r->err.text,
            r->retry ? r->retry : "");
    exit(1);
}

static double first_attestation(struct rig *r, struct loggen *g)
{
    double best = 1e9;

    memcpy(r->pcr, g->pcr, 32);
    r->pcr_len = 32;
    for (int round = 0; round < ROUNDS; round++) {
        double start;

        rig_forget(r);
        rig_list(r, g->text, 0);
        start = cpu_s();
        must_pass(r);
        if (cpu_s() - start < best)
            best = cpu_s() - start;
    }
    return best;
}

/* Ten further entries after each other. @return mean µs of one */
static double further_attestations(struct rig *r, struct loggen *g, uint64_t paths)
{
    const size_t first = g->len;
    uint64_t from = g->count;
    struct loggen more = *g;
    double spent = 0;
    size_t offset = first;

    for (int i = 0; i < NEXT_ROUNDS; i++) {
        double start;

        add_files(&more, FURTHER, paths);
        memcpy(r->pcr, more.pcr, 32);
        rig_list(r, more.text + offset, from);
        start = cpu_s();
        must_pass(r);
        spent += cpu_s() - start;
        from = more.count;
        offset = more.len;
    }
    *g = more;
    return spent / NEXT_ROUNDS * 1e6;
}

static uint64_t number(const char *text)
{
    char *end;
    const unsigned long long v = strtoull(text, &end, 10);

    if (*end || v == 0) {
        fprintf(stderr, "bench_ima: \"%s\" is not a number\n", text);
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"entries", required_argument, NULL, 'e'},
                                            {"paths", required_argument, NULL, 'p'},
                                            {"min-ratio", required_argument, NULL, 'r'},
                                            {"max-next-us", required_argument, NULL, 'n'},
                                            {0}};
    static const uint64_t lengths[] = {1000, 100000, 1000000};
    uint64_t entries = 100000, paths = 200000;
    double min_ratio = 0, max_next = 1e9, bare, first;
    struct rig_options o = rig_defaults();
    struct rig r;
    struct loggen g;
    char *policy;
    int c, result = 0;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (c) {
        case 'e':
            entries = number(optarg);
            break;
        case 'p':
            paths = number(optarg);
            break;
        case 'r':
            min_ratio = strtod(optarg, NULL);
            break;
        case 'n':
            max_next = strtod(optarg, NULL);
            break;
        default:
            return 2;
        }
    o.require_log = 1;
    rig_start(&r, o);
    r.in_place = true;
    policy = make_policy(paths);
    if (!rig_policy(&r, policy, QL_ORIGIN_UPLOAD)) {
        fprintf(stderr, "bench_ima: %s\n", r.err.text);
        return 1;
    }
    free(policy);
    begin(&g, entries, paths);
    bare = bare_hashing(&g, entries, paths);
    loggen_done(&g);
    begin(&g, entries, paths);
    first = first_attestation(&r, &g);
    printf("list of %llu entries (%.1f MB), policy of %llu paths\n", (unsigned long long)entries,
           (double)g.len / 1e6, (unsigned long long)paths);
    printf("  bare hashing      %8.0f entries/s\n", (double)entries / bare);
    printf("  first attestation %8.0f entries/s = %.0f %% of bare hashing\n", (double)entries / first,
           100 * bare / first);
    loggen_done(&g);
    if (bare / first < min_ratio) {
        printf("below %.0f %%\n", 100 * min_ratio);
        result = 1;
    }
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        double next;

        begin(&g, lengths[i], paths);
        (void)first_attestation(&r, &g);
        next = further_attestations(&r, &g, paths);
        printf("  %d further entries after %llu: %.1f us\n", FURTHER, (unsigned long long)lengths[i], next);
        loggen_done(&g);
        if (next > max_next) {
            printf("above %.1f us\n", max_next);
            result = 1;
        }
    }
    rig_stop(&r);
    return result;
}
