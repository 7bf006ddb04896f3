/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a session's record has of the orders before, and of the next one. */
#include <stdlib.h>
#include <string.h>

#include "hostagent/session.h"
#include "lib/err.h"

#define PRICES (sizeof(struct price_list) / sizeof(xn_dec))
#define USAGES (sizeof(struct price_usage) / sizeof(xn_dec))

static ProtobufCBinaryData decs(const void *from, size_t n, uint8_t *room)
{
    xn_decs_put(from, n, room);
    return (ProtobufCBinaryData){n * XN_DEC_BYTES, room};
}

static ProtobufCBinaryData bytes_of(const struct host_bytes *bytes)
{
    return (ProtobufCBinaryData){bytes->len, bytes->data};
}

static void put_next(const struct host_extension *x,
                     struct extension_record *room)
{
    const struct claim_terms *terms = &x->sale.terms;
    Xn__SessionExtension *r = &room->body;

    xn__session_extension__init(r);
    r->request = xn_id_bytes(&x->request);
    r->name = xn_id_bytes(&terms->session);
    r->serial = xn_id_bytes(&x->sale.serial);
    r->narrowing = xn_id_bytes(&x->sale.narrowing);
    r->quote = xn_id_bytes(&x->sale.quote);
    r->prices = decs(&terms->prices, PRICES, room->prices);
    r->amount = terms->amount;
    r->most_per_hour = terms->most_per_hour;
    r->until_us = terms->until_us;
    r->asked_us = x->asked_us;
    r->validate = bytes_of(&x->validate);
    if (!x->accepted) return;
    r->since_us = terms->since_us;
    r->acceptance = xn_id_bytes(&terms->acceptance);
    r->envelope = bytes_of(&x->acceptance);
    r->forgone = x->forgone;
    if (x->divided) r->divided = decs(&x->base, USAGES, room->base[1]);
}

void session_extension_put(const struct host_session *s,
                           struct extension_record *room, Xn__SessionRecord *r)
{
    if (s->extended) {
        r->name = xn_id_bytes(&s->sale.terms.session);
        r->used_before = decs(&s->base, USAGES, room->base[0]);
        r->extended = s->extended;
        r->before = s->before;
        r->extension = xn_id_bytes(&s->extension);
    }
    if (!s->next_order || !s->next_order->on) return;
    put_next(s->next_order, room);
    r->next = &room->body;
}

/* ---- reading ---- */

static int get_id(const ProtobufCBinaryData *from, xn_id *out)
{
    return xn_id_from_bytes(from, out) ? XN_EINTEGRITY : 0;
}

static int get_bytes(const ProtobufCBinaryData *from, struct host_bytes *to)
{
    if (!from->len) return XN_EINTEGRITY;
    to->data = malloc(from->len);
    if (!to->data) return XN_ENOMEM;
    memcpy(to->data, from->data, from->len);
    to->len = from->len;
    return 0;
}

static int get_accepted(const Xn__SessionExtension *r, struct host_extension *x)
{
    int rc = get_id(&r->acceptance, &x->sale.terms.acceptance);

    x->accepted = true;
    x->sale.terms.since_us = r->since_us;
    x->forgone = r->forgone;
    x->divided = r->divided.len > 0;
    if (!rc) rc = get_bytes(&r->envelope, &x->acceptance);
    if (!rc && x->divided)
        rc = xn_decs_get(r->divided.data, r->divided.len, &x->base, USAGES);
    return rc;
}

static int get_next(const Xn__SessionExtension *r, struct host_session *s)
{
    struct host_extension *x = calloc(1, sizeof *x);
    struct claim_terms *terms;
    int rc;

    if (!x) return XN_ENOMEM;
    s->next_order = x;
    x->on = true;
    x->asked_us = r->asked_us;
    terms = &x->sale.terms;
    *terms = s->sale.terms; /* who, in which currency, how much of what */
    terms->amount = r->amount;
    terms->most_per_hour = r->most_per_hour;
    terms->until_us = r->until_us;
    terms->since_us = 0;
    rc = get_id(&r->request, &x->request);
    if (!rc) rc = get_id(&r->name, &terms->session);
    if (!rc) rc = get_id(&r->serial, &x->sale.serial);
    if (!rc) rc = get_id(&r->narrowing, &x->sale.narrowing);
    if (!rc) rc = get_id(&r->quote, &x->sale.quote);
    if (!rc)
        rc = xn_decs_get(r->prices.data, r->prices.len, &terms->prices, PRICES);
    if (rc) return rc;
    return r->acceptance.len ? get_accepted(r, x)
                             : get_bytes(&r->validate, &x->validate);
}

int session_extension_get(const Xn__SessionRecord *r, struct host_session *s)
{
    int rc = 0;

    s->extended = r->extended;
    s->before = r->before;
    if (s->extended) {
        rc = get_id(&r->name, &s->sale.terms.session);
        if (!rc) rc = get_id(&r->extension, &s->extension);
        if (!rc)
            rc = xn_decs_get(r->used_before.data, r->used_before.len, &s->base,
                             USAGES);
    }
    return !rc && r->next ? get_next(r->next, s) : rc;
}
