/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file action.h
 * An action is run when a node fails (or recovers): on the verifier's side in the action runner, on a node in the
 * agent. Delivery is at least once: an action must be idempotent. Blocking is allowed up to the deadline.
 */
#pragma once
#include <jansson.h>

#include <quicklime/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Sites an action serves; flags in the component's head. */
#define QL_SITE_VERIFIER   UINT32_C(1)
#define QL_SITE_AGENT      UINT32_C(2)
#define QL_SITE_PRIVILEGED UINT32_C(4) /**< as root, through quicklime-actiond */

/** One revocation event. All pointers are borrowed. */
struct ql_event {
    uint32_t size;
    const uint8_t *message; /**< the exact signed bytes */
    size_t message_len;
    const json_t *msg;         /**< the same, parsed */
    const char *signature;     /**< base64, "" when the verifier has no key */
    const char *agent_id;      /**< the failing agent */
    const char *agent_address; /**< its address as the verifier knows it, "" if none */
    const char *severity;      /**< label */
    const char *event_id;
    const char *metadata; /**< JSON text as uploaded with the agent */
    uint32_t attempt;     /**< from 1 */
    /* since release 0.2 */
    const char
        *type; /**< "revocation", "comm_error"; the verifier's own actions see more: see the plugin guide */
};

/** Flag of ql_action_ctx: say what would be done and do nothing. Set only for components that have QL_ACTION_CAN_DRY_RUN. */
#define QL_ACTION_DRY_RUN UINT32_C(1)
/** Flag of a component's head, beside its sites: the action obeys QL_ACTION_DRY_RUN. */
#define QL_ACTION_CAN_DRY_RUN UINT32_C(0x10000)

/** Where and with which rights the action runs. */
struct ql_action_ctx {
    uint32_t size;
    uint32_t site;        /**< one QL_SITE_… */
    const char *work_dir; /**< a folder the action may use */
    /* since release 0.2 */
    uint32_t flags;          /**< QL_ACTION_DRY_RUN or 0 */
    const char *certificate; /**< PEM of this node's own certificate, "" if it has none */
    const json_t *settings;  /**< object: what the configuration says to this action; values are texts */
};

/** Component of kind QL_KIND_ACTION. */
struct ql_action {
    struct ql_component head;
    /** @retval 0 done @retval QL_EAGAIN run me again later @return other: given up, logged */
    int (*run)(void *plugin, const struct ql_event *event, const struct ql_action_ctx *ctx,
               struct ql_err *err);
    /* since release 0.2 */
    /**
     * Called once before the first run, where the action lives as long as its host (the verifier's runner): listen,
     * connect. NULL: nothing to do. A failure is logged, and tried again before the next run.
     */
    int (*open)(void *plugin, const struct ql_action_ctx *ctx, struct ql_err *err);
};

#ifdef __cplusplus
}
#endif
