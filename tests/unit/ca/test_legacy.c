/* SPDX-License-Identifier: Apache-2.0 */
/* keylime/private.yml is of Keylime's own tool: a CA, the certificate 12345, which is revoked; its password is "keylime". */
#include <openssl/x509.h>

#include "../tempdir.h"
#include "error.h"
#include "file.h"
#include "legacy.h"

#define STORE QL_SOURCE_DIR "/tests/unit/ca/keylime/private.yml"

static struct ql_secret *secret_of(const char *text)
{
    struct ql_secret *s = NULL;

    assert_int_equal(ql_secret_new(text, strlen(text), &s, NULL), QL_OK);
    return s;
}

static char *store_text(size_t *len)
{
    uint8_t *text = NULL;

    assert_int_equal(ql_file_read(STORE, QL_LEGACY_MAX_LEN, &text, len, NULL), QL_OK);
    return (char *)text;
}

static void a_store_of_keylime_is_read(void **state)
{
    struct ql_secret *password = secret_of("keylime");
    struct ql_ca *ca = NULL;
    struct ql_cert *cert = NULL;
    struct ql_err err = QL_ERR_INIT;
    uint8_t *pem = NULL;
    size_t len, others = 0;
    char *text = store_text(&len);

    (void)state;
    if (ql_legacy_read(text, len, password, &ca, &others, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(ca->last_serial, 2);
    assert_int_equal(ca->revoked_count, 1);
    assert_true(ql_ca_is_revoked(ca, 2));
    assert_int_equal(others, 1);
    free(text);
    assert_int_equal(ql_file_read(QL_SOURCE_DIR "/tests/unit/ca/keylime/cacert.crt", 65536, &pem, &len, NULL),
                     QL_OK);
    assert_int_equal(ql_cert_from_pem((const char *)pem, len, &cert, NULL), QL_OK);
    assert_int_equal(ql_ca_check_pair(cert, ca->key, NULL), QL_OK);
    free(pem);
    ql_cert_free(cert);
    ql_ca_free(ca);
    ql_secret_free(password);
}

static void another_password_and_every_truncation_are_refused(void **state)
{
    struct ql_secret *password = secret_of("keylime"), *wrong = secret_of("Keylime");
    struct ql_ca *ca = NULL;
    size_t len, others;
    char *text = store_text(&len);

    (void)state;
    assert_int_equal(ql_legacy_read(text, len, wrong, &ca, &others, NULL), QL_ECRYPTO);
    assert_int_equal(ql_legacy_read(text, len, NULL, &ca, &others, NULL), QL_ECRYPTO);
    /* Deriving a key takes long, so only some of those that end in the salt. */
    for (size_t cut = 0; cut + 1 < len; cut += cut + 60 < len ? 1 : 8)
        assert_int_not_equal(ql_legacy_read(text, cut, password, &ca, &others, NULL), QL_OK);
    text[len - 1] = 'x'; /* one more in the place of the line's end */
    assert_int_not_equal(ql_legacy_read(text, len, password, &ca, &others, NULL), QL_OK);
    assert_null(ca);
    free(text);
    ql_secret_free(password);
    ql_secret_free(wrong);
}

/* What a walk found, as text. */
static int note(const char *key, size_t key_len, enum ql_legacy_kind kind, const void *value, size_t len,
                void *arg, struct ql_err *err)
{
    static const char kinds[] = "tbli";
    char *out = arg;
    size_t used = strlen(out);

    (void)err;
    snprintf(out + used, 512 - used, "%.*s:%c:%.*s;", (int)key_len, key, kinds[kind], (int)len,
             value ? (const char *)value : "");
    return QL_OK;
}

static void forms_that_the_writer_has_are_read(void **state)
{
    static const char text[] =
        "---\n'12': !!binary |\n  YW\n  Jj\nca: !!binary |\n\nlastserial: 4\nplain: 'a b'\n"
        "revoked_keys:\n- '2'\n- \"4\"\nmore: []\nlast:\n  - 1\n";
    char out[512] = "";

    (void)state;
    assert_int_equal(ql_legacy_walk(text, sizeof text - 1, note, out, NULL), QL_OK);
    assert_string_equal(out, "12:b:abc;ca:b:;lastserial:t:4;plain:t:a b;revoked_keys:l:;revoked_keys:i:2;"
                             "revoked_keys:i:4;more:l:;last:l:;last:i:1;");
}

static void forms_that_it_has_not_are_refused_with_their_line(void **state)
{
    static const char *const texts[] = {
        "a: 1\nb",           "a: 1\n: 2",       "a: 1\nb:2",           "a: 1\nb: {}",    "a: 1\nb: [1]",
        "a: 1\nb: &x 1",     "a: 1\nb: *x",     "a: 1\nb: !!python/x", "a: 1\nb: |",     "a: 1\n  b: 1",
        "a: 1\nb: 'x",       "a: 1\nb: 'x''y'", "a: 1\nb: \"\\n\"",    "a: 1\nb/c: 1",   "a: 1\n- b",
        "a: 1\n# comment:1", "a: 1\nb: \x01",   "a: 1\n? b",           "a: 1\n%YAML: 1", "a: 1\n<<: 1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ql_err err = QL_ERR_INIT;
        char out[512] = "";

        if (ql_legacy_walk(texts[i], strlen(texts[i]), note, out, &err) != QL_EPARSE)
            fail_msg("taken: %s", texts[i]);
        assert_non_null(strstr(err.text, "line 2"));
        assert_string_equal(out, "a:t:1;");
    }
}

static void a_store_with_too_much_or_too_little_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "priv: x\n",
                                        "salt: x\n",
                                        "priv: x\npriv: x\nsalt: y\n",
                                        "priv: x\nsalt: y\nz: 1\n",
                                        "priv: []\nsalt: x\n",
                                        "priv: ====\nsalt: x\n"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ql_ca *ca = NULL;
        size_t others;

        assert_int_not_equal(ql_legacy_read(texts[i], strlen(texts[i]), NULL, &ca, &others, NULL), QL_OK);
        assert_null(ca);
    }
}

static void lists_end_at_their_limit(void **state)
{
    const size_t len = (size_t)(QL_LEGACY_ENTRIES_MAX + 1) * 4 + 3;
    char *text = malloc(len), *at = text, out[512] = "";
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_non_null(text);
    at = mempcpy(at, "a:\n", 3);
    for (size_t i = 0; i <= QL_LEGACY_ENTRIES_MAX; i++)
        at = mempcpy(at, "- 1\n", 4);
    assert_int_equal(ql_legacy_walk(text, len, note, out, &err), QL_ELIMIT);
    assert_string_equal(err.text, "more than 100000 entries");
    assert_int_equal(ql_legacy_walk(text, QL_LEGACY_MAX_LEN + (size_t)1, note, out, &err), QL_ELIMIT);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_of_keylime_is_read),
        cmocka_unit_test(another_password_and_every_truncation_are_refused),
        cmocka_unit_test(forms_that_the_writer_has_are_read),
        cmocka_unit_test(forms_that_it_has_not_are_refused_with_their_line),
        cmocka_unit_test(a_store_with_too_much_or_too_little_is_refused),
        cmocka_unit_test(lists_end_at_their_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
