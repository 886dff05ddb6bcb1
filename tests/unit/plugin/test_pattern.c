/* SPDX-License-Identifier: Apache-2.0 */
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "script.h"

#include "pattern.h"

/* Patterns and subjects of which every pair is tried; also malformed ones. */
static const char *const PATTERNS[] = {
    "",       "a",       "^a",        "a$",     "^$",          "$",
    "^",      ".",       "..",        ".-",     ".*",          ".+",
    ".?",     "a-b",     "a*b",       "a+b",    "a?b",         "%a+",
    "%A+",    "%d",      "%D*",       "%s+",    "%S-",         "%w+",
    "%W",     "%x+",     "%X",        "%p",     "%P+",         "%c",
    "%C+",    "%g+",     "%G",        "%l+",    "%L+",         "%u",
    "%U+",    "[abc]",   "[^abc]",    "[a-c]+", "[^a-c]*",     "[]]",
    "[^]]+",  "[%a]",    "[%]]",      "[a-]",   "[-a]",        "[a%-c]",
    "[%w_]+", "(a)",     "(a)(b)",    "()",     "()a()",       "(a*)(.-)b",
    "((a)b)", "(.)%1",   "(a)%1",     "%b()",   "%bab",        "%f[%a]%a+",
    "%f[%A]", "%f[^%z]", "a$b",       "%%",     "%.",          "%$",
    "a)",     "%",       "[a",        "[",      "[^",          "[%",
    "%b",     "%bx",     "%f",        "%fa",    "%1",          "(%1)",
    "%9",     "%0",      "()%1",      "a**",    "*",           "+a",
    "?",      "-",       "^^",        "[%a-z]", "[a-%a]",      "(a?)(b?)(c?)",
    "x*$",    "(()())",  "([^,]*),?", "\xff",   "[\x80-\xff]", "a-$",
    "%g-%s",
};
static const char *const SUBJECTS[] = {
    "",          "a",           "b",     "ab",      "aab",   "aaab",
    "abc abc",   "hello world", "  x  ", "(a(b)c)", "((",    "THE (quick) fox",
    "a,b,,c",    "x=1, y=22",   "%.$",   "]]",      "-a-c-", "aXbX",
    "\xff\x80z", "a\tb\nc",     "0x1F",  "$",       "^^",    "abab",
};
/* The library of the system, without limits, as the judge. */
static lua_State *judge(void)
{
    lua_State *L = luaL_newstate();

    assert_non_null(L);
    luaL_openlibs(L);
    return L;
}

/* All pairs in one script: the judge makes a list of results, ours must make the same. */
static void patterns_mean_what_they_mean_in_lua(void **state)
{
    static const char work[] =
        "local out = {}\n"
        "local function note(...)\n"
        "  local t = table.pack(...)\n"
        "  for i = 1, t.n do t[i] = tostring(t[i]) end\n"
        "  out[#out + 1] = (table.concat(t, '|'):gsub('^false|.*', 'error'))\n"
        "end\n"
        "for _, r in ipairs(replacements) do note(pcall(string.gsub, subject, pattern, r)) end\n"
        "for from = -3, 4 do note(pcall(string.find, subject, pattern, from)) end\n"
        "note(pcall(string.find, subject, pattern, 1, true))\n"
        "note(pcall(string.match, subject, pattern))\n"
        "note(pcall(string.match, subject, pattern, 2))\n"
        "note(pcall(string.gsub, subject, pattern, {a = 'A', b = false}))\n"
        "note(pcall(string.gsub, subject, pattern, function(a, b) return b or nil end, 2))\n"
        "note(pcall(function() local t = {} for a, b in string.gmatch(subject, pattern) do\n"
        "  t[#t + 1] = tostring(a) .. '/' .. tostring(b) if #t > 50 then break end end\n"
        "  return table.concat(t, ' ') end))\n"
        "return out\n";
    lua_State *L = judge();
    struct script s;
    size_t compared = 0;
    char body[4096], chunk[8192];

    /* Ours gets pattern and subject in hex, which keeps every byte. */
    snprintf(body, sizeof body,
             "local hex_pattern, hex_subject = object.policy:match('(%%x*),(%%x*)')\n"
             "local pattern, subject = ql.unhex(hex_pattern), ql.unhex(hex_subject)\n"
             "local replacements = {'<%%0>', '%%1', '%%2', '%%%%', '', '%%', '%%a'}\n"
             "local out = (function()\n%s\nend)()\nreturn table.concat(out, '\\n')",
             work);
    script_body(&s, *state, "", body, NULL);
    snprintf(chunk, sizeof chunk,
             "local pattern, subject = ...\nlocal replacements = {'<%%0>', '%%1', '%%2', '%%%%', '', '%%', "
             "'%%a'}\n"
             "local out = (function()\n%s\nend)()\nreturn table.concat(out, '\\n')",
             work);
    assert_int_equal(luaL_loadstring(L, chunk), LUA_OK);
    for (size_t p = 0; p < QL_ARRAY_LEN(PATTERNS); p++)
        for (size_t t = 0; t < QL_ARRAY_LEN(SUBJECTS); t++) {
            struct ql_state out = {.size = sizeof out};
            struct ql_err err = QL_ERR_INIT;
            const char *theirs;
            size_t len;
            char hex[512] = "", *at = hex;

            for (const char *c = PATTERNS[p]; *c; c++)
                at += sprintf(at, "%02x", (unsigned char)*c);
            *at++ = ',';
            for (const char *c = SUBJECTS[t]; *c; c++)
                at += sprintf(at, "%02x", (unsigned char)*c);
            *at = '\0';
            lua_settop(L, 1);
            lua_pushvalue(L, 1);
            lua_pushstring(L, PATTERNS[p]);
            lua_pushstring(L, SUBJECTS[t]);
            assert_int_equal(lua_pcall(L, 2, 1, 0), LUA_OK);
            theirs = lua_tolstring(L, -1, &len);
            if (script_prepare(&s, hex, &err) != QL_OK || script_validate(&s, NULL, &out, &err) != QL_OK)
                fail_msg("%s", err.text);
            if (out.len != len + 1 || memcmp(out.data + 1, theirs, len) != 0)
                fail_msg("pattern \"%s\", subject \"%s\"\nours:\n%.*s\ntheirs:\n%s", PATTERNS[p], SUBJECTS[t],
                         (int)out.len - 1, (const char *)out.data + 1, theirs);
            ql_plugin_memory_free((void *)(uintptr_t)out.data);
            s.validator->release(s.plugin, s.compiled);
            s.compiled = NULL;
            compared++;
        }
    print_message("%zu pairs agree\n", compared);
    script_done(&s);
    lua_close(L);
}

/* Lua notices this only when the capture is used; here it is no pattern at all. */
static void pattern_with_an_open_capture_is_refused(void **state)
{
    body_fails(state, "return (('a'):gsub('(a', 'x'))", QL_EPARSE, "unfinished capture");
}

static void pattern_stops_at_its_steps_and_says_so(void **state)
{
    struct ql_pattern m;
    char subject[2000];

    (void)state;
    memset(subject, 'x', sizeof subject);
    ql_pattern_init(&m, subject, sizeof subject, ".-.-.-b", 7, 100000);
    assert_null(ql_pattern_match(&m, subject));
    assert_int_equal(m.is_limit, 1);
    assert_non_null(m.error);
    assert_int_equal(m.steps_left, 0);
    m.steps_left = 100;
    m.pattern = "x$";
    m.pattern_end = m.pattern + 2;
    assert_null(ql_pattern_match(&m, subject));
    assert_int_equal(m.is_limit, 0);
    assert_null(m.error);
}

static void pattern_depth_is_bounded(void **state)
{
    struct ql_pattern m;
    char pattern[1001];

    (void)state;
    for (size_t i = 0; i < sizeof pattern - 1; i += 2)
        memcpy(pattern + i, "x?", 2);
    ql_pattern_init(&m, "xxxxxxxxxxxxxxx", 15, pattern, sizeof pattern - 1, 1000000);
    assert_non_null(ql_pattern_match(&m, m.subject));
    char subject[500];
    memset(subject, 'x', sizeof subject);
    ql_pattern_init(&m, subject, sizeof subject, pattern, sizeof pattern - 1, 1000000);
    assert_null(ql_pattern_match(&m, subject));
    assert_string_equal(m.error, "pattern too complex");
}

/* Each pattern cut at each place, in memory that ends right behind it. */
static void pattern_reads_nothing_behind_its_end(void **state)
{
    (void)state;
    for (size_t p = 0; p < QL_ARRAY_LEN(PATTERNS); p++)
        for (size_t len = 0; len <= strlen(PATTERNS[p]); len++)
            for (size_t t = 0; t < QL_ARRAY_LEN(SUBJECTS); t++) {
                const size_t subject_len = strlen(SUBJECTS[t]);
                ql_auto_free char *pattern = malloc(len ? len : 1),
                                  *subject = malloc(subject_len ? subject_len : 1);
                struct ql_pattern m;

                memcpy(pattern, PATTERNS[p], len);
                memcpy(subject, SUBJECTS[t], subject_len);
                ql_pattern_init(&m, subject, subject_len, pattern, len, 10000);
                for (size_t at = 0; at <= subject_len; at++) {
                    const char *end = ql_pattern_match(&m, subject + at);

                    assert_true(!end || (end >= subject + at && end <= subject + subject_len));
                }
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(patterns_mean_what_they_mean_in_lua),    TEST(pattern_with_an_open_capture_is_refused),
        TEST(pattern_stops_at_its_steps_and_says_so), TEST(pattern_depth_is_bounded),
        TEST(pattern_reads_nothing_behind_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
