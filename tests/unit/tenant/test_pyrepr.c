/* SPDX-License-Identifier: Apache-2.0 */
#include "../vectors.h"

#include "pyrepr.h"

static void repr_is(const char *json, const char *python)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    char *text = ql_pyrepr(value);

    assert_non_null(text);
    assert_string_equal(text, python);
    free(text);
    json_decref(value);
}

static void repr_spells_values_as_python_does(void **state)
{
    (void)state;
    repr_is("{\"code\": 200, \"ok\": true, \"no\": false, \"none\": null, \"l\": [1, \"a\"], \"o\": {}}",
            "{'code': 200, 'ok': True, 'no': False, 'none': None, 'l': [1, 'a'], 'o': {}}");
    repr_is("[]", "[]");
}

static void repr_chooses_quotes_as_python_does(void **state)
{
    (void)state;
    repr_is("\"it's\"", "\"it's\"");
    repr_is("\"say \\\"hi\\\"\"", "'say \"hi\"'");
    repr_is("\"it's \\\"both\\\"\"", "'it\\'s \"both\"'");
    repr_is("\"a\\nb\\\\c\\u0001\"", "'a\\nb\\\\c\\x01'");
}

static void repr_reproduces_what_the_tenant_printed(void **state)
{
    repr_is("{\"code\": 200, \"status\": \"Success\", \"results\": {\"uuids\": "
            "[[\"d432fbb3-d2f1-4a97-9ef7-75bd81c00000\"]]}}",
            "{'code': 200, 'status': 'Success', 'results': {'uuids': "
            "[['d432fbb3-d2f1-4a97-9ef7-75bd81c00000']]}}");
    (void)state;
}

static void repr_gives_up_on_bottomless_nesting(void **state)
{
    json_t *value = json_array();

    (void)state;
    for (int i = 0; i < 100; i++) {
        json_t *outer = json_array();

        json_array_append_new(outer, value);
        value = outer;
    }
    assert_null(ql_pyrepr(value));
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repr_spells_values_as_python_does),
        cmocka_unit_test(repr_chooses_quotes_as_python_does),
        cmocka_unit_test(repr_reproduces_what_the_tenant_printed),
        cmocka_unit_test(repr_gives_up_on_bottomless_nesting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
