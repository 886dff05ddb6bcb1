/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs from the daemon's encoder through the worker's side and back, in one process. */
#include "vectors.h"

#include <sys/socket.h>
#include <unistd.h>

#include "digest.h"
#include "encode.h"
#include "jobs.h"
#include "softquote.h"
#include "work.h"

static struct ql_worker worker = {.sock = -1};

static int open_worker(void **state)
{
    (void)state;
    worker.registry = load_tpm_policy();
    assert_int_equal(ql_digester_new(&worker.digester, NULL), QL_OK);
    assert_int_equal(ql_vault_new(ql_verdict_vault_len(), &worker.vault, NULL), QL_OK);
    assert_int_equal(ql_policy_cache_new(1u << 20, &worker.policies, NULL), QL_OK);
    assert_int_equal(ql_key_cache_new(16, &worker.keys, NULL), QL_OK);
    return 0;
}

static int close_worker(void **state)
{
    (void)state;
    free(worker.accept_text);
    ql_policy_cache_free(worker.policies);
    ql_key_cache_free(worker.keys);
    ql_registry_free(worker.registry);
    ql_digester_free(worker.digester);
    ql_vault_free(worker.vault);
    return 0;
}

/* Takes the job. */
static struct ql_frame *work(struct ql_frame *job)
{
    struct ql_frame *result = NULL;
    struct ql_err err = QL_ERR_INIT;

    assert_non_null(job);
    if (ql_work(&worker, job, &result, &err) < 0)
        fail_msg("%s", err.text);
    ql_frame_free(job);
    return result;
}

/* ---- additions and uploads ---- */

static struct ql_check_result check(const struct ql_check_job *job)
{
    struct ql_check_result r = {0};
    struct ql_err err = QL_ERR_INIT;
    struct ql_frame *result = work(ql_check_job_frame(job, NULL));

    if (ql_check_result_read(result, &r, &err) < 0)
        fail_msg("%s", err.text);
    ql_frame_free(result);
    return r;
}

static void good_addition_comes_back_as_bytes_and_needs(void **state)
{
    json_t *file = vectors("agent/registration.json");
    const json_t *request =
        json_object_get(json_array_get(json_object_get(file, "cases"), 0), "register_request");
    const char *policy =
        "{\"22\": \"0000000000000000000000000000000000000000000000000000000000000000\", \"mask\": \"0x408\"}";
    struct ql_check_job job = {.ak_tpm = text_of(request, "aik_tpm"),
                               .mtls_cert = text_of(request, "mtls_cert")};
    struct ql_check_result r;
    struct ql_tpm_public ak;

    (void)state;
    strcpy(job.policies[0].validator, "tpm-policy");
    job.policies[0].bytes = (const uint8_t *)policy;
    job.policies[0].len = strlen(policy);
    job.policy_count = 1;
    r = check(&job);
    assert_true(r.ok);
    assert_int_equal(r.mask, 0x400408);
    assert_string_equal(r.needs, "[]");
    assert_int_equal(ql_tpm_public_parse(r.ak, r.ak_len, &ak, NULL), QL_OK);
    assert_true(r.cert_der_len > 100);
    ql_check_result_done(&r);
    job.mtls_cert = "disabled";
    r = check(&job);
    assert_true(r.ok);
    assert_null(r.cert_der);
    ql_check_result_done(&r);
    json_decref(file);
}

static void bad_additions_name_the_field(void **state)
{
    json_t *file = vectors("agent/registration.json");
    const json_t *request =
        json_object_get(json_array_get(json_object_get(file, "cases"), 0), "register_request");
    struct ql_check_job good = {.ak_tpm = text_of(request, "aik_tpm")}, job = good;
    struct ql_check_result r;

    (void)state;
    job.ak_tpm = text_of(request, "ek_tpm");
    r = check(&job);
    assert_false(r.ok);
    assert_string_equal(r.field, "ak_tpm");
    assert_null(r.ak);
    ql_check_result_done(&r);
    job = good;
    job.mtls_cert = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    r = check(&job);
    assert_false(r.ok);
    assert_string_equal(r.field, "mtls_cert");
    ql_check_result_done(&r);
    job = good;
    job.policy_count = 1;
    job.policies[0].bytes = (const uint8_t *)"{}";
    job.policies[0].len = 2;
    strcpy(job.policies[0].validator, "ima");
    r = check(&job);
    assert_false(r.ok);
    assert_string_equal(r.field, "ima");
    assert_string_equal(r.reason, "no validator ima is loaded");
    ql_check_result_done(&r);
    strcpy(job.policies[0].validator, "tpm-policy");
    job.policies[0].len = 1;
    r = check(&job);
    assert_false(r.ok);
    assert_string_equal(r.field, "tpm-policy");
    assert_non_null(strstr(r.reason, "tpm_policy: line 1"));
    ql_check_result_done(&r);
    json_decref(file);
}

static void upload_is_checked_without_an_agent(void **state)
{
    struct ql_check_job job = {.policy_count = 1};
    struct ql_check_result r;

    (void)state;
    strcpy(job.policies[0].validator, "tpm-policy");
    job.policies[0].bytes = (const uint8_t *)"{\"mask\": \"0x2\"}";
    job.policies[0].len = 15;
    r = check(&job);
    assert_true(r.ok);
    assert_int_equal(r.mask, 2);
    ql_check_result_done(&r);
}

/* The daemon's end of the worker's socket, with an answer to one question for a policy; NULL: there is none. */
static int daemon_with(const char *policy)
{
    struct ql_frame *f = ql_frame_new(QL_FRAME_POLICY, 0);
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    if (policy)
        assert_int_equal(ql_frame_add(f, QL_TAG_POLICY, policy, strlen(policy), NULL), QL_OK);
    assert_int_equal(ql_frame_send(pair[1], f, NULL), QL_OK);
    ql_frame_free(f);
    worker.sock = pair[0];
    return pair[1];
}

static void daemon_gone(int other)
{
    close(worker.sock);
    close(other);
    worker.sock = -1;
}

static const char stored_text[] = "{\"mask\": \"0x400\"}";

static struct ql_check_job stored_job(uint8_t digest[32])
{
    struct ql_check_job job = {.policy_count = 1};

    assert_int_equal(ql_digest_once(QL_SHA256, stored_text, strlen(stored_text), digest), QL_OK);
    strcpy(job.policies[0].validator, "tpm-policy");
    job.policies[0].digest = digest;
    return job;
}

static void stored_policy_is_asked_for_once(void **state)
{
    uint8_t digest[32];
    struct ql_check_job job = stored_job(digest);
    int other = daemon_with(stored_text);
    struct ql_frame *asked = NULL;
    struct ql_check_result r = check(&job);

    (void)state;
    assert_true(r.ok);
    assert_int_equal(r.mask, 0x400);
    ql_check_result_done(&r);
    assert_int_equal(ql_frame_recv(other, &asked, NULL), QL_OK);
    assert_int_equal(asked->kind, QL_FRAME_NEED_POLICY);
    assert_memory_equal(ql_frame_get(asked, QL_TAG_DIGEST, 0)->data, digest, 32);
    ql_frame_free(asked);
    daemon_gone(other); /* from here on nobody can be asked */
    r = check(&job);
    assert_true(r.ok);
    assert_int_equal(r.mask, 0x400);
    ql_check_result_done(&r);
}

static void stored_policy_that_is_not_there_or_another_is_refused(void **state)
{
    static const struct {
        const char *sent, *reason;
    } cases[] = {
        {NULL, "not there any more"}, {"{\"mask\": \"0x800\"}", "another digest"}, {"{\"mask\": 1}", "mask"}};
    struct ql_policy_cache *kept = worker.policies;
    uint8_t digest[32];
    struct ql_check_job job = stored_job(digest);

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(cases); i++) {
        struct ql_check_result r;
        int other;

        assert_int_equal(ql_policy_cache_new(1u << 20, &worker.policies, NULL), QL_OK);
        other = daemon_with(cases[i].sent);
        r = check(&job);
        assert_false(r.ok);
        assert_string_equal(r.field, "tpm-policy");
        if (!strstr(r.reason, cases[i].reason))
            fail_msg("%s", r.reason);
        assert_int_equal(ql_policy_cache_count(worker.policies), 0);
        ql_check_result_done(&r);
        daemon_gone(other);
        ql_policy_cache_free(worker.policies);
    }
    worker.policies = kept;
}

static void stored_policy_is_no_way_around_a_signature(void **state)
{
    uint8_t digest[32];
    struct ql_check_job job = stored_job(digest);
    int other = daemon_with(stored_text);
    struct ql_check_result r;

    (void)state;
    job.policies[0].must_be_signed = true;
    r = check(&job);
    assert_false(r.ok);
    assert_non_null(strstr(r.reason, "signature"));
    ql_check_result_done(&r);
    daemon_gone(other);
}

static void without_a_daemon_to_ask_there_is_no_result(void **state)
{
    struct ql_policy_cache *kept = worker.policies;
    uint8_t digest[32];
    struct ql_check_job job = stored_job(digest);
    struct ql_frame *frame = ql_check_job_frame(&job, NULL), *result = NULL, *taken = NULL;
    int other = daemon_with(NULL);

    (void)state;
    assert_int_equal(ql_frame_recv(worker.sock, &taken, NULL), QL_OK);
    ql_frame_free(taken);
    assert_int_equal(shutdown(other, SHUT_WR), 0);
    assert_int_equal(ql_policy_cache_new(1u << 20, &worker.policies, NULL), QL_OK);
    assert_int_equal(ql_work(&worker, frame, &result, NULL), QL_ECLOSED);
    assert_null(result);
    ql_frame_free(frame);
    ql_policy_cache_free(worker.policies);
    worker.policies = kept;
    daemon_gone(other);
}

/* ---- identity ---- */

static void identity_file(const char *name)
{
    json_t *file = vectors(name);
    const json_t *c;
    size_t i;

    json_array_foreach(json_object_get(file, "cases"), i, c) {
        bool pass = json_is_true(json_object_get(json_object_get(c, "required_identity"), "pass"));
        uint8_t *ak = NULL;
        size_t ak_len;
        struct ql_tpm_public p;
        struct ql_judge_result r = {0};
        struct ql_frame *result;

        assert_int_equal(ql_tpm_public_from_text(text_of(c, "ak_tpm"), strlen(text_of(c, "ak_tpm")), &p, &ak,
                                                 &ak_len, NULL),
                         QL_OK);
        result = work(ql_identity_job_frame(
            ak, ak_len, text_of(c, "quote"), text_of(c, "nonce"), text_of(c, "hash_alg"),
            "{\"hash\": [\"sha1\", \"sha256\", \"sha384\", \"sha512\"]}", NULL));
        assert_int_equal(ql_judge_result_read(result, &r, NULL), QL_OK);
        assert_int_equal(r.http, 200);
        if (json_integer_value(json_object_get(r.result, "valid")) != pass)
            fail_msg("%s: %s", text_of(c, "name"), json_dumps(r.result, 0));
        assert_int_equal(json_object_get(r.result, "reason") != NULL, !pass);
        ql_judge_result_done(&r);
        ql_frame_free(result);
        free(ak);
    }
    json_decref(file);
}

static void identity_needs_signature_nonce_and_selection_alone(void **state)
{
    (void)state;
    identity_file("agent/quotes_valid.json");
    identity_file("agent/quotes_invalid.json");
}

/* ---- one-shot ---- */

static void oneshot_comes_with_its_http_code(void **state)
{
    static const struct {
        const char *body, *reason;
        int http;
    } calls[] = {{"{\"type\": \"tpm\", \"data\": {}}", NULL, 400},
                 {"{\"type\": \"tee\", \"data\": {\"tee-evidence\": {\"tee\": \"x\"}, \"nonce\": \"\", "
                  "\"tee-pubkey-x-b64\": "
                  "\"\", \"tee-pubkey-y-b64\": \"\"}}",
                  NULL, 200},
                 {"{\"type\": \"xyz\", \"data\": {}}", "invalid evidence type", 400},
                 {"{\"data\": {}}", "missing parameter 'type'", 400},
                 {"{\"type\": \"tpm\", \"data\": {\"mask\": \"0x1\"}}",
                  "parameter 'mask' is for administrators", 400}};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(calls); i++) {
        struct ql_judge_result r = {0};
        struct ql_frame *result =
            work(ql_oneshot_job_frame((const uint8_t *)calls[i].body, strlen(calls[i].body), false, NULL));

        assert_int_equal(ql_judge_result_read(result, &r, NULL), QL_OK);
        assert_int_equal(r.http, calls[i].http);
        if (calls[i].reason)
            assert_string_equal(r.reason, calls[i].reason);
        else
            assert_true(json_is_false(json_object_get(r.result, "valid")));
        ql_judge_result_done(&r);
        ql_frame_free(result);
    }
}

/* ---- bodies ---- */

static void body_comes_back_member_by_member(void **state)
{
    static const char body[] =
        "{\"text\": \"a\\nb\\u20ac\", \"number\": 1.50, \"list\": [1, {\"a\": [2]}], \"no\": null,"
        "\"object\": { \"k\" : \"v\" }, \"yes\": true, \"k\\u0065y\": \"\"}";
    static const struct {
        const char *key, *value;
        bool is_text;
    } wanted[] = {{"text", "a\nb\xe2\x82\xac", true},
                  {"number", "1.50", false},
                  {"list", "[1, {\"a\": [2]}]", false},
                  {"no", "null", false},
                  {"object", "{ \"k\" : \"v\" }", false},
                  {"yes", "true", false},
                  {"key", "", true}};
    struct ql_parse_result r;
    struct ql_frame *result = work(ql_parse_job_frame((const uint8_t *)body, strlen(body), NULL));

    (void)state;
    assert_int_equal(ql_parse_result_read(result, &r, NULL), QL_OK);
    assert_true(r.ok);
    assert_int_equal(r.member_count, QL_ARRAY_LEN(wanted));
    for (size_t i = 0; i < QL_ARRAY_LEN(wanted); i++) {
        assert_string_equal(r.members[i].key, wanted[i].key);
        assert_string_equal((char *)r.members[i].bytes, wanted[i].value);
        assert_int_equal(r.members[i].is_text, wanted[i].is_text);
    }
    ql_parse_result_done(&r);
    ql_frame_free(result);
}

static void body_out_of_form_is_refused_with_the_reason(void **state)
{
    static const char *const bad[] = {"", "[]", "{\"a\": 1, \"a\": 2}", "{\"a\": }", "{} x"};

    (void)state;
    for (size_t i = 0; i < QL_ARRAY_LEN(bad); i++) {
        struct ql_parse_result r;
        struct ql_frame *result = work(ql_parse_job_frame((const uint8_t *)bad[i], strlen(bad[i]), NULL));

        assert_int_equal(ql_parse_result_read(result, &r, NULL), QL_OK);
        assert_false(r.ok);
        assert_non_null(r.reason);
        assert_int_equal(r.member_count, 0);
        ql_parse_result_done(&r);
        ql_frame_free(result);
    }
}

static void body_has_at_most_40_members(void **state)
{
    char body[2048] = "{";
    struct ql_parse_result r;
    struct ql_frame *result;

    (void)state;
    for (int i = 0; i <= QL_PARSE_MEMBERS_MAX; i++)
        snprintf(body + strlen(body), sizeof body - strlen(body), "%s\"m%d\": %d", i ? "," : "", i, i);
    strcat(body, "}");
    result = work(ql_parse_job_frame((const uint8_t *)body, strlen(body), NULL));
    assert_int_equal(ql_parse_result_read(result, &r, NULL), QL_OK);
    assert_false(r.ok);
    assert_string_equal(r.reason, "more than 40 members");
    ql_parse_result_done(&r);
    ql_frame_free(result);
}

/* ---- registration ---- */

static struct ql_register_result enroll(const struct ql_register_job *job)
{
    struct ql_register_result r = {0};
    struct ql_err err = QL_ERR_INIT;
    struct ql_frame *result = work(ql_register_job_frame(job, NULL));

    if (ql_register_result_read(result, &r, &err) < 0)
        fail_msg("%s", err.text);
    ql_frame_free(result);
    return r;
}

static struct ql_register_job job_of(const json_t *c)
{
    const json_t *q = json_object_get(c, "register_request");

    return (struct ql_register_job){.agent_id = "5c3a1f0e-7d24-4b8e-9a61-2f0c4d7e8b91",
                                    .ek_tpm = text_of(q, "ek_tpm"),
                                    .aik_tpm = text_of(q, "aik_tpm"),
                                    .ekcert = text_of(q, "ekcert"),
                                    .mtls_cert = text_of(q, "mtls_cert"),
                                    .malformed_cert_action = "warn",
                                    .ek_needed = true};
}

static void recorded_registrations_come_back_as_bytes(void **state)
{
    json_t *file = vectors("agent/registration.json");
    const json_t *c;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(file, "cases"), i, c) {
        struct ql_register_job job = job_of(c);
        struct ql_register_result r = enroll(&job);
        struct ql_tpm_public ek;
        char hex[2 * 66 + 1];

        if (!r.ok)
            fail_msg("%s: %s", text_of(c, "name"), r.reasons);
        for (size_t k = 0; k < r.name_len; k++)
            sprintf(hex + 2 * k, "%02x", r.name[k]);
        assert_string_equal(hex, text_of(c, "aik_name_hex"));
        assert_int_equal(ql_tpm_public_parse(r.ek, r.ek_len, &ek, NULL), QL_OK);
        assert_memory_equal(&ek, &r.ek_public, sizeof ek);
        assert_int_equal(r.ekcert != NULL, job.ekcert != NULL);
        assert_false(r.aik_by_iak);
        ql_register_result_done(&r);
    }
    json_decref(file);
}

static void certificate_alone_makes_the_ek_of_its_template(void **state)
{
    json_t *file = vectors("agent/registration.json");
    const json_t *c = json_array_get(json_object_get(file, "cases"), 0);
    struct ql_register_job job = job_of(c);
    struct ql_register_result with, without;

    (void)state;
    with = enroll(&job);
    job.ek_tpm = NULL;
    without = enroll(&job);
    assert_true(without.ok);
    assert_int_equal(with.ek_len, without.ek_len);
    assert_memory_equal(with.ek, without.ek, with.ek_len);
    ql_register_result_done(&with);
    ql_register_result_done(&without);
    json_decref(file);
}

static void refused(struct ql_register_job *job, const char *reason)
{
    struct ql_register_result r = enroll(job);

    assert_false(r.ok);
    if (!strstr(r.reasons, reason))
        fail_msg("%s instead of %s", r.reasons, reason);
    assert_null(r.aik);
    ql_register_result_done(&r);
}

static void bad_registrations_are_refused_with_every_reason(void **state)
{
    json_t *file = vectors("agent/registration.json");
    const json_t *c = json_array_get(json_object_get(file, "cases"), 0),
                 *other = json_array_get(json_object_get(file, "cases"), 2);
    struct ql_register_job good = job_of(c), job = good;
    static char long_text[70000];

    (void)state;
    job.aik_tpm = NULL;
    refused(&job, "aik_tpm is needed");
    job.ek_tpm = job.ekcert = NULL;
    refused(&job, "\nek_tpm is needed");
    job = good;
    job.aik_tpm = "AAAA";
    refused(&job, "aik_tpm ");
    job.aik_tpm = good.ek_tpm;
    refused(&job, "aik_tpm ");
    job = good;
    job.ek_tpm = good.aik_tpm;
    refused(&job, "ek_tpm ");
    job.ek_tpm = job_of(other).ek_tpm;
    refused(&job, "ek_tpm is not the key in its certificate");
    job = good;
    job.ekcert = "AAAA";
    refused(&job, "ekcert ");
    job = good;
    job.mtls_cert = "no certificate";
    refused(&job, "mtls_cert ");
    job = good;
    job.iak_needed = true;
    refused(&job, "iak_tpm is needed");
    job = good;
    memset(long_text, 'A', sizeof long_text - 1);
    job.ek_tpm = long_text;
    refused(&job, "is longer than 65536 characters");
    json_decref(file);
}

static void padded_certificate_is_kept_as_it_came(void **state)
{
    json_t *file = vectors("agent/registration.json");
    const json_t *c = json_array_get(json_object_get(file, "cases"), 0);
    struct ql_register_job job = job_of(c);
    struct ql_cert *cert = NULL;
    struct ql_register_result r;
    const uint8_t *der;
    uint8_t padded[8192] = {0};
    char *text;
    size_t len;

    (void)state;
    assert_int_equal(ql_cert_from_pem(job.ekcert, strlen(job.ekcert), &cert, NULL), QL_OK);
    der = ql_cert_der(cert, &len);
    memcpy(padded, der, len);
    text = ql_base64_dup(padded, len + 100);
    job.ekcert = text;
    r = enroll(&job);
    assert_true(r.ok);
    assert_int_equal(r.ekcert_len, len + 100);
    assert_string_equal(r.warnings, "ekcert is not properly encoded; its bytes are kept as they came");
    ql_register_result_done(&r);
    job.malformed_cert_action = "ignore";
    r = enroll(&job);
    assert_true(r.ok);
    assert_null(r.warnings);
    ql_register_result_done(&r);
    job.malformed_cert_action = "reject";
    refused(&job, "ekcert is not properly encoded");
    free(text);
    ql_cert_free(cert);
    json_decref(file);
}

struct issuer {
    struct ql_key *key;
    struct ql_cert *cert;
    char *pem;
};

static struct issuer make_issuer(const char *name, bool is_ca)
{
    struct issuer i = {NULL, NULL, NULL};
    struct ql_cert_profile profile = {.subject = {.common_name = name}, .days = 10, .is_ca = is_ca};

    assert_int_equal(ql_key_generate_ec(QL_P256, &i.key, NULL), QL_OK);
    assert_int_equal(ql_cert_make(&profile, i.key, NULL, i.key, &i.cert, NULL), QL_OK);
    i.pem = ql_cert_pem(i.cert);
    return i;
}

static void issuer_done(struct issuer *i)
{
    ql_key_free(i->key);
    ql_cert_free(i->cert);
    free(i->pem);
}

static char *certify(const struct issuer *i, const char *tpm_text)
{
    struct ql_cert_profile profile = {.subject = {.common_name = "device"}, .days = 10};
    struct ql_tpm_public p;
    struct ql_key *key = NULL;
    struct ql_cert *cert = NULL;
    const uint8_t *der;
    size_t len;
    char *text;

    assert_int_equal(ql_tpm_public_from_text(tpm_text, strlen(tpm_text), &p, NULL, NULL, NULL), QL_OK);
    assert_int_equal(ql_tpm_public_key(&p, &key, NULL), QL_OK);
    assert_int_equal(ql_cert_make(&profile, key, i->cert, i->key, &cert, NULL), QL_OK);
    der = ql_cert_der(cert, &len);
    text = ql_base64_dup(der, len);
    ql_cert_free(cert);
    ql_key_free(key);
    return text;
}

static void iak_vouches_for_the_ak(void **state)
{
    json_t *file = vectors("agent/iak_idevid.json"), *registrations = vectors("agent/registration.json");
    const json_t *ek = json_object_get(json_array_get(json_object_get(registrations, "cases"), 2),
                                       "register_request"),
                 *c;
    struct issuer ca = make_issuer("CA", true), stranger = make_issuer("stranger", true),
                  no_ca = make_issuer("CA", false);
    const char *store[] = {"not a certificate", stranger.pem, ca.pem, NULL},
               *strangers[] = {stranger.pem, NULL}, *leaf[] = {no_ca.pem, NULL};
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(file, "cases"), i, c) {
        char *iak_cert = certify(&ca, text_of(c, "iak_tpm")),
             *idevid_cert = certify(&ca, text_of(c, "idevid_tpm"));
        struct ql_register_job job = {.agent_id = text_of(c, "agent_id"),
                                      .ek_tpm = text_of(ek, "ek_tpm"),
                                      .aik_tpm = text_of(c, "aik_tpm"),
                                      .iak_tpm = text_of(c, "iak_tpm"),
                                      .idevid_tpm = text_of(c, "idevid_tpm"),
                                      .iak_cert = iak_cert,
                                      .idevid_cert = idevid_cert,
                                      .iak_attest = text_of(c, "iak_attest"),
                                      .iak_sign = text_of(c, "iak_sign"),
                                      .malformed_cert_action = "warn",
                                      .iak_needed = true,
                                      .iak_ca = store};
        bool pass = json_is_true(json_object_get(json_object_get(c, "required"), "pass"));
        struct ql_register_result r = enroll(&job);

        if (r.ok != pass)
            fail_msg("%s: %s", text_of(c, "name"), r.reasons ? r.reasons : "accepted");
        assert_int_equal(r.aik_by_iak, pass);
        ql_register_result_done(&r);
        if (pass) {
            char *swapped = idevid_cert;

            job.iak_ca = strangers;
            refused(&job, "iak_cert was not issued by a CA of tpm_cert_store");
            job.iak_ca = leaf; /* the name of the CA, but no CA */
            refused(&job, "iak_cert was not issued by a CA of tpm_cert_store");
            job.iak_ca = NULL;
            refused(&job, "idevid_cert was not issued by a CA of tpm_cert_store");
            job.iak_ca = store;
            job.iak_cert = swapped;
            refused(&job, "iak_tpm is not the key in its certificate");
            job.iak_cert = NULL;
            refused(&job, "iak_cert is needed");
            job.iak_cert = iak_cert;
            job.iak_sign = NULL;
            refused(&job, "iak_sign is needed");
        }
        free(iak_cert);
        free(idevid_cert);
    }
    issuer_done(&ca);
    issuer_done(&stranger);
    issuer_done(&no_ca);
    json_decref(registrations);
    json_decref(file);
}

/* ---- what the daemon takes from a worker ---- */

static struct ql_attest_job attest_job(struct soft *s, char **body)
{
    json_t *answer = soft_answer(s, "0123456789abcdefghij", 20, 1u << 16);
    json_t *whole = json_pack("{s:o}", "results", answer);

    *body = json_dumps(whole, 0);
    json_decref(whole);
    return (struct ql_attest_job){.agent_id = "agent",
                                  .generation = 5,
                                  .ak = s->ak,
                                  .ak_len = s->ak_len,
                                  .nonce = "0123456789abcdefghij",
                                  .answer = (const uint8_t *)*body,
                                  .answer_len = strlen(*body),
                                  .answer_fd = -1};
}

static void result_of_another_job_is_refused(void **state)
{
    struct soft s;
    char *body;
    struct ql_attest_job job, other;
    struct ql_attest_result r = {0};
    struct ql_frame *result;

    (void)state;
    soft_new(&s, false);
    job = attest_job(&s, &body);
    result = work(ql_attest_job_frame(&job, NULL));
    assert_int_equal(ql_attest_result_read(result, &job, &r, NULL), QL_OK);
    assert_int_equal(r.kind, QL_VERDICT_PASS);
    assert_string_equal(r.clock, "{\"clock\": 1000, \"resetCount\": 1, \"restartCount\": 0, \"safe\": 1}");
    ql_attest_result_done(&r);
    other = job;
    other.generation = 6;
    assert_int_equal(ql_attest_result_read(result, &other, &r, NULL), QL_EPARSE);
    other = job;
    other.policy_count = 1;
    assert_int_equal(ql_attest_result_read(result, &other, &r, NULL), QL_EPARSE);
    ql_frame_free(result);
    free(body);
    soft_done(&s);
}

/* A pass is a pass only with nothing beside it that speaks against it. */
static void incoherent_results_are_refused(void **state)
{
    static const uint8_t clock[17] = {0};
    struct soft s;
    char *body;
    struct ql_attest_job job;

    (void)state;
    soft_new(&s, false);
    job = attest_job(&s, &body);
    for (int i = 0; i < 12; i++) {
        struct ql_frame *f = ql_frame_new(i == 0 ? QL_FRAME_JOB : QL_FRAME_RESULT, 1);
        struct ql_attest_result r = {0};

        ql_frame_add_u64(f, QL_TAG_GENERATION, 5, NULL);
        ql_frame_add_u64(f, QL_TAG_VERDICT,
                         i == 1             ? 3
                         : i == 2 || i == 8 ? QL_VERDICT_FAIL
                         : i == 3           ? QL_VERDICT_RETRY
                                            : QL_VERDICT_PASS,
                         NULL);
        if (i != 4)
            ql_frame_add(f, QL_TAG_CLOCK, clock, i == 5 ? 16 : 17, NULL);
        if (i == 6 || i == 8)
            ql_frame_add_text(f, QL_TAG_FAILURES,
                              "[{\"event_id\": \"a.b\", \"recoverable\": true, \"context\": {}}]", NULL);
        if (i == 7)
            ql_frame_add_text(f, QL_TAG_FAILURES,
                              "[{\"event_id\": \"a b\", \"recoverable\": true, \"context\": {}}]", NULL);
        if (i == 9)
            ql_frame_add_text(f, QL_TAG_ALGS, "sha256\nrsa\n", NULL);
        if (i == 10)
            ql_frame_add_text(f, QL_TAG_NEW_STATE, "junk", NULL);
        if (i == 11)
            ql_frame_add_text(f, QL_TAG_CURSORS, "{\"a\": -1}", NULL);
        assert_int_equal(ql_attest_result_read(f, &job, &r, NULL), QL_EPARSE);
        assert_int_equal(r.kind, QL_VERDICT_FAIL);
        ql_frame_free(f);
    }
    free(body);
    soft_done(&s);
}

/*
 * Each byte of a worker's result changed: the daemon reads it or refuses it, and a failure never turns into a
 * pass.
 */
static void changed_results_never_turn_into_a_pass(void **state)
{
    struct soft s;
    char *body;
    struct ql_attest_job job;
    struct ql_frame *result;
    size_t refused_count = 0;

    (void)state;
    soft_new(&s, false);
    job = attest_job(&s, &body);
    job.nonce = "another-nonce";
    result = work(ql_attest_job_frame(&job, NULL));
    for (size_t i = 0; i < result->count; i++)
        for (size_t k = 0; k < result->items[i].len; k++)
            for (int bit = 0; bit < 8; bit++) {
                uint8_t *byte = (uint8_t *)(uintptr_t)result->items[i].data + k;
                struct ql_attest_result r = {0};

                *byte ^= (uint8_t)(1 << bit);
                if (ql_attest_result_read(result, &job, &r, NULL) == QL_OK)
                    assert_int_not_equal(r.kind, QL_VERDICT_PASS);
                else
                    refused_count++;
                ql_attest_result_done(&r);
                *byte ^= (uint8_t)(1 << bit);
            }
    assert_true(refused_count > 100);
    ql_frame_free(result);
    free(body);
    soft_done(&s);
}

static void job_of_no_kind_is_the_daemons_fault(void **state)
{
    ql_auto(ql_frame_freep) struct ql_frame *f = ql_frame_new(QL_FRAME_JOB, 1),
                                            *empty = ql_frame_new(QL_FRAME_JOB, 1);
    struct ql_frame *result = NULL;

    (void)state;
    ql_frame_add_u64(f, QL_TAG_JOB_TYPE, 99, NULL);
    assert_int_equal(ql_work(&worker, f, &result, NULL), QL_EPARSE);
    assert_int_equal(ql_work(&worker, empty, &result, NULL), QL_EPARSE);
    assert_null(result);
}

/* ---- what is kept warm ---- */

static void keys_are_imported_once_and_the_longest_unused_goes(void **state)
{
    struct ql_key_cache *c = NULL;
    struct soft s[3];
    const struct ql_ak *first = NULL, *ak = NULL;

    (void)state;
    assert_int_equal(ql_key_cache_new(2, &c, NULL), QL_OK);
    for (int i = 0; i < 3; i++)
        soft_new(&s[i], false);
    assert_int_equal(ql_key_cache_get(c, worker.digester, s[0].ak, s[0].ak_len, &first, NULL), QL_OK);
    assert_int_equal(ql_key_cache_get(c, worker.digester, s[1].ak, s[1].ak_len, &ak, NULL), QL_OK);
    assert_int_equal(ql_key_cache_get(c, worker.digester, s[0].ak, s[0].ak_len, &ak, NULL), QL_OK);
    assert_ptr_equal(ak, first);
    assert_int_equal(ql_key_cache_get(c, worker.digester, s[2].ak, s[2].ak_len, &ak, NULL), QL_OK);
    assert_int_equal(ql_key_cache_get(c, worker.digester, s[0].ak, s[0].ak_len, &ak, NULL), QL_OK);
    assert_ptr_equal(ak, first);
    assert_true(ql_key_equal(ak->key, s[0].key));
    assert_int_equal(ql_key_cache_get(c, worker.digester, s[0].ak, s[0].ak_len - 1, &ak, NULL), QL_EPARSE);
    ql_key_cache_free(c);
    for (int i = 0; i < 3; i++)
        soft_done(&s[i]);
}

static void policies_are_forgotten_beyond_the_limit(void **state)
{
    struct ql_policy_cache *c = NULL;
    uint8_t digests[20][32];

    (void)state;
    assert_int_equal(ql_policy_cache_new(8 * 1024, &c, NULL), QL_OK);
    for (int i = 0; i < 20; i++) {
        struct ql_policy *p = NULL;
        char text[2048];

        snprintf(text, sizeof text, "{\"mask\": \"%x\"%1000s}", i, "");
        assert_int_equal(ql_policy_compile(worker.registry, "tpm-policy", (const uint8_t *)text, strlen(text),
                                           QL_ORIGIN_STORED, &p, NULL),
                         QL_OK);
        memcpy(digests[i], p->digest, 32);
        assert_int_equal(ql_policy_cache_put(c, p, strlen(text), ql_frame_new(QL_FRAME_POLICY, 1), NULL),
                         QL_OK);
        assert_non_null(ql_policy_cache_get(c, "tpm-policy", digests[0])); /* stays warm */
        ql_policy_cache_trim(c);
    }
    assert_in_range(ql_policy_cache_count(c), 2, 8);
    assert_non_null(ql_policy_cache_get(c, "tpm-policy", digests[0]));
    assert_non_null(ql_policy_cache_get(c, "tpm-policy", digests[19]));
    assert_null(ql_policy_cache_get(c, "tpm-policy", digests[1]));
    assert_null(ql_policy_cache_get(c, "other", digests[19]));
    ql_policy_cache_free(c);
}

/* This worker has no validator "ima": a policy whose signature is good goes on to that refusal. */
static void signed_policies_need_a_good_signature_of_a_key_that_counts(void **state)
{
    json_t *v = load_vectors("ima/dsse.json"), *one;
    size_t i, checked = 0;

    (void)state;
    json_array_foreach(json_object_get(v, "envelopes"), i, one) {
        const char *text = vector_text(one, "envelope"), *pem = vector_text_or_null(one, "key_pem"),
                   *verdict = vector_text(one, "verdict_signature_required");
        struct ql_check_job job = {.policies = {{.validator = "ima",
                                                 .bytes = (const uint8_t *)text,
                                                 .len = strlen(text),
                                                 .must_be_signed = true}},
                                   .policy_count = 1};
        char *key = NULL;
        struct ql_check_result r;

        if (pem) {
            assert_true(asprintf(&key, "\n%s", pem) > 0);
            job.signing_keys = &key;
            job.signing_key_count = 1;
        }
        r = check(&job);
        assert_false(r.ok);
        if (strcmp(verdict, "ok") == 0) {
            assert_string_equal(r.field, "ima");
        } else if (strncmp(verdict, "exception", strlen("exception")) == 0) {
            assert_string_equal(r.field, "runtime_policy_key");
        } else {
            assert_string_equal(r.field,
                                strncmp(verdict, "401", 3) == 0 ? "runtime_policy_key" : "runtime_policy");
            assert_string_equal(r.reason, verdict + 4);
        }
        ql_check_result_done(&r);
        free(key);
        checked++;
    }
    assert_true(checked > 20);
    json_decref(v);
}

static void a_key_of_the_folder_counts_where_a_signature_names_it(void **state)
{
    json_t *v = load_vectors("ima/dsse.json"), *good = json_array_get(json_object_get(v, "envelopes"), 0);
    const char *text = vector_text(good, "envelope");
    static const char *const names[] = {
        "7085a75aed76b39681e34b3d662fa8c445e9e97393ddf2dd3be9f9a170edfdd3",
        "0085a75aed76b39681e34b3d662fa8c445e9e97393ddf2dd3be9f9a170edfdd3",
        "../../etc/passwd",
    };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct ql_check_job job = {.policies = {{.validator = "ima",
                                                 .bytes = (const uint8_t *)text,
                                                 .len = strlen(text),
                                                 .must_be_signed = true}},
                                   .policy_count = 1,
                                   .signing_key_count = 1};
        struct ql_check_result r;
        char *key = NULL;

        assert_true(asprintf(&key, "%s\n%s", names[i], vector_text(good, "key_pem")) > 0);
        job.signing_keys = &key;
        r = check(&job);
        assert_string_equal(r.field, i == 0 ? "ima" : "runtime_policy_key");
        ql_check_result_done(&r);
        free(key);
    }
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_policies_need_a_good_signature_of_a_key_that_counts),
        cmocka_unit_test(a_key_of_the_folder_counts_where_a_signature_names_it),
        cmocka_unit_test(good_addition_comes_back_as_bytes_and_needs),
        cmocka_unit_test(bad_additions_name_the_field),
        cmocka_unit_test(upload_is_checked_without_an_agent),
        cmocka_unit_test(stored_policy_is_asked_for_once),
        cmocka_unit_test(stored_policy_that_is_not_there_or_another_is_refused),
        cmocka_unit_test(stored_policy_is_no_way_around_a_signature),
        cmocka_unit_test(without_a_daemon_to_ask_there_is_no_result),
        cmocka_unit_test(identity_needs_signature_nonce_and_selection_alone),
        cmocka_unit_test(oneshot_comes_with_its_http_code),
        cmocka_unit_test(body_comes_back_member_by_member),
        cmocka_unit_test(body_out_of_form_is_refused_with_the_reason),
        cmocka_unit_test(body_has_at_most_40_members),
        cmocka_unit_test(recorded_registrations_come_back_as_bytes),
        cmocka_unit_test(certificate_alone_makes_the_ek_of_its_template),
        cmocka_unit_test(bad_registrations_are_refused_with_every_reason),
        cmocka_unit_test(padded_certificate_is_kept_as_it_came),
        cmocka_unit_test(iak_vouches_for_the_ak),
        cmocka_unit_test(result_of_another_job_is_refused),
        cmocka_unit_test(incoherent_results_are_refused),
        cmocka_unit_test(changed_results_never_turn_into_a_pass),
        cmocka_unit_test(job_of_no_kind_is_the_daemons_fault),
        cmocka_unit_test(keys_are_imported_once_and_the_longest_unused_goes),
        cmocka_unit_test(policies_are_forgotten_beyond_the_limit),
    };

    return cmocka_run_group_tests(tests, open_worker, close_worker);
}
