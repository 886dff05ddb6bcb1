/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include <string.h>

#include "hasher.h"

enum {
    HCRTM_LOCALITY = 4,
    FIRST_DRTM_PCR = 17, /* PCR 17 to 22 start at ones: no D-RTM has run */
    LAST_DRTM_PCR = 22
};

int mb_replay(struct mb_hasher *hasher, const struct mb_log *log, int bank, struct mb_pcrs *ret,
              struct ql_err *err)
{
    struct mb_pcrs pcrs = {0};

    if (bank < 0 || (uint32_t)bank >= log->bank_count || !log->banks[bank].is_known)
        return log->host->fail(err, QL_ERANGE, "the event log has no such bank");
    pcrs.alg = log->banks[bank].alg;
    pcrs.digest_len = log->banks[bank].digest_len;
    for (unsigned n = FIRST_DRTM_PCR; n <= LAST_DRTM_PCR; n++)
        memset(pcrs.value[n], 0xff, pcrs.digest_len);
    pcrs.value[0][pcrs.digest_len - 1] = log->has_hcrtm ? HCRTM_LOCALITY : log->locality;
    for (uint32_t i = 0; i < log->event_count; i++) {
        const struct mb_event *e = &log->events[i];
        const uint8_t *digest = mb_event_digest(log, e, bank);
        int r;

        if (e->type == MB_EV_NO_ACTION || !digest)
            continue;
        r = mb_hash(hasher, pcrs.alg, pcrs.value[e->pcr], pcrs.digest_len, digest, pcrs.digest_len,
                    pcrs.value[e->pcr]);
        if (r < 0)
            return log->host->fail(err, r, "%s cannot be computed", log->banks[bank].name);
        pcrs.extended |= UINT32_C(1) << e->pcr;
    }
    *ret = pcrs;
    return QL_OK;
}

int mb_boot_aggregate(struct mb_hasher *hasher, const struct mb_pcrs *pcrs, enum mb_aggregate count,
                      uint8_t *out)
{
    uint8_t all[MB_AGGREGATE_10 * MB_DIGEST_MAX];

    for (size_t i = 0; i < (size_t)count; i++)
        memcpy(all + i * pcrs->digest_len, pcrs->value[i], pcrs->digest_len);
    return mb_hash(hasher, pcrs->alg, all, (size_t)count * pcrs->digest_len, NULL, 0, out);
}
