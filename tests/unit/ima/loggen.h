/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file loggen.h
 * Measurement lists made from a seed, entry by entry, as a kernel makes them, with the PCR they end in. Written apart from the
 * plugin's reader: by OpenSSL's EVP and by hand.
 */
#pragma once
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loggen {
    char *text;
    size_t len, room;
    uint64_t count;
    uint8_t pcr[32]; /* sha256 bank */
    EVP_MD *sha1, *sha256;
    EVP_MD_CTX *ctx;
    uint64_t random;
};

static inline void loggen_init(struct loggen *g, uint64_t seed)
{
    *g = (struct loggen){.sha1 = EVP_MD_fetch(NULL, "SHA1", NULL),
                         .sha256 = EVP_MD_fetch(NULL, "SHA256", NULL),
                         .ctx = EVP_MD_CTX_new(),
                         .random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
}

static inline void loggen_done(struct loggen *g)
{
    free(g->text);
    EVP_MD_free(g->sha1);
    EVP_MD_free(g->sha256);
    EVP_MD_CTX_free(g->ctx);
}

static inline uint64_t loggen_random(struct loggen *g)
{
    g->random ^= g->random << 13;
    g->random ^= g->random >> 7;
    g->random ^= g->random << 17;
    return g->random;
}

static inline void loggen_hash(struct loggen *g, const EVP_MD *md, const void *data, size_t len, uint8_t *out)
{
    if (EVP_DigestInit_ex2(g->ctx, md, NULL) != 1 || EVP_DigestUpdate(g->ctx, data, len) != 1 ||
        EVP_DigestFinal_ex(g->ctx, out, NULL) != 1)
        abort();
}

static inline void loggen_hex(char *to, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        to[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        to[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    to[2 * len] = '\0';
}

static inline void loggen_extend(struct loggen *g, const uint8_t value[32])
{
    uint8_t both[64];

    memcpy(both, g->pcr, 32);
    memcpy(both + 32, value, 32);
    loggen_hash(g, g->sha256, both, 64, g->pcr);
}

static inline void loggen_room(struct loggen *g, size_t more)
{
    if (g->room - g->len >= more)
        return;
    g->room = 2 * (g->room + more);
    g->text = realloc(g->text, g->room);
    if (!g->text)
        abort();
}

/** Bytes that the kernel hashes of `ima-ng`, or of a template with one more field in hex. @return their length */
static inline size_t loggen_data(uint8_t *to, const uint8_t digest[32], const char *name, const uint8_t *more,
                                 size_t more_len, bool has_more)
{
    const size_t name_len = strlen(name) + 1;
    uint8_t *at = to;

    memcpy(at, "\x28\0\0\0sha256:\0", 12);
    memcpy(at + 12, digest, 32);
    at += 44;
    *at++ = (uint8_t)name_len;
    *at++ = (uint8_t)(name_len >> 8);
    *at++ = 0;
    *at++ = 0;
    memcpy(at, name, name_len);
    at += name_len;
    if (!has_more)
        return (size_t)(at - to);
    *at++ = (uint8_t)more_len;
    *at++ = (uint8_t)(more_len >> 8);
    *at++ = 0;
    *at++ = 0;
    if (more_len > 0)
        memcpy(at, more, more_len);
    return (size_t)(at - to) + more_len;
}

/** One entry. @param more third field (signature or buffer), with has_more */
static inline void loggen_entry(struct loggen *g, const char *template, const uint8_t digest[32],
                                const char *name, const uint8_t *more, size_t more_len, bool has_more)
{
    uint8_t data[8192], sha1[20], sha256[32];
    char column[41], hex[65];
    const size_t len = loggen_data(data, digest, name, more, more_len, has_more);

    loggen_hash(g, g->sha1, data, len, sha1);
    loggen_hash(g, g->sha256, data, len, sha256);
    loggen_extend(g, sha256);
    loggen_hex(column, sha1, 20);
    loggen_hex(hex, digest, 32);
    loggen_room(g, strlen(name) + 2 * more_len + 256);
    g->len += (size_t)sprintf(g->text + g->len, "10 %s %s sha256:%s %s", column, template, hex, name);
    if (has_more) {
        g->text[g->len++] = ' ';
        loggen_hex(g->text + g->len, more, more_len);
        g->len += 2 * more_len;
    }
    g->text[g->len++] = '\n';
    g->text[g->len] = '\0';
    g->count++;
}

static inline void loggen_file(struct loggen *g, const uint8_t digest[32], const char *name)
{
    loggen_entry(g, "ima-ng", digest, name, NULL, 0, false);
}

/** A file that changed while it was measured. */
static inline void loggen_violation(struct loggen *g, const char *name)
{
    uint8_t ff[32];

    memset(ff, 0xff, sizeof ff);
    loggen_extend(g, ff);
    loggen_room(g, strlen(name) + 256);
    g->len += (size_t)sprintf(g->text + g->len, "10 %040d ima-ng sha256:%064d %s\n", 0, 0, name);
    g->count++;
}

/** The digest that file number @p n has in every list of this generator. */
static inline void loggen_digest(uint64_t n, uint8_t digest[32])
{
    uint64_t v = n * UINT64_C(0xbf58476d1ce4e5b9) + 0x123456789;

    for (size_t i = 0; i < 32; i++) {
        v ^= v << 13;
        v ^= v >> 7;
        v ^= v << 17;
        digest[i] = (uint8_t)(v >> 24);
    }
}

/** Path of file number @p n, of some 35 to 70 bytes. */
static inline void loggen_path(uint64_t n, char path[128])
{
    static const char *const dirs[] = {"/usr/bin", "/usr/lib/x86_64-linux-gnu",
                                       "/usr/lib/python3/dist-packages", "/usr/share/perl5",
                                       "/opt/application/plugins/available"};

    snprintf(path, 128, "%s/package-%llu/file-%llu.so", dirs[n % 5], (unsigned long long)(n / 40),
             (unsigned long long)n);
}
