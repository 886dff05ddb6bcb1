/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file kit.h
 * What every worker of a pool is started with: program and plugins as they were when the pool was made, and the frame
 * that tells it what to load. Private to the pool.
 */
#pragma once
#include "pool.h"
#include "spawn.h"

struct ql_kit {
    struct ql_spawn spawn;
    struct ql_frame *setup; /**< the first frame to a worker */
};

/**
 * Open what @p config names.
 * @param[out] ret  in place; ql_kit_done() after a failure, too
 * @retval QL_ENOTFOUND a file is missing @retval QL_ELIMIT too many plugins, or files that they read
 */
int ql_kit_init(const struct ql_pool_config *config, struct ql_kit *ret, struct ql_err *err);
void ql_kit_done(struct ql_kit *k);
