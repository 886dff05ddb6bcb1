/* SPDX-License-Identifier: Apache-2.0 */
/* The validator on recorded logs: when a policy is asked, what is found at which stage, what is remembered. */
#include "refstate.h"
#include "rig.h"

#define COLLECTED UINT32_C(0xfbff)

/** A base log with the quote that fits it. */
struct capture {
    struct bytes log;
    json_t *pcrs; /* by PCR, of sha256 */
};

static struct capture base_log(void)
{
    struct capture c = {.log = read_vector("mboot/logs/keylime-mb_log.bin")};
    json_t *expect = load_vectors("mboot/expect/keylime-mb_log.json");
    json_t *pcrs = json_object_get(json_object_get(json_object_get(expect, "expect"), "pcrs"), "sha256");

    assert_true(json_is_object(pcrs));
    c.pcrs = json_incref(pcrs);
    json_decref(expect);
    return c;
}

static void capture_done(struct capture *c)
{
    free(c->log.p);
    json_decref(c->pcrs);
}

static char *file_text(const char *vector)
{
    struct bytes b = read_vector(vector);
    char *text = strndup((const char *)b.p, b.len);

    assert_non_null(text);
    free(b.p);
    return text;
}

static void quote(struct rig *r, const struct capture *c)
{
    rig_pcrs(r, c->pcrs);
    r->quoted = COLLECTED;
    r->log = c->log.p;
    r->log_len = c->log.len;
}

static char *policy_of(const json_t *all, const json_t *one)
{
    const char *text = vector_text(one, "mb_policy");
    char path[200];
    json_t *refstate, *wrong;
    char *out;

    if (text[0] != '@')
        return strdup(text);
    snprintf(path, sizeof path, "mboot/%s", vector_text(all, "refstate"));
    if (strcmp(text, "@refstate") == 0)
        return file_text(path);
    refstate = load_vectors(path);
    wrong = patched(refstate, json_object_get(all, "refstate_wrong"));
    out = json_dumps(wrong, JSON_COMPACT);
    json_decref(refstate);
    json_decref(wrong);
    return out;
}

static void check_events(const struct rig *r, const char *name, const json_t *wanted)
{
    json_t *one;
    size_t i;

    if (json_array_size(r->events) != json_array_size(wanted)) {
        char *found = json_dumps(r->events, JSON_COMPACT);

        fail_msg("%s: %zu events, wanted %zu: %.600s", name, json_array_size(r->events),
                 json_array_size(wanted), found);
    }
    json_array_foreach((json_t *)(uintptr_t)wanted, i, one)
        if (strcmp(rig_event(r, i), json_string_value(one)) != 0)
            fail_msg("%s: event %s, wanted %s", name, rig_event(r, i), json_string_value(one));
}

static void the_policy_is_asked_when_it_must_be(void **state)
{
    json_t *all = load_vectors("mboot/gate-cases.json"), *one;
    struct capture c = base_log();
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(all, "cases"), i, one) {
        const json_t *log = json_object_get(one, "log"), *pcrs = json_object_get(one, "quote"), *n;
        char *policy = policy_of(all, one);
        struct bytes other = {0};
        struct rig r;
        size_t k;

        if (json_is_string(log) && strcmp(json_string_value(log), "!!!") == 0) {
            free(policy); /* base64 is read by core: see test_verify_vectors.c */
            continue;
        }
        assert_int_equal(rig_start(&r, rig_with(vector_text(one, "policy_name"))), QL_OK);
        assert_true(rig_policy(&r, policy, QL_ORIGIN_STORED));
        quote(&r, &c);
        if (json_is_array(pcrs)) {
            r.quoted = 0;
            json_array_foreach((json_t *)(uintptr_t)pcrs, k, n)
                r.quoted |= UINT32_C(1) << json_integer_value(n);
        }
        if (json_is_false(log))
            r.log = NULL;
        if (json_is_string(log)) {
            char path[200];

            snprintf(path, sizeof path, "mboot/%s", json_string_value(log));
            other = read_vector(path);
            r.log = other.p;
            r.log_len = other.len;
        }
        (void)rig_run(&r);
        assert_int_equal(r.result, QL_OK);
        check_events(&r, vector_text(one, "name"), json_object_get(one, "ours"));
        rig_stop(&r);
        free(other.p);
        free(policy);
    }
    assert_true(i >= 15);
    capture_done(&c);
    json_decref(all);
}

/* ---- damaged and forged logs ---- */

static struct bytes spliced(const struct bytes *base, const json_t *splices)
{
    struct bytes b = {.p = malloc(base->len), .len = base->len};
    json_t *one;
    size_t i;

    assert_non_null(b.p);
    memcpy(b.p, base->p, base->len);
    json_array_foreach((json_t *)(uintptr_t)splices, i, one) {
        const size_t at = (size_t)json_integer_value(json_object_get(one, "at")),
                     del = (size_t)json_integer_value(json_object_get(one, "del"));
        const char *ins = vector_text(one, "ins");
        const size_t ins_len = strlen(ins) / 2;
        struct bytes next = {.p = malloc(b.len + ins_len + 1), .len = b.len - del + ins_len};

        assert_non_null(next.p);
        memcpy(next.p, b.p, at);
        for (size_t k = 0; k < ins_len; k++) {
            char pair[3] = {ins[2 * k], ins[2 * k + 1], '\0'};

            next.p[at + k] = (uint8_t)strtoul(pair, NULL, 16);
        }
        memcpy(next.p + at + ins_len, b.p + at + del, b.len - at - del);
        free(b.p);
        b = next;
    }
    return b;
}

static const char *stage_of(const struct rig *r)
{
    const char *id = rig_event(r, 0);

    if (strcmp(id, "") == 0)
        return "accept";
    if (strcmp(id, "measured_boot.parser.digest_mismatch") == 0)
        return "digest";
    if (strcmp(id, "measured_boot.parser.invalid_pcrs") == 0)
        return "replay"; /* which has nothing to extend */
    if (strncmp(id, "measured_boot.parser.", 21) == 0)
        return "parse";
    return strncmp(id, "measured_boot.invalid_pcr_", 26) == 0 ? "replay" : "policy";
}

/* The reference state with what the policy strict compares, too. */
static char *strict_state(const char *path, const struct bytes *base)
{
    struct mb_log *log = parse_ok(base);
    json_t *ref = load_vectors(path);
    char *text;

    assert_int_equal(mb_refstate_add_strict(log, ref, NULL), QL_OK);
    text = json_dumps(ref, JSON_COMPACT);
    assert_non_null(text);
    json_decref(ref);
    mb_log_free(log);
    return text;
}

static void check_variant(const json_t *all, const json_t *one, const char *policy_name, bool exact)
{
    char path[200];
    struct bytes base, log;
    struct rig r;
    char *refstate;
    bool own = strcmp(vector_text(one, "quote"), "base") != 0;

    snprintf(path, sizeof path, "mboot/%s", vector_text(one, "base"));
    base = read_vector(path);
    log = spliced(&base, json_object_get(one, "splice"));
    snprintf(path, sizeof path, "mboot/%s", vector_text(all, "refstate"));
    refstate = exact ? file_text(path) : strict_state(path, &base);
    assert_int_equal(rig_start(&r, rig_with(policy_name)), QL_OK);
    if (!rig_policy(&r, refstate, QL_ORIGIN_UPLOAD))
        fail_msg("%s", r.err.text);
    rig_pcrs(&r, json_object_get(json_object_get(own ? one : all, own ? "pcrs" : "base_pcrs"), "sha256"));
    r.quoted = COLLECTED;
    r.log = log.p;
    r.log_len = log.len;
    (void)rig_run(&r);
    assert_int_equal(r.result, QL_OK);
    if (exact && strcmp(stage_of(&r), vector_text(one, "stage")) != 0)
        fail_msg("%s: %s (%s), wanted %s", vector_text(one, "name"), stage_of(&r), rig_event(&r, 0),
                 vector_text(one, "stage"));
    if (!exact && strcmp(vector_text(one, "stage"), "accept") != 0 && json_array_size(r.events) == 0)
        fail_msg("%s: %s accepts", vector_text(one, "name"), policy_name);
    rig_stop(&r);
    free(refstate);
    free(base.p);
    free(log.p);
}

static void every_damaged_or_forged_log_is_found_at_its_stage(void **state)
{
    json_t *all = load_vectors("mboot/variants-keylime-mb_log.json"), *one;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(all, "variants"), i, one)
        check_variant(all, one, "example", true);
    assert_true(i >= 50);
    json_decref(all);
}

static void strict_refuses_what_must_be_refused(void **state)
{
    json_t *all = load_vectors("mboot/variants-keylime-mb_log.json"), *one;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(all, "variants"), i, one)
        /* An event that gives the locality is no forgery; example takes no second event of that kind. */
        if (strcmp(vector_text(one, "name"), "noaction-extends") != 0)
            check_variant(all, one, "strict", false);
    json_decref(all);
}

/* ---- what is remembered ---- */

static void a_boot_is_judged_once(void **state)
{
    struct capture c = base_log();
    char *refstate = file_text("mboot/refstate/keylime-mb_log.json");
    struct rig r;
    uint8_t *copy;

    (void)state;
    assert_int_equal(rig_start(&r, rig_with("example")), QL_OK);
    assert_true(rig_policy(&r, refstate, QL_ORIGIN_UPLOAD));
    quote(&r, &c);
    assert_true(rig_run(&r));
    assert_int_equal(r.state_changes, 1);
    assert_true(r.state_len > 0);
    assert_true(rig_run(&r));
    assert_int_equal(r.state_changes, 1);
    assert_int_equal(json_array_size(json_object_get(r.fact, "sha256")), 2);
    /* Another boot, log, quote or policy is none of it. */
    r.reset_count++;
    assert_true(rig_run(&r));
    assert_int_equal(r.state_changes, 2);
    r.pcrs[4][0] ^= 1;
    assert_false(rig_run(&r));
    assert_string_equal(rig_event(&r, 0), "measured_boot.invalid_pcr_4");
    r.pcrs[4][0] ^= 1;
    assert_true(rig_run(&r));
    copy = malloc(c.log.len);
    memcpy(copy, c.log.p, c.log.len);
    copy[c.log.len - 1] ^= 1;
    r.log = copy;
    assert_false(rig_run(&r));
    r.log = c.log.p;
    json_object_set_new(r.agent_options, "measured_boot_policy_name", json_string("reject-all"));
    assert_false(rig_run(&r));
    assert_string_equal(rig_event(&r, 0), "measured_boot.policy_reject-all");
    assert_string_equal(rig_context(&r, 0, "reason"), "reject all");
    assert_string_equal(rig_context(&r, 0, "context"), "Boot attestation failed");
    free(copy);
    free(refstate);
    rig_stop(&r);
    capture_done(&c);
}

static void always_keeps_nothing(void **state)
{
    struct capture c = base_log();
    struct rig_options o = rig_with("accept-all");
    struct rig r;

    (void)state;
    o.evaluate = "always";
    assert_int_equal(rig_start(&r, o), QL_OK);
    assert_true(rig_policy(&r, "{\"a\": 1}", QL_ORIGIN_UPLOAD));
    quote(&r, &c);
    assert_true(rig_run(&r));
    assert_int_equal(r.state_changes, 0);
    rig_stop(&r);
    capture_done(&c);
}

static void a_mismatch_may_be_logged_only(void **state)
{
    struct capture c = base_log();
    struct rig_options o = rig_with("accept-all");
    json_t *all = load_vectors("mboot/variants-keylime-mb_log.json"), *one;
    size_t i, tried = 0;

    (void)state;
    o.digest_check = "log";
    json_array_foreach(json_object_get(all, "variants"), i, one) {
        struct bytes log;
        struct rig r;

        if (strcmp(vector_text(one, "stage"), "digest") != 0)
            continue;
        log = spliced(&c.log, json_object_get(one, "splice"));
        assert_int_equal(rig_start(&r, o), QL_OK);
        assert_true(rig_policy(&r, "{\"a\": 1}", QL_ORIGIN_UPLOAD));
        rig_pcrs(&r, strcmp(vector_text(one, "quote"), "base") == 0
                         ? c.pcrs
                         : json_object_get(json_object_get(one, "pcrs"), "sha256"));
        r.quoted = COLLECTED;
        r.log = log.p;
        r.log_len = log.len;
        if (!rig_run(&r))
            fail_msg("%s: %s", vector_text(one, "name"), rig_event(&r, 0));
        tried++;
        rig_stop(&r);
        free(log.p);
    }
    assert_true(tried > 0);
    json_decref(all);
    capture_done(&c);
}

static void a_bad_policy_is_refused_when_it_is_stored(void **state)
{
    static const char *const bad[] = {"null", "xx", "\"abc\"", "[1]", "{\"pk\": 1}", "{\"a\":1,\"a\":2}"};
    struct rig r;

    (void)state;
    assert_int_equal(rig_start(&r, rig_with("example")), QL_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(rig_policy(&r, bad[i], QL_ORIGIN_UPLOAD));
    assert_true(rig_policy(&r, "{}", QL_ORIGIN_UPLOAD));
    rig_stop(&r);
    assert_int_equal(rig_start(&r, rig_with("no-such-policy")), QL_OK);
    assert_false(rig_policy(&r, "{\"a\": 1}", QL_ORIGIN_UPLOAD));
    assert_non_null(strstr(r.err.text, "no measured boot policy no-such-policy"));
    rig_stop(&r);
}

static void the_secure_boot_machine_attests_and_its_forgeries_do_not(void **state)
{
    json_t *expect = load_vectors("vm/secureboot-ima-ng/summary.json");
    static const char *const files[] = {"bios.bin", "bios-forged-cmdline.bin",
                                        "bios-forged-securebootvar.bin"};
    const json_t *pcrs = json_object_get(json_object_get(expect, "pcrs"), "sha256");

    (void)state;
    assert_true(json_is_object(pcrs));
    for (size_t i = 0; i < 3; i++) {
        char path[100];
        struct capture c = {.pcrs = json_incref((json_t *)(uintptr_t)pcrs)};
        struct rig r;

        snprintf(path, sizeof path, "vm/secureboot-ima-ng/%s", files[i]);
        c.log = read_vector(path);
        assert_int_equal(rig_start(&r, rig_with("accept-all")), QL_OK);
        assert_true(rig_policy(&r, "{\"a\": 1}", QL_ORIGIN_UPLOAD));
        quote(&r, &c);
        if (rig_run(&r) != (i == 0))
            fail_msg("%s: %s", files[i], rig_event(&r, 0));
        if (i > 0)
            assert_string_equal(rig_event(&r, 0), "measured_boot.parser.digest_mismatch");
        rig_stop(&r);
        capture_done(&c);
    }
    json_decref(expect);
}

static void needs_are_the_pcrs_of_the_policy(void **state)
{
    char *refstate = file_text("mboot/refstate/keylime-mb_log.json");
    struct ql_needs needs = {.size = sizeof needs};
    struct rig r;

    (void)state;
    assert_int_equal(rig_start(&r, rig_with("example")), QL_OK);
    assert_true(rig_policy(&r, refstate, QL_ORIGIN_UPLOAD));
    assert_int_equal(mb_validator.needs(r.plugin, r.compiled, &needs, NULL), QL_OK);
    assert_int_equal(needs.pcr_mask, 0x43ff);
    assert_int_equal(needs.item_count, 1);
    assert_string_equal(needs.items[0].evidence, "mboot");
    assert_true(rig_policy(&r, "{}", QL_ORIGIN_UPLOAD));
    assert_int_equal(mb_validator.needs(r.plugin, r.compiled, &needs, NULL), QL_OK);
    assert_int_equal(needs.pcr_mask, 0);
    assert_int_equal(needs.item_count, 0);
    free(refstate);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_policy_is_asked_when_it_must_be),
        cmocka_unit_test(every_damaged_or_forged_log_is_found_at_its_stage),
        cmocka_unit_test(strict_refuses_what_must_be_refused),
        cmocka_unit_test(a_boot_is_judged_once),
        cmocka_unit_test(always_keeps_nothing),
        cmocka_unit_test(a_mismatch_may_be_logged_only),
        cmocka_unit_test(a_bad_policy_is_refused_when_it_is_stored),
        cmocka_unit_test(the_secure_boot_machine_attests_and_its_forgeries_do_not),
        cmocka_unit_test(needs_are_the_pcrs_of_the_policy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
