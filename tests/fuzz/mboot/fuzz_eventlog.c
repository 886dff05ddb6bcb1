/* SPDX-License-Identifier: Apache-2.0 */
/* An event log: parse, check digests, replay, build the tree and print it. What parses covers its bytes and can be shown. */
#include <string.h>

#include "dump.h"
#include "eventlog.h"
#include "hasher.h"
#include "must.h"
#include "replay.h"
#include "tree.h"

static int sink_write(struct ql_text_sink *s, const void *data, size_t len)
{
    (void)s;
    must(len == 0 || memchr(data, '\0', len) == NULL); /* text holds no NUL, whatever the log holds */
    return QL_OK;
}

static void judge(struct mb_hasher *hasher, struct mb_log *log, int bank)
{
    const struct mb_tree_options options = {.bank = bank, .has_verified = true};
    struct mb_check found;
    struct mb_pcrs pcrs;
    json_t *tree = NULL;
    uint32_t mismatch = 0;
    int r;

    r = mb_log_check_digests(hasher, log, bank, &found, NULL);
    if (r == QL_EUNSUPPORTED)
        return; /* a library without SM3 */
    must(r == QL_OK);
    for (uint32_t i = 0; i < log->event_count; i++)
        mismatch += log->events[i].status[bank] == MB_MISMATCH;
    must(found.mismatch == mismatch);
    must(mb_replay(hasher, log, bank, &pcrs, NULL) == QL_OK);
    if (mb_tree_json(hasher, log, &options, &tree, NULL) != QL_OK)
        return; /* too much text */
    must(json_array_size(json_object_get(tree, "events")) == log->event_count);
    json_decref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct mb_hasher *hasher;
    struct ql_text_sink sink = {.size = sizeof sink, .write = sink_write};
    struct mb_log *log = NULL;
    const struct mb_event *last;

    if (!hasher)
        must(mb_hasher_new(&ql_tool_host, &hasher, NULL) == QL_OK);
    if (mb_log_parse(&ql_tool_host, data, len, &log, NULL) != QL_OK) {
        must(log == NULL);
        return 0;
    }
    must(log->event_count > 0 && log->event_count <= MB_EVENTS_MAX && log->bank_count <= MB_BANKS_MAX);
    last = &log->events[log->event_count - 1];
    must(last->payload + last->payload_len == data + len);
    for (uint32_t bank = 0; bank < log->bank_count; bank++)
        if (log->banks[bank].is_known)
            judge(hasher, log, (int)bank);
    must(mb_dump(hasher, log, &sink, NULL) == QL_OK);
    mb_log_free(log);
    return 0;
}
