/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Three releases of one schema: the second adds a column, a table and an index, the third shuts the first out. */
static const struct ql_column notes_columns[] = {
    {"id", QL_COL_INT, 1}, {"text", QL_COL_TEXT, 1}, {"data", QL_COL_BYTES, 1}, {"extra", QL_COL_TEXT, 2}};
static const struct ql_index notes_index = {.name = "by_text",
                                            .columns = (const char *const[]){"text", "extra", NULL}};
static const struct ql_index notes_unique = {
    .name = "one_text", .columns = (const char *const[]){"text", NULL}, .unique = 1};
static const struct ql_column tags_columns[] = {{"tag", QL_COL_TEXT, 2}, {"note", QL_COL_INT, 2}};

static const struct ql_table notes1 = {.size = sizeof(struct ql_table),
                                       .name = "notes",
                                       .columns = notes_columns,
                                       .column_count = 3,
                                       .key_count = 1,
                                       .since = 1};
static const struct ql_table notes2 = {.size = sizeof(struct ql_table),
                                       .name = "notes",
                                       .columns = notes_columns,
                                       .column_count = 4,
                                       .key_count = 1,
                                       .indexes = &notes_index,
                                       .index_count = 1,
                                       .since = 1};
static const struct ql_table notes2_unique = {.size = sizeof(struct ql_table),
                                              .name = "notes",
                                              .columns = notes_columns,
                                              .column_count = 4,
                                              .key_count = 1,
                                              .indexes = &notes_unique,
                                              .index_count = 1,
                                              .since = 1};
static const struct ql_table tags2 = {.size = sizeof(struct ql_table),
                                      .name = "tags",
                                      .columns = tags_columns,
                                      .column_count = 2,
                                      .key_count = 1,
                                      .since = 2};

#define SCHEMA(n, v, oldest, migrate, ...)                                                                   \
    static const struct ql_table *const n##_tables[] = {__VA_ARGS__};                                        \
    static const struct ql_schema n = {.size = sizeof(struct ql_schema),                                     \
                                       .name = "notes",                                                      \
                                       .version = v,                                                         \
                                       .oldest_reader = oldest,                                              \
                                       .tables = n##_tables,                                                 \
                                       .table_count = sizeof n##_tables / sizeof n##_tables[0],              \
                                       .may_migrate = migrate}

SCHEMA(first, 1, 1, 1, &notes1);
SCHEMA(second, 2, 1, 1, &notes2, &tags2);
SCHEMA(second_by_hand, 2, 1, 0, &notes2, &tags2);
SCHEMA(second_unique, 2, 1, 1, &tags2, &notes2_unique);
SCHEMA(third, 3, 2, 1, &notes2, &tags2);

struct note {
    const struct ql_table *table;
    int64_t id;
    uint32_t mode;
    const char *text;
    const char *extra;
    size_t data_len;
    char read[200];
};

static int do_put(struct ql_txn *t, void *arg, struct ql_err *err)
{
    static uint8_t data[1 << 20];
    const struct note *n = arg;
    struct ql_value row[] = {ql_int(n->id), ql_text(n->text),
                             n->data_len ? ql_bytes(data, n->data_len) : ql_null(), ql_text(n->extra)};

    return ql_txn_put(t, n->table, n->mode ? n->mode : QL_PUT_INSERT, row, 0, NULL, 0, err);
}

static int read_note(void *arg, const struct ql_value *row, uint32_t column_count)
{
    struct note *n = arg;
    const char *extra = column_count > 3 && row[3].type != QL_COL_NULL ? row[3].data : "null";

    (void)snprintf(n->read, sizeof n->read, "%s %s", (const char *)row[1].data,
                   column_count > 3 ? extra : "");
    return 0;
}

static int do_get(struct ql_txn *t, void *arg, struct ql_err *err)
{
    struct note *n = arg;
    struct ql_value key = ql_int(n->id);

    return ql_txn_get(t, n->table, &key, read_note, n, err);
}

/** A whole file, to compare before and after. */
struct image {
    uint8_t *data;
    size_t len;
};

static struct image image_of(const char *path)
{
    struct image i = {0};
    struct ql_err err = QL_ERR_INIT;

    if (ql_file_read(path, 64 << 20, &i.data, &i.len, &err) < 0)
        fail_msg("%s", err.text);
    return i;
}

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void raw_exec(const char *path, const char *sql)
{
    sqlite3 *raw = NULL;

    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    if (sqlite3_exec(raw, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(raw));
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
}

/** Expect that opening fails, with these words, and that not a byte of the file changed. */
static void expect_refusal(struct fixture *f, const char *url, const char *file,
                           const struct ql_schema *schema, int code, const char *const *words)
{
    struct image before = image_of(fixture_path(f, file)), after;
    struct ql_err err;
    int r;

    r = fixture_try(f, url, schema, &err);
    if (r != code)
        fail_msg("got %s (%s), wanted %s", ql_err_name(r), err.text, ql_err_name(code));
    assert_null(f->store);
    assert_non_null(strstr(err.text, fixture_path(f, file)));
    for (; *words; words++)
        if (!strstr(err.text, *words))
            fail_msg("no \"%s\" in: %s", *words, err.text);
    after = image_of(fixture_path(f, file));
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.data, before.data, before.len);
    free(before.data);
    free(after.data);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void files_are_named_as_keylime_names_them_and_kept_from_others(void **state)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    struct fixture *f = *state;
    mode_t mask = umask(0);
    char name[64];
    struct stat st;

    fixture_open(f, &ql_verifier_schema);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "cv_data.sqlite%s", endings[i]);
        assert_int_equal(stat(fixture_path(f, name), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    fixture_close(f);
    fixture_open(f, &ql_registrar_schema);
    fixture_close(f);
    assert_int_equal(stat(fixture_path(f, "reg_data.sqlite"), &st), 0);
    fixture_open(f, &first);
    fixture_close(f);
    assert_int_equal(stat(fixture_path(f, "notes.sqlite"), &st), 0);
    (void)umask(mask);
}

static void urls_are_read_as_sqlalchemy_reads_them(void **state)
{
    static const char *const bad[] = {
        "sqlite://",       "sqlite:///",      "sqlite:///:memory:", "sqlite://host/x",   "sqlite:/x",
        "sqlite:///x?a=b", "postgresql:///x", "sqlitee:///x",       "sqlite:x://y/z///", "",
    };
    struct fixture *f = *state;
    char url[512];
    struct ql_err err;
    struct stat st;

    assert_int_equal(fixture_try(f, "sqlite:///relative.db", &first, &err), QL_OK);
    fixture_close(f);
    assert_int_equal(stat(fixture_path(f, "relative.db"), &st), 0);
    (void)snprintf(url, sizeof url, "sqlite:///%s", fixture_path(f, "absolute.db"));
    assert_non_null(strstr(url, "sqlite:////tmp/"));
    assert_int_equal(fixture_try(f, url, &first, &err), QL_OK);
    fixture_close(f);
    assert_int_equal(stat(fixture_path(f, "absolute.db"), &st), 0);
    assert_int_equal(fixture_try(f, "sqlite+pysqlite:///relative.db", &first, &err), QL_OK);
    fixture_close(f);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int r = fixture_try(f, bad[i], &first, &err);

        if (r != QL_ERANGE)
            fail_msg("%s: %s", bad[i], ql_err_name(r));
        assert_null(f->store);
        assert_non_null(strstr(err.text, "database_url"));
    }
}

static void tables_are_strict_and_the_log_is_written_ahead(void **state)
{
    struct fixture *f = *state;
    sqlite3_stmt *stmt = NULL;
    sqlite3 *raw = NULL;
    int tables = 0;

    fixture_open(f, &ql_verifier_schema);
    assert_int_equal(sqlite3_open(fixture_path(f, "cv_data.sqlite"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw, "PRAGMA journal_mode", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "wal");
    (void)sqlite3_finalize(stmt);
    assert_int_equal(
        sqlite3_prepare_v2(raw, "SELECT sql FROM sqlite_schema WHERE type='table'", -1, &stmt, NULL),
        SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        assert_non_null(strstr((const char *)sqlite3_column_text(stmt, 0), ") STRICT"));
        tables++;
    }
    assert_int_equal(tables, 9); /* seven of the verifier, the schema's row, the claims' numbers */
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(raw);
}

static void an_older_schema_is_brought_up_to_date_with_its_rows(void **state)
{
    struct note n = {.table = &notes1, .id = 1, .text = "old"};
    struct fixture *f = *state;

    fixture_open(f, &first);
    fixture_run(f, do_put, &n, QL_OK);
    fixture_close(f);

    fixture_open(f, &second);
    n.table = &notes2;
    fixture_run(f, do_get, &n, QL_OK);
    assert_string_equal(n.read, "old null");
    n = (struct note){.table = &notes2, .id = 2, .text = "new", .extra = "more"};
    fixture_run(f, do_put, &n, QL_OK);
    fixture_close(f);

    /* The second release says that the first may still use it: what the first does not know stays. */
    fixture_open(f, &first);
    n = (struct note){.table = &notes1, .id = 2, .text = "rewritten", .mode = QL_PUT_UPSERT};
    fixture_run(f, do_put, &n, QL_OK);
    fixture_close(f);
    fixture_open(f, &second);
    n.table = &notes2;
    fixture_run(f, do_get, &n, QL_OK);
    assert_string_equal(n.read, "rewritten more");
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;

    fixture_open(f, &third);
    fixture_close(f);
    expect_refusal(f, "sqlite", "notes.sqlite", &first, QL_EUNSUPPORTED,
                   WORDS("newer", "found schema notes 3", "schema 2 and later", "wanted 1", "left as it is"));
    fixture_open(f, &second);
    fixture_close(f);
    fixture_open(f, &third);
}

static void without_leave_an_older_schema_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;

    fixture_open(f, &first);
    fixture_close(f);
    expect_refusal(f, "sqlite", "notes.sqlite", &second_by_hand, QL_EUNSUPPORTED,
                   WORDS("older", "found schema notes 1", "wanted 2", "auto_migrate_db", "left as it is"));
    fixture_open(f, &second);
    fixture_close(f);
    fixture_open(f, &second_by_hand);
}

static void a_migration_that_fails_changes_nothing(void **state)
{
    struct note n = {.table = &notes1, .id = 1, .text = "twice"};
    struct fixture *f = *state;

    fixture_open(f, &first);
    fixture_run(f, do_put, &n, QL_OK);
    n.id = 2;
    fixture_run(f, do_put, &n, QL_OK);
    fixture_close(f);
    expect_refusal(f, "sqlite", "notes.sqlite", &second_unique, QL_ECONFLICT, WORDS("UNIQUE"));
    fixture_open(f, &first);
    fixture_run(f, do_get, &n, QL_OK);
    fixture_close(f);
    fixture_open(f, &second);
}

/** A stranger's database whose program died: its newest row is in the write-ahead log only. */
static void leave_log_behind(struct fixture *f)
{
    static const char *const endings[] = {"", "-wal"};
    sqlite3 *raw = NULL;

    assert_int_equal(sqlite3_open(fixture_path(f, "stranger"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw,
                                  "PRAGMA journal_mode=WAL; CREATE TABLE verifiermain(agent_id TEXT);"
                                  "PRAGMA wal_checkpoint; INSERT INTO verifiermain VALUES('in the log')",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < 2; i++) {
        char name[32];
        struct image image;

        (void)snprintf(name, sizeof name, "stranger%s", endings[i]);
        image = image_of(fixture_path(f, name));
        (void)snprintf(name, sizeof name, "cv_data.sqlite%s", endings[i]);
        write_file(fixture_path(f, name), image.data, image.len);
        free(image.data);
    }
    (void)sqlite3_close(raw);
}

static void another_programs_database_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;

    raw_exec(
        fixture_path(f, "cv_data.sqlite"),
        "CREATE TABLE verifiermain(agent_id VARCHAR(80) PRIMARY KEY); INSERT INTO verifiermain VALUES('x')");
    expect_refusal(f, "sqlite", "cv_data.sqlite", &ql_verifier_schema, QL_EEXIST,
                   WORDS("another program", "found table verifiermain", "wanted the tables of verifier"));
    assert_int_equal(unlink(fixture_path(f, "cv_data.sqlite")), 0);
    leave_log_behind(f);
    expect_refusal(f, "sqlite", "cv_data.sqlite", &ql_verifier_schema, QL_EEXIST, WORDS("another program"));

    fixture_open(f, &ql_registrar_schema);
    fixture_close(f);
    expect_refusal(f, "sqlite:///reg_data.sqlite", "reg_data.sqlite", &ql_verifier_schema, QL_EEXIST,
                   WORDS("holds the tables of \"registrar\"", "wanted those of \"verifier\""));
}

static void a_file_that_is_no_database_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    char text[5000];

    memset(text, 'q', sizeof text);
    write_file(fixture_path(f, "notes.sqlite"), text, sizeof text);
    expect_refusal(f, "sqlite", "notes.sqlite", &first, QL_ECORRUPT, WORDS("damaged", "left as it is"));
    write_file(fixture_path(f, "notes.sqlite"), text, 1);
    expect_refusal(f, "sqlite", "notes.sqlite", &first, QL_ECORRUPT, WORDS("damaged", "left as it is"));
}

static void a_folder_is_refused(void **state)
{
    struct fixture *f = *state;
    struct ql_err err;

    assert_int_equal(mkdir(fixture_path(f, "notes.sqlite"), 0700), 0);
    assert_int_equal(fixture_try(f, "sqlite", &first, &err), QL_EACCES);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(fixture_try(f, "sqlite:///none/such.db", &first, &err), QL_EIO);
    assert_non_null(strstr(err.text, "none/such.db"));
}

static struct image filled_database(struct fixture *f)
{
    fixture_open(f, &first);
    for (int i = 0; i < 40; i++) {
        struct note n = {.table = &notes1, .id = i, .text = "filled", .data_len = 3000};

        fixture_run(f, do_put, &n, QL_OK);
    }
    fixture_close(f);
    return image_of(fixture_path(f, "notes.sqlite"));
}

static void a_database_cut_short_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    struct image whole = filled_database(f);

    assert_true(whole.len > 100000);
    for (size_t len = 1; len < whole.len; len += len < 4300 ? 61 : 4099) {
        write_file(fixture_path(f, "notes.sqlite"), whole.data, len);
        expect_refusal(f, "sqlite", "notes.sqlite", &first, QL_ECORRUPT, WORDS("damaged"));
    }
    free(whole.data);
}

static void a_damaged_page_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    struct image whole = filled_database(f);
    int refused = 0;

    /* The first bytes of a page say what it is. The pages of one large value hold content that is anything. */
    for (size_t at = 0; at < whole.len; at += 4096) {
        uint8_t saved[16];
        struct ql_err err;

        memcpy(saved, whole.data + at, sizeof saved);
        memset(whole.data + at, 0xee, sizeof saved);
        write_file(fixture_path(f, "notes.sqlite"), whole.data, whole.len);
        if (fixture_try(f, "sqlite", &first, &err) < 0) {
            assert_int_equal(err.code, QL_ECORRUPT);
            expect_refusal(f, "sqlite", "notes.sqlite", &first, QL_ECORRUPT,
                           WORDS("damaged", "left as it is"));
            refused++;
        }
        fixture_close(f);
        memcpy(whole.data + at, saved, sizeof saved);
    }
    assert_true(refused > 30);
    free(whole.data);
}

static void a_table_or_column_that_should_be_there_is_missed(void **state)
{
    struct fixture *f = *state;

    fixture_open(f, &second);
    fixture_close(f);
    raw_exec(fixture_path(f, "notes.sqlite"),
             "DROP INDEX notes_by_text; ALTER TABLE notes DROP COLUMN extra");
    expect_refusal(f, "sqlite", "notes.sqlite", &second, QL_ECORRUPT,
                   WORDS("schema version 2 should have column notes.extra"));
    raw_exec(fixture_path(f, "notes.sqlite"), "DROP TABLE tags; ALTER TABLE notes ADD COLUMN extra INTEGER");
    expect_refusal(f, "sqlite", "notes.sqlite", &second, QL_ECORRUPT,
                   WORDS("column notes.extra has the type INTEGER, wanted TEXT"));
    raw_exec(fixture_path(f, "notes.sqlite"),
             "ALTER TABLE notes DROP COLUMN extra; ALTER TABLE notes ADD COLUMN extra TEXT");
    expect_refusal(f, "sqlite", "notes.sqlite", &second, QL_ECORRUPT,
                   WORDS("schema version 2 should have table tags"));
    raw_exec(fixture_path(f, "notes.sqlite"), "UPDATE quicklime_schema SET oldest_reader=9");
    expect_refusal(f, "sqlite", "notes.sqlite", &second, QL_ECORRUPT, WORDS("oldest reader 9"));
}

/** Run @p fn in a process of its own; its result is what it exits with. */
static int in_child(int (*fn)(struct fixture *f), struct fixture *f)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (!child)
        _exit(fn(f));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int open_without_rights(struct fixture *f)
{
    struct ql_err err;

    if (!geteuid() && (setgid(65534) < 0 || setuid(65534) < 0))
        return 2;
    if (fixture_try(f, "sqlite", &first, &err) != QL_EACCES)
        return 3;
    return strstr(err.text, "notes.sqlite is read-only") ? 0 : 4;
}

static int create_without_rights(struct fixture *f)
{
    struct ql_err err;

    if (!geteuid() && (setgid(65534) < 0 || setuid(65534) < 0))
        return 2;
    if (fixture_try(f, "sqlite:///other.sqlite", &first, &err) != QL_EACCES)
        return 3;
    return strstr(err.text, "other.sqlite cannot be made") ? 0 : 4;
}

static void a_database_that_cannot_be_written_is_refused(void **state)
{
    struct fixture *f = *state;
    struct image before, after;

    fixture_open(f, &first);
    fixture_close(f);
    assert_int_equal(chmod(fixture_path(f, "notes.sqlite"), 0444), 0);
    assert_int_equal(chmod(f->dir, 0777), 0);
    before = image_of(fixture_path(f, "notes.sqlite"));
    assert_int_equal(in_child(open_without_rights, f), 0);
    after = image_of(fixture_path(f, "notes.sqlite"));
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    free(before.data);
    free(after.data);
    assert_int_equal(chmod(f->dir, 0555), 0);
    assert_int_equal(in_child(create_without_rights, f), 0);
    assert_int_equal(chmod(f->dir, 0700), 0);
}

/** Write rows until there is no room. @return 0 if that was said, and what was there before is still read. */
static int fill_up(struct fixture *f)
{
    struct ql_err err = QL_ERR_INIT;
    struct note n = {.table = &notes1, .id = 0, .text = "first"};
    int r;

    if (fixture_try(f, "sqlite", &first, &err) < 0)
        return 10;
    if (ql_store_run(f->store, do_put, &n, &err) < 0)
        return 11;
    do {
        n.id++;
        n.data_len = 100000;
        r = ql_store_run(f->store, do_put, &n, &err);
    } while (r == QL_OK && n.id < 1000);
    if (r != QL_EFULL) {
        print_error("got %s: %s", ql_err_name(r), err.text);
        return 12;
    }
    if (!strstr(err.text, "no room left"))
        return 13;
    n.id = 0;
    if (ql_store_run(f->store, do_get, &n, &err) < 0 || strcmp(n.read, "first ") != 0)
        return 14;
    fixture_close(f);
    return 0;
}

static int fill_up_under_limit(struct fixture *f)
{
    struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};

    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) < 0)
        return 2;
    return fill_up(f);
}

static int fill_up_a_disk(struct fixture *f)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", f->dir, "tmpfs", 0, "size=1m,mode=0700") < 0)
        return 77;
    return fill_up(f);
}

static void a_file_size_limit_is_no_room(void **state)
{
    assert_int_equal(in_child(fill_up_under_limit, *state), 0);
}

static void a_full_disk_is_no_room_and_harms_nothing(void **state)
{
    int r = in_child(fill_up_a_disk, *state);

    if (r == 77) {
        print_message("needs the right to mount a small disk\n");
        skip();
    }
    assert_int_equal(r, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(files_are_named_as_keylime_names_them_and_kept_from_others),
        TEST(urls_are_read_as_sqlalchemy_reads_them),
        TEST(tables_are_strict_and_the_log_is_written_ahead),
        TEST(an_older_schema_is_brought_up_to_date_with_its_rows),
        TEST(a_newer_schema_is_refused_and_left_alone),
        TEST(without_leave_an_older_schema_is_refused_and_left_alone),
        TEST(a_migration_that_fails_changes_nothing),
        TEST(another_programs_database_is_refused_and_left_alone),
        TEST(a_file_that_is_no_database_is_refused_and_left_alone),
        TEST(a_folder_is_refused),
        TEST(a_database_cut_short_is_refused_and_left_alone),
        TEST(a_damaged_page_is_refused_and_left_alone),
        TEST(a_table_or_column_that_should_be_there_is_missed),
        TEST(a_database_that_cannot_be_written_is_refused),
        TEST(a_file_size_limit_is_no_room),
        TEST(a_full_disk_is_no_room_and_harms_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
