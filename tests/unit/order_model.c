/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/order_model.h"

#include <string.h>

#include "lib/err.h"

#define HOUR (3600 * MODEL_S)
#define SKEW (300 * MODEL_S)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

int64_t model_fenced(const struct model_order *o)
{
    switch (o->fate) {
    case XN__ORDER_FATE__ISSUED_ORDER: return o->issued;
    case XN__ORDER_FATE__ACCEPTED_ORDER: return o->amount - o->paid;
    default: return 0;
    }
}

int64_t model_ceiling(const struct model_order *o, uint64_t till_us)
{
    uint64_t end = least(till_us, o->bound_until_us), hours = 1;

    if (!o->most_per_hour) return o->amount;
    if (end > o->since_us) hours = (end - o->since_us + HOUR - 1) / HOUR;
    if (!hours) hours = 1;
    if (o->most_per_hour * (int64_t)hours < o->amount)
        return o->most_per_hour * (int64_t)hours;
    return o->amount;
}

uint64_t model_due_us(const struct model_order *o)
{
    uint64_t end = o->until_us;

    if (o->fate != XN__ORDER_FATE__ISSUED_ORDER &&
        o->fate != XN__ORDER_FATE__ACCEPTED_ORDER)
        return 0;
    if (o->stopped_us) end = least(end, o->stopped_us);
    return end + MODEL_GRACE_US;
}

void model_release(struct order_model *m, struct model_order *o)
{
    m->client += model_fenced(o);
    o->fate = o->fate == XN__ORDER_FATE__ISSUED_ORDER
                  ? XN__ORDER_FATE__EXPIRED_ORDER
                  : XN__ORDER_FATE__CLOSED_ORDER;
}

static int64_t fee(const struct order_model *m, int64_t paid)
{
    return paid * m->share_ppm / 1000000;
}

static void pay(struct order_model *m, struct model_order *o, int64_t paid)
{
    int64_t cut = fee(m, paid) - fee(m, o->paid);

    m->servers[o->server] += paid - o->paid - cut;
    m->income += cut;
    o->paid = paid;
}

/* ---- questions ---- */

static int pay_in(struct order_model *m, const struct asked *a)
{
    if (m->words & 1ULL << a->word) return 0;
    m->words |= 1ULL << a->word;
    m->client += a->micro;
    m->paid_in += a->micro;
    return 0;
}

static int issue(struct order_model *m, const struct asked *a)
{
    struct model_order *o = &m->orders[a->order];

    if (a->until_us <= m->now_us) return XN_EINVAL;
    if (o->fate) {
        return o->issued == a->micro && o->until_us == a->until_us
                   ? 0
                   : XN_ECONFLICT;
    }
    if (m->client < a->micro) return XN_EFUNDS;
    m->client -= a->micro;
    o->fate = XN__ORDER_FATE__ISSUED_ORDER;
    o->issued = a->micro;
    o->until_us = a->until_us;
    return 0;
}

static bool has_other_order(const struct order_model *m, const struct asked *a)
{
    for (unsigned i = 0; i < MODEL_ORDERS; i++) {
        const struct model_order *o = &m->orders[i];

        if (i != a->order && o->since_us && o->server == a->server &&
            o->session == a->session)
            return true;
    }
    return false;
}

static int accept(struct order_model *m, const struct asked *a)
{
    struct model_order *o = &m->orders[a->order];
    int64_t amount = a->micro ? a->micro : o->issued;
    uint64_t until = a->until_us ? a->until_us : o->until_us;

    if (amount > o->issued || until > o->until_us) return XN_EMONEY;
    if (a->for_server != a->server) return XN_EIDENT;
    if (m->now_us >= until) return XN_EEXPIRED;
    if (amount < MODEL_SETUP ||
        (a->most_per_hour && a->most_per_hour < MODEL_SETUP))
        return XN_EMONEY;
    o->fate = XN__ORDER_FATE__ACCEPTED_ORDER;
    o->amount = amount;
    o->bound_until_us = until;
    o->most_per_hour = a->most_per_hour;
    o->server = a->server;
    o->session = a->session;
    o->narrowing = a->document;
    o->since_us = o->till_us = m->now_us;
    m->client += o->issued - amount;
    if (m->prepays) pay(m, o, MODEL_SETUP);
    return 0;
}

static int validate(struct order_model *m, const struct asked *a)
{
    const struct model_order *o = &m->orders[a->order];

    if (has_other_order(m, a)) return XN_ECONFLICT;
    switch (o->fate) {
    case XN__ORDER_FATE__ISSUED_ORDER: return accept(m, a);
    case XN__ORDER_FATE__VOID_ORDER: return XN_EMONEY;
    case XN__ORDER_FATE__EXPIRED_ORDER: return XN_EEXPIRED;
    default: break;
    }
    return o->server == a->server && o->session == a->session &&
                   xn_id_eq(&o->narrowing, &a->document)
               ? 0
               : XN_EMONEY;
}

static int check_time(const struct order_model *m, const struct model_order *o,
                      const struct asked *a)
{
    uint64_t end = least(m->now_us, o->bound_until_us);

    if (o->stopped_us) end = least(end, o->stopped_us);
    if (a->till_us > end + SKEW) return XN_EMONEY;
    if (a->used_s * MODEL_S > end - o->since_us + MODEL_SLACK_US)
        return XN_EMONEY;
    if (o->n_claims &&
        (a->used_s - o->used_s) * MODEL_S > a->till_us - o->till_us)
        return XN_EMONEY;
    return 0;
}

static int check_amount(const struct order_model *m,
                        const struct model_order *o, const struct asked *a)
{
    int64_t price = MODEL_SETUP + MODEL_SECOND * (int64_t)a->used_s;
    int64_t ceiling = model_ceiling(o, a->till_us);

    if (a->amount > o->amount || a->amount > ceiling ||
        a->amount > model_ceiling(o, m->now_us + MODEL_SLACK_US))
        return XN_EMONEY;
    return a->amount == (price < ceiling ? price : ceiling) ? 0 : XN_EINTEGRITY;
}

static int check_claim(const struct order_model *m, const struct model_order *o,
                       const struct asked *a, bool chained)
{
    int64_t before = o->n_claims ? o->claims[o->n_claims - 1].amount : 0;
    int rc;

    if (o->final) return XN_EMONEY;
    if (a->sequence > o->n_claims + 1 && !chained) return XN_ESTALE;
    if (a->sequence > o->n_claims + 1 || !chained) return XN_EINTEGRITY;
    if ((o->n_claims && a->till_us < o->till_us) || a->used_s < o->used_s ||
        a->amount < before || a->till_us + SKEW < o->since_us)
        return XN_EINTEGRITY;
    rc = check_time(m, o, a);
    if (!rc) rc = check_amount(m, o, a);
    if (!rc && o->fate == XN__ORDER_FATE__CLOSED_ORDER) rc = XN_EMONEY;
    return rc;
}

/* A claim names a session, and its server is who asks. */
static struct model_order *find_session(struct order_model *m,
                                        const struct asked *a)
{
    for (unsigned i = 0; i < MODEL_ORDERS; i++) {
        struct model_order *o = &m->orders[i];

        if (o->since_us && o->server == a->server && o->session == a->session)
            return o;
    }
    return NULL;
}

static bool is_next(const struct order_model *m, const struct model_order *o,
                    const struct asked *a)
{
    if (!o->n_claims) return a->first && o == &m->orders[a->order];
    return xn_id_eq(&a->previous, &o->claims[o->n_claims - 1].document);
}

static int charge(struct order_model *m, const struct asked *a,
                  struct model_receipt *receipt)
{
    struct model_order *o = find_session(m, a);
    struct model_claim *c;
    int rc;

    if (!o) return XN_EINTEGRITY;
    if (a->sequence <= o->n_claims) {
        c = &o->claims[a->sequence - 1];
        if (!xn_id_eq(&c->document, &a->document)) return XN_EINTEGRITY;
        goto out;
    }
    rc = check_claim(m, o, a, is_next(m, o, a));
    if (rc) return rc;
    c = &o->claims[o->n_claims];
    c->document = a->document;
    c->charge = a->amount - (o->n_claims ? c[-1].amount : 0);
    c->amount = a->amount;
    o->n_claims++;
    o->used_s = a->used_s;
    o->till_us = a->till_us;
    if (a->amount > o->paid) pay(m, o, a->amount);
    o->final = a->final;
    if (a->final) {
        m->client += model_fenced(o);
        o->fate = XN__ORDER_FATE__CLOSED_ORDER;
    }
out:
    receipt->sequence = a->sequence;
    receipt->charge = c->charge;
    receipt->amount = c->amount;
    receipt->left = o->amount - c->amount;
    return 0;
}

static int stop(struct order_model *m, const struct asked *a)
{
    struct model_order *o = &m->orders[a->order];

    if (!o->fate || a->stranger) return XN_ENOENT;
    if (!o->since_us) return XN_EMONEY;
    if (o->stopped_us) return 0;
    if (o->fate == XN__ORDER_FATE__CLOSED_ORDER) return XN_EMONEY;
    o->stopped_us = m->now_us;
    return 0;
}

static int make_void(struct order_model *m, const struct asked *a)
{
    struct model_order *o = &m->orders[a->order];

    if (!o->fate || a->stranger) return XN_ENOENT;
    if (o->since_us) return XN_EMONEY;
    if (o->fate != XN__ORDER_FATE__ISSUED_ORDER) return 0;
    m->client += o->issued;
    o->fate = XN__ORDER_FATE__VOID_ORDER;
    return 0;
}

int model_ask(struct order_model *m, const struct asked *a,
              struct model_receipt *receipt_out)
{
    memset(receipt_out, 0, sizeof *receipt_out);
    switch (a->what) {
    case ASK_PAY: return pay_in(m, a);
    case ASK_ISSUE: return issue(m, a);
    case ASK_VALIDATE: return validate(m, a);
    case ASK_CHARGE: return charge(m, a, receipt_out);
    case ASK_STOP: return stop(m, a);
    default: return make_void(m, a);
    }
}
