/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap.h"

#include <string.h>

#include "encode.h"
#include "error.h"

enum {
    KEY_LONG = 32,
    KEY_SHORT = 16,
    OAEP_MAX = 512 /* bytes of encrypted_key: RSA 4096; NK is RSA 2048 */
};

struct half_u {
    struct ql_secret *key;
    uint8_t tag[QL_BOOTSTRAP_TAG_LEN];
    uint8_t *payload;
    size_t payload_len;
};

struct ql_bootstrap {
    char *id;
    struct half_u u[QL_BOOTSTRAP_HALVES]; /* oldest first */
    struct ql_secret *v[QL_BOOTSTRAP_HALVES];
    size_t u_count, v_count;
    struct ql_secret *k;
    uint8_t *payload;
    size_t payload_len;
};

static void drop_u(struct ql_bootstrap *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ql_secret_free(b->u[i].key);
        free(b->u[i].payload);
    }
    memmove(b->u, b->u + count, (b->u_count - count) * sizeof *b->u);
    b->u_count -= count;
}

static void drop_v(struct ql_bootstrap *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ql_secret_free(b->v[i]);
    memmove(b->v, b->v + count, (b->v_count - count) * sizeof *b->v);
    b->v_count -= count;
}

/** K of one pair, when the tag proves it. @return NULL: they do not belong together */
static struct ql_secret *combine(const struct ql_bootstrap *b, const struct half_u *u,
                                 const struct ql_secret *v)
{
    ql_auto(ql_secret_freep) struct ql_secret *k = NULL;
    const struct ql_piece id = {b->id, strlen(b->id)};
    const size_t len = ql_secret_len(v);
    uint8_t tag[QL_DIGEST_MAX];
    uint8_t *out;

    if (ql_secret_len(u->key) != len || ql_secret_new_empty(len, &k, NULL) < 0)
        return NULL;
    out = ql_secret_writable(k);
    for (size_t i = 0; i < len; i++)
        out[i] = ql_secret_data(u->key)[i] ^ ql_secret_data(v)[i];
    if (ql_hmac(QL_SHA384, out, len, &id, 1, tag) < 0 || !ql_equal_ct(tag, u->tag, QL_BOOTSTRAP_TAG_LEN))
        return NULL;
    return ql_steal(k);
}

static bool try_pairs(struct ql_bootstrap *b)
{
    for (size_t i = b->u_count; i-- > 0;)
        for (size_t j = b->v_count; j-- > 0;) {
            struct ql_secret *k = combine(b, &b->u[i], b->v[j]);

            if (!k)
                continue;
            ql_secret_free(b->k);
            free(b->payload);
            b->k = k;
            b->payload = ql_steal(b->u[i].payload);
            b->payload_len = b->u[i].payload_len;
            drop_u(b, b->u_count);
            drop_v(b, b->v_count);
            return true;
        }
    return false;
}

int ql_bootstrap_new(const char *agent_id, struct ql_bootstrap **ret, struct ql_err *err)
{
    ql_auto(ql_bootstrap_freep) struct ql_bootstrap *b = calloc(1, sizeof *b);

    if (b)
        b->id = strdup(agent_id);
    if (!b || !b->id)
        return ql_fail_nomem(err);
    *ret = ql_steal(b);
    return QL_OK;
}

void ql_bootstrap_free(struct ql_bootstrap *b)
{
    if (!b)
        return;
    drop_u(b, b->u_count);
    drop_v(b, b->v_count);
    ql_secret_free(b->k);
    free(b->payload);
    free(b->id);
    free(b);
}

int ql_bootstrap_open_key(const struct ql_key *nk, const char *text, size_t len, struct ql_secret **ret,
                          struct ql_err *err)
{
    ql_auto(ql_secret_freep) struct ql_secret *key = NULL;
    uint8_t sealed[OAEP_MAX] = {0};
    size_t sealed_len = 0;

    /* What is no base64 is decrypted too, as zero bytes of the right length, so that both ways cost the same. */
    if (ql_base64_decode(text, len, sealed, sizeof sealed, &sealed_len, NULL) < 0)
        sealed_len = ql_key_bits(nk) / 8;
    if (ql_oaep_decrypt(nk, QL_SHA1, sealed, sealed_len, &key, NULL) < 0 ||
        (ql_secret_len(key) != KEY_LONG && ql_secret_len(key) != KEY_SHORT))
        return ql_fail(err, QL_ECRYPTO, QL_BOOTSTRAP_KEY_TEXT);
    *ret = ql_steal(key);
    return QL_OK;
}

bool ql_bootstrap_add_u(struct ql_bootstrap *b, struct ql_secret *u, const uint8_t *tag, uint8_t *payload,
                        size_t payload_len)
{
    struct half_u *slot;

    if (b->u_count == QL_BOOTSTRAP_HALVES)
        drop_u(b, 1);
    slot = &b->u[b->u_count++];
    *slot = (struct half_u){.key = u, .payload = payload, .payload_len = payload_len};
    memcpy(slot->tag, tag, sizeof slot->tag);
    return try_pairs(b);
}

bool ql_bootstrap_add_v(struct ql_bootstrap *b, struct ql_secret *v)
{
    if (b->v_count == QL_BOOTSTRAP_HALVES)
        drop_v(b, 1);
    b->v[b->v_count++] = v;
    return try_pairs(b);
}

const struct ql_secret *ql_bootstrap_key(const struct ql_bootstrap *b)
{
    return b->k;
}

const uint8_t *ql_bootstrap_payload(const struct ql_bootstrap *b, size_t *len)
{
    *len = b->payload_len;
    return b->payload;
}

int ql_bootstrap_verify(const struct ql_bootstrap *b, const char *challenge, char *out)
{
    const struct ql_piece piece = {challenge, strlen(challenge)};
    uint8_t tag[QL_DIGEST_MAX];

    if (!b->k)
        return QL_ENOTFOUND;
    if (ql_hmac(QL_SHA384, ql_secret_data(b->k), ql_secret_len(b->k), &piece, 1, tag) < 0)
        return QL_ECRYPTO;
    ql_hex_encode(tag, QL_BOOTSTRAP_TAG_LEN, out);
    return QL_OK;
}
