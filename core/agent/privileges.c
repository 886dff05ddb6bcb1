/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "error.h"

enum {
    GROUPS_MAX = 65536 /* the kernel's own limit */
};

void ql_run_as_done(struct ql_run_as *r)
{
    free(r->groups);
    *r = (struct ql_run_as){0};
}

static int read_groups(const char *user, struct ql_run_as *r, struct ql_err *err)
{
    int count = 32;

    for (;;) {
        gid_t *list = calloc((size_t)count, sizeof *list);
        int got = count;

        if (!list)
            return ql_fail_nomem(err);
        if (getgrouplist(user, r->gid, list, &got) >= 0) {
            r->groups = list;
            r->group_count = got;
            return QL_OK;
        }
        free(list);
        if (got <= count || got > GROUPS_MAX)
            return ql_fail(err, QL_ELIMIT, "run_as: user %s is in too many groups", user);
        count = got;
    }
}

int ql_run_as_parse(const char *text, struct ql_run_as *ret, struct ql_err *err)
{
    ql_auto(ql_run_as_done) struct ql_run_as r = {0};
    const char *colon = strchr(text, ':');
    ql_auto_free char *user = NULL;
    const struct passwd *pw;
    const struct group *gr;
    int e;

    if (!colon || colon == text || colon[1] == '\0' || strchr(colon + 1, ':'))
        return ql_fail(err, QL_EPARSE, "run_as \"%s\" is not user:group", text);
    user = strndup(text, (size_t)(colon - text));
    if (!user)
        return ql_fail_nomem(err);
    pw = getpwnam(user);
    if (!pw)
        return ql_fail(err, QL_ENOTFOUND, "run_as: there is no user %s", user);
    r.uid = pw->pw_uid;
    gr = getgrnam(colon + 1);
    if (!gr)
        return ql_fail(err, QL_ENOTFOUND, "run_as: there is no group %s", colon + 1);
    r.gid = gr->gr_gid;
    if (r.uid == 0)
        return ql_fail(err, QL_ERANGE, "run_as: user %s is root; leave run_as empty to stay root", user);
    e = read_groups(user, &r, err);
    if (e < 0)
        return e;
    *ret = r;
    r = (struct ql_run_as){0};
    return QL_OK;
}

int ql_run_as_drop(const struct ql_run_as *r, struct ql_err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {0};
    uid_t real, effective, saved;

    /* libc applies each of these to all threads. */
    if (setgroups((size_t)r->group_count, r->groups) < 0)
        return ql_fail(err, QL_EACCES, "run_as: setgroups: %s", strerror(errno));
    if (setresgid(r->gid, r->gid, r->gid) < 0)
        return ql_fail(err, QL_EACCES, "run_as: setresgid: %s", strerror(errno));
    if (prctl(PR_SET_KEEPCAPS, 0) < 0 || setresuid(r->uid, r->uid, r->uid) < 0)
        return ql_fail(err, QL_EACCES, "run_as: setresuid: %s", strerror(errno));
    if (getresuid(&real, &effective, &saved) < 0 || real != r->uid || effective != r->uid ||
        saved != r->uid || getegid() != r->gid || setuid(0) == 0 || setgid(0) == 0)
        return ql_fail(err, QL_EACCES, "run_as: the process could become root again");
    if (syscall(SYS_capget, &head, caps) < 0 || (caps[0].permitted | caps[1].permitted) != 0)
        return ql_fail(err, QL_EACCES, "run_as: capabilities are left");
    return QL_OK;
}
