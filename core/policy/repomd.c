/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "digest.h"
#include "encode.h"
#include "error.h"
#include "file.h"
#include "parse.h"
#include "repomd.h"
#include "rpm.h"
#include "xml.h"

#define NS_REPO      "http://linux.duke.edu/metadata/repo "
#define NS_COMMON    "http://linux.duke.edu/metadata/common "
#define NS_RPM       "http://linux.duke.edu/metadata/rpm "
#define NS_FILELISTS "http://linux.duke.edu/metadata/filelists-ext "

static int copy_text(char *to, size_t room, const char *from, const char *what, struct ql_err *err)
{
    if (*to)
        return ql_fail(err, QL_EPARSE, "repository: %s twice", what);
    if (!from || !*from)
        return ql_fail(err, QL_EPARSE, "repository: no %s", what);
    if (strlen(from) >= room)
        return ql_fail(err, QL_ELIMIT, "repository: %s of more than %zu bytes", what, room - 1);
    memcpy(to, from, strlen(from) + 1);
    return QL_OK;
}

static int only_root(const char *name, const char *root, struct ql_err *err)
{
    return strcmp(name, root) == 0 ? QL_OK
                                   : ql_fail(err, QL_EPARSE, "XML: \"%.64s\" is another document", name);
}

/* ---- repomd.xml ---- */

struct index {
    struct ql_repomd *repomd;
    struct ql_repomd_data *at; /* the element that is open; NULL: one that nobody asked for */
};

static int begin_data(struct index *x, const char *type, struct ql_err *err)
{
    x->at = !type                                ? NULL
            : strcmp(type, "primary") == 0       ? &x->repomd->primary
            : strcmp(type, "filelists-ext") == 0 ? &x->repomd->filelists_ext
                                                 : NULL;
    return x->at && x->at->href[0] ? ql_fail(err, QL_EPARSE, "repository: %s is listed twice", type) : QL_OK;
}

static int index_start(void *arg, const char *name, const char **attrs, unsigned depth, bool *wants_text,
                       struct ql_err *err)
{
    struct index *x = arg;

    if (depth == 1)
        return only_root(name, NS_REPO "repomd", err);
    if (depth == 2)
        return strcmp(name, NS_REPO "data") == 0 ? begin_data(x, ql_xml_attr(attrs, "type"), err)
                                                 : (x->at = NULL, QL_OK);
    if (depth != 3 || !x->at)
        return QL_OK;
    if (strcmp(name, NS_REPO "location") == 0)
        return copy_text(x->at->href, sizeof x->at->href, ql_xml_attr(attrs, "href"), "location", err);
    if (strcmp(name, NS_REPO "checksum") != 0)
        return QL_OK;
    *wants_text = true;
    return copy_text(x->at->algorithm, sizeof x->at->algorithm, ql_xml_attr(attrs, "type"),
                     "algorithm of a checksum", err);
}

static int index_end(void *arg, const char *name, unsigned depth, const char *text, struct ql_err *err)
{
    struct index *x = arg;

    return depth == 3 && x->at && strcmp(name, NS_REPO "checksum") == 0
               ? copy_text(x->at->checksum, sizeof x->at->checksum, text, "checksum", err)
               : QL_OK;
}

int ql_repomd_read(const uint8_t *data, size_t len, struct ql_repomd *ret, struct ql_err *err)
{
    static const struct ql_xml_reader reader = {index_start, index_end};
    struct ql_repomd found = {0};
    struct index x = {.repomd = &found};
    int r = ql_xml_read(data, len, QL_REPOMD_LEN_MAX, &reader, &x, err);

    if (r == QL_OK)
        *ret = found;
    return r;
}

int ql_repomd_check(const struct ql_repomd_data *listed, const uint8_t *data, size_t len, struct ql_err *err)
{
    enum ql_hash hash;
    uint8_t is[QL_DIGEST_MAX], listed_as[QL_DIGEST_MAX];
    size_t size;

    if (ql_hash_by_name(listed->algorithm, strlen(listed->algorithm), &hash) < 0 || hash == QL_SHA1)
        return ql_fail(err, QL_ECRYPTO, "its checksum is \"%s\", which proves nothing", listed->algorithm);
    size = ql_hash_len(hash);
    if (ql_hex_decode(listed->checksum, strlen(listed->checksum), listed_as, size, err) < 0 ||
        ql_digest_once(hash, data, len, is) < 0 || memcmp(is, listed_as, size) != 0)
        return ql_fail(err, QL_ECRYPTO, "it has not the checksum that repomd.xml has of it");
    return QL_OK;
}

int ql_repomd_authentic(const char *place, const char *key_file, struct ql_span index,
                        struct ql_span signature, struct ql_span key, struct ql_err *err)
{
    ql_auto_free uint8_t *own = NULL;
    struct ql_err why = QL_ERR_INIT;
    int r;

    if (!signature.data && key_file)
        return ql_fail(err, QL_ECRYPTO, "%.512s: the repository is not signed", place);
    if (!signature.data) {
        fprintf(stderr, "%s: the repository is not signed\n", place);
        return QL_OK;
    }
    if (key_file) {
        r = ql_file_read(key_file, QL_DETACHED_MAX, &own, &key.len, err);
        if (r < 0)
            return r;
        key.data = own;
    } else if (!key.data) {
        return ql_fail(err, QL_ECRYPTO, "%.512s: repomd.xml.asc is there and repomd.xml.key is not", place);
    } else {
        fprintf(stderr,
                "%s: the key of the signature is the one that the repository has itself; "
                "--rpm-repo-key names one of yours\n",
                place);
    }
    r = ql_detached_check(key, signature, index, &why);
    return r < 0 ? ql_fail(err, r, "%.512s: repomd.xml.asc: %s", place, why.text) : QL_OK;
}

/* ---- primary.xml ---- */

struct primary {
    ql_repomd_package_fn fn;
    void *arg;
    bool is_rpm;
    char href[QL_REPOMD_HREF_MAX + 1];
    uint64_t header_end;
};

static int primary_start(void *arg, const char *name, const char **attrs, unsigned depth, bool *wants_text,
                         struct ql_err *err)
{
    struct primary *p = arg;
    const char *end;

    (void)wants_text;
    if (depth == 1)
        return only_root(name, NS_COMMON "metadata", err);
    if (depth == 2) {
        const char *type = ql_xml_attr(attrs, "type");

        p->is_rpm = strcmp(name, NS_COMMON "package") == 0 && type && strcmp(type, "rpm") == 0;
        p->href[0] = '\0';
        p->header_end = 0;
    }
    if (depth == 3 && p->is_rpm && strcmp(name, NS_COMMON "location") == 0)
        return copy_text(p->href, sizeof p->href, ql_xml_attr(attrs, "href"), "location of a package", err);
    if (depth == 4 && p->is_rpm && strcmp(name, NS_RPM "header-range") == 0) {
        end = ql_xml_attr(attrs, "end");
        if (!end || ql_parse_u64(end, strlen(end), 0, UINT64_MAX, &p->header_end, NULL) < 0)
            p->header_end = 0; /* a hint: what is missing is asked for later */
    }
    return QL_OK;
}

static int primary_end(void *arg, const char *name, unsigned depth, const char *text, struct ql_err *err)
{
    struct primary *p = arg;

    (void)name, (void)text;
    if (depth != 2 || !p->is_rpm)
        return QL_OK;
    p->is_rpm = false;
    return p->href[0] ? p->fn(p->arg, p->href, p->header_end, err)
                      : ql_fail(err, QL_EPARSE, "repository: a package without a location");
}

int ql_primary_read(const uint8_t *data, size_t len, ql_repomd_package_fn fn, void *arg, struct ql_err *err)
{
    static const struct ql_xml_reader reader = {primary_start, primary_end};
    struct primary p = {.fn = fn, .arg = arg};

    return ql_xml_read(data, len, QL_REPODATA_LEN_MAX, &reader, &p, err);
}

/* ---- filelists-ext.xml ---- */

struct filelists {
    struct ql_draft *to;
    char hex[2 * QL_DIGEST_MAX + 1]; /* of the file that is open; "": it has none */
};

static int files_start(void *arg, const char *name, const char **attrs, unsigned depth, bool *wants_text,
                       struct ql_err *err)
{
    struct filelists *f = arg;
    const char *hex;

    if (depth == 1)
        return only_root(name, NS_FILELISTS "filelists-ext", err);
    f->hex[0] = '\0';
    hex = strcmp(name, NS_FILELISTS "file") == 0 ? ql_xml_attr(attrs, "hash") : NULL;
    if (!hex || !*hex)
        return QL_OK;
    *wants_text = true;
    return copy_text(f->hex, sizeof f->hex, hex, "digest of a file", err);
}

static int files_end(void *arg, const char *name, unsigned depth, const char *text, struct ql_err *err)
{
    struct filelists *f = arg;
    int r = QL_OK;

    (void)name, (void)depth;
    if (f->hex[0] && *text)
        r = ql_rpm_add_file(f->to, "", 0, text, strlen(text), f->hex, strlen(f->hex), err);
    f->hex[0] = '\0';
    return r;
}

int ql_filelists_read(const uint8_t *data, size_t len, struct ql_draft *to, struct ql_err *err)
{
    static const struct ql_xml_reader reader = {files_start, files_end};
    struct filelists f = {.to = to};

    return ql_xml_read(data, len, QL_REPODATA_LEN_MAX, &reader, &f, err);
}
