/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "net/settings.h"

#define SECOND 1000000ULL

static const struct net_setting rows[] = {
    {"overlay.links", NET_NUMBER, "512", 4, 4096, "budget"},
    {"overlay.address", NET_TEXT, NULL, 3, 20, "where"},
    {"overlay.join", NET_BOOL, "yes", 0, 1, "whether"},
    {"index.lease", NET_SPAN, "15m", SECOND, 24 * 3600 * SECOND, "how long"},
    {"index.sync", NET_SPAN, "60s", SECOND, 3600 * SECOND, "how often"},
};

static struct net_settings *fresh(void)
{
    struct net_settings *s = NULL;

    assert_int_equal(net_settings_new(rows, sizeof rows / sizeof rows[0], &s),
                     0);
    return s;
}

static void reads_a_file(void **state)
{
    struct net_settings *s = fresh();
    char why[300];

    assert_int_equal(net_settings_number(s, "overlay.links"), 512);
    assert_null(net_settings_text(s, "overlay.address"));
    assert_int_equal(net_settings_parse(s, "f",
                                        "# a remark\n"
                                        "overlay {\n"
                                        "    links = 24\n"
                                        "    address = \"192.0.2.7:1\"\n"
                                        "    join = off }\n"
                                        "index { lease = 90s\n sync=1h }\n",
                                        why, sizeof why),
                     0);
    assert_int_equal(net_settings_number(s, "overlay.links"), 24);
    assert_string_equal(net_settings_text(s, "overlay.address"), "192.0.2.7:1");
    assert_false(net_settings_bool(s, "overlay.join"));
    assert_int_equal(net_settings_span_us(s, "index.lease"), 90 * SECOND);
    assert_int_equal(net_settings_span_us(s, "index.sync"), 3600 * SECOND);
    net_settings_free(s);
}

static void says_where(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"overlay {\n  link = 3\n}\n",
         "f:2:3: unknown key overlay.link, did you mean overlay.links?"},
        {"links = 3\n",
         "f:1:1: unknown key links, did you mean overlay.links?"},
        {"index {\n\n  links = 3 }\n",
         "f:3:3: unknown key index.links, did you mean overlay.links?"},
        {"overlay { links = 8\n   links = 9 }\n",
         "f:2:4: overlay.links is given twice"},
        {"overlay { links = 010 }\n",
         "f:1:11: overlay.links is a whole number, not '010'"},
        {"overlay { links = -8 }\n",
         "f:1:11: overlay.links is a whole number, not '-8'"},
        {"overlay { links = 3 }\n", "f:1:11: overlay.links is from 4 to 4096"},
        {"overlay { links = 4097 }\n",
         "f:1:11: overlay.links is from 4 to 4096"},
        {"overlay { links = 99999999999999999999999 }\n",
         "f:1:11: overlay.links is a whole number, not "
         "'99999999999999999999999'"},
        {"index { lease = 15 }\n",
         "f:1:9: index.lease is an amount of time such as 15m, not '15'"},
        {"index { lease = 2d }\n", "f:1:9: index.lease is from 1s to 1d"},
        {"overlay { address = x }\n",
         "f:1:11: overlay.address's length is from 3 to 20"},
        {"overlay { join = maybe }\n",
         "f:1:11: overlay.join is true or false, not 'maybe'"},
        {"overlay {\n  address = \"${HOME}\" }\n",
         "f:2:14: ${...} is not expanded here"},
    };
    char why[300];
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_settings *s = fresh();

        assert_int_equal(
            net_settings_parse(s, "f", cases[i].text, why, sizeof why),
            XN_EINVAL);
        assert_string_equal(why, cases[i].why);
        net_settings_free(s);
    }
}

static void refuses_bad_syntax(void **state)
{
    static const char *const cases[] = {
        "overlay {",
        "overlay }",
        "overlay { links }",
        "overlay links",
        "overlay { links = }",
        "= 3",
        "overlay { links = {1, 2} }",
        "overlay { links += 5 }",
        "overlay \"title\" { links = 8 }",
        "include(\"/etc/passwd\")",
        "overlay { address = \"open",
    };
    char why[300];
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_settings *s = fresh();

        why[0] = '\0';
        if (!net_settings_parse(s, "f", cases[i], why, sizeof why)) {
            fail_msg("taken: %s", cases[i]);
        }
        assert_int_equal(strncmp(why, "f:1:", 4), 0);
        net_settings_free(s);
    }
}

static void set_beats_file(void **state)
{
    struct net_settings *s = fresh();
    char why[300];

    assert_int_equal(net_settings_set(s, "overlay.links=99", why, sizeof why),
                     0);
    assert_int_equal(
        net_settings_parse(s, "f", "overlay { links = 24 }", why, sizeof why),
        0);
    assert_int_equal(net_settings_number(s, "overlay.links"), 99);
    assert_int_equal(net_settings_set(s, "overlay.lnks=9", why, sizeof why),
                     XN_EINVAL);
    assert_string_equal(
        why, "unknown key overlay.lnks, did you mean overlay.links?");
    assert_int_equal(net_settings_set(s, "overlay.links", why, sizeof why),
                     XN_EINVAL);
    assert_int_equal(net_settings_set(s, "overlay.links=x", why, sizeof why),
                     XN_EINVAL);
    assert_int_equal(net_settings_number(s, "overlay.links"), 99);
    net_settings_free(s);
}

static void size_is_bounded(void **state)
{
    struct net_settings *s = fresh();
    char *text = malloc(NET_CONFIG_BYTES_MAX + 2), why[300];

    memset(text, '\n', NET_CONFIG_BYTES_MAX + 1);
    text[NET_CONFIG_BYTES_MAX] = '\0';
    assert_int_equal(net_settings_parse(s, "f", text, why, sizeof why), 0);
    text[NET_CONFIG_BYTES_MAX] = '\n';
    text[NET_CONFIG_BYTES_MAX + 1] = '\0';
    assert_int_equal(net_settings_parse(s, "f", text, why, sizeof why),
                     XN_ETOOBIG);
    free(text);
    assert_int_equal(net_settings_file(s, "/nowhere", why, sizeof why),
                     XN_ENOENT);
    net_settings_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_file),       cmocka_unit_test(says_where),
        cmocka_unit_test(refuses_bad_syntax), cmocka_unit_test(set_beats_file),
        cmocka_unit_test(size_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
