/* SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"

#include <string.h>

#include "error.h"
#include "frames.h"
#include "job.h"
#include "log.h"

static int answer(int sock, json_int_t seq, int code, const char *text)
{
    ql_auto_json json_t *j = json_pack("{s:I, s:i, s:s}", "seq", seq, "code", code, "text", text);
    ql_auto_free char *out = j ? ql_json_text(j) : NULL;

    return out ? ql_frame_write(sock, out) : -1;
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
    int r = ql_frame_read(sock, QL_RUNNER_FRAME_MAX, &text, &len), failed = 0;

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
        r = ql_frame_read(sock, QL_RUNNER_FRAME_MAX, &text, &len);
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
