/* SPDX-License-Identifier: Apache-2.0 */
/* What `quicklime-plugin check` prints. */
#include <stdio.h>

#include "internal.h"

static const char *const TYPES[] = {
    [QL_OPT_BOOL] = "bool",     [QL_OPT_INT] = "int",   [QL_OPT_FLOAT] = "float",
    [QL_OPT_STRING] = "string", [QL_OPT_LIST] = "list", [QL_OPT_GROUPS] = "list of groups",
};

static void describe_validator(const struct ql_validator *v, FILE *out)
{
    for (size_t i = 0; v->head.after && v->head.after[i]; i++)
        fprintf(out, "%s %s", i == 0 ? ", after" : "", v->head.after[i]);
    fprintf(out, "%s%s%s", v->upgrade_state ? ", upgrades state" : "", v->author ? ", authors policies" : "",
            v->explain ? ", explains" : "");
}

static void describe_evidence(const struct ql_evidence *e, FILE *out)
{
    if (e->head.flags & QL_EVIDENCE_BOUND_NONCE)
        fputs(", bound by nonce", out);
    if (e->head.flags & QL_EVIDENCE_BOUND_PCR)
        fprintf(out, ", bound by PCR %u", e->pcr);
    if (e->legacy_member)
        fprintf(out, ", feeds %s", e->legacy_member);
}

static void describe_action(const struct ql_action *a, FILE *out)
{
    fprintf(out, ", on%s%s%s", a->head.flags & QL_SITE_VERIFIER ? " verifier" : "",
            a->head.flags & QL_SITE_AGENT ? " agent" : "",
            a->head.flags & QL_SITE_PRIVILEGED ? " privileged" : "");
}

static void describe_component(const struct ql_component *head, FILE *out)
{
    fprintf(out, "  %s %s", ql_kind_name(head->kind), head->name);
    switch (head->kind) {
    case QL_KIND_VALIDATOR:
        describe_validator((const struct ql_validator *)(const void *)head, out);
        break;
    case QL_KIND_EVIDENCE:
        describe_evidence((const struct ql_evidence *)(const void *)head, out);
        break;
    case QL_KIND_ACTION:
        describe_action((const struct ql_action *)(const void *)head, out);
        break;
    default:
        break;
    }
    fputc('\n', out);
}

static void describe_option(const char *group, const struct ql_option *row, FILE *out)
{
    fprintf(out, "  option %s.%s (%s", group, row->name, TYPES[row->type]);
    if (row->min != 0 || row->max != 0)
        fprintf(out, ", %lld to %lld", (long long)row->min, (long long)row->max);
    if (row->choices)
        fprintf(out, ", one of: %s", row->choices);
    fprintf(out, ", default \"%s\"%s): %s\n", row->preset ? row->preset : "",
            row->flags & QL_OPT_SECRET ? ", secret" : "", row->help);
}

void ql_registry_describe(const struct ql_registry *r, FILE *out)
{
    for (size_t i = 0; i < r->plugin_count; i++) {
        const struct ql_loaded *p = r->plugins[i];

        fprintf(out, "plugin %s %s (%s): %s\n", p->name, p->version, p->license, p->summary);
        for (size_t k = 0; k < r->entry_count; k++)
            if (r->entries[k].from == p)
                describe_component(r->entries[k].head, out);
        for (const struct ql_option *row = p->rows; row && row->name; row++)
            describe_option(p->name, row, out);
        if (p->skipped > 0)
            fprintf(out, "  %zu components of kinds that this release does not know were skipped\n",
                    p->skipped);
    }
}
