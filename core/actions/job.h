/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file job.h
 * One run of an action made of Lua or of a shared object, in a process of its own: quicklime-actionrunner.
 *
 * The job is a JSON object: "file", "site" ("agent", "privileged", "verifier"), "body" (the notice as sent), "work_dir",
 * "certificate" (PEM), "settings" (object), "exec", "files", "http", "http_ca" (lists: what the configuration grants),
 * "timeout_ms", "attempt", "dry_run", "log_level". It comes from the daemon, in a file that only it can write.
 */
#pragma once
#include <quicklime/action.h>

#include "notice.h"

enum {
    QL_JOB_MAX = 8 * 1024 * 1024, /**< bytes of a job: a notice in JSON, and room */
    QL_JOB_EXIT_AGAIN = 75        /**< exit status of the runner: run me again later (EX_TEMPFAIL) */
};

/** What a job is made of. All borrowed. */
struct ql_job {
    const char *file;
    uint32_t site; /**< one QL_SITE_… */
    const struct ql_notice *notice;
    const char *work_dir, *certificate;          /**< certificate: "" when there is none */
    const json_t *settings;                      /**< object or NULL */
    const json_t *exec, *files, *http, *http_ca; /**< lists of texts or NULL */
    unsigned timeout_ms, attempt;
    bool dry_run;
};
/** JSON text of a job; caller frees; NULL: no memory. */
char *ql_job_text(const struct ql_job *job);
/**
 * Run a job, here and now: load the file, run each action in it that serves the site. Blocks. Lua's limits hold; what a
 * shared object does is its own business, so this belongs into a process of its own.
 * @retval QL_OK @retval QL_EAGAIN again later @retval QL_ENOTFOUND no action for the site in that file
 */
int ql_job_run(const char *text, size_t len, struct ql_err *err);
/**
 * The same in two steps, for a process that serves one action for long: load what the job names, then run it for each
 * notice. "webhook" (object: "url", "cas", "system_cas", "cert", "key", "key_password", "plain") in the place of "file" is
 * the action that posts the notice there.
 */
struct ql_job_host;
int ql_job_host_new(const char *text, size_t len, struct ql_job_host **ret, struct ql_err *err);
int ql_job_host_run(struct ql_job_host *h, struct ql_notice *notice, uint32_t attempt, struct ql_err *err);
void ql_job_host_free(struct ql_job_host *h);
QL_DEFINE_CLEANUP(struct ql_job_host, ql_job_host_free)
/** Settings of one action out of lines ACTION.NAME=VALUE. New reference; NULL: no memory. */
json_t *ql_job_settings(const char *action, const char *const *lines, size_t count);
