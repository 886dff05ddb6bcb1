/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "certify.h"
#include "error.h"
#include "quote_parts.h"
#include "secret.h"

/** What a TPM2_Certify attests: name and qualified name of the object. */
static int read_certify(const uint8_t *data, size_t len, struct ql_attest_head *head, const uint8_t **name,
                        size_t *name_len, struct ql_err *err)
{
    struct ql_reader r = ql_reader_of(data, len);
    size_t qualified_len;
    int result = ql_attest_head_read(&r, head, err);

    if (result < 0)
        return result;
    *name = ql_reader_tpm2b(&r, name_len);
    (void)ql_reader_tpm2b(&r, &qualified_len); /* follows from the name and the parents */
    if (!ql_reader_done(&r))
        return ql_fail(err, QL_EPARSE, "certification of %zu bytes is cut short or too long", len);
    return QL_OK;
}

/* The agent's id as qualifying data: its SHA-256, or its bytes from older agents. */
static bool is_for(const struct ql_attest_head *head, const char *agent_id)
{
    size_t id_len = strlen(agent_id);
    uint8_t digest[QL_DIGEST_MAX];

    if (id_len == 0)
        return false; /* no qualifying data at all would be "for" nobody */
    if (head->extra_len == id_len && ql_equal_ct(head->extra, agent_id, id_len))
        return true;
    return head->extra_len == ql_hash_len(QL_SHA256) &&
           ql_digest_once(QL_SHA256, agent_id, id_len, digest) == QL_OK &&
           ql_equal_ct(head->extra, digest, head->extra_len);
}

int ql_certify_check(const struct ql_tpm_public *iak, const struct ql_tpm_public *ak, const uint8_t *attest,
                     size_t attest_len, const uint8_t *signature, size_t signature_len, const char *agent_id,
                     struct ql_err *err)
{
    ql_auto(ql_key_freep) struct ql_key *key = NULL;
    struct ql_attest_head head;
    struct ql_signature sig;
    const uint8_t *name;
    size_t name_len;
    int r;

    if (attest_len > QL_ATTEST_MAX_LEN || signature_len > QL_SIGNATURE_MAX_LEN)
        return ql_fail(err, QL_ELIMIT, "certification of %zu bytes with a signature of %zu", attest_len,
                       signature_len);
    r = read_certify(attest, attest_len, &head, &name, &name_len, err);
    if (r == QL_OK)
        r = ql_signature_read(signature, signature_len, &sig, err);
    if (r == QL_OK)
        r = ql_tpm_public_key(iak, &key, err);
    if (r < 0)
        return r;
    if (ql_hash_len(sig.hash) == 0)
        return ql_fail(err, QL_EUNSUPPORTED, "certification signed with hash 0x%04x", sig.hash);
    /* RSAPSS here has a salt of the digest's length. */
    r = ql_key_verify(key, (enum ql_scheme)sig.scheme, (enum ql_hash)sig.hash, attest, attest_len, sig.r,
                      sig.r_len, sig.s, sig.s_len, -1, err);
    if (r != QL_OK)
        return ql_fail_context(err, QL_ECRYPTO, "certification of the attestation key");
    if (head.magic != QL_TPM_MAGIC || head.type != QL_TPM_ATTEST_CERTIFY)
        return ql_fail(err, QL_ECRYPTO, "certification has magic 0x%08x and type 0x%04x", head.magic,
                       head.type);
    if (name_len != ak->name_len || !ql_equal_ct(name, ak->name, name_len))
        return ql_fail(err, QL_ECRYPTO, "certification is for another key");
    if (!is_for(&head, agent_id))
        return ql_fail(err, QL_ECRYPTO, "certification is for another agent");
    return QL_OK;
}
