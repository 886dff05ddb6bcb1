/* SPDX-License-Identifier: Apache-2.0 */
/** @file policy_parts.h  What a compiled policy is made of. Private to policy.c and policy_read.c. */
#pragma once
#include "excludes.h"
#include "keyring.h"
#include "policy.h"
#include "policy_map.h"

enum {
    IMA_MAP_COUNT = 3
};

struct ima_policy {
    const struct ql_host *host;
    struct ima_arena arena;
    struct ima_policy_map maps[IMA_MAP_COUNT];
    struct ima_policy_map ignored; /**< names of rings; counts are 0 */
    bool ignores_all;              /**< "*" is among them */
    uint64_t seed;
    size_t size;
    unsigned generator;
    const char *log_hash;
    struct ima_excludes *excludes;
    struct ima_keyring *keys;
    json_t *dm;
};
