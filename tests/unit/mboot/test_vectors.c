/* SPDX-License-Identifier: Apache-2.0 */
/* Every recorded log against its known answers: events, digests, PCRs, aggregates, the whole tree. */
#include <dirent.h>
#include <openssl/sha.h>

#include "logs.h"
#include "replay.h"
#include "tree.h"
#include "vectors.h"

static const struct mb_tree_options ALL = {.bank = MB_ALL_BANKS};

/** Run @p fn for each expectation; skips without vectors. */
static void each_log(void (*fn)(const char *name, const json_t *vector))
{
    DIR *d = opendir(QL_SHARED_DIR "/vectors/mboot/expect");
    size_t count = 0;

    if (!d) {
        print_message("no vectors at " QL_SHARED_DIR "/vectors/mboot\n");
        skip();
    }
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        char name[300], file[320];
        json_t *vector;

        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(e->d_name, "."), e->d_name);
        snprintf(file, sizeof file, "mboot/expect/%s.json", name);
        vector = load_vectors(file);
        fn(name, vector);
        json_decref(vector);
        count++;
    }
    closedir(d);
    assert_true(count >= 24);
}

static struct bytes log_bytes(const char *name)
{
    char file[320];

    snprintf(file, sizeof file, "mboot/logs/%s.bin", name);
    return read_vector(file);
}

static void compare_parse(const char *name, const json_t *vector)
{
    const json_t *want = json_object_get(vector, "expect");
    struct bytes b = log_bytes(name);
    struct mb_log *log = NULL;
    struct ql_err err = QL_ERR_INIT;
    const int r = mb_log_parse(&test_host, b.p, b.len, &log, &err);

    if ((r == QL_OK) != (strcmp(vector_text(want, "parse"), "ok") == 0))
        fail_msg("%s: %s, wanted %s", name, r == QL_OK ? "accepted" : err.text, vector_text(want, "parse"));
    if (r == QL_OK) {
        const json_t *banks = json_object_get(want, "banks");
        size_t known = 0;

        if (log->event_count != (uint32_t)json_integer_value(json_object_get(want, "events")) ||
            log->is_sha1_format != (strcmp(vector_text(want, "format"), "sha1") == 0))
            fail_msg("%s: %u events", name, log->event_count);
        for (uint32_t i = 0; i < log->bank_count; i++)
            known += log->banks[i].is_known;
        assert_int_equal(known, json_array_size(banks));
        for (size_t i = 0; i < known; i++)
            assert_true(mb_log_bank(log, json_string_value(json_array_get(banks, i))) >= 0);
    } else {
        assert_int_equal(r, QL_EPARSE);
        assert_null(log);
        assert_non_null(strstr(err.text, "at byte"));
    }
    mb_log_free(log);
    free(b.p);
}

static void every_log_parses_or_not_as_it_must(void **state)
{
    (void)state;
    each_log(compare_parse);
    assert_int_equal(host_live, 0);
}

/** The recorded count leaves out a form that the rule knows: UTF-16 text measured without its last NUL, once in one log. */
static uint32_t verified_count(const char *name, const json_t *want)
{
    const uint32_t count = (uint32_t)json_integer_value(json_object_get(want, "digest_verified"));

    return strcmp(name, "synth-uki-locality3") == 0 ? count + 1 : count;
}

static void compare_digests(const char *name, const json_t *vector)
{
    const json_t *want = json_object_get(vector, "expect");
    const uint32_t verified = verified_count(name, want);
    struct bytes b = log_bytes(name);
    struct mb_hasher *h = test_hasher();
    struct mb_log *log;
    struct mb_check found;

    if (strcmp(vector_text(want, "parse"), "ok") == 0) {
        log = parse_ok(&b);
        for (uint32_t bank = 0; bank < log->bank_count; bank++) {
            if (!log->banks[bank].is_known)
                continue;
            assert_int_equal(mb_log_check_digests(h, log, (int)bank, &found, NULL), QL_OK);
            if (found.mismatch != 0 || found.verified != verified)
                fail_msg("%s %s: %u verified, %u mismatches (first event %u), wanted %u", name,
                         log->banks[bank].name, found.verified, found.mismatch, found.first, verified);
        }
        mb_log_free(log);
    }
    mb_hasher_free(h);
    free(b.p);
}

static void every_digest_that_covers_its_payload_is_found_in_every_bank(void **state)
{
    (void)state;
    each_log(compare_digests);
    assert_int_equal(host_live, 0);
}

static void hex(const uint8_t *bytes, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void compare_bank(const char *name, const struct mb_log *log, int bank, struct mb_hasher *h,
                         const json_t *want)
{
    const json_t *values = json_object_get(json_object_get(want, "pcrs"), log->banks[bank].name);
    const json_t *aggregates =
        json_object_get(json_object_get(want, "boot_aggregates"), log->banks[bank].name);
    struct mb_pcrs pcrs;
    uint8_t digest[MB_DIGEST_MAX];
    char text[2 * MB_DIGEST_MAX + 1];
    size_t extended = 0, seen = 0;

    assert_int_equal(mb_replay(h, log, bank, &pcrs, NULL), QL_OK);
    for (unsigned n = 0; n < MB_PCR_COUNT; n++) {
        char key[4];

        if (!(pcrs.extended >> n & 1))
            continue;
        extended++;
        snprintf(key, sizeof key, "%u", n);
        hex(pcrs.value[n], pcrs.digest_len, text);
        if (strcmp(text, vector_text(values, key)) != 0)
            fail_msg("%s %s PCR %u: %s, wanted %s", name, log->banks[bank].name, n, text,
                     vector_text(values, key));
    }
    assert_int_equal(extended, json_object_size(values));
    for (int count = 8; count <= 10; count += 2) {
        if ((pcrs.extended & ((1U << count) - 1)) != (1U << count) - 1)
            continue;
        assert_int_equal(mb_boot_aggregate(h, &pcrs, (enum mb_aggregate)count, digest), QL_OK);
        hex(digest, pcrs.digest_len, text);
        assert_string_equal(text, json_string_value(json_array_get(aggregates, seen)));
        seen++;
    }
    assert_int_equal(seen, json_array_size(aggregates));
}

static void compare_replay(const char *name, const json_t *vector)
{
    const json_t *want = json_object_get(vector, "expect");
    struct bytes b = log_bytes(name);
    struct mb_hasher *h = test_hasher();

    if (strcmp(vector_text(want, "parse"), "ok") == 0) {
        struct mb_log *log = parse_ok(&b);

        for (uint32_t bank = 0; bank < log->bank_count; bank++)
            if (log->banks[bank].is_known)
                compare_bank(name, log, (int)bank, h, want);
        mb_log_free(log);
    }
    mb_hasher_free(h);
    free(b.p);
}

static void every_log_replays_to_its_pcrs_and_aggregates(void **state)
{
    (void)state;
    each_log(compare_replay);
    assert_int_equal(host_live, 0);
}

/** Name the first place where two values differ. */
static bool differ(const json_t *got, json_t *want, char *path, size_t room)
{
    const size_t len = strlen(path);
    const char *key;
    json_t *value;
    size_t i;

    if (json_equal(got, want))
        return false;
    if (json_is_object(got) && json_is_object(want)) {
        json_object_foreach(want, key, value) {
            snprintf(path + len, room - len, "/%s", key);
            if (differ(json_object_get(got, key), value, path, room))
                return true;
        }
        path[len] = '\0';
    } else if (json_is_array(got) && json_is_array(want) && json_array_size(got) == json_array_size(want)) {
        json_array_foreach(want, i, value) {
            snprintf(path + len, room - len, "/%zu", i);
            if (differ(json_array_get(got, i), value, path, room))
                return true;
        }
        path[len] = '\0';
    }
    return true;
}

static void compare_tree(const char *name, const json_t *vector)
{
    struct bytes b = log_bytes(name);
    struct mb_hasher *h = test_hasher();
    char file[320], path[512] = "";
    struct mb_log *log = NULL;
    json_t *want, *got = NULL;

    if (json_object_get(vector, "tree") && mb_log_parse(&test_host, b.p, b.len, &log, NULL) == QL_OK) {
        snprintf(file, sizeof file, "mboot/tree/%s.json", name);
        snprintf(path, sizeof path, QL_SHARED_DIR "/vectors/%s", file);
        want = json_load_file(path, JSON_ALLOW_NUL, NULL);
        assert_non_null(want);
        assert_int_equal(mb_tree_json(h, log, &ALL, &got, NULL), QL_OK);
        path[0] = '\0';
        if (differ(got, want, path, sizeof path))
            fail_msg("%s%s differs", name, path);
        json_decref(got);
        json_decref(want);
        mb_log_free(log);
    }
    mb_hasher_free(h);
    free(b.p);
}

static void every_tree_is_the_recorded_one(void **state)
{
    (void)state;
    each_log(compare_tree);
    assert_int_equal(host_live, 0);
}

/** base with its splices, checked against the variant's own digest. */
static struct bytes splice(const struct bytes *base, const json_t *variant)
{
    struct bytes b = {.p = malloc(base->len), .len = base->len};
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH + 1];
    const json_t *row;
    size_t i;

    assert_non_null(b.p);
    memcpy(b.p, base->p, base->len);
    json_array_foreach(json_object_get(variant, "splice"), i, row) {
        const size_t at = (size_t)json_integer_value(json_object_get(row, "at"));
        const size_t del = (size_t)json_integer_value(json_object_get(row, "del"));
        const char *ins = vector_text(row, "ins");
        const size_t ins_len = strlen(ins) / 2;
        uint8_t *p = malloc(b.len - del + ins_len + 1);

        assert_non_null(p);
        memcpy(p, b.p, at);
        for (size_t n = 0; n < ins_len; n++) {
            const char digits[3] = {ins[2 * n], ins[2 * n + 1], 0};

            p[at + n] = (uint8_t)strtoul(digits, NULL, 16);
        }
        memcpy(p + at + ins_len, b.p + at + del, b.len - at - del);
        b.len = b.len - del + ins_len;
        free(b.p);
        b.p = p;
    }
    SHA256(b.p, b.len, digest);
    hex(digest, sizeof digest, text);
    assert_string_equal(text, vector_text(variant, "sha256"));
    return b;
}

/** Does the replay give the quoted values of every PCR from 0 to 9 and 14? */
static bool replay_agrees(struct mb_hasher *h, const struct mb_log *log, const json_t *quote)
{
    static const unsigned relevant[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14};
    const json_t *values = json_object_get(quote, "sha256");
    struct mb_pcrs pcrs;

    assert_int_equal(mb_replay(h, log, mb_log_bank(log, "sha256"), &pcrs, NULL), QL_OK);
    for (size_t i = 0; i < sizeof relevant / sizeof relevant[0]; i++) {
        char key[4], text[65];

        snprintf(key, sizeof key, "%u", relevant[i]);
        hex(pcrs.value[relevant[i]], 32, text);
        if (json_object_get(values, key) && strcmp(text, vector_text(values, key)) != 0)
            return false;
    }
    return true;
}

static void compare_variant(struct mb_hasher *h, const struct bytes *base, const json_t *all,
                            const json_t *variant)
{
    const char *name = vector_text(variant, "name"), *stage = vector_text(variant, "stage");
    struct bytes b = splice(base, variant);
    struct mb_log *log = NULL;
    struct mb_check found;
    const char *got = "policy";

    if (mb_log_parse(&test_host, b.p, b.len, &log, NULL) != QL_OK) {
        got = "parse";
    } else {
        const json_t *quote = strcmp(vector_text(variant, "quote"), "base") == 0
                                  ? json_object_get(all, "base_pcrs")
                                  : json_object_get(variant, "pcrs");

        assert_int_equal(mb_log_check_digests(h, log, mb_log_bank(log, "sha256"), &found, NULL), QL_OK);
        if (found.mismatch > 0) {
            const json_t *first = json_array_get(json_object_get(variant, "digest_mismatch"), 0);

            got = "digest";
            if (json_is_integer(first))
                assert_int_equal(found.first, json_integer_value(first));
        } else if (!replay_agrees(h, log, quote)) {
            got = "replay";
        }
    }
    /* What gets past all three is for the policy, or good. */
    if (strcmp(got, strcmp(stage, "accept") == 0 ? "policy" : stage) != 0)
        fail_msg("%s: found at %s, wanted %s", name, got, stage);
    mb_log_free(log);
    free(b.p);
}

static void every_damaged_log_is_found_at_its_stage(void **state)
{
    json_t *all = load_vectors("mboot/variants-keylime-mb_log.json");
    struct bytes base = read_vector("mboot/logs/keylime-mb_log.bin");
    struct mb_hasher *h = test_hasher();
    const json_t *variant;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(all, "variants"), i, variant) {
        compare_variant(h, &base, all, variant);
    }
    assert_true(i >= 50);
    mb_hasher_free(h);
    free(base.p);
    json_decref(all);
    assert_int_equal(host_live, 0);
}

static void secure_boot_machine_verifies_in_every_bank(void **state)
{
    json_t *summary = load_vectors("vm/secureboot-ima-ng/summary.json");
    struct bytes b = read_vector("vm/secureboot-ima-ng/bios.bin");
    struct bytes quoted = read_vector("vm/secureboot-ima-ng/quote-sha256.pcrs");
    struct mb_hasher *h = test_hasher();
    struct mb_log *log = parse_ok(&b);
    struct mb_check found;
    struct mb_pcrs pcrs;

    (void)state;
    assert_int_equal(log->bank_count, 3);
    for (int bank = 0; bank < 3; bank++) {
        assert_int_equal(mb_log_check_digests(h, log, bank, &found, NULL), QL_OK);
        assert_int_equal(found.mismatch, 0);
        assert_true(found.verified > 20);
    }
    /* Each value that the machine's TPM quoted stands somewhere in its serialized form. */
    assert_int_equal(mb_replay(h, log, mb_log_bank(log, "sha256"), &pcrs, NULL), QL_OK);
    for (unsigned n = 0; n < 10; n++)
        assert_non_null(memmem(quoted.p, quoted.len, pcrs.value[n], 32));
    mb_log_free(log);
    mb_hasher_free(h);
    free(b.p);
    free(quoted.p);
    json_decref(summary);
}

static void altered_data_of_the_secure_boot_machine_is_a_mismatch(void **state)
{
    static const char *const files[] = {"vm/secureboot-ima-ng/bios-forged-securebootvar.bin",
                                        "vm/secureboot-ima-ng/bios-forged-cmdline.bin"};
    struct mb_hasher *h = test_hasher();

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bytes b = read_vector(files[i]);
        struct mb_log *log = parse_ok(&b);
        struct mb_check found;

        assert_int_equal(mb_log_check_digests(h, log, mb_log_bank(log, "sha256"), &found, NULL), QL_OK);
        assert_int_equal(found.mismatch, 1);
        assert_int_equal(log->events[found.first].status[mb_log_bank(log, "sha256")], MB_MISMATCH);
        mb_log_free(log);
        free(b.p);
    }
    mb_hasher_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_log_parses_or_not_as_it_must),
        cmocka_unit_test(every_digest_that_covers_its_payload_is_found_in_every_bank),
        cmocka_unit_test(every_log_replays_to_its_pcrs_and_aggregates),
        cmocka_unit_test(every_tree_is_the_recorded_one),
        cmocka_unit_test(every_damaged_log_is_found_at_its_stage),
        cmocka_unit_test(secure_boot_machine_verifies_in_every_bank),
        cmocka_unit_test(altered_data_of_the_secure_boot_machine_is_a_mismatch),
    };

    return cmocka_run_group_tests_name("recorded event logs", tests, NULL, NULL);
}
