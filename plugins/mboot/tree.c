/* SPDX-License-Identifier: Apache-2.0 */
#include "tree.h"

#include <stdio.h>

#include "bytes.h"
#include "payload.h"
#include "text.h"

enum {
    SHA1_DIGITS_LEN = 20, /* bytes of the Spec ID event's digest */
    SPEC_LEN = 28
};

/** The Spec ID structure of a crypto-agile log, checked by the parser. */
static json_t *spec_id_json(const struct mb_log *log, const uint8_t *p)
{
    const uint8_t *vendor = p + SPEC_LEN + 4 * (size_t)log->bank_count;
    json_t *list = json_array(), *o = json_object(), *algorithms = json_array();
    bool ok = mb_put(o, "Signature", json_string_nocheck("Spec ID Event03")) &&
              mb_put(o, "platformClass", json_integer(mb_u32(p + 16))) &&
              mb_put(o, "specVersionMinor", json_integer(p[20])) &&
              mb_put(o, "specVersionMajor", json_integer(p[21])) &&
              mb_put(o, "specErrata", json_integer(p[22])) && mb_put(o, "uintnSize", json_integer(p[23])) &&
              mb_put(o, "numberOfAlgorithms", json_integer(log->bank_count));

    for (uint32_t i = 0; ok && i < log->bank_count; i++) {
        const struct mb_bank *bank = &log->banks[i];
        json_t *row = json_object();
        char key[24];

        snprintf(key, sizeof key, "Algorithm[%u]", i);
        ok = mb_put(row, key, json_null()) && mb_put(row, "algorithmId", json_string_nocheck(bank->name)) &&
             mb_put(row, "digestSize", json_integer(bank->digest_len));
        ok = json_array_append_new(algorithms, row) == 0 && ok;
    }
    ok = mb_put(o, "Algorithms", algorithms) && ok;
    ok = ok && mb_put(o, "vendorInfoSize", json_integer(vendor[0])) &&
         (vendor[0] == 0 || mb_put(o, "vendorInfo", mb_json_hex(vendor + 1, vendor[0])));
    ok = json_array_append_new(list, o) == 0 && ok;
    return mb_finish(list, ok);
}

static json_t *digest_json(const struct mb_log *log, const struct mb_event *e, int bank)
{
    json_t *o = json_object();
    const bool ok =
        mb_put(o, "AlgorithmId", json_string_nocheck(log->banks[bank].name)) &&
        mb_put(o, "Digest", mb_json_hex(mb_event_digest(log, e, bank), log->banks[bank].digest_len));

    return mb_finish(o, ok);
}

/** The digests in the order of the event, all of them or those of one bank. */
static json_t *digests_json(const struct mb_log *log, const struct mb_event *e, int only)
{
    uint8_t order[MB_BANKS_MAX];
    size_t count = 0;
    json_t *list = json_array();

    for (uint8_t bank = 0; bank < log->bank_count; bank++) {
        size_t at = count;

        if (e->digest_at[bank] == 0 || (only != MB_ALL_BANKS && only != bank))
            continue;
        for (; at > 0 && e->digest_at[order[at - 1]] > e->digest_at[bank]; at--)
            order[at] = order[at - 1];
        order[at] = bank;
        count++;
    }
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, digest_json(log, e, order[i])) < 0)
            return mb_finish(list, false);
    return list;
}

json_t *mb_payload_json(const struct mb_log *log, const struct mb_event *e)
{
    if (e->payload_len == 0 || (e->index == 0 && !log->is_sha1_format))
        return NULL;
    return mb_payload_value(e->type, e->payload, e->payload_len);
}

json_t *mb_event_json(const struct mb_log *log, uint32_t index, const struct mb_tree_options *options)
{
    const struct mb_event *e;
    json_t *o, *digests;
    bool ok;

    if (index >= log->event_count)
        return NULL;
    e = &log->events[index];
    o = json_object();
    ok = mb_put(o, "EventNum", json_integer(e->index)) && mb_put(o, "PCRIndex", json_integer(e->pcr)) &&
         mb_put(o, "EventType", json_string_nocheck(mb_event_type_name(e->type)));
    if (e->index == 0 && !log->is_sha1_format) {
        ok = ok && mb_put(o, "Digest", mb_json_hex(log->bytes + e->digests_at, SHA1_DIGITS_LEN)) &&
             mb_put(o, "EventSize", json_integer(e->payload_len)) &&
             mb_put(o, "SpecID", spec_id_json(log, e->payload));
        return mb_finish(o, ok);
    }
    digests = digests_json(log, e, options->bank);
    ok = ok && mb_put(o, "DigestCount", json_integer((json_int_t)json_array_size(digests)));
    ok = mb_put(o, "Digests", digests) && ok;
    ok = ok && mb_put(o, "EventSize", json_integer(e->payload_len)) &&
         (e->payload_len == 0 || mb_put(o, "Event", mb_payload_json(log, e)));
    if (options->has_verified && options->bank >= 0)
        ok = ok && mb_put(o, "verified", json_boolean(e->status[options->bank] == MB_VERIFIED));
    return mb_finish(o, ok);
}

static json_t *pcr_json(const struct mb_pcrs *pcrs, unsigned n)
{
    struct mb_text t;

    mb_text_init(&t);
    mb_text_add(&t, "0x", 2);
    mb_text_hex(&t, pcrs->value[n], pcrs->digest_len);
    return mb_text_json(&t);
}

/** {"0": "0x…"} of the PCRs that were extended. */
static json_t *pcrs_json(const struct mb_pcrs *pcrs)
{
    json_t *o = json_object();
    bool ok = o != NULL;

    for (unsigned n = 0; ok && n < MB_PCR_COUNT; n++) {
        char key[8];

        if (!(pcrs->extended >> n & 1))
            continue;
        snprintf(key, sizeof key, "%u", n);
        ok = mb_put(o, key, pcr_json(pcrs, n));
    }
    return mb_finish(o, ok);
}

static json_t *aggregates_json(struct mb_hasher *hasher, const struct mb_pcrs *pcrs)
{
    static const enum mb_aggregate counts[] = {MB_AGGREGATE_8, MB_AGGREGATE_10};
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const uint32_t needed = (UINT32_C(1) << counts[i]) - 1;
        uint8_t out[MB_DIGEST_MAX];

        if ((pcrs->extended & needed) != needed)
            continue;
        if (mb_boot_aggregate(hasher, pcrs, counts[i], out) < 0 ||
            json_array_append_new(list, mb_json_hex(out, pcrs->digest_len)) < 0)
            return mb_finish(list, false);
    }
    return list;
}

/** Add what is made by replay. */
static int add_pcrs(struct mb_hasher *hasher, const struct mb_log *log, int only, json_t *tree,
                    struct ql_err *err)
{
    json_t *pcrs = json_object(), *aggregates = json_object();
    bool ok = mb_put(tree, "pcrs", pcrs);

    ok = mb_put(tree, "boot_aggregates", aggregates) && ok;
    for (int bank = 0; ok && bank < (int)log->bank_count; bank++) {
        struct mb_pcrs values;
        int r;

        if (!log->banks[bank].is_known || (only != MB_ALL_BANKS && only != bank))
            continue;
        r = mb_replay(hasher, log, bank, &values, err);
        if (r == QL_EUNSUPPORTED && only == MB_ALL_BANKS)
            continue; /* shown without values: nobody asked for this bank */
        if (r < 0)
            return r;
        ok = mb_put(pcrs, log->banks[bank].name, pcrs_json(&values)) &&
             mb_put(aggregates, log->banks[bank].name, aggregates_json(hasher, &values));
    }
    return ok ? QL_OK : log->host->fail(err, QL_ENOMEM, "out of memory");
}

static int add_events(const struct mb_log *log, const struct mb_tree_options *options, json_t *tree,
                      struct ql_err *err)
{
    json_t *events = json_array();

    if (!mb_put(tree, "version", json_integer(2)) || !mb_put(tree, "events", events))
        return log->host->fail(err, QL_ENOMEM, "out of memory");
    for (uint32_t i = 0; i < log->event_count; i++)
        if (json_array_append_new(events, mb_event_json(log, i, options)) < 0)
            return log->host->fail(err, QL_ENOMEM, "out of memory");
    return QL_OK;
}

int mb_tree_json(struct mb_hasher *hasher, const struct mb_log *log, const struct mb_tree_options *options,
                 json_t **ret, struct ql_err *err)
{
    json_t *tree = json_object();
    int r = tree ? add_events(log, options, tree, err) : log->host->fail(err, QL_ENOMEM, "out of memory");

    if (r == QL_OK)
        r = add_pcrs(hasher, log, options->bank, tree, err);
    if (r == QL_OK && json_dumpb(tree, NULL, 0, JSON_COMPACT) > MB_TREE_MAX)
        r = log->host->fail(err, QL_ELIMIT, "the event log's tree has more than %d bytes", MB_TREE_MAX);
    if (r < 0) {
        json_decref(tree);
        return r;
    }
    *ret = tree;
    return QL_OK;
}
