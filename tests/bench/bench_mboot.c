/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU of judging one event log's bytes (parse, digests of the bank, replay; then with each event's tree on top; then with the
 * policy example asked, whose reference state is made of the log itself where it is of that kind, else accept-all) beside
 * SHA-256 over the same bytes. They alternate in short rounds; the fastest round of each counts, for others share the CPU.
 *
 *     bench_mboot [file [rounds]]        without a file: a made log of some 45 KB and 140 events
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mboot/logs.h"
#include "mboot/makelog.h"
#include "policy.h"
#include "refstate.h"
#include "registry.h"
#include "replay.h"
#include "tree.h"

static struct mb_hasher *hasher;
static const uint8_t *bytes;
static size_t len;
static uint32_t events;

static double cpu_us(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) < 0)
        abort();
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_mboot: %s\n", what);
    exit(1);
}

static struct mb_log *judge(void)
{
    struct mb_log *log = NULL;
    struct mb_check found;
    struct mb_pcrs pcrs;
    struct ql_err err = QL_ERR_INIT;
    int bank;

    must(mb_log_parse(&test_host, bytes, len, &log, &err) == QL_OK, err.text);
    bank = mb_log_bank(log, "sha256");
    if (bank < 0)
        bank = 0;
    must(mb_log_check_digests(hasher, log, bank, &found, NULL) == QL_OK && found.mismatch == 0, "digests");
    must(mb_replay(hasher, log, bank, &pcrs, NULL) == QL_OK, "replay");
    events = log->event_count;
    return log;
}

static void run_hash(void)
{
    uint8_t digest[MB_DIGEST_MAX];

    must(mb_hash(hasher, MB_ALG_SHA256, bytes, len, NULL, 0, digest) == QL_OK, "hash");
}

static void run_judge(void)
{
    mb_log_free(judge());
}

static void run_tree(void)
{
    struct mb_log *log = judge();
    const struct mb_tree_options options = {.bank = 0, .has_verified = true};

    for (uint32_t i = 0; i < log->event_count; i++) {
        json_t *event = mb_event_json(log, i, &options);

        must(event != NULL, "tree");
        json_decref(event);
    }
    mb_log_free(log);
}

static struct mb_policy *policy;

static void run_policy(void)
{
    struct mb_log *log = judge();
    const struct mb_question q = {.log = log, .bank = mb_log_bank(log, "sha256")};
    char why[MB_REASON_MAX];

    if (!mb_policy_accepts(policy, &q, why))
        must(false, why);
    mb_log_free(log);
}

/* @return name of the policy that is asked */
static const char *make_policy(const struct mb_workshop *shop)
{
    struct mb_log *log = judge();
    json_t *ref = NULL;
    const char *name =
        mb_refstate_from_log(log, false, NULL, NULL, &ref, NULL) == QL_OK ? "example" : "accept-all";
    struct ql_err err = QL_ERR_INIT;

    if (!ref)
        ref = json_object();
    must(mb_policy_new(shop, name, ref, &policy, &err) == QL_OK, err.text);
    json_decref(ref);
    mb_log_free(log);
    return name;
}

/** Microseconds of one call, over a round of 5 ms. */
static double round_of(void (*once)(void))
{
    const double start = cpu_us();
    double now = start;
    unsigned count = 0;

    while (now - start < 5000) {
        for (int i = 0; i < 4; i++, count++)
            once();
        now = cpu_us();
    }
    return (now - start) / count;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*once)(void);
    } contenders[] = {{"SHA-256 of the same bytes", run_hash},
                      {"parse, digests, replay", run_judge},
                      {"the same and each event's tree", run_tree},
                      {"parse … replay and the policy", run_policy}};
    double best[4] = {1e12, 1e12, 1e12, 1e12};
    struct ql_registry *registry = NULL;
    struct mb_workshop shop = {.host = NULL};
    const struct ql_registry_config config = {0};
    const char *name;
    const int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 40;
    struct made_log made;
    struct bytes file = {0};

    make_log(&made, &MADE_SHA256, 1);
    make_boot(&made, 1400, 500, 110);
    bytes = made.bytes.p;
    len = made.bytes.len;
    if (argc > 1) {
        file = read_file(argv[1]);
        must(file.p != NULL, "no such file");
        bytes = file.p;
        len = file.len;
    }
    must(mb_hasher_new(&test_host, &hasher, NULL) == QL_OK, "no hashes");
    must(ql_registry_new(&config, &registry, NULL) == QL_OK &&
             ql_host_new(registry, "bench", 64u * 1024 * 1024, &shop.host, NULL) == QL_OK,
         "no host");
    shop.hasher = hasher;
    name = make_policy(&shop);
    for (int round = 0; round < rounds; round++)
        for (size_t i = 0; i < 4; i++) {
            const double us = round_of(contenders[i].once);

            if (us < best[i])
                best[i] = us;
        }
    printf("event log of %zu bytes, %u events; policy %s\n", len, events, name);
    for (size_t i = 0; i < 4; i++)
        printf("%-32s %8.1f us  %5.2f times the bare hash\n", contenders[i].name, best[i], best[i] / best[0]);
    mb_policy_free(policy);
    ql_host_free(shop.host);
    ql_registry_free(registry);
    mb_hasher_free(hasher);
    make_done(&made.bytes);
    free(file.p);
    return 0;
}
