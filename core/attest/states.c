/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "buf.h"
#include "error.h"
#include "parse.h"
#include "reader.h"
#include "states.h"

/*
 * u8 1 | u8 count | per state: u8 name length | name | 32 bytes policy digest | u32 version | u32 length |
 * bytes
 */
enum {
    LAYOUT = 1
};

int ql_states_read(const uint8_t *blob, size_t len, struct ql_kept_state *ret, size_t *ret_count,
                   struct ql_err *err)
{
    struct ql_kept_state states[QL_POLICIES_MAX];
    struct ql_reader r = ql_reader_of(blob, len);
    unsigned layout, count;

    if (len == 0) {
        *ret_count = 0;
        return QL_OK;
    }
    if (len > QL_STATES_MAX_LEN)
        return ql_fail(err, QL_EPARSE, "kept states of %zu bytes, at most %u", len,
                       (unsigned)QL_STATES_MAX_LEN);
    layout = ql_reader_u8(&r);
    count = ql_reader_u8(&r);
    if (layout != LAYOUT)
        return ql_fail(err, QL_EPARSE, "kept states of layout %u, wanted %d", layout, LAYOUT);
    if (count > QL_POLICIES_MAX)
        return ql_fail(err, QL_EPARSE, "%u kept states, at most %d", count, QL_POLICIES_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct ql_kept_state *s = &states[i];
        size_t name_len = ql_reader_u8(&r);
        const uint8_t *name = ql_reader_bytes(&r, name_len), *digest = ql_reader_bytes(&r, 32);

        if (r.failed || name_len >= sizeof s->validator ||
            !ql_component_name_ok((const char *)name, name_len))
            return ql_fail(err, QL_EPARSE, "kept state %u has no proper validator name", i);
        *s = (struct ql_kept_state){0};
        memcpy(s->validator, name, name_len);
        memcpy(s->policy, digest, sizeof s->policy);
        s->version = ql_reader_u32be(&r);
        s->len = ql_reader_u32be(&r);
        if (s->len > QL_STATE_MAX_LEN)
            return ql_fail(err, QL_EPARSE, "kept state of %s has %zu bytes, at most %u", s->validator, s->len,
                           QL_STATE_MAX_LEN);
        s->data = ql_reader_bytes(&r, s->len);
    }
    if (!ql_reader_done(&r))
        return ql_fail(err, QL_EPARSE, "kept states cut short or with bytes left over");
    if (count > 0)
        memcpy(ret, states, count * sizeof *states);
    *ret_count = count;
    return QL_OK;
}

int ql_states_write(const struct ql_kept_state *states, size_t count, uint8_t **ret, size_t *ret_len,
                    struct ql_err *err)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(QL_STATES_MAX_LEN);

    if (count > QL_POLICIES_MAX)
        return ql_fail(err, QL_ELIMIT, "%zu states, at most %d", count, QL_POLICIES_MAX);
    ql_buf_add_u8(&b, LAYOUT);
    ql_buf_add_u8(&b, (uint8_t)count);
    for (size_t i = 0; i < count; i++) {
        const struct ql_kept_state *s = &states[i];

        if (s->len > QL_STATE_MAX_LEN)
            return ql_fail(err, QL_ELIMIT, "state of %s has %zu bytes, at most %u", s->validator, s->len,
                           QL_STATE_MAX_LEN);
        ql_buf_add_u8(&b, (uint8_t)strlen(s->validator));
        ql_buf_add_text(&b, s->validator);
        ql_buf_add(&b, s->policy, sizeof s->policy);
        ql_buf_add_u32be(&b, s->version);
        ql_buf_add_u32be(&b, (uint32_t)s->len);
        ql_buf_add(&b, s->data, s->len);
    }
    if (b.failed)
        return ql_fail_nomem(err);
    *ret = ql_buf_take(&b, ret_len);
    return *ret ? QL_OK : ql_fail_nomem(err);
}
