/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "excludes.h"
#include "pattern.h"
#include "toolhost.h"

static int compile(const char *const *list, size_t count, struct ima_excludes **ret, struct ql_err *err)
{
    struct ima_exclude *elements = calloc(count, sizeof *elements);
    int r;

    for (size_t i = 0; i < count; i++)
        elements[i] = (struct ima_exclude){(const uint8_t *)list[i], strlen(list[i])};
    r = ima_excludes_compile(&ql_tool_host, elements, count, ret, err);
    free(elements);
    return r;
}

static enum ima_excluded match(const struct ima_excludes *e, const char *name)
{
    return ima_excludes_match(e, (const uint8_t *)name, strlen(name));
}

static void lists_of_the_vectors_match_the_same_paths(void **state)
{
    json_t *v = load_vectors("ima/excludes.json"), *lists = json_object_get(v, "lists"),
           *paths = json_object_get(v, "paths"), *one, *path, *element;
    size_t i, k, n;

    (void)state;
    assert_true(json_array_size(lists) > 50);
    json_array_foreach(lists, i, one) {
        const json_t *excludes = json_object_get(one, "excludes");
        const char *texts[8];
        bool compiles = json_is_true(json_object_get(one, "compiles"));
        struct ima_excludes *e = NULL;
        struct ql_err err = QL_ERR_INIT;
        int r;

        n = json_array_size(excludes);
        json_array_foreach(excludes, k, element)
            texts[k] = json_string_value(element);
        r = compile(texts, n, &e, &err);
        if (strstr(texts[0], "\\N{")) { /* characters by name are refused, as documented */
            assert_int_equal(r, QL_EPARSE);
            assert_non_null(strstr(err.text, "by name"));
            continue;
        }
        if ((r == QL_OK) != compiles)
            fail_msg("%s: %s", texts[0], r == QL_OK ? "taken" : err.text);
        if (r < 0) {
            assert_non_null(strstr(err.text, "'excludes': element "));
            assert_non_null(strstr(err.text, "at character "));
            continue;
        }
        json_array_foreach(paths, k, path) {
            bool wanted = false;
            size_t m;
            json_t *hit;

            json_array_foreach(json_object_get(one, "matched"), m, hit)
                wanted |= json_equal(hit, path);
            if ((match(e, json_string_value(path)) == IMA_EXCLUDED) != wanted)
                fail_msg("%s against %s: %s expected", texts[0], json_string_value(path),
                         wanted ? "a match" : "none");
        }
        ima_excludes_free(e);
    }
    json_decref(v);
}

static void one(const char *pattern, const char *name, enum ima_excluded wanted)
{
    struct ima_excludes *e = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (compile(&pattern, 1, &e, &err) < 0)
        fail_msg("%s: %s", pattern, err.text);
    if (match(e, name) != wanted)
        fail_msg("%s against %s: not %d", pattern, name, wanted);
    ima_excludes_free(e);
}

static void refused(const char *pattern, const char *words)
{
    struct ima_excludes *e = NULL;
    struct ql_err err = QL_ERR_INIT;

    if (compile(&pattern, 1, &e, &err) == QL_OK)
        fail_msg("%s was taken", pattern);
    if (!strstr(err.text, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", pattern, err.text, words);
}

/* Verdicts of Python 3.11. */
static void translation_keeps_the_meaning_of_python(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool is_match;
    } cases[] = {
        {"/a.c", "/abc", true},
        {"/a.c", "/a\nc", false},
        {"/x$", "/x", true},
        {"/x$", "/x\n", true},
        {"/x$", "/x\n\n", false},
        {"/x\\Z", "/x\n", false},
        {".*\\.pyc$", "/a.pyc", true},
        {".*\\.pyc$", "/a.pyc\n", true},
        {".*\\.pyc$", "/a.pyco", false},
        {".*\\.pyc$", "/\n.pyc", false},
        {".*\\.pyc", "/a.pyco", true},
        {".*/cache/.*", "/x/cache/y", true},
        {".*/cache/.*", "/x/cache", false},
        {".*/cache/.*", "/x\n/cache/", false},
        {"/usr/.*\\.so$", "/usr/lib/a.so", true},
        {"/usr/.*\\.so$", "/opt/lib/a.so", false},
        {"/usr/.*\\.so$", "/usr/.so", true},
        {"/a*b", "/b", true},
        {"/ab*c?", "/a", true},
        {"/ab+", "/a", false},
        {"/ab+", "/abb", true},
        {"^/(?!oem/|usr/local/)", "/usr/local/x", false},
        {"^/(?!oem/|usr/local/)", "/usr/bin/x", true},
        {"/a|/b/.*|/c$", "/b/x", true},
        {"/a|/b/.*|/c$", "/cc", false},
        {"/(a|b)/\\2", "/a/a", true},
        {"/(a|b)/\\2", "/a/b", false},
        {"/(x)?(?(2)y|z)", "/xy", true},
        {"/(x)?(?(2)y|z)", "/z", true},
        {"/(x)?(?(2)y|z)", "/y", false},
        {"/a{,2}$", "/aa", true},
        {"/a{,2}$", "/aaa", false},
        {"/a{,}b", "/aaab", true},
        {"/a{x}", "/a{x}", true},
        {"/a{}", "/a{}", true},
        {"/[\\W]", "/-", true},
        {"/[\\W]", "/a", false},
        {"/[^\\Wx]", "/y", true},
        {"/[^\\Wx]", "/x", false},
        {"/[^\\Wx]", "/-", false},
        {"/[a\\S]", "/ ", false},
        {"/\\w", "/\xc2\xb2", true},  /* superscript two */
        {"/\\w", "/\xcc\x81", false}, /* combining acute */
        {"/\\d", "/\xd9\xa1", true},  /* arabic one */
        {"(?a:/\\d)", "/\xd9\xa1", false},
        {"/\\s", "/\x1c", true},
        {"/a\\b", "/a\xcc\x81", true}, /* a mark is no word character */
        {"/a\\B", "/ab", true},
        {"/\\v", "/\x0b", true},
        {"/\\v", "/\n", false},
        {"/\\0", "/0", false},
        {"/\\101", "/A", true},
        {"/\\u0041\\x42", "/AB", true},
        {"(?x:/ a # comment\n b)", "/ab", true},
        {"(?s:/.)", "/\n", true},
        {"(?m:/\\n^a)", "/\na", true},
        {"(?i:/ABC)d", "/abcd", true},
        {"(?i:/ABC)d", "/abcD", false},
        {"/(?<=/)a", "/a", true},
        {"/a(?#x)+b", "/aab", true},
        {"/[]-]x", "/]x", true},
        {"/[a-]x", "/-x", true},
        {"/[&&&]", "/&", true},
        {"/a?+a", "/a", false},
        {"/\\-\\ ", "/- ", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        one(cases[i].pattern, cases[i].name, cases[i].is_match ? IMA_EXCLUDED : IMA_NOT_EXCLUDED);
}

static void what_python_refuses_or_pcre2_cannot_say_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *pattern, *words;
    } cases[] = {
        {"/a\\z", "element 1: at character 4: bad escape"},
        {"/\xc3\xa4\\z", "at character 4: bad escape"},
        {"/a(?i)", "global flags"},
        {"/a**", "multiple repeat"},
        {"^*", "nothing to repeat"},
        {"(*VERB)a", "nothing to repeat"},
        {"a|*", "nothing to repeat"},
        {"(?<n>a)", "unknown extension"},
        {"(?'n'a)", "unknown extension"},
        {"(?&n)", "unknown extension"},
        {"(?1)", "unknown extension"},
        {"(?P>n)", "unknown extension"},
        {"(?C)", "unknown extension"},
        {"(?L:a)", "flag L"},
        {"(?<=a+)b", "fixed-width"},
        {"(?<=a|bc)d", "fixed-width"},
        {"(a\\2)", "open group"},
        {"\\2", "invalid group reference"},
        {"[a-\\d]", "bad character range"},
        {"[z-a]", "bad character range"},
        {"[a", "unterminated character set"},
        {"\\x4", "incomplete escape"},
        {"\\x{41}", "incomplete escape"},
        {"a{70000}", "65535"},
        {"a{3,2}", "min repeat"},
        {"(?(1a)b)", "bad group number"},
        {"(?(x)b)", "unknown group name"},
        {"\\", "end of pattern"},
        {"(?P<n>a)(?P<n>b)", "redefinition"},
        {"\\777", "octal"},
        {"\\p{L}", "bad escape"},
        {"\\R", "bad escape"},
        {"\\G", "bad escape"},
        {"\\Q", "bad escape"},
        {"a\xff", "not UTF-8"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refused(cases[i].pattern, cases[i].words);
}

static void the_element_at_fault_is_named(void **state)
{
    const char *list[] = {"/a", "/b", "/c("};
    struct ima_excludes *e = NULL;
    struct ql_err err = QL_ERR_INIT;

    (void)state;
    assert_int_equal(compile(list, 3, &e, &err), QL_EPARSE);
    assert_non_null(strstr(err.text, "'excludes': element 3: at character 3"));
}

static void a_pattern_made_to_blow_up_is_stopped_and_excludes_nothing(void **state)
{
    const char *list[] = {"/(a+)+$"};
    struct ima_excludes *e = NULL;

    (void)state;
    assert_int_equal(compile(list, 1, &e, NULL), QL_OK);
    assert_int_equal(match(e, "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), IMA_EXCLUDE_LIMIT);
    assert_int_equal(match(e, "/aaa"), IMA_EXCLUDED);
    ima_excludes_free(e);
}

static void names_that_are_not_utf8_are_matched_by_bytes(void **state)
{
    (void)state;
    one("/tmp/.*", "/tmp/\xff", IMA_EXCLUDED);
    one("/t(m)p/", "/tmp/\xff", IMA_EXCLUDED);
    one("/var/", "/tmp/\xff", IMA_NOT_EXCLUDED);
}

static void every_head_that_begins_a_name_is_tried(void **state)
{
    const char *list[] = {"/a/b/c[0-9]", "/a/", "/", "/a/b[x]", "/a/b/", "/zz"};
    struct ima_excludes *e = NULL;

    (void)state;
    assert_int_equal(compile(list, 2, &e, NULL), QL_OK);
    assert_int_equal(match(e, "/a/b/c"), IMA_EXCLUDED);
    assert_int_equal(match(e, "/b"), IMA_NOT_EXCLUDED);
    ima_excludes_free(e);
    assert_int_equal(compile(list, 6, &e, NULL), QL_OK);
    assert_int_equal(match(e, "/q"), IMA_EXCLUDED);
    assert_int_equal(match(e, "x"), IMA_NOT_EXCLUDED);
    assert_int_equal(match(e, ""), IMA_NOT_EXCLUDED);
    ima_excludes_free(e);
}

/* A list of many heads gives what trying each gives. */
static void search_agrees_with_trying_each(void **state)
{
    char texts[200][16];
    const char *list[200];
    struct ima_excludes *all = NULL, *single[200];
    unsigned seed = 12345;

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        size_t n = 0;

        for (seed = seed * 1103515245 + 12345; n < 1 + (seed >> 16) % 6; n++) {
            seed = seed * 1103515245 + 12345;
            texts[i][n] = "ab/"[(seed >> 16) % 3];
        }
        if (i % 5 == 0)
            texts[i][n++] = '$';
        texts[i][n] = 0;
        list[i] = texts[i];
        assert_int_equal(compile(&list[i], 1, &single[i], NULL), QL_OK);
    }
    for (size_t from = 0; from < 200; from += 20) {
        assert_int_equal(compile(list + from, 20, &all, NULL), QL_OK);
        for (unsigned k = 0; k < 2000; k++) {
            char name[12];
            size_t n = 0;
            bool wanted = false;

            for (seed = seed * 1103515245 + 12345; n < (seed >> 16) % 10; n++)
                name[n] = "ab/"[(seed >> (8 + n)) % 3];
            name[n] = 0;
            for (size_t i = from; i < from + 20; i++)
                wanted |= match(single[i], name) == IMA_EXCLUDED;
            assert_int_equal(match(all, name), wanted ? IMA_EXCLUDED : IMA_NOT_EXCLUDED);
        }
        ima_excludes_free(all);
    }
    for (size_t i = 0; i < 200; i++)
        ima_excludes_free(single[i]);
}

static void full_patterns_match_whole_subjects_alone(void **state)
{
    struct ima_pattern *p = NULL;

    (void)state;
    assert_int_equal(ima_pattern_new(&ql_tool_host, (const uint8_t *)"a|ab", 4, true, &p, NULL), QL_OK);
    assert_int_equal(ima_pattern_match(p, (const uint8_t *)"ab", 2), IMA_MATCH);
    assert_int_equal(ima_pattern_match(p, (const uint8_t *)"abc", 3), IMA_NO_MATCH);
    assert_int_equal(ima_pattern_match(p, (const uint8_t *)"a\n", 2), IMA_NO_MATCH);
    ima_pattern_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_the_vectors_match_the_same_paths),
        cmocka_unit_test(translation_keeps_the_meaning_of_python),
        cmocka_unit_test(what_python_refuses_or_pcre2_cannot_say_is_refused_with_its_place),
        cmocka_unit_test(the_element_at_fault_is_named),
        cmocka_unit_test(a_pattern_made_to_blow_up_is_stopped_and_excludes_nothing),
        cmocka_unit_test(names_that_are_not_utf8_are_matched_by_bytes),
        cmocka_unit_test(every_head_that_begins_a_name_is_tried),
        cmocka_unit_test(search_agrees_with_trying_each),
        cmocka_unit_test(full_patterns_match_whole_subjects_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
