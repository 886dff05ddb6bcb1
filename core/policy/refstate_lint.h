/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file refstate_lint.h
 * What is allowed in a reference state of the policies `example` and `strict`, and still worth a look: it judges nothing, no
 * node can pass, or more nodes pass than was meant.
 *
 * Layer: policy. Pure.
 */
#pragma once
#include <jansson.h>
#include <stddef.h>

#include <quicklime/plugin.h>

/** @param policy "example" or "strict" @param warn told of each finding, one line without its end @return how many there were */
size_t ql_refstate_lint(const struct ql_host *host, const char *policy, const json_t *refstate,
                        void (*warn)(void *arg, const char *text), void *arg);
