/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders that are presented to two to ten servers at the same time, many of
 * them at once, at a real xenocorpd that is killed again and again.  Whoever
 * was told nothing asks again with the same bytes.  Of each order's servers
 * exactly one may be accepted; all others must be told that it is taken, also
 * when everybody asks once more after the next restart; and the one claims all,
 * twice over.
 *
 *   order_race XENOCORPD CORP-DIR WORK-DIR ROUNDS EVERY SEED
 *
 * EVERY: so many rounds between deaths. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "lib/err.h"
#include "net/clock.h"
#include "tests/soak/crowd.h"

enum {
    SERVERS = 10,
    AT_ONCE = CROWD_SEAT, /* so that none waits for a connection */
};

enum verdict { OPEN, ACCEPTED, TAKEN };

struct entrant { /* a server that presents the order */
    struct round *round;
    const struct net_identity *server;
    struct paper narrowing;
    uint8_t *body;
    size_t len;
    enum verdict verdict;
    xn_id answer; /* hash of it */
};

struct round {
    struct race *race;
    uint64_t number;
    struct paper order;
    uint8_t *issue;
    size_t issue_len;
    struct entrant entrants[SERVERS];
    unsigned n, told; /* entrants, and how many know */
    bool again;       /* they ask once more */
    struct entrant *winner;
    struct paper claim;
    uint8_t *charge;
    size_t charge_len;
    xn_id receipt;
    unsigned receipts;
    struct round *prev, *next;
};

struct race {
    struct market m;
    struct corpd corpd;
    struct crowd *crowd;
    struct xn_rng rng;
    struct paper quotes[SERVERS];
    uint64_t rounds, every, begun, done, die_at, presented;
    struct round *under_way;
    unsigned n_under_way;
    uint64_t deaths, resent, asked;
    bool dying;
};

static void present(struct entrant *e);

/* ---- death ---- */

static bool is_outage(int rc)
{
    return rc == XN_EUNREACH || rc == XN_ETIMEOUT || rc == XN_EUNKNOWN ||
           rc == XN_EBUSY;
}

static void next_death(struct race *race)
{
    race->die_at = race->presented + race->every / 2 +
                   xn_rng_below(&race->rng, race->every);
}

static void strike(void *ctx)
{
    struct race *race = ctx;

    corpd_kill(&race->corpd, SIGKILL);
    race->deaths++;
    if (!corpd_start(&race->corpd, NULL, &race->m.clients[0]))
        die("it does not start again");
    race->dying = false;
    next_death(race);
}

/* An order has just been sent to all of its servers: a moment later. */
static void maybe_die(struct race *race)
{
    if (race->dying || race->presented < race->die_at) return;
    race->dying = true;
    crowd_later(race->crowd, xn_rng_below(&race->rng, 8000), strike, race);
}

/* ---- a round ---- */

static uint8_t *pack(const void *message, size_t *len_out)
{
    uint8_t *bytes = NULL;

    if (xn_pack(message, &bytes, len_out)) die("out of memory");
    return bytes;
}

static void begin_rounds(struct race *race);

static void end_round(struct round *r)
{
    struct race *race = r->race;

    for (unsigned i = 0; i < r->n; i++) {
        paper_free(&r->entrants[i].narrowing);
        free(r->entrants[i].body);
    }
    paper_free(&r->order);
    paper_free(&r->claim);
    free(r->issue);
    free(r->charge);
    DL_DELETE(race->under_way, r);
    free(r);
    race->n_under_way--;
    race->done++;
    begin_rounds(race);
}

static void ask_charge(struct round *r);

static void charged(void *ctx, int rc, ProtobufCBinaryData body,
                    const char *why)
{
    struct round *r = ctx;
    xn_id hash;

    if (is_outage(rc)) {
        r->race->resent++;
        ask_charge(r);
        return;
    }
    if (rc) die("round %llu: charge: %s", (unsigned long long)r->number, why);
    xn_id_hash(body.data, body.len, &hash);
    if (r->receipts && !xn_id_eq(&hash, &r->receipt))
        die("round %llu: another receipt", (unsigned long long)r->number);
    r->receipt = hash;
    if (++r->receipts == 2) {
        end_round(r);
    } else {
        ask_charge(r);
    }
}

static void ask_charge(struct round *r)
{
    crowd_ask(r->race->crowd, r->winner->server, "/v1/charge", r->charge,
              r->charge_len, charged, r);
}

/* What a server does once it has been accepted. */
static void claim_all(struct round *r, ProtobufCBinaryData body)
{
    struct race *race = r->race;
    Xn__Validated *validated = xn__validated__unpack(NULL, body.len, body.data);
    struct paper accepted = {.data = NULL};
    Xn__Charge charge = XN__CHARGE__INIT;
    const struct paper *quote;
    struct claim_terms terms;
    struct claim_state state;

    if (!validated) die("validate: not understood");
    quote = &race->quotes[r->winner->server - race->m.servers];
    paper_open(&race->m, MONEY_ACCEPTANCE, validated->acceptance, &accepted);
    xn__validated__free_unpacked(validated, NULL);
    paper_terms(&r->order, &r->winner->narrowing, quote, &accepted, &terms);
    claim_begin(&terms, &state);
    paper_claim(&terms, &state, 1000, MONEY_FINAL, "a race", r->winner->server,
                &r->claim);
    charge.claim = paper_bytes(&r->claim);
    r->charge = pack(&charge, &r->charge_len);
    paper_free(&accepted);
}

static void all_told(struct round *r)
{
    if (!r->winner)
        die("round %llu: accepted by nobody", (unsigned long long)r->number);
    r->told = 0;
    if (!r->again) {
        r->again = true;
        for (unsigned i = 0; i < r->n; i++)
            present(&r->entrants[i]);
    } else {
        ask_charge(r);
    }
}

static void judge(struct entrant *e, int rc, ProtobufCBinaryData body,
                  const char *why)
{
    struct round *r = e->round;
    enum verdict verdict = rc ? TAKEN : ACCEPTED;
    xn_id hash;

    if (rc && rc != XN_EMONEY)
        die("round %llu: %s", (unsigned long long)r->number, why);
    if (e->verdict != OPEN && e->verdict != verdict)
        die("round %llu: told otherwise", (unsigned long long)r->number);
    e->verdict = verdict;
    if (verdict == TAKEN) return;
    if (r->winner && r->winner != e)
        die("round %llu: accepted twice", (unsigned long long)r->number);
    xn_id_hash(body.data, body.len, &hash);
    if (r->winner && !xn_id_eq(&hash, &e->answer))
        die("round %llu: another acceptance", (unsigned long long)r->number);
    e->answer = hash;
    if (r->winner) return;
    r->winner = e;
    claim_all(r, body);
}

static void validated(void *ctx, int rc, ProtobufCBinaryData body,
                      const char *why)
{
    struct entrant *e = ctx;

    if (is_outage(rc)) {
        e->round->race->resent++;
        present(e);
        return;
    }
    judge(e, rc, body, why);
    if (++e->round->told == e->round->n) all_told(e->round);
}

static void present(struct entrant *e)
{
    e->round->race->asked++;
    crowd_ask(e->round->race->crowd, e->server, "/v1/validate", e->body, e->len,
              validated, e);
}

static void prepare(struct round *r, unsigned i, unsigned server)
{
    struct race *race = r->race;
    struct entrant *e = &r->entrants[i];
    Xn__Validate want = XN__VALIDATE__INIT;
    xn_id session = word_of('s', r->number << 8 | server);
    ProtobufCBinaryData last;

    e->round = r;
    e->server = &race->m.servers[server];
    paper_narrow(&race->m, &r->order, &race->quotes[server],
                 &race->m.clients[0], &e->narrowing);
    last = paper_bytes(&e->narrowing);
    want.order = paper_bytes(&r->order);
    want.quote = paper_bytes(&race->quotes[server]);
    want.narrowings = &last;
    want.n_narrowings = 1;
    want.session = xn_id_bytes(&session);
    e->body = pack(&want, &e->len);
}

static void ask_issue(struct round *r);

static void issued(void *ctx, int rc, ProtobufCBinaryData body, const char *why)
{
    struct round *r = ctx;
    struct race *race = r->race;
    Xn__IssuedOrder *order;
    unsigned first = (unsigned)xn_rng_below(&race->rng, SERVERS);

    if (is_outage(rc)) {
        race->resent++;
        ask_issue(r);
        return;
    }
    if (rc) die("round %llu: issue: %s", (unsigned long long)r->number, why);
    order = xn__issued_order__unpack(NULL, body.len, body.data);
    if (!order) die("issue: not understood");
    paper_open(&race->m, MONEY_ORDER, order->order, &r->order);
    xn__issued_order__free_unpacked(order, NULL);
    r->n = 2 + (unsigned)xn_rng_below(&race->rng, SERVERS - 1);
    for (unsigned i = 0; i < r->n; i++)
        prepare(r, i, (first + i) % SERVERS);
    for (unsigned i = 0; i < r->n; i++)
        present(&r->entrants[i]);
    race->presented++;
    maybe_die(race);
}

static void ask_issue(struct round *r)
{
    crowd_ask(r->race->crowd, &r->race->m.clients[0], "/v1/orders", r->issue,
              r->issue_len, issued, r);
}

static void begin_rounds(struct race *race)
{
    while (race->n_under_way < AT_ONCE && race->begun < race->rounds) {
        struct round *r = calloc(1, sizeof *r);
        Xn__IssueOrder want = XN__ISSUE_ORDER__INIT;
        xn_id word = word_of('r', race->begun);

        if (!r) die("out of memory");
        r->race = race;
        r->number = race->begun++;
        want.request = xn_id_bytes(&word);
        want.currency = (char *)(uintptr_t) "GBP";
        want.amount = GBP;
        want.until_us = net_wall_us() + 24 * HOUR_US;
        r->issue = pack(&want, &r->issue_len);
        DL_APPEND(race->under_way, r);
        race->n_under_way++;
        ask_issue(r);
    }
    if (race->done == race->rounds) crowd_stop(race->crowd);
}

int main(int argc, char **argv)
{
    static struct race race;
    char client[XN_ID_HEX];
    uint64_t from_us = net_mono_us();

    if (argc != 7) return 2;
    signal(SIGPIPE, SIG_IGN);
    race.m.program = "order_race";
    race.corpd =
        (struct corpd){.program = argv[1], .dir = argv[2], .m = &race.m};
    race.rounds = strtoull(argv[4], NULL, 10);
    race.every = strtoull(argv[5], NULL, 10);
    xn_rng_seed(&race.rng, strtoull(argv[6], NULL, 10));
    if (!corpd_start(&race.corpd, "alpha.example", NULL)) die("no xenocorpd");
    market_open(&race.m, argv[2], argv[3], 1, SERVERS);
    market_pay_in(&race.m, &race.m.clients[0].cert.id,
                  (int64_t)race.rounds * GBP);
    for (unsigned i = 0; i < SERVERS; i++)
        paper_quote(&race.m, &race.m.servers[i], &race.quotes[i]);
    race.crowd = crowd_new(&race.m);
    next_death(&race);
    begin_rounds(&race);
    crowd_run(race.crowd);
    xn_id_hex(&race.m.clients[0].cert.id, client);
    printf("client %s\n", client);
    printf("%llu orders accepted once each, of %llu askings and %llu again "
           "after %llu deaths, in %llu s\n",
           (unsigned long long)race.done, (unsigned long long)race.asked,
           (unsigned long long)race.resent, (unsigned long long)race.deaths,
           (unsigned long long)(net_mono_us() - from_us) / 1000000);
    corpd_report(&race.corpd);
    crowd_free(race.crowd);
    corpd_kill(&race.corpd, SIGKILL);
    for (unsigned i = 0; i < SERVERS; i++)
        paper_free(&race.quotes[i]);
    market_close(&race.m);
    return 0;
}
