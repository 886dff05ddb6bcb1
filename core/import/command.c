/* SPDX-License-Identifier: Apache-2.0 */
/* quicklime-tenant import-db: from a database of Keylime's verifier or registrar to one of ours. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "file.h"
#include "import.h"
#include "paths.h"
#include "program.h"
#include "registry.h"
#include "schemas.h"

enum {
    EXIT_USAGE = 2
};

struct options {
    const char *url, *into, *key, *state_dir, *plugin_dir;
    bool applies;
};

/** Which of Keylime's two databases it is. */
struct part {
    const char *what, *marker; /* marker: table of its schema's version */
    const struct ql_schema *schema;
    int (*read)(struct ql_source *s, struct ql_import *g, struct ql_err *err);
    ql_txn_fn write;
};

static const struct part parts[] = {
    {"verifier", "alembic_version_cloud_verifier", &ql_verifier_schema, ql_import_read_verifier,
     ql_import_write_verifier},
    {"registrar", "alembic_version_registrar", &ql_registrar_schema, ql_import_read_registrar,
     ql_import_write_registrar},
};

static void usage(FILE *out)
{
    (void)fputs(
        "usage: quicklime-tenant import-db URL [--apply] [--into URL] [--store-key FILE] [--state-dir DIR] "
        "[--plugin-dir DIR]\n"
        "Take the rows of a database of Keylime's verifier or registrar into ours. Without --apply nothing "
        "is written.\n"
        "  URL               sqlite:////FILE, postgresql://USER@HOST/NAME, mysql+pymysql://USER@HOST/NAME;\n"
        "                    file:PATH: the URL is the first line of that file\n"
        "  --apply           write\n"
        "  --into URL        our database, as in database_url (default sqlite); file:PATH as above\n"
        "  --store-key FILE  store_key_file of our verifier (default store.key)\n"
        "  --state-dir DIR   state folder of our verifier or registrar (default " QL_DEFAULT_STATE_DIR ")\n"
        "  --plugin-dir DIR  folder of plugins\n"
        "Exit: 0 all rows are taken, 3 some are left out, 1 error, 2 usage.\n",
        out);
}

static int parse(int argc, char **argv, struct options *ret)
{
    static const struct option table[] = {
        {"apply", no_argument, NULL, 'a'},
        {"into", required_argument, NULL, 'i'},
        {"store-key", required_argument, NULL, 'k'},
        {"state-dir", required_argument, NULL, 's'},
        {"plugin-dir", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;

    *ret = (struct options){
        .into = "sqlite", .key = "store.key", .state_dir = QL_DEFAULT_STATE_DIR, .plugin_dir = ""};
    while ((c = getopt_long(argc, argv, "h", table, NULL)) != -1)
        switch (c) {
        case 'a':
            ret->applies = true;
            break;
        case 'i':
            ret->into = optarg;
            break;
        case 'k':
            ret->key = optarg;
            break;
        case 's':
            ret->state_dir = optarg;
            break;
        case 'p':
            ret->plugin_dir = optarg;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            return -1;
        }
    if (argc - optind != 1)
        return -1;
    ret->url = argv[optind];
    return 0;
}

/* A URL with a password does not belong on a command line. */
static int url_of(const char *given, char **ret, struct ql_err *err)
{
    uint8_t *text = NULL;
    size_t len = 0;
    int r = QL_OK;

    if (strncmp(given, "file:", 5) != 0) {
        *ret = strdup(given);
        return *ret ? QL_OK : ql_fail_nomem(err);
    }
    r = ql_file_read(given + 5, QL_SOURCE_URL_MAX, &text, &len, err);
    if (r < 0)
        return r;
    text[strcspn((char *)text, "\r\n")] = '\0';
    *ret = (char *)text;
    return QL_OK;
}

static int find_part(struct ql_source *s, const struct part **ret, struct ql_err *err)
{
    bool found[QL_ARRAY_LEN(parts)] = {false};

    for (size_t i = 0; i < QL_ARRAY_LEN(parts); i++) {
        int r = ql_source_has(s, parts[i].marker, &found[i], err);

        if (r < 0)
            return r;
        if (found[i])
            *ret = &parts[i];
    }
    if (found[0] && found[1])
        return ql_fail(err, QL_ERANGE,
                       "the database holds the tables of verifier and registrar: give each one of its own");
    return *ret ? QL_OK
                : ql_fail(err, QL_ENOTFOUND, "the database is not one of Keylime's verifier or registrar");
}

static int check_version(void *arg, const struct ql_cell *row, struct ql_err *err)
{
    bool *is_known = arg;

    *is_known = ql_cell_is(&row[0], QL_KEYLIME_SCHEMA);
    return *is_known ? QL_OK
                     : ql_fail(err, QL_EUNSUPPORTED,
                               "schema %.40s, wanted " QL_KEYLIME_SCHEMA
                               ": bring the database up to date with Keylime first",
                               row[0].text ? row[0].text : "unknown");
}

static int check_source(struct ql_source *s, const struct part *part, struct ql_err *err)
{
    char sql[128];
    bool is_known = false;
    int r;

    (void)snprintf(sql, sizeof sql, "SELECT version_num FROM %s", part->marker); /* fits */
    r = ql_source_each(s, sql, 1, check_version, &is_known, err);
    return r == QL_OK && !is_known ? ql_fail(err, QL_EUNSUPPORTED, "the database names no schema") : r;
}

/* What root makes here a daemon could not open. */
static int check_owner(const char *dir, struct ql_err *err)
{
    struct stat st;

    if (stat(dir, &st) != 0)
        return ql_fail(err, QL_ENOTFOUND, "state folder %s does not exist", dir);
    if (st.st_uid != geteuid())
        return ql_fail(err, QL_EACCES, "state folder %s belongs to user %u: run this command as that user",
                       dir, (unsigned)st.st_uid);
    return QL_OK;
}

static int open_ours(const struct options *o, const struct part *part, struct ql_registry **registry,
                     struct ql_store **ret, struct ql_err *err)
{
    const struct ql_registry_config kinds = {.sites = UINT32_C(1) << QL_KIND_STORE};
    ql_auto_free char *into = NULL;
    struct ql_store_config config = {.state_dir = o->state_dir, .schema = part->schema};
    char backend[32];
    const char *name = backend;
    int r = url_of(o->into, &into, err);

    config.url = into;
    if (r == QL_OK)
        r = ql_store_backend_name(into, backend, err);
    if (r == QL_OK)
        r = ql_registry_new(&kinds, registry, err);
    if (r == QL_OK)
        r = ql_registry_load_all(*registry, ql_plugin_dir(o->plugin_dir), &name, 1, NULL, err);
    if (r < 0)
        return r;
    config.backend = ql_registry_find(*registry, QL_KIND_STORE, backend);
    if (!config.backend.head)
        return ql_fail(err, QL_ENOTFOUND, "no loaded plugin offers the store %s", backend);
    return ql_store_open(&config, ret, err);
}

static void line(const char *what, size_t taken, size_t seen)
{
    printf("  %-24s %zu of %zu\n", what, taken, seen);
}

static void report(const struct options *o, const struct part *part, const struct ql_import *g)
{
    printf("Keylime's %s, schema " QL_KEYLIME_SCHEMA "\n", part->what);
    if (part->schema == &ql_verifier_schema) {
        line("agents", g->agents_taken, g->agents_seen);
        line("runtime policies", g->runtime_taken, g->runtime_seen);
        line("measured boot policies", g->mb_taken, g->mb_seen);
        if (g->there_already)
            printf("  %-24s %zu\n", "policies there already", g->there_already);
        printf("not taken of any agent, for the first full quote says it anew: boottime, ima_pcrs, pcr10,\n"
               "  next_ima_ml_entry, learned_ima_keyrings; and what nothing reads: tpm_version,\n"
               "  consecutive_attestation_failures\n");
    } else {
        line("registrations", g->registrations_taken, g->registrations_seen);
        printf("not taken of any agent, for nothing reads it: key, virtual\n");
    }
    if (g->left_count > 0)
        printf("left out:\n");
    for (size_t i = 0; i < g->left_count; i++)
        printf("  %s\n", g->left[i]);
    printf("%s\n", o->applies ? "written" : "nothing was written; repeat with --apply");
}

static int transfer(const struct options *o, struct ql_import *g, const struct part **part,
                    struct ql_err *err)
{
    ql_auto(ql_source_closep) struct ql_source *source = NULL;
    ql_auto(ql_registry_freep) struct ql_registry *registry = NULL;
    ql_auto(ql_store_closep) struct ql_store *store = NULL;
    ql_auto(ql_seal_freep) struct ql_seal *seal = NULL;
    ql_auto_free char *url = NULL, *key = NULL;
    ql_auto_close int lock = -1;
    int r = url_of(o->url, &url, err);

    if (r == QL_OK)
        r = ql_source_open(url, &source, err);
    if (r == QL_OK)
        r = find_part(source, part, err);
    if (r == QL_OK)
        r = check_source(source, *part, err);
    if (r == QL_OK)
        r = check_owner(o->state_dir, err);
    if (r == QL_OK)
        r = ql_state_dir_lock(o->state_dir, &lock, err);
    key = ql_path_join(o->state_dir, o->key);
    if (r == QL_OK && !key)
        r = ql_fail_nomem(err);
    if (r == QL_OK && (*part)->schema == &ql_verifier_schema)
        r = ql_seal_open(key, &seal, err);
    g->seal = seal;
    if (r == QL_OK)
        r = (*part)->read(source, g, err);
    if (r == QL_OK)
        r = open_ours(o, *part, &registry, &store, err);
    if (r == QL_OK)
        r = ql_store_run(store, (*part)->write, g, err);
    g->seal = NULL;
    return r == QL_ECLOSED && g->is_rehearsal && g->is_complete ? QL_OK : r;
}

int ql_import_main(int argc, char **argv)
{
    struct options o;
    const struct part *part = NULL;
    struct ql_import g = {0};
    struct ql_err err = QL_ERR_INIT;
    int code;

    if (parse(argc, argv, &o) < 0) {
        usage(stderr);
        return EXIT_USAGE;
    }
    g.is_rehearsal = !o.applies;
    if (transfer(&o, &g, &part, &err) == QL_OK) {
        report(&o, part, &g);
        code = g.left_count > 0 ? 3 : 0;
    } else {
        (void)fprintf(stderr, "quicklime-tenant import-db: %s\n", err.text);
        code = 1;
    }
    ql_import_done(&g);
    return code;
}
