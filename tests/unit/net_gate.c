/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whose handshakes begin, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/gate.h"

#define SEC 1000000ULL

static struct net_gate *gate_of(unsigned per_s)
{
    struct net_gate *gate = NULL;

    assert_int_equal(net_gate_new(per_s, &gate), 0);
    return gate;
}

static unsigned begun(struct net_gate *gate, bool known, uint64_t from_us,
                      uint64_t until_us)
{
    unsigned n = 0;

    for (; from_us < until_us; from_us += 1000)
        n += net_gate_take(gate, known, 0, from_us) == 0;
    return n;
}

static void a_storm_has_a_rate(void **state)
{
    struct net_gate *gate = gate_of(50);
    uint64_t wait_us;

    (void)state;
    assert_in_range(begun(gate, false, 0, 10 * SEC), 500, 530);
    wait_us = net_gate_take(gate, false, 0, 10 * SEC);
    if (wait_us == 0) wait_us = net_gate_take(gate, false, 0, 10 * SEC);
    assert_in_range(wait_us, 1, 20000);
    assert_int_equal(net_gate_take(gate, false, 0, 10 * SEC + wait_us), 0);
    net_gate_free(gate);
}

/* What strangers take is not missing to members, nor the other way. */
static void members_have_their_own(void **state)
{
    struct net_gate *gate = gate_of(50);

    (void)state;
    begun(gate, false, 0, SEC);
    assert_true(net_gate_take(gate, false, 0, SEC) > 0 ||
                net_gate_take(gate, false, 0, SEC) > 0);
    assert_int_equal(net_gate_take(gate, true, 0, SEC), 0);
    assert_in_range(begun(gate, true, SEC, 11 * SEC), 500, 530);
    net_gate_free(gate);
}

static void who_is_known(void **state)
{
    struct net_gate *gate = gate_of(1);
    unsigned kept = 0;
    uint64_t source;

    (void)state;
    assert_false(net_gate_knows(gate, 0));
    net_gate_know(gate, 0, 0);
    assert_true(net_gate_knows(gate, 0));
    for (source = 1; source <= 10000; source++) {
        assert_false(net_gate_knows(gate, source));
        net_gate_know(gate, source, source);
        assert_true(net_gate_knows(gate, source));
    }
    for (source = 1; source <= 10000; source++)
        kept += net_gate_knows(gate, source);
    assert_in_range(kept, 500, 1024);
    net_gate_free(gate);
}

/* A member that comes from everywhere in its network puts nobody else out. */
static void who_roams(void **state)
{
    struct net_gate *gate = gate_of(1);
    unsigned kept = 0;
    uint64_t source;

    (void)state;
    for (source = 1; source <= 20; source++)
        net_gate_know(gate, source, source);
    for (source = 100; source <= 10000; source++)
        net_gate_know(gate, 99, source);
    assert_true(net_gate_knows(gate, 10000));
    assert_false(net_gate_knows(gate, 9999));
    for (source = 1; source <= 20; source++)
        kept += net_gate_knows(gate, source);
    assert_in_range(kept, 15, 20); /* some share a place by chance */
    net_gate_free(gate);
}

/* Three times what may begin, from 32 networks, and one of another each 50 ms. */
static void a_newcomer_has_a_turn(void **state)
{
    struct net_gate *gate = gate_of(400);
    unsigned in = 0, tried = 0, storm = 0;
    uint64_t now_us;

    (void)state;
    for (now_us = SEC; now_us < 11 * SEC; now_us += 1000) {
        storm +=
            net_gate_take(gate, false, 1 + now_us / 1000 % 32, now_us) == 0;
        if (now_us % 5000 == 0)
            storm += net_gate_take(gate, false, 7, now_us) == 0;
        if (now_us % 50000) continue;
        tried++;
        in += net_gate_take(gate, false, 1000 + tried, now_us) == 0;
    }
    print_message("# of %u newcomers %u came in, of the storm %u\n", tried, in,
                  storm);
    assert_true(in >= tried * 9 / 10); /* some share a place with the storm */
    assert_in_range(storm, 2000, 4200);
    net_gate_free(gate);
}

/* Nobody else wants what a network takes. */
static void one_network_may_have_all(void **state)
{
    struct net_gate *gate = gate_of(400);
    unsigned n = 0;
    uint64_t now_us;

    (void)state;
    for (now_us = SEC; now_us < 11 * SEC; now_us += 1000)
        n += net_gate_take(gate, false, 7, now_us) == 0;
    assert_in_range(n, 4000, 4200);
    net_gate_free(gate);
}

static void none_is_no_bound(void **state)
{
    struct net_gate *gate = gate_of(0);

    (void)state;
    assert_int_equal(begun(gate, false, 0, SEC), 1000);
    net_gate_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storm_has_a_rate),
        cmocka_unit_test(members_have_their_own),
        cmocka_unit_test(who_is_known),
        cmocka_unit_test(who_roams),
        cmocka_unit_test(a_newcomer_has_a_turn),
        cmocka_unit_test(one_network_may_have_all),
        cmocka_unit_test(none_is_no_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
