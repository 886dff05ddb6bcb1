/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* @return 1: read, 0: closed, -1: broken */
static int read_all(int fd, void *data, size_t len)
{
    uint8_t *at = data;

    while (len > 0) {
        ssize_t got = read(fd, at, len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? 0 : -1;
        at += got;
        len -= (size_t)got;
    }
    return 1;
}

static int write_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t done = send(fd, at, len, MSG_NOSIGNAL);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -1;
        at += done;
        len -= (size_t)done;
    }
    return 0;
}

int ql_frame_read(int sock, size_t max_len, char **ret, size_t *ret_len)
{
    uint8_t head[4];
    size_t len;
    char *text;
    int r = read_all(sock, head, sizeof head);

    if (r <= 0)
        return r;
    len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (len > max_len)
        return -1;
    text = malloc(len + 1);
    if (!text)
        return -1;
    r = read_all(sock, text, len);
    if (r <= 0) {
        free(text);
        return r;
    }
    text[len] = '\0';
    *ret = text;
    *ret_len = len;
    return 1;
}

int ql_frame_write(int sock, const char *text)
{
    const size_t len = strlen(text);
    const uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

    return write_all(sock, head, sizeof head) == 0 ? write_all(sock, text, len) : -1;
}
