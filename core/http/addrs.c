/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <string.h>

#include "addrs.h"
#include "error.h"

enum {
    BUCKETS = 4096 /* two or three a chain at 10,500 connections of as many addresses */
};

struct entry {
    struct entry *next;
    uint8_t key[QL_ADDR_KEY_LEN];
    unsigned count;
};

struct ql_addrs {
    uint64_t seed[2]; /* chains must not be choosable from outside */
    struct entry *bucket[BUCKETS];
};

int ql_addrs_new(struct ql_addrs **ret, struct ql_err *err)
{
    ql_auto(ql_addrs_freep) struct ql_addrs *a = calloc(1, sizeof *a);

    if (!a)
        return ql_fail_nomem(err);
    if (RAND_bytes((unsigned char *)a->seed, sizeof a->seed) != 1)
        return ql_fail(err, QL_EINTERNAL, "no random numbers");
    *ret = ql_steal(a);
    return QL_OK;
}

void ql_addrs_free(struct ql_addrs *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct entry *e = a->bucket[i], *next; e; e = next) {
            next = e->next;
            free(e);
        }
    }
    free(a);
}

void ql_addr_key(const struct sockaddr *sa, uint8_t key[QL_ADDR_KEY_LEN], char text[QL_ADDR_TEXT_LEN])
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memset(key, 0, QL_ADDR_KEY_LEN);
    memcpy(text, "?", 2);
    if (sa->sa_family == AF_INET) {
        memcpy(&v4, sa, sizeof v4);
        key[10] = key[11] = 0xff;
        memcpy(key + 12, &v4.sin_addr, 4);
        inet_ntop(AF_INET, &v4.sin_addr, text, QL_ADDR_TEXT_LEN);
    } else if (sa->sa_family == AF_INET6) {
        memcpy(&v6, sa, sizeof v6);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            memcpy(key, &v6.sin6_addr, 16);
            inet_ntop(AF_INET, key + 12, text, QL_ADDR_TEXT_LEN);
        } else {
            memcpy(key, &v6.sin6_addr, IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) ? 16 : 8);
            inet_ntop(AF_INET6, &v6.sin6_addr, text, QL_ADDR_TEXT_LEN);
        }
    }
}

static struct entry **find(struct ql_addrs *a, const uint8_t key[QL_ADDR_KEY_LEN])
{
    uint64_t half[2], h;
    struct entry **at;

    memcpy(half, key, sizeof half);
    h = (half[0] ^ a->seed[0]) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (h >> 29) ^ half[1] ^ a->seed[1]) * UINT64_C(0xbf58476d1ce4e5b9);
    h ^= h >> 32;
    for (at = &a->bucket[h % BUCKETS]; *at; at = &(*at)->next)
        if (memcmp((*at)->key, key, QL_ADDR_KEY_LEN) == 0)
            break;
    return at;
}

unsigned ql_addrs_enter(struct ql_addrs *a, const uint8_t key[QL_ADDR_KEY_LEN])
{
    struct entry **at = find(a, key);

    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (!*at)
            return 0;
        memcpy((*at)->key, key, QL_ADDR_KEY_LEN);
    }
    return ++(*at)->count;
}

void ql_addrs_leave(struct ql_addrs *a, const uint8_t key[QL_ADDR_KEY_LEN])
{
    struct entry **at = find(a, key), *e = *at;

    if (e && --e->count == 0) {
        *at = e->next;
        free(e);
    }
}
