/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>

#include "script.h"

#include "clock.h"

/** An action made of a script's text. */
struct act {
    struct ql_registry *registry;
    const struct ql_action *action;
    void *plugin;
    struct ql_lua_grants grants;
    const char *exec[4], *dirs[3];
};

static void act_load(struct act *a, const struct folder *f, const char *body)
{
    char text[8192];
    struct ql_err err = QL_ERR_INIT;
    struct ql_found found;

    *a = (struct act){.registry = new_registry(NULL)};
    snprintf(text, sizeof text,
             "return {kind = 'action', name = 'act', sites = {'agent'}, run = function(event)\n"
             "local dir = '%s'\n%s\nend}\n",
             f->path, body);
    folder_write(f, "act.lua", text, strlen(text));
    if (load(a->registry, f, "act", NULL, &err) != QL_OK)
        fail_msg("%s", err.text);
    found = ql_registry_find(a->registry, QL_KIND_ACTION, "act");
    assert_non_null(found.head);
    a->action = (const struct ql_action *)(const void *)found.head;
    a->plugin = found.plugin;
    a->exec[0] = "/bin/sh";
    a->exec[1] = "/nowhere/program";
    a->dirs[0] = f->path;
    a->grants = (struct ql_lua_grants){.exec = a->exec, .file_dirs = a->dirs};
}

static int act_run(const struct act *a, struct ql_err *err)
{
    json_t *msg = json_pack("{s:s}", "type", "revocation");
    const struct ql_event event = {.size = sizeof event,
                                   .message = (const uint8_t *)"{}",
                                   .message_len = 2,
                                   .msg = msg,
                                   .signature = "c2ln",
                                   .agent_id = "agent-1",
                                   .agent_address = "10.0.0.1",
                                   .severity = "high",
                                   .event_id = "ima.x",
                                   .metadata = "{\"k\":1}",
                                   .attempt = 2};
    const struct ql_action_ctx ctx = {.size = sizeof ctx, .site = QL_SITE_AGENT, .work_dir = "/tmp"};
    int r = a->action->run(a->plugin, &event, &ctx, err);

    json_decref(msg);
    return r;
}

/* Run a body with these grants; 0, or an error with these words. */
static void act_ends(void **state, const char *body, int code, const char *words)
{
    struct act a;
    struct ql_err err = QL_ERR_INIT;
    int r;

    act_load(&a, *state, body);
    ql_registry_set_grants(a.registry, &a.grants);
    r = act_run(&a, &err);
    if (r != code || (words && !strstr(err.text, words)))
        fail_msg("%d \"%s\" where %d \"%s\" was expected", r, err.text, code, words ? words : "");
    ql_registry_free(a.registry);
}

static void action_sees_the_event(void **state)
{
    act_ends(
        state,
        "assert(event.message == '{}' and event.msg.type == 'revocation' and event.signature == 'c2ln')\n"
        "assert(event.agent_id == 'agent-1' and event.agent_address == '10.0.0.1' and event.severity == "
        "'high')\n"
        "assert(event.event_id == 'ima.x' and ql.json.decode(event.metadata).k == 1 and event.attempt == 2)\n"
        "assert(event.site == 'agent' and event.work_dir == '/tmp')",
        QL_OK, NULL);
}

static void action_says_how_it_ended(void **state)
{
    act_ends(state, "return true", QL_OK, NULL);
    act_ends(state, "return 'again'", QL_EAGAIN, "asks to be run again");
    act_ends(state, "return 'later'", QL_EPARSE, "found later");
    act_ends(state, "return false", QL_EPARSE, "wanted nothing, true or");
    act_ends(state, "error('cannot')", QL_EPARSE, "cannot");
}

static void action_without_grants_reaches_nothing(void **state)
{
    struct act a;
    struct ql_err err = QL_ERR_INIT;

    act_load(&a, *state,
             "for _, f in ipairs{function() ql.exec{'/bin/sh'} end, function() ql.file.read(dir .. "
             "'/act.lua') end,\n"
             "function() ql.file.write(dir .. '/x', 'x') end, function() ql.file.replace(dir .. '/x', error) "
             "end} do\n"
             "local ok, why = pcall(f) assert(not ok and why:find('not granted', 1, true), why) end");
    if (act_run(&a, &err) != QL_OK)
        fail_msg("%s", err.text);
    ql_registry_free(a.registry);
}

static void exec_runs_a_list_of_arguments_and_tells_what_came_out(void **state)
{
    act_ends(state,
             "local r = ql.exec{'/bin/sh', '-c', 'echo \"$1|$PATH|$HOME\"; echo err >&2; exit 3', 'sh', 'a "
             "b;$(c)'}\n"
             "assert(r.status == 3 and not r.timed_out and not r.cut, r.output)\n"
             "assert(r.output == 'a b;$(c)|/usr/sbin:/usr/bin:/sbin:/bin|\\nerr\\n', r.output)",
             QL_OK, NULL);
    act_ends(state,
             "local r = ql.exec{'/bin/sh', '-c', 'kill -9 $$'} assert(r.signal == 9 and r.status == nil)",
             QL_OK, NULL);
    act_ends(state,
             "local r = ql.exec{'/bin/sh', '-c', 'cat; exit 0'} assert(r.status == 0 and r.output == '')",
             QL_OK, NULL);
}

static void exec_refuses_what_is_not_granted(void **state)
{
    act_ends(state, "ql.exec{'/bin/true'}", QL_EPARSE, "/bin/true is not granted");
    act_ends(state, "ql.exec{'sh'}", QL_EPARSE, "sh is not granted");
    act_ends(state, "ql.exec{'/bin/../bin/sh'}", QL_EPARSE, "not granted");
    act_ends(state, "ql.exec{'/nowhere/program'}", QL_EPARSE, "No such file");
    act_ends(state, "ql.exec{}", QL_EPARSE, "1 to 64");
    act_ends(state, "ql.exec{'/bin/sh', 7}", QL_EPARSE, "argument 2: wanted a text");
    act_ends(state, "ql.exec{'/bin/sh', 'a\\0b'}", QL_EPARSE, "zero byte");
    act_ends(state, "ql.exec({'/bin/sh'}, {timeout = 0})", QL_EPARSE, "timeout");
    act_ends(state, "ql.exec({'/bin/sh'}, {timeout = 1e9})", QL_EPARSE, "timeout");
}

static void exec_keeps_a_part_of_long_output_and_reads_the_rest(void **state)
{
    act_ends(state,
             "local r = ql.exec{'/bin/sh', '-c', 'head -c 300000 /dev/zero; exit 5'}\n"
             "assert(r.status == 5 and r.cut and #r.output == 65536)",
             QL_OK, NULL);
}

/* The program's own child holds the pipe: at the end of the time the whole group goes. */
static void exec_kills_the_whole_group_at_the_end_of_its_time(void **state)
{
    const struct folder *f = *state;
    const int64_t begin = ql_mono_ns();
    ql_auto_free uint8_t *text = NULL;
    size_t len = 0;
    struct ql_err err = QL_ERR_INIT;
    char path[512];
    int pid;

    act_ends(
        state,
        "local r = ql.exec({'/bin/sh', '-c', 'sleep 100 & echo $! >'..dir..'/pid; wait'}, {timeout = 0.3})\n"
        "assert(r.timed_out and r.status == nil and r.signal == nil)",
        QL_OK, NULL);
    assert_true(ql_mono_ns() - begin < 20 * QL_NS_PER_S);
    assert_int_equal(ql_file_read(folder_at(f, "pid", path), 100, &text, &len, &err), QL_OK);
    pid = atoi((const char *)text);
    assert_true(pid > 1);
    /* Its zombie may wait for init for a moment. */
    for (int64_t end = ql_mono_ns() + 5 * QL_NS_PER_S; kill(pid, 0) == 0 && ql_mono_ns() < end;) {
        char stat_path[64], line[256] = "";
        FILE *stat_file;

        snprintf(stat_path, sizeof stat_path, "/proc/%d/stat", pid);
        stat_file = fopen(stat_path, "r");
        if (!stat_file || (fgets(line, sizeof line, stat_file) && strstr(line, ") Z "))) {
            if (stat_file)
                fclose(stat_file);
            return;
        }
        fclose(stat_file);
    }
    assert_int_equal(kill(pid, 0), -1);
}

static void file_reads_writes_and_replaces_below_its_folder(void **state)
{
    const struct folder *f = *state;
    struct stat st;
    char path[512];

    folder_write(f, "keys", "one\ntwo\n", 8);
    assert_int_equal(chmod(folder_at(f, "keys", path), 0640), 0);
    act_ends(
        state,
        "assert(ql.file.read(dir .. '/keys') == 'one\\ntwo\\n' and ql.file.read(dir .. '/none') == nil)\n"
        "assert(ql.file.read(dir .. '/no/where') == nil)\n"
        "assert(ql.file.replace(dir .. '/keys', function(t) return (t:gsub('two\\n', '')) end) == true)\n"
        "assert(ql.file.replace(dir .. '/keys', function(t) return t end) == false)\n"
        "assert(ql.file.replace(dir .. '/keys', function(t) return nil end) == false)\n"
        "assert(ql.file.read(dir .. '/keys') == 'one\\n')\n"
        "ql.file.write(dir .. '/new', 'a\\0b') assert(ql.file.read(dir .. '/new') == 'a\\0b')\n"
        "ql.file.write(dir .. '/new', '') assert(ql.file.read(dir .. '/new') == '')",
        QL_OK, NULL);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(stat(folder_at(f, "new", path), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void file_stays_below_its_folder_and_off_links(void **state)
{
    const struct folder *f = *state;
    char path[512];

    assert_int_equal(mkdir(folder_at(f, "sub", path), 0755), 0);
    folder_write(f, "sub/inner", "x", 1);
    assert_int_equal(symlink("/etc/passwd", folder_at(f, "link", path)), 0);
    assert_int_equal(symlink("/etc", folder_at(f, "etc", path)), 0);
    assert_int_equal(symlink("sub", folder_at(f, "inside", path)), 0);
    act_ends(state, "assert(ql.file.read(dir .. '/sub/inner') == 'x')", QL_OK, NULL);
    act_ends(state, "ql.file.read('/etc/passwd')", QL_EPARSE, "not granted");
    act_ends(state, "ql.file.read(dir .. '/../../etc/passwd')", QL_EPARSE, "ql.file");
    act_ends(state, "ql.file.read(dir .. '/sub/../../../etc/passwd')", QL_EPARSE, "ql.file");
    act_ends(state, "ql.file.read(dir .. '/link')", QL_EPARSE, "ql.file");
    act_ends(state, "ql.file.write(dir .. '/link', 'x')", QL_EPARSE, "not a regular file");
    act_ends(state, "ql.file.read(dir .. '/etc/passwd')", QL_EPARSE, "ql.file");
    act_ends(state, "ql.file.read(dir .. '/inside/inner')", QL_EPARSE, "ql.file");
    act_ends(state, "ql.file.write(dir .. '/etc/quicklime-test', 'x')", QL_EPARSE, "ql.file");
    act_ends(state, "ql.file.read(dir .. '//etc/passwd')", QL_EPARSE, "names no file");
    act_ends(state, "ql.file.read(dir .. '/sub/..')", QL_EPARSE, "names no file");
    act_ends(state, "ql.file.read(dir .. '/')", QL_EPARSE, "names no file");
    act_ends(state, "ql.file.read(dir .. 'x/y')", QL_EPARSE, "not granted");
    act_ends(state, "ql.file.read(dir .. '/keys\\0')", QL_EPARSE, "zero byte");
    act_ends(state, "ql.file.read(dir .. '/sub')", QL_EPARSE, "not a regular file");
}

static void file_sizes_are_limited(void **state)
{
    act_ends(state, "ql.file.write(dir .. '/big', ('x'):rep(1048577))", QL_EPARSE, "at most 1048576");
    act_ends(
        state,
        "ql.file.write(dir .. '/big', ('x'):rep(1048576)) assert(#ql.file.read(dir .. '/big') == 1048576)",
        QL_OK, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(action_sees_the_event),
        TEST(action_says_how_it_ended),
        TEST(action_without_grants_reaches_nothing),
        TEST(exec_runs_a_list_of_arguments_and_tells_what_came_out),
        TEST(exec_refuses_what_is_not_granted),
        TEST(exec_keeps_a_part_of_long_output_and_reads_the_rest),
        TEST(exec_kills_the_whole_group_at_the_end_of_its_time),
        TEST(file_reads_writes_and_replaces_below_its_folder),
        TEST(file_stays_below_its_folder_and_off_links),
        TEST(file_sizes_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
