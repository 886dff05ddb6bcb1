/* SPDX-License-Identifier: Apache-2.0 */
/* Measured boot policies: what the command line says of them, and the commands for stored ones (spec/server.md 10.1). */
#include <string.h>

#include "error.h"
#include "file.h"
#include "server.h"
#include "tenant.h"

/** Where the verifier keeps them. */
#define COLLECTION "mbpolicies"

int ql_boot_policy_argument(const struct ql_tenant *t, char **ret, struct ql_err *err)
{
    const char *path = ql_arg(t->args, QL_ARG_MB_POLICY);
    ql_auto_json json_t *policy = NULL;
    ql_auto_free uint8_t *data = NULL;
    size_t len;
    int r;

    if (!path)
        return QL_OK;
    if (strcmp(path, "default") == 0) {
        path = ql_config_string(t->config, "tenant", "mb_refstate");
        /* To go on without the policy that was asked for would leave the boot unjudged. */
        if (*path == '\0')
            return ql_fail(err, QL_ENOTFOUND, "measured boot policy: the option mb_refstate names no file");
    }
    r = ql_file_read(path, QL_TENANT_POLICY_MAX, &data, &len, err);
    if (r < 0)
        return ql_fail_context(err, r, "measured boot policy");
    r = ql_json_parse((const char *)data, len, QL_TENANT_POLICY_MAX, &policy, err);
    if (r < 0)
        return ql_fail_context(err, r, "measured boot policy %s", path);
    *ret = ql_json_text_spaced(policy);
    return *ret ? QL_OK : ql_fail_nomem(err);
}

static const char *policy_name(const struct ql_tenant *t)
{
    const char *name = ql_arg(t->args, QL_ARG_MB_POLICY_NAME);

    return name && *name != '\0' ? name : NULL;
}

static int send_policy(struct ql_tenant *t, unsigned method)
{
    ql_auto(ql_policies_done) struct ql_policies p = {0};
    ql_auto_json json_t *body = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (!policy_name(t)) {
        ql_say_error("mb_policy_name is required to add measure boot policy");
        return 1;
    }
    if (ql_policies_read(t, &p, &err) < 0) {
        ql_say_error("%s", err.text);
        return 1;
    }
    body = json_pack("{s:s}", "mb_policy", p.mb_policy);
    return body ? ql_stored_call(t, method, COLLECTION, policy_name(t), body, NULL) : 1;
}

int ql_command_add_boot(struct ql_tenant *t)
{
    return send_policy(t, QL_POST);
}

int ql_command_update_boot(struct ql_tenant *t)
{
    return send_policy(t, QL_PUT);
}

/* The words are Keylime's. */
static bool is_named(const struct ql_tenant *t, const char *what)
{
    if (policy_name(t))
        return true;
    ql_say_error("--mb_policy_name is required to %s a runtime policy", what);
    return false;
}

int ql_command_show_boot(struct ql_tenant *t)
{
    return is_named(t, "show") ? ql_stored_call(t, QL_GET, COLLECTION, policy_name(t), NULL, "showmbpolicy")
                               : 1;
}

int ql_command_delete_boot(struct ql_tenant *t)
{
    return is_named(t, "delete") ? ql_stored_call(t, QL_DELETE, COLLECTION, policy_name(t), NULL, NULL) : 1;
}

int ql_command_list_boot(struct ql_tenant *t)
{
    return ql_stored_call(t, QL_GET, COLLECTION, "", NULL, "listmbpolicy");
}
