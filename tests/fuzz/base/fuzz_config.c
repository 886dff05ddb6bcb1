/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file, through our scan and libconfig, into values of every type. */
#include <stdlib.h>

#include "config_file.h"
#include "config_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 loses the texts it holds when it meets a grammar error; a program that gets one ends. */
const char *__lsan_default_suppressions(void)
{
    return "leak:strbuf_append\nleak:libconfig_yylex";
}

static const struct ql_option fields[] = {
    {.name = "a", .type = QL_OPT_STRING},
    {.name = "b", .type = QL_OPT_INT, .max = 9},
    {.name = NULL},
};

static void convert(const config_setting_t *s)
{
    static const struct ql_option rows[] = {
        {.name = "x", .type = QL_OPT_BOOL},
        {.name = "x", .type = QL_OPT_INT, .min = -5, .max = 70000},
        {.name = "x", .type = QL_OPT_FLOAT},
        {.name = "x", .type = QL_OPT_STRING, .choices = "a bc"},
        {.name = "x", .type = QL_OPT_STRING, .flags = QL_OPT_SECRET},
        {.name = "x", .type = QL_OPT_LIST},
        {.name = "x", .type = QL_OPT_GROUPS, .fields = fields},
    };
    FILE *out = fopen("/dev/null", "w");

    if (!out)
        abort();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ql_config_value v = {0};
        struct ql_err err = QL_ERR_INIT;

        if (ql_config_value_from_setting(&rows[i], s, "x:1", &v, &err) == 0) {
            if (!v.text || !v.origin)
                abort();
            ql_config_value_show(&rows[i], &v, false, out);
            ql_config_value_done(&v);
        } else if (v.text || v.items || err.code == 0) {
            abort();
        }
    }
    fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ql_config_file f;
    const config_setting_t *root;

    if (ql_config_file_parse("x", (const char *)data, len, &f, NULL) < 0)
        return 0;
    root = config_root_setting(&f.config);
    for (int i = 0; i < config_setting_length(root) && i < 16; i++)
        convert(config_setting_get_elem(root, (unsigned)i));
    ql_config_file_done(&f);
    return 0;
}
