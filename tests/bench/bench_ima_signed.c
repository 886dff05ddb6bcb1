/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of which some entries carry RSA-2048 signatures and are allowed by nothing else: the validator's CPU time for a first
 * attestation against the bare checks of the same signatures by one held key.
 *
 *     bench_ima_signed [--entries N] [--percent N] [--min-ratio R]
 *
 * With --min-ratio the program fails below R times the bare rate. A worker judges one list on one core; lists of
 * several agents are judged by all workers at once.
 */
#include "ima/rig.h"

#include <getopt.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "ima/loggen.h"

enum {
    ROUNDS = 3,
    RSA_BYTES = 256,
    HEAD_LEN = 9 /* type, version, hash, key id, length */
};

struct signing {
    EVP_PKEY *key;
    EVP_PKEY_CTX *signs, *checks;
    uint8_t key_id[4];
    uint8_t *digests, *values; /* of each signed entry, for the bare checks */
    size_t count;
    char *base64; /* of the public key, DER */
};

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "bench_ima_signed: %s\n", what);
    exit(1);
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static EVP_PKEY_CTX *context(EVP_PKEY *key, int (*init)(EVP_PKEY_CTX *))
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);

    must(c && init(c) == 1 && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
             EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1,
         "no RSA");
    return c;
}

static void signing_init(struct signing *s, size_t count)
{
    uint8_t *der = NULL, sha1[20];
    X509_PUBKEY *pub = NULL;
    const uint8_t *point = NULL;
    int len, point_len = 0;

    s->key = EVP_RSA_gen(2048);
    must(s->key, "no key");
    s->signs = context(s->key, EVP_PKEY_sign_init);
    s->checks = context(s->key, EVP_PKEY_verify_init);
    s->digests = malloc(count * 32);
    s->values = malloc(count * RSA_BYTES);
    len = i2d_PUBKEY(s->key, &der);
    must(s->digests && s->values && len > 0, "no memory");
    s->base64 = malloc((size_t)len * 2);
    must(s->base64 && EVP_EncodeBlock((uint8_t *)s->base64, der, len) > 0, "no memory");
    /* The kernel's id of an RSA key: the end of the SHA-1 over its PKCS#1 form. */
    must(X509_PUBKEY_set(&pub, s->key) == 1 &&
             X509_PUBKEY_get0_param(NULL, &point, &point_len, NULL, pub) == 1,
         "no key id");
    SHA1(point, (size_t)point_len, sha1);
    memcpy(s->key_id, sha1 + 16, 4);
    X509_PUBKEY_free(pub);
    OPENSSL_free(der);
}

static void signing_done(struct signing *s)
{
    EVP_PKEY_CTX_free(s->signs);
    EVP_PKEY_CTX_free(s->checks);
    EVP_PKEY_free(s->key);
    free(s->digests);
    free(s->values);
    free(s->base64);
}

static void add_signed(struct signing *s, struct loggen *g, const uint8_t digest[32], const char *path)
{
    uint8_t field[HEAD_LEN + RSA_BYTES] = {3, 2, 4}, *value = s->values + s->count * RSA_BYTES;
    size_t len = RSA_BYTES;

    must(EVP_PKEY_sign(s->signs, value, &len, digest, 32) == 1 && len == RSA_BYTES, "no signature");
    memcpy(s->digests + s->count * 32, digest, 32);
    memcpy(field + 3, s->key_id, 4);
    field[7] = RSA_BYTES >> 8;
    field[8] = RSA_BYTES & 0xff;
    memcpy(field + HEAD_LEN, value, RSA_BYTES);
    loggen_entry(g, "ima-sig", digest, path, field, sizeof field, true);
    s->count++;
}

/* The list, and a policy that knows the unsigned files and the key. */
static char *make(struct signing *s, struct loggen *g, uint64_t entries, uint64_t percent)
{
    const size_t room = entries * 220 + 8192;
    char *text = malloc(room), path[128], hex[65];
    uint8_t digest[32];
    size_t at;

    must(text, "no memory");
    loggen_init(g, 1);
    memset(digest, 0xaa, sizeof digest);
    loggen_file(g, digest, "boot_aggregate");
    loggen_hex(hex, digest, 32);
    at = (size_t)snprintf(
        text, room,
        "{\"meta\":{\"version\":1,\"generator\":3},\"release\":0,\"digests\":{\"boot_aggregate\":[\"%s\"]",
        hex);
    for (uint64_t n = 1; n < entries; n++) {
        loggen_path(n, path);
        loggen_digest(n, digest);
        if (n % 100 < percent) {
            add_signed(s, g, digest, path);
            continue;
        }
        loggen_entry(g, "ima-sig", digest, path, NULL, 0, true);
        loggen_hex(hex, digest, 32);
        at += (size_t)snprintf(text + at, room - at, ",\"%s\":[\"%s\"]", path, hex);
    }
    (void)snprintf(
        text + at, room - at,
        "},\"excludes\":[],\"keyrings\":{},\"ima\":{\"ignored_keyrings\":[],\"log_hash_alg\":\"sha1\","
        "\"dm_policy\":null},\"ima-buf\":{},\"verification-keys\":\"{\\\"meta\\\":{\\\"version\\\":1},"
        "\\\"keyids\\\":[%u],\\\"pubkeys\\\":[\\\"%s\\\"]}\"}",
        (unsigned)s->key_id[0] << 24 | (unsigned)s->key_id[1] << 16 | (unsigned)s->key_id[2] << 8 |
            s->key_id[3],
        s->base64);
    return text;
}

static double bare_checks(struct signing *s)
{
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        const double start = cpu_s();

        for (size_t i = 0; i < s->count; i++)
            must(EVP_PKEY_verify(s->checks, s->values + i * RSA_BYTES, RSA_BYTES, s->digests + i * 32, 32) ==
                     1,
                 "a signature is not good");
        if (cpu_s() - start < best)
            best = cpu_s() - start;
    }
    return best;
}

static double first_attestation(struct rig *r, struct loggen *g)
{
    double best = 1e9;

    memcpy(r->pcr, g->pcr, 32);
    r->pcr_len = 32;
    for (int round = 0; round < ROUNDS; round++) {
        enum rig_verdict verdict;
        double start;

        rig_forget(r);
        rig_list(r, g->text, 0);
        start = cpu_s();
        verdict = rig_run(r);
        if (cpu_s() - start < best)
            best = cpu_s() - start;
        must(verdict == RIG_PASS, "the list does not pass");
    }
    return best;
}

static uint64_t number(const char *text, uint64_t max)
{
    char *end;
    const unsigned long long v = strtoull(text, &end, 10);

    must(!*end && v > 0 && v <= max, "not such a number");
    return v;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"entries", required_argument, NULL, 'e'},
                                            {"percent", required_argument, NULL, 'p'},
                                            {"min-ratio", required_argument, NULL, 'r'},
                                            {0}};
    uint64_t entries = 20000, percent = 30;
    double min_ratio = 0, bare, judged;
    struct rig_options o = rig_defaults();
    struct signing s = {0};
    struct loggen g;
    struct rig r;
    char *policy;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (c) {
        case 'e':
            entries = number(optarg, 1000000);
            break;
        case 'p':
            percent = number(optarg, 100);
            break;
        case 'r':
            min_ratio = strtod(optarg, NULL);
            break;
        default:
            return 2;
        }
    o.require_log = 1;
    rig_start(&r, o);
    r.in_place = true;
    signing_init(&s, entries);
    policy = make(&s, &g, entries, percent);
    must(rig_policy(&r, policy, QL_ORIGIN_UPLOAD), r.err.text);
    free(policy);
    bare = bare_checks(&s);
    judged = first_attestation(&r, &g);
    printf("list of %llu entries (%.1f MB), %zu of them signed by RSA-2048\n", (unsigned long long)entries,
           (double)g.len / 1e6, s.count);
    printf("  bare checks       %8.0f signatures/s\n", (double)s.count / bare);
    printf("  first attestation %8.0f signatures/s, %.0f entries/s = %.0f %% of bare checks\n",
           (double)s.count / judged, (double)entries / judged, 100 * bare / judged);
    rig_stop(&r);
    loggen_done(&g);
    signing_done(&s);
    return bare / judged < min_ratio ? 1 : 0;
}
