/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Charges at a whole xenocorpd: signed claims over HTTPS, each answered by a
 * signed receipt.
 *
 *   charges_api XENOCORPD CORP-DIR WORK-DIR CLIENTS SECONDS */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load.h"
#include "lib/err.h"
#include "net/clock.h"
#include "tests/soak/crowd.h"

enum { SAMPLES = 1 << 20 };

/* A session's claims may come so fast, and no more: others want orders of their
 * own, all issued and accepted before anything is measured. */
#define CLAIMS 60
#define WARM_US 1000000
#define RATE_MAX 1500 /* a second: more than any machine so far */

struct bench;

struct sale { /* an order that is claimed from */
    struct paper order, narrowing, acceptance;
    struct claim_terms terms;
    struct claim_state state;
    unsigned claims;
};

struct seller { /* one claim at a time, from one sale after the other */
    struct bench *bench;
    const struct net_identity *server;
    struct sale *sales;
    unsigned at;
    struct paper claim;
    uint64_t sent_us;
};

struct bench {
    struct market m;
    struct corpd corpd;
    struct crowd *crowd;
    struct paper quotes[MARKET_SERVERS_MAX];
    struct seller *sellers;
    unsigned clients, sales; /* of each */
    uint64_t seconds, from_us, to_us, server_us, self_us;
    uint32_t *us;
    size_t n;
};

static void ask(const struct bench *b, const struct net_identity *as,
                const char *path, const void *message, struct xn_buf *out)
{
    char why[200];
    int rc = market_ask(&b->m, as, "POST", path, message, out, why, sizeof why);

    if (rc) die("%s: %s: %s", path, xn_strerror(rc), why);
}

static void buy(struct bench *b, struct sale *sale, uint64_t number)
{
    xn_id word = word_of('o', number);
    Xn__IssueOrder want = XN__ISSUE_ORDER__INIT;
    Xn__IssuedOrder *order;
    struct xn_buf out;

    xn_buf_init(&out, 1 << 20);
    want.request = xn_id_bytes(&word);
    want.currency = (char *)(uintptr_t) "GBP";
    want.amount = GBP;
    want.until_us = net_wall_us() + 24 * HOUR_US;
    ask(b, &b->m.clients[0], "/v1/orders", &want, &out);
    order = xn__issued_order__unpack(NULL, out.len, out.data);
    if (!order) die("issue: not understood");
    paper_open(&b->m, MONEY_ORDER, order->order, &sale->order);
    xn__issued_order__free_unpacked(order, NULL);
    xn_buf_clear(&out);
}

static void bind_order(struct bench *b, struct sale *sale, unsigned server,
                       uint64_t number)
{
    const struct paper *quote = &b->quotes[server];
    xn_id session = word_of('s', number);
    Xn__Validate want = XN__VALIDATE__INIT;
    Xn__Validated *validated;
    ProtobufCBinaryData last;
    struct xn_buf out;

    xn_buf_init(&out, 1 << 20);
    paper_narrow(&b->m, &sale->order, quote, &b->m.clients[0],
                 &sale->narrowing);
    last = paper_bytes(&sale->narrowing);
    want.order = paper_bytes(&sale->order);
    want.quote = paper_bytes(quote);
    want.narrowings = &last;
    want.n_narrowings = 1;
    want.session = xn_id_bytes(&session);
    ask(b, &b->m.servers[server], "/v1/validate", &want, &out);
    validated = xn__validated__unpack(NULL, out.len, out.data);
    if (!validated) die("validate: not understood");
    paper_open(&b->m, MONEY_ACCEPTANCE, validated->acceptance,
               &sale->acceptance);
    xn__validated__free_unpacked(validated, NULL);
    xn_buf_clear(&out);
    paper_terms(&sale->order, &sale->narrowing, quote, &sale->acceptance,
                &sale->terms);
    claim_begin(&sale->terms, &sale->state);
}

static void charge(struct seller *seller);
static void on_end(void *ctx);

/* What the claim left behind; a receipt is checked by those who get it, which
 * is not what is measured. */
static void charged(void *ctx, int rc, ProtobufCBinaryData body,
                    const char *why)
{
    struct seller *seller = ctx;
    struct sale *sale = &seller->sales[seller->at];
    struct bench *b = seller->bench;
    uint64_t now_us = net_mono_us();

    if (rc) die("charge: %s: %s", xn_strerror(rc), why);
    if (b->from_us && !b->to_us && b->n < SAMPLES)
        b->us[b->n++] = (uint32_t)(now_us - seller->sent_us);
    claim_taken(&seller->claim.doc.claim, &sale->state);
    if (++sale->claims == CLAIMS) seller->at++;
    if (seller->at < b->sales) {
        charge(seller);
    } else { /* sold out: what was measured so far is what there is */
        if (!b->from_us) die("all was sold before it was warm");
        on_end(b);
    }
}

static void charge(struct seller *seller)
{
    struct sale *sale = &seller->sales[seller->at];
    Xn__Charge want = XN__CHARGE__INIT;
    uint8_t *body = NULL;
    size_t len;

    paper_free(&seller->claim);
    paper_claim(&sale->terms, &sale->state, 1000 * (sale->claims + 1),
                MONEY_RUNNING, "measuring", seller->server, &seller->claim);
    want.claim = paper_bytes(&seller->claim);
    if (xn_pack(&want, &body, &len)) die("out of memory");
    seller->sent_us = net_mono_us();
    crowd_ask(seller->bench->crowd, seller->server, "/v1/charge", body, len,
              charged, seller);
    free(body);
}

static void on_end(void *ctx)
{
    struct bench *b = ctx;

    if (b->to_us) return;
    b->server_us = bench_cpu_of_server(b->corpd.pid) - b->server_us;
    b->self_us = bench_cpu_of_self() - b->self_us;
    b->to_us = net_mono_us();
    crowd_stop(b->crowd);
}

static void on_warm(void *ctx)
{
    struct bench *b = ctx;

    b->server_us = bench_cpu_of_server(b->corpd.pid);
    b->self_us = bench_cpu_of_self();
    b->from_us = net_mono_us();
    crowd_later(b->crowd, b->seconds * 1000000, on_end, b);
}

static void open_seller(struct bench *b, unsigned i)
{
    struct seller *seller = &b->sellers[i];

    seller->bench = b;
    seller->server = &b->m.servers[i / CROWD_SEAT];
    seller->sales = calloc(b->sales, sizeof *seller->sales);
    if (!seller->sales) die("out of memory");
    for (unsigned k = 0; k < b->sales; k++) {
        uint64_t number = (uint64_t)i * b->sales + k;

        buy(b, &seller->sales[k], number);
        bind_order(b, &seller->sales[k], i / CROWD_SEAT, number);
    }
}

static void open_all(struct bench *b, const char *corp, const char *work)
{
    unsigned servers = (b->clients + CROWD_SEAT - 1) / CROWD_SEAT, i;

    b->sales =
        (unsigned)((b->seconds + 1) * RATE_MAX / CLAIMS / b->clients) + 2;
    if (!corpd_start(&b->corpd, "alpha.example", NULL)) die("no xenocorpd");
    market_open(&b->m, corp, work, 1, servers);
    market_pay_in(&b->m, &b->m.clients[0].cert.id,
                  (int64_t)b->clients * b->sales * GBP);
    for (i = 0; i < servers; i++)
        paper_quote(&b->m, &b->m.servers[i], &b->quotes[i]);
    for (i = 0; i < b->clients; i++)
        open_seller(b, i);
    b->crowd = crowd_new(&b->m);
}

static void report(struct bench *b)
{
    if (b->n == 0) die("no charge was done");
    bench_sort(b->us, b->n);
    printf("xenocorpd %u %.3f %zu %u %u %llu %llu 0\n", b->clients,
           (double)(b->to_us - b->from_us) / 1e6, b->n, b->us[b->n / 2],
           b->us[b->n - 1 - b->n / 100], (unsigned long long)b->server_us,
           (unsigned long long)b->self_us);
}

int main(int argc, char **argv)
{
    static struct bench b;
    unsigned i;

    if (argc != 6) return 2;
    signal(SIGPIPE, SIG_IGN);
    b.m.program = "charges_api";
    b.corpd = (struct corpd){.program = argv[1], .dir = argv[2], .m = &b.m};
    b.clients = (unsigned)strtoul(argv[4], NULL, 10);
    b.seconds = strtoull(argv[5], NULL, 10);
    if (b.clients < 1 || b.clients > MARKET_SERVERS_MAX * CROWD_SEAT ||
        b.seconds < 1) {
        return 2;
    }
    b.sellers = calloc(b.clients, sizeof *b.sellers);
    b.us = malloc(SAMPLES * sizeof *b.us);
    if (!b.sellers || !b.us) die("out of memory");
    open_all(&b, argv[2], argv[3]);
    for (i = 0; i < b.clients; i++)
        charge(&b.sellers[i]);
    crowd_later(b.crowd, WARM_US, on_warm, &b);
    crowd_run(b.crowd);
    report(&b);
    corpd_kill(&b.corpd, SIGTERM);
    market_close(&b.m);
    return 0;
}
