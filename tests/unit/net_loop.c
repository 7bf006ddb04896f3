/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What libevent has to say of a loop stands in the log, in the log's form. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/dns.h>

#include "lib/log.h"
#include "net/log_json.h"
#include "net/loop.h"

static void libevent_speaks_in_form(void **state)
{
    struct net_loop_user user = {0};
    struct evdns_base *dns;
    struct net_loop *loop;
    char text[1000];
    int out[2], before = dup(STDERR_FILENO);
    ssize_t n;

    assert_int_equal(pipe(out), 0);
    assert_int_equal(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
    xn_log_open("test", XN_LOG_INFO, net_log_json);
    assert_int_equal(net_loop_new(&user, &loop), 0);
    dns = evdns_base_new(net_loop_base(loop), 0);
    assert_true(dup2(out[1], STDERR_FILENO) >= 0);
    evdns_base_nameserver_ip_add(dns, "\"no address");
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    n = read(out[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_memory_equal(text, "{\"time\"", 7);
    assert_non_null(strstr(text, "\"warn\""));
    assert_non_null(strstr(text, "libevent: "));
    assert_non_null(strstr(text, "\\\"no address"));
    assert_ptr_equal(strchr(text, '\n'), text + n - 1);
    evdns_base_free(dns, 0);
    net_loop_free(loop);
    close(before);
    close(out[0]);
    close(out[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libevent_speaks_in_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
