/* SPDX-License-Identifier: Apache-2.0 */
#include "devpath.h"
#include "logs.h"
#include "text.h"
#include "vectors.h"

static size_t unhex(const char *digits, uint8_t *out, size_t room)
{
    const size_t len = strlen(digits) / 2;

    assert_true(len <= room);
    for (size_t i = 0; i < len; i++) {
        const char pair[3] = {digits[2 * i], digits[2 * i + 1], 0};

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return len;
}

/** The text of a path given in hex, or NULL when it is none; valid until the next call. */
static const char *text_of(const char *digits)
{
    static char out[2048];
    uint8_t path[1024];
    const size_t len = unhex(digits, path, sizeof path);
    uint8_t *exact = malloc(len > 0 ? len : 1); /* so that a sanitizer sees a byte too many */
    struct mb_text t;
    bool ok;

    assert_non_null(exact);
    memcpy(exact, path, len);
    mb_text_init(&t);
    ok = mb_devpath_text(exact, len, &t);
    assert_false(t.failed);
    assert_true(t.len < sizeof out);
    memcpy(out, t.p, t.len);
    out[t.len] = '\0';
    mb_text_done(&t);
    free(exact);
    return ok ? out : NULL;
}

static void devpath_spells_every_recorded_path(void **state)
{
    json_t *cases = load_vectors("mboot/devicepaths.json");
    const json_t *c;
    size_t i;

    (void)state;
    json_array_foreach(cases, i, c) {
        const char *want = json_string_value(json_object_get(c, "text")),
                   *got = text_of(vector_text(c, "hex"));

        if ((want == NULL) != (got == NULL) || (want && strcmp(got, want) != 0))
            fail_msg("%s: \"%s\", wanted \"%s\"", vector_text(c, "name"), got ? got : "(hex)",
                     want ? want : "(hex)");
    }
    assert_true(i >= 50);
    json_decref(cases);
}

static void devpath_survives_every_truncation_of_every_node(void **state)
{
    json_t *cases = load_vectors("mboot/devicepaths.json");
    const json_t *c;
    size_t i;

    (void)state;
    json_array_foreach(cases, i, c) {
        char digits[2048];
        uint8_t node[1024];

        snprintf(digits, sizeof digits, "%s", vector_text(c, "hex"));
        /* Cut bytes off the end: mostly hex, never out of bounds. */
        for (size_t len = strlen(digits); len >= 2; len -= 2) {
            digits[len - 2] = '\0';
            (void)text_of(digits);
        }
        /* Cut bytes off the first node, with its length field saying so: each form must notice that it is short. */
        snprintf(digits, sizeof digits, "%s", vector_text(c, "hex"));
        if (unhex(digits, node, sizeof node) < 4)
            continue;
        for (unsigned len = 4; len < node[2]; len++) {
            char shorter[600];
            int at = snprintf(shorter, sizeof shorter, "%02x%02x%02x00", node[0], node[1], len);

            for (unsigned n = 4; n < len; n++)
                at += snprintf(shorter + at, sizeof shorter - (size_t)at, "%02x", node[n]);
            (void)text_of(shorter);
        }
    }
    json_decref(cases);
}

static void devpath_shows_a_node_that_is_too_short_as_hex_of_its_bytes(void **state)
{
    (void)state;
    assert_string_equal(text_of("01010500037fff0400"), "Path(1,1,03)");
    assert_string_equal(text_of("040105007f7fff0400"), "Path(4,1,7f)");
}

static void devpath_with_a_node_that_does_not_fit_is_no_text(void **state)
{
    (void)state;
    assert_null(text_of("01010000"));
    assert_null(text_of("02010c00d041030a000000000101"));
    assert_null(text_of("0101ffff"));
}

static void devpath_of_many_nodes_ends(void **state)
{
    const size_t count = 200000;
    uint8_t *path = malloc(4 * count);
    struct mb_text t;

    (void)state;
    assert_non_null(path);
    for (size_t i = 0; i < count; i++)
        memcpy(path + 4 * i, "\x09\x09\x04\x00", 4);
    mb_text_init(&t);
    assert_true(mb_devpath_text(path, 4 * count, &t));
    assert_int_equal(t.len, count * strlen("Path(9,9,)/") - 1);
    mb_text_done(&t);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devpath_spells_every_recorded_path),
        cmocka_unit_test(devpath_survives_every_truncation_of_every_node),
        cmocka_unit_test(devpath_shows_a_node_that_is_too_short_as_hex_of_its_bytes),
        cmocka_unit_test(devpath_with_a_node_that_does_not_fit_is_no_text),
        cmocka_unit_test(devpath_of_many_nodes_ends),
    };

    return cmocka_run_group_tests_name("device paths", tests, NULL, NULL);
}
