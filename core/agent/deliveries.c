/* SPDX-License-Identifier: Apache-2.0 */
#include "deliveries.h"

#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "encode.h"
#include "error.h"
#include "file.h"

/*
 * The file: a line for each delivery, oldest first, of boot id, and in hex the digests of the encrypted and of the plain
 * bytes. It is written anew as a whole: 256 lines are 42 KiB, and deliveries are rare.
 */
enum {
    BOOT_LEN = 36,
    HEX_LEN = 2 * QL_DELIVERY_DIGEST,
    LINE_LEN = BOOT_LEN + 1 + HEX_LEN + 1 + HEX_LEN + 1,
    FILE_MAX = QL_DELIVERIES_MAX * LINE_LEN
};

struct delivery {
    char boot[BOOT_LEN + 1];
    uint8_t sealed[QL_DELIVERY_DIGEST], plain[QL_DELIVERY_DIGEST];
};

struct ql_deliveries {
    char *path;
    char boot[BOOT_LEN + 1];
    struct delivery rows[QL_DELIVERIES_MAX];
    size_t count;
};

static int read_row(const char *line, struct delivery *ret)
{
    struct delivery d = {0};

    if (line[BOOT_LEN] != ' ' || line[BOOT_LEN + 1 + HEX_LEN] != ' ' || line[LINE_LEN - 1] != '\n')
        return QL_EPARSE;
    memcpy(d.boot, line, BOOT_LEN);
    if (ql_hex_decode(line + BOOT_LEN + 1, HEX_LEN, d.sealed, sizeof d.sealed, NULL) < 0 ||
        ql_hex_decode(line + BOOT_LEN + 1 + HEX_LEN + 1, HEX_LEN, d.plain, sizeof d.plain, NULL) < 0)
        return QL_EPARSE;
    *ret = d;
    return QL_OK;
}

static int read_rows(struct ql_deliveries *d, struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL;
    size_t len = 0;
    int r = ql_file_read(d->path, FILE_MAX, &text, &len, err);

    if (r == QL_ENOTFOUND)
        return QL_OK; /* the first start */
    if (r < 0)
        return r;
    for (size_t at = 0; at < len; at += LINE_LEN)
        if (len - at < LINE_LEN || read_row((const char *)text + at, &d->rows[d->count++]) < 0)
            return ql_fail(err, QL_ECORRUPT,
                           "%s: line %zu is not of this program; remove the file, after which payloads that "
                           "were delivered before would be taken for new",
                           d->path, at / LINE_LEN + 1);
    return QL_OK;
}

static int read_boot(struct ql_deliveries *d, const char *boot, struct ql_err *err)
{
    ql_auto_free uint8_t *text = NULL;
    size_t len = 0;
    int r;

    if (boot) {
        (void)snprintf(d->boot, sizeof d->boot, "%-36.36s", boot); /* fits */
        return QL_OK;
    }
    r = ql_file_read("/proc/sys/kernel/random/boot_id", 64, &text, &len, err);
    if (r < 0)
        return r;
    if (len < BOOT_LEN)
        return ql_fail(err, QL_EPARSE, "/proc/sys/kernel/random/boot_id is too short");
    memcpy(d->boot, text, BOOT_LEN);
    return QL_OK;
}

int ql_deliveries_open(const char *path, const char *boot, struct ql_deliveries **ret, struct ql_err *err)
{
    ql_auto(ql_deliveries_freep) struct ql_deliveries *d = calloc(1, sizeof *d);
    int r;

    if (!d || !(d->path = strdup(path)))
        return ql_fail_nomem(err);
    r = read_boot(d, boot, err);
    if (r == QL_OK)
        r = read_rows(d, err);
    if (r == QL_OK)
        *ret = ql_steal(d);
    return r;
}

enum ql_delivery_is ql_deliveries_look(const struct ql_deliveries *d, const uint8_t *sealed,
                                       const uint8_t *plain)
{
    enum ql_delivery_is is = QL_DELIVERY_NEW;

    for (size_t i = d->count; i-- > 0;) {
        const struct delivery *row = &d->rows[i];

        if (memcmp(row->sealed, sealed, sizeof row->sealed) == 0)
            return i == d->count - 1 ? QL_DELIVERY_AGAIN : QL_DELIVERY_REPLACED;
        if (memcmp(row->plain, plain, sizeof row->plain) == 0 && strcmp(row->boot, d->boot) == 0)
            is = QL_DELIVERY_SAME;
    }
    return is;
}

static int write_rows(const struct ql_deliveries *d, const struct delivery *rows, size_t count,
                      struct ql_err *err)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(FILE_MAX);
    char sealed[HEX_LEN + 1], plain[HEX_LEN + 1];

    for (size_t i = 0; i < count; i++) {
        ql_hex_encode(rows[i].sealed, sizeof rows[i].sealed, sealed);
        ql_hex_encode(rows[i].plain, sizeof rows[i].plain, plain);
        (void)ql_buf_addf(&b, "%s %s %s\n", rows[i].boot, sealed, plain); /* poisons the buffer */
    }
    return b.failed ? ql_fail_nomem(err) : ql_file_write(d->path, 0600, b.data, b.len, err);
}

int ql_deliveries_add(struct ql_deliveries *d, const uint8_t *sealed, const uint8_t *plain,
                      struct ql_err *err)
{
    ql_auto_free struct delivery *rows = calloc(QL_DELIVERIES_MAX, sizeof *rows);
    const size_t skip = d->count == QL_DELIVERIES_MAX ? 1 : 0, kept = d->count - skip;
    int r;

    if (!rows)
        return ql_fail_nomem(err);
    memcpy(rows, d->rows + skip, kept * sizeof *rows);
    memcpy(rows[kept].boot, d->boot, sizeof rows[kept].boot);
    memcpy(rows[kept].sealed, sealed, sizeof rows[kept].sealed);
    if (plain)
        memcpy(rows[kept].plain, plain, sizeof rows[kept].plain);
    r = write_rows(d, rows, kept + 1, err);
    if (r < 0)
        return r;
    memcpy(d->rows, rows, (kept + 1) * sizeof *rows);
    d->count = kept + 1;
    return QL_OK;
}

void ql_deliveries_free(struct ql_deliveries *d)
{
    if (!d)
        return;
    free(d->path);
    free(d);
}
