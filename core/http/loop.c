/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

/*
 * Of strangers' callbacks; then the loop looks whether something else is due. Two handshakes, or some two hundred
 * small reads: each look costs as much as all descriptors that are ready, and ten thousand of them take a millisecond.
 */
enum {
    MOMENT_US = 2000
};

static int configure(struct event_config *config, int flags)
{
    static const struct timeval moment = {.tv_usec = MOMENT_US};

    if (event_config_set_flag(config, flags) != 0)
        return -1;
    return event_config_set_max_dispatch_interval(config, &moment, -1, QL_PRIORITY_STRANGERS);
}

struct event_base *ql_loop_new(int flags)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config && configure(config, flags) == 0)
        base = event_base_new_with_config(config);
    if (config)
        event_config_free(config);
    if (base && event_base_priority_init(base, QL_PRIORITIES) != 0) {
        event_base_free(base);
        base = NULL;
    }
    return base;
}

void ql_loop_set_priority(struct event *ev, int priority)
{
    if (event_base_get_npriorities(event_get_base(ev)) == QL_PRIORITIES)
        (void)event_priority_set(ev, priority); /* fails for active events only */
}

bool ql_loop_set_bev_priority(struct bufferevent *bev, int priority)
{
    return event_base_get_npriorities(bufferevent_get_base(bev)) != QL_PRIORITIES ||
           bufferevent_priority_set(bev, priority) == 0;
}
