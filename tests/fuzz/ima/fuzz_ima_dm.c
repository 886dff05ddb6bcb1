/* SPDX-License-Identifier: Apache-2.0 */
/* Device mapper buffers: the first byte chooses the event, the rest is judged against a policy that looks at everything. */
#include "dm.h"
#include "dm_event.h"
#include "toolhost.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char POLICY[] = "{\"version\":1,\"match_on\":\"name\",\"rules\":{\"r\":{\"required\":true,"
                             "\"device_resume_required\":true,\"allow_clear\":"
                             "false,\"device_rename\":{\"valid_name\":\"a|b\",\"valid_uuid\":null},\"device_"
                             "remove\":{\"allow_removal\":true},"
                             "\"table_load\":{\"allow_multiple_loads\":true,\"name\":\".*\",\"uuid\":\".*\","
                             "\"major\":253,\"minor\":null,"
                             "\"minor_count\":true,\"num_targets\":1,\"targets\":[{\"target_index\":0,"
                             "\"target_name\":\"verity|linear\",\"salt\":"
                             "\"aa.*\",\"nosuch\":1}]}}}}";

static int fail(struct ql_report *r, const char *event_id, const char *severity, uint32_t recoverable,
                const json_t *context)
{
    (void)severity;
    (void)recoverable;
    if (r->ctx || !event_id || !json_is_object(context))
        abort();
    return QL_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static json_t *policy;
    struct ql_report report = {.size = sizeof report, .fail = fail};
    struct ima_findings findings = {.report = &report, .max = 10};
    struct ima_bytes kept = {0};
    struct ima_dm *dm = NULL;
    struct ima_entry e = {0};

    if (!policy)
        policy = json_loads(POLICY, 0, NULL);
    if (!policy || size == 0 || ima_dm_new(&ql_tool_host, policy, kept, &dm, NULL) < 0)
        return 0;
    e.name.at = (const uint8_t *)ima_dm_kind_name((enum ima_dm_kind)(*data % IMA_DM_KIND_COUNT));
    e.name.len = strlen((const char *)e.name.at);
    e.buffer = (struct ima_bytes){data + 1, size - 1};
    if (ima_dm_entry(dm, &findings, &e, true, NULL) == QL_OK && ima_dm_keep(dm, &kept, NULL) == QL_OK)
        (void)ima_dm_conclude(dm, kept, &findings, NULL); /* findings are for the report */
    ima_dm_free(dm);
    return 0;
}
