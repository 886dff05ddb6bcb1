/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <unistd.h>

#include "helpers.h"

static void digest_of(unsigned n, uint8_t out[32])
{
    memset(out, 0, 32);
    memcpy(out + 8, &n, sizeof n); /* many in one bucket */
}

static void expect(struct ql_contents *c, unsigned n, const void *bytes, size_t len)
{
    uint8_t digest[32];
    ql_auto_free uint8_t *read_back = malloc(len + 1);
    int fd = -1;
    size_t got = 0;

    assert_non_null(read_back);
    digest_of(n, digest);
    assert_int_equal(ql_contents_fd(c, digest, &fd, &got), QL_OK);
    assert_int_equal(got, len);
    assert_int_equal(pread(fd, read_back, len + 1, 0), len);
    assert_memory_equal(read_back, bytes, len);
    assert_int_equal(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
}

static void contents_are_there_as_long_as_somebody_uses_them(void **state)
{
    ql_auto(ql_contents_freep) struct ql_contents *c = NULL;
    uint8_t digest[32];
    int fd;
    size_t len;

    (void)state;
    digest_of(1, digest);
    assert_int_equal(ql_contents_new(&c, NULL), QL_OK);
    assert_int_equal(ql_contents_ref(c, digest, NULL, 0, NULL), QL_ENOTFOUND);
    assert_int_equal(ql_contents_ref(c, digest, "abc", 3, NULL), QL_OK);
    assert_int_equal(ql_contents_ref(c, digest, NULL, 0, NULL), QL_OK);
    expect(c, 1, "abc", 3);
    ql_contents_unref(c, digest);
    assert_true(ql_contents_has(c, digest));
    ql_contents_unref(c, digest);
    assert_false(ql_contents_has(c, digest));
    assert_int_equal(ql_contents_fd(c, digest, &fd, &len), QL_ENOTFOUND);
    ql_contents_unref(c, digest); /* once too often changes nothing */
    assert_int_equal(ql_contents_count(c), 0);
}

static void contents_large_and_small_are_given_alike(void **state)
{
    ql_auto(ql_contents_freep) struct ql_contents *c = NULL;
    static const size_t sizes[] = {0, 1, QL_CONTENT_SMALL_MAX, QL_CONTENT_SMALL_MAX + 1, 1000000};
    ql_auto_free uint8_t *bytes = malloc(1000000);

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < 1000000; i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    assert_int_equal(ql_contents_new(&c, NULL), QL_OK);
    for (unsigned i = 0; i < QL_ARRAY_LEN(sizes); i++) {
        uint8_t digest[32];

        digest_of(i, digest);
        assert_int_equal(ql_contents_ref(c, digest, bytes, sizes[i], NULL), QL_OK);
    }
    for (unsigned i = 0; i < QL_ARRAY_LEN(sizes); i++)
        expect(c, i, bytes, sizes[i]);
}

static void contents_of_a_fleet_are_found(void **state)
{
    enum {
        COUNT = 3000
    };
    ql_auto(ql_contents_freep) struct ql_contents *c = NULL;
    uint8_t digest[32];

    (void)state;
    assert_int_equal(ql_contents_new(&c, NULL), QL_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        digest_of(i, digest);
        memcpy(digest, &(uint64_t){i * UINT64_C(0x9e3779b97f4a7c15)}, 8);
        assert_int_equal(ql_contents_ref(c, digest, &i, sizeof i, NULL), QL_OK);
    }
    assert_int_equal(ql_contents_count(c), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        digest_of(i, digest);
        memcpy(digest, &(uint64_t){i * UINT64_C(0x9e3779b97f4a7c15)}, 8);
        assert_true(ql_contents_has(c, digest));
        ql_contents_unref(c, digest);
    }
    assert_int_equal(ql_contents_count(c), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_are_there_as_long_as_somebody_uses_them),
        cmocka_unit_test(contents_large_and_small_are_given_alike),
        cmocka_unit_test(contents_of_a_fleet_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
