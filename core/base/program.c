/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "cleanup.h"
#include "error.h"
#include "log.h"
#include "program.h"

enum {
    SETTINGS_MAX = 64,
    LARGE_BLOCK = 1024 * 1024, /* bytes; such a block is a mapping of its own */
    KEPT_MAX = 4 * 1024 * 1024 /* free bytes at the end of the heap that are kept */
};

const char *ql_version(void)
{
    return QL_VERSION;
}

/** The command line, split. */
struct line {
    const char *config_dir, *state_dir;
    struct ql_setting settings[SETTINGS_MAX];
    size_t setting_count;
    bool show_config, check_config, version, help, sample;
};

static void line_done(struct line *l)
{
    for (size_t i = 0; i < l->setting_count; i++) {
        free((char *)(uintptr_t)l->settings[i].group);
        free((char *)(uintptr_t)l->settings[i].name);
    }
}

static int add_setting(struct line *l, const char *text, struct ql_err *err)
{
    const char *equals = strchr(text, '='), *dot = strchr(text, '.');

    if (!equals || !dot || dot > equals || dot == text)
        return ql_fail(err, QL_EPARSE, "--set takes GROUP.OPTION=VALUE");
    if (l->setting_count >= SETTINGS_MAX)
        return ql_fail(err, QL_ELIMIT, "--set given more than %d times", SETTINGS_MAX);
    l->settings[l->setting_count++] = (struct ql_setting){
        strndup(text, (size_t)(dot - text)), strndup(dot + 1, (size_t)(equals - dot - 1)), equals + 1};
    if (!l->settings[l->setting_count - 1].group || !l->settings[l->setting_count - 1].name)
        return ql_fail_nomem(err);
    return QL_OK;
}

static bool take_flag(struct line *l, const char *arg)
{
    static const struct {
        const char *name;
        size_t at;
    } flags[] = {
        {"--show-config", offsetof(struct line, show_config)},
        {"--check-config", offsetof(struct line, check_config)},
        {"--version", offsetof(struct line, version)},
        {"--help", offsetof(struct line, help)},
        {"-h", offsetof(struct line, help)},
        {"--sample-config", offsetof(struct line, sample)},
    };

    for (size_t i = 0; i < QL_ARRAY_LEN(flags); i++)
        if (strcmp(arg, flags[i].name) == 0) {
            *(bool *)((char *)l + flags[i].at) = true;
            return true;
        }
    return false;
}

static int take_value(struct line *l, const char *name, size_t name_len, const char *value,
                      struct ql_err *err)
{
    if (name_len == strlen("--config-dir") && strncmp(name, "--config-dir", name_len) == 0)
        l->config_dir = value;
    else if (name_len == strlen("--state-dir") && strncmp(name, "--state-dir", name_len) == 0)
        l->state_dir = value;
    else if (name_len == strlen("--set") && strncmp(name, "--set", name_len) == 0)
        return add_setting(l, value, err);
    else
        return ql_fail(err, QL_EPARSE, "unknown argument %.80s", name);
    return QL_OK;
}

static bool takes_value(const char *name, size_t len)
{
    static const char *const names[] = {"--config-dir", "--state-dir", "--set"};

    for (size_t i = 0; i < QL_ARRAY_LEN(names); i++)
        if (strlen(names[i]) == len && strncmp(name, names[i], len) == 0)
            return true;
    return false;
}

static int read_line(int argc, char **argv, struct line *l, struct ql_err *err)
{
    for (int i = 1; i < argc; i++) {
        const char *equals = strchr(argv[i], '='), *name = argv[i], *value;
        size_t len = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        int r;

        if (take_flag(l, name))
            continue;
        if (!takes_value(name, len))
            return ql_fail(err, QL_EPARSE, "unknown argument %.80s", name);
        value = equals ? equals + 1 : ++i < argc ? argv[i] : NULL;
        if (!value)
            return ql_fail(err, QL_EPARSE, "%.*s takes a value", (int)len, name);
        r = take_value(l, name, len, value, err);
        if (r < 0)
            return r;
    }
    return QL_OK;
}

static void help(const struct ql_program *program)
{
    printf("usage: %s [OPTION]...\n\n%s\n\n"
           "  --config-dir DIR          folder of %s.conf and %s.conf.d instead of the system's\n"
           "  --state-dir DIR           folder for keys and databases (default " QL_DEFAULT_STATE_DIR ")\n"
           "  --set GROUP.OPTION=VALUE  set an option; wins over files and environment (repeatable)\n"
           "  --show-config             print each option, its value and where it came from\n"
           "  --check-config            check the configuration and exit\n"
           "  --sample-config           print a commented sample file\n"
           "  --version                 print the version\n"
           "  --help                    show this help\n",
           program->name, program->summary, program->component, program->component);
}

static int absolute(const char *path, char **ret, struct ql_err *err)
{
    ql_auto_free char *here = NULL;

    if (path[0] == '/') {
        *ret = strdup(path);
        return *ret ? QL_OK : ql_fail_nomem(err);
    }
    here = getcwd(NULL, 0);
    if (!here)
        return ql_fail(err, QL_EIO, "current folder: %m");
    if (asprintf(ret, "%s/%s", here, path) < 0) {
        *ret = NULL;
        return ql_fail_nomem(err);
    }
    return QL_OK;
}

static int set_up_log(const struct ql_program *program, const struct ql_config *config, bool open_file,
                      struct ql_err *err)
{
    const char *file, *format;
    enum ql_log_level level;
    int r;

    if (!ql_config_has(config, program->component, "log_level"))
        return QL_OK; /* a tool without QL_COMMON_ROWS */
    file = ql_config_string(config, program->component, "log_file");
    format = ql_config_string(config, program->component, "log_format");
    r = ql_log_level_parse(ql_config_string(config, program->component, "log_level"), &level, err);
    if (r < 0)
        return r;
    ql_log_setup(program->name, level, strcmp(format, "json") == 0 ? QL_LOG_JSON : QL_LOG_LOGFMT);
    return *file == '\0' || !open_file ? QL_OK : ql_log_open(file, err);
}

static int start(const struct ql_program *program, const struct line *l, struct ql_start *ret,
                 struct ql_err *err)
{
    int r = absolute(l->state_dir ? l->state_dir : QL_DEFAULT_STATE_DIR, &ret->state_dir, err);

    if (r == QL_OK && l->config_dir)
        r = absolute(l->config_dir, &ret->config_dir, err);
    if (r == QL_OK)
        r = ql_config_load(program->component, program->groups, ret->config_dir, l->settings,
                           l->setting_count, &ret->config, err);
    if (r == QL_OK)
        r = set_up_log(program, ret->config, !l->show_config && !l->check_config, err);
    ret->show_config = l->show_config;
    ret->check_config = l->check_config;
    return r;
}

/* A program started without standard streams must not find its database under number 2. */
static void hold_standard_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        (void)close(fd); /* nothing is buffered */
}

static void harden(void)
{
    hold_standard_streams();
    umask(077);
    (void)signal(SIGPIPE, SIG_IGN); /* writes report EPIPE instead; cannot fail for this signal */
    if (!QL_KEEP_DUMPABLE)
        /* No core file may hold a key; a kernel without this is no reason to stop. */
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/*
 * The C library moves its own limits up with each large block that is freed, and then keeps tens of megabytes that one hostile
 * answer made it take. With limits that stay, large blocks go back to the system at once.
 */
static void bound_memory_kept(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK); /* without it, memory is only kept longer */
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_MAX);
#endif
}

int ql_program_start(const struct ql_program *program, int argc, char **argv, struct ql_start *ret,
                     int *exit_code)
{
    struct line l = {0};
    struct ql_err err = QL_ERR_INIT;
    struct ql_start s = {0};
    int r = read_line(argc, argv, &l, &err);

    harden();
    bound_memory_kept();
    *exit_code = 0;
    if (r < 0) {
        fprintf(stderr, "%s: %s (see --help)\n", program->name, err.text);
        *exit_code = 2;
    } else if (l.help) {
        help(program);
        r = 1;
    } else if (l.version) {
        printf("%s %s\n", program->name, ql_version());
        r = 1;
    } else if (l.sample) {
        ql_config_sample(program->groups, stdout);
        r = 1;
    } else if ((r = start(program, &l, &s, &err)) < 0) {
        fprintf(stderr, "%s: %s\n", program->name, err.text);
        *exit_code = 1;
    }
    line_done(&l);
    if (r != 0) {
        ql_start_done(&s);
        return r;
    }
    *ret = s;
    return 0;
}

void ql_start_done(struct ql_start *s)
{
    ql_config_free(s->config);
    free(s->state_dir);
    free(s->config_dir);
    *s = (struct ql_start){0};
}

void ql_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    ql_auto_close int fd = -1;
    size_t len = path ? strlen(path) : 0;

    if (len == 0 || len >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* abstract name */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        /* A manager that went away needs no telling. */
        (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}
