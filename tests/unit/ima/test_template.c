/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

static struct ima_hasher *hasher;
static struct ima_reader *reader;

static int setup(void **state)
{
    (void)state;
    return ima_hasher_new(&ql_tool_host, &hasher, NULL) || ima_reader_new(&ql_tool_host, &reader, NULL);
}

static int teardown(void **state)
{
    (void)state;
    ima_reader_free(reader);
    ima_hasher_free(hasher);
    return 0;
}

static enum ima_read read_text(const char *text, size_t len, struct ima_entry *e)
{
    return ima_entry_read(reader, (struct ima_bytes){(const uint8_t *)text, len}, e);
}

/* Read a copy that ends where the line ends, so that a sanitizer sees a step too far. */
static enum ima_read read_exact(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    struct ima_entry e;
    enum ima_read r;

    assert_non_null(copy);
    memcpy(copy, text, len);
    r = read_text(copy, len, &e);
    free(copy);
    return r;
}

static void hash_is(const char *what, enum ima_alg alg, struct ima_bytes data, const char *hex)
{
    uint8_t digest[64];
    char got[129];

    assert_true(ima_hash(hasher, alg, data.at, data.len, digest));
    for (size_t i = 0; i < ima_alg_len(alg); i++)
        snprintf(got + 2 * i, 3, "%02x", digest[i]);
    if (strcmp(got, hex) != 0)
        fail_msg("%s: %s of the template data is %s, expected %s", what, ima_alg_name(alg), got, hex);
}

static void data_is(const char *what, struct ima_bytes data, const char *hex)
{
    if (data.len != strlen(hex) / 2)
        fail_msg("%s: %zu bytes of template data, expected %zu", what, data.len, strlen(hex) / 2);
    for (size_t i = 0; i < data.len; i++) {
        char byte[3];

        snprintf(byte, sizeof byte, "%02x", data.at[i]);
        if (memcmp(byte, hex + 2 * i, 2) != 0)
            fail_msg("%s: byte %zu of the template data is %s", what, i, byte);
    }
}

static bool is_extension(const char *line)
{
    return strstr(line, " ima-ngv2 ") || strstr(line, " ima-sigv2 ");
}

static void every_recorded_line_gives_keylimes_template_data(void **state)
{
    json_t *v = load_vectors("ima/entries.json"), *c;
    size_t i, good = 0;

    (void)state;
    json_array_foreach(json_object_get(v, "entries"), i, c) {
        const char *line = vector_text(c, "line");
        const bool ok = json_is_true(json_object_get(c, "ok"));
        struct ima_entry e;
        const enum ima_read r = read_text(line, strlen(line), &e);

        if (!ok && is_extension(line))
            continue;
        if (ok != (r == IMA_READ_OK))
            fail_msg("%s: read gives %d", line, r);
        if (!ok)
            continue;
        if (json_is_string(json_object_get(c, "template_data")))
            data_is(line, e.data, vector_text(c, "template_data"));
        hash_is(line, IMA_SHA1, e.data, vector_text(c, "sha1"));
        hash_is(line, IMA_SHA256, e.data, vector_text(c, "sha256"));
        good++;
    }
    assert_true(good > 50);
    json_decref(v);
}

static void every_extension_gives_the_kernels_template_data(void **state)
{
    json_t *v = load_vectors("ima/extensions.json"), *c;
    size_t i;

    (void)state;
    json_array_foreach(json_object_get(v, "entries"), i, c) {
        const char *line = vector_text(c, "line");
        struct ima_entry e;

        if (read_text(line, strlen(line), &e) != IMA_READ_OK)
            fail_msg("%s cannot be read", vector_text(c, "id"));
        data_is(vector_text(c, "id"), e.data, vector_text(c, "template_data"));
        hash_is(line, IMA_SHA1, e.data, vector_text(c, "sha1"));
        hash_is(line, IMA_SHA256, e.data, vector_text(c, "sha256"));
        hash_is(line, IMA_SHA384, e.data, vector_text(c, "sha384"));
        assert_true(ima_bytes_are(e.name, vector_text(c, "name")));
        assert_true(ima_bytes_are(e.digest.alg, vector_text(c, "digest_alg")));
        data_is(vector_text(c, "id"), e.digest.bytes, vector_text(c, "digest"));
    }
    assert_true(i >= 16);
    json_decref(v);
}

#define H40 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define H64 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void lines_that_are_no_entries_are_refused(void **state)
{
    static const char *const lines[] = {
        "",
        " ",
        "10",
        "10 " H40,
        "10 " H40 " ima-ng",
        "10 " H40 " ima-ng sha256:" H64,
        " 9 " H40 " ima-ng sha256:" H64 " /x",
        "10 " H40 "a ima-ng sha256:" H64 " /x",
        "10 zz" H40 " ima-ng sha256:" H64 " /x",
        "10 " H40 " ima-ng sha256:" H64 "b /x",
        "10 " H40 " ima-ng sha256:zz /x",
        "10 " H40 " ima-ng " H64 " /x", /* 32 bytes without a name: no algorithm has it */
        "10 " H40 " ima-ng ima:sha256:" H64 " /x",
        "10 " H40 " ima-ngv2 sha256:" H64 " /x",
        "10 " H40 " ima-ngv2 evm:sha256:" H64 " /x",
        "10 " H40 " ima-sig sha256:" H64 " /x", /* the last field may be empty, not missing */
        "10 " H40 " ima-buf sha256:" H64 " x abc",
        "10 " H40 " ima-buf sha256:" H64 " x zz",
        "10 " H40 " ima-none sha256:" H64 " /x",
        "10 " H40 " d-ng|d-ng|n-ng sha256:" H64 " sha256:" H64 " /x",
        "10 " H40 " d-ng| sha256:" H64 " /x",
        "10 " H40 " |d-ng sha256:" H64 " /x",
        "10 " H40 " iuid|n-ng 4294967296 /x",
        "10 " H40 " imode|n-ng 65536 /x",
        "10 " H40 " imode|n-ng -1 /x",
        "10 " H40 "  ima-ng sha256:" H64 " /x",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (read_exact(lines[i], strlen(lines[i])) != IMA_READ_BAD)
            fail_msg("was taken: %s", lines[i]);
}

static void no_truncation_of_a_line_is_read_beyond_its_end(void **state)
{
    static const char *const lines[] = {
        "10 " H40 " ima-sigv2 verity:sha256:" H64 " /usr/bin/x 030204aabbccdd0002beef",
        "10 " H40 " evm-sig sha256:" H64
        " /x 050204aabbccdd0002beef a|security.ima 0100000002000000 aabbcc 0 10 33188",
        "10 " H40 " ima-modsig sha256:" H64 " /x  sha256:" H64 " aabb",
        "10 " H40 " ima " H40 " /x",
        "10 " H40 " d|n|xattrnames|imode " H40 " /x a 7",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char more[512];

        for (size_t len = 0; len <= strlen(lines[i]); len++)
            (void)read_exact(lines[i], len);
        assert_int_equal(read_exact(lines[i], strlen(lines[i])), IMA_READ_OK);
        /* One byte more is part of the last field, whatever it is. */
        snprintf(more, sizeof more, "%sx", lines[i]);
        (void)read_exact(more, strlen(more));
    }
}

static void a_name_of_template_ima_has_255_bytes_at_most(void **state)
{
    char line[512], name[257];

    (void)state;
    memset(name, 'n', sizeof name);
    snprintf(line, sizeof line, "10 " H40 " ima " H40 " %.255s", name);
    assert_int_equal(read_exact(line, strlen(line)), IMA_READ_OK);
    snprintf(line, sizeof line, "10 " H40 " ima " H40 " %.256s", name);
    assert_int_equal(read_exact(line, strlen(line)), IMA_READ_BAD);
}

static void what_is_no_signature_counts_as_absent(void **state)
{
    const char *absent = "10 " H40 " ima-sig sha256:" H64 " /x ",
               *bad = "10 " H40 " ima-sig sha256:" H64 " /x 030204zz",
               *short_one = "10 " H40 " ima-sig sha256:" H64 " /x 030204aabbccdd0003beef";
    struct ima_entry e;
    size_t len;

    (void)state;
    assert_int_equal(read_text(absent, strlen(absent), &e), IMA_READ_OK);
    len = e.data.len;
    assert_int_equal(read_text(bad, strlen(bad), &e), IMA_READ_OK);
    assert_int_equal(e.data.len, len);
    assert_int_equal(e.signature.len, 0);
    assert_int_equal(read_text(short_one, strlen(short_one), &e), IMA_READ_OK);
    assert_int_equal(e.data.len, len);
}

static void a_format_without_digest_or_name_is_hashed_and_not_looked_up(void **state)
{
    const char *line = "10 " H40 " n-ng|iuid /x 7";
    struct ima_entry e;

    (void)state;
    assert_int_equal(read_text(line, strlen(line), &e), IMA_READ_OPAQUE);
    data_is(line, e.data,
            "030000002f780004000000"
            "07000000");
}

static void a_hash_longer_than_any_is_an_entry_whose_hash_is_wrong(void **state)
{
    char line[1024];
    struct ima_entry e;

    (void)state;
    snprintf(line, sizeof line, "10 " H64 H64 H64 " ima-ng sha256:" H64 " /x");
    assert_int_equal(read_text(line, strlen(line), &e), IMA_READ_OK);
    assert_int_equal(e.columns.hash_len, 96);
}

static void a_line_above_the_limit_is_no_entry(void **state)
{
    const char *head = "10 " H40 " ima-ng sha256:" H64 " ";
    const size_t len = IMA_LINE_MAX;
    char *line = malloc(len + 1);

    (void)state;
    assert_non_null(line);
    memset(line, 'x', len + 1);
    memcpy(line, head, strlen(head));
    assert_int_equal(read_exact(line, len), IMA_READ_OK);
    assert_int_equal(read_exact(line, len + 1), IMA_READ_BAD);
    free(line);
}

static void lines_are_told_by_line_feeds_alone(void **state)
{
    const char *list = "\n\na\r\n\nb\v\xc2\x85"
                       "c\n\n";
    struct ima_lines l = ima_lines_of((const uint8_t *)list, strlen(list));
    struct ima_bytes line;

    (void)state;
    assert_true(ima_lines_next(&l, &line) && ima_bytes_are(line, "a\r"));
    assert_true(ima_lines_next(&l, &line) && line.len == 0);
    assert_true(ima_lines_next(&l, &line) && ima_bytes_are(line, "b\v\xc2\x85"
                                                                 "c"));
    assert_int_equal(l.number, 3);
    assert_false(ima_lines_next(&l, &line));
    l = ima_lines_of((const uint8_t *)"\n\n", 2);
    assert_false(ima_lines_next(&l, &line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_line_gives_keylimes_template_data),
        cmocka_unit_test(every_extension_gives_the_kernels_template_data),
        cmocka_unit_test(lines_that_are_no_entries_are_refused),
        cmocka_unit_test(no_truncation_of_a_line_is_read_beyond_its_end),
        cmocka_unit_test(a_name_of_template_ima_has_255_bytes_at_most),
        cmocka_unit_test(what_is_no_signature_counts_as_absent),
        cmocka_unit_test(a_format_without_digest_or_name_is_hashed_and_not_looked_up),
        cmocka_unit_test(a_hash_longer_than_any_is_an_entry_whose_hash_is_wrong),
        cmocka_unit_test(a_line_above_the_limit_is_no_entry),
        cmocka_unit_test(lines_are_told_by_line_feeds_alone),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
