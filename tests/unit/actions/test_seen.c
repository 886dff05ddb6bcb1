/* SPDX-License-Identifier: Apache-2.0 */
#include "tempdir.h"

#include "clock.h"
#include "seen.h"

#define NOW  (INT64_C(1795386490) * QL_NS_PER_S)
#define HOUR (3600 * QL_NS_PER_S)

static struct ql_seen *open_list(const char *path)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_seen *s = NULL;

    if (ql_seen_open(path, &s, &err) != QL_OK)
        fail_msg("%s", err.text);
    return s;
}

static void digest_of(unsigned n, uint8_t *out)
{
    memset(out, 0x5a, QL_SEEN_DIGEST_LEN);
    memcpy(out, &n, sizeof n);
}

static void add(struct ql_seen *s, unsigned n, int64_t time_ns)
{
    uint8_t digest[QL_SEEN_DIGEST_LEN];

    digest_of(n, digest);
    assert_int_equal(ql_seen_add(s, digest, time_ns, NULL), QL_OK);
}

static enum ql_seen_is look(const struct ql_seen *s, unsigned n, int64_t time_ns)
{
    uint8_t digest[QL_SEEN_DIGEST_LEN];

    digest_of(n, digest);
    return ql_seen_look(s, digest, time_ns, NOW);
}

static void a_message_is_known_after_a_restart(void **state)
{
    const char *path = tempdir_path(*state, "seen");
    struct ql_seen *s = open_list(path);

    assert_int_equal(look(s, 1, NOW), QL_SEEN_NEW);
    add(s, 1, NOW);
    assert_int_equal(look(s, 1, NOW), QL_SEEN_KNOWN);
    ql_seen_free(s); /* no write on the way out: a crash is the same */
    s = open_list(path);
    assert_int_equal(look(s, 1, NOW), QL_SEEN_KNOWN);
    assert_int_equal(look(s, 2, NOW), QL_SEEN_NEW);
    ql_seen_free(s);
}

static void a_message_older_than_a_week_is_refused(void **state)
{
    struct ql_seen *s = open_list(tempdir_path(*state, "seen"));

    assert_int_equal(look(s, 1, NOW - 7 * 24 * HOUR), QL_SEEN_NEW);
    assert_int_equal(look(s, 1, NOW - 8 * 24 * HOUR), QL_SEEN_OLD);
    assert_int_equal(look(s, 1, NOW + 24 * HOUR), QL_SEEN_NEW);
    ql_seen_free(s);
}

static void what_had_to_be_forgotten_is_not_acted_on_again(void **state)
{
    const char *path = tempdir_path(*state, "seen");
    struct ql_seen *s = open_list(path);

    for (unsigned i = 0; i < QL_SEEN_MAX + 10; i++)
        add(s, i, NOW + i * QL_NS_PER_S);
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(look(s, i, NOW + i * QL_NS_PER_S), QL_SEEN_OLD);
        assert_int_equal(look(s, 10, NOW + 10 * QL_NS_PER_S), QL_SEEN_KNOWN);
        assert_int_equal(look(s, QL_SEEN_MAX + 9, NOW), QL_SEEN_KNOWN);
        assert_int_equal(look(s, 99999, NOW + 9 * QL_NS_PER_S), QL_SEEN_OLD);
        assert_int_equal(look(s, 99999, NOW + 10 * QL_NS_PER_S), QL_SEEN_NEW);
        ql_seen_free(s);
        s = open_list(path);
    }
    ql_seen_free(s);
}

static void a_record_cut_short_is_dropped_and_the_others_stay(void **state)
{
    const char *path = tempdir_path(*state, "seen");
    struct ql_seen *s = open_list(path);

    add(s, 1, NOW);
    add(s, 2, NOW);
    ql_seen_free(s);
    assert_int_equal(truncate(path, 16 + 2 * 40 - 1), 0);
    s = open_list(path);
    assert_int_equal(look(s, 1, NOW), QL_SEEN_KNOWN);
    assert_int_equal(look(s, 2, NOW), QL_SEEN_NEW);
    add(s, 3, NOW);
    ql_seen_free(s);
    s = open_list(path);
    assert_int_equal(look(s, 3, NOW), QL_SEEN_KNOWN);
    ql_seen_free(s);
}

static void a_foreign_file_is_kept_and_named(void **state)
{
    struct ql_err err = QL_ERR_INIT;
    struct ql_seen *s = NULL;

    tempdir_put(*state, "seen", "something else entirely\n");
    assert_int_equal(ql_seen_open(tempdir_path(*state, "seen"), &s, &err), QL_ECORRUPT);
    assert_non_null(strstr(err.text, "no list of revocations seen"));
    tempdir_put(*state, "seen", "qlseen1\n");
    assert_int_equal(ql_seen_open(tempdir_path(*state, "seen"), &s, &err), QL_ECORRUPT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, tempdir_make, tempdir_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_known_after_a_restart),
        TEST(a_message_older_than_a_week_is_refused),
        TEST(what_had_to_be_forgotten_is_not_acted_on_again),
        TEST(a_record_cut_short_is_dropped_and_the_others_stay),
        TEST(a_foreign_file_is_kept_and_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
