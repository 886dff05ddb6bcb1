/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file frame.h
 * Messages between a daemon and its worker over a SOCK_SEQPACKET pair: version, kind, job number, then items
 * of (tag, length, bytes). An item above QL_FRAME_INLINE_MAX travels as a sealed memfd beside the frame.
 *
 * The encoder knows the tags below and no others: there is no tag for V, revocation keys or passwords
 * (decision 12).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

#include "cleanup.h"

enum {
    QL_FRAME_VERSION = 1,
    QL_FRAME_INLINE_MAX = 64 * 1024, /**< bytes of one frame on the socket, all inline items together */
    QL_FRAME_ITEMS_MAX = 128,
    QL_FRAME_FDS_MAX = 32,
    QL_FRAME_MAPPED_MAX = 512 * 1024 * 1024 /**< bytes of one memfd item */
};

/** Kinds of frames. */
enum ql_frame_kind {
    QL_FRAME_HELLO = 1,  /**< parent → worker: how to set up; worker → parent: sandbox closed, ready */
    QL_FRAME_JOB = 2,    /**< parent → worker */
    QL_FRAME_RESULT = 3, /**< worker → parent */
    QL_FRAME_NEED_POLICY = 4, /**< worker → parent: job waits for the policy with this digest */
    QL_FRAME_POLICY = 5,      /**< parent → worker; without a POLICY item: there is none */
    QL_FRAME_ENTERING = 6 /**< worker → parent: name of the validator about to run (second attempts only) */
};

/** What a job is. */
enum ql_job_type {
    QL_JOB_ATTEST = 1, /**< one attestation of the polling loop */
    QL_JOB_CHECK_AGENT =
        2, /**< fields of an addition: AK, certificate, policies → mask and needs, or a reason */
    QL_JOB_CHECK_POLICY = 3, /**< a policy at upload → needs, or a reason */
    QL_JOB_ONESHOT = 4,      /**< body of /verify/evidence → result object */
    QL_JOB_IDENTITY = 5,     /**< quote of /verify/identity → result object */
    QL_JOB_REGISTER =
        6, /**< registrar: fields of a registration → canonical bytes and the EK's parts, or a reason */
    QL_JOB_PARSE = 7 /**< API body above 64 KiB → checked JSON, members as items */
};

/** Items. One number space; u64 items are 8 bytes big-endian, text has no NUL. */
enum ql_tag {
    QL_TAG_JOB_TYPE = 1,
    QL_TAG_AGENT_ID,
    QL_TAG_GENERATION,
    QL_TAG_STATE_NUMBER,
    QL_TAG_ATTEMPT,
    QL_TAG_AK = 16, /**< TPM2B_PUBLIC */
    QL_TAG_NONCE,
    QL_TAG_MASK,
    QL_TAG_ANSWER,
    QL_TAG_STORED_PUBKEY,
    QL_TAG_CLOCK /**< to a worker: JSON; from it: u64 clock, u32 resets, u32 restarts, u8 safe */,
    QL_TAG_ACCEPT /**< JSON */,
    QL_TAG_FLAGS,
    QL_TAG_EXPECTED_ENTRY,
    QL_TAG_OPTIONS,
    QL_TAG_RETRIES,
    QL_TAG_DIGEST /**< 32 bytes, one a policy */,
    QL_TAG_VALIDATOR /**< name; precedes the item it belongs to */,
    QL_TAG_POLICY /**< bytes */,
    QL_TAG_STATE /**< blob */,
    QL_TAG_BODY,
    QL_TAG_CERT,
    QL_TAG_EK,
    QL_TAG_IAK,
    QL_TAG_IDEVID,
    QL_TAG_EK_CERT,
    QL_TAG_IAK_CERT,
    QL_TAG_IDEVID_CERT,
    QL_TAG_IAK_ATTEST,
    QL_TAG_IAK_SIGN,
    QL_TAG_FACTS,
    QL_TAG_SIGNING_KEY /**< text "NAME\nPEM", see runtime_policy.h */,
    QL_TAG_VERDICT = 64, /**< u64 of enum ql_verdict_kind */
    QL_TAG_FAILURES,     /**< JSON array of {event_id, severity, recoverable, context} */
    QL_TAG_ALGS,         /**< three lines: hash, encryption, signing algorithm; empty: none */
    QL_TAG_PUBKEY,
    QL_TAG_NK_N,
    QL_TAG_NK_E,
    QL_TAG_NEW_STATE,
    QL_TAG_CURSORS,
    QL_TAG_NEEDS /**< JSON */,
    QL_TAG_ERROR_CODE,
    QL_TAG_ERROR_TEXT,
    QL_TAG_RESULT /**< JSON */,
    QL_TAG_HTTP,
    QL_TAG_NAME /**< bytes */,
    QL_TAG_REASONS,
    QL_TAG_CPU_NS,
    QL_TAG_EK_PUBLIC, /**< fields of an EK, fixed layout: jobs_register.c */
    QL_TAG_FULL,      /**< u64: 1 = the next quote must be asked in full */
    QL_TAG_GENERATOR  /**< u64: who made a runtime policy */
};

/** One item of a received frame; borrowed from it. */
struct ql_item {
    uint16_t tag;
    const uint8_t *data; /**< inline bytes or a read-only mapping; never NULL */
    size_t len;
    int fd; /**< memfd of a large item in a frame being built; -1: inline, or received (then it is mapped) */
};

/** A frame being built, or received. */
struct ql_frame {
    uint8_t kind;
    uint64_t job;
    uint16_t count;
    struct ql_item items[QL_FRAME_ITEMS_MAX];
    void *backing; /**< owned memory, mappings and descriptors: frame.c */
};

struct ql_frame *ql_frame_new(enum ql_frame_kind kind, uint64_t job); /**< NULL: no memory */
void ql_frame_free(struct ql_frame *f);
QL_DEFINE_CLEANUP(struct ql_frame, ql_frame_free)
/**
 * Copies @p data; large ones into a sealed memfd. After a failed addition all later ones and the sending fail
 * too, so that one check at the end of a row of additions is enough.
 * @retval QL_ELIMIT @retval QL_ENOMEM @retval QL_EIO
 */
int ql_frame_add(struct ql_frame *f, enum ql_tag tag, const void *data, size_t len, struct ql_err *err);
int ql_frame_add_text(struct ql_frame *f, enum ql_tag tag, const char *text, struct ql_err *err);
int ql_frame_add_u64(struct ql_frame *f, enum ql_tag tag, uint64_t v, struct ql_err *err);
/** Add a sealed memfd (a duplicate is kept). */
int ql_frame_add_fd(struct ql_frame *f, enum ql_tag tag, int fd, size_t len, struct ql_err *err);
/** n-th item of a tag; NULL: none, or its memory could not be mapped. */
const struct ql_item *ql_frame_get(const struct ql_frame *f, enum ql_tag tag, size_t n);
/** @retval QL_ENOTFOUND @retval QL_EPARSE not 8 bytes */
int ql_frame_get_u64(const struct ql_frame *f, enum ql_tag tag, uint64_t *ret);
/** Text item as a NUL-ended copy, caller frees; NULL: absent, holds NUL, or no memory. */
char *ql_frame_get_text(const struct ql_frame *f, enum ql_tag tag, size_t n);

/** Send; blocks unless the socket is non-blocking (then QL_EAGAIN). */
int ql_frame_send(int sock, const struct ql_frame *f, struct ql_err *err);
/** Receive and check one. @retval QL_EAGAIN @retval QL_ECLOSED @retval QL_EPARSE anything out of form */
int ql_frame_recv(int sock, struct ql_frame **ret, struct ql_err *err);
/**
 * Parse the bytes of a frame with descriptors received apart. On success the frame owns @p fds, else they
 * stay yours.
 */
int ql_frame_parse(const uint8_t *data, size_t len, const int *fds, size_t fd_count, struct ql_frame **ret,
                   struct ql_err *err);
