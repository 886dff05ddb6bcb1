/* SPDX-License-Identifier: Apache-2.0 */
/* Does what its policy names, each of which a worker must not survive or must be able to tell. */
#include <fcntl.h>
#include <pthread.h>
#include <quicklime/validator.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct compiled {
    const struct ql_host *host;
    char word[32];
    struct ql_need need;
};

static void *idle_thread(void *arg)
{
    return arg;
}

/* One deed a policy. What comes back is 0 whatever the kernel said: the worker must be gone by then. */
static int deed(const char *word)
{
    char *const argv[] = {(char *)"/bin/true", NULL};
    pthread_t thread;
    void *page;

    if (strcmp(word, "open") == 0)
        return open("/etc/passwd", O_RDONLY);
    if (strcmp(word, "create") == 0)
        return open("/tmp/quicklime-hostile", O_WRONLY | O_CREAT, 0600);
    if (strcmp(word, "socket") == 0)
        return socket(AF_INET, SOCK_STREAM, 0);
    if (strcmp(word, "unix") == 0)
        return socket(AF_UNIX, SOCK_STREAM, 0);
    if (strcmp(word, "fork") == 0)
        return (int)fork();
    if (strcmp(word, "vfork") == 0)
        return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (strcmp(word, "thread") == 0)
        return pthread_create(&thread, NULL, idle_thread, NULL);
    if (strcmp(word, "exec") == 0)
        return execv(argv[0], argv);
    if (strcmp(word, "kill") == 0)
        return kill(getppid(), 0);
    if (strcmp(word, "ptrace") == 0)
        return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    if (strcmp(word, "chdir") == 0)
        return chdir("/");
    if (strcmp(word, "environment") == 0)
        return getenv("PATH") ? 1 : 0;
    if (strcmp(word, "executable") == 0) {
        page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return page == MAP_FAILED ? -1 : 0;
    }
    if (strcmp(word, "make-executable") == 0) {
        page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return mprotect(page, 4096, PROT_READ | PROT_EXEC);
    }
    if (strcmp(word, "seccomp") == 0)
        return (int)syscall(SYS_seccomp, 1, 0, NULL);
    if (strcmp(word, "abort") == 0)
        abort();
    if (strcmp(word, "exit") == 0)
        _exit(0);
    return 0;
}

static int hostile_prepare(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                           size_t *ret_size, struct ql_err *err)
{
    const struct ql_host *h = plugin;
    struct compiled *c;

    (void)origin;
    if (len >= sizeof c->word)
        return h->fail(err, QL_ERANGE, "hostile: policy of %zu bytes", len);
    c = h->alloc(h, sizeof *c);
    if (!c)
        return h->fail(err, QL_ENOMEM, "hostile: no memory");
    memset(c, 0, sizeof *c);
    memcpy(c->word, policy, len);
    c->host = h;
    *ret = c;
    *ret_size = sizeof *c;
    if (strcmp(c->word, "bad-policy") == 0) {
        h->free(h, c);
        return h->fail(err, QL_EPARSE, "hostile: policy line 1: no");
    }
    if (strcmp(c->word, "prepare-crash") == 0)
        raise(SIGSEGV);
    return QL_OK;
}

static void hostile_release(void *plugin, void *compiled)
{
    const struct ql_host *h = plugin;

    h->free(h, compiled);
}

static int hostile_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    struct compiled *c = (struct compiled *)(uintptr_t)compiled;

    (void)plugin;
    (void)err;
    ret->pcr_mask = 0;
    if (strcmp(c->word, "evidence") == 0 || strcmp(c->word, "pcr-evidence") == 0) {
        c->need = (struct ql_need){.size = sizeof c->need,
                                   .evidence = "widget",
                                   .bound = QL_BOUND_NONCE,
                                   .parameters = "{\"depth\": 2}"};
        if (strcmp(c->word, "pcr-evidence") == 0) {
            c->need.bound = QL_BOUND_PCR;
            c->need.pcr = 22;
            ret->pcr_mask = 1u << 22;
        }
        ret->items = &c->need;
        ret->item_count = 1;
    }
    return QL_OK;
}

/* Stays alive and reports something. @return 1: not one of these words */
static int findings(const struct compiled *c, const struct ql_attest *a, const struct ql_state *in,
                    struct ql_report *report, struct ql_state *out, struct ql_err *err)
{
    struct ql_evidence_data data = {.size = sizeof data};
    json_t *j = NULL;
    uint8_t *bytes;

    if (strcmp(c->word, "wrong-id") == 0)
        return report->fail(report, "other.event", NULL, 1, NULL), QL_OK;
    if (strcmp(c->word, "own-id") == 0) {
        j = json_pack("{s:s}", "why", "because");
        report->fail(report, "hostile.event", "notice", 1, j);
        json_decref(j);
        return QL_OK;
    }
    if (strcmp(c->word, "huge-context") == 0) {
        bytes = malloc(20000);
        memset(bytes, 'a', 19999);
        bytes[19999] = 0;
        j = json_pack("{s:s}", "why", bytes);
        report->fail(report, "hostile.event", NULL, 0, j);
        json_decref(j);
        free(bytes);
        return QL_OK;
    }
    if (strcmp(c->word, "flood") == 0) {
        for (int i = 0; i < 1000; i++)
            report->fail(report, "hostile.flood", NULL, 1, NULL);
        report->fail(report, "hostile.last", NULL, 0, NULL);
        return QL_OK;
    }
    if (strcmp(c->word, "error") == 0)
        return c->host->fail(err, QL_EPARSE, "hostile: cannot judge");
    if (strcmp(c->word, "retry") == 0)
        return report->retry(report, "log ahead"), QL_OK;
    if (strcmp(c->word, "retry-and-fail") == 0) {
        report->retry(report, "log ahead");
        report->fail(report, "hostile.event", NULL, 1, NULL);
        return QL_OK;
    }
    if (strcmp(c->word, "facts") == 0) {
        j = json_pack("{s:i}", "answer", 42);
        report->fact(report, "found", j);
        json_decref(j);
        return QL_OK;
    }
    if (strcmp(c->word, "state") == 0 || strcmp(c->word, "state-and-fail") == 0) {
        bytes = c->host->alloc(c->host, in->len + 1);
        if (in->len > 0)
            memcpy(bytes, in->data, in->len);
        bytes[in->len] = (uint8_t)('a' + in->len);
        *out = (struct ql_state){
            .size = sizeof *out, .version = 3, .data = bytes, .len = in->len + 1, .changed = 1};
        if (a->is_first != (in->len == 0))
            report->fail(report, "hostile.first", NULL, 0, NULL);
        if (strcmp(c->word, "state-and-fail") == 0)
            report->fail(report, "hostile.event", NULL, 1, NULL);
        return QL_OK;
    }
    if (strcmp(c->word, "huge-state") == 0) {
        bytes = c->host->alloc(c->host, QL_STATE_MAX_LEN + 1);
        memset(bytes, 0, QL_STATE_MAX_LEN + 1);
        *out =
            (struct ql_state){.size = sizeof *out, .data = bytes, .len = QL_STATE_MAX_LEN + 1, .changed = 1};
        return QL_OK;
    }
    if (strcmp(c->word, "evidence") == 0 || strcmp(c->word, "pcr-evidence") == 0) {
        if (a->evidence(a, "widget", &data) != QL_OK || data.len != 5 || memcmp(data.data, "proof", 5) != 0)
            report->fail(report, "hostile.evidence", NULL, 0, NULL);
        report->cursor(report, "widget", data.cursor_to);
        return QL_OK;
    }
    if (strcmp(c->word, "undeclared") == 0) {
        if (a->evidence(a, "widget", &data) != QL_ENOTFOUND)
            report->fail(report, "hostile.evidence", NULL, 0, NULL);
        return QL_OK;
    }
    if (strcmp(c->word, "overwrite") == 0) {
        ((struct ql_attest *)(uintptr_t)a)->is_first = 7;
        return QL_OK;
    }
    if (strcmp(c->word, "overwrite-pcr") == 0) {
        size_t len;
        const uint8_t *value = a->pcr(a, 16, &len);

        *(uint8_t *)(uintptr_t)value ^= 1;
        return QL_OK;
    }
    if (strcmp(c->word, "options") == 0) {
        report->fact(report, "options", a->options);
        return QL_OK;
    }
    if (strcmp(c->word, "aggregates") == 0) {
        const json_t *fact = a->fact(a, "core.boot_aggregates");

        if (fact)
            report->fact(report, "aggregates", fact);
        return QL_OK;
    }
    return 1;
}

static int hostile_validate(void *plugin, const struct ql_attest *attest, const void *compiled,
                            const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                            struct ql_err *err)
{
    const struct compiled *c = compiled;
    int r = findings(c, attest, in, report, out, err);

    (void)plugin;
    if (r != 1)
        return r;
    r = deed(c->word);
    if (strcmp(c->word, "nothing") != 0 && strcmp(c->word, "environment") != 0)
        fprintf(stderr, "hostile: %s gave %d\n", c->word, r);
    return strcmp(c->word, "environment") == 0 && r == 1
               ? c->host->fail(err, QL_EACCES, "there is an environment")
               : QL_OK;
}

static int hostile_init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                        struct ql_err *err)
{
    (void)options;
    (void)err;
    *plugin = (void *)(uintptr_t)host;
    return QL_OK;
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "hostile"},
    .prepare = hostile_prepare,
    .release = hostile_release,
    .needs = hostile_needs,
    .validate = hostile_validate,
};

QL_PLUGIN(.name = "hostile", .version = "1.0", .license = "Apache-2.0",
          .summary = "does what its policy names",
          .components = ((const struct ql_component *const[]){&validator.head, NULL}), .init = hostile_init);
