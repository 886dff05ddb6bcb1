/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file swtpm.h
 * A software TPM of the test's own: a fresh state folder, two free loopback ports, ended with the test.
 */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct swtpm {
    char dir[64];
    char tcti[64]; /**< "swtpm:host=127.0.0.1,port=…" */
    unsigned port; /**< commands; the control channel is the next one */
    pid_t pid;
};

/** A socket bound (or connected) to a loopback port; -1 when that is refused. */
static inline int swtpm_socket(unsigned port, bool do_connect)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && (do_connect ? connect(fd, (struct sockaddr *)&a, sizeof a)
                               : bind(fd, (struct sockaddr *)&a, sizeof a)) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/** Two neighbouring ports below the range of outgoing connections. */
static inline unsigned swtpm_free_ports(void)
{
    for (;;) {
        unsigned port = 12000 + (unsigned)random() % 18000;
        int one = swtpm_socket(port, false), two = swtpm_socket(port + 1, false);

        if (one >= 0)
            close(one);
        if (two >= 0)
            close(two);
        if (one >= 0 && two >= 0)
            return port;
    }
}

static inline bool swtpm_installed(void)
{
    const char *dirs[] = {"/usr/bin/swtpm", "/usr/local/bin/swtpm"};

    return access(dirs[0], X_OK) == 0 || access(dirs[1], X_OK) == 0;
}

static inline bool swtpm_try(struct swtpm *t)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    char state[96], server[96], control[96];

    t->port = swtpm_free_ports();
    snprintf(t->tcti, sizeof t->tcti, "swtpm:host=127.0.0.1,port=%u", t->port);
    snprintf(state, sizeof state, "dir=%s", t->dir);
    snprintf(server, sizeof server, "type=tcp,port=%u,bindaddr=127.0.0.1", t->port);
    snprintf(control, sizeof control, "type=tcp,port=%u,bindaddr=127.0.0.1", t->port + 1);
    t->pid = fork();
    if (t->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execlp("swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state, "--server", server, "--ctrl",
               control, "--flags", "not-need-init,startup-clear", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; t->pid > 0 && i < 2000; i++) {
        int control_fd = swtpm_socket(t->port + 1, true);
        int data_fd =
            control_fd >= 0 ? swtpm_socket(t->port, true) : -1; /* it listens to that a little later */

        if (control_fd >= 0)
            close(control_fd);
        if (data_fd >= 0)
            close(data_fd);
        if (waitpid(t->pid, NULL, WNOHANG) == t->pid)
            return false; /* somebody took one of the ports meanwhile */
        if (data_fd >= 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static inline int swtpm_remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

/** @return false when none could be started */
static inline bool swtpm_start(struct swtpm *t)
{
    srandom((unsigned)getpid() ^ (unsigned)time(NULL) << 12);
    snprintf(t->dir, sizeof t->dir, "/tmp/ql-swtpm-XXXXXX");
    if (!mkdtemp(t->dir))
        return false;
    for (int i = 0; i < 10; i++)
        if (swtpm_try(t))
            return true;
    return false;
}

static inline void swtpm_stop(struct swtpm *t)
{
    if (t->pid > 0) {
        kill(t->pid, SIGTERM);
        waitpid(t->pid, NULL, 0);
    }
    t->pid = 0;
    nftw(t->dir, swtpm_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
