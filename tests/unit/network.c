/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network that an operator gives guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "keeper/network.h"
#include "lib/err.h"

static void what_goes_is_taken(void **state)
{
    char because[128], text[NETWORK_TEXT_MAX];
    struct network net;

    (void)state;
    assert_int_equal(network_parse("xenbr0", "10.9.0.2-10.9.255.254/16",
                                   "10.9.0.1", &net, because, sizeof because),
                     0);
    assert_string_equal(net.bridge, "xenbr0");
    assert_int_equal(net.first, 0x0a090002);
    assert_int_equal(net.last, 0x0a09fffe);
    assert_int_equal(net.gateway, 0x0a090001);
    assert_int_equal(net.prefix, 16);
    network_text(network_mask(net.prefix), text);
    assert_string_equal(text, "255.255.0.0");
    network_text(0xffffffff, text);
    assert_string_equal(text, "255.255.255.255");
    assert_int_equal(
        network_parse(NULL, NULL, NULL, &net, because, sizeof because), 0);
    assert_null(net.bridge);
}

static void what_does_not_is_said(void **state)
{
    static const char *const rows[][4] = {
        {"b", "10.9.0.2-10.9.0.9/24", NULL, "belong together"},
        {NULL, "10.9.0.2-10.9.0.9/24", "10.9.0.1", "belong together"},
        {"", "10.9.0.2-10.9.0.9/24", "10.9.0.1", "--bridge"},
        {"a/../b", "10.9.0.2-10.9.0.9/24", "10.9.0.1", "--bridge"},
        {"abcdefghijklmnop", "10.9.0.2-10.9.0.9/24", "10.9.0.1", "--bridge"},
        {"b", "10.9.0.2", "10.9.0.1", "FIRST-LAST"},
        {"b", "10.9.0.2/24-10.9.0.9", "10.9.0.1", "FIRST-LAST"},
        {"b", "10.9.0.2-10.9.0.9/7", "10.9.0.1", "FIRST-LAST"},
        {"b", "10.9.0.2-10.9.0.9/31", "10.9.0.1", "FIRST-LAST"},
        {"b", "10.9.0.2-10.9.0.900/24", "10.9.0.1", "FIRST-LAST"},
        {"b", "10.9.0.2-10.9.0.9/24", "here", "--gateway"},
        {"b", "10.9.0.2-10.9.1.9/24", "10.9.0.1", "one network"},
        {"b", "10.9.0.2-10.9.0.9/24", "10.9.1.1", "one network"},
        {"b", "10.9.0.9-10.9.0.2/24", "10.9.0.1", "a host's"},
        {"b", "10.9.0.0-10.9.0.9/24", "10.9.0.200", "a host's"},
        {"b", "10.9.0.2-10.9.0.255/24", "10.9.0.1", "a host's"},
        {"b", "10.9.0.2-10.9.0.9/24", "10.9.0.9", "among"},
    };
    char because[128];
    struct network net;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(network_parse(rows[i][0], rows[i][1], rows[i][2], &net,
                                       because, sizeof because),
                         XN_EINVAL);
        if (!strstr(because, rows[i][3])) fail_msg("%zu: %s", i, because);
        assert_null(net.bridge);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_is_taken),
        cmocka_unit_test(what_does_not_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
