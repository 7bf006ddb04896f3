/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clients and servers trade at a real xenocorpd over HTTPS, at least 50
 * questions under way at any time, while it is killed again and again; what
 * they were told is held against what it answers later and against its books.
 *
 *   corp_kill kill|power|full ROUNDS SEED XENOCORPD XENOCORP CORP-DIR WORK-DIR
 *
 * kill: SIGKILL at random moments, now and then while it starts.
 * power: of what was written since the last fsync any sectors are there:
 *        POWERCUT names the library that does it (powercut.c).
 * full: its files may not grow any more; then they may again.
 *
 * Whoever got no answer asks again with the same bytes, and now and then
 * somebody who did: he must get the very same answer.  corp_books.c has the
 * judge. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utlist.h>

#include "corp/order_file.h"
#include "lib/err.h"
#include "net/clock.h"
#include "tests/soak/corp_books.h"
#include "tests/soak/crowd.h"

enum {
    CLIENTS = 5,
    SERVERS = 6,
    FLIGHT = 72,
    LEAST = 50,
    SALES = 160, /* begun and not ended */
    KEPT = 512,  /* answered ones that may be asked again */
};

struct sale;

/* One question: always the same bytes. */
struct op {
    struct soak *soak;
    struct sale *sale; /* NULL: a payment */
    struct book_op *book;
    const struct net_identity *as;
    const char *path;
    uint8_t *body;
    size_t len;
    xn_id answer; /* hash; once it is answered */
    bool flying, answered, refused;
    struct op *prev, *next; /* of those that wait to be asked (again) */
};

struct sale {
    struct soak *soak;
    uint64_t number;
    unsigned client, server;
    struct paper order, narrowing, acceptance, claim;
    struct claim_terms terms;
    struct claim_state state;
    xn_id serial;
    int64_t paid;
    unsigned claims, claims_most;
    bool races; /* void and validate at once */
    bool voids, stops, ends;
    unsigned left; /* answers that the step waits for */
    bool accepted, is_void;
};

struct soak {
    struct market m;
    struct corpd corpd;
    struct crowd *crowd;
    struct books *books;
    const char *mode, *tool;
    struct xn_rng rng;
    uint64_t rounds, round;
    struct paper quotes[SERVERS];
    struct op *waiting; /* to be asked, oldest first */
    struct op *kept[KEPT];
    uint64_t n_kept;
    uint64_t sales, payments;
    unsigned n_sales;   /* under way */
    uint64_t answers;   /* since the last start */
    uint64_t strike_at; /* of answers; then the end comes */
    bool striking, closing;
    bool limited, room; /* full: its files are limited; are not any more */
    uint64_t full_before, acknowledged_before;
    uint64_t in_flight_least, acknowledged, refused, lost, repeated, full,
        early;
};

static uint64_t below(struct soak *soak, uint64_t n)
{
    return xn_rng_below(&soak->rng, n);
}

/* ---- questions ---- */

static struct op *new_op(struct soak *soak, struct sale *sale,
                         enum book_what what, const struct net_identity *as,
                         const char *path, const void *message)
{
    struct op *op = calloc(1, sizeof *op);

    if (!op || xn_pack(message, &op->body, &op->len)) die("out of memory");
    op->soak = soak;
    op->sale = sale;
    op->as = as;
    op->path = path;
    op->book = books_expect(soak->books, what);
    DL_APPEND(soak->waiting, op);
    return op;
}

static void free_op(struct op *op)
{
    free(op->body);
    free(op);
}

/* What was answered may be asked again for a while. */
static void keep(struct soak *soak, struct op *op)
{
    size_t at = (size_t)(soak->n_kept++ % KEPT);
    struct op *old = soak->kept[at];

    op->sale = NULL;
    soak->kept[at] = op;
    if (!old) return;
    if (old->flying) {
        soak->kept[at] = old; /* the new one goes instead */
        old = op;
    }
    free_op(old);
}

static void sale_goes_on(struct sale *sale, struct op *op,
                         ProtobufCBinaryData body);

static bool is_unknown(int rc)
{
    return rc == XN_EUNREACH || rc == XN_ETIMEOUT || rc == XN_EUNKNOWN ||
           rc == XN_EBUSY;
}

/* Balances go on while a payment is asked again. */
static bool answers_alike(const struct op *op)
{
    return op->book->what != BOOK_PAY;
}

static void again(struct op *op, int rc, ProtobufCBinaryData body,
                  const char *why)
{
    xn_id hash;

    if (is_unknown(rc)) return;
    if (rc == XN_ENOSPC || rc == XN_EIO) {
        op->soak->full++;
        return;
    }
    if ((rc != 0) != op->refused)
        die("%s: told otherwise at last: %s", op->path, why);
    op->soak->repeated++;
    xn_id_hash(body.data, body.len, &hash);
    if (!rc && answers_alike(op) && !xn_id_eq(&hash, &op->answer))
        die("%s: another answer", op->path);
}

static void pump(struct soak *soak);

static void on_answer(void *ctx, int rc, ProtobufCBinaryData body,
                      const char *why)
{
    struct op *op = ctx;
    struct soak *soak = op->soak;

    op->flying = false;
    soak->answers++;
    if (op->answered) {
        again(op, rc, body, why);
    } else if (is_unknown(rc)) {
        soak->lost++;
        DL_PREPEND(soak->waiting, op);
    } else if (rc == XN_ENOSPC || rc == XN_EIO) {
        if (strcmp(soak->mode, "full") != 0) die("%s: %s", op->path, why);
        soak->full++;
        DL_APPEND(soak->waiting, op);
    } else {
        op->answered = true;
        op->refused = rc != 0;
        op->book->told = rc ? BOOK_REFUSED : BOOK_DONE;
        if (rc && !(rc == XN_EMONEY && op->sale && op->sale->races))
            die("%s: %s: %s", op->path, xn_strerror(rc), why);
        xn_id_hash(body.data, body.len, &op->answer);
        soak->acknowledged += !rc;
        soak->refused += rc != 0;
        if (op->sale) sale_goes_on(op->sale, op, body);
        keep(soak, op);
    }
    pump(soak);
}

static void send(struct op *op)
{
    op->flying = true;
    crowd_ask(op->soak->crowd, op->as, op->path, op->body, op->len, on_answer,
              op);
}

/* ---- a sale, step by step ---- */

static const struct net_identity *client_of(const struct sale *sale)
{
    return &sale->soak->m.clients[sale->client];
}

static const struct net_identity *server_of(const struct sale *sale)
{
    return &sale->soak->m.servers[sale->server];
}

static void pay_in(struct soak *soak, unsigned client, int64_t micro)
{
    Xn__PayIn pay = XN__PAY_IN__INIT;
    const xn_id *id = &soak->m.clients[client].cert.id;
    xn_id word = word_of('p', soak->payments++), account;
    struct op *op;

    pay.client = xn_id_bytes(id);
    pay.currency = (char *)(uintptr_t) "GBP";
    pay.micro = micro;
    pay.request = xn_id_bytes(&word);
    op = new_op(soak, NULL, BOOK_PAY, &soak->m.staff, "/v1/accounts", &pay);
    order_account(&soak->m.corp.id, LEDGER_CLIENT, id, "GBP", &account);
    order_op_id(&account, ledger_what_name(LEDGER_PAY_IN), word.b,
                sizeof word.b, &op->book->id);
    op->book->to = account;
    op->book->micro = pay.micro;
    books_add(soak->books, op->book);
}

/* The serial is drawn by the corp, but not by chance: corp/issue.c. */
static void serial_of(const struct sale *sale, const xn_id *word, xn_id *out)
{
    static const char lead[] = "xn.order.1";
    uint8_t parts[2 * XN_ID_SIZE];

    memcpy(parts, sale->soak->m.corp.id.b, XN_ID_SIZE);
    memcpy(parts + XN_ID_SIZE, client_of(sale)->cert.id.b, XN_ID_SIZE);
    xn_id_hash2(lead, sizeof lead, parts, sizeof parts, out);
    xn_id_hash2(out->b, XN_ID_SIZE, word->b, XN_ID_SIZE, out);
}

static void client_account(const struct sale *sale, xn_id *out)
{
    order_account(&sale->soak->m.corp.id, LEDGER_CLIENT,
                  &client_of(sale)->cert.id, "GBP", out);
}

static void begin_sale(struct soak *soak)
{
    Xn__IssueOrder want = XN__ISSUE_ORDER__INIT;
    struct sale *sale = calloc(1, sizeof *sale);
    uint64_t dice = below(soak, 100);
    struct op *op;
    xn_id word;

    if (!sale) die("out of memory");
    sale->soak = soak;
    sale->number = soak->sales++;
    sale->client = (unsigned)below(soak, CLIENTS);
    sale->server = (unsigned)below(soak, SERVERS);
    sale->voids = dice < 10;
    sale->races = dice >= 10 && dice < 25;
    sale->stops = below(soak, 3) == 0;
    sale->ends = below(soak, 4) != 0;
    sale->claims_most = 1 + (unsigned)below(soak, 4);
    word = word_of('o', sale->number);
    want.request = xn_id_bytes(&word);
    want.currency = (char *)(uintptr_t) "GBP";
    want.amount = 100000 + (int64_t)below(soak, GBP);
    want.until_us = net_wall_us() + 24 * HOUR_US;
    op = new_op(soak, sale, BOOK_ISSUE, client_of(sale), "/v1/orders", &want);
    serial_of(sale, &word, &sale->serial);
    order_op_id(&sale->serial, "issue", NULL, 0, &op->book->id);
    client_account(sale, &op->book->from);
    op->book->to = sale->serial;
    op->book->micro = want.amount;
    books_add(soak->books, op->book);
    soak->n_sales++;
    sale->left = 1;
}

static void end_sale(struct sale *sale)
{
    sale->soak->n_sales--;
    paper_free(&sale->order);
    paper_free(&sale->narrowing);
    paper_free(&sale->acceptance);
    paper_free(&sale->claim);
    free(sale);
}

static void ask_void(struct sale *sale)
{
    Xn__VoidOrder want = XN__VOID_ORDER__INIT;
    struct op *op;

    want.serial = xn_id_bytes(&sale->serial);
    op =
        new_op(sale->soak, sale, BOOK_VOID, client_of(sale), "/v1/void", &want);
    order_op_id(&sale->serial, "void", NULL, 0, &op->book->id);
    op->book->from = sale->serial;
    client_account(sale, &op->book->to);
    op->book->micro = sale->order.doc.order.limits.amount;
    books_add(sale->soak->books, op->book);
    sale->left++;
}

static void ask_validate(struct sale *sale)
{
    struct soak *soak = sale->soak;
    const struct paper *quote = &soak->quotes[sale->server];
    xn_id session = word_of('s', sale->number), more[3];
    Xn__Validate want = XN__VALIDATE__INIT;
    ProtobufCBinaryData last;
    struct op *op;

    paper_narrow(&soak->m, &sale->order, quote, client_of(sale),
                 &sale->narrowing);
    last = paper_bytes(&sale->narrowing);
    want.order = paper_bytes(&sale->order);
    want.quote = paper_bytes(quote);
    want.narrowings = &last;
    want.n_narrowings = 1;
    want.session = xn_id_bytes(&session);
    op =
        new_op(soak, sale, BOOK_ACCEPT, server_of(sale), "/v1/validate", &want);
    more[0] = server_of(sale)->cert.id;
    more[1] = session;
    more[2] = sale->narrowing.doc.head.hash;
    order_op_id(&sale->serial, "accept", more, sizeof more, &op->book->id);
    op->book->from = sale->serial;
    order_account(&soak->m.corp.id, LEDGER_SERVER, &more[0], "GBP",
                  &op->book->to);
    op->book->micro = 1000; /* setting up is prepaid */
    books_add(soak->books, op->book);
    sale->left++;
}

/* The last one closes the order: what is left goes back. */
static void ask_charge(struct sale *sale)
{
    struct soak *soak = sale->soak;
    bool final = sale->ends && sale->claims + 1 >= sale->claims_most;
    Xn__Charge want = XN__CHARGE__INIT;
    struct op *op;
    int64_t amount;

    paper_free(&sale->claim);
    paper_claim(&sale->terms, &sale->state, 1000 * (sale->claims + 1),
                final ? MONEY_FINAL : MONEY_RUNNING, "soaking", server_of(sale),
                &sale->claim);
    amount = sale->claim.doc.claim.amount;
    want.claim = paper_bytes(&sale->claim);
    op = new_op(soak, sale, BOOK_CHARGE, server_of(sale), "/v1/charge", &want);
    order_op_id_nth(&sale->serial, "claim", sale->claims + 1, &op->book->id);
    op->book->from = sale->serial;
    order_account(&soak->m.corp.id, LEDGER_SERVER, &server_of(sale)->cert.id,
                  "GBP", &op->book->to);
    op->book->micro = amount > sale->paid ? amount - sale->paid : 0;
    sale->paid += op->book->micro;
    if (final) {
        client_account(sale, &op->book->back);
        op->book->rest = sale->terms.amount - sale->paid;
    }
    books_add(soak->books, op->book);
    sale->claims++;
    sale->left++;
}

static void ask_stop(struct sale *sale)
{
    Xn__StopOrder want = XN__STOP_ORDER__INIT;
    struct paper stop = {.doc.type = MONEY_STOP};
    struct op *op;

    sale->stops = false;
    stop.doc.head.issued_us = net_wall_us();
    stop.doc.stop.narrowing = sale->narrowing.doc.head.hash;
    paper_seal(&stop, client_of(sale));
    want.serial = xn_id_bytes(&sale->serial);
    want.stop = paper_bytes(&stop);
    op =
        new_op(sale->soak, sale, BOOK_STOP, client_of(sale), "/v1/stop", &want);
    order_op_id(&sale->serial, "stop", NULL, 0, &op->book->id);
    books_add(sale->soak->books, op->book);
    paper_free(&stop);
    sale->left++;
}

/* ---- what came of a step ---- */

static void take_order(struct sale *sale, ProtobufCBinaryData body)
{
    Xn__IssuedOrder *order =
        xn__issued_order__unpack(NULL, body.len, body.data);

    if (!order) die("issue: not understood");
    paper_open(&sale->soak->m, MONEY_ORDER, order->order, &sale->order);
    xn__issued_order__free_unpacked(order, NULL);
    if (!xn_id_eq(&sale->order.doc.order.serial, &sale->serial))
        die("issue: another serial");
}

static void take_acceptance(struct sale *sale, ProtobufCBinaryData body)
{
    Xn__Validated *validated = xn__validated__unpack(NULL, body.len, body.data);

    if (!validated) die("validate: not understood");
    paper_open(&sale->soak->m, MONEY_ACCEPTANCE, validated->acceptance,
               &sale->acceptance);
    xn__validated__free_unpacked(validated, NULL);
    paper_terms(&sale->order, &sale->narrowing,
                &sale->soak->quotes[sale->server], &sale->acceptance,
                &sale->terms);
    claim_begin(&sale->terms, &sale->state);
    sale->paid = sale->acceptance.doc.acceptance.prepaid;
    sale->accepted = true;
}

static void take_receipt(struct sale *sale, const struct op *op,
                         ProtobufCBinaryData body)
{
    Xn__Charged *charged = xn__charged__unpack(NULL, body.len, body.data);
    struct paper receipt = {.data = NULL};
    struct claim_state after;
    struct money_refusal why;

    if (!charged) die("charge: not understood");
    paper_open(&sale->soak->m, MONEY_RECEIPT, charged->receipt, &receipt);
    xn__charged__free_unpacked(charged, NULL);
    if (op->book->what == BOOK_CHARGE) {
        claim_taken(&sale->claim.doc.claim, &after);
        if (claim_receipted(&sale->terms, &sale->claim.doc.head.hash,
                            &sale->state, &after, &receipt.doc.receipt, &why))
            die("a false receipt: %s", why.text);
        sale->state = after;
    }
    paper_free(&receipt);
}

static void next_step(struct sale *sale)
{
    if (sale->races && sale->accepted == sale->is_void)
        die("an order both %s",
            sale->is_void ? "void and accepted" : "not void and not accepted");
    if (sale->is_void || sale->state.final ||
        sale->claims == sale->claims_most) {
        end_sale(sale);
        return;
    }
    if (sale->claims && sale->stops) {
        ask_stop(sale);
        if (!sale->ends || sale->claims + 1 < sale->claims_most)
            ask_charge(sale); /* at the same time */
        return;
    }
    ask_charge(sale);
}

static void sale_goes_on(struct sale *sale, struct op *op,
                         ProtobufCBinaryData body)
{
    if (!op->refused) {
        switch (op->book->what) {
        case BOOK_ISSUE: take_order(sale, body); break;
        case BOOK_ACCEPT: take_acceptance(sale, body); break;
        case BOOK_VOID: sale->is_void = true; break;
        default: take_receipt(sale, op, body);
        }
    }
    if (--sale->left) return;
    if (sale->soak->closing) {
        end_sale(sale);
        return;
    }
    if (op->book->what == BOOK_ISSUE) {
        if (sale->voids || sale->races) ask_void(sale);
        if (!sale->voids) ask_validate(sale);
        return;
    }
    next_step(sale);
}

/* ---- load ---- */

/* Nobody waits for a connection: what is under way has been sent. */
static struct op *next_op(struct soak *soak)
{
    struct op *op;

    DL_FOREACH(soak->waiting, op)
    {
        if (crowd_flying(soak->crowd, op->as) < CROWD_SEAT) return op;
    }
    return NULL;
}

/* One that has been answered: the same bytes again. */
static bool ask_again(struct soak *soak)
{
    uint64_t n = soak->n_kept < KEPT ? soak->n_kept : KEPT;
    struct op *op = n ? soak->kept[below(soak, n)] : NULL;

    if (!op || op->flying || crowd_flying(soak->crowd, op->as) >= CROWD_SEAT) {
        return false;
    }
    send(op);
    return true;
}

static void strike(void *ctx);

static void maybe_strike(struct soak *soak)
{
    if (soak->striking || soak->closing || soak->answers < soak->strike_at)
        return;
    soak->striking = true;
    crowd_later(soak->crowd, below(soak, 6000), strike, soak);
}

/* One more under way; false: there is nothing that could be. */
static bool send_one(struct soak *soak)
{
    struct op *op;

    if (!soak->closing && below(soak, 12) == 0 && ask_again(soak)) return true;
    op = next_op(soak);
    if (op) {
        DL_DELETE(soak->waiting, op);
        send(op);
        return true;
    }
    if (soak->closing) return false;
    if (below(soak, 8) == 0) {
        pay_in(soak, (unsigned)below(soak, CLIENTS),
               1 + (int64_t)below(soak, 3 * GBP));
        return true;
    }
    if (soak->n_sales == SALES) return false;
    begin_sale(soak);
    return true;
}

static void check_life(struct soak *soak);

static void pump(struct soak *soak)
{
    check_life(soak);
    while (crowd_flying(soak->crowd, NULL) < FLIGHT && send_one(soak))
        ;
    maybe_strike(soak);
    if (soak->closing && !crowd_flying(soak->crowd, NULL) && !soak->waiting)
        crowd_stop(soak->crowd);
}

/* ---- death ---- */

static void set_number(const char *name, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    setenv(name, text, 1);
}

static bool is_mode(const struct soak *soak, const char *mode)
{
    return strcmp(soak->mode, mode) == 0;
}

/* Often so early that what the last cut left is being undone. */
static void set_powercut(struct soak *soak)
{
    const char *library = getenv("POWERCUT");
    bool on = is_mode(soak, "power") && !soak->closing;

    if (on && !library) die("where is POWERCUT?");
    soak->corpd.preload = on ? library : NULL;
    if (!on) return;
    set_number("POWERCUT_AT", 1 + below(soak, below(soak, 2) ? 40 : 500));
    set_number("POWERCUT_SEED", below(soak, 1U << 30));
}

static void next_strike(struct soak *soak)
{
    soak->answers = 0;
    soak->strike_at =
        is_mode(soak, "power") ? UINT64_MAX : FLIGHT + below(soak, 120);
    soak->striking = false;
}

/* It may be killed before it has said a word, too. */
static void start_again(struct soak *soak)
{
    const struct net_identity *asker = &soak->m.clients[0];

    soak->closing = soak->round >= soak->rounds;
    if (is_mode(soak, "kill") && below(soak, 8) == 0) {
        corpd_start_and_die(&soak->corpd, below(soak, 60000));
        soak->early++;
    }
    set_powercut(soak);
    while (!corpd_start(&soak->corpd, NULL, asker)) {
        if (!is_mode(soak, "power")) die("it does not start again");
        soak->round++;
        soak->early++;
        soak->closing = soak->round >= soak->rounds;
        set_powercut(soak);
    }
    next_strike(soak);
}

static void end_of_round(struct soak *soak)
{
    soak->round++;
    if (soak->round % 50 == 0 || soak->round >= soak->rounds)
        books_judge(soak->books, soak->tool, soak->corpd.dir);
    start_again(soak);
}

/* The power is cut from within. */
static void check_life(struct soak *soak)
{
    if (!soak->corpd.preload || !corpd_is_gone(&soak->corpd)) return;
    end_of_round(soak);
}

static void strike_dead(struct soak *soak)
{
    unsigned n = crowd_flying(soak->crowd, NULL);

    if (n < LEAST) {
        soak->striking = false; /* the next answer brings the next chance */
        return;
    }
    if (!soak->in_flight_least || n < soak->in_flight_least)
        soak->in_flight_least = n;
    corpd_kill(&soak->corpd, SIGKILL);
    end_of_round(soak);
}

/* ---- a full disk ---- */

static uint64_t store_size(const struct soak *soak)
{
    char path[500];
    struct stat st;

    snprintf(path, sizeof path, "%s/store.kct", soak->corpd.dir);
    if (stat(path, &st)) die("no store");
    return (uint64_t)st.st_size;
}

static void limit_files(const struct soak *soak, rlim_t bytes)
{
    struct rlimit limit = {bytes, RLIM_INFINITY};

    if (prlimit(soak->corpd.pid, RLIMIT_FSIZE, &limit, NULL))
        die("cannot limit its files");
}

/* To a little more than there is; where that suffices for long, to less. */
static void take_room(struct soak *soak)
{
    uint64_t size = store_size(soak);

    if (!soak->limited) {
        limit_files(soak, size + below(soak, 1 << 15));
        soak->full_before = soak->full;
        soak->limited = true;
    } else if (soak->full == soak->full_before) {
        limit_files(soak, size / 2);
    }
}

/* And it goes on, without a restart. */
static void give_room(struct soak *soak)
{
    limit_files(soak, RLIM_INFINITY);
    soak->acknowledged_before = soak->acknowledged;
    soak->room = true;
}

static void strike_full(struct soak *soak)
{
    if (!soak->limited || soak->full < soak->full_before + FLIGHT) {
        take_room(soak);
    } else if (!soak->room) {
        give_room(soak);
    } else if (soak->acknowledged > soak->acknowledged_before + 2 * FLIGHT) {
        soak->limited = soak->room = false;
        strike_dead(soak);
        return;
    }
    next_strike(soak);
}

static void strike(void *ctx)
{
    struct soak *soak = ctx;

    if (is_mode(soak, "full")) {
        strike_full(soak);
    } else {
        strike_dead(soak);
    }
}

/* ---- begin and end ---- */

static void furnish(struct soak *soak)
{
    soak->closing = true;
    for (unsigned i = 0; i < CLIENTS; i++)
        pay_in(soak, i, 1000000LL * GBP);
    pump(soak);
    crowd_run(soak->crowd);
    soak->closing = false;
}

/* What the XenoCorp says at the end is what is in its books. */
static void compare_balances(struct soak *soak)
{
    int64_t said[CLIENTS];
    char why[300];

    for (unsigned i = 0; i < CLIENTS; i++) {
        struct xn_buf out;
        Xn__Account *account;

        xn_buf_init(&out, 1 << 20);
        if (market_ask(&soak->m, &soak->m.clients[i], "GET",
                       "/v1/accounts?currency=GBP", NULL, &out, why,
                       sizeof why))
            die("balance: %s", why);
        account = xn__account__unpack(NULL, out.len, out.data);
        if (!account) die("balance: not understood");
        said[i] = account->balance;
        xn__account__free_unpacked(account, NULL);
        xn_buf_clear(&out);
    }
    corpd_kill(&soak->corpd, SIGKILL);
    books_judge(soak->books, soak->tool, soak->corpd.dir);
    for (unsigned i = 0; i < CLIENTS; i++) {
        xn_id account;

        order_account(&soak->m.corp.id, LEDGER_CLIENT,
                      &soak->m.clients[i].cert.id, "GBP", &account);
        if (books_balance(soak->books, &account) != said[i])
            die("client %u has another balance in the books", i);
    }
}

static void report(const struct soak *soak, uint64_t us)
{
    printf("%llu deaths, each with %llu operations under way at least, %llu "
           "more while it started; in %llu s\n",
           (unsigned long long)soak->round,
           (unsigned long long)soak->in_flight_least,
           (unsigned long long)soak->early, (unsigned long long)us / 1000000);
    printf("%llu operations acknowledged, %llu refused, %llu answers lost, "
           "%llu asked again once answered, %llu found the disk full; %llu "
           "in the books\n",
           (unsigned long long)soak->acknowledged,
           (unsigned long long)soak->refused, (unsigned long long)soak->lost,
           (unsigned long long)soak->repeated, (unsigned long long)soak->full,
           (unsigned long long)books_seen(soak->books));
    corpd_report(&soak->corpd);
}

static void clear(struct soak *soak)
{
    for (size_t i = 0; i < KEPT; i++) {
        if (soak->kept[i]) free_op(soak->kept[i]);
    }
    for (unsigned i = 0; i < SERVERS; i++)
        paper_free(&soak->quotes[i]);
    crowd_free(soak->crowd);
    books_free(soak->books);
    market_close(&soak->m);
}

int main(int argc, char **argv)
{
    static struct soak soak;
    uint64_t from_us = net_mono_us();

    if (argc != 8) return 2;
    signal(SIGPIPE, SIG_IGN);
    soak.m.program = "corp_kill";
    soak.mode = argv[1];
    soak.rounds = strtoull(argv[2], NULL, 10);
    soak.tool = argv[5];
    soak.corpd =
        (struct corpd){.program = argv[4], .dir = argv[6], .m = &soak.m};
    xn_rng_seed(&soak.rng, strtoull(argv[3], NULL, 10));
    if (!corpd_start(&soak.corpd, "alpha.example", NULL)) die("no xenocorpd");
    market_open(&soak.m, argv[6], argv[7], CLIENTS, SERVERS);
    soak.books = books_new(&soak.m.corp.id);
    for (unsigned i = 0; i < SERVERS; i++)
        paper_quote(&soak.m, &soak.m.servers[i], &soak.quotes[i]);
    soak.crowd = crowd_new(&soak.m);
    furnish(&soak);
    corpd_kill(&soak.corpd, SIGKILL);
    start_again(&soak);
    pump(&soak);
    crowd_run(soak.crowd);
    compare_balances(&soak);
    report(&soak, net_mono_us() - from_us);
    clear(&soak);
    return 0;
}
