/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the values of tree.h one event at a time; only the spelling of values is decided here. */
#include "dump.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"
#include "text.h"
#include "tree.h"

/** How a value is spelled. */
enum style {
    STYLE_PLAIN,
    STYLE_HEX,     /* a number with 0x */
    STYLE_SINGLE,  /* 'text' */
    STYLE_DOUBLE,  /* "text" */
    STYLE_LITERAL, /* |- and the text on the next line */
    STYLE_LINES    /* "text", a new line of output after each line of it */
};

static const struct {
    const char *key;
    enum style style;
} STYLES[] = {
    {"Digest", STYLE_DOUBLE},
    {"Event", STYLE_DOUBLE},
    {"VariableData", STYLE_DOUBLE},
    {"vendorInfo", STYLE_DOUBLE},
    {"BlobDescription", STYLE_DOUBLE},
    {"Description", STYLE_DOUBLE},
    {"PartitionName", STYLE_DOUBLE},
    {"String", STYLE_LINES},
    {"DevicePath", STYLE_SINGLE},
    {"Enabled", STYLE_SINGLE},
    {"BlobBase", STYLE_HEX},
    {"BlobLength", STYLE_HEX},
    {"ImageLocationInMemory", STYLE_HEX},
    {"ImageLinkTimeAddress", STYLE_HEX},
    {"Revision", STYLE_HEX},
    {"HeaderCRC32", STYLE_HEX},
    {"MyLBA", STYLE_HEX},
    {"AlternateLBA", STYLE_HEX},
    {"FirstUsableLBA", STYLE_HEX},
    {"LastUsableLBA", STYLE_HEX},
    {"PartitionEntryLBA", STYLE_HEX},
    {"PartitionEntryArrayCRC32", STYLE_HEX},
    {"StartingLBA", STYLE_HEX},
    {"EndingLBA", STYLE_HEX},
    {"Attributes", STYLE_HEX},
};

/** One event's printing. */
struct printer {
    struct mb_text *out;
    uint32_t type;
    bool ends_in_nul; /* the payload does; the tree's string does not show it */
};

static bool is_text_event(uint32_t type)
{
    return type == MB_EV_EFI_ACTION || type == MB_EV_POST_CODE || type == MB_EV_EFI_HCRTM_EVENT;
}

/** Can the text stand without quotes, or in single ones? */
static bool is_printable(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
            return false;
    return true;
}

/** A name that no reader of YAML takes for a number, a truth value or null. */
static bool is_plain_name(const char *p, size_t len)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"};

    if (len == 0 || !((p[0] >= 'A' && p[0] <= 'Z') || (p[0] >= 'a' && p[0] <= 'z')))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'A' && p[i] <= 'Z') || (p[i] >= 'a' && p[i] <= 'z') ||
              p[i] == '_' || p[i] == '-'))
            return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i]) == len && strncasecmp(p, words[i], len) == 0)
            return false;
    return true;
}

/** Hex digits that could be read as a number: digits alone, or with one "e" between them. */
static bool is_number_like(const char *p, size_t len)
{
    size_t letters = 0;

    for (size_t i = 0; i < len; i++) {
        if (p[i] >= '0' && p[i] <= '9')
            continue;
        if (p[i] != 'e' || letters++ > 0)
            return false;
    }
    return true;
}

/** One character inside double quotes. @param is_leading nothing but blanks stands before it on its line */
static void add_escaped(struct mb_text *t, char c, bool is_leading)
{
    static const char names[] = "0......abtnvfr"; /* by character code */
    const unsigned char code = (unsigned char)c;

    if (c == '"' || c == '\\')
        mb_textf(t, "\\%c", c);
    else if (c == 0x1b)
        mb_textf(t, "\\e");
    else if (c == '\t' && !is_leading)
        mb_text_add(t, &c, 1);
    else if (code < sizeof names - 1 && names[code] != '.')
        mb_textf(t, "\\%c", names[code]);
    else if (code < 0x20 || code == 0x7f || (c == ' ' && is_leading))
        mb_textf(t, "\\x%02x", code);
    else
        mb_text_add(t, &c, 1);
}

static void add_double(struct mb_text *t, const char *p, size_t len)
{
    mb_textf(t, "\"");
    for (size_t i = 0; i < len; i++)
        add_escaped(t, p[i], p[i] == '\t');
    mb_textf(t, "\"\n");
}

static void add_lines(struct mb_text *t, unsigned indent, const char *p, size_t len, bool has_nul)
{
    bool is_leading = true;

    mb_textf(t, "\"");
    for (size_t i = 0; i < len; i++) {
        add_escaped(t, p[i], is_leading);
        is_leading = is_leading && (p[i] == ' ' || p[i] == '\t');
        if (p[i] == '\n' && (i + 1 < len || has_nul)) {
            mb_textf(t, "\\\n%*s", (int)indent + 2, "");
            is_leading = true;
        }
    }
    mb_textf(t, "%s\"\n", has_nul ? "\\0" : "");
}

static void add_single(struct mb_text *t, const char *p, size_t len)
{
    mb_textf(t, "'");
    for (size_t i = 0; i < len; i++)
        mb_text_add(t, p[i] == '\'' ? "''" : p + i, p[i] == '\'' ? 2 : 1);
    mb_textf(t, "'\n");
}

static enum style style_of(const struct printer *pr, const char *key, const char *parent)
{
    if (strcmp(key, "Event") == 0 && is_text_event(pr->type))
        return STYLE_LITERAL;
    if (strcmp(key, "Signature") == 0 && strcmp(parent, "Header") == 0)
        return STYLE_DOUBLE;
    for (size_t i = 0; i < sizeof STYLES / sizeof STYLES[0]; i++)
        if (strcmp(STYLES[i].key, key) == 0)
            return STYLES[i].style;
    return STYLE_PLAIN;
}

static void add_string(const struct printer *pr, unsigned indent, const char *key, enum style style,
                       const json_t *value)
{
    const char *p = json_string_value(value);
    const size_t len = json_string_length(value);
    const bool is_clean = is_printable(p, len);

    switch (style) {
    case STYLE_HEX: /* a number of 2^63 or more */
        mb_textf(pr->out, "0x%" PRIx64 "\n", (uint64_t)strtoull(p, NULL, 10));
        return;
    case STYLE_LINES:
        add_lines(pr->out, indent, p, len, pr->ends_in_nul);
        return;
    case STYLE_SINGLE:
        if (is_clean)
            add_single(pr->out, p, len);
        else
            add_double(pr->out, p, len);
        return;
    case STYLE_LITERAL:
        /* A literal would lose blanks at its edges. */
        if (is_clean && len > 0 && p[0] != ' ' && p[len - 1] != ' ') {
            mb_textf(pr->out, "|-\n%*s", (int)indent + 2, "");
            mb_text_add(pr->out, p, len);
            mb_textf(pr->out, "\n");
        } else {
            add_double(pr->out, p, len);
        }
        return;
    case STYLE_PLAIN:
        if (strcmp(key, "UnicodeName") == 0 ? is_plain_name(p, len)
                                            : strcmp(key, "SignatureData") != 0 || !is_number_like(p, len)) {
            mb_text_add(pr->out, p, len);
            mb_textf(pr->out, "\n");
            return;
        }
        add_double(pr->out, p, len);
        return;
    case STYLE_DOUBLE:
        add_double(pr->out, p, len);
        return;
    }
}

static void add_scalar(const struct printer *pr, unsigned indent, const char *key, const char *parent,
                       const json_t *value)
{
    const enum style style = style_of(pr, key, parent);

    if (json_is_integer(value))
        mb_textf(pr->out, style == STYLE_HEX ? " 0x%" PRIx64 "\n" : " %" PRIu64 "\n",
                 (uint64_t)json_integer_value(value));
    else if (json_is_string(value)) {
        mb_textf(pr->out, " ");
        add_string(pr, indent, key, style, value);
    } else {
        mb_textf(pr->out, "\n"); /* null */
    }
}

/**
 * The members of an object, each on its own line. @param first_indent blanks before the first one: 0 behind "- "
 * Depth is that of the tree, which this plugin made: five at most.
 */
static void add_members(const struct printer *pr, unsigned first_indent, unsigned indent, const char *parent,
                        json_t *object)
{
    const char *key;
    json_t *value;
    bool is_first = true;

    json_object_foreach(object, key, value) {
        const json_t *item;
        size_t i;

        mb_textf(pr->out, "%*s%s:", (int)(is_first ? first_indent : indent), "", key);
        is_first = false;
        if (json_is_object(value)) {
            mb_textf(pr->out, "\n");
            add_members(pr, indent + 2, indent + 2, key, value);
        } else if (json_is_array(value)) {
            mb_textf(pr->out, "\n");
            json_array_foreach(value, i, item) {
                mb_textf(pr->out, "%*s- ", (int)indent, "");
                if (json_is_object(item))
                    add_members(pr, 0, indent + 2, key, json_array_get(value, i));
                else
                    mb_textf(pr->out, "%s\n", json_string_value(item)); /* Boot0001 */
            }
        } else {
            add_scalar(pr, indent, key, parent, value);
        }
    }
}

/** Hand over what was collected. */
static int flush(const struct mb_log *log, struct mb_text *t, struct ql_text_sink *sink, struct ql_err *err)
{
    int r = t->failed ? log->host->fail(err, QL_ENOMEM, "out of memory") : sink->write(sink, t->p, t->len);

    mb_text_done(t);
    return r;
}

static int dump_event(const struct mb_log *log, uint32_t i, struct ql_text_sink *sink, struct ql_err *err)
{
    static const struct mb_tree_options all = {.bank = MB_ALL_BANKS};
    const struct mb_event *e = &log->events[i];
    json_t *event = mb_event_json(log, i, &all);
    struct mb_text t;
    const struct printer pr = {
        .out = &t, .type = e->type, .ends_in_nul = e->payload_len > 0 && e->payload[e->payload_len - 1] == 0};

    mb_text_init(&t);
    if (!event)
        return log->host->fail(err, QL_ENOMEM, "out of memory");
    mb_textf(&t, "- ");
    add_members(&pr, 0, 2, "events", event);
    json_decref(event);
    return flush(log, &t, sink, err);
}

static int dump_pcrs(struct mb_hasher *hasher, const struct mb_log *log, struct ql_text_sink *sink,
                     struct ql_err *err)
{
    struct mb_text t;
    int r = QL_OK;

    mb_text_init(&t);
    mb_textf(&t, "pcrs:\n");
    for (int bank = 0; r == QL_OK && bank < (int)log->bank_count; bank++) {
        struct mb_pcrs pcrs;

        if (!log->banks[bank].is_known)
            continue;
        r = mb_replay(hasher, log, bank, &pcrs, err);
        if (r == QL_EUNSUPPORTED) { /* its digests were shown; its values are unknown here */
            r = QL_OK;
            continue;
        }
        if (r < 0 || pcrs.extended == 0)
            continue;
        mb_textf(&t, "  %s:\n", log->banks[bank].name);
        for (unsigned n = 0; n < MB_PCR_COUNT; n++) {
            if (!(pcrs.extended >> n & 1))
                continue;
            mb_textf(&t, "    %-2u : 0x", n);
            mb_text_hex(&t, pcrs.value[n], pcrs.digest_len);
            mb_textf(&t, "\n");
        }
    }
    if (r == QL_OK)
        return flush(log, &t, sink, err);
    mb_text_done(&t);
    return r;
}

int mb_dump(struct mb_hasher *hasher, const struct mb_log *log, struct ql_text_sink *sink, struct ql_err *err)
{
    static const char head[] = "---\nversion: 2\nevents:\n";
    int r = sink->write(sink, head, sizeof head - 1);

    for (uint32_t i = 0; r == QL_OK && i < log->event_count; i++)
        r = dump_event(log, i, sink, err);
    return r < 0 ? r : dump_pcrs(hasher, log, sink, err);
}
