/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quicklime-policy check measured-boot, explain: what is wrong in a measured boot policy; how it judges a log, in one line or
 * event by event.
 */
#include <getopt.h>
#include <string.h>

#include "boot_judge.h"
#include "color.h"
#include "describe.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "parse.h"
#include "refstate_lint.h"
#include "tool.h"
#include "toolhost.h"

/** What the command line asked for. */
struct request {
    const char *policy, *refstate, *log, *bank, *pcrs, *when;
    bool is_explaining, is_short;
    bool has_color;
};

static const struct option options[] = {{"policy", required_argument, NULL, 'p'},
                                        {"refstate", required_argument, NULL, 'r'},
                                        {"eventlog-file", required_argument, NULL, 'e'},
                                        {"bank", required_argument, NULL, 'b'},
                                        {"pcrs", required_argument, NULL, 'P'},
                                        {"color", required_argument, NULL, 'c'},
                                        {"failed", no_argument, NULL, 'f'},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

#define SHARED_FLAGS                                                                                         \
    "  -p, --policy NAME          how it is judged: example (default), another bundled policy, or a script " \
    "FILE.lua\n"                                                                                             \
    "  -r, --refstate POLICY      reference state, or -; the same as POLICY\n"                               \
    "  -e, --eventlog-file LOG    boot log, or -; the same as LOG\n"                                         \
    "  -b, --bank NAME            bank of the PCRs that would be quoted (sha256)\n"                          \
    "  -P, --pcrs FILE            values that the TPM holds, as tpm2_pcrread prints them; without: the "     \
    "log's word is taken\n"                                                                                  \
    "      --color WHEN           auto (default), always or never; NO_COLOR is respected\n"

static const char check_usage[] = "usage: quicklime-policy check measured-boot [flags] POLICY [LOG]\n\n"
                                  "Says what is wrong in a measured boot policy and what is worth a look; "
                                  "with a log, the verdict.\n\n" SHARED_FLAGS;
static const char explain_usage[] =
    "usage: quicklime-policy explain [flags] POLICY LOG\n\n"
    "Judges a boot log and says of each event what it was compared with, then the verdict.\n\n" SHARED_FLAGS
    "  -f, --failed               only events that fail, and those that the verdict names\n";

/* ---- events ---- */

/** What the tests said of one event. */
struct said {
    bool is_asked, is_bad;
    bool is_named; /* in the verdict's reason */
    char *text;    /* several: one a line */
};

struct explaining {
    struct said *events;
    uint32_t count;
    bool failed; /* no memory */
};

static void on_event(void *arg, uint32_t event, bool is_good, const char *text)
{
    struct explaining *x = arg;
    struct said *s = event < x->count ? &x->events[event] : NULL;
    char *more = NULL;

    if (!s)
        return;
    s->is_asked = true;
    s->is_bad |= !is_good;
    if (*text == '\0' || (s->text && strstr(s->text, text)))
        return;
    if (asprintf(&more, "%s%s%s", s->text ? s->text : "", s->text ? "\n" : "", text) < 0) {
        x->failed = true;
        return;
    }
    free(s->text);
    s->text = more;
}

/* A test that looks at several events at once says in its reason which: "event 36 (PCR 4, …)". */
static void find_named(struct explaining *x, const char *reason)
{
    static const char word[] = "event ";

    for (const char *at = strstr(reason, word); at; at = strstr(at, word)) {
        const size_t len = strspn(at += sizeof word - 1, "0123456789");
        uint64_t n;

        if (at[len] == ' ' && at[len + 1] == '(' && x->count > 0 &&
            ql_parse_u64(at, len, 0, x->count - 1, &n, NULL) == QL_OK)
            x->events[n].is_named = true;
    }
}

static void explaining_done(struct explaining *x)
{
    for (uint32_t i = 0; i < x->count; i++)
        free(x->events[i].text);
    free(x->events);
}

static void print_digest(const struct ql_boot_log *l, const struct mb_event *e)
{
    const uint8_t *digest = mb_event_digest(l->log, e, l->bank);
    char hex[2 * MB_DIGEST_MAX + 1];

    if (!digest)
        return;
    ql_hex_encode(digest, l->log->banks[l->bank].digest_len, hex);
    printf("             %s %s\n", l->log->banks[l->bank].name, hex);
}

/* "  12  FAIL  PCR 4, application …", then what was compared. */
static int print_event(const struct request *q, const struct ql_boot_log *l, const struct mb_event *e,
                       const struct said *s)
{
    const bool is_altered = e->status[l->bank] == MB_MISMATCH, is_bad = is_altered || s->is_bad;
    const enum ql_color color = is_bad        ? QL_COLOR_BAD
                                : s->is_named ? QL_COLOR_WARN
                                : s->is_asked ? QL_COLOR_GOOD
                                              : QL_COLOR_DIM;
    const bool is_covered = e->status[l->bank] == MB_VERIFIED || e->type == MB_EV_NO_ACTION;
    struct mb_text words;

    mb_text_init(&words);
    mb_event_describe(l->log, e, &words);
    if (words.failed) {
        mb_text_done(&words);
        return QL_ENOMEM;
    }
    printf("%5u  %s%-4s%s  %.*s%s\n", e->index, ql_color(q->has_color, color),
           is_bad        ? "FAIL"
           : s->is_named ? "!"
           : s->is_asked ? "ok"
                         : "-",
           ql_color(q->has_color, QL_COLOR_PLAIN), (int)words.len, words.p,
           is_covered || is_altered ? "" : " (unverified)");
    mb_text_done(&words);
    if (is_altered)
        printf("             %sits data is not what its digest was made of%s\n",
               ql_color(q->has_color, QL_COLOR_BAD), ql_color(q->has_color, QL_COLOR_PLAIN));
    for (const char *at = s->text; at && *at; at += strcspn(at, "\n"), at += *at == '\n')
        printf("             %s%.*s%s\n", ql_color(q->has_color, s->is_bad ? QL_COLOR_BAD : QL_COLOR_DIM),
               (int)strcspn(at, "\n"), at, ql_color(q->has_color, QL_COLOR_PLAIN));
    if (s->is_named && !is_bad)
        printf("             %sthe verdict names it%s\n", ql_color(q->has_color, QL_COLOR_WARN),
               ql_color(q->has_color, QL_COLOR_PLAIN));
    if ((is_bad || s->is_named) && !is_covered)
        print_digest(l, e);
    return QL_OK;
}

static int print_events(const struct request *q, const struct ql_boot_log *l, const struct explaining *x)
{
    int r = QL_OK;

    for (uint32_t i = 0; r == QL_OK && i < l->log->event_count; i++)
        if (!q->is_short || x->events[i].is_bad || x->events[i].is_named ||
            l->log->events[i].status[l->bank] == MB_MISMATCH)
            r = print_event(q, l, &l->log->events[i], &x->events[i]);
    return r;
}

/* ---- the verdict ---- */

static void print_verdict(const struct request *q, const struct ql_boot_policy *p,
                          const struct ql_boot_log *l, const struct ql_boot_verdict *v)
{
    const char *good = ql_color(q->has_color, QL_COLOR_GOOD), *bad = ql_color(q->has_color, QL_COLOR_BAD),
               *plain = ql_color(q->has_color, QL_COLOR_PLAIN);

    if (v->is_good)
        printf("%saccepted%s by %s: %u events, bank %s%s\n", good, plain, ql_boot_policy_name(p),
               l->log->event_count, l->log->banks[l->bank].name,
               q->pcrs ? ", and they give the PCRs" : "; PCRs were not compared");
    else
        printf("%srejected%s: %s: %s\n", bad, plain, v->event_id, v->reason);
}

static int read_pcrs(const struct request *q, const struct ql_boot_log *l, struct ql_pcr_values *ret,
                     struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL;
    size_t len = 0;
    int r = ql_file_read(q->pcrs, QL_PCR_TEXT_MAX, &text, &len, err);

    if (r == QL_OK)
        r = ql_pcr_text_read((const char *)text, len, l->log->banks[l->bank].name, ret, err);
    return r;
}

static int judge(const struct request *q, struct ql_boot_policy *p, struct ql_boot_log *l, bool *is_good,
                 struct ql_err *err)
{
    struct explaining x = {.count = l->log->event_count};
    struct ql_boot_verdict verdict = {0};
    struct ql_pcr_values pcrs = {0};
    int r = q->pcrs ? read_pcrs(q, l, &pcrs, err) : QL_OK;

    if (r < 0)
        return r;
    x.events = calloc(x.count + (size_t)1, sizeof *x.events);
    if (!x.events)
        return ql_fail_nomem(err);
    r = ql_boot_judge(p, l, q->pcrs ? &pcrs : NULL, q->is_explaining ? on_event : NULL, &x, &verdict, err);
    if (r == QL_OK && q->is_explaining)
        find_named(&x, verdict.reason);
    if (r == QL_OK && q->is_explaining)
        r = x.failed ? ql_fail_nomem(err) : print_events(q, l, &x);
    if (r == QL_OK)
        print_verdict(q, p, l, &verdict);
    explaining_done(&x);
    *is_good = verdict.is_good;
    return r;
}

/* ---- the commands ---- */

static void show_warning(void *arg, const char *text)
{
    const struct request *q = arg;

    printf("%swarning%s: %s\n", ql_color(q->has_color, QL_COLOR_WARN), ql_color(q->has_color, QL_COLOR_PLAIN),
           text);
}

static int run(struct request *q)
{
    ql_auto(ql_boot_policy_freep) struct ql_boot_policy *p = NULL;
    struct ql_boot_log log = {0};
    struct ql_err err = QL_ERR_INIT;
    bool is_good = true;
    int r = ql_boot_policy_open(q->policy, q->refstate, &p, &err);

    if (r < 0) {
        printf("%serror%s: %s\n", ql_color(q->has_color, QL_COLOR_BAD),
               ql_color(q->has_color, QL_COLOR_PLAIN), err.text);
        return QL_TOOL_FAILED;
    }
    if (!q->is_explaining &&
        (strcmp(ql_boot_policy_name(p), "example") == 0 || strcmp(ql_boot_policy_name(p), "strict") == 0))
        (void)ql_refstate_lint(&ql_tool_host, ql_boot_policy_name(p), ql_boot_policy_refstate(p),
                               show_warning, q); /* no failures */
    if (!q->log) {
        printf("policy is good\n");
        return QL_TOOL_OK;
    }
    r = ql_boot_log_open(p, q->log, q->bank, &log, &err);
    if (r == QL_OK)
        r = judge(q, p, &log, &is_good, &err);
    ql_boot_log_done(&log);
    if (r < 0)
        return ql_tool_fail(&err);
    return is_good ? QL_TOOL_OK : QL_TOOL_FAILED;
}

/* @return -1 to go on, else the exit code */
static int parse(int argc, char **argv, struct request *q)
{
    const char *usage = q->is_explaining ? explain_usage : check_usage;
    const char **const flags[] = {['p'] = &q->policy, ['r'] = &q->refstate, ['e'] = &q->log,
                                  ['b'] = &q->bank,   ['P'] = &q->pcrs,     ['c'] = &q->when};
    int flag;

    while ((flag = getopt_long(argc, argv, q->is_explaining ? "p:r:e:b:P:fh" : "p:r:e:b:P:h", options,
                               NULL)) != -1) {
        if (flag == 'h') {
            fputs(usage, stdout);
            return QL_TOOL_OK;
        }
        if (flag == 'f' && q->is_explaining)
            q->is_short = true;
        else if (flag == '?' || flag == 'f')
            return QL_TOOL_USAGE;
        else
            *flags[flag] = optarg;
    }
    if (!q->refstate && optind < argc)
        q->refstate = argv[optind++];
    if (!q->log && optind < argc)
        q->log = argv[optind++];
    flag = ql_color_wanted(q->when, stdout);
    if (!q->refstate || (q->is_explaining && !q->log) || optind < argc || flag < 0 || (q->pcrs && !q->log)) {
        fputs(usage, stderr);
        return QL_TOOL_USAGE;
    }
    q->has_color = flag == 1;
    return -1;
}

int ql_tool_check_boot(int argc, char **argv)
{
    struct request q = {.policy = "example"};
    int code = parse(argc, argv, &q);

    return code < 0 ? run(&q) : code;
}

int ql_tool_explain(int argc, char **argv)
{
    struct request q = {.policy = "example", .is_explaining = true};
    int code = parse(argc, argv, &q);

    return code < 0 ? run(&q) : code;
}
