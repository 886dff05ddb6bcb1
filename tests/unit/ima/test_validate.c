/* SPDX-License-Identifier: Apache-2.0 */
/* The validator's own rules, on lists made here. */
#include "rig.h"

#include "keyring.h"
#include "loggen.h"

#define POLICY(digests, excludes)                                                                            \
    "{\"meta\":{\"version\":1,\"generator\":3},\"release\":0,\"digests\":{" digests                          \
    "},\"excludes\":[" excludes "],\"keyrings\":{},\"ima\":{\"ignored_keyrings\":[],\"log_hash_alg\":"       \
    "\"sha1\",\"dm_policy\":null},\"ima-buf\":{},"                                                           \
    "\"verification-keys\":\"\"}"

static const uint8_t AA[32] =
    "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
    "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa";
#define AA_HEX "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KNOWN  "\"boot_aggregate\":[\"" AA_HEX "\"],\"/bin/a\":[\"" AA_HEX "\"],\"/bin/b\":[\"" AA_HEX "\"]"

static void start(struct rig *r, struct loggen *g, struct rig_options o, const char *policy)
{
    rig_start(r, o);
    loggen_init(g, 1);
    if (!rig_policy(r, policy, QL_ORIGIN_UPLOAD))
        fail_msg("%s", r->err.text);
    loggen_file(g, AA, "boot_aggregate");
}

static void stop(struct rig *r, struct loggen *g)
{
    loggen_done(g);
    rig_stop(r);
}

/* Quote what the generator has made so far; the list from this offset of its text on. */
static enum rig_verdict quote(struct rig *r, const struct loggen *g, size_t offset, uint64_t from)
{
    memcpy(r->pcr, g->pcr, 32);
    r->pcr_len = 32;
    rig_list(r, g->text + offset, from);
    return rig_run(r);
}

static void a_list_goes_on_where_the_last_quote_ended(void **state)
{
    struct rig_options o = rig_defaults();
    struct loggen g;
    struct rig r;
    size_t offset;

    (void)state;
    o.require_log = 1;
    start(&r, &g, o, POLICY(KNOWN, ""));
    loggen_file(&g, AA, "/bin/a");
    assert_int_equal(quote(&r, &g, 0, 0), RIG_PASS);
    assert_int_equal(r.cursor, 2);
    offset = g.len;
    loggen_file(&g, AA, "/bin/b");
    assert_int_equal(quote(&r, &g, offset, 2), RIG_PASS);
    assert_int_equal(r.cursor, 3);
    assert_int_equal(quote(&r, &g, g.len, 3), RIG_PASS);
    assert_int_equal(r.cursor, 3);
    assert_int_equal(json_integer_value(json_object_get(r.fact, "entries")), 3);
    stop(&r, &g);
}

static void entries_behind_the_quote_are_judged_and_come_again(void **state)
{
    struct loggen g;
    struct rig r;
    size_t offset;

    (void)state;
    start(&r, &g, rig_defaults(), POLICY(KNOWN, ""));
    memcpy(r.pcr, g.pcr, 32);
    r.pcr_len = 32;
    offset = g.len;
    loggen_file(&g, AA, "/bin/a");
    rig_list(&r, g.text, 0);
    assert_int_equal(rig_run(&r), RIG_PASS);
    assert_int_equal(r.cursor, 1);
    loggen_file(&g, AA, "/evil");
    rig_list(&r, g.text + offset, 1);
    r.pcr_len = 32;
    assert_int_equal(rig_run(&r), RIG_FAIL);
    assert_string_equal(rig_event(&r, 0), "ima.validation.ima-ng.not_in_allowlist");
    stop(&r, &g);
}

static void a_replayed_prefix_a_shorter_list_and_a_forged_entry_fit_no_pcr(void **state)
{
    struct loggen g;
    struct rig r;
    size_t first, second;
    char *forged;

    (void)state;
    start(&r, &g, rig_defaults(), POLICY(KNOWN, ""));
    first = g.len;
    loggen_file(&g, AA, "/bin/a");
    loggen_file(&g, AA, "/bin/b");
    assert_int_equal(quote(&r, &g, 0, 0), RIG_PASS);
    /* the entries again in place of a new one */
    second = g.len;
    loggen_file(&g, AA, "boot_aggregate");
    memcpy(r.pcr, g.pcr, 32);
    rig_list(&r, g.text + first, 3);
    r.list_len = second - first;
    assert_int_equal(rig_run(&r), RIG_FAIL);
    assert_string_equal(rig_event(&r, 0), "ima.pcr_mismatch");
    /* without the last one */
    memcpy(r.pcr, g.pcr, 32);
    rig_list(&r, g.text, 0);
    r.list_len = first;
    assert_int_equal(rig_run(&r), RIG_FAIL);
    assert_string_equal(rig_event(&r, 0), "ima.pcr_mismatch");
    /* with another path in the last one */
    forged = strdup(g.text);
    forged[strlen(forged) - 2] = 'b';
    rig_list(&r, forged, 0);
    assert_int_equal(rig_run(&r), RIG_FAIL);
    assert_string_equal(rig_event(&r, 0), "ima.validation.ima_hash");
    assert_string_equal(rig_event(&r, 1), "ima.pcr_mismatch");
    free(forged);
    stop(&r, &g);
}

static void a_reboot_another_bank_and_lost_state_ask_for_the_whole_list(void **state)
{
    json_t *first = json_integer(100), *second = json_integer(200);
    struct loggen g;
    struct rig r;

    (void)state;
    start(&r, &g, rig_defaults(), POLICY(KNOWN, ""));
    r.boottime = first;
    assert_int_equal(quote(&r, &g, 0, 0), RIG_PASS);
    r.boottime = second;
    assert_int_equal(quote(&r, &g, g.len, 1), RIG_RETRY);
    assert_non_null(strstr(r.retry, "booted"));
    assert_int_equal(r.state_len, 0);
    assert_int_equal(quote(&r, &g, g.len, 1), RIG_RETRY);
    assert_non_null(strstr(r.retry, "nothing is known"));
    assert_int_equal(quote(&r, &g, 0, 0), RIG_PASS);
    r.bank = "sha1";
    r.pcr_len = 20;
    rig_list(&r, "", 1);
    assert_int_equal(rig_run(&r), RIG_RETRY);
    assert_non_null(strstr(r.retry, "bank"));
    json_decref(first);
    json_decref(second);
    stop(&r, &g);
}

static void violations_are_tolerated_and_counted(void **state)
{
    struct loggen g;
    struct rig r;
    size_t offset;

    (void)state;
    start(&r, &g, rig_defaults(), POLICY(KNOWN, ""));
    loggen_violation(&g, "/bin/a");
    assert_int_equal(quote(&r, &g, 0, 0), RIG_PASS);
    assert_int_equal(json_integer_value(json_object_get(r.fact, "violations")), 1);
    offset = g.len;
    loggen_violation(&g, "/unknown");
    assert_int_equal(quote(&r, &g, offset, 2), RIG_PASS);
    assert_int_equal(json_integer_value(json_object_get(r.fact, "violations")), 2);
    stop(&r, &g);
}

static void violations_fail_where_the_option_says_so(void **state)
{
    static const struct {
        const char *violations, *old_key;
        bool fails;
    } rows[] = {
        {"fail", "", true}, {"tolerate", "True", true}, {"fail", "false", false}, {"tolerate", "", false}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rig_options o = rig_defaults();
        struct loggen g;
        struct rig r;

        o.violations = rows[i].violations;
        o.old_key = rows[i].old_key;
        start(&r, &g, o, POLICY(KNOWN, ""));
        loggen_violation(&g, "/bin/a");
        assert_int_equal(quote(&r, &g, 0, 0), rows[i].fails ? RIG_FAIL : RIG_PASS);
        assert_string_equal(rig_event(&r, 0), rows[i].fails ? "ima.validation.tomtou" : "");
        stop(&r, &g);
    }
}

static void keylimes_key_with_another_word_is_refused(void **state)
{
    struct rig_options o = rig_defaults();
    struct ima_plugin *p = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    o.old_key = "perhaps";
    assert_int_equal(ima_plugin_new(&ql_tool_host, &o.table, &p, &err), QL_ERANGE);
    assert_non_null(strstr(err.text, "ignore_tomtou_errors"));
}

static void many_failures_are_counted_and_the_last_word_stays(void **state)
{
    struct rig_options o = rig_defaults();
    struct loggen g;
    struct rig r;

    (void)state;
    o.max_failures = 10;
    start(&r, &g, o, POLICY(KNOWN, ""));
    for (int i = 0; i < 500; i++)
        loggen_file(&g, AA, "/evil");
    memset(g.pcr, 0x77, sizeof g.pcr);
    assert_int_equal(quote(&r, &g, 0, 0), RIG_FAIL);
    assert_int_equal(json_array_size(r.events), 12);
    assert_string_equal(rig_event(&r, 9), "ima.validation.ima-ng.not_in_allowlist");
    assert_string_equal(rig_event(&r, 10), "ima.pcr_mismatch");
    assert_string_equal(rig_event(&r, 11), "ima.more_failures");
    assert_int_equal(json_integer_value(
                         json_object_get(json_object_get(json_array_get(r.events, 11), "context"), "count")),
                     490);
    stop(&r, &g);
}

static void names_that_are_no_text_are_matched_by_their_bytes_and_shown(void **state)
{
    struct loggen g;
    struct rig r;
    const char *message;

    (void)state;
    start(&r, &g, rig_defaults(), POLICY(KNOWN ",\"/bin/\\udcff\":[\"" AA_HEX "\"]", ""));
    loggen_file(&g, AA, "/bin/\xff");
    assert_int_equal(quote(&r, &g, 0, 0), RIG_PASS);
    loggen_file(&g, AA, "/bin/\xfe\x01");
    assert_int_equal(quote(&r, &g, 0, 0), RIG_FAIL);
    message = json_string_value(
        json_object_get(json_object_get(json_array_get(r.events, 0), "context"), "message"));
    assert_string_equal(message, "File not found in allowlist: /bin/\\xfe\x01");
    stop(&r, &g);
}

static void a_line_feed_in_a_name_fails_as_two_lines(void **state)
{
    struct loggen g;
    struct rig r;

    (void)state;
    start(&r, &g, rig_defaults(), POLICY(KNOWN, ""));
    loggen_file(&g, AA, "/bin/a\nb");
    assert_int_equal(quote(&r, &g, 0, 0), RIG_FAIL);
    assert_string_equal(rig_event(&r, 0), "ima.validation.ima_hash");
    assert_string_equal(rig_event(&r, 1), "ima.parser.entry");
    assert_string_equal(rig_event(&r, 2), "ima.pcr_mismatch");
    stop(&r, &g);
}

static void a_proven_boot_aggregate_needs_no_listing(void **state)
{
    json_t *proven = json_pack("{s:[s]}", "sha256", AA_HEX), *other = json_pack("{s:[s]}", "sha256", "00");
    struct loggen g;
    struct rig r;

    (void)state;
    start(&r, &g, rig_defaults(), POLICY("", ""));
    assert_int_equal(quote(&r, &g, 0, 0), RIG_FAIL);
    assert_string_equal(rig_event(&r, 0), "ima.validation.ima-ng.not_in_allowlist");
    r.boot_aggregates = proven;
    assert_int_equal(quote(&r, &g, 0, 0), RIG_PASS);
    /* nothing of it stays for another node */
    r.boot_aggregates = other;
    assert_int_equal(quote(&r, &g, 0, 0), RIG_FAIL);
    assert_string_equal(rig_event(&r, 0), "ima.validation.ima-ng.runtime_policy_hash");
    json_decref(proven);
    json_decref(other);
    stop(&r, &g);
}

static void a_kernel_that_pads_sha1_is_attested_where_the_agents_options_say_so(void **state)
{
    struct loggen g;
    struct rig r;
    uint8_t value[32] = {0};

    (void)state;
    start(&r, &g, rig_defaults(), POLICY(KNOWN, ""));
    memset(g.pcr, 0, sizeof g.pcr);
    assert_true(ima_hex_decode((const uint8_t *)g.text + 3, 40, value));
    loggen_extend(&g, value);
    assert_int_equal(quote(&r, &g, 0, 0), RIG_FAIL);
    json_object_set_new(r.agent_options, "ima_padded_sha1", json_true());
    assert_int_equal(quote(&r, &g, 0, 0), RIG_PASS);
    stop(&r, &g);
}

static void no_truncation_of_a_list_passes(void **state)
{
    struct rig_options o = rig_defaults();
    struct loggen g;
    struct rig r;

    (void)state;
    o.require_log = 1;
    start(&r, &g, o, POLICY(KNOWN, ""));
    loggen_file(&g, AA, "/bin/a");
    loggen_violation(&g, "/bin/a");
    loggen_entry(&g, "ima-sig", AA, "/bin/b", NULL, 0, true);
    memcpy(r.pcr, g.pcr, 32);
    r.pcr_len = 32;
    for (size_t len = 0; len + 1 < g.len; len++) {
        rig_list(&r, g.text, 0);
        r.list_len = len;
        if (rig_run(&r) != RIG_FAIL)
            fail_msg("the first %zu of %zu bytes pass", len, g.len);
    }
    assert_int_equal(quote(&r, &g, 0, 0), RIG_PASS);
    stop(&r, &g);
}

/* Each line of ../shared's extensions under its key: a good signature speaks for the file, a bad one does not. */
static void extension_signatures_speak_when_they_are_good(void **state)
{
    json_t *v = load_vectors("ima/extensions.json"), *c;
    size_t i, good = 0, bad = 0;

    (void)state;
    json_array_foreach(json_object_get(v, "entries"), i, c) {
        const char *pem = vector_text_or_null(c, "public_key_pem"), *id = vector_text(c, "id");
        const bool expected = json_is_true(json_object_get(c, "signature_good"));
        struct ima_keyring *ring = NULL;
        struct ima_key *key = NULL;
        struct rig r;
        json_t *keyring;
        char *text;

        if (!pem || !json_is_boolean(json_object_get(c, "signature_good")))
            continue;
        rig_start(&r, rig_defaults());
        assert_true(rig_policy(&r, POLICY("", ""), QL_ORIGIN_UPLOAD));
        assert_int_equal(ima_key_read((const uint8_t *)pem, strlen(pem), false, &key), IMA_KEY_OK);
        assert_int_equal(ima_keyring_new(&ql_tool_host, &ring, NULL), QL_OK);
        assert_int_equal(ima_keyring_add(ring, key, 0, NULL), QL_OK);
        keyring = ima_keyring_write(ring);
        text = json_dumps(keyring, 0);
        json_object_set_new(r.agent_options, "ima_sign_verification_keys", json_string(text));
        rig_list(&r, vector_text(c, "line"), 0);
        rig_extend(&r, r.list);
        if ((rig_run(&r) == RIG_PASS) != expected)
            fail_msg("%s: %s %s", id, expected ? "must pass" : "must fail", rig_event(&r, 0));
        *(expected ? &good : &bad) += 1;
        free(text);
        json_decref(keyring);
        ima_keyring_free(ring);
        ima_key_unref(key);
        rig_stop(&r);
    }
    assert_true(good >= 5 && bad >= 3);
    json_decref(v);
}

static void an_appended_signatures_digest_is_as_good_as_the_files(void **state)
{
    json_t *v = load_vectors("ima/extensions.json"), *c;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(v, "entries"), i, c) {
        struct rig r;

        if (strcmp(vector_text(c, "id"), "modsig") != 0)
            continue;
        rig_start(&r, rig_defaults());
        assert_true(rig_policy(
            &r,
            POLICY("\"/usr/bin/demo\":[\"bfcfb041f9f75e1036916ce9f6194bfc50fe0e25d60f72b3a6981214a5924ce9\"]",
                   ""),
            QL_ORIGIN_UPLOAD));
        rig_list(&r, vector_text(c, "line"), 0);
        rig_extend(&r, r.list);
        assert_int_equal(rig_run(&r), RIG_PASS);
        rig_stop(&r);
    }
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_goes_on_where_the_last_quote_ended),
        cmocka_unit_test(entries_behind_the_quote_are_judged_and_come_again),
        cmocka_unit_test(a_replayed_prefix_a_shorter_list_and_a_forged_entry_fit_no_pcr),
        cmocka_unit_test(a_reboot_another_bank_and_lost_state_ask_for_the_whole_list),
        cmocka_unit_test(violations_are_tolerated_and_counted),
        cmocka_unit_test(violations_fail_where_the_option_says_so),
        cmocka_unit_test(keylimes_key_with_another_word_is_refused),
        cmocka_unit_test(many_failures_are_counted_and_the_last_word_stays),
        cmocka_unit_test(names_that_are_no_text_are_matched_by_their_bytes_and_shown),
        cmocka_unit_test(a_line_feed_in_a_name_fails_as_two_lines),
        cmocka_unit_test(a_proven_boot_aggregate_needs_no_listing),
        cmocka_unit_test(a_kernel_that_pads_sha1_is_attested_where_the_agents_options_say_so),
        cmocka_unit_test(no_truncation_of_a_list_passes),
        cmocka_unit_test(extension_signatures_speak_when_they_are_good),
        cmocka_unit_test(an_appended_signatures_digest_is_as_good_as_the_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
