/* SPDX-License-Identifier: Apache-2.0 */
/* Digests computed again from payloads. */
#include <string.h>

#include "eventlog.h"
#include "hasher.h"
#include "variable.h"

enum {
    LOADER_PCR = 8 /* where GRUB measures commands, each with a label that is not measured */
};

/** One check: an event's digest, and the hash it was made with. */
struct check {
    struct mb_hasher *hasher;
    uint16_t alg;
    size_t len;
    const uint8_t *digest;
    int r; /* QL_OK, or why nothing can be computed */
};

/** Is the digest that of @p a and, behind it, @p b? */
static bool covers(struct check *c, const void *a, size_t a_len, const void *b, size_t b_len)
{
    uint8_t out[MB_DIGEST_MAX];

    c->r = mb_hash(c->hasher, c->alg, a, a_len, b, b_len, out);
    return c->r == QL_OK && memcmp(out, c->digest, c->len) == 0;
}

static bool is_label_char(uint8_t b)
{
    return (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') || b == '_';
}

/** @return bytes of "label: " or "label " at the start, 0: there is none */
static size_t label_len(const uint8_t *p, size_t len)
{
    size_t n = 0;

    while (n < len && is_label_char(p[n]))
        n++;
    if (n == 0)
        return 0;
    if (n < len && p[n] == ':')
        n++;
    return n < len && p[n] == ' ' ? n + 1 : 0;
}

static enum mb_status check_ipl(struct check *c, const struct mb_event *e)
{
    const uint8_t *p = e->payload;
    const size_t len = e->payload_len, label = e->pcr == LOADER_PCR ? label_len(p, len) : 0;

    if (label > 0) {
        if (covers(c, p + label, len - label, NULL, 0))
            return MB_VERIFIED;
        if (c->r == QL_OK && len > label && p[len - 1] == 0 && covers(c, p + label, len - label - 1, NULL, 0))
            return MB_VERIFIED;
        return MB_MISMATCH;
    }
    if (covers(c, p, len, NULL, 0))
        return MB_VERIFIED;
    if (c->r == QL_OK && len % 2 == 1 && covers(c, p, len, "", 1))
        return MB_VERIFIED;
    if (c->r == QL_OK && len % 2 == 0 && len >= 2 && p[len - 2] == 0 && p[len - 1] == 0 &&
        covers(c, p, len - 2, NULL, 0))
        return MB_VERIFIED;
    return MB_UNVERIFIED;
}

static enum mb_status check_boot_variable(struct check *c, const struct mb_event *e)
{
    struct mb_variable v;

    if (covers(c, e->payload, e->payload_len, NULL, 0))
        return MB_VERIFIED;
    if (c->r == QL_OK && !mb_variable_read(e->payload, e->payload_len, &v) &&
        covers(c, v.data, v.data_len, NULL, 0))
        return MB_VERIFIED;
    return MB_MISMATCH;
}

static enum mb_status check_event(struct check *c, const struct mb_event *e)
{
    switch (e->type) {
    case MB_EV_NO_ACTION:
        return MB_UNVERIFIED;
    case MB_EV_SEPARATOR:
    case MB_EV_S_CRTM_VERSION:
    case MB_EV_ACTION:
    case MB_EV_EFI_ACTION:
    case MB_EV_EFI_VARIABLE_DRIVER_CONFIG:
    case MB_EV_EFI_GPT_EVENT:
        return covers(c, e->payload, e->payload_len, NULL, 0) ? MB_VERIFIED : MB_MISMATCH;
    case MB_EV_EFI_VARIABLE_BOOT:
    case MB_EV_EFI_VARIABLE_BOOT2:
        return check_boot_variable(c, e);
    case MB_EV_IPL:
        return check_ipl(c, e);
    default:
        return covers(c, e->payload, e->payload_len, NULL, 0) ? MB_VERIFIED : MB_UNVERIFIED;
    }
}

int mb_log_check_digests(struct mb_hasher *hasher, struct mb_log *log, int bank, struct mb_check *ret,
                         struct ql_err *err)
{
    struct mb_check found = {0};
    struct check c = {.hasher = hasher};

    if (bank < 0 || (uint32_t)bank >= log->bank_count || !log->banks[bank].is_known)
        return log->host->fail(err, QL_ERANGE, "the event log has no such bank");
    c.alg = log->banks[bank].alg;
    c.len = log->banks[bank].digest_len;
    for (uint32_t i = 0; i < log->event_count; i++) {
        struct mb_event *e = &log->events[i];
        enum mb_status status = MB_UNVERIFIED;

        c.digest = mb_event_digest(log, e, bank);
        c.r = QL_OK;
        if (c.digest)
            status = check_event(&c, e);
        if (c.r < 0)
            return log->host->fail(err, c.r, "event %u: %s cannot be computed", i, log->banks[bank].name);
        e->status[bank] = (uint8_t)status;
        found.verified += status == MB_VERIFIED;
        if (status == MB_MISMATCH && found.mismatch++ == 0)
            found.first = i;
    }
    if (ret)
        *ret = found;
    return QL_OK;
}
