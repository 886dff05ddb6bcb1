/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file evidence.h
 * An evidence component collects one kind of claim on the node, on the agent's TPM thread. It runs with the agent's
 * rights after the privilege drop, but is opened before it, so it may keep descriptors of files only root can open.
 */
#pragma once
#include <quicklime/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Flags in the component's head. */
#define QL_EVIDENCE_BOUND_NONCE UINT32_C(1) /**< collected before the quote; its digest enters the nonce */
#define QL_EVIDENCE_BOUND_PCR   UINT32_C(2) /**< collected after the quote; its digests stand in a PCR */

/** Receives the bytes of one collection, piece by piece. */
struct ql_sink {
    uint32_t size;
    void *ctx;
    /** @retval QL_OK @retval QL_ELIMIT the answer's size limit is reached: stop, set `more` */
    int (*write)(struct ql_sink *s, const void *data, size_t len);
};

/** What a collection ended with. */
struct ql_collected {
    uint32_t size;
    uint64_t
        cursor_from; /**< where the bytes written begin: the cursor asked for, or 0 when that no longer fits */
    uint64_t cursor_to; /**< cursor of the next collection */
    uint32_t more;      /**< 1: ended early, there is more to read */
};

/** Component of kind QL_KIND_EVIDENCE. */
struct ql_evidence {
    struct ql_component head;
    uint32_t pcr; /**< with QL_EVIDENCE_BOUND_PCR: which PCR */
    /** Open before the privilege drop. An absent source is no failure here: `collect` says it, each time. */
    int (*open)(void *plugin, void **handle, struct ql_err *err);
    /**
     * Collect from @p cursor (0: everything; one that no longer fits: everything from 0, and say so).
     * @param parameters JSON text from the validator's needs, or NULL. It came over the network and was not signed by
     *                   the TPM: what is collected must be safe to collect whatever it says
     */
    int (*collect)(void *plugin, void *handle, const char *parameters, uint64_t cursor, struct ql_sink *sink,
                   struct ql_collected *ret, struct ql_err *err);
    void (*close)(void *plugin, void *handle);
    /**
     * Optional: name of the member of Keylime's quote answer that carries this evidence to verifiers which did not
     * ask for it by name ("ima_measurement_list", "mb_measurement_list"); NULL: none.
     */
    const char *legacy_member;
};

#ifdef __cplusplus
}
#endif
