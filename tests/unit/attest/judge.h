/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file judge.h What tests of verdicts share: recorded cases, the plugins of this build, one call of the
 * verdict function.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cert.h"
#include "clockinfo.h"
#include "error.h"
#include "file.h"
#include "json.h"
#include "parse.h"
#include "verdict.h"

#define VECTORS QL_SHARED_DIR "/vectors/"

/** A vector file; skips the test where the folder is not there. */
static inline json_t *vectors(const char *name)
{
    char path[512];
    json_error_t why;
    json_t *j;

    snprintf(path, sizeof path, VECTORS "%s", name);
    if (access(path, R_OK) != 0) {
        print_message("%s is not there\n", path);
        skip();
    }
    j = json_load_file(path, 0, &why);
    if (!j)
        fail_msg("%s: %s", path, why.text);
    return j;
}

static inline const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/** Plugins out of a folder of this build. */
static inline struct ql_registry *load_plugins(const char *dir, const char *const *names, size_t count)
{
    const struct ql_registry_config config = {.sites = UINT32_C(1) << QL_KIND_VALIDATOR};
    struct ql_registry *r = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (ql_registry_new(&config, &r, &err) < 0 || ql_registry_load_all(r, dir, names, count, NULL, &err) < 0)
        fail_msg("%s", err.text);
    return r;
}

static inline struct ql_registry *load_tpm_policy(void)
{
    static const char *const names[] = {"tpm-policy"};

    return load_plugins(QL_BINARY_DIR "/plugins", names, 1);
}

/** One case of vectors/agent/quotes_*.json, ready to be judged. */
struct judged {
    struct ql_registry *registry;
    struct ql_verdict_in in;
    struct ql_tpm_public ak;
    struct ql_key *key;
    struct ql_digester *digester;
    struct ql_accept accept;
    struct ql_clock previous;
    struct ql_policy *policies[4];
    char *answer, *policy_text;
    struct ql_outcome out;
};

/** Results object with what the case's agent sent; caller frees. */
static inline char *case_answer(const json_t *c)
{
    json_t *j =
        json_pack("{s:O, s:O, s:O, s:O, s:O}", "quote", json_object_get(c, "quote"), "hash_alg",
                  json_object_get(c, "hash_alg"), "enc_alg", json_object_get(c, "enc_alg"), "sign_alg",
                  json_object_get(c, "sign_alg"), "pubkey", json_object_get(c, "nk_pub_pem"));
    char *text = json_dumps(j, JSON_COMPACT);

    json_decref(j);
    return text;
}

static inline void judged_policy(struct judged *j, const char *validator, const char *text)
{
    struct ql_err err = QL_ERR_INIT;

    if (ql_policy_compile(j->registry, validator, (const uint8_t *)text, strlen(text), QL_ORIGIN_UPLOAD,
                          &j->policies[j->in.policy_count], &err) < 0)
        fail_msg("%s", err.text);
    j->in.policy_count++;
    j->in.policies = j->policies;
}

static inline void judged_of_case(struct judged *j, struct ql_registry *registry, const json_t *c)
{
    const json_t *previous = json_object_get(c, "previous_clock"), *policy = json_object_get(c, "tpm_policy");
    const char *ak = text_of(c, "ak_tpm"), *mask = text_of(c, "mask");
    json_t *hashes = json_pack("[ssss]", "sha1", "sha256", "sha384", "sha512");
    json_t *keys = json_pack("[sssss]", "rsa", "rsa3072", "ecc", "ecc384", "ecc521");
    struct ql_err err = QL_ERR_INIT;

    *j = (struct judged){.registry = registry};
    if (ql_tpm_public_from_text(ak, strlen(ak), &j->ak, NULL, NULL, &err) < 0 ||
        ql_tpm_public_key(&j->ak, &j->key, &err) < 0 || ql_digester_new(&j->digester, &err) < 0 ||
        ql_accept_from_json(hashes, keys, NULL, &j->accept, &err) < 0)
        fail_msg("%s: %s", text_of(c, "name"), err.text);
    json_decref(hashes);
    json_decref(keys);
    j->answer = case_answer(c);
    j->in = (struct ql_verdict_in){.registry = registry,
                                   .agent_id = "agent",
                                   .ak = &j->ak,
                                   .ak_key = j->key,
                                   .digester = j->digester,
                                   .accept = &j->accept,
                                   .nonce = text_of(c, "nonce"),
                                   .nonce_len = strlen(text_of(c, "nonce")),
                                   .exact_mask = true,
                                   .answer = j->answer,
                                   .answer_len = strlen(j->answer),
                                   .pubkey_expected = true};
    assert_int_equal(ql_parse_hex_u32(mask, strlen(mask), &j->in.mask, NULL), QL_OK);
    if (json_is_object(previous)) {
        assert_int_equal(ql_clock_read(previous, &j->previous, NULL), QL_OK);
        j->in.previous = &j->previous;
    }
    if (json_is_object(policy)) {
        j->policy_text = json_dumps(policy, 0);
        judged_policy(j, "tpm-policy", j->policy_text);
    }
}

static inline void judge(struct judged *j)
{
    struct ql_err err = QL_ERR_INIT;

    ql_outcome_done(&j->out);
    if (ql_verdict(&j->in, &j->out, &err) < 0)
        fail_msg("internal: %s", err.text);
}

static inline void judged_done(struct judged *j)
{
    ql_outcome_done(&j->out);
    for (size_t i = 0; i < j->in.policy_count; i++)
        ql_policy_free(j->policies[i]);
    ql_key_free(j->key);
    ql_digester_free(j->digester);
    free(j->answer);
    free(j->policy_text);
}

/** The failure of an event id; NULL: not reported. */
static inline const struct ql_failure *failure_of(const struct ql_outcome *o, const char *event_id)
{
    for (size_t i = 0; i < o->failure_count; i++)
        if (strcmp(o->failures[i].event_id, event_id) == 0)
            return &o->failures[i];
    return NULL;
}

/** A case by name. */
static inline const json_t *case_named(const json_t *file, const char *name)
{
    const json_t *c;
    size_t i;

    json_array_foreach(json_object_get(file, "cases"), i, c) {
        if (strcmp(text_of(c, "name"), name) == 0)
            return c;
    }
    fail_msg("no case %s", name);
    return NULL;
}
