/* SPDX-License-Identifier: Apache-2.0 */
#include "refstate_lint.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "json.h"
#include "regex.h"

struct lint {
    const struct ql_host *host;
    void (*warn)(void *arg, const char *text);
    void *arg;
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void found(struct lint *l, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap); /* too long: cut */
    va_end(ap);
    l->count++;
    l->warn(l->arg, text);
}

static bool is_empty(const json_t *object, const char *key)
{
    return json_array_size(json_object_get(object, key)) == 0;
}

/* What Python calls false: with it a verifier does not look at the boot at all. */
static bool judges_nothing(const json_t *j)
{
    return json_is_false(j) || (json_is_object(j) && json_object_size(j) == 0) ||
           (json_is_array(j) && json_array_size(j) == 0) ||
           (json_is_string(j) && json_string_length(j) == 0) ||
           (json_is_number(j) && fpclassify(json_number_value(j)) == FP_ZERO);
}

static void keys_are_known(struct lint *l, const json_t *object, const char *where, const char *const *known)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        size_t i = 0;

        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            found(l, "%s\"%.60s\" is no key that is looked at", where, key);
    }
}

/* A text that no kernel has: an expression that it matches matches all. */
static void command_line_is_meant(struct lint *l, const json_t *kernel, size_t at)
{
    static const char odd[] = "\x01 never=seen \x02";
    const json_t *j = json_object_get(kernel, "kernel_cmdline");
    struct mb_regex *re = NULL;

    if (!json_is_string(j))
        return; /* the policy has refused it */
    if (mb_regex_new(l->host, json_string_value(j), json_string_length(j), "", &re, NULL) < 0)
        return; /* likewise */
    if (mb_regex_full(re, odd, sizeof odd - 1) == 1)
        found(l, "kernels[%zu].kernel_cmdline accepts any command line", at);
    mb_regex_free(re);
}

static void look_at_kernels(struct lint *l, const json_t *refstate, bool has_secureboot)
{
    static const char *const known[] = {"shim_authcode_sha256",
                                        "grub_authcode_sha256",
                                        "kernel_authcode_sha256",
                                        "initrd_plain_sha256",
                                        "vmlinuz_plain_sha256",
                                        "kernel_cmdline",
                                        NULL};
    const json_t *kernels = json_object_get(refstate, "kernels"), *one;
    size_t i;

    json_array_foreach(kernels, i, one) {
        char where[32];

        (void)snprintf(where, sizeof where, "kernels[%zu]: ", i);
        keys_are_known(l, one, where, known);
        command_line_is_meant(l, one, i);
        if (has_secureboot && json_object_get(one, "vmlinuz_plain_sha256"))
            found(l, "%svmlinuz_plain_sha256 is not looked at with Secure Boot", where);
    }
}

static void look_at_lists(struct lint *l, const json_t *refstate, bool has_secureboot)
{
    static const char *const keys[] = {"pk", "kek", "db"};

    /* `strict` takes a list of applications in place of kernels. */
    if (is_empty(refstate, "kernels") && is_empty(refstate, "applications"))
        found(l, "\"kernels\" is empty: no node can pass");
    if (is_empty(refstate, "scrtm_and_bios"))
        found(l, "\"scrtm_and_bios\" is empty: no node can pass");
    if (!has_secureboot)
        found(l, "has_secureboot is false: nodes must boot without Secure Boot");
    for (size_t i = 0; has_secureboot && i < sizeof keys / sizeof keys[0]; i++)
        if (is_empty(refstate, keys[i]))
            found(l, "\"%s\" is empty: no node that has such keys can pass", keys[i]);
    if (has_secureboot && is_empty(refstate, "dbx"))
        found(l, "\"dbx\" is empty: no revoked hash is asked for");
}

size_t ql_refstate_lint(const struct ql_host *host, const char *policy, const json_t *refstate,
                        void (*warn)(void *arg, const char *text), void *arg)
{
    static const char *const example[] = {
        "has_secureboot", "scrtm_and_bios", "pk",      "kek",     "db", "dbx",
        "vendor_db",      "mokdig",         "mokxdig", "kernels", NULL};
    static const char *const strict[] = {
        "has_secureboot", "scrtm_and_bios", "pk",          "kek",     "db",           "dbx",
        "vendor_db",      "mokdig",         "mokxdig",     "kernels", "applications", "boot_files",
        "grub_commands",  "command_lines",  "sbat_levels", NULL};
    struct lint l = {host, warn, arg, 0};
    const bool has_secureboot = !json_is_false(json_object_get(refstate, "has_secureboot"));

    if (judges_nothing(refstate)) {
        found(&l, "it judges nothing: a verifier that has it does not look at the boot");
        return l.count;
    }
    if (!json_is_object(refstate))
        return 0;
    keys_are_known(&l, refstate, "", strcmp(policy, "strict") == 0 ? strict : example);
    look_at_lists(&l, refstate, has_secureboot);
    look_at_kernels(&l, refstate, has_secureboot);
    return l.count;
}
