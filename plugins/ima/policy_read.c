/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include <quicklime/validator.h>

#include "dm_policy.h"
#include "envelope.h"
#include "json_read.h"
#include "policy_parts.h"

enum {
    DIGEST_TEXT_MIN = 40,
    DIGEST_TEXT_MAX = 128,
    TEXT_MAX = 0xff, /* bytes kept of a digest that is none */
    GENERATOR_MAX = 3,
    DM_TEXT_MAX = 1024 * 1024 /* bytes of a dm_policy: thousands of rules */
};

struct compile {
    struct ima_json json;
    struct ima_policy *policy;
    uint8_t *payload; /* of an envelope, as text */
    size_t payload_len;
    uint32_t seen;
    bool is_upload; /* every rule of the schema; else what could not match anyway is let be */
    struct ql_err *err;
};

static bool is_word(const uint8_t *s, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(s, word, len) == 0;
}

static const char *kind_name(char c)
{
    switch (c) {
    case '{':
        return "an object";
    case '[':
        return "a list";
    case '"':
        return "a string";
    default:
        return "an integer";
    }
}

static bool expect(struct compile *c, char kind, const char *key)
{
    char found = ima_json_peek(&c->json);

    return found == kind || ima_json_fail(&c->json, QL_EPARSE, "'%s' is not %s", key, kind_name(kind));
}

static bool read_integer(struct compile *c, const char *key, double max, double *ret)
{
    bool is_integer = false;

    if (!expect(c, '0', key) || !ima_json_number(&c->json, ret, &is_integer))
        return false;
    if (!is_integer)
        return ima_json_fail(&c->json, QL_EPARSE, "'%s' is not an integer", key);
    if (*ret < 0 || *ret > max)
        return ima_json_fail(&c->json, QL_ERANGE, "'%s' is out of range", key);
    return true;
}

/* ---- maps of names and digests ---- */

/* The arena is as large as the text, and a record is never longer than what it was written as. */
static bool put(struct compile *c, const void *data, size_t len)
{
    struct ima_arena *a = &c->policy->arena;

    if (len > a->room - a->len)
        return ima_json_fail(&c->json, QL_EINTERNAL, "a record is longer than its text");
    if (len > 0)
        memcpy(a->data + a->len, data, len);
    a->len += len;
    return true;
}

static bool put_name(struct compile *c, const uint8_t *name, size_t len)
{
    uint8_t head[4];

    return put(c, head, ima_varint_write(head, len)) && put(c, name, len);
}

static bool put_u8(struct compile *c, size_t v)
{
    uint8_t byte = (uint8_t)v;

    return put(c, &byte, 1);
}

/* Value of each lower-case hex digit, 0xff elsewhere. */
static uint8_t digits[256];

__attribute__((constructor)) static void fill_digits(void)
{
    memset(digits, 0xff, sizeof digits);
    for (unsigned i = 0; i < 16; i++)
        digits[(uint8_t) "0123456789abcdef"[i]] = (uint8_t)i;
}

static bool is_digest_text(const uint8_t *s, size_t len)
{
    uint8_t bad = 0;

    for (size_t i = 0; i < len; i++)
        bad |= digits[s[i]];
    return bad < 16 && len >= DIGEST_TEXT_MIN && len <= DIGEST_TEXT_MAX;
}

static bool put_digest(struct compile *c, const char *map, const uint8_t *name, size_t name_len, size_t i)
{
    char shown[IMA_SHOWN_MAX], shown_digest[IMA_SHOWN_MAX];
    uint8_t record[1 + IMA_DIGEST_MAX];
    const uint8_t *s = NULL;
    size_t len = 0;
    bool is_digest;

    if (ima_json_peek(&c->json) != '"')
        return ima_json_fail(&c->json, QL_EPARSE, "'%s': '%s': element %zu is not a string", map,
                             ima_shown(name, name_len, shown), i);
    if (!ima_json_string(&c->json, &s, &len))
        return false;
    is_digest = is_digest_text(s, len > 0 && s[len - 1] == '\n' ? len - 1 : len);
    if (!is_digest && c->is_upload)
        return ima_json_fail(&c->json, QL_EPARSE,
                             "'%s': '%s': element %zu: '%s' does not match '^[0-9a-f]{40,128}$'", map,
                             ima_shown(name, name_len, shown), i, ima_shown(s, len, shown_digest));
    if (!is_digest || len % 2 != 0 || s[len - 1] == '\n') { /* equals no digest */
        len = len < TEXT_MAX ? len : TEXT_MAX;
        return put_u8(c, 0) && put_u8(c, len) && put(c, s, len);
    }
    record[0] = (uint8_t)(len / 2);
    for (size_t at = 0; at < len; at += 2)
        record[1 + at / 2] = (uint8_t)(digits[s[at]] << 4 | digits[s[at + 1]]);
    return put(c, record, 1 + len / 2);
}

static bool read_record(struct compile *c, struct ima_policy_map *map, const char *key)
{
    const struct ima_arena *a = &c->policy->arena;
    char shown[IMA_SHOWN_MAX];
    const uint8_t *name = NULL;
    size_t len = 0, count = 0;

    if (!ima_json_key(&c->json, &name, &len) || !put_name(c, name, len))
        return false;
    name = a->data + a->len - len; /* the reader's copy goes with the next string */
    if (ima_json_peek(&c->json) != '[')
        return ima_json_fail(&c->json, QL_EPARSE, "'%s': '%s' is not a list", key,
                             ima_shown(name, len, shown));
    for (ima_json_enter(&c->json, '['); ima_json_more(&c->json, ']');)
        put_digest(c, key, name, len, ++count);
    if (!c->json.failed && count == 0)
        return ima_json_fail(&c->json, QL_EPARSE, "'%s': '%s' is too short: a list of no digests", key,
                             ima_shown(name, len, shown));
    map->count++;
    return put_u8(c, IMA_RECORD_END);
}

static bool read_map(struct compile *c, enum ima_map which, const char *key)
{
    struct ima_policy_map *map = &c->policy->maps[which];

    if (!expect(c, '{', key))
        return false;
    *map = (struct ima_policy_map){.first = c->policy->arena.len};
    for (ima_json_enter(&c->json, '{'); ima_json_more(&c->json, '}');)
        read_record(c, map, key);
    map->end = c->policy->arena.len;
    return !c->json.failed;
}

static bool read_digests(struct compile *c)
{
    return read_map(c, IMA_MAP_DIGESTS, "digests");
}

static bool read_keyrings(struct compile *c)
{
    return read_map(c, IMA_MAP_KEYRINGS, "keyrings");
}

static bool read_buffers(struct compile *c)
{
    return read_map(c, IMA_MAP_BUFFERS, "ima-buf");
}

/* ---- excludes ---- */

struct elements {
    struct ima_exclude *list;
    size_t count, room;
    uint8_t *texts;
    size_t texts_len;
};

static bool add_element(struct compile *c, struct elements *e)
{
    const struct ql_host *host = c->json.host;
    const uint8_t *s = NULL;
    size_t len = 0;

    if (ima_json_peek(&c->json) != '"')
        return ima_json_fail(&c->json, QL_EPARSE, "'excludes': element %zu is not a string", e->count + 1);
    if (!ima_json_string(&c->json, &s, &len))
        return false;
    if (e->count == IMA_EXCLUDES_MAX)
        return ima_json_fail(&c->json, QL_ELIMIT, "'excludes': more than %d elements", IMA_EXCLUDES_MAX);
    if (e->count == e->room) {
        size_t room = e->room ? e->room * 2 : 16;
        struct ima_exclude *wide = host->realloc(host, e->list, room * sizeof *wide);

        if (!wide)
            return ima_json_fail(&c->json, QL_ENOMEM, "'excludes': no memory for %zu elements", room);
        e->list = wide;
        e->room = room;
    }
    if (len > 0)
        memcpy(e->texts + e->texts_len, s, len);
    e->list[e->count++] = (struct ima_exclude){.text = e->texts + e->texts_len, .len = len};
    e->texts_len += len;
    return true;
}

static bool read_excludes(struct compile *c)
{
    const struct ql_host *host = c->json.host;
    struct ima_excludes **at = &c->policy->excludes;
    struct elements e = {0};
    struct ima_json back = c->json;
    size_t len = 0;

    if (!expect(c, '[', "excludes") || !ima_json_skip(&c->json, NULL, &len))
        return false;
    e.texts = host->alloc(host, len);
    if (!e.texts)
        return ima_json_fail(&c->json, QL_ENOMEM, "'excludes': no memory for %zu bytes", len);
    c->json.at = back.at;
    for (ima_json_enter(&c->json, '['); ima_json_more(&c->json, ']');)
        add_element(c, &e);
    ima_excludes_free(*at);
    *at = NULL;
    if (!c->json.failed && ima_excludes_compile(host, e.list, e.count, at, c->err) < 0) {
        /* A list that was stored in spite of its flaw excludes nothing: no file is let through by it. */
        c->json.failed = c->is_upload || c->err->code == QL_ENOMEM;
        if (!c->json.failed)
            host->log(host, QL_LOG_WARN, c->err->text);
    }
    host->free(host, e.list);
    host->free(host, e.texts);
    return !c->json.failed;
}

/* ---- the small ones ---- */

static bool read_release(struct compile *c)
{
    double v;

    return read_integer(c, "release", INFINITY, &v);
}

enum {
    SEEN_VERSION = 1,
    SEEN_GENERATOR = 2,
    SEEN_IGNORED = 1,
    SEEN_LOG_HASH = 2,
    SEEN_DM = 4
};

static bool require(struct compile *c, uint32_t seen, uint32_t bit, const char *name)
{
    return c->json.failed || (seen & bit) ||
           ima_json_fail(&c->json, QL_EPARSE, "'%s' is a required property", name);
}

static bool read_meta(struct compile *c)
{
    const uint8_t *key, *s;
    size_t len, s_len;
    uint32_t seen = 0;
    double v = 0;

    if (!expect(c, '{', "meta"))
        return false;
    ima_json_enter(&c->json, '{');
    while (ima_json_more(&c->json, '}') && ima_json_key(&c->json, &key, &len)) {
        if (is_word(key, len, "version")) {
            seen |= SEEN_VERSION;
            read_integer(c, "meta.version", INFINITY, &v);
        } else if (is_word(key, len, "generator")) {
            seen |= SEEN_GENERATOR;
            if (read_integer(c, "meta.generator", GENERATOR_MAX, &v))
                c->policy->generator = (unsigned)v;
        } else if (is_word(key, len, "timestamp")) {
            (void)(expect(c, '"', "meta.timestamp") && ima_json_string(&c->json, &s, &s_len)); /* poisons */
        } else {
            ima_json_skip(&c->json, NULL, NULL);
        }
    }
    return require(c, seen, SEEN_VERSION, "version") && require(c, seen, SEEN_GENERATOR, "generator") &&
           !c->json.failed;
}

static bool read_ignored(struct compile *c)
{
    struct ima_policy *p = c->policy;
    const uint8_t *s = NULL;
    size_t len = 0, count = 0;

    if (!expect(c, '[', "ima.ignored_keyrings"))
        return false;
    p->ignored = (struct ima_policy_map){.first = p->arena.len};
    p->ignores_all = false;
    for (ima_json_enter(&c->json, '['); ima_json_more(&c->json, ']');) {
        count++;
        if (ima_json_peek(&c->json) != '"')
            return ima_json_fail(&c->json, QL_EPARSE, "'ima.ignored_keyrings': element %zu is not a string",
                                 count);
        if (!ima_json_string(&c->json, &s, &len) || !put_name(c, s, len) || !put_u8(c, IMA_RECORD_END))
            return false;
        p->ignored.count++;
        p->ignores_all |= is_word(s, len, "*");
    }
    p->ignored.end = p->arena.len;
    return !c->json.failed;
}

static bool read_log_hash(struct compile *c)
{
    static const char *const known[] = {"sha1", "sha256", "sha384", "sha512"};
    char shown[IMA_SHOWN_MAX];
    const uint8_t *s = NULL;
    size_t len = 0;

    if (!expect(c, '"', "ima.log_hash_alg") || !ima_json_string(&c->json, &s, &len))
        return false;
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        if (is_word(s, len, known[i])) {
            c->policy->log_hash = known[i];
            return true;
        }
    return ima_json_fail(&c->json, QL_EPARSE,
                         "'ima.log_hash_alg': '%s' is not one of sha1, sha256, sha384, sha512",
                         ima_shown(s, len, shown));
}

static bool read_dm(struct compile *c)
{
    const uint8_t *text = NULL;
    size_t len = 0;
    json_error_t why;

    json_decref(c->policy->dm);
    c->policy->dm = NULL;
    if (ima_json_peek(&c->json) != '{' && ima_json_peek(&c->json) != 'n')
        return ima_json_fail(&c->json, QL_EPARSE, "'ima.dm_policy' is neither null nor an object");
    if (!ima_json_skip(&c->json, &text, &len) || *text == 'n')
        return !c->json.failed;
    if (len > DM_TEXT_MAX)
        return ima_json_fail(&c->json, QL_ELIMIT, "'ima.dm_policy' of %zu bytes, at most %d", len,
                             DM_TEXT_MAX);
    c->policy->dm = json_loadb((const char *)text, len, JSON_ALLOW_NUL, &why);
    if (!c->policy->dm)
        return ima_json_fail(&c->json, QL_EPARSE, "'ima.dm_policy': %s", why.text);
    if (ima_dm_policy_check(c->json.host, c->policy->dm, c->err) < 0)
        c->json.failed = true; /* its text names the rule */
    return !c->json.failed;
}

static bool read_ima(struct compile *c)
{
    const uint8_t *key;
    size_t len;
    uint32_t seen = 0;

    if (!expect(c, '{', "ima"))
        return false;
    ima_json_enter(&c->json, '{');
    while (ima_json_more(&c->json, '}') && ima_json_key(&c->json, &key, &len)) {
        if (is_word(key, len, "ignored_keyrings")) {
            seen |= SEEN_IGNORED;
            read_ignored(c);
        } else if (is_word(key, len, "log_hash_alg")) {
            seen |= SEEN_LOG_HASH;
            read_log_hash(c);
        } else if (is_word(key, len, "dm_policy")) {
            seen |= SEEN_DM;
            read_dm(c);
        } else {
            ima_json_skip(&c->json, NULL, NULL);
        }
    }
    return require(c, seen, SEEN_IGNORED, "ignored_keyrings") &&
           require(c, seen, SEEN_LOG_HASH, "log_hash_alg") && require(c, seen, SEEN_DM, "dm_policy") &&
           !c->json.failed;
}

static bool read_keys(struct compile *c)
{
    const uint8_t *s = NULL;
    size_t len = 0;

    ima_keyring_free(c->policy->keys);
    c->policy->keys = NULL;
    if (!expect(c, '"', "verification-keys") || !ima_json_string(&c->json, &s, &len))
        return false;
    if (len > 0 && ima_keyring_read_strict(c->json.host, (const char *)s, len, &c->policy->keys, c->err) < 0)
        c->json.failed = true; /* its text says what is wrong */
    return !c->json.failed;
}

static const struct member {
    const char *key;
    bool (*read)(struct compile *c);
} members[] = {
    {"meta", read_meta},         {"release", read_release},        {"digests", read_digests},
    {"excludes", read_excludes}, {"keyrings", read_keyrings},      {"ima", read_ima},
    {"ima-buf", read_buffers},   {"verification-keys", read_keys},
};

enum {
    MEMBER_COUNT = sizeof members / sizeof members[0]
};

/* ---- the whole ---- */

static bool read_payload(struct compile *c)
{
    const struct ql_host *host = c->json.host;
    const uint8_t *s = NULL;
    size_t len = 0;

    host->free(host, c->payload);
    c->payload = NULL;
    if (ima_json_peek(&c->json) != '"')
        return ima_json_skip(&c->json, NULL, NULL); /* not an envelope's */
    if (!ima_json_string(&c->json, &s, &len) || len == 0)
        return !c->json.failed;
    c->payload = host->alloc(host, len);
    if (!c->payload)
        return ima_json_fail(&c->json, QL_ENOMEM, "'payload': no memory for %zu bytes", len);
    memcpy(c->payload, s, len);
    c->payload_len = len;
    return true;
}

static void read_member(struct compile *c, bool may_be_envelope)
{
    const uint8_t *key = NULL;
    size_t len = 0;

    if (!ima_json_key(&c->json, &key, &len))
        return;
    for (unsigned i = 0; i < MEMBER_COUNT; i++)
        if (is_word(key, len, members[i].key)) {
            c->seen |= UINT32_C(1) << i;
            members[i].read(c);
            return;
        }
    if (may_be_envelope && is_word(key, len, "payload"))
        read_payload(c);
    else
        ima_json_skip(&c->json, NULL, NULL);
}

static bool read_policy(struct compile *c, bool may_be_envelope)
{
    if (ima_json_peek(&c->json) != '{')
        return ima_json_fail(&c->json, QL_EPARSE, "not a JSON object");
    ima_json_enter(&c->json, '{');
    while (ima_json_more(&c->json, '}'))
        read_member(c, may_be_envelope);
    if (!ima_json_end(&c->json) || c->payload)
        return !c->json.failed;
    for (unsigned i = 0; i < MEMBER_COUNT; i++)
        if (!require(c, c->seen, UINT32_C(1) << i, members[i].key))
            return false;
    return true;
}

static int finish(struct ima_policy *p, struct ql_err *err)
{
    struct ima_policy_map *all[IMA_MAP_COUNT + 1] = {&p->maps[0], &p->maps[1], &p->maps[2], &p->ignored};
    uint8_t *tight = p->host->realloc(p->host, p->arena.data, p->arena.len > 0 ? p->arena.len : 1);

    if (tight)
        p->arena.data = tight;
    p->arena.room = p->arena.len;
    p->size = sizeof *p + p->arena.len + ima_excludes_size(p->excludes);
    for (unsigned m = 0; m < IMA_MAP_COUNT + 1; m++) {
        int r = ima_policy_map_index(p->host, &p->arena, all[m], p->seed, err);

        if (r < 0)
            return r;
        p->size += all[m]->slot_count * sizeof *all[m]->slots;
    }
    return QL_OK;
}

static int compile(const struct ql_host *host, const uint8_t *text, size_t len, bool is_upload,
                   bool may_be_envelope, struct ima_policy **ret, struct ql_err *err)
{
    struct ql_err why = QL_ERR_INIT;
    struct compile c = {.is_upload = is_upload, .err = err ? err : &why};
    struct ima_policy *p = host->alloc(host, sizeof *p);
    uint8_t *payload = NULL;
    size_t payload_len = 0;
    int r;

    if (!p)
        return host->fail(err, QL_ENOMEM, "no memory for a policy");
    *p = (struct ima_policy){.host = host, .log_hash = "sha1", .seed = (uint64_t)host->mono_ns(host)};
    p->arena.room = len > 0 ? len : 1;
    p->arena.data = host->alloc(host, p->arena.room);
    if (!p->arena.data) {
        ima_policy_free(p);
        return host->fail(err, QL_ENOMEM, "no memory for a policy of %zu bytes", len);
    }
    c.policy = p;
    c.json = ima_json_of(host, text, len, c.err);
    r = read_policy(&c, may_be_envelope) ? QL_OK : (c.err->code < 0 ? c.err->code : QL_EPARSE);
    ima_json_done(&c.json);
    if (r == QL_OK && c.payload)
        r = ima_envelope_payload(host, c.payload, c.payload_len, &payload, &payload_len, err);
    else if (r == QL_OK)
        r = finish(p, err);
    host->free(host, c.payload);
    if (r < 0 || payload)
        ima_policy_free(p);
    else
        *ret = p;
    if (payload)
        r = compile(host, payload, payload_len, is_upload, false, ret,
                    err); /* one level: it is no envelope again */
    host->free(host, payload);
    return r;
}

int ima_policy_compile(const struct ql_host *host, const uint8_t *text, size_t len, uint32_t origin,
                       struct ima_policy **ret, struct ql_err *err)
{
    if (len > IMA_POLICY_MAX)
        return host->fail(err, QL_ELIMIT, "policy of %zu bytes, at most %d", len, IMA_POLICY_MAX);
    return compile(host, text, len, origin != QL_ORIGIN_STORED, true, ret, err);
}
