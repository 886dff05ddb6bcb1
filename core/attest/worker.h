/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file worker.h
 * The worker program: set-up by its first frame, sandbox, job after job. Everything it needs comes by
 * inherited descriptors: 3 is the socket, then one for each plugin.
 */
#pragma once

enum {
    QL_WORKER_SOCKET = 3,
    QL_WORKER_PLUGINS = 4,    /**< first plugin's descriptor */
    QL_WORKER_NO_MEMORY = 71, /**< exit: a job did not fit into memory */
    QL_WORKER_FAULT = 70      /**< exit: the daemon sent something that is no job */
};

/**
 * Members of the set-up, JSON in item OPTIONS of the parent's HELLO: plugins [{name, lua}], memory_max
 * (bytes), wall_ms, options {group: {option: value}}, log_level (0 error … 3 debug).
 */
int ql_worker_main(void);
