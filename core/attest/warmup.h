/* SPDX-License-Identifier: Apache-2.0 */
/** @file warmup.h  Use once what libraries load or open at first use, before a sandbox forbids it. */
#pragma once
#include <quicklime/error.h>

/** OpenSSL's algorithms and random numbers, jansson's seed, the time zone. */
int ql_warmup(struct ql_err *err);
