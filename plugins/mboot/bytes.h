/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file bytes.h
 * Little-endian numbers out of foreign bytes. The caller has checked that they are there.
 */
#pragma once
#include <stdint.h>

static inline uint16_t mb_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t mb_u32(const uint8_t *p)
{
    return (uint32_t)mb_u16(p) | (uint32_t)mb_u16(p + 2) << 16;
}

static inline uint64_t mb_u64(const uint8_t *p)
{
    return (uint64_t)mb_u32(p) | (uint64_t)mb_u32(p + 4) << 32;
}
