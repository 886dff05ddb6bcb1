/* SPDX-License-Identifier: Apache-2.0 */
#include "emulator.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "encode.h"
#include "entry.h"
#include "error.h"
#include "file.h"
#include "toolhost.h"

enum {
    CHUNK = 64 * 1024
};

/** One bank that is extended. */
struct bank {
    enum ql_hash hash;
    enum ima_alg alg;
    struct ima_replay replay; /* `quoted`: the TPM's PCR at the start */
    bool found;               /* the place up to which the TPM has been extended */
    uint64_t place;           /* entries before it */
};

struct ql_emulator {
    struct ql_tpm *tpm;
    int fd;
    const char *list;
    struct ima_hasher *hasher;
    struct ima_reader *reader;
    enum ima_alg ima_hash;
    struct bank banks[QL_PCR_BANKS];
    size_t bank_count;
    bool is_searching; /* for the places: nothing is extended */
    uint64_t at;       /* bytes of the list that were taken */
    uint64_t number;   /* entries */
    uint8_t *line;     /* what was read and not taken */
    size_t line_len, line_room;
};

/* The value that one bank gets for an entry. */
static int value_of(struct ql_emulator *e, const struct bank *b, const struct ima_entry *entry, uint8_t *ret,
                    struct ql_err *err)
{
    if (ima_entry_is_violation(entry, e->ima_hash)) {
        memset(ret, 0xff, ima_alg_len(b->alg));
        return QL_OK;
    }
    if (!ima_hash(e->hasher, b->alg, entry->data.at, entry->data.len, ret))
        return ql_fail(err, QL_ECRYPTO, "hashing failed");
    return QL_OK;
}

static int check_hash(struct ql_emulator *e, const struct ima_entry *entry, struct ql_err *err)
{
    uint8_t digest[IMA_HASH_MAX];

    if (ima_entry_is_violation(entry, e->ima_hash))
        return QL_OK;
    if (!ima_hash(e->hasher, e->ima_hash, entry->data.at, entry->data.len, digest))
        return ql_fail(err, QL_ECRYPTO, "hashing failed");
    if (entry->columns.hash_len != ima_alg_len(e->ima_hash) ||
        memcmp(digest, entry->columns.hash, entry->columns.hash_len) != 0)
        return ql_fail(err, QL_EPARSE, "%s: entry %llu: the template hash is not that of its data", e->list,
                       (unsigned long long)e->number);
    return QL_OK;
}

static void print_extend(const uint8_t *digest, size_t len, struct ima_bytes name)
{
    char hex[2 * QL_DIGEST_MAX + 1];

    ql_hex_encode(digest, len, hex);
    printf("extending hash %s for ", hex);
    for (size_t i = 0; i < name.len; i++)
        putchar(name.at[i] >= ' ' && name.at[i] != 0x7f ? name.at[i]
                                                        : '?'); /* no control characters to a terminal */
    putchar('\n');
}

/* Where the TPM stands in the list: the first place whose PCR is its own. */
static int search(struct ql_emulator *e, const struct ima_entry *entry, struct ql_err *err)
{
    uint8_t value[IMA_HASH_MAX];

    for (size_t i = 0; i < e->bank_count; i++) {
        struct bank *b = &e->banks[i];
        int r = b->found ? QL_OK : value_of(e, b, entry, value, err);

        if (r < 0)
            return r;
        if (b->found)
            continue;
        if (!ima_replay_extend(&b->replay, value))
            return ql_fail(err, QL_ECRYPTO, "hashing failed");
        b->found = ima_replay_fits(&b->replay);
        b->place = e->number;
    }
    return QL_OK;
}

/* All banks that lack the entry, in one command. */
static int extend(struct ql_emulator *e, const struct ima_entry *entry, struct ql_err *err)
{
    struct ql_pcr_value values[QL_PCR_BANKS];
    size_t count = 0;

    for (size_t i = 0; i < e->bank_count; i++) {
        const struct bank *b = &e->banks[i];
        int r;

        if (e->number <= b->place)
            continue;
        values[count].bank = b->hash;
        r = value_of(e, b, entry, values[count].digest, err);
        if (r < 0)
            return r;
        print_extend(values[count++].digest, ima_alg_len(b->alg), entry->name);
    }
    return count > 0 ? ql_tpm_pcr_extend(e->tpm, QL_EMULATOR_PCR, values, count, err) : QL_OK;
}

static int take_entry(struct ql_emulator *e, const struct ima_entry *entry, struct ql_err *err)
{
    int r = check_hash(e, entry, err);

    if (r < 0)
        return r;
    return e->is_searching ? search(e, entry, err) : extend(e, entry, err);
}

static int take_line(struct ql_emulator *e, struct ima_bytes line, struct ql_err *err)
{
    struct ima_entry entry;

    if (line.len == 0)
        return QL_OK;
    e->number++;
    switch (ima_entry_read(e->reader, line, &entry)) {
    case IMA_READ_OK:
    case IMA_READ_OPAQUE:
        return take_entry(e, &entry, err);
    case IMA_READ_BAD:
        return ql_fail(err, QL_EPARSE, "%s: entry %llu is not one of a measurement list", e->list,
                       (unsigned long long)e->number);
    case IMA_READ_NOMEM:
        break;
    }
    return ql_fail_nomem(err);
}

/* Take the lines that are complete; the rest waits for its line feed. */
static int take_lines(struct ql_emulator *e, struct ql_err *err)
{
    const uint8_t *at = e->line, *feed, *const end = e->line + e->line_len;
    int r = QL_OK;

    while (r == QL_OK && (feed = memchr(at, '\n', (size_t)(end - at)))) {
        r = take_line(e, (struct ima_bytes){at, (size_t)(feed - at)}, err);
        at = feed + 1;
    }
    e->line_len = (size_t)(end - at);
    memmove(e->line, at, e->line_len);
    return r;
}

static int make_room(struct ql_emulator *e, struct ql_err *err)
{
    uint8_t *grown;

    if (e->line_room - e->line_len >= CHUNK)
        return QL_OK;
    if (e->line_len > IMA_LINE_MAX)
        return ql_fail(err, QL_ELIMIT, "%s: a line of more than %d bytes", e->list, IMA_LINE_MAX);
    grown = realloc(e->line, 2 * e->line_room + CHUNK);
    if (!grown)
        return ql_fail_nomem(err);
    e->line = grown;
    e->line_room = 2 * e->line_room + CHUNK;
    return QL_OK;
}

int ql_emulator_step(struct ql_emulator *e, struct ql_err *err)
{
    for (;;) {
        ssize_t n;
        int r = make_room(e, err);

        if (r < 0)
            return r;
        n = pread(e->fd, e->line + e->line_len, CHUNK, (off_t)e->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ql_fail(err, QL_EIO, "%s: %s", e->list, strerror(errno));
        if (n == 0)
            break;
        e->at += (uint64_t)n;
        e->line_len += (size_t)n;
        r = take_lines(e, err);
        if (r < 0)
            return r;
    }
    fflush(stdout);
    return QL_OK;
}

static int add_bank(struct ql_emulator *e, const char *name, struct ql_err *err)
{
    struct bank *b = &e->banks[e->bank_count];
    uint8_t pcr[QL_DIGEST_MAX];
    int r;

    if (e->bank_count == QL_PCR_BANKS)
        return ql_fail(err, QL_ELIMIT, "more than %d banks", QL_PCR_BANKS);
    if (ql_hash_by_name(name, strlen(name), &b->hash) < 0 ||
        !ima_alg_by_name((const uint8_t *)name, strlen(name), &b->alg))
        return ql_fail(err, QL_ERANGE,
                       "hash algorithm \"%.20s\" is not one of sha1, sha256, sha384 and sha512", name);
    for (size_t i = 0; i < e->bank_count; i++)
        if (e->banks[i].hash == b->hash)
            return QL_OK; /* named twice */
    r = ql_tpm_pcr_read(e->tpm, b->hash, QL_EMULATOR_PCR, pcr, err);
    if (r < 0)
        return r;
    ima_replay_begin(&b->replay, e->hasher, b->alg, pcr);
    b->found = ima_replay_fits(&b->replay);
    e->bank_count++;
    return QL_OK;
}

static int open_list(struct ql_emulator *e, const struct ql_emulator_config *config, struct ql_err *err)
{
    if (!ima_alg_by_name((const uint8_t *)config->ima_hash, strlen(config->ima_hash), &e->ima_hash))
        return ql_fail(err, QL_ERANGE, "hash algorithm \"%.20s\" is not known", config->ima_hash);
    e->list = config->list;
    e->fd = open(config->list, O_RDONLY | O_CLOEXEC);
    return e->fd >= 0 ? QL_OK : ql_fail(err, QL_EIO, "%s: %s", config->list, strerror(errno));
}

int ql_emulator_new(struct ql_tpm *tpm, const struct ql_emulator_config *config, struct ql_emulator **ret,
                    struct ql_err *err)
{
    ql_auto(ql_emulator_freep) struct ql_emulator *e = calloc(1, sizeof *e);
    int r;

    if (!e)
        return ql_fail_nomem(err);
    e->tpm = tpm;
    e->fd = -1;
    /* A TPM of silicon is extended by its kernel, once: a second time would spoil it until the next boot. */
    if (!strstr(ql_tpm_vendor(tpm), "SW"))
        return ql_fail(err, QL_EACCES, "the TPM (vendor \"%s\") is not a software TPM: it is left alone",
                       ql_tpm_vendor(tpm));
    r = ima_hasher_new(&ql_tool_host, &e->hasher, err);
    if (r == QL_OK)
        r = ima_reader_new(&ql_tool_host, &e->reader, err);
    if (r == QL_OK)
        r = open_list(e, config, err);
    for (size_t i = 0; r == QL_OK && i < config->bank_count; i++)
        r = add_bank(e, config->banks[i], err);
    e->is_searching = true;
    if (r == QL_OK)
        r = ql_emulator_step(e, err);
    for (size_t i = 0; r == QL_OK && i < e->bank_count; i++)
        if (!e->banks[i].found)
            r = ql_fail(
                err, QL_ECONFLICT,
                "PCR %d of bank %s fits no place of %s: it was extended by something else; reset the TPM",
                QL_EMULATOR_PCR, ql_hash_name(e->banks[i].hash), e->list);
    if (r < 0)
        return r;
    e->is_searching = false;
    e->at = e->number = e->line_len = 0;
    *ret = ql_steal(e);
    return QL_OK;
}

void ql_emulator_free(struct ql_emulator *e)
{
    if (!e)
        return;
    if (e->fd >= 0)
        close(e->fd);
    ima_reader_free(e->reader);
    ima_hasher_free(e->hasher);
    free(e->line);
    free(e);
}
