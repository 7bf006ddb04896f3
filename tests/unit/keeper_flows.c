/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whom a guest talks to, as the kernel counts it: in a network namespace of the
 * test's own, where frames come from a guest's and from another port. */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
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

#include "keeper/flows.h"
#include "keeper/nft.h"
#include "lib/err.h"

#define WITH_PATH "PATH=$PATH:/usr/sbin:/sbin; exec 2>/dev/null; "
#define GUEST "10.9.0.5"
#define GUEST6 "fd00::5"
#define NAME "0123456789abcdef0123456789abcdef-1"
#define BYTES 100 /* of IP, in a frame */
#define NOW 1000000000000000ULL
#define TRIES 500

static uint8_t six[16];
static Xn__TaskNet net = XN__TASK_NET__INIT;
static bool there;
static int packets = -1; /* socket */

#define OR_SKIP                                                                \
    do {                                                                       \
        (void)state;                                                           \
        if (!there) {                                                          \
            print_message("no network namespace, ip, bridge or nft here\n");   \
            skip();                                                            \
        }                                                                      \
    } while (0)

/* ---- frames -------------------------------------------------------------- */

static void cross(const char *interface, uint16_t type, const void *packet)
{
    uint8_t frame[14 + BYTES] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    struct sockaddr_ll at = {.sll_family = AF_PACKET};

    /* once: to close one takes the kernel 10 ms */
    if (packets < 0) packets = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (strcmp(interface, "guest") == 0) frame[11] = 3; /* stations differ */
    type = htons(type);
    memcpy(frame + 12, &type, sizeof type);
    memcpy(frame + 14, packet, BYTES);
    at.sll_ifindex = (int)if_nametoindex(interface);
    assert_int_equal(sendto(packets, frame, sizeof frame, 0,
                            (struct sockaddr *)&at, sizeof at),
                     sizeof frame);
}

static void put_ports(uint8_t *at, uint16_t from, uint16_t to)
{
    struct udphdr head = {0};

    head.source = htons(from);
    head.dest = htons(to);
    head.len = htons(BYTES - 20);
    memcpy(at, &head, sizeof head);
}

/* Some bridges look at it. */
static uint16_t checksum(const struct iphdr *head)
{
    uint16_t words[sizeof *head / 2];
    uint32_t sum = 0;

    memcpy(words, head, sizeof *head);
    for (size_t i = 0; i < sizeof *head / 2; i++)
        sum += words[i];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void send4(const char *interface, uint8_t protocol, const char *from,
                  uint16_t from_port, const char *to, uint16_t to_port)
{
    uint8_t packet[BYTES] = {0};
    struct iphdr head = {.version = 4, .ihl = 5, .ttl = 64};

    head.protocol = protocol;
    head.tot_len = htons(BYTES);
    inet_pton(AF_INET, from, &head.saddr);
    inet_pton(AF_INET, to, &head.daddr);
    head.check = checksum(&head);
    memcpy(packet, &head, sizeof head);
    put_ports(packet + sizeof head, from_port, to_port);
    cross(interface, ETH_P_IP, packet);
}

static void send6(const char *interface, uint8_t protocol, const char *from,
                  uint16_t from_port, const char *to, uint16_t to_port)
{
    uint8_t packet[BYTES] = {0};
    struct ip6_hdr head = {0};

    head.ip6_vfc = 6 << 4;
    head.ip6_nxt = protocol;
    head.ip6_hlim = 64;
    head.ip6_plen = htons(BYTES - sizeof head);
    inet_pton(AF_INET6, from, &head.ip6_src);
    inet_pton(AF_INET6, to, &head.ip6_dst);
    memcpy(packet, &head, sizeof head);
    put_ports(packet + sizeof head, from_port, to_port);
    cross(interface, ETH_P_IPV6, packet);
}

/* A port of a bridge passes nothing on at first. */
static void await_ports(void)
{
    struct flows flows = {.n = 0};
    unsigned tries;

    for (tries = 0; tries < TRIES && !flows.n; tries++) {
        send4("world", 17, "192.0.2.1", 1, GUEST, 1);
        usleep(10000);
        assert_int_equal(keeper_flows_take(NAME, NOW, &flows), 0);
    }
    assert_true(tries < TRIES);
    usleep(100000);
    assert_int_equal(keeper_flows_take(NAME, NOW, &flows), 0);
}

static int set_up(void **state)
{
    char because[200];
    uint32_t address;

    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
        return 0;
    there =
        system(WITH_PATH
               "ip link add br0 type bridge forward_delay 0 && ip link set br0 "
               "up &&"
               "ip link add vif7.0 type veth peer name guest &&"
               "ip link add up0 type veth peer name world &&"
               "ip link set vif7.0 master br0 up && ip link set guest up &&"
               "ip link set up0 master br0 up && ip link set world up") == 0;
    inet_pton(AF_INET, GUEST, &address);
    inet_pton(AF_INET6, GUEST6, six);
    net.address = ntohl(address);
    net.address6.data = six;
    net.address6.len = sizeof six;
    if (there) {
        there = !keeper_flows_begin(NAME, &net, because, sizeof because);
        if (!there) print_message("%s\n", because);
    }
    if (there) await_ports();
    return 0;
}

/* ---- what is counted ----------------------------------------------------- */

/* The kernel hands on behind our back: until so many bytes are told. */
static void take(const char *name, uint64_t sent, uint64_t got,
                 struct flows *out)
{
    uint64_t sent_now, got_now;
    struct flows part;

    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < TRIES; i++) {
        assert_int_equal(keeper_flows_take(name, NOW, &part), 0);
        flows_merge(out, &part);
        sent_now = out->others_sent;
        got_now = out->others_got;
        for (size_t j = 0; j < out->n; j++) {
            sent_now += out->list[j].sent;
            got_now += out->list[j].got;
        }
        if (sent_now >= sent && got_now >= got) break;
        usleep(10000);
    }
    assert_int_equal(sent_now, sent);
    assert_int_equal(got_now, got);
}

static const struct flow *flow_of(const struct flows *flows, const char *peer,
                                  uint8_t protocol, uint16_t peer_port)
{
    for (size_t i = 0; i < flows->n; i++) {
        const struct flow *flow = &flows->list[i];

        if (strcmp(flow->peer, peer) == 0 && flow->protocol == protocol &&
            flow->peer_port == peer_port)
            return flow;
    }
    fail_msg("no flow to %s, protocol %u, port %u", peer, protocol, peer_port);
    return NULL;
}

static void both_ways_are_one_flow(void **state)
{
    const struct flow *flow;
    struct flows flows;

    OR_SKIP;
    for (unsigned i = 0; i < 3; i++)
        send4("guest", 17, GUEST, 4000, "192.0.2.1", 53);
    send4("world", 17, "192.0.2.1", 53, GUEST, 4000);
    send4("guest", 6, GUEST, 4001, "192.0.2.1", 80);
    send4("world", 6, "192.0.2.9", 5555, GUEST, 22);
    take(NAME, 4 * BYTES, 2 * BYTES, &flows);
    assert_int_equal(flows.n, 3);
    flow = flow_of(&flows, "192.0.2.1", 17, 53);
    assert_int_equal(flow->own_port, 4000);
    assert_int_equal(flow->sent, 3 * BYTES);
    assert_int_equal(flow->got, BYTES);
    assert_int_equal(flow->first_us, 0);
    assert_true(flow->last_us <= NOW && flow->last_us > NOW - 60000000);
    assert_int_equal(flow_of(&flows, "192.0.2.1", 6, 80)->sent, BYTES);
    flow = flow_of(&flows, "192.0.2.9", 6, 5555);
    assert_int_equal(flow->own_port, 22);
    assert_int_equal(flow->got, BYTES);
    take(NAME, 0, 0, &flows); /* they are told once */
    assert_int_equal(flows.n, 0);
}

static void by_ipv6_too(void **state)
{
    struct flows flows;

    OR_SKIP;
    send6("guest", 6, GUEST6, 4000, "2001:db8::1", 443);
    send6("world", 6, "2001:db8::1", 443, GUEST6, 4000);
    take(NAME, BYTES, BYTES, &flows);
    assert_int_equal(flow_of(&flows, "2001:db8::1", 6, 443)->got, BYTES);
}

static void others_are_not_its(void **state)
{
    struct flows flows;

    OR_SKIP;
    send4("world", 17, GUEST, 1, "192.0.2.1", 2);      /* as if from it */
    send4("guest", 17, "10.9.0.6", 1, "192.0.2.1", 2); /* another's */
    send4("world", 17, "192.0.2.1", 1, "10.9.0.6", 2);
    send4("guest", 17, GUEST, 7, "192.0.2.1", 7);
    take(NAME, BYTES, 0, &flows);
    assert_int_equal(flows.n, 1);
}

/* Small one way, large the other: it is told with both. */
static void the_largest_are_whole(void **state)
{
    const struct flow *flow;
    struct flows flows;
    char peer[32];

    OR_SKIP;
    send4("guest", 17, GUEST, 9, "192.0.3.1", 9);
    for (unsigned i = 0; i < 5; i++)
        send4("world", 17, "192.0.3.1", 9, GUEST, 9);
    for (unsigned i = 0; i < 2 * FLOWS_MAX; i++) {
        snprintf(peer, sizeof peer, "192.0.2.%u", i);
        send4("guest", 17, GUEST, 1, peer, 2);
        send4("guest", 17, GUEST, 1, peer, 2);
    }
    usleep(200000); /* all at once, or it would be told in parts */
    take(NAME, (4 * FLOWS_MAX + 1) * BYTES, 5 * BYTES, &flows);
    flow = flow_of(&flows, "192.0.3.1", 17, 9);
    assert_int_equal(flow->sent, BYTES);
    assert_int_equal(flow->got, 5 * BYTES);
    assert_int_equal(flows.others, FLOWS_MAX + 1);
}

/* Ports are given up first, then addresses, and bytes never. */
static void more_than_are_counted_apart(void **state)
{
    const struct flow *flow;
    struct flows flows;
    char peer[32];

    OR_SKIP;
    for (unsigned i = 0; i < 1030; i++)
        send4("guest", 17, GUEST, (uint16_t)(1 + i), "192.0.2.1", 53);
    take(NAME, 1030 * BYTES, 0, &flows);
    flow = flow_of(&flows, "192.0.2.1", 17, 0);
    assert_int_equal(flow->own_port, 0);
    assert_int_equal(flow->sent, 6 * BYTES);
    assert_string_equal(flows.unknown, "");
    for (unsigned i = 0; i < 300; i++) { /* these have no ports */
        snprintf(peer, sizeof peer, "192.0.%u.%u", 2 + i / 256, i % 256);
        send4("guest", 1, GUEST, 0, peer, (uint16_t)i);
    }
    take(NAME, 300 * BYTES, 0, &flows);
    assert_string_equal(flows.unknown, "more peers than are told apart");
    assert_int_equal(flows.n, FLOWS_MAX);
    assert_true(flows.others >= 256 - FLOWS_MAX);
}

static void a_name_has_its_own(void **state)
{
    static const char next[] = "next-1";
    struct flows flows;
    char because[200];

    OR_SKIP;
    assert_int_equal(keeper_flows_take(next, NOW, &flows), XN_ENOENT);
    assert_false(keeper_flows_has(next));
    assert_true(keeper_flows_has(NAME));
    send4("guest", 17, GUEST, 1, "192.0.2.1", 2);
    send4("guest", 17, GUEST, 1, "192.0.2.1", 2);
    usleep(100000);
    assert_int_equal(keeper_flows_begin(next, &net, because, sizeof because),
                     0);
    send4("guest", 17, GUEST, 1, "192.0.2.1", 2);
    take(next, BYTES, 0, &flows);
    take(NAME, 2 * BYTES, 0, &flows); /* who had the address before */
    keeper_flows_end(NAME, NULL);
    assert_int_equal(keeper_flows_take(NAME, NOW, &flows), XN_ENOENT);
    send4("guest", 17, GUEST, 1, "192.0.2.1", 2);
    take(next, BYTES, 0, &flows);
    keeper_flows_end(next, &net);
    assert_int_equal(keeper_flows_take(next, NOW, &flows), XN_ENOENT);
    assert_int_equal(system(WITH_PATH "! nft list ruleset | grep -q g-"), 0);
    keeper_flows_clear();
    assert_int_equal(system(WITH_PATH "! nft list ruleset | grep -q ."), 0);
    keeper_flows_clear();
}

static void rules_that_are_none(void **state)
{
    char because[200] = "";

    OR_SKIP;
    assert_int_equal(nft_run("this is no rule\n", NULL, 0), XN_EREFUSED);
    setenv("PATH", "/nowhere", 1);
    if (access("/usr/sbin/nft", X_OK) && access("/sbin/nft", X_OK)) {
        assert_int_equal(nft_run("list ruleset\n", because, sizeof because),
                         XN_EREFUSED);
        assert_string_equal(because, "there is no nft on this machine");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_are_one_flow),
        cmocka_unit_test(by_ipv6_too),
        cmocka_unit_test(others_are_not_its),
        cmocka_unit_test(the_largest_are_whole),
        cmocka_unit_test(more_than_are_counted_apart),
        cmocka_unit_test(a_name_has_its_own),
        cmocka_unit_test(rules_that_are_none),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
