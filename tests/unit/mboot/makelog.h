/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file makelog.h
 * Event logs made from pieces: for tests that need a log with a certain flaw, for the benchmark and for fuzzing seeds.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define MAKE_GLOBAL                                                                                          \
    "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c" /* EFI global variables */
#define MAKE_SECURITY                                                                                        \
    "\xcb\xb2\x19\xd7\x3a\x3d\x96\x45\xa3\xbc\xda\xd0\x0e\x67\x65\x6f" /* image security database */
#define MAKE_X509                                                                                            \
    "\xa1\x59\xc0\xa5\xe4\x94\xa7\x4a\x87\xb5\xab\x15\x5c\x2b\xf0\x72" /* signature type X.509 */
#define MAKE_SHA256                                                                                          \
    "\x26\x16\xc4\xc1\x4c\x50\x92\x40\xac\xa9\x41\xf9\x36\x93\x43\x28" /* signature type SHA-256 */
#define MAKE_OWNER "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"

/** Bytes that grow. */
struct made {
    uint8_t *p;
    size_t len, room;
};

static inline void make_bytes(struct made *m, const void *bytes, size_t len)
{
    if (len > m->room - m->len) {
        m->room = 2 * (m->len + len) + 256;
        m->p = realloc(m->p, m->room);
        if (!m->p)
            abort();
    }
    if (len > 0)
        memcpy(m->p + m->len, bytes, len);
    m->len += len;
}

static inline void make_number(struct made *m, uint64_t n, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const uint8_t b = (uint8_t)(n >> (8 * i));

        make_bytes(m, &b, 1);
    }
}

static inline void make_utf16(struct made *m, const char *ascii)
{
    for (; *ascii; ascii++)
        make_number(m, (unsigned char)*ascii, 2);
}

static inline void make_done(struct made *m)
{
    free(m->p);
    *m = (struct made){0};
}

/** An algorithm of a log that is made. */
struct made_bank {
    uint16_t alg, digest_len;
    const char *name; /**< the library's; NULL: digests are filled with 0x5a */
};

static const struct made_bank MADE_SHA1 = {0x0004, 20, "SHA1"}, MADE_SHA256 = {0x000b, 32, "SHA256"},
                              MADE_SHA384 = {0x000c, 48, "SHA384"};

/** A log under way. */
struct made_log {
    struct made bytes;
    struct made_bank banks[8];
    size_t bank_count;
};

/** Begin a crypto-agile log. */
static inline void make_log(struct made_log *l, const struct made_bank *banks, size_t count)
{
    *l = (struct made_log){.bank_count = count};
    for (size_t i = 0; i < count; i++)
        l->banks[i] = banks[i];
    make_number(&l->bytes, 0, 4);
    make_number(&l->bytes, 3, 4);
    make_bytes(&l->bytes, (const uint8_t[20]){0}, 20);
    make_number(&l->bytes, 28 + 4 * count + 1, 4);
    make_bytes(&l->bytes, "Spec ID Event03", 16);
    make_bytes(&l->bytes, "\0\0\0\0\0\2\0\2", 8);
    make_number(&l->bytes, count, 4);
    for (size_t i = 0; i < count; i++) {
        make_number(&l->bytes, banks[i].alg, 2);
        make_number(&l->bytes, banks[i].digest_len, 2);
    }
    make_number(&l->bytes, 0, 1);
}

/** One event, with digests of @p measured (of the payload when NULL; EV_NO_ACTION: zeros). */
static inline void make_event(struct made_log *l, uint32_t pcr, uint32_t type, const void *payload,
                              size_t len, const void *measured, size_t measured_len)
{
    make_number(&l->bytes, pcr, 4);
    make_number(&l->bytes, type, 4);
    make_number(&l->bytes, l->bank_count, 4);
    for (size_t i = 0; i < l->bank_count; i++) {
        uint8_t digest[64];

        memset(digest, type == 3 ? 0 : 0x5a, sizeof digest);
        if (type != 3 && l->banks[i].name) {
            const EVP_MD *md = EVP_get_digestbyname(l->banks[i].name);

            if (EVP_Digest(measured ? measured : payload, measured ? measured_len : len, digest, NULL, md,
                           NULL) != 1)
                abort();
        }
        make_number(&l->bytes, l->banks[i].alg, 2);
        make_bytes(&l->bytes, digest, l->banks[i].digest_len);
    }
    make_number(&l->bytes, len, 4);
    make_bytes(&l->bytes, payload, len);
}

/** An event whose payload was made; frees it. */
static inline void make_event_of(struct made_log *l, uint32_t pcr, uint32_t type, struct made *payload,
                                 const void *measured, size_t measured_len)
{
    make_event(l, pcr, type, payload->p, payload->len, measured, measured_len);
    make_done(payload);
}

static inline struct made make_variable(const char *guid, const char *name, const void *data, size_t len)
{
    struct made m = {0};

    make_bytes(&m, guid, 16);
    make_number(&m, strlen(name), 8);
    make_number(&m, len, 8);
    make_utf16(&m, name);
    make_bytes(&m, data, len);
    return m;
}

/** A signature list of @p count entries of @p entry_len bytes behind the owner, each filled with its number. */
static inline struct made make_siglist(const char *type, size_t count, size_t entry_len)
{
    struct made m = {0};

    make_bytes(&m, type, 16);
    make_number(&m, 28 + count * (16 + entry_len), 4);
    make_number(&m, 0, 4);
    make_number(&m, 16 + entry_len, 4);
    for (size_t i = 0; i < count; i++) {
        make_bytes(&m, MAKE_OWNER, 16);
        for (size_t n = 0; n < entry_len; n++)
            make_number(&m, i + n, 1);
    }
    return m;
}

static inline struct made make_image(const char *file)
{
    struct made m = {0};
    const size_t name_len = 2 * (strlen(file) + 1);

    make_number(&m, 0x7a000000, 8);
    make_number(&m, 0x100000, 8);
    make_number(&m, 0, 8);
    make_number(&m, 12 + 4 + name_len + 4, 8);
    make_bytes(&m, "\x02\x01\x0c\x00\xd0\x41\x03\x0a\x00\x00\x00\x00", 12);
    make_number(&m, 0x0404, 2);
    make_number(&m, 4 + name_len, 2);
    make_utf16(&m, file);
    make_number(&m, 0, 2);
    make_bytes(&m, "\x7f\xff\x04\x00", 4);
    return m;
}

static inline struct made make_gpt(size_t count)
{
    struct made m = {0};

    make_bytes(&m, "EFI PART", 8);
    for (size_t i = 0; i < 84; i++)
        make_number(&m, i, 1);
    make_number(&m, count, 8);
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < 56; n++)
            make_number(&m, n, 1);
        make_utf16(&m, "root");
        for (size_t n = 0; n < 64; n++)
            make_number(&m, 0, 1);
    }
    return m;
}

static inline void make_variable_event(struct made_log *l, uint32_t pcr, uint32_t type, const char *guid,
                                       const char *name, struct made *data)
{
    struct made m = make_variable(guid, name, data->p, data->len);

    make_event_of(l, pcr, type, &m, NULL, 0);
    make_done(data);
}

/**
 * What a machine with Secure Boot, shim and GRUB logs. Its size is set by the bytes of each certificate, the entries of dbx
 * and the commands of GRUB.
 */
static inline void make_boot(struct made_log *l, size_t cert_len, size_t revoked, size_t commands)
{
    struct made m = {0};

    make_event(l, 0, 0x8, "1\0.\0000\0\0", 8, NULL, 0);
    make_event(l, 0, 0x80000008, "\0\0\x82\0\0\0\0\0\0\0\x0e\0\0\0\0\0", 16, "volume", 6);
    make_bytes(&m, "\1", 1);
    make_variable_event(l, 7, 0x80000001, MAKE_GLOBAL, "SecureBoot", &m);
    m = make_siglist(MAKE_X509, 1, cert_len);
    make_variable_event(l, 7, 0x80000001, MAKE_GLOBAL, "PK", &m);
    m = make_siglist(MAKE_X509, 1, cert_len);
    make_variable_event(l, 7, 0x80000001, MAKE_GLOBAL, "KEK", &m);
    m = make_siglist(MAKE_X509, 1, cert_len);
    make_variable_event(l, 7, 0x80000001, MAKE_SECURITY, "db", &m);
    m = make_siglist(MAKE_SHA256, revoked, 32);
    make_variable_event(l, 7, 0x80000001, MAKE_SECURITY, "dbx", &m);
    make_event(l, 7, 0x4, "\0\0\0", 4, NULL, 0);
    make_event(l, 1, 0x80000009, "\1\0\0\0\0\0\0\0" MAKE_OWNER "\0\0\0\x7f\0\0\0\0", 32, "table", 5);
    make_bytes(&m, "\1\0\2\0", 4);
    make_variable_event(l, 1, 0x80000002, MAKE_GLOBAL, "BootOrder", &m);
    make_number(&m, 1, 4);
    make_number(&m, 4, 2);
    make_utf16(&m, "disk");
    make_number(&m, 0, 2);
    make_bytes(&m, "\x7f\xff\x04\x00", 4);
    make_variable_event(l, 1, 0x80000002, MAKE_GLOBAL, "Boot0001", &m);
    for (uint32_t pcr = 0; pcr < 7; pcr++)
        make_event(l, pcr, 0x4, "\0\0\0", 4, NULL, 0);
    m = make_gpt(3);
    make_event_of(l, 5, 0x80000006, &m, NULL, 0);
    m = make_image("\\EFI\\made\\shimx64.efi");
    make_event_of(l, 4, 0x80000003, &m, "shim", 4);
    make_event(l, 14, 0xd, "MokList", 8, "list", 4);
    m = make_image("\\EFI\\made\\grubx64.efi");
    make_event_of(l, 4, 0x80000003, &m, "grub", 4);
    for (size_t i = 0; i < commands; i++) {
        static const char command[] = "grub_cmd: menuentry 'Made' --class made $menuentry_id_option made-1";

        make_event(l, 8, 0xd, command, sizeof command, command + 10, sizeof command - 11);
    }
    make_event(l, 9, 0xd, "(hd0,gpt2)/vmlinuz", 19, "kernel", 6);
    make_event(l, 8, 0xd, "kernel_cmdline: /vmlinuz ro", 28, "/vmlinuz ro", 11);
    make_event(l, 5, 0x80000007, "Exit Boot Services Invocation", 29, NULL, 0);
}
