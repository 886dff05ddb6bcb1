/* SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "error.h"
#include "job.h"
#include "log.h"

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

/* @param[out] ret  text of a frame, caller frees @return as read_all() */
static int read_frame(int sock, char **ret, size_t *ret_len)
{
    uint8_t head[4];
    size_t len;
    char *text;
    int r = read_all(sock, head, sizeof head);

    if (r <= 0)
        return r;
    len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (len > QL_RUNNER_FRAME_MAX)
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

static int answer(int sock, json_int_t seq, int code, const char *text)
{
    ql_auto_json json_t *j = json_pack("{s:I, s:i, s:s}", "seq", seq, "code", code, "text", text);
    ql_auto_free char *out = j ? ql_json_text(j) : NULL;
    const size_t len = out ? strlen(out) : 0;
    const uint8_t head[4] = {(uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};

    return out && write_all(sock, head, sizeof head) == 0 ? write_all(sock, out, len) : -1;
}

static int run_frame(struct ql_job_host *host, const json_t *frame, struct ql_err *err)
{
    ql_auto(ql_notice_freep) struct ql_notice *n = NULL;
    const char *body = json_string_value(json_object_get(frame, "body"));
    int r = body ? ql_notice_parse(body, strlen(body), &n, err) : ql_fail(err, QL_EPARSE, "no body");

    if (r < 0)
        return r;
    return ql_job_host_run(host, n, (uint32_t)json_integer_value(json_object_get(frame, "attempt")), err);
}

int ql_runner_serve(int sock)
{
    ql_auto(ql_job_host_freep) struct ql_job_host *host = NULL;
    struct ql_err err = QL_ERR_INIT;
    char *text = NULL;
    size_t len = 0;
    int r = read_frame(sock, &text, &len), failed = 0;

    if (r == 1)
        failed = ql_job_host_new(text, len, &host, &err);
    free(text);
    if (failed < 0)
        ql_log(QL_ERROR, "action", "%s", err.text);
    while (r == 1) {
        ql_auto_json json_t *frame = NULL;
        struct ql_err why = QL_ERR_INIT;
        int code;

        text = NULL;
        r = read_frame(sock, &text, &len);
        if (r <= 0)
            break;
        code = ql_json_parse_object(text, len, QL_RUNNER_FRAME_MAX, &frame, &why);
        free(text);
        if (code < 0)
            return 1;
        code = host ? run_frame(host, frame, &why) : failed;
        if (answer(sock, json_integer_value(json_object_get(frame, "seq")), code,
                   host ? why.text : err.text) != 0)
            return 1;
    }
    return r == 0 ? 0 : 1;
}
