/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "keyring.h"
#include <quicklime/validator.h>

#include "policy.h"
#include "toolhost.h"

#define A32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define TAIL                                                                                                 \
    "\"excludes\":[],\"keyrings\":{},\"ima\":{\"ignored_keyrings\":[],\"log_hash_alg\":\"sha1\",\"dm_"       \
    "policy\":null}"
#define HEAD                                                                                                 \
    "{\"meta\":{\"version\":1,\"generator\":3},\"release\":0,\"ima-buf\":{},\"verification-keys\":\"\","

static int compile_len(const char *text, size_t len, struct ima_policy **ret, struct ql_err *err)
{
    /* Of just this size on the heap, so that a sanitizer sees a step too far. */
    uint8_t *copy = malloc(len > 0 ? len : 1);
    int r;

    assert_non_null(copy);
    memcpy(copy, text, len);
    r = ima_policy_compile(&ql_tool_host, copy, len, QL_ORIGIN_UPLOAD, ret, err);
    free(copy);
    return r;
}

static struct ima_policy *compile(const char *text)
{
    struct ima_policy *p = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (compile_len(text, strlen(text), &p, &err) != QL_OK)
        fail_msg("%s", err.text);
    return p;
}

static void refuse(const char *text, const char *words)
{
    struct ima_policy *p = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (compile_len(text, strlen(text), &p, &err) == QL_OK)
        fail_msg("was taken: %s", text);
    assert_null(p);
    if (!strstr(err.text, words))
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static enum ima_lookup lookup(const struct ima_policy *p, const char *name, const char *hex)
{
    uint8_t digest[IMA_DIGEST_MAX];
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++) {
        unsigned v;

        assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
        digest[i] = (uint8_t)v;
    }
    return ima_policy_lookup(p, IMA_MAP_DIGESTS, (const uint8_t *)name, strlen(name), digest, n);
}

static void policies_of_the_vectors_are_taken_or_refused_as_there(void **state)
{
    json_t *v = load_vectors("ima/policies.json"), *list = json_object_get(v, "policies"), *one;
    size_t i;

    (void)state;
    assert_true(json_array_size(list) > 40);
    json_array_foreach(list, i, one) {
        const char *name = vector_text(one, "name");
        bool valid = json_is_true(json_object_get(one, "valid"));
        char *text = json_dumps(json_object_get(one, "policy"), JSON_ENCODE_ANY);
        struct ima_policy *p = NULL;
        struct ql_err err = QL_ERR_INIT;
        int r = compile_len(text, strlen(text), &p, &err);

        /* Our rule: an expression that does not compile is refused at upload. */
        if (strcmp(name, "excludes-bad-regex") == 0)
            valid = false;
        if ((r == QL_OK) != valid)
            fail_msg("%s: %s", name, r == QL_OK ? "taken" : err.text);
        ima_policy_free(p);
        free(text);
    }
    json_decref(v);
}

static void policies_of_all_log_cases_compile(void **state)
{
    json_t *v = load_vectors("ima/log_cases.json"), *list = json_object_get(v, "cases"), *one;
    size_t i;

    (void)state;
    json_array_foreach(list, i, one) {
        json_t *policy = json_object_get(one, "policy");
        char *text = json_is_object(policy) ? json_dumps(policy, 0) : NULL;

        if (text) {
            struct ima_policy *p = NULL;
            struct ql_err err = QL_ERR_INIT;

            if (ima_policy_compile(&ql_tool_host, (const uint8_t *)text, strlen(text), QL_ORIGIN_STORED, &p,
                                   &err) != QL_OK)
                fail_msg("%s: %s", vector_text(one, "id"), err.text);
            ima_policy_free(p);
        }
        free(text);
    }
    json_decref(v);
}

static void lookup_tells_unknown_wrong_and_allowed_apart(void **state)
{
    struct ima_policy *p =
        compile(HEAD "\"digests\":{\"/a\":[\"" A32 A32 "\",\"" A32 "bbbbbbbb\"],\"\":[\"" A32
                     "cccccccc\"],\"/n\":[\"" A32 "dddddddd\\n\",\"" A32 "ddddddddd\"]}," TAIL "}");
    json_t *expected;

    (void)state;
    assert_int_equal(lookup(p, "/a", A32 A32), IMA_ALLOWED);
    assert_int_equal(lookup(p, "/a", A32 "bbbbbbbb"), IMA_ALLOWED);
    assert_int_equal(lookup(p, "/a", A32 "cccccccc"), IMA_DIGEST_WRONG);
    assert_int_equal(lookup(p, "/a", A32 A32 A32), IMA_DIGEST_WRONG);
    assert_int_equal(lookup(p, "", A32 "cccccccc"), IMA_ALLOWED);
    assert_int_equal(lookup(p, "/", A32 "cccccccc"), IMA_NAME_UNKNOWN);
    /* Odd digits and a final newline are taken by the schema and equal nothing. */
    assert_int_equal(lookup(p, "/n", A32 "dddddddd"), IMA_DIGEST_WRONG);
    expected = ima_policy_expected(p, IMA_MAP_DIGESTS, (const uint8_t *)"/n", 2, 100);
    assert_int_equal(json_array_size(expected), 2);
    assert_string_equal(json_string_value(json_array_get(expected, 0)), A32 "dddddddd\n");
    json_decref(expected);
    expected = ima_policy_expected(p, IMA_MAP_DIGESTS, (const uint8_t *)"/a", 2, 1);
    assert_int_equal(json_array_size(expected), 1);
    assert_string_equal(json_string_value(json_array_get(expected, 0)), A32 A32);
    json_decref(expected);
    ima_policy_free(p);
}

static void of_equal_keys_the_last_wins(void **state)
{
    struct ima_policy *p =
        compile(HEAD "\"digests\":{\"/gone\":[\"" A32 "00000000\"]},\"digests\":{\"/a\":[\"" A32
                     "00000000\"],\"/a\":[\"" A32 "11111111\"]}," TAIL "}");

    (void)state;
    assert_int_equal(lookup(p, "/gone", A32 "00000000"), IMA_NAME_UNKNOWN);
    assert_int_equal(lookup(p, "/a", A32 "00000000"), IMA_DIGEST_WRONG);
    assert_int_equal(lookup(p, "/a", A32 "11111111"), IMA_ALLOWED);
    ima_policy_free(p);
}

static void names_are_bytes_escaped_or_not(void **state)
{
    struct ima_policy *p =
        compile(HEAD "\"digests\":{\"/z\\u00f6\\ud83d\\ude00\\udcff\\/\":[\"" A32 "00000000\"],"
                     "\"/r\xc3\xb6h\":[\"" A32 "00000000\"]}," TAIL "}");

    (void)state;
    assert_int_equal(lookup(p, "/z\xc3\xb6\xf0\x9f\x98\x80\xff/", A32 "00000000"), IMA_ALLOWED);
    assert_int_equal(lookup(p, "/r\xc3\xb6h", A32 "00000000"), IMA_ALLOWED);
    ima_policy_free(p);
}

static void errors_name_key_element_and_place(void **state)
{
    (void)state;
    refuse(HEAD "\n\"digests\":{\"/b\":[\"" A32 A32 "\",\"ZZ\"]}," TAIL "}",
           "'digests': '/b': element 2: 'ZZ' does");
    refuse(HEAD "\n\"digests\":{\"/b\":[\"" A32 A32 "\",\"ZZ\"]}," TAIL "}", "(line 2, column");
    refuse(HEAD "\"digests\":{\"/b\":[]}," TAIL "}", "'digests': '/b' is too short");
    refuse(HEAD "\"digests\":{\"/b\":3}," TAIL "}", "'digests': '/b' is not a list");
    refuse(HEAD "\"digests\":[]," TAIL "}", "'digests' is not an object");
    refuse(HEAD TAIL "}", "'digests' is a required property");
    refuse(HEAD "\"digests\":{}," TAIL "}x", "more text behind the end");
    refuse("[]", "not a JSON object");
    refuse(HEAD "\"digests\":{},\"excludes\":[\"/ok\",\"(\"],\"keyrings\":{}}", "element 2");
}

static void every_truncation_and_one_byte_more_is_refused(void **state)
{
    const char *text = HEAD "\"digests\":{\"/a\\n\":[\"" A32 A32 "\"],\"/\xc3\xb6\":[\"" A32
                            "bbbbbbbb\"]},\"x\":[1.5e3,true,"
                            "{\"y\":null}]," TAIL "}";
    struct ima_policy *p = NULL;
    char more[2048];

    (void)state;
    for (size_t len = 0; len < strlen(text); len++)
        if (compile_len(text, len, &p, NULL) == QL_OK)
            fail_msg("%zu bytes were taken", len);
    snprintf(more, sizeof more, "%s}", text);
    assert_int_not_equal(compile_len(more, strlen(more), &p, NULL), QL_OK);
    assert_int_equal(compile_len(text, strlen(text), &p, NULL), QL_OK);
    ima_policy_free(p);
}

static void depth_is_bounded(void **state)
{
    char text[8192] = HEAD "\"x\":";
    size_t at = strlen(text);

    (void)state;
    memset(text + at, '[', 4000);
    refuse(text, "nested deeper than 64");
}

static void bytes_that_are_no_utf8_are_refused(void **state)
{
    (void)state;
    refuse(HEAD "\"digests\":{\"/\xff\":[\"" A32 A32 "\"]}," TAIL "}", "not UTF-8");
    refuse(HEAD "\"digests\":{\"/\xc0\xaf\":[\"" A32 A32 "\"]}," TAIL "}", "not UTF-8");
    refuse(HEAD "\"digests\":{\"/\x01\":[\"" A32 A32 "\"]}," TAIL "}", "control character");
}

static void an_envelope_is_opened_once(void **state)
{
    const char *policy = HEAD "\"digests\":{\"/a\":[\"" A32 A32 "\"]}," TAIL "}";
    char envelope[4096] = "{\"payload\":\"";
    struct ima_policy *p;

    (void)state;
    for (const char *c = policy; *c; c++)
        sprintf(envelope + strlen(envelope), "%02x", (unsigned)*c);
    strcat(envelope, "\",\"payloadType\":\"x\",\"signatures\":[]}");
    p = compile(envelope);
    assert_int_equal(lookup(p, "/a", A32 A32), IMA_ALLOWED);
    ima_policy_free(p);
    refuse("{\"payload\":\"e30=\"}", "'meta' is a required property");
    refuse("{\"payload\":\"*\"}", "neither hex nor base64");
    refuse("{\"payload\":\"\"}", "'meta' is a required property");
    /* {"payload": "e30="} within: no policy either. */
    refuse("{\"payload\":\"eyJwYXlsb2FkIjogImUzMD0ifQ==\"}", "'meta' is a required property");
}

static void ignored_rings_and_hash_are_kept(void **state)
{
    struct ima_policy *p =
        compile(HEAD "\"digests\":{},\"excludes\":[],\"keyrings\":{},\"ima\":{\"ignored_keyrings\":[\".x\"],"
                     "\"log_hash_alg\":\"sha512\",\"dm_policy\":null}}");

    (void)state;
    assert_true(ima_policy_ignores_ring(p, (const uint8_t *)".x", 2));
    assert_false(ima_policy_ignores_ring(p, (const uint8_t *)".y", 2));
    assert_string_equal(ima_policy_log_hash(p), "sha512");
    assert_int_equal(ima_policy_generator(p), 3);
    assert_null(ima_policy_keys(p));
    assert_null(ima_policy_dm(p));
    ima_policy_free(p);
    p = compile(HEAD "\"digests\":{},\"excludes\":[],\"keyrings\":{},\"ima\":{\"ignored_keyrings\":[\"*\"],"
                     "\"log_hash_alg\":\"sha1\",\"dm_policy\":null}}");
    assert_true(ima_policy_ignores_ring(p, (const uint8_t *)".y", 2));
    ima_policy_free(p);
}

static void device_mapper_policies_are_checked_in_full(void **state)
{
#define DM(rule)                                                                                             \
    HEAD "\"digests\":{},\"excludes\":[],\"keyrings\":{},\"ima\":{\"ignored_keyrings\":[],\"log_hash_alg\":" \
         "\"sha1\",\"dm_policy\":{\"version\":1,\"match_on\":\"name\",\"rules\":{\"r\":" rule "}}}}"
#define RULE(name)                                                                                           \
    "{\"required\":true,\"device_resume_required\":true,\"allow_clear\":false,\"device_rename\":{"           \
    "\"valid_name\":\"a|b\",\"valid_uuid\":null},\"device_remove\":{\"allow_removal\":false},\"table_"       \
    "load\":"                                                                                                \
    "{\"allow_multiple_loads\":false,\"name\":" name                                                         \
    ",\"uuid\":\".*\",\"major\":253,\"minor\":0,\"minor_count\":1,\"num_targets\":1,\"targets\":[]}}"
    struct ima_policy *p = compile(DM(RULE("\"test\"")));

    (void)state;
    assert_non_null(ima_policy_dm(p));
    ima_policy_free(p);
    refuse(DM("{}"), "rule 'r': 'required' is a required property");
    refuse(DM("3"), "rule 'r': 'r' is not an object");
    refuse(DM(RULE("5")), "'name' is not a string");
    refuse(DM(RULE("\"(\"")), "'name': ");
}

static void a_large_policy_takes_no_more_memory_than_its_text(void **state)
{
    enum {
        PATHS = 20000
    };
    size_t room = PATHS * 128, at;
    char *text = malloc(room);
    struct ima_policy *p;

    (void)state;
    at = (size_t)snprintf(text, room, "%s\"digests\":{", HEAD);
    for (unsigned i = 0; i < PATHS; i++)
        at +=
            (size_t)snprintf(text + at, room - at, "%s\"/p/%u\":[\"" A32 "%032u\"]", i > 0 ? "," : "", i, i);
    snprintf(text + at, room - at, "},%s}", TAIL);
    p = compile(text);
    assert_true(ima_policy_size(p) <= strlen(text));
    for (unsigned i = 0; i < PATHS; i++) {
        char name[32], hex[128];

        snprintf(name, sizeof name, "/p/%u", i);
        snprintf(hex, sizeof hex, A32 "%032u", i);
        assert_int_equal(lookup(p, name, hex), IMA_ALLOWED);
        snprintf(name, sizeof name, "/p/%u", PATHS + i);
        assert_int_equal(lookup(p, name, hex), IMA_NAME_UNKNOWN);
    }
    ima_policy_free(p);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_of_the_vectors_are_taken_or_refused_as_there),
        cmocka_unit_test(policies_of_all_log_cases_compile),
        cmocka_unit_test(lookup_tells_unknown_wrong_and_allowed_apart),
        cmocka_unit_test(of_equal_keys_the_last_wins),
        cmocka_unit_test(names_are_bytes_escaped_or_not),
        cmocka_unit_test(errors_name_key_element_and_place),
        cmocka_unit_test(every_truncation_and_one_byte_more_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(bytes_that_are_no_utf8_are_refused),
        cmocka_unit_test(an_envelope_is_opened_once),
        cmocka_unit_test(ignored_rings_and_hash_are_kept),
        cmocka_unit_test(device_mapper_policies_are_checked_in_full),
        cmocka_unit_test(a_large_policy_takes_no_more_memory_than_its_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
