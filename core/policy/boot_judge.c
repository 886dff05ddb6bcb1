/* SPDX-License-Identifier: Apache-2.0 */
#include "boot_judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "file.h"
#include "hasher.h"
#include "json.h"
#include "lone_host.h"
#include "replay.h"
#include "scripts.h"
#include "tool.h"

enum {
    HOST_MEMORY = 512 * 1024 * 1024 /* bytes; of a verifier's worker a plugin has no more */
};

struct ql_boot_policy {
    struct ql_lone_host *host;
    struct mb_hasher *hasher;
    struct mb_scripts *scripts;
    struct mb_workshop shop;
    struct mb_policy *policy;
    json_t *refstate;
    char name[64];
};

void ql_boot_policy_free(struct ql_boot_policy *p)
{
    if (!p)
        return;
    mb_policy_free(p->policy);
    json_decref(p->refstate);
    mb_scripts_free(p->scripts);
    mb_hasher_free(p->hasher);
    ql_lone_host_free(p->host);
    free(p);
}

static const char *one_path(const void *arg, size_t n)
{
    return n == 0 ? arg : NULL;
}

/* A script's path becomes an import and its name. */
static int find_script(struct ql_boot_policy *p, const char *name, struct ql_err *err)
{
    const size_t len = strlen(name);
    const char *base = strrchr(name, '/');

    if (len < 4 || strcmp(name + len - 4, ".lua") != 0) {
        (void)snprintf(p->name, sizeof p->name, "%s", name); /* too long: not found below */
        return QL_OK;
    }
    base = base ? base + 1 : name;
    (void)snprintf(p->name, sizeof p->name, "%.*s", (int)(strlen(base) - 4),
                   base); /* checked by the import */
    return mb_scripts_new(p->shop.host, one_path, name, &p->scripts, err);
}

static int read_refstate(const char *path, json_t **ret, struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL;
    size_t len = 0;
    int r = ql_file_read(ql_tool_input(path), QL_BOOT_REFSTATE_MAX, &text, &len, err);

    if (r < 0)
        return r; /* names the file */
    r = ql_json_parse((const char *)text, len, QL_BOOT_REFSTATE_MAX, ret, err);
    return r < 0 ? ql_fail_context(err, r, "%s", path) : QL_OK;
}

int ql_boot_policy_open(const char *name, const char *refstate, struct ql_boot_policy **ret,
                        struct ql_err *err)
{
    ql_auto(ql_boot_policy_freep) struct ql_boot_policy *p = calloc(1, sizeof *p);
    int r = p ? ql_lone_host_new("mboot", HOST_MEMORY, &p->host, err) : ql_fail_nomem(err);

    if (r < 0)
        return r;
    p->shop.host = ql_lone_host_table(p->host);
    r = mb_hasher_new(p->shop.host, &p->hasher, err);
    if (r == QL_OK)
        r = find_script(p, name, err);
    p->shop.hasher = p->hasher;
    p->shop.scripts = p->scripts;
    if (r == QL_OK)
        r = read_refstate(refstate, &p->refstate, err);
    if (r == QL_OK)
        r = mb_policy_new(&p->shop, p->name, p->refstate, &p->policy, err);
    if (r == QL_OK)
        *ret = ql_steal(p);
    return r;
}

const char *ql_boot_policy_name(const struct ql_boot_policy *p)
{
    return p->name;
}

const json_t *ql_boot_policy_refstate(const struct ql_boot_policy *p)
{
    return p->refstate;
}

/* ---- the log ---- */

void ql_boot_log_done(struct ql_boot_log *l)
{
    mb_log_free(l->log);
    free(l->bytes);
    *l = (struct ql_boot_log){0};
}

static int find_bank(const struct mb_log *log, const char *bank)
{
    int found = mb_log_bank(log, bank ? bank : "sha256");

    for (uint32_t i = 0; !bank && found < 0 && i < log->bank_count; i++)
        if (log->banks[i].is_known)
            found = (int)i;
    return found;
}

int ql_boot_log_open(struct ql_boot_policy *p, const char *path, const char *bank, struct ql_boot_log *ret,
                     struct ql_err *err)
{
    struct ql_boot_log l = {0};
    size_t len = 0;
    int r = ql_file_read(ql_tool_input(path), MB_LOG_MAX, &l.bytes, &len, err);

    if (r < 0)
        return r; /* names the file */
    r = mb_log_parse(p->shop.host, l.bytes, len, &l.log, err);
    if (r == QL_OK) {
        l.bank = find_bank(l.log, bank);
        if (l.bank < 0)
            r = ql_fail(err, QL_ENOTFOUND, "the log has no bank %s", bank ? bank : "that can be computed");
    }
    if (r < 0) {
        ql_boot_log_done(&l);
        return ql_fail_context(err, r, "%s", path);
    }
    *ret = l;
    return QL_OK;
}

/* ---- the verdict ---- */

__attribute__((format(printf, 3, 4))) static void refuse(struct ql_boot_verdict *v, const char *event_id,
                                                         const char *fmt, ...)
{
    va_list ap;

    v->is_good = false;
    (void)snprintf(v->event_id, sizeof v->event_id, "%s", event_id);
    va_start(ap, fmt);
    (void)vsnprintf(v->reason, sizeof v->reason, fmt, ap); /* too long: cut */
    va_end(ap);
}

/* "2 4 7" */
static void list_pcrs(uint32_t mask, char out[128])
{
    size_t at = 0;

    out[0] = '\0';
    for (unsigned pcr = 0; pcr < MB_PCR_COUNT; pcr++)
        if (mask & UINT32_C(1) << pcr)
            at += (size_t)snprintf(out + at, 128 - at, "%s%u", at > 0 ? " " : "", pcr);
}

static int compare_pcrs(struct ql_boot_policy *p, const struct ql_boot_log *l,
                        const struct ql_pcr_values *pcrs, struct ql_boot_verdict *v, struct ql_err *err)
{
    const uint32_t wanted = mb_policy_pcrs(p->policy) & MB_COLLECTED_PCRS;
    struct mb_pcrs made;
    char list[128], event_id[48];
    int r = mb_replay(p->hasher, l->log, l->bank, &made, err);

    if (r < 0)
        return r;
    if (pcrs->digest_len != made.digest_len)
        return ql_fail(err, QL_ERANGE, "PCR values of %zu bytes, the log's have %zu", pcrs->digest_len,
                       made.digest_len);
    for (unsigned pcr = 0; pcr < MB_PCR_COUNT; pcr++)
        if ((wanted & pcrs->present & UINT32_C(1) << pcr) &&
            memcmp(pcrs->value[pcr], made.value[pcr], made.digest_len) != 0)
            v->differ |= UINT32_C(1) << pcr;
    if (v->differ) {
        list_pcrs(v->differ, list);
        (void)snprintf(event_id, sizeof event_id, "measured_boot.invalid_pcr_%d", __builtin_ctz(v->differ));
        refuse(v, event_id, "the log does not give the value of PCR %s", list);
    } else if (wanted & ~pcrs->present) {
        list_pcrs(wanted & ~pcrs->present, list);
        refuse(v, "measured_boot.missing_pcrs", "no value was given of PCR %s", list);
    }
    return QL_OK;
}

struct tracing {
    ql_boot_trace_fn fn;
    void *arg;
};

static void on_event(struct mb_eval *e, const struct mb_value *event, bool accepted, const char *text,
                     void *arg)
{
    const struct tracing *t = arg;

    (void)e;
    if (event->kind == MB_V_EVENT)
        t->fn(t->arg, event->event, accepted, text);
}

int ql_boot_judge(struct ql_boot_policy *p, struct ql_boot_log *l, const struct ql_pcr_values *pcrs,
                  ql_boot_trace_fn trace, void *arg, struct ql_boot_verdict *ret, struct ql_err *err)
{
    struct tracing tracing = {trace, arg};
    const struct mb_question q = {
        .log = l->log, .bank = l->bank, .trace = trace ? on_event : NULL, .trace_arg = &tracing};
    struct ql_boot_verdict v = {.is_good = true};
    struct mb_check check;
    char event_id[96];
    int r = mb_log_check_digests(p->hasher, l->log, l->bank, &check, err);

    if (r < 0)
        return r;
    if (check.mismatch > 0)
        refuse(&v, "measured_boot.parser.digest_mismatch",
               "the %s digest of event %u is not that of its data (%u such events)",
               l->log->banks[l->bank].name, check.first, check.mismatch);
    if (v.is_good && pcrs)
        r = compare_pcrs(p, l, pcrs, &v, err);
    if (r < 0)
        return r;
    if (v.is_good) {
        v.is_good = mb_policy_accepts(p->policy, &q, v.reason);
        (void)snprintf(event_id, sizeof event_id, "measured_boot.policy_%s", p->name);
        if (v.is_good)
            v.reason[0] = '\0';
        else
            memcpy(v.event_id, event_id, sizeof v.event_id);
    }
    *ret = v;
    return QL_OK;
}
