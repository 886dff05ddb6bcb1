/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU of ql_quote_check() beside that of the bare signature check it holds: EVP_DigestVerify with a kept key and a fetched
 * digest and a new context each ("bare"), and ql_key_verify_kept(), where contexts are kept ("kept"). They alternate in
 * short rounds; the fastest round of each counts, for others share the CPU.
 *
 *     bench_quote [rounds [milliseconds a round]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "encode.h"
#include "tpm/softquote.h"

static const char nonce[] = "0123456789abcdefghij";

/** One kind of key, ready for both contenders. */
struct contest {
    const char *name;
    struct soft_ak ak;
    struct ql_key *imported;
    struct ql_digester *digester;
    struct ql_accept accept;
    struct ql_quote_in in;
    char *text;
    EVP_MD *md;
    uint8_t attest[QL_ATTEST_MAX_LEN], sig[600];
    size_t attest_len, sig_len, tpm_sig_len;
    uint8_t *tpm_sig; /* TPMT_SIGNATURE */
    struct ql_signature parts;
};

static int64_t cpu_ns(void)
{
    struct timespec t;

    SOFT_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return t.tv_sec * QL_NS_PER_S + t.tv_nsec;
}

static void prepare(struct contest *c, const char *name, unsigned curve, uint32_t mask)
{
    struct soft_said said = soft_said(nonce, mask | UINT32_C(1) << QL_DATA_PCR);
    uint8_t *attest;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    memset(c, 0, sizeof *c);
    c->name = name;
    soft_ak_make(&c->ak, curve);
    c->text = soft_quote(&c->ak, &said);
    attest = soft_attest(&said, &c->attest_len);
    memcpy(c->attest, attest, c->attest_len);
    free(attest);
    c->sig_len = sizeof c->sig;
    SOFT_CHECK(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, ql_key_native(c->ak.key)) == 1);
    SOFT_CHECK(EVP_DigestSign(ctx, c->sig, &c->sig_len, c->attest, c->attest_len) == 1);
    EVP_MD_CTX_free(ctx);
    c->tpm_sig = soft_sign(&c->ak, c->attest, c->attest_len, &c->tpm_sig_len);
    SOFT_CHECK(ql_signature_read(c->tpm_sig, c->tpm_sig_len, &c->parts, NULL) == QL_OK);
    c->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    SOFT_CHECK(ql_tpm_public_key(&c->ak.area, &c->imported, NULL) == QL_OK);
    SOFT_CHECK(ql_digester_new(&c->digester, NULL) == QL_OK);
    SOFT_CHECK(ql_accept_from_json(NULL, NULL, NULL, &c->accept, NULL) == QL_OK);
    c->in = (struct ql_quote_in){.ak_key = c->imported,
                                 .ak = &c->ak.area,
                                 .digester = c->digester,
                                 .quote = c->text,
                                 .quote_len = strlen(c->text),
                                 .hash_alg = "sha256",
                                 .enc_alg = curve ? "ecc256" : "rsa2048",
                                 .sign_alg = curve ? "ecdsa" : "rsassa",
                                 .accept = &c->accept,
                                 .nonce = (const uint8_t *)nonce,
                                 .nonce_len = strlen(nonce),
                                 .mask = mask,
                                 .exact_mask = true};
}

static void finish(struct contest *c)
{
    soft_ak_done(&c->ak);
    ql_key_free(c->imported);
    ql_digester_free(c->digester);
    EVP_MD_free(c->md);
    free(c->text);
    free(c->tpm_sig);
}

static void check_once(const struct contest *c)
{
    struct ql_quote quote;
    enum ql_quote_stage stage;

    SOFT_CHECK(ql_quote_check(&c->in, &quote, &stage, NULL, NULL) == QL_OK);
}

static void verify_once(const struct contest *c)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    SOFT_CHECK(EVP_DigestVerifyInit(ctx, NULL, c->md, NULL, ql_key_native(c->imported)) == 1);
    SOFT_CHECK(EVP_DigestVerify(ctx, c->sig, c->sig_len, c->attest, c->attest_len) == 1);
    EVP_MD_CTX_free(ctx);
}

static void kept_once(const struct contest *c)
{
    SOFT_CHECK(ql_key_verify_kept(c->imported, c->digester, (enum ql_scheme)c->parts.scheme, QL_SHA256,
                                  c->attest, c->attest_len, c->parts.r, c->parts.r_len, c->parts.s,
                                  c->parts.s_len, NULL) == QL_OK);
}

/* CPU nanoseconds of one call, over a round. */
static double round_of(void (*once)(const struct contest *), const struct contest *c, int64_t round_ns)
{
    int64_t start = cpu_ns(), now = start;
    unsigned count = 0;

    while (now - start < round_ns) {
        for (unsigned i = 0; i < 16; i++)
            once(c);
        count += 16;
        now = cpu_ns();
    }
    return (double)(now - start) / count;
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static void run(const struct contest *c, unsigned rounds, int64_t round_ns)
{
    double check = 1e18, bare = 1e18, kept = 1e18;

    for (unsigned i = 0; i < rounds; i++) {
        bare = least(bare, round_of(verify_once, c, round_ns));
        kept = least(kept, round_of(kept_once, c, round_ns));
        check = least(check, round_of(check_once, c, round_ns));
    }
    printf(
        "%-18s quote check %6.2f us | bare verify %6.2f us, ratio %.3f | kept verify %6.2f us, ratio %.3f\n",
        c->name, check / 1e3, bare / 1e3, check / bare, kept / 1e3, check / kept);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20;
    int64_t round_ns = (argc > 2 ? atoi(argv[2]) : 50) * QL_NS_PER_MS;
    static const struct {
        const char *name;
        unsigned curve;
        uint32_t mask;
    } kinds[] = {{"RSA-2048, 2 PCRs", 0, 0x400},
                 {"RSA-2048, 24 PCRs", 0, 0xffffff},
                 {"P-256, 2 PCRs", QL_P256, 0x400},
                 {"P-256, 24 PCRs", QL_P256, 0xffffff}};

    for (size_t i = 0; i < QL_ARRAY_LEN(kinds); i++) {
        struct contest c;

        prepare(&c, kinds[i].name, kinds[i].curve, kinds[i].mask);
        run(&c, rounds, round_ns);
        finish(&c);
    }
    return 0;
}
