/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keylime's tpm_policy: PCR values that a node may have.
 *
 * Policy: JSON object. Keys are decimal PCR numbers 0 to 23 without 10 (the IMA list's) and 16 (which binds
 * the payload key); values are a hex digest or a list of them, in either case. "mask" is hex text of PCRs to
 * be quoted besides. A PCR matches when one of its digests that has the quoted bank's size equals the quoted
 * value.
 */
#include <jansson.h>
#include <quicklime/validator.h>
#include <stdbool.h>
#include <string.h>

enum {
    PCRS = 24,
    IMA_PCR = 10,
    DATA_PCR = 16,
    DIGEST_MAX = 64,
    POLICY_MAX = 1024 * 1024, /* bytes of a policy: thousands of values a PCR */
    KEYS_MAX = PCRS + 1
};

struct digest {
    uint8_t len;
    uint8_t bytes[DIGEST_MAX];
};

/** A compiled policy: one piece of memory. */
struct policy {
    uint32_t mask;      /* PCRs that must be quoted */
    uint32_t pinned;    /* PCRs with values */
    size_t first[PCRS]; /* of its values in `values` */
    size_t count[PCRS];
    struct digest values[];
};

struct plugin {
    const struct ql_host *host;
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool known_digest_len(size_t len)
{
    return len == 20 || len == 32 || len == 48 || len == 64; /* SHA-1, SHA-256, SHA-384, SHA-512 */
}

static bool read_digest(const json_t *text, struct digest *ret)
{
    size_t len = json_string_length(text);
    const char *at = json_string_value(text);

    if (!at || len % 2 != 0 || !known_digest_len(len / 2))
        return false;
    for (size_t i = 0; i < len / 2; i++) {
        int high = hex_value(at[2 * i]), low = hex_value(at[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret->bytes[i] = (uint8_t)(high << 4 | low);
    }
    ret->len = (uint8_t)(len / 2);
    return true;
}

/* Decimal, as the tenant writes it: no sign, no leading zero. */
static bool read_pcr(const char *key, uint32_t *ret)
{
    uint32_t n = 0;
    size_t len = strlen(key);

    if (len == 0 || len > 2 || (len == 2 && key[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (key[i] < '0' || key[i] > '9')
            return false;
        n = n * 10 + (uint32_t)(key[i] - '0');
    }
    *ret = n;
    return n < PCRS;
}

/* Hex text with or without 0x. Bit 10 and 16 may be asked for: quoted they are anyway where they matter. */
static bool read_mask(const json_t *value, uint32_t *ret)
{
    const char *at = json_string_value(value);
    uint32_t mask = 0;

    if (!at)
        return false;
    if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X'))
        at += 2;
    if (!*at || strlen(at) > 8)
        return false;
    for (; *at; at++) {
        int digit = hex_value(*at);

        if (digit < 0)
            return false;
        mask = mask << 4 | (uint32_t)digit;
    }
    *ret = mask;
    return mask >> PCRS == 0;
}

static size_t value_count(const json_t *value)
{
    return json_is_array(value) ? json_array_size(value) : 1;
}

static int read_values(const struct ql_host *h, const char *key, const json_t *value, struct policy *p,
                       size_t *at, struct ql_err *err)
{
    uint32_t pcr = 0;
    size_t count = value_count(value);

    if (!read_pcr(key, &pcr))
        return h->fail(err, QL_ERANGE,
                       "tpm_policy: key \"%.40s\" is neither a PCR number from 0 to 23 nor \"mask\"", key);
    if (pcr == IMA_PCR || pcr == DATA_PCR)
        return h->fail(err, QL_ERANGE, "tpm_policy: PCR %u cannot be pinned: %s", pcr,
                       pcr == IMA_PCR ? "it holds the IMA measurement list" : "it binds the agent's key");
    if (count == 0)
        return h->fail(err, QL_ERANGE, "tpm_policy: PCR %u has an empty list: nothing could match", pcr);
    p->pinned |= UINT32_C(1) << pcr;
    p->first[pcr] = *at;
    p->count[pcr] = count;
    for (size_t i = 0; i < count; i++)
        if (!read_digest(json_is_array(value) ? json_array_get(value, i) : value, &p->values[(*at)++]))
            return h->fail(
                err, QL_ERANGE,
                "tpm_policy: PCR %u, value %zu is not the hex of a SHA-1, SHA-256, SHA-384 or SHA-512 digest",
                pcr, i + 1);
    return QL_OK;
}

static int read_policy(const struct ql_host *h, const json_t *object, struct policy *p, struct ql_err *err)
{
    const char *key;
    json_t *value;
    size_t at = 0;

    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        int r = QL_OK;

        if (strcmp(key, "mask") != 0)
            r = read_values(h, key, value, p, &at, err);
        else if (!read_mask(value, &p->mask))
            r = h->fail(err, QL_ERANGE, "tpm_policy: mask is not hex text of PCRs 0 to 23");
        if (r < 0)
            return r;
    }
    p->mask |= p->pinned;
    return QL_OK;
}

static int policy_prepare(void *plugin, const uint8_t *policy, size_t len, uint32_t origin, void **ret,
                          size_t *ret_size, struct ql_err *err)
{
    const struct ql_host *h = ((struct plugin *)plugin)->host;
    json_error_t why;
    json_t *object, *value;
    const char *key;
    struct policy *p;
    size_t values = 0;
    int r;

    (void)origin; /* as strict with what is stored: it was accepted by these rules */
    if (len > POLICY_MAX)
        return h->fail(err, QL_ELIMIT, "tpm_policy of %zu bytes, at most %d", len, POLICY_MAX);
    object = json_loadb((const char *)policy, len, JSON_REJECT_DUPLICATES, &why);
    if (!object)
        return h->fail(err, QL_EPARSE, "tpm_policy: line %d column %d: %s", why.line, why.column, why.text);
    if (!json_is_object(object) || json_object_size(object) > KEYS_MAX) {
        json_decref(object);
        return h->fail(err, QL_EPARSE, "tpm_policy is not an object of at most %d members", KEYS_MAX);
    }
    json_object_foreach(object, key, value) {
        values += value_count(value);
    }
    p = h->alloc(h, sizeof *p + values * sizeof *p->values);
    if (!p) {
        json_decref(object);
        return h->fail(err, QL_ENOMEM, "tpm_policy: no memory for %zu values", values);
    }
    memset(p, 0, sizeof *p);
    r = read_policy(h, object, p, err);
    json_decref(object);
    if (r < 0) {
        h->free(h, p);
        return r;
    }
    *ret = p;
    *ret_size = sizeof *p + values * sizeof *p->values;
    return QL_OK;
}

static void policy_release(void *plugin, void *compiled)
{
    const struct ql_host *h = ((struct plugin *)plugin)->host;

    h->free(h, compiled);
}

static int policy_needs(void *plugin, const void *compiled, struct ql_needs *ret, struct ql_err *err)
{
    (void)plugin;
    (void)err;
    ret->pcr_mask = ((const struct policy *)compiled)->mask;
    ret->items = NULL;
    ret->item_count = 0;
    return QL_OK;
}

static json_t *hex(const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * DIGEST_MAX];

    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    return json_stringn(text, 2 * len);
}

/* Context as Keylime's, with all values of the policy. */
static int report_mismatch(struct ql_report *report, const struct policy *p, uint32_t pcr, const uint8_t *got,
                           size_t len)
{
    char event[] = "pcr_validation.invalid_pcr_NN";
    char *digits = strstr(event, "NN");
    json_t *expected = json_array(), *context;

    if (pcr >= 10)
        *digits++ = (char)('0' + pcr / 10);
    *digits++ = (char)('0' + pcr % 10);
    *digits = '\0';
    for (size_t i = 0; i < p->count[pcr]; i++) {
        const struct digest *d = &p->values[p->first[pcr] + i];

        if (json_array_append_new(expected, hex(d->bytes, d->len)) != 0)
            break; /* the list is for the reader; the verdict does not hang on it */
    }
    context = json_pack("{s:s, s:o, s:o}", "context", "PCR value is not in allowlist", "got", hex(got, len),
                        "expected", expected);
    (void)report->fail(report, event, NULL, 1, context); /* the host keeps note of what it could not record */
    json_decref(context);
    return QL_OK;
}

static int report_missing(struct ql_report *report, uint32_t missing)
{
    json_t *list = json_array(), *context;

    for (uint32_t i = 0; i < PCRS; i++)
        if (missing & (UINT32_C(1) << i))
            (void)json_array_append_new(list, json_integer(i)); /* as above */
    context = json_pack("{s:s, s:o}", "context", "PCRs are missing in quote", "data", list);
    (void)report->fail(report, "pcr_validation.missing_pcrs", NULL, 0, context); /* as above */
    json_decref(context);
    return QL_OK;
}

/*
 * Values of other banks say nothing here. The values are public: the time of a comparison gives nothing away.
 */
static bool matches(const struct policy *p, uint32_t pcr, const uint8_t *got, size_t len)
{
    for (size_t i = 0; i < p->count[pcr]; i++) {
        const struct digest *d = &p->values[p->first[pcr] + i];

        if (d->len == len && memcmp(d->bytes, got, len) == 0)
            return true;
    }
    return false;
}

static int policy_validate(void *plugin, const struct ql_attest *attest, const void *compiled,
                           const struct ql_state *in, struct ql_report *report, struct ql_state *out,
                           struct ql_err *err)
{
    const struct policy *p = compiled;
    uint32_t missing = 0;

    (void)plugin;
    (void)in;
    (void)out; /* PCR values are judged anew each time */
    (void)err;
    for (uint32_t pcr = 0; pcr < PCRS; pcr++) {
        size_t len = 0;
        const uint8_t *got;

        if (!(p->mask & (UINT32_C(1) << pcr)))
            continue;
        got = attest->pcr(attest, pcr, &len);
        if (!got)
            missing |= UINT32_C(1) << pcr;
        else if (p->count[pcr] > 0 && !matches(p, pcr, got, len))
            report_mismatch(report, p, pcr, got, len);
    }
    return missing ? report_missing(report, missing) : QL_OK;
}

static int plugin_init(const struct ql_host *host, const struct ql_options *options, void **plugin,
                       struct ql_err *err)
{
    struct plugin *p = host->alloc(host, sizeof *p);

    (void)options; /* there are none */
    if (!p)
        return host->fail(err, QL_ENOMEM, "tpm-policy: no memory");
    p->host = host;
    *plugin = p;
    return QL_OK;
}

static void plugin_fini(void *plugin)
{
    const struct ql_host *h = ((struct plugin *)plugin)->host;

    h->free(h, plugin);
}

static const struct ql_validator validator = {
    .head = {.size = sizeof(struct ql_validator), .kind = QL_KIND_VALIDATOR, .name = "tpm-policy"},
    .prepare = policy_prepare,
    .release = policy_release,
    .needs = policy_needs,
    .validate = policy_validate,
};

static const struct ql_component *const components[] = {&validator.head, NULL};

QL_PLUGIN(.name = "tpm-policy", .version = "1.0", .license = "Apache-2.0",
          .summary = "PCR values that a node may have (Keylime's tpm_policy)", .components = components,
          .init = plugin_init, .fini = plugin_fini);
