/* SPDX-License-Identifier: Apache-2.0 */
/* --test-action: what would this action do? */
#include <stdio.h>
#include <string.h>

#include "action_run.h"
#include "error.h"
#include "file.h"
#include "job.h"
#include "log.h"
#include "revocation.h"

/* A message as peers get it, or its inner part alone. */
static int read_event(const char *path, struct ql_notice **ret, struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL;
    ql_auto_free char *wrapped = NULL;
    ql_auto_json json_t *j = NULL, *outer = NULL;
    ql_auto(ql_notice_freep) struct ql_notice *n = NULL;
    size_t len = 0;
    int r = ql_file_read(path, QL_NOTICE_MAX, &text, &len, err);

    if (r == QL_OK)
        r = ql_json_parse_object((const char *)text, len, QL_NOTICE_MAX, &j, err);
    if (r < 0)
        return ql_fail_context(err, r, "%s", path);
    if (json_object_get(j, "msg")) {
        r = ql_notice_parse(text, len, &n, err);
    } else {
        outer = json_pack("{s:s%, s:s}", "msg", (const char *)text, len, "signature", "");
        wrapped = outer ? ql_json_text(outer) : NULL;
        r = wrapped ? ql_notice_parse(wrapped, strlen(wrapped), &n, err) : ql_fail_nomem(err);
    }
    if (r == QL_OK)
        r = ql_notice_read(n, err);
    if (r < 0)
        return ql_fail_context(err, r, "%s", path);
    *ret = ql_steal(n);
    return QL_OK;
}

/* The name by which settings know it: without folder and ending. */
static void action_name(const char *file, char *out, size_t room)
{
    const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file, *dot = strrchr(base, '.');

    (void)snprintf(out, room, "%.*s", dot && dot > base ? (int)(dot - base) : (int)strlen(base),
                   base); /* cut: unknown */
}

int ql_revocation_try(const struct ql_agent *a, const char *file, const char *event_path)
{
    ql_auto(ql_notice_freep) struct ql_notice *n = NULL;
    ql_auto_free char *job = NULL;
    struct ql_err err = QL_ERR_INIT;
    const char *dot = strrchr(file, '.');
    char name[QL_ACTION_NAME_MAX + 1];
    int r = read_event(event_path, &n, &err);

    action_name(file, name, sizeof name);
    ql_log_setup("quicklime-agent", QL_INFO, QL_LOG_PLAIN);
    if (r == QL_OK && dot && (strcmp(dot, ".lua") == 0 || strcmp(dot, ".so") == 0)) {
        job = ql_action_job(a, a->dir, name, file, n, true);
        r = job ? ql_job_run(job, strlen(job), &err) : ql_fail_nomem(&err);
    } else if (r == QL_OK && access(file, X_OK) == 0) {
        ql_log(QL_INFO, "action", "would run: %s EVENT.json", file);
    } else if (r == QL_OK) {
        r = ql_fail(&err, QL_EACCES, "%s is neither Lua (.lua), a shared object (.so), nor executable", file);
    }
    if (r < 0)
        ql_log(QL_ERROR, "action", "%s: %s", file, err.text);
    else
        ql_log(QL_INFO, "action", "%s: well, for %s of agent %s; nothing was done", name, n->type,
               n->agent_id);
    return r < 0 ? 1 : 0;
}
