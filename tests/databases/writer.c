/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits numbered rows, one transaction after the other, and fails unless each takes place exactly once: for cuts.py. With
 * "policies" for a count: a runtime policy of 20 MB under many names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agents.h"
#include "changes.h"
#include "error.h"
#include "policies.h"
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

enum {
    POLICY_LEN = 20 << 20,
    POLICY_NAMES = 20
};

static int put_policy(struct ql_txn *t, void *arg, struct ql_err *err)
{
    return ql_policies_put(t, QL_PUT_INSERT, arg, err);
}

static int read_policy(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct ql_policy_row *want = arg;
    struct ql_policy_row row = {0};
    int r = ql_policies_get(t, want->kind, want->name, &row, err);

    if (r == QL_OK &&
        (row.content_len != want->content_len || memcmp(row.content, want->content, row.content_len) != 0))
        r = ql_fail(err, QL_EINTERNAL, "the policy came back changed");
    ql_policy_row_done(&row);
    return r;
}

static int delete_policy(struct ql_txn *t, void *arg, struct ql_err *err)
{
    const struct ql_policy_row *row = arg;

    return ql_policies_delete(t, row->kind, row->name, err);
}

/** One policy under many names; all names but the first go again. */
static int write_policies(struct ql_store *store, struct ql_err *err)
{
    char name[32], kind[] = "runtime", *content = malloc(POLICY_LEN + 1);
    struct ql_policy_row row = {.kind = kind, .name = name, .content = content, .content_len = POLICY_LEN};
    int r = content ? QL_OK : ql_fail_nomem(err);

    for (size_t i = 0; content && i < POLICY_LEN; i++)
        content[i] = (char)(i * 31 >> 3);
    for (int pass = 0; pass < 2; pass++)
        for (int i = pass; r == QL_OK && i < POLICY_NAMES; i++) {
            (void)snprintf(name, sizeof name, "policy-%d", i);
            r = ql_store_run(store, pass ? delete_policy : put_policy, &row, err);
        }
    (void)snprintf(name, sizeof name, "policy-0");
    if (r == QL_OK)
        r = ql_store_run(store, read_policy, &row, err);
    free(content);
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
    if (r == QL_OK && !strcmp(argv[4], "policies"))
        r = write_policies(store, &err);
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
