/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes of an interface, in a network namespace of the test's own, made and
 * counted as keeper/xeno-hotplug does. */
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/traffic.h"
#include "lib/err.h"

#define FRAME 1000
#define WITH_PATH "PATH=$PATH:/usr/sbin:/sbin; exec 2>/dev/null; "

static bool has_interfaces(void)
{
    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
        return false;
    return system(WITH_PATH "ip link add vif7.0 type veth peer name guest &&"
                            "ip link set vif7.0 up && ip link set guest up &&"
                            "tc qdisc add dev vif7.0 clsact &&"
                            "tc filter add dev vif7.0 ingress protocol all "
                            "u32 match u32 0 0 &&"
                            "tc qdisc add dev vif7.0 root tbf rate 100mbit "
                            "burst 64kb latency 100ms") == 0;
}

static void cross(const char *interface, unsigned frames)
{
    static const uint8_t frame[FRAME] = {
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5}; /* for experiments */
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    struct sockaddr_ll at = {.sll_family = AF_PACKET};

    at.sll_ifindex = (int)if_nametoindex(interface);
    while (frames--) {
        assert_int_equal(sendto(fd, frame, sizeof frame, 0,
                                (struct sockaddr *)&at, sizeof at),
                         sizeof frame);
    }
    close(fd);
}

static void bytes_are_counted_each_way(void **state)
{
    uint64_t sent = 0, got = 0, sent_before = 0, got_before = 0;
    unsigned tries;
    int fd;

    (void)state;
    if (!has_interfaces()) {
        print_message("no network namespace, ip or tc here\n");
        skip();
    }
    fd = traffic_open();
    assert_true(fd >= 0);
    assert_int_equal(traffic_read(fd, "vif7.0", &sent_before, &got_before), 0);
    cross("guest", 7);
    cross("vif7.0", 3);
    /* the kernel hands on behind our back, and has words of its own */
    for (tries = 0; tries < 1000; tries++) {
        assert_int_equal(traffic_read(fd, "vif7.0", &sent, &got), 0);
        if (sent - sent_before >= 7 * FRAME && got - got_before >= 3 * FRAME)
            break;
        usleep(10000);
    }
    assert_true(tries < 1000);
    assert_true(sent - sent_before < 8 * FRAME);
    assert_true(got - got_before < 4 * FRAME);
    assert_int_equal(traffic_read(fd, "vif8.0", &sent, &got), XN_ENOENT);
    assert_int_equal(traffic_read(fd, "guest", &sent, &got), XN_ENOENT);
    assert_int_equal(system(WITH_PATH "tc qdisc del dev vif7.0 clsact"), 0);
    assert_int_equal(traffic_read(fd, "vif7.0", &sent, &got), XN_ENOENT);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_counted_each_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
