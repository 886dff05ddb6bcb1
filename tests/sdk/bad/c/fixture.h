/* SPDX-License-Identifier: Apache-2.0 */
/** @file fixture.h  A validator that does nothing, from which each faulty plugin differs in one point. */
#pragma once
#include <quicklime/validator.h>

static inline int idle_prepare(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                               size_t *ret_size, struct ql_err *err)
{
    (void)plugin, (void)policy, (void)len, (void)origin, (void)err;
    *ret = NULL;
    *ret_size = 0;
    return QL_OK;
}

static inline void idle_release(void *plugin, void *compiled)
{
    (void)plugin, (void)compiled;
}

static inline int idle_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    (void)plugin, (void)compiled, (void)ret, (void)err;
    return QL_OK;
}

static inline int idle_validate(void *plugin, const struct ql_attest *attest, const void *compiled,
                                const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                                struct ql_err *err)
{
    (void)plugin, (void)attest, (void)compiled, (void)in, (void)report, (void)out, (void)err;
    return QL_OK;
}

#define IDLE_VALIDATOR(NAME, ...)                                                                            \
    {                                                                                                        \
        .head = {.size = sizeof(struct ql_validator),                                                        \
                 .kind = QL_KIND_VALIDATOR,                                                                  \
                 .name = (NAME),                                                                             \
                 __VA_ARGS__},                                                                               \
        .prepare = idle_prepare, .release = idle_release, .needs = idle_needs, .validate = idle_validate     \
    }

#define ONE_COMPONENT(component) ((const struct ql_component *const[]){&(component).head, NULL})
