/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include <string.h>

#include "keyring.h"

enum {
    FIELD_EXTRA =
        32, /* bytes that a field's encoding can be longer than its text: length, ':' and NUL, "sha1:" */
    DATA_ROOM = 1024 /* at first; a file's entry has about a hundred */
};

enum field {
    F_D_LEGACY, /* digest alone, no length */
    F_N_LEGACY, /* name in 256 bytes */
    F_D,
    F_N,
    F_D_NG,
    F_D_NGV2,
    F_N_NG,
    F_SIG,
    F_BUF,
    F_D_MODSIG,
    F_MODSIG,
    F_EVMSIG,
    F_IUID,
    F_IGID,
    F_IMODE,
    F_XATTRNAMES,
    F_XATTRLENGTHS,
    F_XATTRVALUES,
};

/* Ids as a field list writes them; the legacy two have none. */
static const struct {
    const char *id;
    enum field field;
} IDS[] = {
    {"d", F_D},
    {"n", F_N},
    {"d-ng", F_D_NG},
    {"d-ngv2", F_D_NGV2},
    {"n-ng", F_N_NG},
    {"sig", F_SIG},
    {"buf", F_BUF},
    {"d-modsig", F_D_MODSIG},
    {"modsig", F_MODSIG},
    {"evmsig", F_EVMSIG},
    {"iuid", F_IUID},
    {"igid", F_IGID},
    {"imode", F_IMODE},
    {"xattrnames", F_XATTRNAMES},
    {"xattrlengths", F_XATTRLENGTHS},
    {"xattrvalues", F_XATTRVALUES},
};

struct template
{
    char name[IMA_FIELDS_MAX * (IMA_FIELD_ID_MAX + 1)];
    size_t name_len;
    enum ima_kind kind;
    bool has_lookup; /* a digest and a name */
    uint8_t count;
    uint8_t fields[IMA_FIELDS_MAX];
};

#define NAMED(text) .name = text, .name_len = sizeof text - 1, .has_lookup = true

static const struct template TEMPLATES[] = {
    {NAMED("ima-ng"), .kind = IMA_KIND_FILE, .count = 2, .fields = {F_D_NG, F_N_NG}},
    {NAMED("ima-sig"), .kind = IMA_KIND_SIGNED, .count = 3, .fields = {F_D_NG, F_N_NG, F_SIG}},
    {NAMED("ima-buf"), .kind = IMA_KIND_BUFFER, .count = 3, .fields = {F_D_NG, F_N_NG, F_BUF}},
    {NAMED("ima"), .kind = IMA_KIND_FILE, .count = 2, .fields = {F_D_LEGACY, F_N_LEGACY}},
    {NAMED("ima-ngv2"), .kind = IMA_KIND_FILE, .count = 2, .fields = {F_D_NGV2, F_N_NG}},
    {NAMED("ima-sigv2"), .kind = IMA_KIND_SIGNED, .count = 3, .fields = {F_D_NGV2, F_N_NG, F_SIG}},
    {NAMED("ima-modsig"), .kind = IMA_KIND_MODSIG, .count = 5,
     .fields = {F_D_NG, F_N_NG, F_SIG, F_D_MODSIG, F_MODSIG}},
    {NAMED("evm-sig"), .kind = IMA_KIND_EVM, .count = 9,
     .fields = {F_D_NG, F_N_NG, F_EVMSIG, F_XATTRNAMES, F_XATTRLENGTHS, F_XATTRVALUES, F_IUID, F_IGID,
                F_IMODE}},
};

struct ima_reader {
    const struct ql_host *host;
    uint8_t *data;
    size_t room;
    struct template custom; /* the field list seen last */
};

/** An entry on its way. */
struct work {
    struct ima_entry *entry;
    uint8_t *start, *at; /* template data; there is room for every field */
};

int ima_reader_new(const struct ql_host *host, struct ima_reader **ret, struct ql_err *err)
{
    struct ima_reader *r = host->alloc(host, sizeof *r);

    if (!r)
        return host->fail(err, QL_ENOMEM, "ima: no memory");
    *r = (struct ima_reader){.host = host, .data = host->alloc(host, DATA_ROOM), .room = DATA_ROOM};
    if (!r->data) {
        ima_reader_free(r);
        return host->fail(err, QL_ENOMEM, "ima: no memory");
    }
    *ret = r;
    return QL_OK;
}

void ima_reader_free(struct ima_reader *r)
{
    if (!r)
        return;
    r->host->free(r->host, r->data);
    r->host->free(r->host, r);
}

/* Integers of the template data are little-endian. */
static void put_u32(uint8_t *at, size_t v)
{
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
    at[2] = (uint8_t)(v >> 16);
    at[3] = (uint8_t)(v >> 24);
}

static void put(struct work *w, const void *bytes, size_t len)
{
    if (len > 0)
        memcpy(w->at, bytes, len);
    w->at += len;
}

/* Length of what follows, to be filled in when it stands. */
static uint8_t *put_len(struct work *w)
{
    uint8_t *at = w->at;

    w->at += 4;
    return at;
}

static void close_len(struct work *w, uint8_t *len_at)
{
    put_u32(len_at, (size_t)(w->at - len_at) - 4);
}

static bool put_hex(struct work *w, struct ima_bytes text, struct ima_bytes *ret)
{
    if (!ima_hex_decode(text.at, text.len, w->at))
        return false;
    *ret = (struct ima_bytes){w->at, text.len / 2};
    w->at += text.len / 2;
    return true;
}

static size_t colon(struct ima_bytes b)
{
    const uint8_t *at = b.len > 0 ? memchr(b.at, ':', b.len) : NULL;

    return at ? (size_t)(at - b.at) : b.len;
}

static void skip(struct ima_bytes *b, size_t len)
{
    b->at += len;
    b->len -= len;
}

/* A digest without its algorithm can be of two. */
static bool legacy_alg(size_t hex_len, struct ima_bytes *ret)
{
    if (hex_len == 40)
        *ret = (struct ima_bytes){(const uint8_t *)"sha1", 4};
    else if (hex_len == 32)
        *ret = (struct ima_bytes){(const uint8_t *)"md5", 3};
    else
        return false;
    return true;
}

/* "ALG:HEX", or the hex alone of an old digest. */
static bool put_digest(struct work *w, struct ima_bytes text, struct ima_digest *ret)
{
    const size_t at = colon(text);
    uint8_t *len = put_len(w);

    if (at == text.len) {
        if (!legacy_alg(text.len, &ret->alg))
            return false;
    } else {
        ret->alg = (struct ima_bytes){text.at, at};
        skip(&text, at + 1);
        if (colon(text) != text.len)
            return false;
    }
    put(w, ret->alg.at, ret->alg.len);
    put(w, ":", 2); /* and its NUL */
    if (!put_hex(w, text, &ret->bytes))
        return false;
    close_len(w, len);
    return true;
}

/* "TYPE:ALG:HEX". */
static bool put_digest_v2(struct work *w, struct ima_bytes text, struct ima_digest *ret)
{
    const uint8_t *const start = text.at;
    const size_t type = colon(text);
    uint8_t *len = put_len(w);
    size_t at;

    if (type == text.len)
        return false;
    ret->is_verity = ima_bytes_are((struct ima_bytes){start, type}, "verity");
    if (!ret->is_verity && !ima_bytes_are((struct ima_bytes){start, type}, "ima"))
        return false;
    skip(&text, type + 1);
    at = colon(text);
    if (at == text.len)
        return false;
    ret->alg = (struct ima_bytes){text.at, at};
    skip(&text, at + 1);
    put(w, start, type + 1 + at + 1);
    put(w, "", 1);
    if (!put_hex(w, text, &ret->bytes))
        return false;
    close_len(w, len);
    return true;
}

static bool put_bare_digest(struct work *w, struct ima_bytes text, struct ima_digest *ret)
{
    return legacy_alg(text.len, &ret->alg) && put_hex(w, text, &ret->bytes);
}

static void put_text(struct work *w, struct ima_bytes text)
{
    put_u32(w->at, text.len + 1);
    w->at += 4;
    put(w, text.at, text.len);
    *w->at++ = 0;
}

static bool put_field_hex(struct work *w, struct ima_bytes text, struct ima_bytes *ret)
{
    uint8_t *len = put_len(w);

    if (!put_hex(w, text, ret))
        return false;
    close_len(w, len);
    return true;
}

/* What is no signature counts as absent, and is hashed so. */
static void put_signature(struct work *w, struct ima_bytes text)
{
    struct ima_signature header;
    struct ima_bytes sig;
    uint8_t *const start = w->at;

    if (put_field_hex(w, text, &sig) && ima_signature_read(sig.at, sig.len, &header)) {
        w->entry->signature = sig;
        return;
    }
    put_u32(start, 0);
    w->at = start + 4;
}

static bool read_decimal(struct ima_bytes text, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (text.len == 0 || text.len > 10)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text.at[i] - '0');
    }
    *ret = v;
    return v <= max;
}

static bool put_number(struct work *w, struct ima_bytes text, size_t width, uint64_t *ret)
{
    if (!read_decimal(text, width == 2 ? UINT16_MAX : UINT32_MAX, ret))
        return false;
    put_u32(w->at, width);
    w->at += 4;
    for (size_t i = 0; i < width; i++)
        *w->at++ = (uint8_t)(*ret >> (8 * i));
    return true;
}

static bool put_owner(struct work *w, struct ima_bytes text, uint32_t *ret)
{
    uint64_t v = 0;
    const bool ok = put_number(w, text, 4, &v);

    *ret = (uint32_t)v;
    return ok;
}

static bool put_mode(struct work *w, struct ima_bytes text)
{
    uint64_t v = 0;
    const bool ok = put_number(w, text, 2, &v);

    w->entry->mode = (uint16_t)v;
    return ok;
}

static bool put_legacy_name(struct work *w, struct ima_bytes text)
{
    if (text.len > IMA_LEGACY_NAME)
        return false;
    w->entry->name = text;
    put(w, text.at, text.len);
    memset(w->at, 0, IMA_LEGACY_NAME + 1 - text.len);
    w->at += IMA_LEGACY_NAME + 1 - text.len;
    return true;
}

static bool put_field(struct work *w, enum field field, struct ima_bytes text)
{
    struct ima_entry *e = w->entry;
    struct ima_bytes ignored;
    uint8_t *len;

    switch (field) {
    case F_D_LEGACY:
        return put_bare_digest(w, text, &e->digest);
    case F_N_LEGACY:
        return put_legacy_name(w, text);
    case F_D:
        len = put_len(w);
        if (!put_bare_digest(w, text, &e->digest))
            return false;
        close_len(w, len);
        return true;
    case F_N:
    case F_N_NG:
        e->name = text;
        put_text(w, text);
        return true;
    case F_D_NG:
        return put_digest(w, text, &e->digest);
    case F_D_NGV2:
        return put_digest_v2(w, text, &e->digest);
    case F_SIG:
        put_signature(w, text);
        return true;
    case F_BUF:
        return put_field_hex(w, text, &e->buffer);
    case F_D_MODSIG:
        return text.len == 0 ? put_field_hex(w, text, &ignored) : put_digest(w, text, &e->modsig_digest);
    case F_MODSIG:
        return put_field_hex(w, text, &ignored);
    case F_EVMSIG:
        return put_field_hex(w, text, &e->signature);
    case F_IUID:
        return put_owner(w, text, &e->uid);
    case F_IGID:
        return put_owner(w, text, &e->gid);
    case F_IMODE:
        return put_mode(w, text);
    case F_XATTRNAMES:
        e->xattr_names = text;
        put_text(w, text);
        return true;
    case F_XATTRLENGTHS:
        return put_field_hex(w, text, &e->xattr_lengths);
    case F_XATTRVALUES:
        return put_field_hex(w, text, &e->xattr_values);
    }
    return false;
}

static bool field_by_id(struct ima_bytes id, uint8_t *ret)
{
    for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++)
        if (ima_bytes_are(id, IDS[i].id)) {
            *ret = (uint8_t)IDS[i].field;
            return true;
        }
    return false;
}

/* The rules for an entry follow from the fields it has. */
static void classify(struct template *t)
{
    uint32_t has = 0;

    for (size_t i = 0; i < t->count; i++)
        has |= UINT32_C(1) << t->fields[i];
    t->has_lookup = (has & (1U << F_D | 1U << F_D_NG | 1U << F_D_NGV2)) && (has & (1U << F_N | 1U << F_N_NG));
    t->kind = IMA_KIND_FILE;
    if (has & 1U << F_BUF)
        t->kind = IMA_KIND_BUFFER;
    else if (has & 1U << F_EVMSIG)
        t->kind = IMA_KIND_EVM;
    else if (has & 1U << F_D_MODSIG)
        t->kind = IMA_KIND_MODSIG;
    else if (has & 1U << F_SIG)
        t->kind = IMA_KIND_SIGNED;
}

/* A field list; each field once, or what it says would be overwritten. */
static bool custom_read(struct ima_bytes name, struct template *t)
{
    uint32_t seen = 0;

    *t = (struct template){0};
    if (name.len >= sizeof t->name)
        return false;
    memcpy(t->name, name.at, name.len);
    for (struct ima_bytes rest = name;; skip(&rest, 1)) {
        const uint8_t *bar = rest.len > 0 ? memchr(rest.at, '|', rest.len) : NULL;
        const struct ima_bytes id = {rest.at, bar ? (size_t)(bar - rest.at) : rest.len};
        uint8_t field;

        if (t->count == IMA_FIELDS_MAX || !field_by_id(id, &field) || (seen & UINT32_C(1) << field))
            return false;
        seen |= UINT32_C(1) << field;
        t->fields[t->count++] = field;
        skip(&rest, id.len);
        if (!bar)
            break;
    }
    classify(t);
    t->name_len = name.len; /* last: without it the name fits nothing */
    return true;
}

static const struct template *find_template(struct ima_reader *r, struct ima_bytes name)
{
    for (size_t i = 0; i < sizeof TEMPLATES / sizeof *TEMPLATES; i++)
        if (name.len == TEMPLATES[i].name_len && memcmp(name.at, TEMPLATES[i].name, name.len) == 0)
            return &TEMPLATES[i];
    if (name.len == 0)
        return NULL;
    if (name.len == r->custom.name_len && memcmp(name.at, r->custom.name, name.len) == 0)
        return &r->custom;
    return custom_read(name, &r->custom) ? &r->custom : NULL;
}

static bool make_room(struct ima_reader *r, size_t line_len)
{
    const size_t need = line_len + IMA_FIELDS_MAX * FIELD_EXTRA + IMA_LEGACY_NAME + 1;
    uint8_t *grown;

    if (need <= r->room)
        return true;
    grown = r->host->realloc(r->host, r->data, need + need / 2);
    if (!grown)
        return false;
    r->data = grown;
    r->room = need + need / 2;
    return true;
}

enum ima_read ima_entry_read(struct ima_reader *r, struct ima_bytes line, struct ima_entry *ret)
{
    struct work w = {.entry = ret};
    const struct template *t;
    struct ima_bytes rest;

    memset((uint8_t *)ret + sizeof ret->columns, 0, sizeof *ret - sizeof ret->columns);
    if (!ima_columns_read(line, &ret->columns))
        return IMA_READ_BAD;
    t = find_template(r, ret->columns.name);
    if (!t)
        return IMA_READ_BAD;
    if (!make_room(r, line.len))
        return IMA_READ_NOMEM;
    w.start = w.at = r->data;
    rest = ret->columns.rest;
    for (size_t i = 0; i < t->count; i++) {
        struct ima_bytes field = rest;

        if (i + 1 < t->count && !ima_cut(&rest, &field))
            return IMA_READ_BAD;
        if (!put_field(&w, (enum field)t->fields[i], field))
            return IMA_READ_BAD;
    }
    ret->kind = t->kind;
    ret->data = (struct ima_bytes){w.start, (size_t)(w.at - w.start)};
    return t->has_lookup ? IMA_READ_OK : IMA_READ_OPAQUE;
}
