/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include "deliveries.h"
#include "error.h"

static const char BOOT_1[] = "11111111-1111-4111-8111-111111111111";
static const char BOOT_2[] = "22222222-2222-4222-8222-222222222222";

static struct ql_deliveries *open_in(const char *dir, const char *boot)
{
    struct ql_deliveries *d = NULL;

    assert_int_equal(ql_deliveries_open(tempdir_path(dir, "payloads"), boot, &d, NULL), QL_OK);
    return d;
}

/** A digest of one byte repeated. */
static const uint8_t *of(uint8_t fill)
{
    static uint8_t digests[4][QL_DELIVERY_DIGEST];
    static unsigned next;
    uint8_t *out = digests[next++ % 4];

    memset(out, fill, QL_DELIVERY_DIGEST);
    return out;
}

static void the_last_delivery_is_known_after_a_restart(void **state)
{
    struct ql_deliveries *d = open_in(*state, BOOT_1);

    assert_int_equal(ql_deliveries_look(d, of(1), of(2)), QL_DELIVERY_NEW);
    assert_int_equal(ql_deliveries_add(d, of(1), of(2), NULL), QL_OK);
    assert_int_equal(ql_deliveries_look(d, of(1), of(2)), QL_DELIVERY_AGAIN);
    ql_deliveries_free(d);
    d = open_in(*state, BOOT_1);
    assert_int_equal(ql_deliveries_look(d, of(1), of(2)), QL_DELIVERY_AGAIN);
    ql_deliveries_free(d);
}

static void an_earlier_delivery_is_told_from_the_last(void **state)
{
    struct ql_deliveries *d = open_in(*state, BOOT_1);

    assert_int_equal(ql_deliveries_add(d, of(1), of(2), NULL), QL_OK);
    assert_int_equal(ql_deliveries_add(d, of(3), of(4), NULL), QL_OK);
    assert_int_equal(ql_deliveries_look(d, of(1), of(2)), QL_DELIVERY_REPLACED);
    assert_int_equal(ql_deliveries_look(d, of(3), of(4)), QL_DELIVERY_AGAIN);
    ql_deliveries_free(d);
}

static void the_same_payload_is_known_until_the_next_boot(void **state)
{
    struct ql_deliveries *d = open_in(*state, BOOT_1);

    assert_int_equal(ql_deliveries_add(d, of(1), of(2), NULL), QL_OK);
    assert_int_equal(ql_deliveries_look(d, of(9), of(2)), QL_DELIVERY_SAME);
    ql_deliveries_free(d);
    d = open_in(*state, BOOT_2);
    assert_int_equal(ql_deliveries_look(d, of(9), of(2)), QL_DELIVERY_NEW);
    assert_int_equal(ql_deliveries_look(d, of(1), of(2)), QL_DELIVERY_AGAIN);
    ql_deliveries_free(d);
}

static void nothing_of_a_plaintext_is_kept_when_it_is_not_given(void **state)
{
    struct ql_deliveries *d = open_in(*state, BOOT_1);
    char *text;

    assert_int_equal(ql_deliveries_add(d, of(1), NULL, NULL), QL_OK);
    assert_int_equal(ql_deliveries_look(d, of(9), of(2)), QL_DELIVERY_NEW);
    text = tempdir_get(*state, "payloads");
    assert_non_null(strstr(text, " 0000000000000000000000000000000000000000000000000000000000000000\n"));
    free(text);
    ql_deliveries_free(d);
}

static void the_oldest_goes_when_there_are_too_many(void **state)
{
    struct ql_deliveries *d = open_in(*state, BOOT_1);
    uint8_t digest[QL_DELIVERY_DIGEST] = {0};

    for (unsigned i = 0; i <= QL_DELIVERIES_MAX; i++) {
        digest[0] = (uint8_t)i;
        digest[1] = (uint8_t)(i >> 8);
        assert_int_equal(ql_deliveries_add(d, digest, NULL, NULL), QL_OK);
    }
    ql_deliveries_free(d);
    d = open_in(*state, BOOT_1);
    memset(digest, 0, sizeof digest);
    assert_int_equal(ql_deliveries_look(d, digest, of(9)), QL_DELIVERY_NEW);
    digest[0] = 1;
    assert_int_equal(ql_deliveries_look(d, digest, of(9)), QL_DELIVERY_REPLACED);
    ql_deliveries_free(d);
}

static void a_file_of_something_else_is_refused(void **state)
{
    static const char *const texts[] = {"x", "11111111-1111-4111-8111-111111111111 00", "\n"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ql_deliveries *d = NULL;
        struct ql_err err = QL_ERR_INIT;

        tempdir_put(*state, "payloads", texts[i]);
        assert_int_equal(ql_deliveries_open(tempdir_path(*state, "payloads"), BOOT_1, &d, &err), QL_ECORRUPT);
        assert_non_null(strstr(err.text, "line 1"));
    }
}

static void a_line_cut_short_or_too_long_is_refused(void **state)
{
    struct ql_deliveries *d = open_in(*state, BOOT_1);
    char *text, *part;
    size_t len;

    assert_int_equal(ql_deliveries_add(d, of(1), of(2), NULL), QL_OK);
    ql_deliveries_free(d);
    d = NULL;
    text = tempdir_get(*state, "payloads");
    len = strlen(text);
    for (size_t cut = 1; cut < len; cut++) {
        part = strndup(text, cut);
        tempdir_put(*state, "payloads", part);
        assert_int_equal(ql_deliveries_open(tempdir_path(*state, "payloads"), BOOT_1, &d, NULL), QL_ECORRUPT);
        free(part);
    }
    assert_true(asprintf(&part, "%sx", text) > 0);
    tempdir_put(*state, "payloads", part);
    assert_int_equal(ql_deliveries_open(tempdir_path(*state, "payloads"), BOOT_1, &d, NULL), QL_ECORRUPT);
    free(part);
    free(text);
}

static void the_kernel_tells_the_boot(void **state)
{
    struct ql_deliveries *d = open_in(*state, NULL);

    assert_int_equal(ql_deliveries_add(d, of(1), of(2), NULL), QL_OK);
    ql_deliveries_free(d);
    d = open_in(*state, NULL);
    assert_int_equal(ql_deliveries_look(d, of(9), of(2)), QL_DELIVERY_SAME);
    ql_deliveries_free(d);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, tempdir_make, tempdir_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_last_delivery_is_known_after_a_restart),
        IN_FOLDER(an_earlier_delivery_is_told_from_the_last),
        IN_FOLDER(the_same_payload_is_known_until_the_next_boot),
        IN_FOLDER(nothing_of_a_plaintext_is_kept_when_it_is_not_given),
        IN_FOLDER(the_oldest_goes_when_there_are_too_many),
        IN_FOLDER(a_file_of_something_else_is_refused),
        IN_FOLDER(a_line_cut_short_or_too_long_is_refused),
        IN_FOLDER(the_kernel_tells_the_boot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
