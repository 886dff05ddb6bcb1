/* SPDX-License-Identifier: Apache-2.0 */
/* Policies against recorded logs: bundled ones, changed reference states, and what a hostile script can do. */
#include "makelog.h"
#include "policies.h"

/** A log ready to be asked about. */
struct ready {
    struct bytes b;
    struct mb_log *log;
    int bank;
};

static void log_open(struct shop *s, const char *file, struct ready *r)
{
    char path[300];
    struct ql_err err = QL_ERR_INIT;

    snprintf(path, sizeof path, "mboot/%s", file);
    r->b = read_vector(path);
    if (mb_log_parse(s->shop.host, r->b.p, r->b.len, &r->log, &err) != QL_OK)
        fail_msg("%s: %s", file, err.text);
    r->bank = mb_log_bank(r->log, "sha256");
    assert_true(r->bank >= 0);
    assert_int_equal(mb_log_check_digests(s->shop.hasher, r->log, r->bank, NULL, NULL), QL_OK);
}

static void log_close(struct ready *r)
{
    mb_log_free(r->log);
    free(r->b.p);
}

/* Compile and ask. @return accepted; why: the reason, or why it was not compiled */
static bool ask(struct shop *s, const char *policy, json_t *refstate, const struct mb_question *q,
                char why[MB_REASON_MAX])
{
    struct mb_policy *p = NULL;
    struct ql_err err = QL_ERR_INIT;
    bool accepted;

    why[0] = '\0';
    if (mb_policy_new(&s->shop, policy, refstate, &p, &err) != QL_OK) {
        snprintf(why, MB_REASON_MAX, "%s", err.text);
        return false;
    }
    accepted = mb_policy_accepts(p, q, why);
    assert_true(accepted == (why[0] == '\0'));
    mb_policy_free(p);
    return accepted;
}

static void every_changed_reference_state_gets_the_recorded_verdict(void **state)
{
    json_t *cases = load_vectors("mboot/policy-cases.json"), *one;
    struct shop *s = shop_open();
    size_t i, wrong = 0;

    (void)state;
    json_array_foreach(cases, i, one) {
        char file[300], why[MB_REASON_MAX];
        struct ready r;
        json_t *refstate, *changed, *tree;
        bool wanted = strcmp(vector_text(one, "verdict"), "accept") == 0, got, got_tree;
        char why_tree[MB_REASON_MAX];

        snprintf(file, sizeof file, "mboot/%s", vector_text(one, "refstate"));
        refstate = load_vectors(file);
        changed = patched(refstate, json_object_get(one, "patch"));
        log_open(s, vector_text(one, "log"), &r);
        got = ask(s, vector_text(one, "policy"), changed, &(struct mb_question){.log = r.log, .bank = r.bank},
                  why);
        if (got != wanted) {
            print_message("%s: %s, wanted %s: %s\n", vector_text(one, "name"), got ? "accept" : "reject",
                          vector_text(one, "verdict"), why);
            wrong++;
        }
        /* The same over the documented tree. */
        assert_int_equal(mb_tree_json(s->shop.hasher, r.log,
                                      &(struct mb_tree_options){.bank = r.bank, .has_verified = true}, &tree,
                                      NULL),
                         QL_OK);
        got_tree = ask(s, vector_text(one, "policy"), changed, &(struct mb_question){.tree = tree}, why_tree);
        assert_true(got_tree == got);
        assert_string_equal(why_tree, why);
        json_decref(tree);
        log_close(&r);
        json_decref(changed);
        json_decref(refstate);
    }
    assert_true(i >= 100);
    assert_int_equal(wrong, 0);
    json_decref(cases);
    shop_close(s);
}

/* Of one log: two signature lists in dbx, one in db, none in KEK, an empty one in PK. */
static void make_lists(struct made_log *l)
{
    struct made m = make_siglist(MAKE_SHA256, 3, 32), more = make_siglist(MAKE_X509, 1, 700);

    make_bytes(&m, more.p, more.len);
    make_done(&more);
    make_variable_event(l, 7, 0x80000001, MAKE_SECURITY, "dbx", &m);
    m = make_siglist(MAKE_SHA256, 3, 32);
    make_variable_event(l, 7, 0x80000001, MAKE_SECURITY, "db", &m);
    m = (struct made){0};
    make_variable_event(l, 7, 0x80000001, MAKE_GLOBAL, "KEK", &m);
    m = make_siglist(MAKE_SHA256, 0, 32);
    make_variable_event(l, 7, 0x80000001, MAKE_GLOBAL, "PK", &m);
}

/* What a test of VariableData says of one variable, asked of the log and of its tree: the same. @return accepted */
static bool same_of_both(struct shop *s, const struct mb_log *log, json_t *tree, const char *name,
                         const char *test)
{
    char text[1200], why[MB_REASON_MAX], why_tree[MB_REASON_MAX];
    struct mb_scripts *scripts;
    json_t *ref = json_object();
    bool got, got_tree;

    assert_int_equal(json_object_set(ref, "log", tree), 0);
    snprintf(
        text, sizeof text,
        "return { kind = 'mb-policy', name = 'test', prepare = function(ref)"
        "  local T, X = 'c1c41626-504c-4092-aca9-41f936934328', 'a5c059a1-94e4-4aa7-87b5-ab155c2bf072'"
        "  local some = ref.log.events[3].Event.VariableData[1].Keys"
        "  local function other(e) if e.Event.UnicodeName == '%s' then return 'see the other' end end"
        "  return mb.field('events', mb.each(mb.any{mb.field('EventNum', mb.int(0)), mb.all{mb.fn(other)},"
        "      mb.field('Event', %s)})) end }",
        name, test);
    scripts = one_script(text);
    s->shop.scripts = scripts;
    got = ask(s, "test", ref, &(struct mb_question){.log = log, .bank = 0}, why);
    got_tree = ask(s, "test", ref, &(struct mb_question){.tree = tree}, why_tree);
    if (got != got_tree || strcmp(why, why_tree) != 0)
        fail_msg("%s of %s\nlog:  %s\nJSON: %s", test, name, got ? "accepted" : why,
                 got_tree ? "accepted" : why_tree);
    if (!got && strstr(why, "test.lua"))
        fail_msg("%s of %s: %s", test, name, why);
    s->shop.scripts = NULL;
    free(scripts);
    json_decref(ref);
    return got;
}

static void signature_lists_in_the_log_are_what_they_are_as_json(void **state)
{
    static const char *const names[] = {"dbx", "db", "KEK", "PK"};
    /* One letter a variable: A, accepted. */
    static const struct {
        const char *test, *wanted;
    } rows[] = {
        {"mb.field('VariableData', mb.accept())", "AAAA"},
        {"mb.field('VariableData', mb.reject('no'))", "...."},
        {"mb.field('VariableDataLength', mb.int(0))", "..A."},
        {"mb.field('UnicodeName', mb.str('db'))", ".A.."},
        {"mb.field('VariableName', mb.re('d719.*'))", "AA.."},
        {"mb.field('nothing', mb.accept())", "...."},
        {"mb.each(mb.accept())", "...."},
        {"mb.field('VariableData', mb.keys_subset({T}, some))", ".A.."},
        {"mb.field('VariableData', mb.keys_subset({T, X}, some))", ".A.."},
        {"mb.field('VariableData', mb.keys_subset({X}, some))", "...."},
        {"mb.field('VariableData', mb.keys_subset({T}, {}))", "...."},
        {"mb.field('VariableData', mb.keys_subset({T}, {some[1], some[3]}))", "...."},
        {"mb.field('VariableData', mb.keys_superset(T, some))", ".A.."},
        {"mb.field('VariableData', mb.keys_superset(T, {some[2]}))", ".A.."},
        {"mb.field('VariableData', mb.keys_superset(X, some))", "...."},
        {"mb.field('VariableData', mb.keys_superset(T, {some[1], {SignatureOwner = 'x', SignatureData = "
         "'00'}}))",
         "...."},
        {"mb.field('VariableData', mb.superset(some, {'SignatureOwner', 'SignatureData'}))", "...."},
        {"mb.field('VariableData', mb.each(mb.field('Keys', mb.superset(some, {'SignatureOwner', "
         "'SignatureData'}))))",
         ".A.."},
        {"mb.field('VariableData', mb.each(mb.field('Keys', mb.each(mb.sig_in(some)))))", ".A.."},
        {"mb.field('VariableData', mb.each(mb.field('SignatureType', mb.str(T))))", ".A.A"},
        {"mb.field('VariableData', mb.tuple{mb.accept()})", ".A.A"},
        {"mb.field('VariableData', mb.sig_in(some))", "...."},
        {"mb.field('VariableData', mb.int(1))", "...."},
        {"mb.field('VariableData', mb.str('x'))", "...."},
        {"mb.field('VariableData', mb.re('x'))", "...."},
        {"mb.field('VariableData', mb.field('x', mb.accept()))", "...."},
        {"mb.field('VariableData', mb.fn(function(v) if type(v) ~= 'table' or #v ~= 2 then return 'not two' "
         "end end))",
         "A..."},
        {"mb.fn(function(v) if v.VariableDataLength ~= 0 then return v.VariableName end end)", "..A."},
        {"mb.field('VariableData', mb.dispatch({'x'}))", "...."},
        {"mb.dispatch({'UnicodeName'}, {{'PK', mb.accept()}})", "...A"},
        {"mb.any{mb.field('VariableData', mb.keys_subset({T}, {})), mb.field('VariableData', "
         "mb.keys_subset({T}, some))}",
         ".A.."},
        {"mb.verified(mb.accept())", "...."},
        {"mb.digest{sha256 = '00'}", "...."},
    };
    const struct mb_tree_options options = {.bank = 0, .has_verified = true};
    struct shop *s = shop_open();
    struct mb_log *log = NULL;
    struct made_log made;
    json_t *tree = NULL;

    (void)state;
    make_log(&made, &MADE_SHA256, 1);
    make_lists(&made);
    assert_int_equal(mb_log_parse(s->shop.host, made.bytes.p, made.bytes.len, &log, NULL), QL_OK);
    assert_int_equal(mb_log_check_digests(s->shop.hasher, log, 0, NULL, NULL), QL_OK);
    assert_int_equal(mb_tree_json(s->shop.hasher, log, &options, &tree, NULL), QL_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t n = 0; n < 4; n++)
            if (same_of_both(s, log, tree, names[n], rows[i].test) != (rows[i].wanted[n] == 'A'))
                fail_msg("%s of %s: wanted %c", rows[i].test, names[n], rows[i].wanted[n]);
    json_decref(tree);
    mb_log_free(log);
    make_done(&made.bytes);
    shop_close(s);
}

static const char *const bundled[] = {"accept-all", "reject-all", "example", "strict"};

static void bundled_policies_are_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bundled / sizeof bundled[0]; i++)
        assert_non_null(mb_scripts_find(NULL, bundled[i]));
    assert_null(mb_scripts_find(NULL, "nonsense"));
}

/* ---- scripts of this test ---- */

#define SCRIPT(prepare)                                                                                      \
    "return { kind = 'mb-policy', name = 'test', prepare = function(ref) " prepare " end }"

/* Verdict of a script over a small tree. */
static bool script_says(const char *text, char why[MB_REASON_MAX])
{
    struct shop *s = shop_open();
    struct mb_scripts *scripts = one_script(text);
    json_t *tree = json_loads("{\"events\": [{\"EventNum\": 0, \"PCRIndex\": 4, \"EventType\": \"EV_IPL\","
                              " \"Digests\": [{\"AlgorithmId\": \"sha256\", \"Digest\": \"00ff\"}],"
                              " \"Event\": {\"String\": \"hello\"}, \"n\": null, \"list\": [1, 2, 3]},"
                              " {\"EventNum\": 1, \"PCRIndex\": 5, \"EventType\": \"EV_IPL\","
                              " \"Digests\": [], \"Event\": {\"String\": \"world\"}}]}",
                              0, NULL);
    json_t *ref = json_object();
    bool accepted;

    assert_non_null(tree);
    s->shop.scripts = scripts;
    accepted = ask(s, "test", ref, &(struct mb_question){.tree = tree}, why);
    json_decref(ref);
    json_decref(tree);
    free(scripts);
    shop_close(s);
    return accepted;
}

static void accepts(const char *text)
{
    char why[MB_REASON_MAX];

    if (!script_says(text, why))
        fail_msg("%s\nrejected: %s", text, why);
}

static void rejects(const char *text, const char *part)
{
    char why[MB_REASON_MAX];

    assert_false(script_says(text, why));
    if (!strstr(why, part))
        fail_msg("%s\nwanted: %s\nfound:  %s", text, part, why);
}

static void tests_say_what_they_are_for(void **state)
{
    (void)state;
    accepts(SCRIPT("return mb.accept()"));
    rejects(SCRIPT("return mb.reject('because')"), "because");
    rejects(SCRIPT("return mb.any{}"), "no alternative");
    accepts(SCRIPT("return mb.all{}"));
    rejects(SCRIPT("return mb.any{mb.reject('a'), mb.reject('b')}"), "none of 2 alternatives: [1] a; [2] b");
    rejects(SCRIPT("return mb.field('nothing', mb.accept())"), "has no field nothing");
    rejects(SCRIPT("return mb.field('events', mb.each(mb.field('PCRIndex', mb.int(4))))"),
            "events: event 1 (PCR 5, EV_IPL): PCRIndex: is 5, wanted 4");
    accepts(SCRIPT("return mb.field('events', mb.each(mb.fields{EventType = mb.str('EV_IPL')}))"));
    accepts(SCRIPT(
        "return mb.field('events', mb.tuple{mb.field('list', mb.tuple({mb.int(1), mb.int(2), mb.int(3), "
        "mb.accept()}, {pad = true})), mb.accept()})"));
    rejects(SCRIPT("return mb.field('events', mb.tuple{mb.accept()})"), "wanted 1, found 2");
    rejects(SCRIPT("return mb.field('events', mb.each(mb.once(mb.accept())))"), "second time");
    accepts(SCRIPT("return mb.field('events', mb.each(mb.times(2, mb.accept())))"));
    rejects(SCRIPT("return mb.field('events', mb.each(mb.times(1, mb.accept())))"), "more than the 1 times");
    rejects(SCRIPT("return mb.field('events', mb.each(mb.digest{sha256 = '0x00ff'}))"),
            "event 1 (PCR 5, EV_IPL): digest is no digest, wanted sha256 00ff");
    accepts(SCRIPT("return mb.field('events', mb.each(mb.any{mb.digests{{sha1 = '00'}, {sha256 = '00FF'}}, "
                   "mb.field('PCRIndex', mb.int(5))}))"));
    rejects(SCRIPT("return mb.field('events', mb.each(mb.verified(mb.accept())))"), "does not cover");
    accepts(SCRIPT(
        "return mb.field('events', mb.each(mb.field('Event', mb.field('String', mb.re('[a-z]{5}')))))"));
}

static void a_dispatcher_takes_each_combination_once(void **state)
{
    (void)state;
    accepts(SCRIPT("local d = mb.dispatch({'PCRIndex', 'EventType'}, {{4, 'EV_IPL', mb.accept()}})"
                   " d:set({5, 'EV_IPL'}, mb.accept()) return mb.field('events', mb.each(d))"));
    rejects(SCRIPT("return mb.field('events', mb.each(mb.dispatch({'PCRIndex'}, {{4, mb.accept()}})))"),
            "event 1 (PCR 5, EV_IPL): the policy has no rule for PCRIndex");
    rejects(
        SCRIPT(
            "local d = mb.dispatch({'PCRIndex'}) d:set({4}, mb.accept()) d:set({4}, mb.accept()) return d"),
        "already");
}

static void what_is_collected_is_judged_at_the_end(void **state)
{
    (void)state;
    accepts(SCRIPT(
        "local c = mb.collect{'a', 'b'} local d = mb.dispatch({'PCRIndex'}, {{4, c:into('a')}, "
        "{5, c:into('b')}}) return mb.field('events', mb.all{c:begin(), mb.each(d), "
        "c:finish(mb.fields{a = mb.tuple{mb.field('PCRIndex', mb.int(4))}, b = mb.tuple{mb.accept()}})})"));
    rejects(SCRIPT("local c = mb.collect{'a'} return mb.field('events', mb.each(c:into('a')))"),
            "before begin");
    rejects(SCRIPT("local c = mb.collect{'a'} return c:into('b')"), "none of the names");
}

static void functions_of_a_script_are_asked_anew_for_every_log(void **state)
{
    (void)state;
    accepts(SCRIPT("return mb.field('events', mb.each(mb.fn(function(e) if e.PCRIndex > 5 then return 'high' "
                   "end end)))"));
    rejects(SCRIPT("return mb.field('events', mb.each(mb.fn(function(e) if e.PCRIndex == 5 then return "
                   "'five' end end)))"),
            "event 1 (PCR 5, EV_IPL): five");
    rejects(SCRIPT("return mb.fn(function() return true end)"), "neither nil nor a reason");
    rejects(SCRIPT("return mb.fn(function() return '' end)"), "neither nil nor a reason");
    rejects(SCRIPT("return mb.fn(function() error('thrown') end)"),
            "policy evaluation failed: test.lua: test: test.lua:1: thrown");
    accepts(
        "return { kind = 'mb-policy', name = 'x', evaluate = function(ref, log) if #log.events ~= 2 then "
        "return "
        "'count' end if log.events[1].n ~= mb.null then return 'null' end local t = mb.field('PCRIndex', "
        "mb.int(4)) if mb.run(t, log.events[1]) then return 'run' end if not mb.run(t, log.events[2]) then "
        "return 'run' end end }");
    rejects("return { kind = 'mb-policy', name = 'x', evaluate = function() return 'no' end }", "no");
    rejects("return { kind = 'mb-policy', name = 'x', evaluate = function() return 1 end }",
            "neither nil nor");
    rejects("return { kind = 'mb-policy', name = 'x', evaluate = function() return false end }",
            "neither nil nor");
    accepts("return { kind = 'mb-policy', name = 'x', prepare = function(ref) return "
            "mb.policy('accept-all').prepare(ref) end }");
    rejects("return { kind = 'mb-policy', name = 'x', prepare = function(ref) return "
            "mb.policy('reject-all').prepare(ref) end }",
            "reject all");
}

static void scripts_of_another_form_are_refused(void **state)
{
    (void)state;
    rejects("return 1", "wanted a table");
    rejects("return {}", "kind");
    rejects("return { kind = 'validator', prepare = function() end }", "kind: wanted \"mb-policy\"");
    rejects("return { kind = 'mb-policy' }", "one of the functions");
    rejects("return { kind = 'mb-policy', prepare = function() end, evaluate = function() end }", "one of");
    rejects("return { kind = 'mb-policy', prepair = function() end }", "unknown field prepair");
    rejects(SCRIPT("return nil"), "wanted a test, found a nil");
    rejects(SCRIPT("return {}"), "wanted a test, found a table");
    rejects(
        "return { kind = 'mb-policy', relevant_pcrs = {10}, prepare = function() return mb.accept() end }",
        "PCR 10");
    rejects(
        "return { kind = 'mb-policy', relevant_pcrs = {24}, prepare = function() return mb.accept() end }",
        "0 to 23");
    rejects("syntax error", "test.lua:1:");
    rejects(SCRIPT("return mb.re('(')"), "a group has no end");
    rejects(SCRIPT("return mb.digest{sha256 = 'xyz'}"), "hex");
    rejects(SCRIPT("return mb.all{mb.accept(), 1}"), "wanted a test, found a number");
    rejects(SCRIPT("mb.all = nil return mb.accept()"), "read-only");
    rejects(SCRIPT("return getmetatable(mb.accept()).__index"), "attempt to index");
    rejects(SCRIPT("return io.open('/etc/passwd')"), "nil value");
    rejects("\x1bLua", "attempt to load a binary chunk");
}

static void hostile_scripts_end_at_their_limits(void **state)
{
    (void)state;
    rejects("while true do end", "instruction limit");
    rejects(SCRIPT("while true do end"), "instruction limit");
    rejects(SCRIPT("while true do pcall(error) end"), "instruction limit");
    rejects(SCRIPT("return mb.fn(function() while true do end end)"), "instruction limit");
    rejects("return { kind = 'mb-policy', evaluate = function() while true do pcall(error) end end }",
            "instruction limit");
    rejects(SCRIPT("local t = {} while true do t[#t + 1] = string.rep('x', 100000) .. #t end"), "limit");
    rejects(SCRIPT("return mb.fn(function() local t = {} while true do t[#t + 1] = string.rep('x', 1000000) "
                   ".. #t end "
                   "end)"),
            "limit");
    rejects(SCRIPT("local t = mb.accept() while true do t = mb.all{t} end"), "limit");
    rejects(SCRIPT("local t = mb.accept() for i = 1, 150 do t = mb.all{t} end return t"), "nested deeper");
    rejects(SCRIPT("local d = mb.dispatch({'x'}) local function f() return f() end return f()"),
            "instruction limit");
    rejects(SCRIPT("local function f(...) return 1 + f(...) end return f()"), "limit");
    rejects(SCRIPT("local t = mb.reject('x') for i = 1, 60 do t = mb.any{t, t} end return t"), "steps");
    rejects(SCRIPT("return mb.field('events', mb.each(mb.field('Event', mb.field('String', "
                   "mb.re('(?:(?:[a-z]*)*)*[0-9]')))))"),
            "");
    rejects(SCRIPT("error({})"), "error without text");
    rejects(SCRIPT("error(nil)"), "error without text");
}

static void regular_expressions_have_pythons_meaning(void **state)
{
    static const struct {
        const char *pattern, *text;
        int matches; /* -1: refused */
    } rows[] = {
        {"a|b", "a", 1},
        {"a|b", "ab", 0},
        {"a.c", "a\nc", 0},
        {"(?s)a.c", "a\nc", 1},
        {"(?i)ABC", "abc", 1},
        {"a{2}", "aa", 1},
        {"a{,2}", "aa", 1},
        {"a{,2}", "a{,2}", 0},
        {"a{x}", "a{x}", 1},
        {"\\-\\ \\#\\~", "- #~", 1},
        {"[]a]+", "]a", 1},
        {"[^]a]", "b", 1},
        {"[a-c\\d]+", "b7", 1},
        {"[[:alpha:]]", "a]", 1},
        {"\\x41\\n", "A\n", 1},
        {"a$", "a", 1},
        {"^a\\Z", "a", 1},
        {"x*?y", "xxy", 1},
        {"(a(b)?)+", "aba", 1},
        {"\xc3\xa9+", "\xc3\xa9\xc3\xa9", 1},
        {".", "\xc3\xa9", 1},
        {"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", 1},
        {"", "", 1},
        {"/x", "/x", 1},
        {"(?=a)a", "a", -1},
        {"(?!a)b", "b", -1},
        {"(a)\\1", "aa", -1},
        {"a++", "a", -1},
        {"(?P<n>a)", "a", -1},
        {"a**", "a", -1},
        {"*a", "a", -1},
        {"a)", "a", -1},
        {"[a", "a", -1},
        {"[z-a]", "z", -1},
        {"\\", "\\", -1},
        {"\\b", "b", -1},
        {"a{3,2}", "a", -1},
        {"\\xg", "g", -1},
        {"(?>a)", "a", -1},
        {"(?#c)a", "a", -1},
        {"^*", "", -1},
        {"a{1}{2}", "aa", -1},
        {"\\Q.*\\E", "x", -1},
        {"\\C", "x", -1},
        {"(*LIMIT_MATCH=1)a", "a", -1},
        {"a(?i)b", "ab", -1},
    };
    struct shop *s = shop_open();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mb_regex *re = NULL;
        struct ql_err err = QL_ERR_INIT;
        int r = mb_regex_new(s->shop.host, rows[i].pattern, strlen(rows[i].pattern), "", &re, &err);

        if ((r == QL_OK) != (rows[i].matches >= 0))
            fail_msg("%s: %s", rows[i].pattern, r < 0 ? err.text : "was taken");
        if (r == QL_OK && mb_regex_full(re, rows[i].text, strlen(rows[i].text)) != rows[i].matches)
            fail_msg("%s on %s: wanted %d", rows[i].pattern, rows[i].text, rows[i].matches);
        mb_regex_free(re);
    }
    shop_close(s);
}

static void a_regular_expression_at_its_limit_is_an_error(void **state)
{
    struct shop *s = shop_open();
    struct mb_regex *re = NULL;
    char text[64];

    (void)state;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '!';
    assert_int_equal(mb_regex_new(s->shop.host, "(a+)+", 5, "", &re, NULL), QL_OK);
    assert_int_equal(mb_regex_full(re, text, sizeof text), QL_ELIMIT);
    assert_int_equal(mb_regex_full(re, "\xff", 1), QL_EPARSE);
    mb_regex_free(re);
    shop_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_changed_reference_state_gets_the_recorded_verdict),
        cmocka_unit_test(signature_lists_in_the_log_are_what_they_are_as_json),
        cmocka_unit_test(bundled_policies_are_there),
        cmocka_unit_test(tests_say_what_they_are_for),
        cmocka_unit_test(a_dispatcher_takes_each_combination_once),
        cmocka_unit_test(what_is_collected_is_judged_at_the_end),
        cmocka_unit_test(functions_of_a_script_are_asked_anew_for_every_log),
        cmocka_unit_test(scripts_of_another_form_are_refused),
        cmocka_unit_test(hostile_scripts_end_at_their_limits),
        cmocka_unit_test(regular_expressions_have_pythons_meaning),
        cmocka_unit_test(a_regular_expression_at_its_limit_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
