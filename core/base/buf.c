/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <quicklime/error.h>

#include "buf.h"
#include "secret.h"

enum {
    FIRST_ROOM = 64
};

void ql_buf_done(struct ql_buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->room = 0;
}

void ql_buf_wipe(struct ql_buf *b)
{
    if (b->data)
        ql_wipe(b->data, b->room);
    ql_buf_done(b);
}

/* Room for @p more bytes and the NUL. Grown by doubling; the old bytes are wiped, they may be a secret's. */
static int reserve(struct ql_buf *b, size_t more)
{
    size_t need, room;
    uint8_t *data;

    if (b->failed)
        return QL_ELIMIT;
    if (more > b->max_len - b->len) {
        b->failed = true;
        return QL_ELIMIT;
    }
    need = b->len + more + 1;
    if (need <= b->room)
        return QL_OK;
    room = b->room > 0 ? b->room : FIRST_ROOM;
    while (room < need)
        room = room > SIZE_MAX / 2 ? need : room * 2;
    data = malloc(room);
    if (!data) {
        b->failed = true;
        return QL_ENOMEM;
    }
    if (b->data) {
        memcpy(data, b->data, b->len);
        ql_wipe(b->data, b->len);
        free(b->data);
    }
    b->data = data;
    b->room = room;
    return QL_OK;
}

int ql_buf_add(struct ql_buf *b, const void *data, size_t len)
{
    int r = reserve(b, len);

    if (r < 0)
        return r;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return QL_OK;
}

int ql_buf_add_text(struct ql_buf *b, const char *text)
{
    return ql_buf_add(b, text, strlen(text));
}

int ql_buf_add_u8(struct ql_buf *b, uint8_t v)
{
    return ql_buf_add(b, &v, 1);
}

int ql_buf_add_u16be(struct ql_buf *b, uint16_t v)
{
    uint8_t bytes[2] = {(uint8_t)(v >> 8), (uint8_t)v};

    return ql_buf_add(b, bytes, sizeof bytes);
}

int ql_buf_add_u32be(struct ql_buf *b, uint32_t v)
{
    uint8_t bytes[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

    return ql_buf_add(b, bytes, sizeof bytes);
}

int ql_buf_add_u64be(struct ql_buf *b, uint64_t v)
{
    int r = ql_buf_add_u32be(b, (uint32_t)(v >> 32));

    return r < 0 ? r : ql_buf_add_u32be(b, (uint32_t)v);
}

int ql_buf_add_u16le(struct ql_buf *b, uint16_t v)
{
    uint8_t bytes[2] = {(uint8_t)v, (uint8_t)(v >> 8)};

    return ql_buf_add(b, bytes, sizeof bytes);
}

int ql_buf_add_u32le(struct ql_buf *b, uint32_t v)
{
    uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};

    return ql_buf_add(b, bytes, sizeof bytes);
}

int ql_buf_add_tpm2b(struct ql_buf *b, const void *data, size_t len)
{
    int r;

    if (len > UINT16_MAX) {
        b->failed = true;
        return QL_ELIMIT;
    }
    r = ql_buf_add_u16be(b, (uint16_t)len);
    return r < 0 ? r : ql_buf_add(b, data, len);
}

int ql_buf_addf(struct ql_buf *b, const char *fmt, ...)
{
    va_list ap;
    int len, r;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0) {
        b->failed = true;
        return QL_EINTERNAL;
    }
    r = reserve(b, (size_t)len);
    if (r < 0)
        return r;
    va_start(ap, fmt);
    (void)vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, ap); /* its length was just taken */
    va_end(ap);
    b->len += (size_t)len;
    return QL_OK;
}

uint8_t *ql_buf_take(struct ql_buf *b, size_t *ret_len)
{
    if (b->failed || !b->data)
        return NULL;
    if (ret_len)
        *ret_len = b->len;
    b->len = b->room = 0;
    return ql_steal(b->data);
}
