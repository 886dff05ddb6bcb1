/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "certify.h"
#include "encode.h"
#include "tpm/softquote.h"

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

/** One genuine certification, to be spoilt. */
struct genuine {
    struct ql_tpm_public iak, ak;
    uint8_t attest[1024], sign[1024];
    size_t attest_len, sign_len;
    char agent_id[64];
};

static void load(const char *name, struct genuine *g)
{
    json_t *v = load_vectors("agent/iak_idevid.json"), *cases = json_object_get(v, "cases");

    memset(g, 0, sizeof *g);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        const char *iak = vector_text(c, "iak_tpm"), *ak = vector_text(c, "aik_tpm");

        if (strcmp(vector_text(c, "name"), name) != 0)
            continue;
        assert_int_equal(ql_tpm_public_from_text(iak, strlen(iak), &g->iak, NULL, NULL, NULL), QL_OK);
        assert_int_equal(ql_tpm_public_from_text(ak, strlen(ak), &g->ak, NULL, NULL, NULL), QL_OK);
        g->attest_len = decode(vector_text(c, "iak_attest"), g->attest, sizeof g->attest);
        g->sign_len = decode(vector_text(c, "iak_sign"), g->sign, sizeof g->sign);
        snprintf(g->agent_id, sizeof g->agent_id, "%s", vector_text(c, "agent_id"));
    }
    json_decref(v);
    assert_true(g->attest_len > 0);
}

static int judge(const struct genuine *g, size_t attest_len, size_t sign_len, const char *agent_id)
{
    /* Copies of exactly that length, so that a sanitizer sees a byte read beyond. */
    uint8_t *attest = malloc(attest_len + 1), *sign = malloc(sign_len + 1);
    int r;

    assert_true(attest && sign);
    memcpy(attest, g->attest, attest_len);
    memcpy(sign, g->sign, sign_len);
    attest = realloc(attest, attest_len > 0 ? attest_len : 1);
    sign = realloc(sign, sign_len > 0 ? sign_len : 1);
    r = ql_certify_check(&g->iak, &g->ak, attest, attest_len, sign, sign_len, agent_id, NULL);
    free(attest);
    free(sign);
    return r;
}

static void certification_refuses_every_truncation_and_one_byte_more(void **state)
{
    static const char *const names[] = {"H-1_sha256_of_uuid", "H-2_sha256_of_uuid"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct genuine g;

        load(names[i], &g);
        assert_int_equal(judge(&g, g.attest_len, g.sign_len, g.agent_id), QL_OK);
        for (size_t len = 0; len < g.attest_len; len++)
            assert_int_equal(judge(&g, len, g.sign_len, g.agent_id), QL_EPARSE);
        for (size_t len = 0; len < g.sign_len; len++)
            assert_int_not_equal(judge(&g, g.attest_len, len, g.agent_id), QL_OK);
        assert_int_equal(judge(&g, g.attest_len + 1, g.sign_len, g.agent_id), QL_EPARSE);
        assert_int_equal(judge(&g, g.attest_len, g.sign_len + 1, g.agent_id), QL_EPARSE);
    }
}

static void certification_is_for_one_agent_and_one_key(void **state)
{
    struct ql_tpm_public other;
    struct genuine g;

    (void)state;
    load("H-2_raw_uuid", &g);
    assert_int_equal(judge(&g, g.attest_len, g.sign_len, g.agent_id), QL_OK);
    assert_int_equal(judge(&g, g.attest_len, g.sign_len, "5c3a1f0e-7d24-4b8e-9a61-2f0c4d7e8b92"), QL_ECRYPTO);
    assert_int_equal(judge(&g, g.attest_len, g.sign_len, "5c3a1f0e-7d24-4b8e-9a61-2f0c4d7e8b9"), QL_ECRYPTO);
    assert_int_equal(judge(&g, g.attest_len, g.sign_len, ""), QL_ECRYPTO);
    other = g.ak;
    g.ak = g.iak;
    assert_int_equal(judge(&g, g.attest_len, g.sign_len, g.agent_id), QL_ECRYPTO);
    g.ak = g.iak = other; /* signed by the key that is certified */
    assert_int_equal(judge(&g, g.attest_len, g.sign_len, g.agent_id), QL_ECRYPTO);
}

/* Verdict on what a software key signs. */
static int judge_said(const struct soft_ak *iak, const struct soft_said *said, const struct ql_tpm_public *ak,
                      const char *agent_id, struct ql_err *err)
{
    size_t attest_len, sign_len;
    uint8_t *attest = soft_certified(said, ak, &attest_len),
            *sign = soft_sign(iak, attest, attest_len, &sign_len);
    int r = ql_certify_check(&iak->area, ak, attest, attest_len, sign, sign_len, agent_id, err);

    free(attest);
    free(sign);
    return r;
}

static void certification_is_of_a_tpm_and_of_its_type_and_for_somebody(void **state)
{
    static const unsigned curves[] = {0, QL_P256};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct soft_said said = soft_said("agent-1", 0), bad;
        struct ql_err err = QL_ERR_INIT;
        struct soft_ak iak, ak;

        soft_ak_make(&iak, curves[i]);
        soft_ak_make(&ak, QL_P256);
        said.type = QL_TPM_ATTEST_CERTIFY;
        assert_int_equal(judge_said(&iak, &said, &ak.area, "agent-1", NULL), QL_OK);
        bad = said;
        bad.magic ^= 1;
        assert_int_equal(judge_said(&iak, &bad, &ak.area, "agent-1", NULL), QL_ECRYPTO);
        bad = said;
        bad.type = QL_TPM_ATTEST_QUOTE;
        assert_int_equal(judge_said(&iak, &bad, &ak.area, "agent-1", &err), QL_ECRYPTO);
        assert_string_equal(err.text, "certification has magic 0xff544347 and type 0x8018");
        bad = said;
        bad.nonce = "";
        assert_int_equal(judge_said(&iak, &bad, &ak.area, "", &err), QL_ECRYPTO);
        assert_string_equal(err.text, "certification is for another agent");
        soft_ak_done(&iak);
        soft_ak_done(&ak);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certification_is_judged_as_required),
        cmocka_unit_test(certification_refuses_every_truncation_and_one_byte_more),
        cmocka_unit_test(certification_is_for_one_agent_and_one_key),
        cmocka_unit_test(certification_is_of_a_tpm_and_of_its_type_and_for_somebody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
