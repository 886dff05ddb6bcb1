/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "encode.h"
#include "helpers.h"
#include "key.h"
#include "message.h"

static void message_is_as_recorded(void **state)
{
    ql_auto_json json_t *all = vectors("captured-revocation-webhook");
    const json_t *body = json_object_get(json_array_get(json_object_get(all, "exchanges"), 0), "body");
    struct ql_agent_row row = {
        .agent_id = TEXT("d432fbb3-d2f1-4a97-9ef7-75bd81c00000"),
        .ip = TEXT("127.0.0.1"),
        .port = 17002,
        .tpm_policy = TEXT("{\"15\": [\"0000000000000000000000000000000000000000000000000000000000000000\"], "
                           "\"mask\": \"0x8400\"}"),
        .meta_data = TEXT("{}"),
    };
    const struct ql_message m = {
        .type = "revocation",
        .time_ns = INT64_C(1795385966) * QL_NS_PER_S,
        .event_id = "ima.validation.ima-ng.runtime_policy_hash",
        .severity = "emergency",
        .context = "{\"message\": \"Hash not found in runtime policy\", \"got\": "
                   "\"d121be3103007b41edf96f8262925f8c7d61894afe9a041843b631f69445bc57\", \"expected\": "
                   "[\"e93b88e688e9b3d0b04d55b0e0380fc47e4a730497e72bdb519bd3a2fbc7b0fc\"]}",
    };
    ql_auto_free char *text = NULL;

    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    text = ql_message_text(&m, &row);
    assert_string_equal(text, json_string_value(json_object_get(body, "msg")));
}

static void message_is_signed_by_the_key_of_the_agent(void **state)
{
    char path[] = "/tmp/ql-message-XXXXXX";
    int fd = mkstemp(path);
    ql_auto(ql_seal_freep) struct ql_seal *seal = NULL;
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    ql_auto(ql_secret_freep) struct ql_secret *pem = NULL;
    struct ql_agent_row row = {.agent_id = TEXT("x")};
    ql_auto_free char *signature = NULL, *none = NULL;
    uint8_t raw[512];
    size_t len = 0;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    assert_int_equal(ql_seal_open(path, &seal, &err), QL_OK);
    unlink(path);
    assert_int_equal(ql_message_sign(seal, &row, "text", &none, &err), QL_OK);
    assert_string_equal(none, "");
    assert_int_equal(ql_key_generate_rsa(2048, &key, &err), QL_OK);
    assert_int_equal(ql_key_private_pem(key, NULL, &pem, &err), QL_OK);
    assert_int_equal(ql_seal_wrap(seal, ql_secret_data(pem), ql_secret_len(pem), &row.revocation_key,
                                  &row.revocation_key_len, &err),
                     QL_OK);
    assert_int_equal(ql_message_sign(seal, &row, "text", &signature, &err), QL_OK);
    assert_int_equal(ql_base64_decode(signature, strlen(signature), raw, sizeof raw, &len, &err), QL_OK);
    assert_int_equal(ql_key_verify(key, QL_RSAPSS, QL_SHA256, "text", 4, raw, len, NULL, 0, -2, &err), QL_OK);
    assert_int_equal(ql_key_verify(key, QL_RSAPSS, QL_SHA256, "test", 4, raw, len, NULL, 0, -2, &err),
                     QL_ECRYPTO);
    row.revocation_key[row.revocation_key_len - 1] ^= 1;
    free(signature);
    signature = NULL;
    assert_true(ql_message_sign(seal, &row, "text", &signature, &err) < 0);
    assert_null(signature);
    free(row.revocation_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_as_recorded),
        cmocka_unit_test(message_is_signed_by_the_key_of_the_agent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
