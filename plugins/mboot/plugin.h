/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file plugin.h
 * What the plugin keeps from init to fini: handed to every component function as `plugin`.
 */
#pragma once
#include <quicklime/plugin.h>

/** Written by init alone. */
struct mb_plugin {
    const struct ql_host *host;
    const struct ql_options *options;
};
