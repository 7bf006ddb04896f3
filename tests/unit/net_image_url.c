/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which hosts and addresses an image may come from. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "net/addr.h"
#include "net/image_url.h"

static void test_patterns(void **state)
{
    static const struct {
        const char *url, *hosts;
        bool ok;
    } rows[] = {
        {"https://a.org/x", "a.org", true},
        {"https://A.org:8443/x", "b.org a.ORG", true},
        {"https://a.org/x", "*", true},
        {"https://a.org/x", NULL, false},
        {"https://a.org/x", "", false},
        {"https://b.a.org/x", "a.org", false},
        {"https://b.a.org/x", ".a.org", true},
        {"https://a.org/x", ".a.org", true},
        {"https://ba.org/x", ".a.org", false},
        {"https://a.org.b.net/x", "a.org .a.org", false},
        {"https://a.org@b.net/x", "a.org", false},
        {"https://b.net@a.org/x", "a.org", true},
        {"https://b.net#@a.org/x", "a.org", false},
        {"https://b.net/a.org", "a.org", false},
        {"https://[::1]/x", "[::1]", true},
        {"https://", "*", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(image_host_ok(rows[i].url, rows[i].hosts), rows[i].ok);
}

static bool closed(const char *text)
{
    struct sockaddr_in six4 = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &six4.sin_addr) == 1)
        return net_addr_is_private((struct sockaddr *)&six4);
    assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
    return net_addr_is_private((struct sockaddr *)&six);
}

static void test_addresses(void **state)
{
    static const char *const private[] = {
        "0.0.0.0",        "10.1.2.3",        "100.64.0.1",  "127.0.0.1",
        "169.254.1.1",    "172.31.255.255",  "192.168.0.1", "198.19.0.1",
        "224.0.0.1",      "255.255.255.255", "::",          "::1",
        "fe80::1",        "fd00::1",         "ff02::1",     "::ffff:10.0.0.1",
        "64:ff9b::a00:1", "2002:a00:1::",    "2001::1",     "2001:db8::1",
    };
    static const char *const open_to_all[] = {
        "8.8.8.8",        "172.32.0.1",           "100.128.0.1",
        "193.0.0.1",      "2001:4860:4860::8888", "2a00::1",
        "::ffff:8.8.8.8",
    };

    for (size_t i = 0; i < sizeof private / sizeof *private; i++)
        assert_true(closed(private[i]));
    for (size_t i = 0; i < sizeof open_to_all / sizeof *open_to_all; i++)
        assert_false(closed(open_to_all[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
