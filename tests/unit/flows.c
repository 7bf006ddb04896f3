/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Flows of a note: their cap, their sums, and what whoever tells of them may
 * say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "wire/flows.h"

static struct flow flow_to(const char *peer, uint64_t sent, uint64_t got)
{
    struct flow flow = {.protocol = 6, .own_port = 80};

    assert_int_equal(flow_set_peer(&flow, peer), 0);
    flow.sent = sent;
    flow.got = got;
    return flow;
}

static void add(struct flows *flows, const char *peer, uint64_t sent,
                uint64_t got)
{
    struct flow flow = flow_to(peer, sent, got);

    flows_add(flows, &flow);
}

static void peers_are_read(void **state)
{
    static const char *const wrong[] = {
        "",
        "10.0.0.1",
        "10.0.0.1:",
        ":80",
        "10.0.0.1:65536",
        "[::1]",
        "host:80",
        "10.0.0.1:-1",
        "[]:80",
        "10.0.0.1:80x",
        "1\n2:80",
        "[::1:80]x",
        "?",
        "1111111111111111111111111111111111111111111111:80"};
    struct flow flow = {.protocol = 6};

    (void)state;
    assert_int_equal(flow_set_peer(&flow, "10.0.0.1:80"), 0);
    assert_string_equal(flow.peer, "10.0.0.1");
    assert_int_equal(flow.peer_port, 80);
    assert_int_equal(flow_set_peer(&flow, "[2001:db8::1]:65535"), 0);
    assert_string_equal(flow.peer, "2001:db8::1");
    assert_int_equal(flow.peer_port, 65535);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(flow_set_peer(&flow, wrong[i]), XN_EINVAL);
}

static void one_grows(void **state)
{
    struct flows flows = {.n = 0};
    struct flow flow = flow_to("10.0.0.1:5", 10, 20);

    (void)state;
    flow.first_us = 7;
    flow.last_us = 9;
    flows_add(&flows, &flow);
    flow.first_us = 5;
    flow.last_us = 8;
    flows_add(&flows, &flow);
    assert_int_equal(flows.n, 1);
    assert_int_equal(flows.list[0].sent, 20);
    assert_int_equal(flows.list[0].got, 40);
    assert_int_equal(flows.list[0].first_us, 5);
    assert_int_equal(flows.list[0].last_us, 9);
    flow.own_port = 81;
    flows_add(&flows, &flow);
    flow.carried = true;
    flows_add(&flows, &flow);
    flow.protocol = 17;
    flows_add(&flows, &flow);
    add(&flows, "10.0.0.1:6", 1, 1);
    add(&flows, "10.0.0.2:5", 1, 1);
    assert_int_equal(flows.n, 6);
    add(&flows, "10.0.0.2:5", UINT64_MAX, 1);
    assert_true(flows.list[5].sent == UINT64_MAX);
    assert_int_equal(flows.others, 0);
}

static void fill(struct flows *flows, unsigned n)
{
    char peer[32];

    for (unsigned i = 0; i < n; i++) {
        snprintf(peer, sizeof peer, "10.0.%u.%u:80", i / 256, i % 256);
        add(flows, peer, 100 + i, 1000);
    }
}

/* What does not fit is summed: nothing is lost, and the largest stay. */
static void the_largest_stay(void **state)
{
    struct flows flows = {.n = 0};
    uint64_t sent = 0, got = 0;

    (void)state;
    fill(&flows, FLOWS_MAX);
    assert_int_equal(flows.n, FLOWS_MAX);
    assert_int_equal(flows.others, 0);
    add(&flows, "10.9.9.9:80", 1, 1); /* small: it is but summed */
    assert_int_equal(flows.others, 1);
    assert_int_equal(flows.others_sent, 1);
    add(&flows, "10.9.9.8:80", 5000, 5000);
    assert_int_equal(flows.others, 2);
    assert_int_equal(flows.others_sent, 101); /* the first gave way */
    assert_int_equal(flows.others_got, 1001);
    for (size_t i = 0; i < flows.n; i++) {
        sent += flows.list[i].sent;
        got += flows.list[i].got;
        assert_string_not_equal(flows.list[i].peer, "10.0.0.0");
    }
    assert_int_equal(sent + flows.others_sent,
                     FLOWS_MAX * 100 + FLOWS_MAX * (FLOWS_MAX - 1) / 2 + 5001);
    assert_int_equal(got + flows.others_got, FLOWS_MAX * 1000 + 5001);
}

static void two_become_one(void **state)
{
    struct flows a = {.n = 0}, b = {.n = 0};

    (void)state;
    assert_false(flows_any(&a));
    fill(&a, FLOWS_MAX + 3);
    fill(&b, FLOWS_MAX + 3);
    strcpy(b.unknown, "why");
    flows_merge(&a, &b);
    assert_int_equal(a.n, FLOWS_MAX);
    assert_int_equal(a.others, 6);
    assert_string_equal(a.unknown, "why");
    assert_true(flows_any(&a));
    memset(&b, 0, sizeof b);
    strcpy(b.unknown, "why");
    assert_true(flows_any(&b));
}

static void they_are_told_and_read(void **state)
{
    struct flows flows = {.n = 0}, back;
    struct flows_room room;
    uint8_t bytes[16384];
    Xn__Flows *read;
    size_t len;

    (void)state;
    fill(&flows, FLOWS_MAX + 1);
    strcpy(flows.unknown, "a\nreason");
    flows_put(&flows, &room);
    assert_int_equal(room.body.n_flows, FLOWS_MAX);
    for (size_t i = 1; i < FLOWS_MAX; i++)
        assert_true(room.list[i - 1]->sent > room.list[i]->sent);
    len = xn__flows__get_packed_size(&room.body);
    assert_true(len <= sizeof bytes);
    xn__flows__pack(&room.body, bytes);
    read = xn__flows__unpack(NULL, len, bytes);
    assert_int_equal(flows_take(read, 1, &back), 0);
    xn__flows__free_unpacked(read, NULL);
    assert_int_equal(back.n, FLOWS_MAX);
    assert_int_equal(back.others, 1);
    assert_string_equal(back.unknown, "a?reason");
    assert_string_equal(back.list[0].peer, "10.0.0.64");
}

static char *text(const char *of)
{
    return (char *)(uintptr_t)of;
}

static void hostile_ones_are_refused(void **state)
{
    Xn__Flow rows[FLOWS_MAX + 1], *list[FLOWS_MAX + 1];
    Xn__Flows body = XN__FLOWS__INIT;
    char long_text[FLOWS_UNKNOWN_MAX + 1];
    struct flows flows;

    (void)state;
    for (size_t i = 0; i <= FLOWS_MAX; i++) {
        xn__flow__init(&rows[i]);
        rows[i].peer = text("10.0.0.1");
        rows[i].peer_port = (uint32_t)i;
        list[i] = &rows[i];
    }
    body.flows = list;
    body.n_flows = FLOWS_MAX;
    assert_int_equal(flows_take(&body, 1, &flows), 0);
    body.n_flows = FLOWS_MAX + 1;
    assert_int_equal(flows_take(&body, 1, &flows), XN_EPROTO);
    body.n_flows = 1;
    rows[0].peer_port = 65536;
    assert_int_equal(flows_take(&body, 1, &flows), XN_EPROTO);
    rows[0].peer_port = 0;
    rows[0].own_port = 65536;
    assert_int_equal(flows_take(&body, 1, &flows), XN_EPROTO);
    rows[0].own_port = 0;
    rows[0].protocol = 256;
    assert_int_equal(flows_take(&body, 1, &flows), XN_EPROTO);
    rows[0].protocol = 255;
    rows[0].peer = text("10.0.0.1\033[2J");
    assert_int_equal(flows_take(&body, 1, &flows), XN_EPROTO);
    rows[0].peer = text("");
    assert_int_equal(flows_take(&body, 1, &flows), XN_EPROTO);
    rows[0].peer = text("1111:1111:1111:1111:1111:1111:1111:1111:1111:1");
    assert_int_equal(flows_take(&body, 1, &flows), XN_EPROTO);
    rows[0].peer = text("::1");
    rows[0].first_us = rows[0].last_us = UINT64_MAX;
    assert_int_equal(flows_take(&body, 1, &flows), 0);
    assert_int_equal(flows.list[0].first_us, 1);
    assert_int_equal(flows.list[0].last_us, 1);
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[FLOWS_UNKNOWN_MAX] = 0;
    body.unknown = long_text;
    assert_int_equal(flows_take(&body, 1, &flows), XN_EPROTO);
    long_text[FLOWS_UNKNOWN_MAX - 1] = 0;
    assert_int_equal(flows_take(&body, 1, &flows), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peers_are_read),
        cmocka_unit_test(one_grows),
        cmocka_unit_test(the_largest_stay),
        cmocka_unit_test(two_become_one),
        cmocka_unit_test(they_are_told_and_read),
        cmocka_unit_test(hostile_ones_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
