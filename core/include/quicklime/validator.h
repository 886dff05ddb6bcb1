/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file validator.h
 * A validator judges one kind of claim. It runs in the sandboxed worker: no files, sockets, processes, threads,
 * signals or environment. What it is handed has been proven by core: the quote's signature, nonce, PCR digest and
 * clock. Pass means: returned 0 and reported nothing. There is no other way to say pass.
 */
#pragma once
#include <jansson.h>

#include <quicklime/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QL_STATE_MAX_LEN (256u * 1024u) /**< bytes of state one validator may keep for one agent and policy */

/** Where a policy's bytes come from (`prepare`). */
#define QL_ORIGIN_UPLOAD UINT32_C(1) /**< an operator is waiting: be strict, name line and place */
#define QL_ORIGIN_STORED UINT32_C(2) /**< accepted earlier */

/** How a piece of evidence is bound to the quote. */
#define QL_BOUND_NONCE UINT32_C(1) /**< its digest is folded into the quote's qualifying data */
#define QL_BOUND_PCR   UINT32_C(2) /**< its digests were extended into PCR `pcr` */

#define QL_NEED_PARAMETERS_MAX 1024u /**< bytes of a need's parameters */

/** Flags of a need. */
#define QL_NEED_OPTIONAL UINT32_C(1) /**< `validate` runs without it, too, and judges that it is not there */

/** One evidence item that a policy needs. All items of an array have the `size` of the first. */
struct ql_need {
    uint32_t size;          /**< sizeof(struct ql_need) of the author */
    const char *evidence;   /**< evidence component's name */
    uint32_t bound;         /**< QL_BOUND_… */
    uint32_t pcr;           /**< with QL_BOUND_PCR */
    const char *parameters; /**< JSON text for the collector, at most QL_NEED_PARAMETERS_MAX bytes, or NULL */
    uint32_t flags;         /**< QL_NEED_…; 0 in structs without it */
};

/** What a compiled policy needs; filled by `needs`, strings owned by the compiled policy. */
struct ql_needs {
    uint32_t size;
    uint32_t pcr_mask;           /**< bit n: PCR n must be quoted */
    const struct ql_need *items; /**< NULL when item_count is 0 */
    size_t item_count;
};

/** Bytes of one evidence item, one read-only mapping. */
struct ql_evidence_data {
    uint32_t size;
    const uint8_t *data;
    size_t len;
    uint64_t cursor_from; /**< where these bytes begin, in the collector's own counting */
    uint64_t cursor_to;   /**< where to go on */
};

/** Proven facts about one attestation. All pointers are borrowed and valid until `validate` returns. */
struct ql_attest {
    uint32_t size;
    const char *agent_id;
    const char *hash_alg; /**< bank of the quoted PCRs: "sha1", "sha256", "sha384", "sha512" */
    uint64_t clock;       /**< TPM clock, ms */
    uint32_t reset_count, restart_count;
    uint32_t is_first;     /**< 1: no state is kept or the node rebooted since */
    const json_t *options; /**< the agent's own options from the API, an object; never NULL */
    const void *ctx;       /**< the host's */
    /** @return value of PCR n as covered by the signed quote and its length, or NULL: not quoted */
    const uint8_t *(*pcr)(const struct ql_attest *a, uint32_t n, size_t *len);
    /** @return 0, or QL_ENOTFOUND: not in the answer (a need that is not met never reaches `validate`, unless it is optional) */
    int (*evidence)(const struct ql_attest *a, const char *name, struct ql_evidence_data *ret);
    /** @return fact published by a validator named in `after` (or by core: "core.NAME"), borrowed, or NULL */
    const json_t *(*fact)(const struct ql_attest *a, const char *name);
};

/** Where a validator writes its findings. */
struct ql_report {
    uint32_t size;
    void *ctx; /**< the host's */
    /**
     * Report one failure. @p event_id begins with the validator's name unless it is one of Keylime's;
     * @p severity a label or NULL (severity policy decides); @p recoverable 1 or 0; @p context an object, borrowed.
     */
    int (*fail)(struct ql_report *r, const char *event_id, const char *severity, uint32_t recoverable,
                const json_t *context);
    /** Publish a fact for later validators and the status; borrowed. Thrown away when the attestation fails. */
    int (*fact)(struct ql_report *r, const char *name, const json_t *value);
    /** Where to go on with an evidence item at the next quote. */
    int (*cursor)(struct ql_report *r, const char *evidence, uint64_t cursor);
    /** The evidence and the quote are of different moments: ask again (core allows this three times in a row). */
    int (*retry)(struct ql_report *r, const char *reason);
};

/** State that a validator keeps for one agent and policy. */
struct ql_state {
    uint32_t size;
    uint32_t version;    /**< of the layout; the validator's own counting */
    const uint8_t *data; /**< in: borrowed; out: made with host->alloc, taken over by the caller */
    size_t len;          /**< at most QL_STATE_MAX_LEN; 0: no state */
    uint32_t changed;    /**< out: 1 when `data` replaces the state that came in */
};

/** Receives bytes from `author` and `explain`. */
struct ql_text_sink {
    uint32_t size;
    void *ctx;
    int (*write)(struct ql_text_sink *s, const void *data, size_t len);
};

/** Component of kind QL_KIND_VALIDATOR. `plugin` is what `init` returned. */
struct ql_validator {
    struct ql_component head;
    /**
     * Compile a policy. Called once per policy digest and worker, and at upload.
     * @param policy, len  stay mapped read-only as long as the compiled object lives
     * @param[out] ret_size bytes of memory the object takes, for the cache
     */
    int (*prepare)(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                   size_t *ret_size, struct ql_err *err);
    void (*release)(void *plugin, void *compiled);
    /** Pure: the same answer for the same object, always. */
    int (*needs)(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err);
    /** Judge. A negative return is the failure `NAME.error` of this agent. */
    int (*validate)(void *plugin, const struct ql_attest *attest, const void *compiled,
                    const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                    struct ql_err *err);
    /** Optional: bring state of an older version forward; absent: such state is dropped. */
    int (*upgrade_state)(void *plugin, const struct ql_state *old, struct ql_state *ret, struct ql_err *err);
    /** Optional, in the tool, unsandboxed: `quicklime-policy create NAME …`. */
    int (*author)(void *plugin, int argc, char **argv, struct ql_text_sink *sink, struct ql_err *err);
    /** Optional: say in words what was compared with what. */
    int (*explain)(void *plugin, const void *compiled, const struct ql_attest *attest,
                   struct ql_text_sink *sink, struct ql_err *err);
};

#ifdef __cplusplus
}
#endif
