/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"
#include "vectors.h"

#include "clock.h"
#include "notice.h"

#define TIME "Sun Nov 22 22:28:10 2026"

static struct ql_notice *notice_of(const char *msg)
{
    json_t *j = json_pack("{s:s, s:s}", "msg", msg, "signature", "c2ln");
    char *body = json_dumps(j, JSON_COMPACT);
    struct ql_notice *n = NULL;

    assert_int_equal(ql_notice_parse(body, strlen(body), &n, NULL), QL_OK);
    free(body);
    json_decref(j);
    return n;
}

static void messages_of_the_vectors_are_judged_as_required(void **state)
{
    const json_t *message, *test;
    size_t i;
    json_t *all = load_vectors("agent/revocation.json");
    struct ql_cert *cert = NULL;
    const char *pem;

    (void)state;
    pem = json_string_value(json_object_get(all, "revocation_cert_pem"));
    assert_int_equal(ql_cert_from_pem(pem, strlen(pem), &cert, NULL), QL_OK);
    assert_true(json_array_size(json_object_get(all, "cases")) >= 11);
    json_array_foreach(json_object_get(all, "cases"), i, test) {
        struct ql_err err = QL_ERR_INIT;
        struct ql_notice *n = NULL;
        char *body;
        int want;

        message = json_object_get(test, "message");
        body = json_dumps(message, 0);
        want =
            json_is_true(json_object_get(json_object_get(test, "required"), "accepted")) ? QL_OK : QL_ECRYPTO;
        assert_int_equal(ql_notice_parse(body, strlen(body), &n, &err), QL_OK);
        if (ql_notice_check(n, cert, &err) != want)
            fail_msg("%s: %s", json_string_value(json_object_get(test, "name")), err.text);
        if (want == QL_OK) {
            assert_int_equal(ql_notice_read(n, &err), QL_OK);
            assert_string_equal(n->type, "revocation");
            assert_string_equal(n->agent_id, "5c3a1f0e-7d24-4b8e-9a61-2f0c4d7e8b91");
            assert_int_equal(n->port, 9002);
            assert_true(n->time_ns == INT64_C(1795386490) * QL_NS_PER_S);
        }
        free(body);
        ql_notice_free(n);
    }
    ql_cert_free(cert);
    json_decref(all);
}

static void no_prefix_of_a_body_is_a_message_nor_one_with_a_byte_more(void **state)
{
    static const char body[] = "{\"msg\": \"{}\", \"signature\": \"c2ln\"}x";
    struct ql_notice *n = NULL;

    (void)state;
    for (size_t len = 0; len < sizeof body - 2; len++)
        assert_int_equal(ql_notice_parse(body, len, &n, NULL), QL_EPARSE);
    assert_int_equal(ql_notice_parse(body, sizeof body - 1, &n, NULL), QL_EPARSE);
    assert_int_equal(ql_notice_parse(body, sizeof body - 2, &n, NULL), QL_OK);
    ql_notice_free(n);
}

static void a_body_above_the_limit_is_refused(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_notice *n = NULL;
    char *body = malloc(QL_NOTICE_MAX + 1);

    (void)state;
    memset(body, ' ', QL_NOTICE_MAX + 1);
    assert_int_equal(ql_notice_parse(body, QL_NOTICE_MAX + 1, &n, &err), QL_ELIMIT);
    free(body);
}

static void a_message_is_known_by_its_exact_bytes(void **state)
{
    struct ql_notice *a = notice_of("{\"a\":1}"), *b = notice_of("{\"a\": 1}"), *c = notice_of("{\"a\":1}");

    (void)state;
    assert_memory_equal(a->digest, c->digest, sizeof a->digest);
    assert_memory_not_equal(a->digest, b->digest, sizeof a->digest);
    ql_notice_free(a);
    ql_notice_free(b);
    ql_notice_free(c);
}

static void what_a_message_says_is_checked(void **state)
{
    static const struct {
        const char *msg;
        int want;
    } rows[] = {
        {"{\"type\":\"revocation\",\"agent_id\":\"x\",\"event_time\":\"" TIME "\"}", QL_OK},
        {"{\"type\":\"revocation\",\"agent_id\":\"x\",\"event_time\":\"" TIME "\",\"port\":null,\"ip\":null}",
         QL_OK},
        {"{\"type\":\"revocation\",\"agent_id\":\"../x\",\"event_time\":\"" TIME "\"}", QL_EPARSE},
        {"{\"type\":\"revocation\",\"agent_id\":\"\",\"event_time\":\"" TIME "\"}", QL_EPARSE},
        {"{\"agent_id\":\"x\",\"event_time\":\"" TIME "\"}", QL_EPARSE},
        {"{\"type\":\"revocation\",\"agent_id\":\"x\"}", QL_EPARSE},
        {"{\"type\":\"revocation\",\"agent_id\":\"x\",\"event_time\":\"" TIME "x\"}", QL_EPARSE},
        {"{\"type\":\"revocation\",\"agent_id\":\"x\",\"event_time\":\"2026-11-22\"}", QL_EPARSE},
        {"{\"type\":\"revocation\",\"agent_id\":\"x\",\"event_time\":1}", QL_EPARSE},
        {"[]", QL_EPARSE},
        {"", QL_EPARSE},
    };

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(rows); i++) {
        struct ql_notice *n = notice_of(rows[i].msg);

        if (ql_notice_read(n, NULL) != rows[i].want)
            fail_msg("%s", rows[i].msg);
        if (rows[i].want == QL_OK)
            assert_string_equal(n->severity, ""); /* absent members are empty */
        ql_notice_free(n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_the_vectors_are_judged_as_required),
        cmocka_unit_test(no_prefix_of_a_body_is_a_message_nor_one_with_a_byte_more),
        cmocka_unit_test(a_body_above_the_limit_is_refused),
        cmocka_unit_test(a_message_is_known_by_its_exact_bytes),
        cmocka_unit_test(what_a_message_says_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
