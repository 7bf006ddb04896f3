/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One ad by its id, from copies that are near or far, silent, empty or lying;
 * and when a further one is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/race.h"
#include "lib/err.h"
#include "tests/unit/xis_kit.h"

enum { COPIES = 5, NEAR = 3 };

#define MS 1000ULL
#define V1 (1700000000 * SEC)

struct copy {
    int rc;
    bool silent;
    const Xn__SignedAd *ad; /* NULL: it has none */
    struct rd_expect expect;
    unsigned asked;
    uint64_t asked_us;
    rd_found *fn;
    void *owner, *ctx;
};

struct bench {
    struct kit *ads;
    struct rd *rd;
    struct xn_tickets *tickets;
    struct xn_rng rng;
    struct xn_out out;
    struct xn_now now;
    struct copy copies[COPIES];
    unsigned enough;
    Xn__SignedAd *good, *altered, *other;
    Xn__SearchResult *result;
};

static void answer_copy(struct bench *b, uint32_t i, rd_found *fn, void *owner,
                        void *ctx)
{
    const struct copy *copy = &b->copies[i];
    Xn__Found found = XN__FOUND__INIT;
    Xn__SignedAd *row = (Xn__SignedAd *)(uintptr_t)copy->ad;
    struct xn_msg *msg = NULL;
    xn_id from = {{0xc0, (uint8_t)i}};

    found.ads = &row;
    found.n_ads = row != NULL;
    assert_int_equal(xn_msg_new(XN__KIND__FOUND, &found, &msg), 0);
    fn(owner, ctx, &b->now, copy->rc, copy->rc ? NULL : msg, &from, i, &b->out);
    xn_msg_free(msg);
}

static void ask(void *user, const struct xn_now *now, const Xn__Find *find,
                uint32_t i, uint64_t deadline_us, rd_found *fn, void *owner,
                void *ctx, struct xn_out *out)
{
    struct bench *b = user;
    struct copy *copy = &b->copies[i];

    (void)out, (void)deadline_us;
    assert_int_equal(find->server.len, XN_ID_SIZE);
    assert_memory_equal(find->token, "_server.", 8);
    copy->asked++;
    copy->asked_us = now->mono_us;
    copy->fn = fn;
    copy->owner = owner;
    copy->ctx = ctx;
    if (!copy->silent) answer_copy(b, i, fn, owner, ctx);
}

static void expect(void *user, const struct xn_now *now, const Xn__Find *find,
                   uint32_t i, struct rd_expect *expect_out)
{
    (void)now, (void)find;
    *expect_out = ((struct bench *)user)->copies[i].expect;
}

static void enough(void *user, const void *ctx)
{
    struct bench *b = user;
    uint32_t i;

    b->enough++;
    for (i = 0; i < COPIES; i++) {
        if (b->copies[i].ctx == ctx) b->copies[i].fn = NULL;
    }
}

/* Copy i is i + 1 times `ms` away, and late after half as much again. */
static void place(struct bench *b, uint32_t ms)
{
    uint32_t i;

    for (i = 0; i < COPIES; i++) {
        b->copies[i] = (struct copy){.ad = b->good};
        b->copies[i].expect.rtt_us = (i + 1) * ms * 1000;
        b->copies[i].expect.late_us = (i + 1) * ms * 1500;
    }
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    const struct rd_index index = {b,        ask,    COPIES, NEAR,
                                   LEASE_US, expect, enough, NULL};
    struct kit_ad ad;

    if (!b) return -1;
    b->ads = kit_new(1, 3);
    b->now = b->ads->net->now;
    ad = kit_ad(b->ads, 1, V1);
    b->good = kit_seal(b->ads, &ad);
    b->altered = kit_seal(b->ads, &ad);
    b->altered->envelope.data[b->altered->envelope.len / 2] ^= 1;
    ad = kit_ad(b->ads, 2, V1);
    b->other = kit_seal(b->ads, &ad);
    xn_rng_seed(&b->rng, 1);
    xn_out_init(&b->out);
    *state = b;
    place(b, 10);
    if (xn_tickets_new(&b->tickets)) return -1;
    return rd_new(&index, &b->rng, b->tickets, &b->rd);
}

static void forget(struct bench *b)
{
    if (b->result) xn__search_result__free_unpacked(b->result, NULL);
    b->result = NULL;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    forget(b);
    rd_free(b->rd);
    xn_tickets_free(b->tickets, NULL);
    xn_out_clear(&b->out);
    kit_unseal(b->good);
    kit_unseal(b->altered);
    kit_unseal(b->other);
    kit_free(b->ads);
    free(b);
    return 0;
}

/* Carries out what was asked for, until nothing is. */
static void perform(struct bench *b)
{
    while (b->out.n) {
        struct xn_action act = b->out.act[0];
        struct xn_msg *kept = xn_msg_ref(act.msg), *msg = NULL;

        assert_int_equal(b->out.n, 1); /* one thing after another */
        xn_out_reset(&b->out);
        if (act.kind == XN_ACT_ANSWER) {
            const Xn__Answer *answer = XN_BODY(kept, Xn__Answer);

            assert_int_equal(answer->status, 200);
            assert_null(b->result);
            b->result = xn__search_result__unpack(NULL, answer->body.len,
                                                  answer->body.data);
        } else {
            int rc = sim_verify(1, b->now.wall_us + 1000 * SEC,
                                XN_BODY(kept, Xn__Verify), &msg);

            xn_ticket_end(b->tickets, act.ticket, &b->now, rc, msg, &b->out);
            xn_msg_free(msg);
        }
        xn_msg_free(kept);
    }
}

static void pass(struct bench *b, uint64_t us)
{
    uint64_t until_us = b->now.mono_us + us;

    while (xn_tickets_next(b->tickets) <= until_us) {
        uint64_t next_us = xn_tickets_next(b->tickets);

        if (next_us > b->now.mono_us) b->now.mono_us = next_us;
        xn_tickets_run(b->tickets, &b->now, &b->out);
        perform(b);
    }
    b->now.mono_us = until_us;
}

static void get(struct bench *b, uint32_t within_ms)
{
    Xn__Get request = XN__GET__INIT;
    xn_id id;

    forget(b);
    kit_server_id(1, &id);
    request.server = xn_id_bytes(&id);
    request.within_ms = within_ms;
    rd_get(b->rd, &b->now, 7, &request, &b->out);
    perform(b);
}

/* To nobody, where another one came first. */
static void late_answer(struct bench *b, uint32_t i)
{
    if (!b->copies[i].fn) return;
    answer_copy(b, i, b->copies[i].fn, b->copies[i].owner, b->copies[i].ctx);
    perform(b);
}

static unsigned asked(const struct bench *b)
{
    unsigned sum = 0, i;

    for (i = 0; i < COPIES; i++)
        sum += b->copies[i].asked;
    return sum;
}

static void got(const struct bench *b, uint8_t copy)
{
    assert_non_null(b->result);
    assert_int_equal(b->result->n_hits, 1);
    assert_int_equal(b->result->hits[0]->source.data[1], copy);
    assert_int_equal(b->result->hits[0]->ad->envelope.len,
                     b->good->envelope.len);
    assert_memory_equal(b->result->hits[0]->ad->envelope.data,
                        b->good->envelope.data, b->good->envelope.len);
}

static void the_nearest_alone_is_asked(void **state)
{
    struct bench *b = *state;

    b->copies[1].expect.rtt_us = 1000;
    get(b, 0);
    got(b, 1);
    assert_int_equal(asked(b), 1);
    pass(b, 20 * SEC);
    assert_int_equal(asked(b), 1);
    assert_int_equal(b->enough, 0);
    assert_int_equal(rd_searches(b->rd), 0);
}

static void the_next_is_asked_when_it_is_late(void **state)
{
    struct bench *b = *state;

    b->copies[0].silent = true;
    get(b, 0);
    pass(b, 14 * MS);
    assert_null(b->result);
    assert_int_equal(asked(b), 1);
    pass(b, 2 * MS);
    got(b, 1);
    assert_int_equal(asked(b), 2);
    assert_int_equal(b->enough, 1);
    assert_null(b->copies[0].fn); /* nobody waits for it any more */
    assert_int_equal(xn_tickets_count(b->tickets), 0);
    assert_int_equal(rd_stats(b->rd)->hedged, 1);
}

static void a_late_answer_may_come_first(void **state)
{
    struct bench *b = *state;

    b->copies[0].silent = b->copies[1].silent = true;
    get(b, 0);
    pass(b, 16 * MS);
    assert_int_equal(asked(b), 2);
    late_answer(b, 0);
    got(b, 0);
    late_answer(b, 1);
}

/* For each that is late another one, though the second is not late yet. */
static void each_late_one_is_replaced(void **state)
{
    struct bench *b = *state;

    place(b, 100);
    b->copies[0].silent = b->copies[1].silent = true;
    get(b, 0);
    pass(b, 149 * MS);
    assert_int_equal(asked(b), 2);
    pass(b, 2 * MS);
    got(b, 2);
    late_answer(b, 0);
    late_answer(b, 1);
}

/* What has failed is late no more: the one in its place has its own time. */
static void who_failed_is_not_late(void **state)
{
    struct bench *b = *state;

    b->copies[0].silent = b->copies[1].silent = true;
    get(b, 0);
    pass(b, 5 * MS);
    b->copies[0].ad = NULL;
    late_answer(b, 0);
    assert_int_equal(asked(b), 2);
    pass(b,
         25 * MS); /* the first would be late after 15, the second is at 35 */
    assert_int_equal(asked(b), 2);
    pass(b, 10 * MS);
    got(b, 2);
    late_answer(b, 1);
}

/* Far away a second is asked after 50 ms, before the first is late. */
static void nobody_waits_long(void **state)
{
    struct bench *b = *state;

    place(b, 100);
    b->copies[0].silent = true;
    get(b, 0);
    pass(b, 49 * MS);
    assert_int_equal(asked(b), 1);
    pass(b, 2 * MS);
    got(b, 1);
    late_answer(b, 0);
}

static void a_bound_asks_in_time(void **state)
{
    struct bench *b = *state;

    place(b, 20);
    b->copies[0].silent = true;
    get(b, 65); /* the second takes 60 at most */
    pass(b, 4 * MS);
    assert_int_equal(asked(b), 1);
    pass(b, 2 * MS);
    got(b, 1);
    late_answer(b, 0);
    /* Nobody could meet this one: as without. */
    place(b, 20);
    b->copies[0].silent = true;
    get(b, 5);
    pass(b, 29 * MS);
    assert_int_equal(asked(b), 1);
    pass(b, 2 * MS);
    got(b, 1);
    late_answer(b, 0);
}

static void who_has_it_not_is_passed_over(void **state)
{
    struct bench *b = *state;

    b->copies[0].ad = NULL;
    b->copies[1].rc = XN_ENOTYET;
    get(b, 0);
    got(b, 2);
    assert_int_equal(asked(b), 3);
    assert_int_equal(b->result->n_sources, 3);
    assert_int_equal(b->result->sources[0]->n_missing, 1);
}

static void who_lies_is_passed_over(void **state)
{
    struct bench *b = *state;

    b->copies[0].ad = b->altered;
    b->copies[1].ad = b->other;
    get(b, 0);
    got(b, 2);
    assert_int_equal(rd_stats(b->rd)->refuted, 2);
    assert_true(b->result->sources[0]->rc < 0);
    assert_int_equal(b->result->sources[1]->rc, XN_EIDENT);
}

static void where_it_is_not_all_say_so(void **state)
{
    struct bench *b = *state;
    uint32_t i;

    for (i = 0; i < COPIES; i++)
        b->copies[i].ad = NULL;
    get(b, 0);
    assert_int_equal(asked(b), COPIES);
    assert_int_equal(b->result->n_hits, 0);
    assert_int_equal(b->result->answered_ppm, 1000000);
    /* All silent: nobody knows. */
    for (i = 0; i < COPIES; i++)
        b->copies[i].rc = XN_EUNREACH;
    get(b, 0);
    assert_int_equal(b->result->n_hits, 0);
    assert_int_equal(b->result->answered_ppm, 0);
}

/* In bad times: one further copy a get, and a stock of sixteen. */
static void further_copies_are_few(void **state)
{
    struct bench *b = *state;
    unsigned rounds = 100, sum = 0, i;

    while (rounds--) {
        place(b, 10);
        for (i = 0; i < COPIES; i++)
            b->copies[i].silent = true;
        get(b, 0);
        pass(b, 500 * MS);
        sum += asked(b);
        for (i = 0; i < COPIES; i++) {
            if (b->copies[i].asked) late_answer(b, i);
        }
        got(b, 0);
    }
    assert_in_range(sum, 200, 216);
    assert_int_equal(rd_searches(b->rd), 0);
}

/* Nor does a bound that is far away make them more, until it is near. */
static void a_far_bound_costs_nothing(void **state)
{
    struct bench *b = *state;
    unsigned rounds = 100, sum = 0, i;

    while (rounds--) {
        place(b, 10);
        for (i = 0; i < COPIES; i++)
            b->copies[i].silent = true;
        get(b, 1000);
        pass(b, 900 * MS);
        sum += asked(b);
        if (rounds == 0) {
            assert_in_range(asked(b), 1, COPIES - 1);
            i = asked(b);
            pass(b, 99 * MS);
            assert_int_equal(asked(b), i + 1);
        }
        for (i = 0; i < COPIES; i++) {
            if (b->copies[i].asked) late_answer(b, i);
        }
        got(b, 0);
    }
    assert_in_range(sum, 200, 216);
}

static void nonsense_is_refused(void **state)
{
    struct bench *b = *state;
    Xn__Get request = XN__GET__INIT;

    rd_get(b->rd, &b->now, 7, &request, &b->out);
    assert_int_equal(b->out.n, 1);
    assert_int_equal(XN_BODY(b->out.act[0].msg, Xn__Answer)->status, 400);
    xn_out_reset(&b->out);
    assert_int_equal(asked(b), 0);
}

/* A get that is cancelled, or whose node ends, while signatures are checked. */
static void an_end_in_between_leaves_nothing(void **state)
{
    struct bench *b = *state;
    Xn__Get request = XN__GET__INIT;
    xn_id id;

    kit_server_id(1, &id);
    request.server = xn_id_bytes(&id);
    rd_get(b->rd, &b->now, 7, &request, &b->out);
    rd_cancel(b->rd, 7);
    perform(b);
    assert_null(b->result);
    assert_int_equal(rd_searches(b->rd), 0);
    rd_get(b->rd, &b->now, 8, &request, &b->out);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_nearest_alone_is_asked),
        TEST(the_next_is_asked_when_it_is_late),
        TEST(a_late_answer_may_come_first),
        TEST(nobody_waits_long),
        TEST(each_late_one_is_replaced),
        TEST(who_failed_is_not_late),
        TEST(a_bound_asks_in_time),
        TEST(who_has_it_not_is_passed_over),
        TEST(who_lies_is_passed_over),
        TEST(where_it_is_not_all_say_so),
        TEST(further_copies_are_few),
        TEST(a_far_bound_costs_nothing),
        TEST(nonsense_is_refused),
        TEST(an_end_in_between_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
