/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bills: what a XenoCorp answers, to whom, page by page; and that whoever reads
 * one finds whatever is wrong with it. */
#include "tests/unit/corp_money_kit.h"

#include "corp/order_file.h"
#include "lib/hex.h"
#include "wire/bill.h"
#include "wire/envelope.h"
#include "wire/flat.h"
#include "wire/price.h"

#define PAGE 32

static void *ask_as(struct shop *s, const Xn__Caller *who, const char *path,
                    const char *query, const ProtobufCMessageDescriptor *type)
{
    uint64_t ask = shop_ask_query(s, path, query, who);
    struct xn_msg *msg = NULL;
    const Xn__Answer *answer;
    void *body;

    shop_serve(s);
    answer = crank_answer(&s->c, ask, &msg);
    assert_int_equal(answer->status, 200);
    body = protobuf_c_message_unpack(type, NULL, answer->body.len,
                                     answer->body.data);
    assert_non_null(body);
    xn_msg_free(msg);
    return body;
}

static int refused_as(struct shop *s, const Xn__Caller *who, const char *path,
                      const char *query)
{
    uint64_t ask = shop_ask_query(s, path, query, who);

    shop_serve(s);
    return shop_refused(s, ask, NULL);
}

static const char *query_of(const struct deal *d, unsigned after)
{
    static char query[160];
    char hex[XN_ID_HEX];

    xn_id_hex(&d->serial, hex);
    snprintf(query, sizeof query, "serial=%s", hex);
    if (after) snprintf(query + strlen(query), 32, "&after=%u", after);
    return query;
}

static Xn__Bill *bill_of(struct shop *s, const struct deal *d, unsigned after)
{
    return ask_as(s, &s->client.caller, "/v1/bill", query_of(d, after),
                  &xn__bill__descriptor);
}

static struct bill_view view_of(const struct shop *s, const struct deal *d)
{
    return (struct bill_view){.anchors = s->anchors,
                              .now_us = s->c.now.wall_us,
                              .serial = d->serial,
                              .corp = s->corp_id,
                              .holder = s->client.id};
}

static struct bill_fault fault;

static int judge(const struct shop *s, const struct deal *d,
                 const Xn__Bill *from)
{
    struct bill_view view = view_of(s, d);
    struct bill bill = {.lines = NULL};
    int rc = bill_read(from, &view, &bill, &fault);

    bill_clear(&bill);
    return rc;
}

static void expect_right(const struct shop *s, const struct deal *d,
                         const Xn__Bill *from)
{
    if (judge(s, d, from)) fail_msg("%s: %s", fault.part, fault.text);
}

static void expect_wrong(const struct shop *s, const struct deal *d,
                         const Xn__Bill *from, const char *name)
{
    memset(&fault, 0, sizeof fault);
    if (judge(s, d, from) != XN_EINTEGRITY) fail_msg("%s is taken", name);
    assert_string_not_equal(fault.part, "");
    assert_string_not_equal(fault.text, "");
}

/* Accepted, charged three times, stopped in between. */
static void sell(struct shop *s, struct deal *d, uint8_t word, bool final)
{
    struct shop_doc stop_receipt = {.data = NULL};
    uint64_t ask;

    deal_begin(s, d, word, 2 * GBP, &s->server[0]);
    deal_validate(s, d);
    shop_pass(s, HOUR_US);
    deal_charge(s, d, HOUR_US, MONEY_RUNNING);
    shop_pass(s, HOUR_US);
    deal_charge(s, d, 2 * HOUR_US, MONEY_RUNNING);
    ask = deal_ask_stop(s, d);
    shop_serve(s);
    charged(s, ask, &stop_receipt);
    shop_doc_clear(&stop_receipt);
    if (final) deal_charge(s, d, 2 * HOUR_US, MONEY_FINAL);
}

/* ---- the XenoCorp's answers ---- */

static void whole_bill(void **state)
{
    struct shop *s = *state;
    struct bill bill;
    struct deal d;
    struct bill_view view;
    Xn__Bill *from;

    shop_pay_in(s, 1, 5 * GBP);
    sell(s, &d, 1, true);
    from = bill_of(s, &d, 0);
    view = view_of(s, &d);
    if (bill_read(from, &view, &bill, &fault))
        fail_msg("%s: %s", fault.part, fault.text);
    assert_int_equal(bill.fate, XN__ORDER_FATE__CLOSED_ORDER);
    assert_int_equal(bill.n_lines, 3);
    assert_true(bill.stopped);
    assert_int_equal(bill.charged, bill.state.amount);
    assert_int_equal(bill.charged, shop_earned(s, &s->server[0]));
    assert_int_equal(bill.released + bill.paid, 2 * GBP);
    assert_int_equal(bill.left, 0);
    assert_int_equal(bill.lines[0].receipt.charge, 470000);
    bill_clear(&bill);
    xn__bill__free_unpacked(from, NULL);
    deal_clear(&d);
}

static void who_gets_one(void **state)
{
    struct shop *s = *state;
    struct deal d;
    Xn__Bill *bill;

    deal_ordered(s, &d, GBP);
    assert_int_equal(refused_as(s, &d.by->caller, "/v1/bill", query_of(&d, 0)),
                     XN_ENOENT);
    deal_validate(s, &d);
    bill = ask_as(s, &d.by->caller, "/v1/bill", query_of(&d, 0),
                  &xn__bill__descriptor);
    expect_right(s, &d, bill);
    xn__bill__free_unpacked(bill, NULL);
    bill = ask_as(s, &s->staff, "/v1/bill", query_of(&d, 0),
                  &xn__bill__descriptor);
    expect_right(s, &d, bill);
    xn__bill__free_unpacked(bill, NULL);
    assert_int_equal(
        refused_as(s, &s->stranger.caller, "/v1/bill", query_of(&d, 0)),
        XN_ENOENT);
    assert_int_equal(
        refused_as(s, &s->server[1].caller, "/v1/bill", query_of(&d, 0)),
        XN_ENOENT);
    assert_int_equal(refused_as(s, NULL, "/v1/bill", query_of(&d, 0)),
                     XN_EPERM);
    deal_clear(&d);
}

static void bad_questions(void **state)
{
    static const char *const bad[] = {
        "",
        "serial=",
        "serial=12",
        "after=1",
        "serial="
        "0000000000000000000000000000000000000000000000000000000000000001"
        "&after=x",
        "serial="
        "0000000000000000000000000000000000000000000000000000000000000001"
        "&serial="
        "0000000000000000000000000000000000000000000000000000000000000001",
        "serial="
        "0000000000000000000000000000000000000000000000000000000000000001"
        "&all=1",
    };
    struct shop *s = *state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(refused_as(s, &s->client.caller, "/v1/bill", bad[i]),
                         XN_EINVAL);
    }
}

/* At a page's length, one more, and in the middle of one. */
static void pages(void **state)
{
    struct shop *s = *state;
    Xn__Bill *first, *second;
    struct deal d;

    deal_made(s, &d, 2 * GBP);
    for (unsigned i = 1; i <= PAGE + 1; i++) {
        shop_pass(s, HOUR_US / 100);
        deal_charge(s, &d, i * HOUR_US / 100, MONEY_RUNNING);
        if (i != PAGE) continue;
        first = bill_of(s, &d, 0);
        assert_int_equal(first->n_claims, PAGE);
        assert_false(first->more);
        expect_right(s, &d, first);
        xn__bill__free_unpacked(first, NULL);
    }
    first = bill_of(s, &d, 0);
    assert_int_equal(first->n_claims, PAGE);
    assert_true(first->more);
    expect_wrong(s, &d, first, "a page alone");
    second = bill_of(s, &d, PAGE);
    assert_int_equal(second->n_claims, 1);
    assert_int_equal(second->quote.len, 0);
    assert_false(second->more);
    first->claims = realloc(first->claims, (PAGE + 1) * sizeof(void *));
    first->claims[first->n_claims++] = second->claims[0];
    second->n_claims = 0;
    first->more = 0;
    expect_right(s, &d, first);
    xn__bill__free_unpacked(second, NULL);
    second = bill_of(s, &d, PAGE + 1);
    assert_int_equal(second->n_claims, 0);
    xn__bill__free_unpacked(second, NULL);
    xn__bill__free_unpacked(first, NULL);
    deal_clear(&d);
}

static void not_accepted(void **state)
{
    struct shop *s = *state;
    struct deal d, e;
    Xn__Bill *bill;

    deal_ordered(s, &d, GBP);
    bill = bill_of(s, &d, 0);
    expect_right(s, &d, bill);
    assert_int_equal(bill->fate, XN__ORDER_FATE__ISSUED_ORDER);
    assert_int_equal(bill->released, 0);
    xn__bill__free_unpacked(bill, NULL);
    deal_ask_void(s, &d);
    shop_serve(s);
    bill = bill_of(s, &d, 0);
    expect_right(s, &d, bill);
    assert_int_equal(bill->fate, XN__ORDER_FATE__VOID_ORDER);
    assert_int_equal(bill->released, GBP);
    bill->fate = XN__ORDER_FATE__EXPIRED_ORDER;
    expect_wrong(s, &d, bill, "expired before its end");
    xn__bill__free_unpacked(bill, NULL);

    deal_begin(s, &e, 2, GBP, &s->server[0]);
    shop_pass(s, 101 * HOUR_US); /* its end and the grace */
    bill = bill_of(s, &e, 0);
    assert_int_equal(bill->fate, XN__ORDER_FATE__EXPIRED_ORDER);
    expect_right(s, &e, bill);
    xn__bill__free_unpacked(bill, NULL);
    deal_clear(&d);
    deal_clear(&e);
}

static void prepaid_policy(struct corp_config *config)
{
    config->prepay = corp_prepay_find("setup");
    config->share_ppm = 100000;
}

static void prepaid_bill(void **state)
{
    static struct shop s;
    struct deal d;
    Xn__Bill *bill;

    shop_open(&s, prepaid_policy);
    deal_ordered(&s, &d, GBP);
    /* What the client cuts off is back at once. */
    d.narrowing.doc.narrowing.limits.amount = GBP / 2;
    shop_seal(&d.narrowing, &s.client.party);
    deal_validate(&s, &d);
    bill = bill_of(&s, &d, 0);
    assert_int_equal(bill->released, GBP / 2);
    assert_true(bill->paid > 0);
    assert_int_equal(bill->charged, 0);
    expect_right(&s, &d, bill);
    bill->paid = 0;
    expect_wrong(&s, &d, bill, "paid");
    xn__bill__free_unpacked(bill, NULL);
    deal_clear(&d);
    shop_close(&s);
}

/* ---- a bill that was tampered with ---- */

struct part {
    enum money_type type;
    ProtobufCBinaryData *at;
};

static size_t parts_of(Xn__Bill *bill, struct part *out)
{
    size_t n = 0;

    out[n++] = (struct part){MONEY_ORDER, &bill->order};
    out[n++] = (struct part){MONEY_QUOTE, &bill->quote};
    out[n++] = (struct part){MONEY_ACCEPTANCE, &bill->acceptance};
    for (size_t i = 0; i < bill->n_narrowings; i++)
        out[n++] = (struct part){MONEY_NARROWING, &bill->narrowings[i]};
    for (size_t i = 0; i < bill->n_claims; i++) {
        out[n++] = (struct part){MONEY_CLAIM, &bill->claims[i]->claim};
        out[n++] = (struct part){MONEY_RECEIPT, &bill->claims[i]->receipt};
    }
    if (bill->stop) {
        out[n++] = (struct part){MONEY_STOP, &bill->stop->claim};
        out[n++] = (struct part){MONEY_RECEIPT, &bill->stop->receipt};
    }
    return n;
}

/* Every field of every signed document, altered in place. */
static void altered_fields(void **state)
{
    struct shop *s = *state;
    struct part parts[16];
    struct deal d;
    Xn__Bill *bill;
    size_t n, altered = 0;

    shop_pay_in(s, 1, 5 * GBP);
    sell(s, &d, 1, true);
    bill = bill_of(s, &d, 0);
    n = parts_of(bill, parts);
    assert_int_equal(n, 12);
    for (size_t i = 0; i < n; i++) {
        const struct flat_form *form = money_form(parts[i].type);

        for (size_t j = 0; j < form->n; j++) {
            char open[80];
            uint8_t *at;

            snprintf(open, sizeof open, "<%s>", form->fields[j].name);
            at =
                memmem(parts[i].at->data, parts[i].at->len, open, strlen(open));
            if (!at) continue;
            at += strlen(open);
            *at ^= 1;
            expect_wrong(s, &d, bill, form->fields[j].name);
            *at ^= 1;
            altered++;
        }
    }
    assert_in_range(altered, 90, 200);
    expect_right(s, &d, bill);
    xn__bill__free_unpacked(bill, NULL);
    deal_clear(&d);
}

static void without_a_part(void **state)
{
    struct shop *s = *state;
    struct part parts[16];
    struct deal d;
    Xn__Bill *bill;
    Xn__BillClaim *stop;
    size_t n;

    shop_pay_in(s, 1, 5 * GBP);
    sell(s, &d, 1, true);
    bill = bill_of(s, &d, 0);
    n = parts_of(bill, parts);
    for (size_t i = 0; i < n; i++) {
        ProtobufCBinaryData keep = *parts[i].at;

        *parts[i].at = (ProtobufCBinaryData){0, NULL};
        expect_wrong(s, &d, bill, money_name(parts[i].type));
        *parts[i].at = keep;
        /* Another document in its place. */
        *parts[i].at = *parts[(i + 1) % n].at;
        expect_wrong(s, &d, bill, money_name(parts[i].type));
        *parts[i].at = keep;
    }
    bill->n_claims--;
    expect_wrong(s, &d, bill, "the last claim left out");
    bill->n_claims++;
    bill->n_narrowings--;
    expect_wrong(s, &d, bill, "the narrowing left out");
    bill->n_narrowings++;
    stop = bill->stop;
    bill->stop = NULL; /* the last claim ended it: this the sums cannot tell */
    expect_right(s, &d, bill);
    bill->stop = stop;
    xn__bill__free_unpacked(bill, NULL);
    deal_clear(&d);
}

/* What the XenoCorp says by itself. */
static void altered_numbers(void **state)
{
    struct shop *s = *state;
    struct deal d, e;
    Xn__Bill *bill;

    shop_pay_in(s, 1, 5 * GBP);
    sell(s, &d, 1, true);
    bill = bill_of(s, &d, 0);
    for (int by = -1; by <= 1; by += 2) {
        bill->charged += by;
        expect_wrong(s, &d, bill, "charged");
        bill->charged -= by;
        bill->paid += by;
        expect_wrong(s, &d, bill, "paid");
        bill->paid -= by;
        bill->released += by;
        expect_wrong(s, &d, bill, "released");
        bill->released -= by;
        bill->sequence += (uint64_t)by;
        expect_wrong(s, &d, bill, "sequence");
        bill->sequence -= (uint64_t)by;
    }
    for (int fate = 0; fate < 9; fate++) {
        if (fate == XN__ORDER_FATE__CLOSED_ORDER) continue;
        bill->fate = (Xn__OrderFate)fate;
        expect_wrong(s, &d, bill, "fate");
    }
    xn__bill__free_unpacked(bill, NULL);
    sell(s, &e, 2, false);
    bill = bill_of(s, &e, 0);
    expect_right(s, &e, bill);
    expect_wrong(s, &d, bill, "another serial");
    if (bill->stop) xn__bill_claim__free_unpacked(bill->stop, NULL);
    bill->stop = NULL;
    bill->fate = XN__ORDER_FATE__CLOSED_ORDER;
    bill->released = 2 * GBP - bill->paid;
    expect_wrong(s, &e, bill, "closed before its end");
    xn__bill__free_unpacked(bill, NULL);
    deal_clear(&d);
    deal_clear(&e);
}

static void another_reader(void **state)
{
    struct shop *s = *state;
    struct bill_view view;
    struct bill out;
    struct deal d;
    Xn__Bill *bill;

    shop_pay_in(s, 1, 5 * GBP);
    sell(s, &d, 1, true);
    bill = bill_of(s, &d, 0);
    view = view_of(s, &d);
    view.holder = s->stranger.id;
    assert_int_equal(bill_read(bill, &view, &out, &fault), XN_EINTEGRITY);
    view = view_of(s, &d);
    view.corp = s->stranger.id;
    assert_int_equal(bill_read(bill, &view, &out, &fault), XN_EINTEGRITY);
    /* Years later certificates have ended, and the bill is still right. */
    view = view_of(s, &d);
    view.now_us += 2 * 365 * 24 * HOUR_US;
    assert_int_equal(bill_read(bill, &view, &out, &fault), 0);
    bill_clear(&out);
    /* Dated ahead of the reader. */
    view.now_us = s->c.now.wall_us - 24 * HOUR_US;
    assert_int_equal(bill_read(bill, &view, &out, &fault), XN_EINTEGRITY);
    xn__bill__free_unpacked(bill, NULL);
    deal_clear(&d);
}

/* ---- lies under good signatures ---- */

static void replace(ProtobufCBinaryData *at, struct money *doc,
                    const struct kit_party *by)
{
    struct shop_doc sealed = {.doc = *doc};

    shop_seal(&sealed, by);
    free(at->data);
    *at = shop_bytes(&sealed);
}

static void open_part(const struct shop *s, enum money_type type,
                      const ProtobufCBinaryData *at, struct money *out)
{
    struct money_refusal why;

    if (money_open(type, at->data, at->len, s->anchors, s->c.now.wall_us, out,
                   &why))
        fail_msg("%s", why.text);
}

/* The server and the XenoCorp together: one claim and its receipt are made
 * anew, in `how` another way each time. */
static bool lie(struct shop *s, const struct deal *d, Xn__BillClaim *line,
                int how)
{
    struct money claim, receipt;
    struct money_claim *c = &claim.claim;

    open_part(s, MONEY_CLAIM, &line->claim, &claim);
    open_part(s, MONEY_RECEIPT, &line->receipt, &receipt);
    switch (how) {
    case 0:
        c->amount += 1;
        receipt.receipt.charge += 1;
        receipt.receipt.amount += 1;
        receipt.receipt.left -= 1;
        break;
    case 1: c->usage.cpu_s.v += XN_DEC_ONE; break;
    case 2: c->usage.memory_mb_h.v += 1000 * XN_DEC_ONE; break;
    case 3:
        c->sequence += 1;
        receipt.receipt.sequence += 1;
        break;
    case 4: c->previous.b[0] ^= 1; break;
    case 5:
        c->session.b[0] ^= 1;
        receipt.receipt.session.b[0] ^= 1;
        break;
    case 6: strcpy(c->currency, "USD"); break;
    case 7: c->till_us += 24 * HOUR_US; break;
    case 8: receipt.receipt.charge -= 1; break;
    case 9: receipt.receipt.left += 1; break;
    case 10: receipt.receipt.amount += 1; break;
    case 11: receipt.receipt.head.issued_us -= HOUR_US; break;
    default: return false;
    }
    replace(&line->claim, &claim, &d->by->party);
    if (how < 8) {
        struct money again;

        open_part(s, MONEY_CLAIM, &line->claim, &again);
        receipt.receipt.of = again.head.hash;
    }
    replace(&line->receipt, &receipt, &s->corp);
    return true;
}

static void lies(void **state)
{
    struct shop *s = *state;
    struct deal d;

    shop_pay_in(s, 1, 5 * GBP);
    sell(s, &d, 1, true);
    for (int how = 0;; how++) {
        Xn__Bill *bill = bill_of(s, &d, 0);
        char name[20];
        bool more = lie(s, &d, bill->claims[1], how);

        snprintf(name, sizeof name, "lie %d", how);
        if (more) expect_wrong(s, &d, bill, name);
        xn__bill__free_unpacked(bill, NULL);
        if (!more) break;
    }
    deal_clear(&d);
}

/* ---- the broker's lists ---- */

static void staff_lists(void **state)
{
    struct shop *s = *state;
    Xn__Orders *orders;
    Xn__RefusedClaims *refused;
    struct deal d, e;
    char query[200], holder[XN_ID_HEX], serial[XN_ID_HEX];
    struct shop_doc claim = {.data = NULL};

    deal_ordered(s, &d, GBP);
    deal_begin(s, &e, 2, GBP, &s->server[0]);
    orders = ask_as(s, &s->staff, "/v1/orders", "", &xn__orders__descriptor);
    assert_int_equal(orders->n_orders, 2);
    assert_memory_equal(orders->orders[0]->holder.data, s->client.id.b, 32);
    xn_id_hex(&s->client.id, holder);
    xn_id_hex((const xn_id *)(void *)orders->orders[0]->serial.data, serial);
    xn__orders__free_unpacked(orders, NULL);
    snprintf(query, sizeof query, "after=%s%s", holder, serial);
    orders = ask_as(s, &s->staff, "/v1/orders", query, &xn__orders__descriptor);
    assert_int_equal(orders->n_orders, 1);
    xn__orders__free_unpacked(orders, NULL);
    snprintf(query, sizeof query, "holder=%s", holder);
    orders = ask_as(s, &s->staff, "/v1/orders", query, &xn__orders__descriptor);
    assert_int_equal(orders->n_orders, 2);
    xn__orders__free_unpacked(orders, NULL);
    assert_int_equal(refused_as(s, &s->stranger.caller, "/v1/orders", query),
                     XN_EINVAL);

    deal_validate(s, &d);
    deal_claim(s, &d, 0, MONEY_RUNNING, &claim);
    claim.doc.claim.amount += 1;
    shop_seal(&claim, &d.by->party);
    ask_charge(s, &claim, d.by);
    shop_serve(s);
    refused = ask_as(s, &s->staff, "/v1/refused", "",
                     &xn__refused_claims__descriptor);
    assert_int_equal(refused->n_refused, 1);
    assert_string_equal(refused->refused[0]->reason, "CLAIM_PRICE");
    xn_hex(refused->refused[0]->place.data, 40, query + 6);
    memcpy(query, "after=", 6);
    xn__refused_claims__free_unpacked(refused, NULL);
    refused = ask_as(s, &s->staff, "/v1/refused", query,
                     &xn__refused_claims__descriptor);
    assert_int_equal(refused->n_refused, 0);
    xn__refused_claims__free_unpacked(refused, NULL);
    assert_int_equal(refused_as(s, &s->client.caller, "/v1/refused", ""),
                     XN_EPERM);
    assert_int_equal(
        refused_as(s, &s->client.caller, "/v1/members", "role=client"),
        XN_EPERM);
    assert_int_equal(refused_as(s, &s->staff, "/v1/members", "role=king"),
                     XN_EINVAL);
    assert_int_equal(refused_as(s, &s->staff, "/v1/refused", "after=00"),
                     XN_EINVAL);
    shop_doc_clear(&claim);
    deal_clear(&d);
    deal_clear(&e);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, shop_set_up, shop_tear_down)
    const struct CMUnitTest tests[] = {
        STORY(whole_bill),     STORY(who_gets_one),
        STORY(bad_questions),  STORY(pages),
        STORY(not_accepted),   STORY(altered_fields),
        STORY(without_a_part), STORY(altered_numbers),
        STORY(another_reader), STORY(lies),
        STORY(staff_lists),    cmocka_unit_test(prepaid_bill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
