/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "rpm.h"

enum {
    ROOM = 1024
};

static size_t put32(uint8_t *out, uint32_t v)
{
    out[0] = (uint8_t)(v >> 24);
    out[1] = (uint8_t)(v >> 16);
    out[2] = (uint8_t)(v >> 8);
    out[3] = (uint8_t)v;
    return 4;
}

static size_t put_row(uint8_t *out, uint32_t tag, uint32_t type, uint32_t offset, uint32_t count)
{
    size_t n = put32(out, tag);

    n += put32(out + n, type);
    n += put32(out + n, offset);
    return n + put32(out + n, count);
}

static size_t put_head(uint8_t *out, uint32_t rows, uint32_t store)
{
    static const uint8_t magic[8] = {0x8e, 0xad, 0xe8, 0x01};
    size_t n = sizeof magic;

    memcpy(out, magic, n);
    n += put32(out + n, rows);
    return n + put32(out + n, store);
}

/* One file, /usr/x. The index of its folder is @p dir. */
static size_t make(uint8_t out[ROOM], uint32_t dir)
{
    static const char store[] = "0011223344556677889900112233445566778899\0x\0/usr/";
    size_t n = 96;

    memset(out, 0, ROOM);
    memcpy(out, "\xed\xab\xee\xdb", 4);
    n += put_head(out + n, 0, 0);
    n += put_head(out + n, 4, sizeof store + 4);
    n += put_row(out + n, 1035, 8, 0, 1);
    n += put_row(out + n, 1117, 8, 41, 1);
    n += put_row(out + n, 1118, 8, 43, 1);
    n += put_row(out + n, 1116, 4, sizeof store, 1);
    memcpy(out + n, store, sizeof store);
    n += sizeof store;
    return n + put32(out + n, dir);
}

static int read_package(const uint8_t *package, size_t len, size_t *files, struct ql_err *err)
{
    uint8_t *copy =
        malloc(len > 0 ? len : 1); /* of just this size, so that a sanitizer sees a step too far */
    struct ql_draft d;
    int r;

    memcpy(copy, package, len);
    ql_draft_init(&d);
    r = ql_rpm_read(copy, len, &d, err);
    *files = d.digests.count;
    if (*files > 0)
        assert_string_equal((const char *)d.digests.list[0].bytes, "/usr/x");
    ql_draft_done(&d);
    free(copy);
    return r;
}

static void a_files_path_is_put_together(void **state)
{
    uint8_t package[ROOM];
    size_t files = 0;

    (void)state;
    assert_int_equal(read_package(package, make(package, 0), &files, NULL), QL_OK);
    assert_int_equal(files, 1);
    assert_int_equal(read_package(package, make(package, 0) + 1, &files, NULL),
                     QL_OK); /* the payload follows */
}

static void every_truncation_is_refused(void **state)
{
    uint8_t package[ROOM];
    size_t len = make(package, 0), files = 0;

    (void)state;
    for (size_t n = 0; n < len; n++)
        if (read_package(package, n, &files, NULL) == QL_OK)
            fail_msg("%zu of %zu bytes were taken", n, len);
}

/* Asked with what it said before, it ends at just the bytes that reading needs. */
static void the_length_that_is_needed_is_told_step_by_step(void **state)
{
    uint8_t package[ROOM];
    const size_t whole = make(package, 0);
    size_t len = 0, need, steps = 0;

    (void)state;
    while ((need = ql_rpm_need(package, len)) > len) {
        assert_true(need <= whole);
        len = need;
        steps++;
    }
    assert_int_equal(len, whole);
    assert_int_equal(steps, 3); /* intro of the signatures, of the header, all */
    for (size_t n = 0; n <= whole; n++) {
        need = ql_rpm_need(package, n);
        assert_true(need > 0 && need <= whole && (need > n || n == whole));
    }
    package[0] ^= 1;
    assert_int_equal(ql_rpm_need(package, whole), 0);
    assert_int_equal(ql_rpm_need(package, 4), 0);
    make(package, 0);
    put32(package + 96 + 16 + 8, 0x7fffffff);
    assert_int_equal(ql_rpm_need(package, whole), 0);
}

static void headers_that_lie_are_refused(void **state)
{
    uint8_t package[ROOM];
    size_t len = make(package, 1), files = 0;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(read_package(package, len, &files, &err), QL_EPARSE); /* a folder that is not listed */
    assert_non_null(strstr(err.text, "list of files is cut short"));
    len = make(package, 0);
    put32(package + 96 + 16 + 8, 0x7fffffff); /* rows */
    assert_int_equal(read_package(package, len, &files, &err), QL_ELIMIT);
    len = make(package, 0);
    put32(package + 96 + 16 + 16 + 12, 2); /* two digests for one file */
    assert_int_equal(read_package(package, len, &files, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "do not fit each other"));
    len = make(package, 0);
    put32(package + 96 + 16 + 16 + 8, 0xfffffff0); /* outside of the store */
    assert_int_equal(read_package(package, len, &files, &err), QL_EPARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_files_path_is_put_together),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(the_length_that_is_needed_is_told_step_by_step),
        cmocka_unit_test(headers_that_lie_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
