/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Host agent and XenoCorp against each other: one session from its quote to its
 * end, with the agent killed behind each of its actions in turn, with calls that
 * are lost or come twice, with a XenoCorp that is restarted.  At the end, always:
 * one session for the order, nothing held, and the corp's books say what the
 * agent says. */
#include <stdio.h>

#include "lib/err.h"
#include "tests/unit/market_kit.h"
#include "wire/store.pb-c.h"

#define USED_US (45 * SECOND_US)
#define ROUNDS_MAX 4000

enum dying {
    DIES_SILENT, /* what it had asked for never happens */
    DIES_DOING,  /* all of it happens, and nobody hears of it */
};

struct run {
    struct market *m;
    unsigned served, kill_at, kills; /* the number behind which it dies */
    enum dying dying;
    uint64_t create, stop; /* tickets; 0: not asked */
    bool running, ended;
};

static void die(struct run *r)
{
    if (r->dying == DIES_DOING) market_finish_pending(r->m);
    market_restart(r->m);
    r->create = r->stop = 0; /* connections are gone */
    r->kills++;
}

/* An answer to that question, if there is one: is it a session? */
static bool heard(struct run *r, uint64_t *ask, Xn__SessionState *state_out)
{
    struct market *m = r->m;
    Xn__HostSession *session;
    const Xn__Answer *answer;

    *state_out = XN__SESSION_STATE__SESSION_NONE;
    if (!*ask) return false;
    for (size_t i = 0; i < m->h.n_pending; i++) {
        const struct xn_action *act = &m->h.pending[i];

        if (act->kind != XN_ACT_ANSWER || act->ticket != *ask) continue;
        answer = XN_BODY(act->msg, Xn__Answer);
        if (answer->status != 200) {
            market_refused(m, *ask, NULL); /* asked again */
        } else {
            session = market_session(m, *ask);
            *state_out = session->state;
            xn__host_session__free_unpacked(session, NULL);
        }
        *ask = 0;
        return true;
    }
    return false;
}

/* The client: the same words until they were heard. */
static void client(struct run *r)
{
    struct market *m = r->m;
    Xn__SessionState state;

    if (!r->running) {
        if (heard(r, &r->create, &state) &&
            state >= XN__SESSION_STATE__SESSION_RUNNING) {
            r->running = true;
            return;
        }
        if (!r->create) r->create = market_ask_create(m);
        return;
    }
    if (r->ended || m->h.now.wall_us < NOW_US + USED_US) return;
    if (heard(r, &r->stop, &state) &&
        state >= XN__SESSION_STATE__SESSION_ENDING) {
        r->ended = true;
        return;
    }
    if (!r->stop) r->stop = market_ask_stop(m, &m->s.client, &m->s.client);
}

static bool is_over(struct run *r)
{
    struct market *m = r->m;
    uint64_t ask;
    char query[8 + XN_ID_HEX], hex[XN_ID_HEX];
    Xn__SessionState state;

    if (!r->ended) return false;
    xn_id_hex(&m->session, hex);
    snprintf(query, sizeof query, "session=%s", hex);
    ask = market_ask(m, "GET", "/v1/sessions", query, NULL, &m->operator);
    heard(r, &ask, &state);
    return state == XN__SESSION_STATE__SESSION_ENDED;
}

/* One action after the other; where none waits, time goes by. */
static void run(struct run *r)
{
    struct market *m = r->m;

    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        client(r);
        if (market_serve_one(m)) {
            if (++r->served == r->kill_at) die(r);
        } else if (is_over(r)) {
            return;
        } else {
            crank_pass(&m->s.c, SECOND_US);
            shop_serve(&m->s);
            crank_pass(&m->h, SECOND_US);
        }
    }
    fail_msg("it does not end; killed behind action %u", r->kill_at);
}

/* Sessions on record with the corp. */
static size_t bound(const struct market *m)
{
    return shop_records(&m->s, 'S');
}

static void check_end(struct run *r, int64_t least)
{
    struct market *m = r->m;
    char memory[48], cpu[48];
    int64_t fenced = -1, charged = market_charged(m);

    assert_int_equal(bound(m), 1);
    assert_int_equal(deal_fate(&m->s, &m->d, &fenced),
                     XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(fenced, 0);
    assert_true(charged >= least);
    assert_int_equal(shop_balance(&m->s), 1000LL * GBP - charged);
    shop_audit(&m->s);
    market_free(m, memory, cpu);
    assert_string_equal(memory, "4096");
    assert_string_equal(cpu, "8000");
    /* Again after a restart. */
    market_restart(m);
    market_serve(m);
    assert_int_equal(market_charged(m), charged);
}

static struct run begin(const char *setup)
{
    struct run r = {.m = market_open(setup, "0.1")};

    market_quote(r.m, "<EnvironmentalRequirements><Resources>"
                      "<MemoryMB>512</MemoryMB></Resources>"
                      "<QoS><CPUsmps>1000</CPUsmps></QoS>"
                      "</EnvironmentalRequirements>");
    market_order(r.m, 1, 10 * GBP);
    return r;
}

/* 0.1 GBP an hour and 0.36 for the CPU: at least 129 micro-units a second. */
static void dies_everywhere(enum dying dying)
{
    unsigned kills, at = 1;

    do {
        struct run r = begin("0.01");

        r.kill_at = at;
        r.dying = dying;
        run(&r);
        check_end(&r, 10000 + 129 * 40);
        kills = r.kills;
        market_close(r.m);
        at++;
    } while (kills);
    assert_true(at > 40);
}

static void killed_before_it_is_done(void **state)
{
    dies_everywhere(DIES_SILENT);
}

static void killed_when_it_is_done(void **state)
{
    dies_everywhere(DIES_DOING);
}

static void bad_network(void **state)
{
    for (unsigned seed = 0; seed < 12; seed++) {
        struct run r = begin(NULL);

        xn_rng_seed(&r.m->rng, seed);
        r.m->lose_there = 20;
        r.m->lose_back = 30;
        r.m->twice = 30;
        r.kill_at = 10 + 7 * seed;
        run(&r);
        check_end(&r, 129 * 40);
        market_close(r.m);
    }
}

/* The corp dies between calls, and once while it works on one. */
static void corp_dies(void **state)
{
    for (unsigned at = 1; at < 40; at += 3) {
        struct run r = begin(NULL);
        struct market *m = r.m;

        for (unsigned i = 0; i < ROUNDS_MAX; i++) {
            client(&r);
            if (market_serve_one(m)) {
                if (++r.served % at == 0) shop_restart(&m->s);
            } else if (is_over(&r)) {
                break;
            } else {
                market_pass(m, SECOND_US);
            }
        }
        check_end(&r, 129 * 40);
        market_close(m);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_before_it_is_done),
        cmocka_unit_test(killed_when_it_is_done),
        cmocka_unit_test(bad_network),
        cmocka_unit_test(corp_dies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
