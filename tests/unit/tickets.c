/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/err.h"
#include "lib/rng.h"
#include "seam/tickets.h"

struct kit {
    struct xn_tickets *tickets;
    struct xn_out out;
    char log[4096]; /* what ended, in order */
};

static int setup(void **state)
{
    struct kit *kit = calloc(1, sizeof *kit);

    if (!kit || xn_tickets_new(&kit->tickets)) return -1;
    xn_out_init(&kit->out);
    *state = kit;
    return 0;
}

static int teardown(void **state)
{
    struct kit *kit = *state;

    xn_tickets_free(kit->tickets, NULL);
    xn_out_clear(&kit->out);
    free(kit);
    return 0;
}

static void note(void *owner, void *ctx, const struct xn_now *now, int rc,
                 struct xn_msg *msg, struct xn_out *out)
{
    struct kit *kit = owner;

    (void)now, (void)msg, (void)out;
    strcat(kit->log, ctx);
    strcat(kit->log, rc == XN_ETIMEOUT ? "t" : rc ? "e" : "d");
}

static void ends_by_done_or_by_deadline_once(void **state)
{
    struct kit *kit = *state;
    struct xn_now now = {100, 0};
    char a[] = "a", b[] = "b", c[] = "c";
    uint64_t ta = xn_ticket(kit->tickets, 300, note, kit, a, &kit->out);
    uint64_t tb = xn_ticket(kit->tickets, 200, note, kit, b, &kit->out);
    uint64_t tc = xn_ticket(kit->tickets, 200, note, kit, c, &kit->out);

    assert_int_equal(xn_tickets_next(kit->tickets), 200);
    assert_true(xn_ticket_end(kit->tickets, tb, &now, 0, NULL, &kit->out));
    assert_false(xn_ticket_end(kit->tickets, tb, &now, 0, NULL, &kit->out));
    now.mono_us = 199;
    xn_tickets_run(kit->tickets, &now, &kit->out);
    assert_string_equal(kit->log, "bd");
    assert_true(xn_ticket_postpone(kit->tickets, tc, 400));
    now.mono_us = 400;
    xn_tickets_run(kit->tickets, &now, &kit->out);
    assert_string_equal(kit->log, "bdatct");
    assert_int_equal(xn_tickets_next(kit->tickets), UINT64_MAX);
    assert_false(xn_ticket_postpone(kit->tickets, ta, 500));
}

static void forgotten_ones_are_not_called(void **state)
{
    struct kit *kit = *state;
    struct xn_now now = {1000, 0};
    char a[] = "a";
    uint64_t ta = xn_ticket(kit->tickets, 300, note, kit, a, &kit->out);

    assert_ptr_equal(xn_ticket_forget(kit->tickets, ta), a);
    assert_null(xn_ticket_forget(kit->tickets, ta));
    xn_tickets_run(kit->tickets, &now, &kit->out);
    assert_string_equal(kit->log, "");
}

static void again(void *owner, void *ctx, const struct xn_now *now, int rc,
                  struct xn_msg *msg, struct xn_out *out)
{
    struct kit *kit = owner;
    unsigned *left = ctx;

    (void)rc, (void)msg;
    if (--*left == 0) return;
    xn_ticket(kit->tickets, now->mono_us + 10, again, kit, left, out);
}

static void an_end_may_start_another(void **state)
{
    struct kit *kit = *state;
    struct xn_now now = {0, 0};
    unsigned left = 5;

    xn_ticket(kit->tickets, 0, again, kit, &left, &kit->out);
    while (xn_tickets_count(kit->tickets)) {
        now.mono_us = xn_tickets_next(kit->tickets);
        xn_tickets_run(kit->tickets, &now, &kit->out);
    }
    assert_int_equal(left, 0);
    assert_int_equal(now.mono_us, 40);
}

struct due {
    uint64_t deadline_us;
    bool ended;
};

static uint64_t last_deadline;

static void in_order(void *owner, void *ctx, const struct xn_now *now, int rc,
                     struct xn_msg *msg, struct xn_out *out)
{
    struct due *due = ctx;

    (void)owner, (void)msg, (void)out;
    due->ended = true;
    if (rc != XN_ETIMEOUT) return;
    assert_true(due->deadline_us >= last_deadline);
    assert_true(due->deadline_us <= now->mono_us);
    last_deadline = due->deadline_us;
}

/* Random starts, ends, postponements: all end once, deadlines in order. */
static void a_heap_under_random_use(void **state)
{
    enum { N = 2000 };
    struct kit *kit = *state;
    struct due *dues = calloc(N, sizeof *dues);
    uint64_t tickets[N];
    struct xn_now now = {0, 0};
    struct xn_rng rng;
    size_t i;

    assert_non_null(dues);
    xn_rng_seed(&rng, 3);
    for (i = 0; i < N; i++) {
        dues[i].deadline_us = xn_rng_below(&rng, 1000);
        tickets[i] = xn_ticket(kit->tickets, dues[i].deadline_us, in_order,
                               NULL, &dues[i], &kit->out);
    }
    for (i = 0; i < N; i += 3) {
        dues[i].deadline_us = xn_rng_below(&rng, 1000);
        xn_ticket_postpone(kit->tickets, tickets[i], dues[i].deadline_us);
    }
    for (i = 1; i < N; i += 7) {
        xn_ticket_end(kit->tickets, tickets[i], &now, 0, NULL, &kit->out);
    }
    last_deadline = 0;
    for (now.mono_us = 0; now.mono_us < 1000; now.mono_us += 37) {
        xn_tickets_run(kit->tickets, &now, &kit->out);
    }
    now.mono_us = 1000;
    xn_tickets_run(kit->tickets, &now, &kit->out);
    for (i = 0; i < N; i++)
        assert_true(dues[i].ended);
    assert_int_equal(xn_tickets_count(kit->tickets), 0);
    free(dues);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ends_by_done_or_by_deadline_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(forgotten_ones_are_not_called, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_end_may_start_another, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_heap_under_random_use, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
