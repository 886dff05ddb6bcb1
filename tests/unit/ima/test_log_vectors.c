/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded answers of agents, step by step, with Keylime's verdicts; where a case has a safe verdict, that one. */
#include "rig.h"

static struct ima_plugin *plugin_with(struct rig *r, const json_t *c)
{
    struct rig_options o = rig_defaults();

    if (json_is_true(json_object_get(json_object_get(c, "config"), "ignore_tomtou_errors")))
        o.old_key = "True"; /* Keylime's key, with the meaning it has there */
    rig_start(r, o);
    return r->plugin;
}

/* What Keylime's validator does not ask at the end of a list, and ours does. */
static bool is_final_check(const char *id)
{
    return strcmp(id, "ima.validation.dm.device_invalid_state") == 0 ||
           strcmp(id, "ima.validation.dm.required_policy_not_in_use") == 0;
}

/*
 * Elements that are expressions only once they are joined: our rule refuses such lists, so nothing is excluded by them. And
 * a value that has not the size of its bank: core hands out none, the validator gives no verdict on it.
 */
static bool has_other_events(const char *id)
{
    return strcmp(id, "exclude-joined") == 0 || strcmp(id, "pcr-wrong-bank-length") == 0;
}

static bool is_core(const char *id)
{
    return strncmp(id, "qoute_validation.", 17) == 0;
}

static json_t *without_final_checks(const json_t *events)
{
    json_t *left = json_array(), *e;
    size_t i;

    json_array_foreach(events, i, e) {
        if (!is_final_check(json_string_value(json_object_get(e, "id"))))
            json_array_append(left, e);
    }
    return left;
}

static void same_events(const char *id, size_t step, const json_t *expected, const json_t *got)
{
    json_t *e;
    size_t i;

    json_array_foreach(expected, i, e) {
        const json_t *g = json_array_get(got, i);
        const char *event = vector_text(e, "id");

        if (is_core(event))
            return; /* core finds it before the list is looked at, and nothing else fits then */
        if (!g || strcmp(event, vector_text(g, "id")) != 0)
            fail_msg("%s step %zu: event %zu is %s, expected %s", id, step, i,
                     g ? vector_text(g, "id") : "missing", event);
        if (strcmp(event, "ima.validation.dm.parsing_failed") == 0)
            continue; /* its message is the parser's own */
        if (!json_equal(json_object_get(e, "context"), json_object_get(g, "context")))
            fail_msg("%s step %zu: %s has context %s, expected %s", id, step, event,
                     json_dumps(json_object_get(g, "context"), 0),
                     json_dumps(json_object_get(e, "context"), 0));
    }
    if (json_array_size(got) != json_array_size(expected))
        fail_msg("%s step %zu: %zu events, expected %zu; the first too many is %s", id, step,
                 json_array_size(got), json_array_size(expected),
                 vector_text(json_array_get(got, json_array_size(expected)), "id"));
}

/* Ring name to list of key ids in hex, as the vectors have it. */
static json_t *ids_of(struct ima_bytes rings)
{
    json_t *object = rings.len > 0 ? json_loadb((const char *)rings.at, rings.len, 0, NULL) : json_object();
    json_t *ids = json_object(), *ring;
    const char *name;

    json_object_foreach(object, name, ring) {
        json_t *list = json_array(), *id;
        size_t i;

        json_array_foreach(json_object_get(ring, "keyids"), i, id) {
            json_array_append_new(list, json_sprintf("%08x", (unsigned)json_integer_value(id)));
        }
        json_object_set_new(ids, name, list);
    }
    json_decref(object);
    return ids;
}

static void same_state(const char *id, size_t step, const struct rig *r, const json_t *expect)
{
    const json_t *progress = json_object_get(expect, "quote_progress"),
                 *rings = json_object_get(expect, "learned_keyrings");
    const json_int_t next = json_integer_value(json_object_get(expect, "next_entry"));
    const char *pcr = vector_text_or_null(expect, "pcr10_state");
    struct ima_state s = {0};
    char hex[129] = "";
    json_t *ids;

    assert_int_equal(r->cursor, next);
    if (next == 0) {
        assert_int_equal(r->state_len, 0);
        return;
    }
    assert_true(ima_state_read(r->state_version, r->state, r->state_len, &s));
    assert_int_equal(s.next, next);
    for (size_t i = 0; i < ima_alg_len(s.bank); i++)
        snprintf(hex + 2 * i, 3, "%02x", s.pcr[i]);
    if (pcr && strcmp(hex, pcr) != 0)
        fail_msg("%s step %zu: PCR kept is %s, expected %s", id, step, hex, pcr);
    assert_int_equal(s.position, json_integer_value(json_array_get(progress, 0)));
    assert_int_equal(s.lines, json_integer_value(json_array_get(progress, 1)));
    if (s.position < s.lines)
        return; /* keys behind the quote are not kept: our rule */
    ids = ids_of(s.rings);
    if (!json_equal(ids, rings))
        fail_msg("%s step %zu: keys %s, expected %s", id, step, json_dumps(ids, 0), json_dumps(rings, 0));
    json_decref(ids);
}

static enum rig_verdict run_step(struct rig *r, const json_t *c, const json_t *step, bool *judged)
{
    const json_t *policy =
        json_object_get(step, "policy") ? json_object_get(step, "policy") : json_object_get(c, "policy");
    char *text = json_dumps(policy, JSON_COMPACT);
    enum rig_verdict v = RIG_FAIL;

    *judged = rig_policy(r, text, QL_ORIGIN_STORED);
    free(text);
    if (!*judged)
        return RIG_FAIL; /* a policy that is refused attests nobody */
    r->bank = vector_text(c, "pcr_bank");
    r->boottime = json_object_get(step, "boottime");
    r->boot_aggregates = json_object_get(c, "boot_aggregates");
    r->list = vector_text(step, "log");
    r->list_len = json_string_length(json_object_get(step, "log"));
    r->from = (uint64_t)json_integer_value(json_object_get(step, "start_entry"));
    rig_pcr_hex(r, vector_text(step, "pcr10"));
    if (json_is_string(json_object_get(c, "agent_ima_sign_verification_keys")))
        json_object_set(r->agent_options, "ima_sign_verification_keys",
                        json_object_get(c, "agent_ima_sign_verification_keys"));
    v = rig_run(r);
    return v;
}

/* @return true: some step failed */
static bool run_case(const json_t *c)
{
    static const char *const names[] = {"pass", "fail", "retry"};
    const char *id = vector_text(c, "id");
    const bool safe = json_object_get(c, "safe_verdict") != NULL,
               extension = json_is_true(json_object_get(c, "extension"));
    bool failed = false;
    struct rig r;
    json_t *step;
    size_t i;

    plugin_with(&r, c);
    json_array_foreach(json_object_get(c, "steps"), i, step) {
        const json_t *expect = json_object_get(step, "expect"), *events = json_object_get(expect, "events");
        const char *verdict = vector_text(expect, "verdict");
        bool judged;
        enum rig_verdict v = run_step(&r, c, step, &judged);
        json_t *got = without_final_checks(r.events);
        const bool only_final = json_array_size(r.events) > 0 && json_array_size(got) == 0;
        const bool other_entry =
            json_array_size(events) > 0 && is_core(vector_text(json_array_get(events, 0), "id"));

        failed = failed || v == RIG_FAIL;
        if (only_final)
            v = RIG_PASS;
        if (!safe && !(extension && strcmp(verdict, "fail") == 0) && !other_entry) {
            if (strcmp(verdict, "error") == 0) {
                assert_int_equal(v, RIG_FAIL);
            } else {
                if (strcmp(names[v], verdict) != 0)
                    fail_msg("%s step %zu: %s (%s %s), expected %s", id, i, names[v], rig_event(&r, 0),
                             r.err.text, verdict);
                if (judged && !has_other_events(id))
                    same_events(id, i, events, got);
                if (v == RIG_PASS && !only_final)
                    same_state(id, i, &r, expect);
            }
        }
        json_decref(got);
    }
    rig_stop(&r);
    return failed;
}

static void every_case_has_its_verdict_and_events(void **state)
{
    json_t *v = load_vectors("ima/log_cases.json"), *c;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(v, "cases"), i, c) {
        const bool failed = run_case(c);
        const char *safe = vector_text_or_null(c, "safe_verdict");

        if (safe && failed != (strcmp(safe, "fail") == 0))
            fail_msg("%s: must %s", vector_text(c, "id"), safe);
    }
    assert_int_equal(i, 175);
    json_decref(v);
}

static json_t *case_named(const json_t *v, const char *id)
{
    json_t *c;
    size_t i;

    json_array_foreach(json_object_get(v, "cases"), i, c) {
        if (strcmp(vector_text(c, "id"), id) == 0)
            return c;
    }
    fail_msg("no case %s", id);
    return NULL;
}

static void run_single(struct rig *r, const json_t *c)
{
    bool judged;

    plugin_with(r, c);
    (void)run_step(r, c, json_array_get(json_object_get(c, "steps"), 0), &judged);
    assert_true(judged);
}

static void a_template_hash_of_ff_hides_nothing(void **state)
{
    json_t *v = load_vectors("ima/log_cases.json");
    struct rig r;

    (void)state;
    run_single(&r, case_named(v, "template-hash-ff"));
    assert_string_equal(rig_event(&r, 0), "ima.validation.ima_hash");
    rig_stop(&r);
    json_decref(v);
}

static void a_key_whose_digest_is_forged_is_not_learned(void **state)
{
    json_t *v = load_vectors("ima/log_cases.json");
    struct rig r;

    (void)state;
    run_single(&r, case_named(v, "keyring-forged-digest"));
    assert_string_equal(rig_event(&r, 0), "ima.validation.ima-buf.digest_mismatch");
    rig_stop(&r);
    run_single(&r, case_named(v, "buf-digest-not-of-buffer"));
    assert_string_equal(rig_event(&r, 0), "ima.validation.ima-buf.digest_mismatch");
    rig_stop(&r);
    json_decref(v);
}

static void a_device_that_was_never_resumed_fails(void **state)
{
    json_t *v = load_vectors("ima/log_cases.json");
    struct rig r;

    (void)state;
    run_single(&r, case_named(v, "dm-load-only"));
    assert_string_equal(rig_event(&r, 0), "ima.validation.dm.device_invalid_state");
    assert_string_equal(rig_event(&r, 1), "ima.validation.dm.required_policy_not_in_use");
    rig_stop(&r);
    run_single(&r, case_named(v, "dm-load-resume"));
    assert_string_equal(rig_event(&r, 0), "");
    rig_stop(&r);
    json_decref(v);
}

static void a_node_without_ima_fails_by_default(void **state)
{
    json_t *v = load_vectors("ima/log_cases.json"), *quotes = load_vectors("ima/quote_cases.json"), *q;
    static const char *const ids[] = {"pcr-zero-empty-log", "pcr-zero-with-log", "boot-aggregate-last"};
    struct rig_options o = rig_defaults();
    struct rig r;
    bool judged;

    (void)state;
    o.require_log = 1;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        const json_t *c = case_named(v, ids[i]);

        rig_start(&r, o);
        assert_int_equal(run_step(&r, c, json_array_get(json_object_get(c, "steps"), 0), &judged), RIG_FAIL);
        assert_string_equal(rig_event(&r, 0), "ima.disabled");
        rig_stop(&r);
    }
    rig_start(&r, o);
    assert_int_equal(run_step(&r, case_named(v, "good-sha256"),
                              json_array_get(json_object_get(case_named(v, "good-sha256"), "steps"), 0),
                              &judged),
                     RIG_PASS);
    rig_stop(&r);
    q = case_named(quotes, "ima-off");
    assert_string_equal(vector_text(q, "safe_verdict"), "fail");
    rig_start(&r, o);
    {
        char *text = json_dumps(json_object_get(q, "policy"), 0);

        assert_true(rig_policy(&r, text, QL_ORIGIN_UPLOAD));
        free(text);
    }
    rig_pcr_hex(&r, vector_text(json_object_get(q, "pcrs_in_quote"), "10"));
    rig_list(&r, vector_text(q, "ima_measurement_list"), 0);
    assert_int_equal(rig_run(&r), RIG_FAIL);
    assert_string_equal(rig_event(&r, 0), "ima.disabled");
    rig_stop(&r);
    json_decref(quotes);
    json_decref(v);
}

static void a_quote_with_pcr_10_judges_the_list(void **state)
{
    json_t *quotes = load_vectors("ima/quote_cases.json"), *q = case_named(quotes, "pcr10-in-quote");
    struct rig r;
    char *text = json_dumps(json_object_get(q, "policy"), 0);

    (void)state;
    rig_start(&r, rig_defaults());
    assert_true(rig_policy(&r, text, QL_ORIGIN_UPLOAD));
    free(text);
    rig_pcr_hex(&r, vector_text(json_object_get(q, "pcrs_in_quote"), "10"));
    rig_list(&r, vector_text(q, "ima_measurement_list"), 0);
    assert_int_equal(rig_run(&r), RIG_FAIL);
    same_events("pcr10-in-quote", 0, json_object_get(json_object_get(q, "expect"), "events"), r.events);
    rig_stop(&r);
    json_decref(quotes);
}

static json_t *capture_file(const char *folder, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "vm/%s/%s", folder, name);
    return load_vectors(path);
}

/* A real kernel's list in all its banks; sha384 holds SHA-1 with zeros behind it there. */
static void a_real_kernels_list_replays_in_every_bank(void **state)
{
    static const char *const banks[] = {"sha1", "sha256", "sha384"};
    json_t *summary = capture_file("secureboot-ima-ng", "summary.json"),
           *policy = capture_file("secureboot-ima-ng", "runtime-policy.json");
    char *policy_text = json_dumps(policy, 0), *list = calloc(1, 65536);
    FILE *f = fopen(QL_SHARED_DIR "/vectors/vm/secureboot-ima-ng/ima.txt", "r");
    struct rig_options o = rig_defaults();

    (void)state;
    o.require_log = 1;
    assert_non_null(f);
    assert_non_null(list);
    assert_true(fread(list, 1, 65535, f) > 10000);
    fclose(f);
    for (size_t i = 0; i < sizeof banks / sizeof *banks; i++) {
        struct rig r;

        rig_start(&r, o);
        assert_true(rig_policy(&r, policy_text, QL_ORIGIN_UPLOAD));
        r.bank = banks[i];
        rig_pcr_hex(&r, vector_text(json_object_get(json_object_get(summary, "pcrs"), banks[i]), "10"));
        rig_list(&r, list, 0);
        if (strcmp(banks[i], "sha384") == 0) {
            assert_int_equal(rig_run(&r), RIG_FAIL);
            json_object_set_new(r.agent_options, "ima_padded_sha1", json_true());
        }
        if (rig_run(&r) != RIG_PASS)
            fail_msg("%s: %s %s", banks[i], rig_event(&r, 0), r.err.text);
        assert_int_equal(r.cursor, 87);
        rig_stop(&r);
    }
    free(list);
    free(policy_text);
    json_decref(policy);
    json_decref(summary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_has_its_verdict_and_events),
        cmocka_unit_test(a_template_hash_of_ff_hides_nothing),
        cmocka_unit_test(a_key_whose_digest_is_forged_is_not_learned),
        cmocka_unit_test(a_device_that_was_never_resumed_fails),
        cmocka_unit_test(a_node_without_ima_fails_by_default),
        cmocka_unit_test(a_quote_with_pcr_10_judges_the_list),
        cmocka_unit_test(a_real_kernels_list_replays_in_every_bank),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
