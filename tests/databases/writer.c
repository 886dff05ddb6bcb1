/* SPDX-License-Identifier: Apache-2.0 */
/* Commits numbered rows, one transaction after the other, and fails unless each takes place exactly once: for cuts.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agents.h"
#include "changes.h"
#include "error.h"
#include "schemas.h"

static int write_one(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const int *number = arg;
    char id[32];
    struct ql_agent_row row = {.agent_id = id, .generation = 1, .severity_level = -1};
    int64_t count = 0;
    int r;

    (void)snprintf(id, sizeof id, "agent-%d", *number);
    r = ql_counter_next(t, "written", &count, err);
    if (r < 0)
        return r;
    r = ql_agents_insert(t, &row, err);
    if (r == QL_OK && count != *number + 1)
        return ql_fail(err, QL_EINTERNAL, "the counter says %lld", (long long)count);
    return r;
}

int main(int argc, char **argv)
{
    const struct ql_registry_config plugins = {.sites = UINT32_C(1) << QL_KIND_STORE};
    struct ql_store_config config = {.schema = &ql_verifier_schema};
    struct ql_registry *registry = NULL;
    struct ql_store *store = NULL;
    struct ql_err err = QL_ERR_INIT;
    char text[32];
    const char *name = text;
    int r;

    if (argc != 5)
        return 2;
    config.url = argv[2];
    config.state_dir = argv[3];
    r = ql_store_backend_name(argv[2], text, &err);
    if (r == QL_OK)
        r = ql_registry_new(&plugins, &registry, &err);
    if (r == QL_OK)
        r = ql_registry_load_all(registry, argv[1], &name, 1, NULL, &err);
    if (r == QL_OK) {
        config.backend = ql_registry_find(registry, QL_KIND_STORE, name);
        r = ql_store_open(&config, &store, &err);
    }
    for (int i = 0; r == QL_OK && i < (int)strtol(argv[4], NULL, 10); i++) {
        r = ql_store_run(store, write_one, &i, &err);
        if (r == QL_OK)
            (void)printf("%d\n", i);
        (void)fflush(stdout);
    }
    if (r < 0)
        (void)fprintf(stderr, "writer: %s\n", err.text);
    ql_store_close(store);
    ql_registry_free(registry);
    return r < 0;
}
