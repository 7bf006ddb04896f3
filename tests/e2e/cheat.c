/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A dishonest server at a real XenoCorp, over HTTPS: each of its lies must be
 * refused with the reason and the exit code that doc/PROTOCOL.md gives it, and
 * not one micro-unit may move.
 *
 *   cheat URL#ID CORP-DIR WORK-DIR
 *
 * Prints a TAP line for each lie, and behind it the reason's name where the
 * books must have it.  The XenoCorp forgives nothing between clocks:
 * money.slack=0. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/err.h"
#include "net/clock.h"
#include "tests/soak/market.h"

static struct market m;
static unsigned points, failures;

/* A sale that the liar has made. */
struct deal {
    const struct net_identity *server;
    struct paper order, quote, narrowing, acceptance;
    xn_id session;
    struct claim_terms terms;
    struct claim_state state;
};

static void tap(bool good, const char *what, const char *is, int rc)
{
    points++;
    failures += !good;
    printf("%sok %u - %s", good ? "" : "not ", points, what);
    if (!good) printf(" (%s, exit code %d)", is, xn_exit_code(rc));
    printf("\n");
}

/* ---- asking ---- */

/* 0 and the answer, or the refusal's code, with its reason's name. */
static int ask(const struct net_identity *as, const char *path,
               const void *message, struct xn_buf *out, char reason[32])
{
    struct net_reply reply;
    Xn__Refusal *refusal;
    uint8_t *body = NULL;
    char url[200], why[300] = "";
    size_t len;
    int rc;

    memset(&reply, 0, sizeof reply);
    reason[0] = 0;
    if (xn_pack(message, &body, &len)) die("out of memory");
    snprintf(url, sizeof url, "%s%s", m.corp.url, path);
    if (net_request(as, "POST", url, body, len, &m.corp.id, 60000, &reply, why,
                    sizeof why))
        die("%s: %s", path, why);
    rc = 0;
    if (reply.status == 200) {
        if (out) xn_buf_add(out, reply.body.data, reply.body.len);
    } else {
        refusal = xn__refusal__unpack(NULL, reply.body.len, reply.body.data);
        if (!refusal) die("%s: not understood", path);
        rc = refusal->rc;
        snprintf(reason, 32, "%s", refusal->reason);
        xn__refusal__free_unpacked(refusal, NULL);
    }
    net_reply_clear(&reply);
    free(body);
    return rc;
}

static void expect(int rc, const char *reason, enum money_reason want,
                   const char *what)
{
    bool good = strcmp(reason, reason_name(want)) == 0 &&
                xn_exit_code(rc) == xn_exit_code(reason_rc(want)) && rc;

    tap(good, what, reason, rc);
}

/* ---- honest so far ---- */

static void issue(struct deal *d, uint64_t number, int64_t amount,
                  int64_t most_per_hour)
{
    Xn__IssueOrder want = XN__ISSUE_ORDER__INIT;
    xn_id word = word_of('c', number);
    struct xn_buf out;
    Xn__IssuedOrder *issued;
    char reason[32];

    xn_buf_init(&out, 1 << 20);
    want.request = xn_id_bytes(&word);
    want.currency = (char *)(uintptr_t) "GBP";
    want.amount = amount;
    want.most_per_hour = most_per_hour;
    want.until_us = net_wall_us() + HOUR_US;
    if (ask(&m.clients[0], "/v1/orders", &want, &out, reason))
        die("issue: %s", reason);
    issued = xn__issued_order__unpack(NULL, out.len, out.data);
    if (!issued) die("issue: not understood");
    paper_open(&m, MONEY_ORDER, issued->order, &d->order);
    xn__issued_order__free_unpacked(issued, NULL);
    xn_buf_clear(&out);
}

static int validate(struct deal *d, const struct net_identity *as,
                    struct xn_buf *out, char reason[32])
{
    Xn__Validate want = XN__VALIDATE__INIT;
    ProtobufCBinaryData last = paper_bytes(&d->narrowing);

    want.order = paper_bytes(&d->order);
    want.quote = paper_bytes(&d->quote);
    want.narrowings = &last;
    want.n_narrowings = 1;
    want.session = xn_id_bytes(&d->session);
    return ask(as, "/v1/validate", &want, out, reason);
}

static void deal_offer(struct deal *d, uint64_t number, int64_t amount,
                       int64_t most_per_hour)
{
    memset(d, 0, sizeof *d);
    d->server = &m.servers[0];
    d->session = word_of('s', number);
    issue(d, number, amount, most_per_hour);
    paper_quote(&m, d->server, &d->quote);
    paper_narrow(&m, &d->order, &d->quote, &m.clients[0], &d->narrowing);
}

static void deal_open(struct deal *d, uint64_t number, int64_t amount,
                      int64_t most_per_hour)
{
    Xn__Validated *validated;
    struct xn_buf out;
    char reason[32];

    deal_offer(d, number, amount, most_per_hour);
    xn_buf_init(&out, 1 << 20);
    if (validate(d, d->server, &out, reason)) die("validate: %s", reason);
    validated = xn__validated__unpack(NULL, out.len, out.data);
    if (!validated) die("validate: not understood");
    paper_open(&m, MONEY_ACCEPTANCE, validated->acceptance, &d->acceptance);
    xn__validated__free_unpacked(validated, NULL);
    xn_buf_clear(&out);
    paper_terms(&d->order, &d->narrowing, &d->quote, &d->acceptance, &d->terms);
    claim_begin(&d->terms, &d->state);
}

static void deal_clear(struct deal *d)
{
    paper_free(&d->order);
    paper_free(&d->quote);
    paper_free(&d->narrowing);
    paper_free(&d->acceptance);
}

static int charge(const struct paper *claim, const struct net_identity *as,
                  struct xn_buf *receipt_out, char reason[32])
{
    Xn__Charge want = XN__CHARGE__INIT;

    want.claim = paper_bytes(claim);
    return ask(as, "/v1/charge", &want, receipt_out, reason);
}

static void must_charge(struct deal *d, uint64_t used_us,
                        enum money_state ending, struct paper *claim)
{
    char reason[32];

    paper_claim(&d->terms, &d->state, used_us, ending, "honest", d->server,
                claim);
    if (charge(claim, d->server, NULL, reason)) die("charge: %s", reason);
    claim_taken(&claim->doc.claim, &d->state);
}

/* Until the deal has gone on for that long, by the clock. */
static uint64_t let_pass(const struct deal *d, uint64_t us)
{
    const struct timespec pause = {0, 2000000};
    uint64_t now;

    while ((now = net_wall_us()) < d->terms.since_us + us)
        nanosleep(&pause, NULL);
    return now - d->terms.since_us;
}

/* ---- lies ---- */

/* An honest claim, then a word of it changed, and signed once more. */
static void lie(const struct deal *d, uint64_t used_us,
                void (*twist)(struct money_claim *claim),
                enum money_reason want, const char *what)
{
    struct paper claim;
    char reason[32];
    int rc;

    paper_claim(&d->terms, &d->state, used_us, MONEY_RUNNING, "lie", d->server,
                &claim);
    if (twist) {
        twist(&claim.doc.claim);
        paper_seal(&claim, d->server);
    }
    rc = charge(&claim, d->server, NULL, reason);
    expect(rc, reason, want, what);
    printf("# recorded %s\n", reason_name(want));
    paper_free(&claim);
}

static void more_cpu(struct money_claim *claim)
{
    claim->usage.cpu_s = xn_dec_int(3600);
}

static void more_hours(struct money_claim *claim)
{
    claim->usage.hours = xn_dec_int(1);
}

static void another_price(struct money_claim *claim)
{
    claim->amount += 1;
}

static void another_session(struct money_claim *claim)
{
    claim->session.b[0] ^= 1;
}

static void another_currency(struct money_claim *claim)
{
    strcpy(claim->currency, "USD");
}

/* Behind one that the corp has not seen. */
static void later_number(struct money_claim *claim)
{
    claim->sequence++;
    claim->previous.b[0] ^= 1;
}

static void wrong_number(struct money_claim *claim)
{
    claim->sequence++;
}

static void same_number(struct money_claim *claim)
{
    claim->sequence--;
}

static void another_chain(struct money_claim *claim)
{
    claim->previous.b[7] ^= 1;
}

static void ahead_of_time(struct money_claim *claim)
{
    claim->till_us += 600ULL * 1000000;
}

static void less_than_before(struct money_claim *claim)
{
    memset(&claim->usage, 0, sizeof claim->usage);
    claim->amount = 1000;
}

static void lies_of_a_running_deal(void)
{
    struct paper claim;
    struct deal d;

    deal_open(&d, 1, GBP, 0);
    let_pass(&d, 20000);
    lie(&d, 1000, more_cpu, REASON_CLAIM_RATE, "more CPU than time elapsed");
    lie(&d, 1000, more_hours, REASON_CLAIM_RATE, "more hours than elapsed");
    lie(&d, 1000, another_price, REASON_CLAIM_PRICE, "another price");
    lie(&d, 1000, another_session, REASON_CLAIM_SESSION,
        "a session that nobody accepted");
    lie(&d, 1000, another_currency, REASON_CURRENCY, "another currency");
    lie(&d, 1000, later_number, REASON_CLAIM_GAP, "out of sequence: a gap");
    lie(&d, 1000, wrong_number, REASON_CLAIM_CHAIN, "another number");
    lie(&d, 1000, another_chain, REASON_CLAIM_CHAIN, "a chain that is broken");
    lie(&d, 1000, ahead_of_time, REASON_CLAIM_DATE, "dated ahead of time");
    must_charge(&d, 5000, MONEY_RUNNING, &claim);
    paper_free(&claim);
    lie(&d, 6000, same_number, REASON_CLAIM_TWICE,
        "twice: another claim of the same number");
    lie(&d, 6000, less_than_before, REASON_CLAIM_SHRINKS,
        "less than it said before");
    must_charge(&d, 7000, MONEY_RUNNING, &claim);
    paper_free(&claim);
    d.state.sequence--;
    lie(&d, 8000, same_number, REASON_CLAIM_TWICE,
        "another claim of an old number");
    deal_clear(&d);
}

/* The receipt is the one of then; nothing is charged again. */
static void the_same_twice(void)
{
    struct xn_buf first, second;
    struct paper claim;
    struct deal d;
    char reason[32];

    xn_buf_init(&first, 1 << 20);
    xn_buf_init(&second, 1 << 20);
    deal_open(&d, 2, GBP, 0);
    let_pass(&d, 20000);
    paper_claim(&d.terms, &d.state, 5000, MONEY_RUNNING, "twice", d.server,
                &claim);
    if (charge(&claim, d.server, &first, reason) ||
        charge(&claim, d.server, &second, reason))
        die("charge: %s", reason);
    tap(first.len == second.len &&
            memcmp(first.data, second.data, first.len) == 0,
        "the same claim twice gets the one receipt", "", 0);
    paper_free(&claim);
    xn_buf_clear(&first);
    xn_buf_clear(&second);
    deal_clear(&d);
}

static void after_the_end(void)
{
    struct paper claim;
    struct deal d;

    deal_open(&d, 3, GBP, 0);
    let_pass(&d, 20000);
    must_charge(&d, 5000, MONEY_FINAL, &claim);
    lie(&d, 6000, NULL, REASON_CLAIM_FINAL, "more after its last claim");
    paper_free(&claim);
    deal_clear(&d);
}

static void stop(const struct deal *d)
{
    Xn__StopOrder want = XN__STOP_ORDER__INIT;
    struct paper paper = {.doc.type = MONEY_STOP};
    char reason[32];

    paper.doc.head.issued_us = net_wall_us();
    paper.doc.stop.narrowing = d->narrowing.doc.head.hash;
    paper_seal(&paper, &m.clients[0]);
    want.serial = xn_id_bytes(&d->order.doc.order.serial);
    want.stop = paper_bytes(&paper);
    if (ask(&m.clients[0], "/v1/stop", &want, NULL, reason))
        die("stop: %s", reason);
    paper_free(&paper);
}

/* All the time until now, when the stop has been with the XenoCorp for long. */
static void after_a_stop(void)
{
    struct paper claim;
    uint64_t used_us;
    struct deal d;

    deal_open(&d, 4, GBP, 0);
    let_pass(&d, 20000);
    stop(&d);
    used_us = let_pass(&d, net_wall_us() - d.terms.since_us + 20000);
    lie(&d, used_us, NULL, REASON_CLAIM_STOPPED, "usage after a signed stop");
    must_charge(&d, 5000, MONEY_FINAL, &claim);
    tap(true, "what was used before the stop is taken", "", 0);
    paper_free(&claim);
    deal_clear(&d);
}

static void uncapped(struct money_claim *claim)
{
    claim->amount += 11; /* the price of all that */
}

static void above_the_order(void)
{
    struct deal d;

    deal_open(&d, 5, 1000, 0);
    let_pass(&d, 20000);
    lie(&d, 1000, uncapped, REASON_CLAIM_AMOUNT, "above the order's amount");
    deal_clear(&d);
    deal_open(&d, 6, GBP, 1000);
    let_pass(&d, 20000);
    lie(&d, 1000, uncapped, REASON_CLAIM_HOURLY, "above the most per hour");
    deal_clear(&d);
}

/* ---- what is another's ---- */

static void others_order(void)
{
    const struct net_identity *thief = &m.servers[1];
    struct paper claim;
    struct deal d;
    char reason[32];
    int rc;

    deal_open(&d, 7, GBP, 0);
    let_pass(&d, 20000);
    paper_claim(&d.terms, &d.state, 1000, MONEY_RUNNING, "mine", thief, &claim);
    rc = charge(&claim, thief, NULL, reason);
    expect(rc, reason, REASON_CLAIM_SESSION, "for another server's session");
    printf("# recorded %s\n", reason);
    paper_free(&claim);
    paper_claim(&d.terms, &d.state, 1000, MONEY_RUNNING, "his", d.server,
                &claim);
    rc = charge(&claim, thief, NULL, reason);
    expect(rc, reason, REASON_CLAIM_SERVER, "sent by another than its signer");
    printf("# recorded %s\n", reason);
    rc = charge(&claim, &m.clients[0], NULL, reason);
    tap(rc == XN_EPERM, "a client does not charge", reason, rc);
    claim.data[claim.len / 2] ^= 1;
    rc = charge(&claim, d.server, NULL, reason);
    tap(xn_exit_code(rc) == 9, "a claim with a bit flipped", reason, rc);
    paper_free(&claim);
    deal_clear(&d);
}

static void others_papers(void)
{
    const struct net_identity *thief = &m.servers[1];
    struct paper quote = {.data = NULL};
    struct deal d;
    char reason[32];
    int rc;

    deal_offer(&d, 8, GBP, 0);
    rc = validate(&d, thief, NULL, reason);
    expect(rc, reason, REASON_SERVER, "an order for another server");
    quote = d.quote;
    memset(&d.quote, 0, sizeof d.quote);
    paper_quote(&m, d.server, &d.quote);
    d.quote.doc.quote.prices.per_hour = xn_dec_int(99);
    paper_seal(&d.quote, d.server);
    rc = validate(&d, d.server, NULL, reason);
    expect(rc, reason, REASON_QUOTE, "a dearer quote than the signed one");
    paper_free(&quote);
    paper_quote(&m, thief, &quote);
    paper_free(&d.narrowing);
    paper_narrow(&m, &d.order, &quote, thief, &d.narrowing);
    paper_free(&d.quote);
    d.quote = quote;
    rc = validate(&d, thief, NULL, reason);
    tap(xn_exit_code(rc) == 9, "a narrowing by the server itself", reason, rc);
    deal_clear(&d);
}

/* ---- all of it ---- */

static int64_t balance(const struct net_identity *who)
{
    struct xn_buf out;
    Xn__Account *account;
    char why[300] = "";
    int64_t micro;

    xn_buf_init(&out, 1 << 20);
    if (market_ask(&m, who, "GET", "/v1/accounts?currency=GBP", NULL, &out, why,
                   sizeof why))
        die("balance: %s", why);
    account = xn__account__unpack(NULL, out.len, out.data);
    if (!account) die("balance: not understood");
    micro = account->balance;
    xn__account__free_unpacked(account, NULL);
    xn_buf_clear(&out);
    return micro;
}

int main(int argc, char **argv)
{
    /* Four honest claims: of 7, 5, 5 and 5 ms, each with setting up. */
    const int64_t earned = 4 * 1000 + 11 * (7 + 5 + 5 + 5);

    if (argc != 4 || net_corp_parse(argv[1], &m.corp)) return 2;
    m.program = "cheat";
    market_open(&m, argv[2], argv[3], 1, 2);
    market_pay_in(&m, &m.clients[0].cert.id, 100 * GBP);
    lies_of_a_running_deal();
    the_same_twice();
    after_the_end();
    after_a_stop();
    above_the_order();
    others_order();
    others_papers();
    tap(balance(&m.servers[0]) == earned,
        "the liar has what it earned, to the micro-unit", "", 0);
    printf("# balance %lld, earned %lld\n", (long long)balance(&m.servers[0]),
           (long long)earned);
    market_close(&m);
    printf("# points %u\n", points);
    return failures != 0;
}
