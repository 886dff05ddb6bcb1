/* SPDX-License-Identifier: Apache-2.0 */
#include <expat.h>
#include <string.h>

#include "buf.h"
#include "decompress.h"
#include "error.h"
#include "xml.h"

enum {
    PIECE = 64 * 1024
};

struct document {
    XML_Parser parser;
    const struct ql_xml_reader *reader;
    void *arg;
    struct ql_err *err;
    int code; /* that stopped it */
    unsigned depth;
    bool keeps_text;
    struct ql_buf text;
    uint64_t given; /* bytes */
};

static void stop(struct document *d, int code)
{
    if (d->code == QL_OK)
        d->code = code;
    (void)XML_StopParser(d->parser, XML_FALSE);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attrs)
{
    struct document *d = arg;
    int r;

    if (d->code < 0)
        return;
    if (d->depth == QL_XML_DEPTH_MAX || strlen(name) > QL_XML_NAME_MAX) {
        stop(d, ql_fail(d->err, QL_ELIMIT, "XML: elements are nested too deeply, or have long names"));
        return;
    }
    d->keeps_text = false;
    d->text.len = 0;
    r = d->reader->start(d->arg, name, attrs, ++d->depth, &d->keeps_text, d->err);
    if (r < 0)
        stop(d, r);
}

static void on_text(void *arg, const XML_Char *text, int len)
{
    struct document *d = arg;

    if (d->code == QL_OK && d->keeps_text && ql_buf_add(&d->text, text, (size_t)len) < 0)
        stop(d, ql_fail(d->err, QL_ELIMIT, "XML: a text of more than %d bytes", QL_XML_TEXT_MAX));
}

static void on_end(void *arg, const XML_Char *name)
{
    struct document *d = arg;
    int r;

    if (d->code < 0)
        return;
    r = d->reader->end(d->arg, name, d->depth,
                       d->keeps_text && d->text.len > 0 ? (const char *)d->text.data : "", d->err);
    d->depth--;
    d->keeps_text = false;
    d->text.len = 0;
    if (r < 0)
        stop(d, r);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id, const XML_Char *public_id,
                       int has_subset)
{
    struct document *d = arg;

    (void)name, (void)system_id, (void)public_id, (void)has_subset;
    stop(d, ql_fail(d->err, QL_EPARSE, "XML: a document type, which this format has not"));
}

static int parse(struct document *d, const uint8_t *data, size_t len, bool is_last, struct ql_err *err)
{
    XML_Index done;

    if (XML_Parse(d->parser, (const char *)data, (int)len, is_last) != XML_STATUS_OK)
        return d->code < 0 ? d->code
                           : ql_fail(err, QL_EPARSE, "XML: line %lu: %s", XML_GetCurrentLineNumber(d->parser),
                                     XML_ErrorString(XML_GetErrorCode(d->parser)));
    d->given += len;
    done = XML_GetCurrentByteIndex(d->parser); /* -1 before the first token */
    if (!is_last && d->given - (done > 0 ? (uint64_t)done : 0) > QL_XML_TOKEN_MAX)
        return ql_fail(err, QL_ELIMIT, "XML: a tag of more than %d bytes", QL_XML_TOKEN_MAX);
    return QL_OK;
}

static int on_piece(void *arg, const uint8_t *data, size_t len, struct ql_err *err)
{
    int r = QL_OK;

    for (size_t at = 0; r == QL_OK && at < len; at += PIECE)
        r = parse(arg, data + at, len - at < PIECE ? len - at : PIECE, false, err);
    return r;
}

/* A document begins so, or with a byte order mark; no compressed kind does. */
static bool is_plain(const uint8_t *data, size_t len)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};

    return len == 0 || memchr("< \t\r\n", data[0], 5) || (len >= 3 && memcmp(data, mark, sizeof mark) == 0);
}

int ql_xml_read(const uint8_t *data, size_t len, uint64_t max_len, const struct ql_xml_reader *reader,
                void *arg, struct ql_err *err)
{
    struct document d = {.reader = reader,
                         .arg = arg,
                         .err = err,
                         .parser = XML_ParserCreateNS(NULL, ' '),
                         .text = ql_buf_init(QL_XML_TEXT_MAX)};
    int r;

    if (!d.parser)
        return ql_fail_nomem(err);
    XML_SetUserData(d.parser, &d);
    XML_SetElementHandler(d.parser, on_start, on_end);
    XML_SetCharacterDataHandler(d.parser, on_text);
    XML_SetStartDoctypeDeclHandler(d.parser, on_doctype);
    if (!is_plain(data, len))
        r = ql_unpack(data, len, max_len, on_piece, &d, err);
    else
        r = len > max_len ? ql_fail(err, QL_ELIMIT, "XML: more than %llu bytes", (unsigned long long)max_len)
                          : on_piece(&d, data, len, err);
    if (r == QL_OK)
        r = parse(&d, NULL, 0, true, err);
    XML_ParserFree(d.parser);
    ql_buf_done(&d.text);
    return r;
}

const char *ql_xml_attr(const char **attrs, const char *name)
{
    for (; *attrs; attrs += 2)
        if (strcmp(attrs[0], name) == 0)
            return attrs[1];
    return NULL;
}
