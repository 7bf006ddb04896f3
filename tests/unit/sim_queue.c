/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queue's order against a plain sorted list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "lib/rng.h"
#include "sim/queue.h"

struct model {
    struct sim_event *a;
    size_t n, cap;
};

static void model_push(struct model *m, struct sim_event event)
{
    size_t i;

    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 64;
        m->a = realloc(m->a, m->cap * sizeof *m->a);
        assert_non_null(m->a);
    }
    /* Latest first, so that the earliest is cheap to take. */
    for (i = m->n++; i > 0 && (m->a[i - 1].at_us < event.at_us ||
                               (m->a[i - 1].at_us == event.at_us &&
                                m->a[i - 1].key < event.key));
         i--) {
        m->a[i] = m->a[i - 1];
    }
    m->a[i] = event;
}

static uint64_t some_delay(struct xn_rng *rng)
{
    switch (xn_rng_below(rng, 5)) {
    case 0: return 0;
    case 1: return xn_rng_below(rng, 300);        /* this slot or the next */
    case 2: return xn_rng_below(rng, 500000);     /* a latency */
    case 3: return xn_rng_below(rng, 4300000);    /* about the horizon */
    default: return xn_rng_below(rng, 900000000); /* a timer */
    }
}

static void push_both(struct sim_queue *q, struct model *m, struct xn_rng *rng,
                      uint64_t now_us, uint64_t *key)
{
    struct sim_event event = {0};

    event.at_us = now_us + some_delay(rng);
    /* Keys of several senders, not in the order of pushing, none equal. */
    event.key = xn_rng_below(rng, 1000) << 32 | (*key)++;
    event.ticket = event.key ^ event.at_us;
    assert_int_equal(sim_queue_push(q, &event), 0);
    model_push(m, event);
}

static void pop_both(struct sim_queue *q, struct model *m, uint64_t until_us,
                     uint64_t *now_us)
{
    struct sim_event event;
    bool due = m->n && m->a[m->n - 1].at_us <= until_us;

    assert_int_equal(sim_queue_pop(q, until_us, &event), due);
    if (!due) return;
    m->n--;
    assert_int_equal(event.at_us, m->a[m->n].at_us);
    assert_int_equal(event.key, m->a[m->n].key);
    assert_int_equal(event.ticket, m->a[m->n].ticket);
    *now_us = event.at_us;
}

static void mixed(uint64_t seed, size_t hold, size_t steps)
{
    struct model m = {0};
    struct sim_queue *q;
    struct xn_rng rng;
    uint64_t now_us = 0, key = 0;
    size_t i;

    xn_rng_seed(&rng, seed);
    assert_int_equal(sim_queue_new(&q), 0);
    for (i = 0; i < steps; i++) {
        if (m.n < hold || xn_rng_below(&rng, 2)) {
            push_both(q, &m, &rng, now_us, &key);
        } else {
            pop_both(q, &m, UINT64_MAX, &now_us);
        }
        assert_int_equal(sim_queue_count(q), m.n);
    }
    while (m.n)
        pop_both(q, &m, UINT64_MAX, &now_us);
    pop_both(q, &m, UINT64_MAX, &now_us);
    free(m.a);
    sim_queue_free(q, NULL);
}

static void test_order(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 8; seed++)
        mixed(seed, seed * 40, 6000);
}

/* Stopping at times between events, and pushing right there. */
static void test_until(void **state)
{
    struct model m = {0};
    struct sim_queue *q;
    struct xn_rng rng;
    uint64_t now_us = 0, until_us = 0, key = 0;
    size_t i, k;

    (void)state;
    xn_rng_seed(&rng, 99);
    assert_int_equal(sim_queue_new(&q), 0);
    for (i = 0; i < 2000; i++) {
        for (k = 0; k < 3; k++)
            push_both(q, &m, &rng, until_us, &key);
        until_us += some_delay(&rng) / 100;
        while (m.n && m.a[m.n - 1].at_us <= until_us) {
            pop_both(q, &m, until_us, &now_us);
        }
        pop_both(q, &m, until_us, &now_us);
    }
    free(m.a);
    sim_queue_free(q, NULL);
}

static size_t dropped;

static void count_drop(struct sim_event *event)
{
    (void)event;
    dropped++;
}

static void test_free_sees_all(void **state)
{
    struct model m = {0};
    struct sim_queue *q;
    struct xn_rng rng;
    uint64_t now_us = 0, key = 0;
    size_t i;

    (void)state;
    dropped = 0;
    xn_rng_seed(&rng, 5);
    assert_int_equal(sim_queue_new(&q), 0);
    for (i = 0; i < 500; i++)
        push_both(q, &m, &rng, now_us, &key);
    for (i = 0; i < 120; i++)
        pop_both(q, &m, UINT64_MAX, &now_us);
    for (i = 0; i < 50; i++)
        push_both(q, &m, &rng, now_us, &key);
    sim_queue_free(q, count_drop);
    assert_int_equal(dropped, m.n);
    free(m.a);
}

static void test_ahead(void **state)
{
    struct sim_queue *q;
    struct sim_event event = {0}, got;
    uint32_t i;

    (void)state;
    assert_int_equal(sim_queue_new(&q), 0);
    assert_null(sim_queue_ahead(q, 0));
    for (i = 0; i < 5; i++) {
        event.at_us = 1000000 + 4 - i;
        event.key = event.to = 4 - i;
        assert_int_equal(sim_queue_push(q, &event), 0);
    }
    assert_true(sim_queue_pop(q, UINT64_MAX, &got));
    assert_int_equal(got.to, 0);
    for (i = 0; i < 4; i++)
        assert_int_equal(sim_queue_ahead(q, i)->to, i + 1);
    assert_null(sim_queue_ahead(q, 4));
    sim_queue_free(q, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_until),
        cmocka_unit_test(test_free_sees_all),
        cmocka_unit_test(test_ahead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
