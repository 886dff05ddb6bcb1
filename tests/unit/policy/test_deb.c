/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include <sys/mman.h>
#include <unistd.h>

#include "deb.h"
#include "file.h"

static int read_bytes(const uint8_t *data, size_t len, struct ql_draft *d, struct ql_err *err)
{
    const int fd = memfd_create("package", MFD_CLOEXEC);
    int r;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    ql_draft_init(d);
    r = ql_deb_read(fd, "sha256", d, err);
    (void)close(fd);
    return r;
}

static const char *digest_of(const struct ql_draft *d, const char *path)
{
    const struct ql_name *n = ql_names_find(&d->digests, path, strlen(path));

    return n && n->count == 1 ? n->values[0] : "none";
}

static void read_seed(const char *name, uint8_t **ret, size_t *ret_len)
{
    char path[400];

    snprintf(path, sizeof path, "%s/tests/fuzz/seeds/deb/%s", QL_SOURCE_DIR, name);
    assert_int_equal(ql_file_read(path, 1 << 20, ret, ret_len, NULL), QL_OK);
}

static const char *const seeds[] = {"plain", "gzip", "xz", "zstd"};

static void assert_whole(const struct ql_draft *d)
{
    /* sha256 of "a\n", and of 300 times "bb" */
    assert_string_equal(digest_of(d, "/bin/a"),
                        "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7");
    assert_string_equal(digest_of(d, "/usr/bin/a"), digest_of(d, "/bin/a"));
    assert_string_equal(digest_of(d, "/usr/bin/b"),
                        "3d0686a69a2c5b9bce3fe8d4ec51bea1720c04b7045046c0a9c09248be314453");
    assert_string_equal(digest_of(d, "/usr/bin/c"), digest_of(d, "/usr/bin/b"));
    assert_int_equal(d->digests.count, 4);
}

static void files_of_every_compression_are_hashed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        uint8_t *data = NULL;
        struct ql_draft d;
        size_t len = 0;

        read_seed(seeds[i], &data, &len);
        assert_int_equal(read_bytes(data, len, &d, NULL), QL_OK);
        assert_whole(&d);
        ql_draft_done(&d);
        free(data);
    }
}

static void what_is_cut_short_adds_all_or_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        uint8_t *data = NULL;
        size_t len = 0, refused = 0;

        read_seed(seeds[i], &data, &len);
        for (size_t cut = 0; cut < len; cut++) {
            struct ql_err err = QL_ERR_INIT;
            struct ql_draft d;

            if (read_bytes(data, cut, &d, &err) == QL_OK) {
                assert_whole(&d);
            } else {
                assert_int_equal(d.digests.count, 0);
                assert_true(strlen(err.text) > 0);
                refused++;
            }
            ql_draft_done(&d);
        }
        assert_true(refused > 0); /* of what is behind the last file, nothing is missed */
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_every_compression_are_hashed),
        cmocka_unit_test(what_is_cut_short_adds_all_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
