/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file board.h
 * What the simulated agents have done, in a file that all their processes and the driver map: one row of 2 KiB an agent.
 * All numbers are 64 bits in the machine's own order. fleet.py reads the same layout.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <quicklime/error.h>

enum {
    BOARD_STAMPS = 249 /**< last quotes of an agent whose time is kept: minutes, at an interval of 1 s */
};

/** One agent. Written by its process alone; counters rise after what they count was handed to the kernel's door. */
struct board_row {
    _Atomic uint64_t quotes;        /**< right ones */
    _Atomic uint64_t lies;          /**< quotes over another nonce */
    _Atomic uint64_t vkeys, others; /**< other requests: V, and all the rest */
    _Atomic uint64_t
        stamp_count; /**< quotes asked for; the last is in stamps[(stamp_count - 1) % BOARD_STAMPS] */
    _Atomic int64_t stamps[BOARD_STAMPS]; /**< CLOCK_MONOTONIC, ns, when the request was read */
    _Atomic uint64_t revocations;         /**< notifications, in `others`, too */
    _Atomic int64_t revoked_ns;           /**< CLOCK_MONOTONIC, ns, when the last of them was read */
};
_Static_assert(sizeof(struct board_row) == 2048, "fleet.py reads rows of 2 KiB");

/** Make the file and map it. @param[out] ret rows, mapped until the process ends */
int board_make(const char *path, size_t agents, struct board_row **ret, struct ql_err *err);
/** A quote was asked for. */
void board_stamp(struct board_row *row);
