/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/altered_kit.h"

#include <stdio.h>

#include "wire/envelope.h"

struct shop_doc *stage_doc(struct stage *t, enum piece piece)
{
    switch (piece) {
    case ORDER: return &t->d.order;
    case QUOTE: return &t->d.quote;
    case NARROWING: return &t->d.narrowing;
    case CLAIM: return &t->claim;
    default: return &t->stop;
    }
}

const struct kit_party *stage_signer(const struct stage *t,
                                     enum money_type type)
{
    switch (type) {
    case MONEY_QUOTE:
    case MONEY_CLAIM: return &t->s.server[0].party;
    case MONEY_NARROWING:
    case MONEY_STOP: return &t->s.client.party;
    default: return &t->s.corp;
    }
}

/* ---- what is right ---- */

static void order_full(struct shop *s, struct deal *d, uint8_t word)
{
    uint8_t request[32];
    Xn__IssueOrder want;
    Xn__IssuedOrder *issued;
    uint64_t ask;

    memset(request, word, sizeof request);
    want = shop_order(request, 10 * GBP, NOW_US + 100 * HOUR_US);
    want.most_per_hour = 5 * GBP;
    want.from_us = NOW_US - HOUR_US;
    want.env_type = (char *)(uintptr_t) "Linux";
    want.server = xn_id_bytes(&d->by->id);
    ask = crank_ask(&s->c, "POST", "/v1/orders", &want, &s->client.caller);
    shop_serve(s);
    issued = crank_answered(&s->c, ask, &xn__issued_order__descriptor);
    assert_int_equal(xn_id_from_bytes(&issued->serial, &d->serial), 0);
    shop_take_doc(s, MONEY_ORDER, issued->order, &d->order);
    xn__issued_order__free_unpacked(issued, NULL);
}

static void quote_full(struct stage *t, struct deal *d)
{
    struct money_quote *q = &d->quote.doc.quote;

    d->quote.doc.type = MONEY_QUOTE;
    q->head.issued_us = t->s.c.now.wall_us;
    q->until_us = t->s.c.now.wall_us + HOUR_US;
    q->version = 7;
    strcpy(q->env_type, "Linux");
    strcpy(q->currency, "GBP");
    q->rates =
        (struct money_rates){xn_dec_int(1000), xn_dec_int(512), xn_dec_int(20),
                             xn_dec_int(8), xn_dec_int(1)};
    q->prices.setup.v = XN_DEC_ONE / 100;
    q->prices.per_hour.v = XN_DEC_ONE / 10;
    q->prices.cpu_second.v = XN_DEC_ONE / 10000;
    q->prices.memory_mb_hour.v = XN_DEC_ONE / 100000;
    q->prices.net_gb.v = XN_DEC_ONE / 10;
    q->prices.disk_gb_hour.v = XN_DEC_ONE / 1000;
    shop_seal(&d->quote, &d->by->party);
}

/* Every limit given, each as wide as the order's. */
static void narrow_full(struct stage *t, struct deal *d)
{
    struct money_limits *limits = &d->narrowing.doc.narrowing.limits;

    *limits = d->order.doc.order.limits;
    deal_narrow(&t->s, d);
}

static void deal_full(struct stage *t, struct deal *d, uint8_t word)
{
    memset(d, 0, sizeof *d);
    d->by = &t->s.server[0];
    memset(&d->session, word ^ 0x80, sizeof d->session);
    order_full(&t->s, d, word);
    quote_full(t, d);
    narrow_full(t, d);
}

/* Two hours behind the acceptance, every kind of usage. */
static void claim_full(struct stage *t)
{
    struct price_usage usage = {.hours = xn_dec_int(2),
                                .cpu_s = xn_dec_int(7200),
                                .memory_mb_h = xn_dec_int(500),
                                .net_gb = xn_dec_int(2),
                                .disk_gb_h = xn_dec_int(20)};

    t->claim.data = NULL;
    assert_int_equal(claim_next(&t->e.terms, &t->e.state, &usage,
                                t->e.terms.since_us + 2 * HOUR_US,
                                MONEY_RUNNING, "make check", &t->claim.doc),
                     0);
    shop_seal(&t->claim, &t->e.by->party);
    t->stop.doc.type = MONEY_STOP;
    t->stop.doc.head.issued_us = t->s.c.now.wall_us;
    t->stop.doc.stop.narrowing = t->e.narrowing.doc.head.hash;
    shop_seal(&t->stop, &t->s.client.party);
}

int stage_set_up(void **state)
{
    struct stage *t = calloc(1, sizeof *t);

    assert_non_null(t);
    shop_open(&t->s, NULL);
    t->beta = kit_corp("beta.example");
    t->beta_client = kit_member(&t->beta, XN__ROLE__CLIENT, "ann");
    t->beta_server = kit_member(&t->beta, XN__ROLE__SERVER, "otter0");
    assert_int_equal(xn_key_generate(&t->self_made.key), 0);
    assert_int_equal(xn_cert_self(t->self_made.key, XN__ROLE__ANYBODY, "ann",
                                  NOW_US - DAY_US, NOW_US + DAY_US,
                                  &t->self_made.x509),
                     0);
    shop_pay_in(&t->s, 1, 50 * GBP);
    deal_full(t, &t->e, 2);
    deal_validate(&t->s, &t->e);
    shop_pass(&t->s, HOUR_US);
    assert_true(deal_charge(&t->s, &t->e, HOUR_US, MONEY_RUNNING) > 0);
    shop_pass(&t->s, HOUR_US);
    deal_full(t, &t->d, 1);
    claim_full(t);
    *state = t;
    return 0;
}

int stage_tear_down(void **state)
{
    struct stage *t = *state;

    deal_clear(&t->d);
    deal_clear(&t->e);
    shop_doc_clear(&t->claim);
    shop_doc_clear(&t->stop);
    kit_clear(&t->beta);
    kit_clear(&t->beta_client);
    kit_clear(&t->beta_server);
    kit_clear(&t->self_made);
    shop_close(&t->s);
    free(t);
    return 0;
}

/* ---- showing ---- */

static uint64_t ask_stop(struct stage *t)
{
    Xn__StopOrder body = XN__STOP_ORDER__INIT;

    body.serial = xn_id_bytes(&t->e.serial);
    body.stop = shop_bytes(&t->stop);
    return crank_ask(&t->s.c, "POST", "/v1/stop", &body, &t->s.client.caller);
}

int stage_show(struct stage *t, enum piece piece, char because[300])
{
    struct shop *s = &t->s;
    uint64_t ask = piece == CLAIM  ? ask_charge(s, &t->claim, t->e.by)
                   : piece == STOP ? ask_stop(t)
                                   : deal_ask_validate(s, &t->d);

    shop_serve(s);
    return shop_refused(s, ask, because);
}

int stage_show_bytes(struct stage *t, enum piece piece, uint8_t *data,
                     size_t len, char because[300])
{
    struct shop_doc *doc = stage_doc(t, piece), keep = *doc;
    int rc;

    doc->data = data;
    doc->len = len;
    rc = stage_show(t, piece, because);
    *doc = keep;
    return rc;
}

void must_be_refused(int rc, const char *because, const char *kind,
                     const char *name, const char *field, enum change change)
{
    static const char *const changes[] = {"other", "out", "in"};
    int code = xn_exit_code(rc);

    if ((code == XN_EXIT_INTEGRITY || code == XN_EXIT_MONEY) && because[0]) {
        return;
    }
    fail_msg("%s: %s, %s %s: exit %d, %s", kind, name, field, changes[change],
             code, because);
}

void stage_settled(struct stage *t)
{
    uint64_t ask;
    struct xn_msg *msg = NULL;

    deal_validate(&t->s, &t->d);
    ask = ask_charge(&t->s, &t->claim, t->e.by);
    shop_serve(&t->s);
    assert_int_equal(crank_answer(&t->s.c, ask, &msg)->status, 200);
    xn_msg_free(msg);
    msg = NULL;
    ask = ask_stop(t);
    shop_serve(&t->s);
    assert_int_equal(crank_answer(&t->s.c, ask, &msg)->status, 200);
    xn_msg_free(msg);
    shop_audit(&t->s);
}

/* ---- altering ---- */

static bool is_given(const struct money *doc, const struct flat_field *field)
{
    static const size_t sizes[] = {
        [FLAT_ID] = XN_ID_SIZE, [FLAT_UTC] = 8,
        [FLAT_MONEY] = 8,       [FLAT_DECIMAL] = sizeof(xn_dec),
        [FLAT_COUNT] = 8,       [FLAT_CURRENCY] = 1,
        [FLAT_TEXT] = 1,        [FLAT_WORD] = 0,
    };
    static const uint8_t none[XN_ID_SIZE];

    return field->need == FLAT_MUST ||
           memcmp((const char *)doc + field->at, none, sizes[field->type]) != 0;
}

/* Numbers and times grow: a limit is widened.  `From` falls. */
static void give_other(struct money *doc, const struct flat_field *field)
{
    uint8_t *p = (uint8_t *)doc + field->at;
    xn_dec d;
    int64_t n;
    unsigned w;

    switch (field->type) {
    case FLAT_ID: p[7] ^= 1; break;
    case FLAT_CURRENCY: memcpy(p, "USD", 4); break;
    case FLAT_TEXT: memcpy(p, "NetBSD", 7); break;
    case FLAT_DECIMAL:
        memcpy(&d, p, sizeof d);
        d.v += XN_DEC_ONE;
        memcpy(p, &d, sizeof d);
        break;
    case FLAT_WORD:
        memcpy(&w, p, sizeof w);
        w = !w;
        memcpy(p, &w, sizeof w);
        break;
    default: /* MONEY, COUNT, UTC */
        memcpy(&n, p, sizeof n);
        if (strcmp(field->name, "From") == 0)
            n = n ? n - (int64_t)HOUR_US : (int64_t)NOW_US;
        else if (field->type == FLAT_UTC)
            n += n ? (int64_t)HOUR_US * 200 : (int64_t)NOW_US;
        else
            n += field->type == FLAT_COUNT ? 1 : 20 * GBP;
        memcpy(p, &n, sizeof n);
    }
}

/* The line of that element goes. */
static void cut_line(struct xn_buf *text, const char *name)
{
    char open[80];
    uint8_t *at, *end;

    snprintf(open, sizeof open, "  <%s>", name);
    at = memmem(text->data, text->len, open, strlen(open));
    assert_non_null(at);
    end = memchr(at, '\n', (size_t)(text->data + text->len - at));
    assert_non_null(end);
    end++;
    memmove(at, end, (size_t)(text->data + text->len - end));
    text->len -= (size_t)(end - at);
}

bool alter(const struct money *doc, const struct flat_field *field,
           enum change change, struct xn_buf *text)
{
    struct money altered = *doc;
    bool given = is_given(doc, field);

    xn_buf_init(text, MONEY_BYTES_MAX);
    if (given != (change != IN)) return false;
    if (change != OUT) give_other(&altered, field);
    assert_int_equal(flat_write(money_form(doc->type), &altered, text), 0);
    if (change == OUT) cut_line(text, field->name);
    return true;
}

struct sealed seal_text(const struct xn_buf *text, const struct kit_party *by)
{
    struct sealed out;

    assert_int_equal(envelope_sign(text->data, text->len, by->key, by->x509,
                                   &out.data, &out.len),
                     0);
    return out;
}
