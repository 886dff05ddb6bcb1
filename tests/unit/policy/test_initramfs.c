/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "encode.h"
#include "initramfs.h"

static size_t add_entry(uint8_t *out, const char *name, const char *data, size_t len, unsigned mode)
{
    size_t name_len = strlen(name) + 1, at;

    at = (size_t)sprintf((char *)out, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 0, mode,
                         0, 0, 1, 0, len, 0, 0, 0, 0, name_len, 0);
    memcpy(out + at, name, name_len);
    at += name_len;
    for (; at % 4 != 0; at++)
        out[at] = 0;
    memcpy(out + at, data, len);
    at += len;
    for (; at % 4 != 0; at++)
        out[at] = 0;
    return at;
}

static size_t make_image(uint8_t *out)
{
    size_t at = add_entry(out, "bin/a b", "hello", 5, 0100755);

    at += add_entry(out + at, "bin", "", 0, 040755);
    at += add_entry(out + at, "./empty", "", 0, 0100644);
    return at + add_entry(out + at, "TRAILER!!!", "", 0, 0);
}

static int read_image(const uint8_t *image, size_t len, bool all, struct ql_draft *d, struct ql_err *err)
{
    uint8_t *copy =
        malloc(len > 0 ? len : 1); /* of just this size, so that a sanitizer sees a step too far */
    int r;

    memcpy(copy, image, len);
    ql_draft_init(d);
    r = ql_initramfs_read(copy, len, "sha1", all, d, err);
    free(copy);
    return r;
}

static void regular_files_are_hashed_under_their_paths(void **state)
{
    uint8_t image[2048];
    struct ql_draft d;
    const struct ql_name *found;

    (void)state;
    assert_int_equal(read_image(image, make_image(image), false, &d, NULL), QL_OK);
    assert_int_equal(d.digests.count, 2);
    found = ql_names_find(&d.digests, "/bin/a_b", 8);
    assert_non_null(found);
    assert_string_equal(found->values[0], "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d");
    assert_non_null(ql_names_find(&d.digests, "/empty", 6));
    ql_draft_done(&d);
}

static void every_truncation_is_an_error(void **state)
{
    uint8_t image[2048];
    size_t len = make_image(image);
    struct ql_draft d;

    (void)state;
    for (size_t n = 0; n < len; n++) {
        int r = read_image(image, n, false, &d, NULL);

        /* Padding behind the trailer's name may be missing. */
        if (r == QL_OK && n + 4 <= len)
            fail_msg("%zu of %zu bytes were taken", n, len);
        ql_draft_done(&d);
    }
}

static void the_last_archive_counts_unless_all_are_asked_for(void **state)
{
    uint8_t image[4096];
    size_t len = add_entry(image, "microcode", "mm", 2, 0100644);
    struct ql_draft d;

    (void)state;
    len += add_entry(image + len, "TRAILER!!!", "", 0, 0);
    memset(image + len, 0, 512);
    len += 512;
    len += make_image(image + len);
    assert_int_equal(read_image(image, len, false, &d, NULL), QL_OK);
    assert_int_equal(d.digests.count, 2);
    ql_draft_done(&d);
    assert_int_equal(read_image(image, len, true, &d, NULL), QL_OK);
    assert_int_equal(d.digests.count, 3);
    ql_draft_done(&d);
}

static void headers_that_lie_are_refused(void **state)
{
    uint8_t image[2048];
    size_t len = make_image(image);
    struct ql_err err = QL_ERR_INIT;
    struct ql_draft d;

    (void)state;
    memcpy(image + 94, "00002000", 8); /* length of the name */
    assert_int_equal(read_image(image, len, false, &d, &err), QL_ELIMIT);
    assert_non_null(strstr(err.text, "name of 8192 bytes, at most 4096"));
    ql_draft_done(&d);
    make_image(image);
    memcpy(image + 54, "zzzzzzzz", 8); /* length of the data */
    assert_int_equal(read_image(image, len, false, &d, &err), QL_EPARSE);
    ql_draft_done(&d);
    make_image(image);
    memcpy(image + 54, "ffffffff", 8);
    assert_int_equal(read_image(image, len, false, &d, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "cut short"));
    ql_draft_done(&d);
}

static void images_of_the_vectors_are_read(void **state)
{
    json_t *v = load_vectors("ima/tools.json"), *one;
    const char *name;

    (void)state;
    json_object_foreach(json_object_get(v, "boot_files_b64"), name, one) {
        uint8_t *image = NULL;
        size_t len = 0;
        struct ql_draft d;
        struct ql_err err = QL_ERR_INIT;
        int r;

        assert_int_equal(ql_base64_decode_dup(json_string_value(one), json_string_length(one), 1 << 20,
                                              &image, &len, NULL),
                         QL_OK);
        r = read_image(image, len, false, &d, &err);
        if (strcmp(name, "not-an-initrd") == 0)
            assert_true(r < 0);
        else if (r != QL_OK && r != QL_EUNSUPPORTED)
            fail_msg("%s: %s", name, err.text);
        ql_draft_done(&d);
        free(image);
    }
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regular_files_are_hashed_under_their_paths),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(the_last_archive_counts_unless_all_are_asked_for),
        cmocka_unit_test(headers_that_lie_are_refused),
        cmocka_unit_test(images_of_the_vectors_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
