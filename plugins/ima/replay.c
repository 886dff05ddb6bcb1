/* SPDX-License-Identifier: Apache-2.0 */
#include "replay.h"

#include <string.h>

void ima_replay_begin(struct ima_replay *r, struct ima_hasher *hasher, enum ima_alg bank,
                      const uint8_t *quoted)
{
    *r = (struct ima_replay){.hasher = hasher, .bank = bank, .len = ima_alg_len(bank)};
    memcpy(r->quoted, quoted, r->len);
}

bool ima_replay_extend(struct ima_replay *r, const uint8_t *value)
{
    uint8_t both[2 * IMA_HASH_MAX];

    memcpy(both, r->run, r->len);
    memcpy(both + r->len, value, r->len);
    return ima_hash(r->hasher, r->bank, both, 2 * r->len, r->run);
}

/* Both values are public: the time of the comparison gives nothing away. */
bool ima_replay_fits(const struct ima_replay *r)
{
    return memcmp(r->run, r->quoted, r->len) == 0;
}
