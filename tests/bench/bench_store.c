/* SPDX-License-Identifier: Apache-2.0 */
/* The store path alone: synthetic progress of attestations into the store's queue, beside the same rows written to the
 * backend back to back. See README.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "clock.h"
#include "error.h"
#include "internal.h"
#include "schemas.h"

#define CLOCK_TEXT "{\"clock\": 128000123, \"resetCount\": 12, \"restartCount\": 3, \"safe\": true}"

struct bench {
    struct ql_store_backend counting; /* the plugin's, with a counter before it */
    const struct ql_store_backend *real;
    struct ql_registry *registry;
    struct ql_found found;
    struct ql_store *store;
    unsigned agents, seconds, rate;
    uint64_t rows, batches;
    uint8_t state[128];
    char (*ids)[40];
    struct ql_err err;
};

static struct bench b;

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_store: %s: %s\n", what, b.err.text);
    exit(1);
}

static int count_many(void *plugin, void *db, const struct ql_table *t, struct ql_put *puts, uint32_t count,
                      struct ql_err *err)
{
    int r = QL_OK;

    b.rows += count;
    b.batches++;
    if (b.real->put_many)
        return b.real->put_many(plugin, db, t, puts, count, err);
    for (uint32_t i = 0; i < count && r == QL_OK; i++) {
        struct ql_put *p = &puts[i];

        r = b.real->put(plugin, db, t, p->mode, p->row, p->mask, p->only_if, p->cond_count, err);
    }
    return r;
}

static int insert_all(struct ql_txn *t, void *arg, struct ql_err *err)
{
    (void)arg;
    for (unsigned i = 0; i < b.agents; i++) {
        struct ql_agent_row row = {.agent_id = b.ids[i], .generation = 1, .severity_level = -1};
        int r = ql_agents_insert(t, &row, err);

        if (r < 0)
            return r;
    }
    return QL_OK;
}

static struct ql_agent_progress progress(unsigned i, int64_t count)
{
    return (struct ql_agent_progress){.agent_id = b.ids[i],
                                      .generation = 1,
                                      .operational_state = 3,
                                      .attestation_count = count,
                                      .last_received_quote = 1700000000 + count,
                                      .last_successful_attestation = 1700000000 + count,
                                      .hash_alg = "sha256",
                                      .enc_alg = "rsa",
                                      .sign_alg = "rsassa",
                                      .clock = CLOCK_TEXT,
                                      .state = b.state,
                                      .state_len = sizeof b.state,
                                      .state_number = count};
}

static double cpu_s(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/** Feed the queue at the rate, as verdicts come: one agent after the other. */
static void paced(void)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    int64_t began = ql_mono_ns(), now = began, end = began + b.seconds * QL_NS_PER_S;
    double cpu = cpu_s(), wall;
    uint64_t sent = 0, want;

    b.rows = b.batches = 0;
    while ((now = ql_mono_ns()) < end) {
        want = (uint64_t)((double)(now - began) / 1e9 * b.rate);
        for (; sent < want; sent++) {
            struct ql_agent_progress p =
                progress((unsigned)(sent % b.agents), (int64_t)(sent / b.agents + 1));

            ql_agents_progress(b.store, &p);
        }
        (void)nanosleep(&pause, NULL); /* the next ones are not due yet */
    }
    ql_store_close(b.store); /* all of it is written */
    b.store = NULL;
    wall = (double)(ql_mono_ns() - began) / 1e9;
    cpu = cpu_s() - cpu;
    (void)printf(
        "queue  %8.0f rows/s asked %8.0f written  %5.1f %% of a core  %6.1f us a row  %5.0f rows a batch\n",
        (double)sent / b.seconds, (double)b.rows / wall, 100 * cpu / wall,
        b.rows ? cpu * 1e6 / (double)b.rows : 0, b.batches ? (double)b.rows / (double)b.batches : 0);
}

static int write_512(struct ql_txn *t, void *arg, struct ql_err *err)
{
    static struct ql_agent_progress rows[512];
    const struct ql_agent_progress *list[128];
    int32_t results[128];
    uint64_t *at = arg;

    for (unsigned done = 0; done < QL_STORE_BATCH_MAX; done += 128) {
        int r;

        for (unsigned i = 0; i < 128; i++, (*at)++) {
            rows[i] = progress((unsigned)(*at % b.agents), (int64_t)(*at / b.agents + 1));
            list[i] = &rows[i];
        }
        r = ql_agents_progress_put(t, list, 128, results, err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

/** The same rows in transactions of the same size, one after the other on the bare backend: its own limit. */
static void back_to_back(const char *url, const char *dir)
{
    struct ql_store bare = {.backend = b.real, .plugin = b.found.plugin};
    int64_t began = 0, now = 0;
    uint64_t at = 0;
    double cpu, wall;

    if (b.real->open(b.found.plugin, url, dir, &bare.db, &b.err) < 0 ||
        b.real->tables(b.found.plugin, bare.db, &ql_verifier_schema, &b.err) < 0)
        die("opening");
    began = ql_mono_ns();
    cpu = cpu_s();
    do {
        struct ql_txn t = ql_txn_start(&bare);

        if (b.real->begin(b.found.plugin, bare.db, &b.err) < 0 || write_512(&t, &at, &b.err) < 0 ||
            b.real->commit(b.found.plugin, bare.db, &b.err) < 0)
            die("writing");
        now = ql_mono_ns();
    } while (now < began + b.seconds * QL_NS_PER_S);
    wall = (double)(now - began) / 1e9;
    cpu = cpu_s() - cpu;
    (void)printf("limit  %8.0f rows/s back to back             %5.1f %% of a core  %6.1f us a row\n",
                 (double)at / wall, 100 * cpu / wall, cpu * 1e6 / (double)at);
    b.real->close(b.found.plugin, bare.db);
}

static void load(const char *plugin_dir, const char *name)
{
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_STORE};

    if (ql_registry_new(&config, &b.registry, &b.err) < 0 ||
        ql_registry_load_all(b.registry, plugin_dir, &name, 1, NULL, &b.err) < 0)
        die(name);
    b.found = ql_registry_find(b.registry, QL_KIND_STORE, name);
    if (!b.found.head)
        die("no store");
    b.real = (const struct ql_store_backend *)(const void *)b.found.head;
    b.counting = *b.real;
    b.counting.put_many = count_many;
    b.counting.head.size = sizeof b.counting;
}

static unsigned number(const char *text)
{
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

int main(int argc, char **argv)
{
    struct ql_store_config config = {.schema = &ql_verifier_schema};
    char name[32];

    if (argc != 7) {
        (void)fputs("usage: bench_store PLUGIN_DIR URL STATE_DIR AGENTS RATE SECONDS\n", stderr);
        return 2;
    }
    b.err = (struct ql_err)QL_ERR_INIT;
    b.agents = number(argv[4]);
    b.rate = number(argv[5]);
    b.seconds = number(argv[6]);
    b.ids = b.agents ? calloc(b.agents, sizeof *b.ids) : NULL;
    if (!b.ids || !b.seconds || ql_store_backend_name(argv[2], name, &b.err) < 0)
        die("arguments");
    for (unsigned i = 0; i < b.agents; i++)
        (void)snprintf(b.ids[i], sizeof b.ids[i], "d432fbb3-d2f1-4a97-9ef7-%012u", i);
    load(argv[1], name);
    config.backend = b.found;
    config.backend.head = &b.counting.head;
    config.url = argv[2];
    config.state_dir = argv[3];
    if (ql_store_open(&config, &b.store, &b.err) < 0 || ql_store_run(b.store, insert_all, NULL, &b.err) < 0)
        die("agents");
    paced();
    back_to_back(argv[2], argv[3]);
    ql_registry_free(b.registry);
    free(b.ids);
    return 0;
}
