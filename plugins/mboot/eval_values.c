/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation: tests of texts, numbers and digests, and of what firmware writes. */
#include <stdio.h>
#include <string.h>

#include "eval_parts.h"
#include "value.h"

bool mb_test_int(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    if (v->kind != MB_V_JSON || !json_is_integer(v->json))
        return mb_wrong_type(e, v, "a number");
    if (json_integer_value(v->json) != n->number)
        return mb_refuse(e, "is %lld, wanted %lld", (long long)json_integer_value(v->json),
                         (long long)n->number);
    return mb_note(e, "is %lld", (long long)n->number);
}

bool mb_test_str(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    char is[MB_SHOWN_MAX + 8], wanted[MB_SHOWN_MAX + 8];

    if (v->kind != MB_V_JSON || !json_is_string(v->json))
        return mb_wrong_type(e, v, "text");
    if (json_string_length(v->json) != n->text.len ||
        memcmp(json_string_value(v->json), n->text.text, n->text.len) != 0)
        return mb_refuse(e, "is \"%s\", wanted \"%s\"", mb_shown_json(v->json, is),
                         mb_shown(n->text.text, n->text.len, wanted));
    return mb_note(e, "is \"%s\"", mb_shown(n->text.text, n->text.len, wanted));
}

/* @return 1, 0, or -1 with the evaluation broken */
int mb_matches(struct mb_eval *e, const struct mb_regex *re, const json_t *text)
{
    const int r = mb_regex_full(re, json_string_value(text), json_string_length(text));

    if (r < 0)
        (void)mb_break(e, "a regular expression was given up after %d steps", MB_REGEX_STEPS);
    return r < 0 ? -1 : r;
}

bool mb_test_re(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    char is[MB_SHOWN_MAX + 8], wanted[MB_SHOWN_MAX + 8];
    int r;

    if (v->kind != MB_V_JSON || !json_is_string(v->json))
        return mb_wrong_type(e, v, "text");
    r = mb_matches(e, n->re, v->json);
    if (r < 0)
        return false;
    if (r == 0)
        return mb_refuse(e, "\"%s\" does not match \"%s\"", mb_shown_json(v->json, is),
                         mb_shown(n->text.text, n->text.len, wanted));
    return mb_note(e, "\"%s\" matches", mb_shown_json(v->json, is));
}

static void digest_text(const struct mb_digest *d, char *out, size_t room)
{
    static const char hex[] = "0123456789abcdef";
    size_t at = (size_t)snprintf(out, room, "%s ", d->alg);

    for (size_t i = 0; i < d->len && at + 3 < room; i++) {
        out[at++] = hex[d->digest[i] >> 4];
        out[at++] = hex[d->digest[i] & 15];
    }
    out[at < room ? at : room - 1] = '\0';
}

bool mb_test_digests(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    struct mb_digest digests[MB_BANKS_MAX];
    char text[160] = "no digest", wanted[160];
    const int count = mb_value_digests(e, v, digests, MB_BANKS_MAX);

    if (count < 0)
        return mb_refuse(e, "has no list of digests");
    for (int i = 0; i < count; i++)
        for (size_t k = 0; k < n->count; k++)
            if (n->approved[k].len == digests[i].len && strcmp(n->approved[k].alg, digests[i].alg) == 0 &&
                memcmp(n->approved[k].digest, digests[i].digest, digests[i].len) == 0) {
                if (e->trace)
                    digest_text(&digests[i], text, sizeof text);
                return mb_note(e, "%s is approved", text);
            }
    if (count > 0)
        digest_text(&digests[0], text, sizeof text);
    if (n->count == 1) {
        struct mb_digest d = {.alg = n->approved->alg, .len = n->approved->len};

        memcpy(d.digest, n->approved->digest, d.len);
        digest_text(&d, wanted, sizeof wanted);
        return mb_refuse(e, "digest is %s, wanted %s", text, wanted);
    }
    return mb_refuse(e, "digest %s is none of the %zu that are approved", text, n->count);
}

/* ---- events ---- */

/* Is one of the event's digests that of these bytes? @return 1, 0, -1 with the evaluation broken */
static int digest_is_of(struct mb_eval *e, const struct mb_value *v, const void *bytes, size_t len)
{
    struct mb_digest digests[MB_BANKS_MAX];
    const int count = mb_value_digests(e, v, digests, MB_BANKS_MAX);

    for (int i = 0; i < count; i++) {
        uint8_t out[MB_DIGEST_MAX];

        if (mb_alg_digest_len(digests[i].alg_id) != digests[i].len || digests[i].len == 0)
            continue;
        if (mb_hash(e->hasher, digests[i].alg_id, bytes, len, NULL, 0, out) < 0) {
            (void)mb_break(e, "%s cannot be computed", digests[i].alg);
            return -1;
        }
        if (memcmp(out, digests[i].digest, digests[i].len) == 0)
            return 1;
    }
    return 0;
}

bool mb_test_separator(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    static const uint8_t zeros[4] = {0};
    const json_t *event = mb_value_text(e, v, "Event");
    char is[MB_SHOWN_MAX + 8];
    int r;

    (void)n;
    if (!event)
        return mb_refuse(e, "separator without value");
    if (strcmp(json_string_value(event), "00000000") != 0)
        return mb_refuse(e, "separator is %s, wanted 00000000", mb_shown_json(event, is));
    r = digest_is_of(e, v, zeros, sizeof zeros);
    if (r == 0)
        return mb_refuse(e, "the separator's digest is not that of its value");
    return r > 0 && mb_note(e, "separator 00000000");
}

bool mb_test_efi_action(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    static const struct {
        int pcr;
        const char *text;
    } actions[] = {
        {1, "Entering ROM Based Setup"},
        {4, "Calling EFI Application from Boot Option"},
        {4, "Returning from EFI Application from Boot Option"},
        {5, "Exit Boot Services Invocation"},
        {5, "Exit Boot Services Returned with Failure"},
        {5, "Exit Boot Services Returned with Success"},
        {6, "UEFI Debug Mode"},
    };
    const json_t *event = mb_value_text(e, v, "Event");
    char is[MB_SHOWN_MAX + 8];
    int r;

    if (!event)
        return mb_refuse(e, "action without text");
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (actions[i].pcr != n->number || strlen(actions[i].text) != json_string_length(event) ||
            strcmp(actions[i].text, json_string_value(event)) != 0)
            continue;
        r = digest_is_of(e, v, actions[i].text, strlen(actions[i].text));
        if (r == 0)
            return mb_refuse(e, "the digest is not that of \"%s\"", actions[i].text);
        return r > 0 && mb_note(e, "\"%s\"", actions[i].text);
    }
    return mb_refuse(e, "action \"%s\" is not allowed on PCR %lld", mb_shown_json(event, is),
                     (long long)n->number);
}

bool mb_test_verified(struct mb_eval *e, const struct mb_node *n, const struct mb_value *v)
{
    if (!mb_value_verified(e, v))
        return mb_refuse(e, "its digest does not cover what it says");
    return mb_why_not(e, n->child, v);
}
