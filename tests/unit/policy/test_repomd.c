/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "detached.h"
#include "repomd.h"

#define REPO "<repomd xmlns=\"http://linux.duke.edu/metadata/repo\">"
#define ABC  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* SHA-256 of "abc" */
#define INDEX                                                                                                \
    REPO "<revision>1</revision><data type=\"primary\"><open-checksum type=\"sha256\">00</open-checksum>"    \
         "<checksum type=\"sha256\">" ABC "</checksum><location href=\"repodata/p.xml.gz\"/></data>"         \
         "<data type=\"other\"><location href=\"repodata/o\"/></data></repomd>"

/* Read a text that is just as long, so that a sanitizer sees a step too far. */
static int read_index(const char *text, size_t len, struct ql_repomd *ret, struct ql_err *err)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    int r;

    memcpy(copy, text, len);
    r = ql_repomd_read(copy, len, ret, err);
    free(copy);
    return r;
}

static void an_index_lists_documents_and_their_checksums(void **state)
{
    struct ql_repomd *r = test_malloc(sizeof *r);
    struct ql_repomd_data *p = &r->primary;

    (void)state;
    assert_int_equal(read_index(INDEX, strlen(INDEX), r, NULL), QL_OK);
    assert_string_equal(p->href, "repodata/p.xml.gz");
    assert_string_equal(p->algorithm, "sha256");
    assert_string_equal(p->checksum, ABC);
    assert_string_equal(r->filelists_ext.href, "");
    assert_int_equal(ql_repomd_check(p, (const uint8_t *)"abc", 3, NULL), QL_OK);
    assert_int_equal(ql_repomd_check(p, (const uint8_t *)"abd", 3, NULL), QL_ECRYPTO);
    assert_int_equal(ql_repomd_check(p, (const uint8_t *)"abc", 2, NULL), QL_ECRYPTO);
    p->checksum[63] = '\0'; /* cut */
    assert_int_equal(ql_repomd_check(p, (const uint8_t *)"abc", 3, NULL), QL_ECRYPTO);
    for (const char *const *weak = (const char *const[]){"sha1", "sha", "md5", "", NULL}; *weak; weak++) {
        snprintf(p->algorithm, sizeof p->algorithm, "%s", *weak);
        assert_int_equal(ql_repomd_check(p, (const uint8_t *)"abc", 3, NULL), QL_ECRYPTO);
    }
    test_free(r);
}

static void every_truncation_of_an_index_is_refused(void **state)
{
    struct ql_repomd *r = test_malloc(sizeof *r);

    (void)state;
    for (size_t n = 0; n < strlen(INDEX); n++)
        if (read_index(INDEX, n, r, NULL) != QL_EPARSE)
            fail_msg("%zu bytes were taken", n);
    assert_int_equal(read_index(INDEX "x", strlen(INDEX) + 1, r, NULL), QL_EPARSE);
    test_free(r);
}

static int count_packages(void *arg, const char *href, uint64_t header_end, struct ql_err *err)
{
    uint64_t *sum = arg;

    (void)err;
    assert_string_equal(href, "a b.rpm");
    *sum += header_end + 1;
    return *sum > 1000 ? QL_EINTERNAL : QL_OK;
}

#define PACKAGE(end)                                                                                         \
    "<package type=\"rpm\"><location href=\"a b.rpm\"/><format><r:header-range start=\"1\" end=\"" end       \
    "\"/></format></package>"

static int read_packages(const char *packages, uint64_t *sum)
{
    char text[2048];

    snprintf(text, sizeof text,
             "<metadata xmlns=\"http://linux.duke.edu/metadata/common\" "
             "xmlns:r=\"http://linux.duke.edu/metadata/rpm\">%s</metadata>",
             packages);
    *sum = 0;
    return ql_primary_read((const uint8_t *)text, strlen(text), count_packages, sum, NULL);
}

static void packages_have_a_place_and_perhaps_a_length(void **state)
{
    uint64_t sum;

    (void)state;
    assert_int_equal(
        read_packages(PACKAGE("10") PACKAGE("20") PACKAGE("-1") PACKAGE("99999999999999999999"), &sum),
        QL_OK);
    assert_int_equal(sum, 34); /* a length that is none counts as 0 */
    assert_int_equal(read_packages("<package type=\"srpm\"/><group/>", &sum), QL_OK);
    assert_int_equal(sum, 0);
    assert_int_equal(read_packages("<package type=\"rpm\"></package>", &sum), QL_EPARSE);
    assert_int_equal(read_packages(PACKAGE("2000"), &sum), QL_EINTERNAL); /* what the caller stops with */
}

static void armour_is_taken_off_whole_or_not_at_all(void **state)
{
    static const char text[] = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nA: b\n\nYWJj\r\nZA==\n=AAAA\n-----END "
                               "PGP PUBLIC KEY BLOCK-----";
    uint8_t *out = NULL;
    size_t len = 0;

    (void)state;
    assert_int_equal(
        ql_openpgp_dearmour((struct ql_span){(const uint8_t *)text, sizeof text - 1}, &out, &len, NULL),
        QL_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(out, "abcd", 4);
    free(out);
    for (size_t n = 0; n < (size_t)(strstr(text, "-----END PGP ") - text) + strlen("-----END PGP "); n++)
        if (ql_openpgp_dearmour((struct ql_span){(const uint8_t *)text, n}, &out, &len, NULL) == QL_OK)
            fail_msg("%zu bytes were taken", n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_lists_documents_and_their_checksums),
        cmocka_unit_test(every_truncation_of_an_index_is_refused),
        cmocka_unit_test(packages_have_a_place_and_perhaps_a_length),
        cmocka_unit_test(armour_is_taken_off_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
