/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/queue.h>

#include "digest.h"
#include "error.h"
#include "policies_cache.h"

enum {
    POLICY_BUCKETS = 256
};

struct kept_policy {
    TAILQ_ENTRY(kept_policy) used; /* longest unused first */
    struct kept_policy *next;      /* in its bucket */
    struct ql_policy *policy;
    struct ql_frame *frame; /* its bytes lie here */
    size_t bytes;
};
TAILQ_HEAD(kept_policies, kept_policy);

struct ql_policy_cache {
    struct kept_policies used;
    struct kept_policy *buckets[POLICY_BUCKETS];
    size_t bytes, max_bytes, count;
};

int ql_policy_cache_new(size_t max_bytes, struct ql_policy_cache **ret, struct ql_err *err)
{
    struct ql_policy_cache *c = calloc(1, sizeof *c);

    if (!c)
        return ql_fail_nomem(err);
    TAILQ_INIT(&c->used);
    c->max_bytes = max_bytes;
    *ret = c;
    return QL_OK;
}

static void drop_policy(struct ql_policy_cache *c, struct kept_policy *k)
{
    struct kept_policy **at = &c->buckets[k->policy->digest[0]];

    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    TAILQ_REMOVE(&c->used, k, used);
    c->bytes -= k->bytes;
    c->count--;
    ql_policy_free(k->policy); /* before the bytes that it may point into */
    ql_frame_free(k->frame);
    free(k);
}

void ql_policy_cache_free(struct ql_policy_cache *c)
{
    if (!c)
        return;
    while (!TAILQ_EMPTY(&c->used))
        drop_policy(c, TAILQ_FIRST(&c->used));
    free(c);
}

struct ql_policy *ql_policy_cache_get(struct ql_policy_cache *c, const char *validator,
                                      const uint8_t digest[32])
{
    for (struct kept_policy *k = c->buckets[digest[0]]; k; k = k->next) {
        if (memcmp(k->policy->digest, digest, 32) != 0 ||
            strcmp(k->policy->validator->head.name, validator) != 0)
            continue;
        if (TAILQ_NEXT(k, used)) {
            TAILQ_REMOVE(&c->used, k, used);
            TAILQ_INSERT_TAIL(&c->used, k, used);
        }
        return k->policy;
    }
    return NULL;
}

int ql_policy_cache_put(struct ql_policy_cache *c, struct ql_policy *policy, size_t len,
                        struct ql_frame *frame, struct ql_err *err)
{
    struct kept_policy *k = calloc(1, sizeof *k);

    if (!k) {
        ql_policy_free(policy);
        ql_frame_free(frame);
        return ql_fail_nomem(err);
    }
    k->policy = policy;
    k->frame = frame;
    k->bytes = sizeof *k + len + policy->size;
    k->next = c->buckets[policy->digest[0]];
    c->buckets[policy->digest[0]] = k;
    TAILQ_INSERT_TAIL(&c->used, k, used);
    c->bytes += k->bytes;
    c->count++;
    return QL_OK;
}

void ql_policy_cache_trim(struct ql_policy_cache *c)
{
    while (c->bytes > c->max_bytes && !TAILQ_EMPTY(&c->used))
        drop_policy(c, TAILQ_FIRST(&c->used));
}

size_t ql_policy_cache_count(const struct ql_policy_cache *c)
{
    return c->count;
}

struct kept_key {
    TAILQ_ENTRY(kept_key) used; /* longest unused first */
    struct kept_key *next;      /* in its bucket */
    uint8_t digest[32];         /* SHA-256 of the TPM2B_PUBLIC */
    struct ql_ak ak;
};
TAILQ_HEAD(kept_keys, kept_key);

struct ql_key_cache {
    struct kept_keys used;
    struct kept_key **buckets;
    size_t bucket_count, count, max_count;
};

int ql_key_cache_new(size_t max_count, struct ql_key_cache **ret, struct ql_err *err)
{
    struct ql_key_cache *c = calloc(1, sizeof *c);

    if (!c)
        return ql_fail_nomem(err);
    TAILQ_INIT(&c->used);
    c->max_count = max_count;
    for (c->bucket_count = 64; c->bucket_count < max_count; c->bucket_count *= 2)
        ;
    c->buckets = calloc(c->bucket_count, sizeof(struct kept_key *));
    if (!c->buckets) {
        free(c);
        return ql_fail_nomem(err);
    }
    *ret = c;
    return QL_OK;
}

static struct kept_key **bucket(struct ql_key_cache *c, const uint8_t *digest)
{
    size_t n;

    memcpy(&n, digest, sizeof n);
    return &c->buckets[n & (c->bucket_count - 1)];
}

static void drop_key(struct ql_key_cache *c, struct kept_key *k)
{
    struct kept_key **at = bucket(c, k->digest);

    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    TAILQ_REMOVE(&c->used, k, used);
    c->count--;
    ql_key_free(k->ak.key);
    free(k);
}

void ql_key_cache_free(struct ql_key_cache *c)
{
    if (!c)
        return;
    while (!TAILQ_EMPTY(&c->used))
        drop_key(c, TAILQ_FIRST(&c->used));
    free(c->buckets);
    free(c);
}

static int import(struct kept_key *k, const uint8_t *ak, size_t len, struct ql_err *err)
{
    int r = ql_tpm_public_parse(ak, len, &k->ak.public, err);

    return r == QL_OK ? ql_tpm_public_key(&k->ak.public, &k->ak.key, err) : r;
}

int ql_key_cache_get(struct ql_key_cache *c, struct ql_digester *digester, const uint8_t *ak, size_t len,
                     const struct ql_ak **ret, struct ql_err *err)
{
    struct ql_piece piece = {ak, len};
    uint8_t digest[32];
    struct kept_key **at, *k;
    int r = ql_digest(digester, QL_SHA256, &piece, 1, digest);

    if (r < 0)
        return ql_fail(err, r, "hashing an AK");
    at = bucket(c, digest);
    for (k = *at; k && memcmp(k->digest, digest, sizeof digest) != 0; k = k->next)
        ;
    if (k) {
        if (TAILQ_NEXT(k, used)) {
            TAILQ_REMOVE(&c->used, k, used);
            TAILQ_INSERT_TAIL(&c->used, k, used);
        }
        *ret = &k->ak;
        return QL_OK;
    }
    k = calloc(1, sizeof *k);
    if (!k)
        return ql_fail_nomem(err);
    r = import(k, ak, len, err);
    if (r < 0) {
        free(k);
        return r;
    }
    memcpy(k->digest, digest, sizeof digest);
    k->next = *at;
    *at = k;
    TAILQ_INSERT_TAIL(&c->used, k, used);
    if (++c->count > c->max_count)
        drop_key(c, TAILQ_FIRST(&c->used));
    *ret = &k->ak;
    return QL_OK;
}
