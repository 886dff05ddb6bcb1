/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <quicklime/error.h>

#include "buf.h"
#include "reader.h"

static void appends_follow_each_other_and_end_in_nul(void **state)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(100);

    (void)state;
    assert_int_equal(ql_buf_add_text(&b, "ab"), QL_OK);
    assert_int_equal(ql_buf_addf(&b, "%d-%s", 7, "x"), QL_OK);
    assert_int_equal(ql_buf_add(&b, "", 0), QL_OK);
    assert_int_equal(b.len, 5);
    assert_string_equal((char *)b.data, "ab7-x");
}

static void limit_is_exact(void **state)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(4);

    (void)state;
    assert_int_equal(ql_buf_add(&b, "1234", 4), QL_OK);
    assert_int_equal(ql_buf_add_u8(&b, '5'), QL_ELIMIT);
    assert_int_equal(b.len, 4);
    assert_true(b.failed);
}

static void failed_append_poisons(void **state)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(4);

    (void)state;
    assert_int_equal(ql_buf_addf(&b, "%s", "12345"), QL_ELIMIT);
    assert_int_equal(ql_buf_add_u8(&b, 1), QL_ELIMIT);
    assert_int_equal(b.len, 0);
    assert_null(ql_buf_take(&b, NULL));
}

static void huge_length_does_not_wrap(void **state)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(100);

    (void)state;
    assert_int_equal(ql_buf_add(&b, "x", 1), QL_OK);
    assert_int_equal(ql_buf_add(&b, "x", SIZE_MAX), QL_ELIMIT);
}

static void integers_read_back(void **state)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(100);
    struct ql_reader r;
    const uint8_t *bytes;
    size_t len;

    (void)state;
    ql_buf_add_u8(&b, 0x12);
    ql_buf_add_u16be(&b, 0x1234);
    ql_buf_add_u32be(&b, 0x12345678);
    ql_buf_add_u64be(&b, UINT64_C(0x123456789abcdef0));
    ql_buf_add_u16le(&b, 0x1234);
    ql_buf_add_u32le(&b, 0x12345678);
    ql_buf_add_tpm2b(&b, "abc", 3);
    assert_false(b.failed);
    assert_memory_equal(
        b.data, "\x12\x12\x34\x12\x34\x56\x78\x12\x34\x56\x78\x9a\xbc\xde\xf0\x34\x12\x78\x56\x34\x12", 21);

    r = ql_reader_of(b.data, b.len);
    assert_int_equal(ql_reader_u8(&r), 0x12);
    assert_int_equal(ql_reader_u16be(&r), 0x1234);
    assert_int_equal(ql_reader_u32be(&r), 0x12345678);
    assert_true(ql_reader_u64be(&r) == UINT64_C(0x123456789abcdef0));
    assert_int_equal(ql_reader_u16le(&r), 0x1234);
    assert_int_equal(ql_reader_u32le(&r), 0x12345678);
    bytes = ql_reader_tpm2b(&r, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "abc", 3);
    assert_true(ql_reader_done(&r));
}

static void tpm2b_of_more_than_a_u16_is_refused(void **state)
{
    ql_auto_buf struct ql_buf b = ql_buf_init(SIZE_MAX);
    uint8_t byte = 0;

    (void)state;
    assert_int_equal(ql_buf_add_tpm2b(&b, &byte, UINT16_MAX + (size_t)1), QL_ELIMIT);
}

static void reader_stays_poisoned_after_a_short_read(void **state)
{
    struct ql_reader r = ql_reader_of("\x00\x05xy", 4);
    size_t len;

    (void)state;
    assert_null(ql_reader_tpm2b(&r, &len));
    assert_true(r.failed);
    assert_int_equal(ql_reader_u8(&r), 0);
    assert_false(ql_reader_done(&r));
    r = ql_reader_of("xy", 2);
    assert_int_equal(ql_reader_u8(&r), 'x');
    assert_false(ql_reader_done(&r));
}

static void take_hands_over_and_the_buffer_can_go_on(void **state)
{
    ql_auto(ql_buf_wipe) struct ql_buf b = ql_buf_init(5000);
    uint8_t *data;
    size_t len = 0;

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(ql_buf_addf(&b, "%04d", i), QL_OK);
    data = ql_buf_take(&b, &len);
    assert_int_equal(len, 4000);
    assert_memory_equal(data + 3996, "0999", 5);
    free(data);
    assert_null(ql_buf_take(&b, NULL));
    assert_int_equal(ql_buf_add_text(&b, "again"), QL_OK);
    assert_string_equal((char *)b.data, "again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_follow_each_other_and_end_in_nul),
        cmocka_unit_test(limit_is_exact),
        cmocka_unit_test(failed_append_poisons),
        cmocka_unit_test(huge_length_does_not_wrap),
        cmocka_unit_test(integers_read_back),
        cmocka_unit_test(tpm2b_of_more_than_a_u16_is_refused),
        cmocka_unit_test(reader_stays_poisoned_after_a_short_read),
        cmocka_unit_test(take_hands_over_and_the_buffer_can_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
