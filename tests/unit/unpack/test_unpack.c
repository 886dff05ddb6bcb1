/* SPDX-License-Identifier: Apache-2.0 */
/* Archives made by Python's zipfile (tests/fuzz/seeds/unpack) and that of the vectors. */
#include "tempdir.h"

#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>

#include "error.h"
#include "file.h"
#include "unpack.h"

enum {
    MIB = 1024 * 1024
};

static uint8_t *read_seed(const char *name, size_t *len)
{
    char path[512];
    uint8_t *data = NULL;

    (void)snprintf(path, sizeof path, QL_SOURCE_DIR "/tests/fuzz/seeds/unpack/%s.zip", name);
    assert_int_equal(ql_file_read(path, QL_UNPACK_ARCHIVE_MAX, &data, len, NULL), QL_OK);
    return data;
}

static int unpack_bytes(const char *dir, const void *data, size_t len, uint64_t bytes_max,
                        struct ql_unpack_count *count, struct ql_err *err)
{
    const struct ql_unpack_config config = {.bytes_max = bytes_max};
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = ql_unpack(data, len, fd, &config, count, err);

    close(fd);
    return r;
}

static int unpack_seed(const char *dir, const char *name, uint64_t bytes_max, struct ql_unpack_count *count,
                       struct ql_err *err)
{
    size_t len = 0;
    uint8_t *data = read_seed(name, &len);
    int r = unpack_bytes(dir, data, len, bytes_max, count, err);

    free(data);
    return r;
}

static unsigned mode_of(const char *dir, const char *name)
{
    struct stat st;

    assert_int_equal(lstat(tempdir_path(dir, name), &st), 0);
    return st.st_mode;
}

static void files_come_out_with_private_modes(void **state)
{
    struct ql_unpack_count count = {0};
    char *text;

    assert_int_equal(unpack_seed(*state, "good", MIB, &count, NULL), QL_OK);
    assert_int_equal(count.files, 3);
    assert_int_equal(count.folders, 2);
    assert_int_equal(count.bytes, 314);
    assert_int_equal(mode_of(*state, "autorun.sh"), S_IFREG | 0700);
    assert_int_equal(mode_of(*state, "plain.txt"), S_IFREG | 0600);
    assert_int_equal(mode_of(*state, "conf"), S_IFDIR | 0700);
    assert_int_equal(mode_of(*state, "conf/a"), S_IFDIR | 0700);
    text = tempdir_get(*state, "autorun.sh");
    assert_string_equal(text, "#!/bin/sh\n");
    free(text);
}

static void stored_entries_come_out(void **state)
{
    struct ql_unpack_count count = {0};

    assert_int_equal(unpack_seed(*state, "stored", MIB, &count, NULL), QL_OK);
    assert_int_equal(count.files, 2);
    assert_int_equal(count.bytes, 106);
}

static void a_group_may_read_when_it_is_wanted(void **state)
{
    const struct ql_unpack_config config = {.bytes_max = MIB, .for_group = true};
    struct ql_unpack_count count = {0};
    const int fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    size_t len = 0;
    uint8_t *data = read_seed("good", &len);

    (void)umask(0027);
    assert_int_equal(ql_unpack(data, len, fd, &config, &count, NULL), QL_OK);
    assert_int_equal(mode_of(*state, "autorun.sh"), S_IFREG | 0750);
    assert_int_equal(mode_of(*state, "plain.txt"), S_IFREG | 0640);
    assert_int_equal(mode_of(*state, "conf"), S_IFDIR | 0750);
    (void)umask(0077);
    free(data);
    close(fd);
}

static void hostile_archives_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *name;
        int code;
        const char *words;
    } rows[] = {
        {"dotdot", QL_EACCES, "entry 2: name with an empty part, ., .."},
        {"inner_dotdot", QL_EACCES, ".."},
        {"absolute", QL_EACCES, "absolute name"},
        {"empty_part", QL_EACCES, "empty part"},
        {"control", QL_EACCES, "control character"},
        {"symlink", QL_EACCES, "neither a file nor a folder"},
        {"through_symlink", QL_EACCES, "neither a file nor a folder"},
        {"device", QL_EACCES, "neither a file nor a folder"},
        {"twice", QL_EEXIST, "entry 2: has the name of entry 1"},
        {"file_as_folder", QL_EIO, "entry 2"},
        {"deep", QL_ELIMIT, "more than 16 folders deep"},
        {"long_name", QL_EACCES, "entry 1"},
        {"bomb", QL_ELIMIT, "200 times its size"},
        {"bzip2", QL_EPARSE, "stored and deflate"},
        {"lzma", QL_EPARSE, "stored and deflate"},
        {"encrypted", QL_EPARSE, "encrypted"},
        {"wrong_crc", QL_EPARSE, "CRC"},
        {"damaged_directory", QL_EPARSE, "entr"},
        {"no_directory", QL_EPARSE, "another number of entries"},
        {"more_named", QL_EPARSE, "entr"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ql_unpack_count count = {.files = 77};
        struct ql_err err = QL_ERR_INIT;
        char *dir = NULL;

        assert_int_equal(tempdir_make((void **)&dir), 0);
        assert_int_equal(unpack_seed(dir, rows[i].name, 16 * MIB, &count, &err), rows[i].code);
        if (!strstr(err.text, rows[i].words))
            fail_msg("%s: %s", rows[i].name, err.text);
        assert_int_equal(count.files, 77);
        assert_int_equal(access("/tmp/out", F_OK), -1);
        assert_int_equal(access(tempdir_path(dir, "../out"), F_OK), -1);
        assert_int_equal(tempdir_remove((void **)&dir), 0);
    }
    (void)state;
}

static void what_a_header_says_of_sizes_is_not_believed(void **state)
{
    struct ql_unpack_count count = {0};

    /* 5,000 bytes behind a header of 5: refused, or no more than the limit came out. */
    assert_int_equal(unpack_seed(*state, "lying_size", 100, &count, NULL) == QL_OK && count.bytes > 5, 0);
}

static void the_limit_of_bytes_counts_all_files(void **state)
{
    struct ql_unpack_count count = {0};
    struct ql_err err = QL_ERR_INIT;

    assert_int_equal(unpack_seed(*state, "stored", 105, &count, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "more than 105 bytes"));
}

static void the_limit_of_bytes_itself_is_allowed(void **state)
{
    struct ql_unpack_count count = {0};

    assert_int_equal(unpack_seed(*state, "stored", 106, &count, NULL), QL_OK);
}

static void an_existing_name_is_not_overwritten(void **state)
{
    struct ql_unpack_count count = {0};
    char *text;

    tempdir_put(*state, "plain.txt", "kept");
    assert_int_equal(unpack_seed(*state, "good", MIB, &count, NULL), QL_EEXIST);
    text = tempdir_get(*state, "plain.txt");
    assert_string_equal(text, "kept");
    free(text);
}

static void every_truncation_is_refused(void **state)
{
    size_t len = 0;
    uint8_t *data = read_seed("good", &len);

    (void)state;
    for (size_t cut = 0; cut < len; cut++) {
        struct ql_unpack_count count = {0};
        uint8_t *part = malloc(cut > 0 ? cut : 1); /* of its very size, for the sanitizer */
        char *dir = NULL;

        assert_int_equal(tempdir_make((void **)&dir), 0);
        memcpy(part, data, cut);
        assert_true(unpack_bytes(dir, part, cut, MIB, &count, NULL) < 0);
        free(part);
        assert_int_equal(tempdir_remove((void **)&dir), 0);
    }
    free(data);
}

static void bytes_behind_the_archive_change_nothing(void **state)
{
    struct ql_unpack_count count = {0};
    size_t len = 0;
    uint8_t *data = read_seed("good", &len), *more = calloc(1, len + 1);

    memcpy(more, data, len);
    assert_int_equal(unpack_bytes(*state, more, len + 1, MIB, &count, NULL), QL_OK);
    assert_int_equal(count.files, 3);
    free(more);
    free(data);
}

static void what_is_no_archive_is_told_by_its_first_bytes(void **state)
{
    (void)state;
    assert_true(ql_unpack_is_zip("PK\003\004....", 8));
    assert_false(ql_unpack_is_zip("PK\005\006....", 8));
    assert_false(ql_unpack_is_zip("PK\003", 3));
    assert_false(ql_unpack_is_zip("", 0));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, tempdir_make, tempdir_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(files_come_out_with_private_modes),
        IN_FOLDER(stored_entries_come_out),
        IN_FOLDER(a_group_may_read_when_it_is_wanted),
        cmocka_unit_test(hostile_archives_are_refused_with_the_reason),
        IN_FOLDER(what_a_header_says_of_sizes_is_not_believed),
        IN_FOLDER(the_limit_of_bytes_counts_all_files),
        IN_FOLDER(the_limit_of_bytes_itself_is_allowed),
        IN_FOLDER(an_existing_name_is_not_overwritten),
        cmocka_unit_test(every_truncation_is_refused),
        IN_FOLDER(bytes_behind_the_archive_change_nothing),
        cmocka_unit_test(what_is_no_archive_is_told_by_its_first_bytes),
    };

    (void)umask(0077);
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
