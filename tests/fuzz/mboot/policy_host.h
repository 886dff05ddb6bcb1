/* SPDX-License-Identifier: Apache-2.0 */
/** @file policy_host.h  Policies under limits that end in milliseconds, asked about a small tree. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "policy.h"
#include "registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct policy_host {
    struct ql_registry *registry;
    struct mb_workshop shop;
    json_t *tree;
};

/** Made once. */
static inline struct policy_host *policy_host(void)
{
    static const char tree[] =
        "{\"version\":2,\"events\":["
        "{\"EventNum\":0,\"PCRIndex\":0,\"EventType\":\"EV_NO_ACTION\",\"Digest\":\"00\",\"EventSize\":33,"
        "\"SpecID\":[{}]},"
        "{\"EventNum\":1,\"PCRIndex\":7,\"EventType\":\"EV_EFI_VARIABLE_DRIVER_CONFIG\",\"Digests\":[{"
        "\"AlgorithmId\":"
        "\"sha256\",\"Digest\":\"00ff\"}],\"Event\":{\"VariableName\":\"8be4df61-93ca-11d2-aa0d-"
        "00e098032b8c\","
        "\"UnicodeName\":\"SecureBoot\",\"VariableData\":{\"Enabled\":\"Yes\"}},\"verified\":true},"
        "{\"EventNum\":2,\"PCRIndex\":7,\"EventType\":\"EV_SEPARATOR\",\"Digests\":[{\"AlgorithmId\":"
        "\"sha256\",\"Digest\":"
        "\"df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119\"}],\"Event\":\"00000000\","
        "\"verified\":true},"
        "{\"EventNum\":3,\"PCRIndex\":8,\"EventType\":\"EV_IPL\",\"Digests\":[],\"Event\":{\"String\":\"grub_"
        "cmd: linux x\"}}],"
        "\"pcrs\":{},\"boot_aggregates\":{}}";
    static struct policy_host h;
    static const struct ql_host *host;
    const struct ql_registry_config config = {.lua_memory = 4u * 1024 * 1024, .lua_instructions = 300 * 1000};

    if (h.tree)
        return &h;
    if (ql_registry_new(&config, &h.registry, NULL) < 0 ||
        ql_host_new(h.registry, "mboot", 64u * 1024 * 1024, &host, NULL) < 0)
        abort();
    h.shop.host = host;
    if (mb_hasher_new(host, &h.shop.hasher, NULL) < 0)
        abort();
    h.tree = json_loads(tree, 0, NULL);
    if (!h.tree)
        abort();
    return &h;
}

/** Compile and ask twice: the answers are the same, and a reason is there exactly when it rejects. */
static inline void policy_ask(struct policy_host *h, const char *name, json_t *refstate)
{
    char why[MB_REASON_MAX], again[MB_REASON_MAX];
    const struct mb_question q = {.tree = h->tree};
    struct mb_policy *p = NULL;
    bool accepted;

    if (mb_policy_new(&h->shop, name, refstate, &p, NULL) < 0)
        return;
    if (mb_policy_pcrs(p) & ~MB_COLLECTED_PCRS)
        abort();
    accepted = mb_policy_accepts(p, &q, why);
    if (accepted != (why[0] == '\0') || mb_policy_accepts(p, &q, again) != accepted)
        abort();
    mb_policy_free(p);
}
