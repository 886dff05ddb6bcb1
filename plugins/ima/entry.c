/* SPDX-License-Identifier: Apache-2.0 */
#include "entry.h"

#include <stdio.h>
#include <string.h>

#include "dm.h"
#include "evm.h"

enum {
    EXPECTED_MAX = 64, /* digests shown of a file */
    HEX_MAX = 2 * IMA_HASH_MAX
};

#define PCR_EVENT       "ima.validation.ima_pcr"
#define VIOLATION_EVENT "ima.validation.tomtou"
#define HASH_EVENT      "ima.validation.ima_hash"
#define UNKNOWN_EVENT   "ima.validation.ima-ng.not_in_allowlist"
#define DIGEST_EVENT    "ima.validation.ima-ng.runtime_policy_hash"
#define KEY_EVENT       "ima.invalid_key"
#define BUFFER_EVENT    "ima.validation.ima-buf.digest_mismatch"
#define CONFLICT_EVENT  "ima.validation.keyring_conflict"
#define EXCLUDE_EVENT   "ima.validation.exclude_limit"
#define BOOT_AGGREGATE  "boot_aggregate"

bool ima_entry_is_violation(const struct ima_entry *e, enum ima_alg log_alg)
{
    static const uint8_t zeros[IMA_TEMPLATE_HASH_MAX];

    return e->columns.hash_len == ima_alg_len(log_alg) &&
           memcmp(e->columns.hash, zeros, e->columns.hash_len) == 0;
}

uint64_t ima_judge_soon(const struct ima_judge *j, const struct ima_entry *e)
{
    return ima_policy_fetch_index(j->policy, e->name.at, e->name.len);
}

int ima_judge_extend(struct ima_judge *j, struct ima_replay *r, const struct ima_entry *e, uint64_t soon,
                     uint8_t *log_hash, struct ql_err *err)
{
    uint8_t value[IMA_HASH_MAX] = {0};
    const enum ima_alg alg = r->padded ? IMA_SHA1 : r->bank;
    bool ok;

    ima_policy_fetch_record(j->policy, soon);
    ok = ima_hash(j->hasher, j->log_alg, e->data.at, e->data.len, log_hash);
    if (ima_entry_is_violation(e, j->log_alg))
        memset(value, 0xff, r->len);
    else if (alg == j->log_alg)
        memcpy(value, log_hash, ima_alg_len(alg));
    else
        ok = ok && ima_hash(j->hasher, alg, e->data.at, e->data.len, value);
    if (!ok || !ima_replay_extend(r, value))
        return j->host->fail(err, QL_ECRYPTO, "ima: hashing failed");
    return QL_OK;
}

/* ---- messages ---- */

static void find_pcr(struct ima_judge *j, const struct ima_entry *e)
{
    if (!ima_findings_open(j->findings)) {
        ima_find(j->findings, PCR_EVENT, NULL);
        return;
    }
    ima_find(j->findings, PCR_EVENT,
             json_pack("{s:s, s:s, s:o}", "message", "IMA PCR is not the configured one", "expected", "10",
                       "got", ima_json_text("", e->columns.pcr)));
}

static void find_hash(struct ima_judge *j, const struct ima_entry *e)
{
    const struct ima_bytes column = {e->columns.hash, e->columns.hash_len < sizeof e->columns.hash
                                                          ? e->columns.hash_len
                                                          : sizeof e->columns.hash};

    if (!ima_findings_open(j->findings)) {
        ima_find(j->findings, HASH_EVENT, NULL);
        return;
    }
    ima_find(j->findings, HASH_EVENT,
             json_pack("{s:s, s:o, s:o}", "message", "IMA template hash does not match the calculated hash.",
                       "expected", ima_json_repr(column), "got", ima_json_repr(e->data)));
}

static void find_unknown(struct ima_judge *j, const struct ima_entry *e)
{
    if (!ima_findings_open(j->findings)) {
        ima_find(j->findings, UNKNOWN_EVENT, NULL);
        return;
    }
    ima_find(j->findings, UNKNOWN_EVENT,
             json_pack("{s:o}", "message", ima_json_text("File not found in allowlist: ", e->name)));
}

static json_t *hex_of_aggregates(const struct ima_judge *j, json_t *list)
{
    const char *alg;
    json_t *digests, *digest, *known;
    size_t i, k;

    json_object_foreach((json_t *)(uintptr_t)j->boot_aggregates, alg, digests) {
        json_array_foreach(digests, i, digest) {
            bool is_new = true;

            json_array_foreach(list, k, known) {
                is_new = is_new && !json_equal(known, digest);
            }
            if (is_new && json_array_append(list, digest) != 0)
                return list; /* the list is for the reader; the verdict does not hang on it */
        }
    }
    return list;
}

static void find_digest(struct ima_judge *j, const struct ima_entry *e, enum ima_map map, bool is_aggregate)
{
    json_t *expected;

    if (!ima_findings_open(j->findings)) {
        ima_find(j->findings, DIGEST_EVENT, NULL);
        return;
    }
    expected = ima_policy_expected(j->policy, map, e->name.at, e->name.len, EXPECTED_MAX);
    if (is_aggregate && expected)
        expected = hex_of_aggregates(j, expected);
    ima_find(j->findings, DIGEST_EVENT,
             json_pack("{s:s, s:o, s:o}", "message", "Hash not found in runtime policy", "got",
                       ima_json_hex(e->digest.bytes), "expected", expected));
}

static void find_named(struct ima_judge *j, const char *event_id, const char *before, struct ima_bytes name)
{
    if (!ima_findings_open(j->findings)) {
        ima_find(j->findings, event_id, NULL);
        return;
    }
    ima_find(j->findings, event_id, json_pack("{s:o}", "message", ima_json_text(before, name)));
}

/* ---- rules ---- */

/* Aggregates of this boot, proven by the quote, are as good as listed ones. */
static bool is_proven_aggregate(const struct ima_judge *j, struct ima_bytes digest)
{
    static const char digits[] = "0123456789abcdef";
    char hex[HEX_MAX + 1];
    const char *alg;
    json_t *digests, *one;
    size_t i;

    if (digest.len == 0 || digest.len > IMA_HASH_MAX)
        return false;
    for (i = 0; i < digest.len; i++) {
        hex[2 * i] = digits[digest.at[i] >> 4];
        hex[2 * i + 1] = digits[digest.at[i] & 15];
    }
    hex[2 * digest.len] = '\0';
    json_object_foreach((json_t *)(uintptr_t)j->boot_aggregates, alg, digests) {
        json_array_foreach(digests, i, one) {
            if (json_is_string(one) && strcmp(json_string_value(one), hex) == 0)
                return true;
        }
    }
    return false;
}

static bool is_excluded(struct ima_judge *j, struct ima_bytes name)
{
    switch (ima_policy_excludes(j->policy, name.at, name.len)) {
    case IMA_EXCLUDED:
        return true;
    case IMA_NOT_EXCLUDED:
        return false;
    case IMA_EXCLUDE_LIMIT:
        find_named(j, EXCLUDE_EVENT, "match limit of the exclude list was reached by ", name);
        return false;
    }
    return false;
}

static enum ima_lookup look_up(const struct ima_judge *j, const struct ima_entry *e, enum ima_map map)
{
    enum ima_lookup found =
        ima_policy_lookup(j->policy, map, e->name.at, e->name.len, e->digest.bytes.at, e->digest.bytes.len);

    if (found != IMA_ALLOWED && e->kind == IMA_KIND_MODSIG && e->modsig_digest.bytes.len > 0 &&
        ima_policy_lookup(j->policy, map, e->name.at, e->name.len, e->modsig_digest.bytes.at,
                          e->modsig_digest.bytes.len) == IMA_ALLOWED)
        return IMA_ALLOWED;
    return found;
}

/* The digest is not listed, and nothing else speaks for the file. */
static void find_not_allowed(struct ima_judge *j, const struct ima_entry *e, enum ima_map map,
                             enum ima_lookup found)
{
    const bool is_aggregate = map == IMA_MAP_DIGESTS && json_object_size(j->boot_aggregates) > 0 &&
                              ima_bytes_are(e->name, BOOT_AGGREGATE);

    if (is_aggregate && is_proven_aggregate(j, e->digest.bytes))
        return;
    if (found == IMA_NAME_UNKNOWN && !is_aggregate)
        find_unknown(j, e);
    else
        find_digest(j, e, map, is_aggregate);
}

/* Excludes are asked last: the outcome is the same, and most entries are listed. @return true: allowed */
static bool check_digest(struct ima_judge *j, const struct ima_entry *e, enum ima_map map)
{
    const enum ima_lookup found = look_up(j, e, map);
    const size_t before = j->findings->count;

    if (found == IMA_ALLOWED || is_excluded(j, e->name))
        return true;
    find_not_allowed(j, e, map, found);
    return j->findings->count == before;
}

static int signature_speaks(struct ima_judge *j, const struct ima_entry *e, bool *ret, struct ql_err *err)
{
    struct ima_signed s;
    struct ima_key *key = NULL;
    int r;

    *ret = false;
    if (!ima_signed_of(j->hasher, e, &s))
        return QL_OK;
    r = ima_rings_find(j->rings, s.signature.key_id, &key, err);
    if (r < 0 || !key)
        return r;
    switch (ima_signature_check(&s.signature, key, s.alg, s.alg_len, s.digest, s.digest_len)) {
    case IMA_SIGNATURE_WEAK:
        j->weak++;
        *ret = true;
        break;
    case IMA_SIGNATURE_GOOD:
        *ret = true;
        break;
    case IMA_SIGNATURE_BAD:
        break;
    }
    return QL_OK;
}

/* A listed digest needs no signature: the dear check is left for files that nothing else speaks for. */
static int check_signed(struct ima_judge *j, const struct ima_entry *e, struct ql_err *err)
{
    const enum ima_lookup found = look_up(j, e, IMA_MAP_DIGESTS);
    bool is_good;
    int r;

    if (found == IMA_ALLOWED)
        return QL_OK;
    r = signature_speaks(j, e, &is_good, err);
    if (r == QL_OK && !is_good && !is_excluded(j, e->name))
        find_not_allowed(j, e, IMA_MAP_DIGESTS, found);
    return r;
}

static bool buffer_has_digest(const struct ima_judge *j, const struct ima_entry *e)
{
    uint8_t digest[IMA_HASH_MAX];
    enum ima_alg alg;

    return ima_alg_by_name(e->digest.alg.at, e->digest.alg.len, &alg) &&
           e->digest.bytes.len == ima_alg_len(alg) &&
           ima_hash(j->hasher, alg, e->buffer.at, e->buffer.len, digest) &&
           memcmp(digest, e->digest.bytes.at, e->digest.bytes.len) == 0;
}

static int learn_key(struct ima_judge *j, const struct ima_entry *e, struct ima_key *key, struct ql_err *err)
{
    int r;

    if (ima_policy_ignores_ring(j->policy, e->name.at, e->name.len) || !check_digest(j, e, IMA_MAP_KEYRINGS))
        return QL_OK;
    r = ima_rings_learn(j->rings, e->name, key, err);
    if (r != QL_ECONFLICT)
        return r;
    find_named(j, CONFLICT_EVENT, "a loaded key would take the place of another one in keyring ", e->name);
    return QL_OK;
}

static void find_key_type(struct ima_judge *j, const struct ima_entry *e)
{
    json_t *name = ima_json_text("", e->name);
    const char *class = ima_key_unsupported_name(e->buffer.at, e->buffer.len, true);

    if (json_is_string(name))
        ima_find_text(j->findings, KEY_EVENT,
                      "key from %s does not have a supported key: Unsupported key type _%sPublicKey",
                      json_string_value(name), class ? class : "");
    else
        ima_find(j->findings, KEY_EVENT, NULL);
    json_decref(name);
}

static int check_buffer(struct ima_judge *j, const struct ima_entry *e, struct ql_err *err)
{
    struct ima_key *key = NULL;
    const enum ima_key_kind kind = ima_key_read(e->buffer.at, e->buffer.len, true, &key);
    int r = QL_OK;

    if (kind == IMA_KEY_UNSUPPORTED) {
        find_key_type(j, e);
        return QL_OK;
    }
    if (kind == IMA_NOT_A_KEY && j->dm && ima_dm_is_event(e->name))
        return ima_dm_entry(j->dm, j->findings, e, buffer_has_digest(j, e), err);
    if (!buffer_has_digest(j, e))
        find_named(j, BUFFER_EVENT, "digest is not that of the measured buffer: ", e->name);
    else if (kind == IMA_KEY_OK)
        r = learn_key(j, e, key, err);
    else
        (void)check_digest(j, e, IMA_MAP_BUFFERS); /* findings say it */
    ima_key_unref(key);
    return r;
}

int ima_judge_entry(struct ima_judge *j, const struct ima_entry *e, bool can_look_up, const uint8_t *log_hash,
                    struct ql_err *err)
{
    if (!ima_bytes_are(e->columns.pcr, "10"))
        find_pcr(j, e);
    if (ima_entry_is_violation(e, j->log_alg)) {
        j->violations++;
        if (j->violations_fail)
            ima_find_text(j->findings, VIOLATION_EVENT, "hash validation was skipped");
        return QL_OK;
    }
    if (e->columns.hash_len != ima_alg_len(j->log_alg) ||
        memcmp(e->columns.hash, log_hash, e->columns.hash_len) != 0) {
        find_hash(j, e);
        return QL_OK;
    }
    if (!can_look_up)
        return QL_OK; /* the caller has reported it */
    switch (e->kind) {
    case IMA_KIND_FILE:
        (void)check_digest(j, e, IMA_MAP_DIGESTS); /* findings say it */
        return QL_OK;
    case IMA_KIND_SIGNED:
    case IMA_KIND_MODSIG:
    case IMA_KIND_EVM:
        return check_signed(j, e, err);
    case IMA_KIND_BUFFER:
        return check_buffer(j, e, err);
    }
    return QL_EINTERNAL;
}
