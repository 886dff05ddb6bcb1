/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <string.h>

enum {
    FIXED = 1 + 8 * 6 /* bank and six numbers */
};

static const uint8_t *take_u64(const uint8_t *at, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < 8; i++)
        *ret = *ret << 8 | at[i];
    return at + 8;
}

static uint8_t *put_u64(uint8_t *at, uint64_t v)
{
    for (size_t i = 0; i < 8; i++)
        at[i] = (uint8_t)(v >> (56 - 8 * i));
    return at + 8;
}

static bool take_block(const uint8_t **at, const uint8_t *end, struct ima_bytes *ret)
{
    uint64_t len;

    if (end - *at < 8)
        return false;
    *at = take_u64(*at, &len);
    if (len > (uint64_t)(end - *at))
        return false;
    *ret = (struct ima_bytes){*at, (size_t)len};
    *at += len;
    return true;
}

bool ima_state_read(uint32_t version, const uint8_t *data, size_t len, struct ima_state *ret)
{
    struct ima_state s = {0};
    const uint8_t *at = data, *const end = data + len;
    uint64_t boottime;

    if (version != IMA_STATE_VERSION || len < FIXED || *at > IMA_SHA512)
        return false;
    s.bank = (enum ima_alg) * at++;
    at = take_u64(at, &s.next);
    at = take_u64(at, &boottime);
    at = take_u64(at, &s.position);
    at = take_u64(at, &s.lines);
    at = take_u64(at, &s.violations);
    at = take_u64(at, &s.weak);
    s.boottime = (int64_t)boottime;
    if ((size_t)(end - at) < ima_alg_len(s.bank) || s.next == 0 || s.next > INT64_MAX)
        return false;
    memcpy(s.pcr, at, ima_alg_len(s.bank));
    at += ima_alg_len(s.bank);
    if (!take_block(&at, end, &s.rings) || !take_block(&at, end, &s.devices) || at != end)
        return false;
    *ret = s;
    return true;
}

static uint8_t *put_block(uint8_t *at, struct ima_bytes b)
{
    at = put_u64(at, b.len);
    if (b.len > 0)
        memcpy(at, b.at, b.len);
    return at + b.len;
}

int ima_state_write(const struct ql_host *host, const struct ima_state *s, uint8_t **ret, size_t *ret_len,
                    struct ql_err *err)
{
    const size_t pcr_len = ima_alg_len(s->bank), fixed = FIXED + pcr_len + 8 + 8;
    uint8_t *data, *at;
    size_t len;

    if (s->rings.len > QL_STATE_MAX_LEN || s->devices.len > QL_STATE_MAX_LEN ||
        fixed + s->rings.len + s->devices.len > QL_STATE_MAX_LEN)
        return host->fail(err, QL_ELIMIT,
                          "ima: keys (%zu bytes) and devices (%zu bytes) to remember are above %u bytes",
                          s->rings.len, s->devices.len, QL_STATE_MAX_LEN);
    len = fixed + s->rings.len + s->devices.len;
    data = at = host->alloc(host, len);
    if (!data)
        return host->fail(err, QL_ENOMEM, "ima: no memory for state");
    *at++ = (uint8_t)s->bank;
    at = put_u64(at, s->next);
    at = put_u64(at, (uint64_t)s->boottime);
    at = put_u64(at, s->position);
    at = put_u64(at, s->lines);
    at = put_u64(at, s->violations);
    at = put_u64(at, s->weak);
    memcpy(at, s->pcr, pcr_len);
    at = put_block(at + pcr_len, s->rings);
    (void)put_block(at, s->devices); /* the end */
    *ret = data;
    *ret_len = len;
    return QL_OK;
}
