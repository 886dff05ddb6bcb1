/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h" /* before cmocka, which has a macro fail() */

#include <cmocka.h>

const struct sv_dialect sv_dialect = {.scheme = "postgresql"};

__attribute__((format(printf, 3, 4))) static int describe(struct ql_err *err, int32_t code, const char *fmt,
                                                          ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return code;
}

static const struct ql_host host = {.size = sizeof host, .fail = describe};

static const char *or_none(const char *text)
{
    return text ? text : "-";
}

static void urls_are_read_as_their_users_write_them(void **state)
{
    static const struct {
        const char *url, *parts; /* user password host port database socket tls ca */
    } good[] = {
        {"postgresql://u:p@h/db", "u p h - db - 0 -"},
        {"postgresql+psycopg2://u:p@h:5432/db", "u p h 5432 db - 0 -"},
        {"postgresql://u@[::1]:6000/db", "u - ::1 6000 db - 0 -"},
        {"postgresql://u:a%40b%3A%25@h1,h2/db", "u a@b:% h1,h2 - db - 0 -"},
        {"mysql+pymysql://u:p/w?d@h/db?charset=utf8mb4", "u p/w?d h - db - 0 -"},
        {"postgresql://u@/db?host=/run/postgresql", "u -  - db /run/postgresql 0 -"},
        {"mysql://u@localhost/db?unix_socket=/run/s", "u - localhost - db /run/s 0 -"},
        {"postgresql://u@h/db?sslmode=verify-full&sslrootcert=/ca%20s.pem", "u - h - db - 4 /ca s.pem"},
        {"mysql://u@h/db?ssl_ca=/ca&ssl_verify_cert=true", "u - h - db - 4 /ca"},
        {"mysql://u@h/db?ssl_disabled=true", "u - h - db - 1 -"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct ql_err err = QL_ERR_INIT;
        struct sv_url u;
        char parts[200];

        if (sv_url_parse(&host, good[i].url, &u, &err) != QL_OK)
            fail_msg("%s: %s", good[i].url, err.text);
        (void)snprintf(parts, sizeof parts, "%s %s %s %s %s %s %d %s", or_none(u.user), or_none(u.password),
                       or_none(u.host), or_none(u.port), or_none(u.database), or_none(u.socket), (int)u.tls,
                       or_none(u.ca));
        assert_string_equal(parts, good[i].parts);
        sv_url_free(&u);
    }
}

static void wrong_urls_are_refused_without_showing_the_password(void **state)
{
    static const char *const bad[] = {
        "postgresql",
        "postgresql:/u:geheim@h/db",
        "postgresql://u:geheim@h",
        "postgresql://u:geheim@h/",
        "postgresql://u:geheim@/db",
        "postgresql://:geheim@h/db",
        "postgresql://h/db",
        "postgresql://u:ge@heim@h/db",
        "postgresql://u:geheim%@h/db",
        "postgresql://u:geheim%2@h/db",
        "postgresql://u:geheim%00@h/db",
        "postgresql://u:geheim@h:0/db",
        "postgresql://u:geheim@h:65536/db",
        "postgresql://u:geheim@h:x/db",
        "postgresql://u:geheim@[::1/db",
        "postgresql://u:geheim@[::1]x/db",
        "postgresql://u:geheim@h/db?",
        "postgresql://u:geheim@h/db?sslmode",
        "postgresql://u:geheim@h/db?sslmode=prefer",
        "postgresql://u:geheim@h/db?charset=latin1",
        "postgresql://u:geheim@h/db?password=geheim",
        "postgresql://u:geheim@h/db?unix_socket=relative",
        "postgresql://u:geheim@h/db?unix_socket=/s",
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ql_err err = QL_ERR_INIT;
        struct sv_url u = {0};
        int r = sv_url_parse(&host, bad[i], &u, &err);

        if (!strcmp(bad[i], "postgresql://u:geheim@h/db?")) {
            assert_int_equal(r, QL_OK); /* no parameters after all */
            sv_url_free(&u);
            continue;
        }
        if (r != QL_ERANGE)
            fail_msg("%s: %d", bad[i], r);
        assert_null(strstr(err.text, "geheim"));
        assert_null(strstr(err.text, "heim"));
        assert_non_null(strstr(err.text, "database_url"));
    }
}

static void every_prefix_of_a_url_is_read_or_refused(void **state)
{
    static const char url[] =
        "postgresql+psycopg2://us%20er:ge%40heim@[::1]:5432/d%62?sslmode=require&ssl_ca=%2Fca";

    (void)state;
    for (size_t len = 0; len <= sizeof url; len++) {
        struct ql_err err = QL_ERR_INIT;
        struct sv_url u = {0};
        char *part = strndup(url, len);

        assert_non_null(part);
        if (sv_url_parse(&host, part, &u, &err) == QL_OK)
            sv_url_free(&u);
        else
            assert_null(u.user);
        free(part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read_as_their_users_write_them),
        cmocka_unit_test(wrong_urls_are_refused_without_showing_the_password),
        cmocka_unit_test(every_prefix_of_a_url_is_read_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
