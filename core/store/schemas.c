/* SPDX-License-Identifier: Apache-2.0 */
#include "schemas.h"
#include "changes.h"
#include "members.h"
#include "outbox.h"
#include "policies.h"
#include "registrations.h"

static const struct ql_table *const verifier_tables[] = {
    &ql_agents_table,  &ql_policy_names_table, &ql_policy_contents_table, &ql_outbox_table,
    &ql_changes_table, &ql_counters_table,     &ql_members_table,
};

const struct ql_schema ql_verifier_schema = {
    .size = sizeof(struct ql_schema),
    .name = "verifier",
    .version = 2, /* 2: members, outbox.verifier_id */
    .oldest_reader = 1,
    .tables = verifier_tables,
    .table_count = QL_ARRAY_LEN(verifier_tables),
    .may_migrate = 1,
};

static const struct ql_table *const registrar_tables[] = {&ql_registrations_table};

const struct ql_schema ql_registrar_schema = {
    .size = sizeof(struct ql_schema),
    .name = "registrar",
    .version = 1,
    .oldest_reader = 1,
    .tables = registrar_tables,
    .table_count = QL_ARRAY_LEN(registrar_tables),
    .may_migrate = 1,
};
