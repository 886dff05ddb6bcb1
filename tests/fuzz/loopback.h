/* SPDX-License-Identifier: Apache-2.0 */
/** @file loopback.h  How targets reach the server that they test. */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LOOPBACK_TRIES_MAX = 500
};

/**
 * A connection to a port of 127.0.0.1. The fuzzer's own alarm may come while it is made, and thousands a second may use up the
 * ports for a moment: both are waited out, all else ends the run.
 */
static inline int loopback_connect(uint16_t port)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    for (int i = 0; i < LOOPBACK_TRIES_MAX; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
            return fd;
        if (fd < 0 || (errno != EINTR && errno != EADDRNOTAVAIL))
            break;
        close(fd);
        usleep(10000);
    }
    perror("connection to the server under test");
    abort();
}
