/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors.h"

#include "encode.h"
#include "runtime_policy.h"

static void generator_is_found_wherever_it_stands(void **state)
{
    static const struct {
        const char *text;
        int64_t wanted;
    } cases[] = {
        {"{\"meta\":{\"version\":1,\"generator\":3}}", 3},
        {"{\"digests\":{\"meta\":[\"x\"],\"}\\\"{\":[\"y\"]},\"meta\": {\"generator\" : 2 , \"version\":1}}",
         2},
        {"{\"x\":{\"meta\":{\"generator\":3}},\"meta\":{\"generator\":1}}", 1},
        {"{\"meta\":{\"x\":{\"generator\":3}}}", 0},
        {"{\"generator\":3}", 0},
        {"{\"meta\":[{\"generator\":3}]}", 0},
        {"{\"meta\":{\"version\":\"generator\"}}", 0},
        {"{}", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t len = strlen(cases[i].text), n = len;; n--) {
            uint8_t *copy = malloc(n > 0 ? n : 1); /* each beginning, at its very size */

            memcpy(copy, cases[i].text, n);
            if (n == len)
                assert_int_equal(ql_runtime_policy_generator(copy, n), cases[i].wanted);
            else
                (void)ql_runtime_policy_generator(copy, n);
            free(copy);
            if (n == 0)
                break;
        }
}

static void generator_of_a_signed_policy_is_the_payloads(void **state)
{
    char *payload = ql_base64_dup("{\"meta\":{\"generator\":2}}", 24), text[256];

    (void)state;
    snprintf(text, sizeof text, "{\"payload\":\"%s\",\"payloadType\":\"x\",\"signatures\":[]}", payload);
    assert_int_equal(ql_runtime_policy_generator((const uint8_t *)text, strlen(text)), 2);
    free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(generator_is_found_wherever_it_stands),
        cmocka_unit_test(generator_of_a_signed_policy_is_the_payloads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
