/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "certify.h"
#include "encode.h"

static size_t decode(const char *text, uint8_t *out, size_t room)
{
    size_t len;

    assert_int_equal(ql_base64_decode(text, strlen(text), out, room, &len, NULL), QL_OK);
    return len;
}

static void certification_is_judged_as_required(void **state)
{
    json_t *v = load_vectors("agent/iak_idevid.json"), *cases = json_object_get(v, "cases");

    (void)state;
    assert_int_equal(json_array_size(cases), 18);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        bool wanted = json_is_true(json_object_get(json_object_get(c, "required"), "pass"));
        const char *iak_text = vector_text(c, "iak_tpm"), *ak_text = vector_text(c, "aik_tpm");
        uint8_t attest[1024], sign[1024];
        struct ql_err err = QL_ERR_INIT;
        struct ql_tpm_public iak, ak;
        size_t attest_len = decode(vector_text(c, "iak_attest"), attest, sizeof attest);
        size_t sign_len = decode(vector_text(c, "iak_sign"), sign, sizeof sign);

        assert_int_equal(ql_tpm_public_from_text(iak_text, strlen(iak_text), &iak, NULL, NULL, NULL), QL_OK);
        assert_int_equal(ql_tpm_public_from_text(ak_text, strlen(ak_text), &ak, NULL, NULL, NULL), QL_OK);
        if ((ql_certify_check(&iak, &ak, attest, attest_len, sign, sign_len, vector_text(c, "agent_id"),
                              &err) == QL_OK) != wanted)
            fail_msg("%s: wanted %s, got %s", vector_text(c, "name"), wanted ? "pass" : "failure", err.text);
    }
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(certification_is_judged_as_required)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
