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

static void of_ipv6_as_well(void **state)
{
    static const struct {
        const char *net, *gateway, *because;
    } rows[] = {
        {"2001:db8:1::/64", NULL, "belong together"},
        {NULL, "fe80::1", "belong together"},
        {"2001:db8:1::", "fe80::1", "ADDRESS/BITS"},
        {"2001:db8:1::/97", "fe80::1", "16 to 96"},
        {"2001:db8:1::/15", "fe80::1", "16 to 96"},
        {"10.9.0.0/24", "fe80::1", "16 to 96"},
        {"2001:db8:1::1/64", "fe80::1", "more than BITS"},
        {"2001:db8:1::/64", "here", "--gateway6"},
        {"2001:db8:1::/64", "2001:db8:1::a09:9", "may get it"},
    };
    char because[128], text[NETWORK_TEXT6_MAX];
    uint8_t address[NETWORK_ADDRESS6];
    struct network net;
    size_t i;

    (void)state;
    assert_int_equal(network_parse("xenbr0", "10.9.0.2-10.9.0.9/24", "10.9.0.1",
                                   &net, because, sizeof because),
                     0);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(network_parse6(rows[i].net, rows[i].gateway, &net,
                                        because, sizeof because),
                         XN_EINVAL);
        if (!strstr(because, rows[i].because)) fail_msg("%zu: %s", i, because);
        assert_int_equal(net.prefix6, 0);
    }
    assert_int_equal(network_parse6(NULL, NULL, &net, because, sizeof because),
                     0);
    assert_int_equal(net.prefix6, 0);
    assert_int_equal(network_parse6("2001:db8:1::/96", "2001:db8:1::a09:1",
                                    &net, because, sizeof because),
                     0);
    assert_int_equal(net.prefix6, 96);
    network_address6(&net, 0x0a090002, address);
    network_text6(address, text);
    assert_string_equal(text, "2001:db8:1::a09:2");
    network_digits6(address, text);
    assert_string_equal(text, "2001:0db8:0001:0000:0000:0000:0a09:0002");
    net.bridge = NULL;
    assert_int_equal(network_parse6("2001:db8:1::/64", "fe80::1", &net, because,
                                    sizeof because),
                     XN_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_is_taken),
        cmocka_unit_test(what_does_not_is_said),
        cmocka_unit_test(of_ipv6_as_well),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
