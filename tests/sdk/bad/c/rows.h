/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file rows.h
 * Fine: a plugin whose author had another struct ql_option and struct ql_need. The includer defines OPTION and NEED, and
 * what it puts behind a row (MORE_OPTION, MORE_NEED).
 */
#pragma once
#include "fixture.h"

static int rows_start(const struct ql_host *host, const struct ql_options *o, void **plugin,
                      struct ql_err *err)
{
    (void)plugin;
    return host->fail(err, QL_ERANGE, "first=%d second=%s third=%s", (int)o->get_int(o, "first"),
                      o->get_string(o, "second"), o->get_item(o, "third", 1));
}

static int rows_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    static const NEED items[] = {
        {.size = sizeof(NEED), .evidence = "one", .bound = QL_BOUND_NONCE MORE_NEED},
        {.size = sizeof(NEED), .evidence = "two", .bound = QL_BOUND_PCR, .pcr = 16 MORE_NEED},
    };

    (void)plugin, (void)compiled, (void)err;
    ret->pcr_mask = UINT32_C(1) << 16;
    ret->items = (const struct ql_need *)(const void *)items;
    ret->item_count = 2;
    return QL_OK;
}

static const struct ql_validator rows_validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = ROWS_NAME},
    .prepare = idle_prepare,
    .release = idle_release,
    .needs = rows_needs,
    .validate = idle_validate};

static const OPTION rows[] = {
    {.name = "first", .type = QL_OPT_INT, .max = 9, .preset = "7", .help = "a number" MORE_OPTION},
    {.name = "second", .type = QL_OPT_STRING, .preset = "blue", .help = "a word" MORE_OPTION},
    {.name = "third", .type = QL_OPT_LIST, .preset = "a,b", .help = "words" MORE_OPTION},
    {0}};

extern const struct ql_plugin ql_plugin;
__attribute__((visibility("default"))) const struct ql_plugin ql_plugin = {
    .magic = QL_PLUGIN_MAGIC,
    .size = sizeof(struct ql_plugin),
    .abi_major = QL_ABI_MAJOR,
    .abi_minor = QL_ABI_MINOR,
    .name = ROWS_NAME,
    .version = "1.0",
    .license = "Apache-2.0",
    .summary = "has rows of another size",
    .options = (const struct ql_option *)(const void *)rows,
    .components = (const struct ql_component *const[]){&rows_validator.head, NULL},
    .init = ROWS_INIT,
    .option_size = sizeof(OPTION)};
