/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/fuzz/host_papers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/api.pb-c.h"
#include "wire/msg.h"

#define HOUR_US (3600ULL * 1000000)

enum { FOR_NEW = 8, ABROAD = 16, SHORT = 32, TORN = 64 };

static ProtobufCBinaryData text_of(struct money *doc, xn_id *hash_out)
{
    struct xn_buf text;

    xn_buf_init(&text, MONEY_BYTES_MAX);
    assert(!money_write(doc, &text));
    xn_id_hash(text.data, text.len, hash_out);
    return (ProtobufCBinaryData){text.len, text.data}; /* never cleared */
}

static void set_limits(struct money_limits *limits, unsigned how,
                       uint64_t wall_us)
{
    memcpy(limits->currency, how & ABROAD ? "USD" : "GBP", 4);
    limits->amount = how & SHORT ? 1 : 5000000;
    limits->until_us = wall_us + HOUR_US;
}

ProtobufCBinaryData papers_extend(const struct papers_ids *ids, unsigned how,
                                  uint64_t wall_us)
{
    struct money order = {.type = MONEY_ORDER}, quote = {.type = MONEY_QUOTE},
                 last = {.type = MONEY_NARROWING};
    Xn__ExtendSession body = XN__EXTEND_SESSION__INIT;
    ProtobufCBinaryData papers[3], out = {0, NULL};
    xn_id word, hash, of;

    memset(word.b, 1 + (int)(how % 8), sizeof word.b);
    order.head.by = ids->corp;
    order.head.issued_us = quote.head.issued_us = last.head.issued_us = wall_us;
    order.order.serial = order.order.account = word;
    order.order.holder = ids->holder;
    set_limits(&order.order.limits, how, wall_us);
    papers[0] = text_of(&order, &of);
    quote.head.by = ids->me;
    quote.quote.until_us = wall_us + HOUR_US;
    quote.quote.version = 1;
    strcpy(quote.quote.env_type, "Linux");
    quote.quote.rates.cpu_smps = xn_dec_int(1000);
    quote.quote.rates.memory_mb = xn_dec_int(512);
    memcpy(quote.quote.currency, how & ABROAD ? "USD" : "GBP", 4);
    if (!(how & FOR_NEW)) quote.quote.session = ids->session;
    papers[1] = text_of(&quote, &hash);
    last.head.by = ids->holder;
    last.narrowing.over = of;
    memcpy(last.narrowing.limits.currency, how & ABROAD ? "USD" : "GBP", 4);
    last.narrowing.limits.server = ids->me;
    last.narrowing.limits.quote = hash;
    papers[2] = text_of(&last, &hash);
    if (how & TORN) papers[how % 3].len--;
    body.session = xn_id_bytes(&ids->session);
    body.request = xn_id_bytes(&word);
    body.order = papers[0];
    body.quote = papers[1];
    body.narrowings = &papers[2];
    body.n_narrowings = 1;
    assert(!xn_pack(&body, &out.data, &out.len));
    for (size_t i = 0; i < 3; i++)
        free(papers[i].data);
    return out;
}

bool papers_signer(const struct papers_ids *ids, ProtobufCBinaryData text,
                   Xn__Caller *signer_out)
{
    static const enum money_type types[] = {MONEY_ORDER, MONEY_QUOTE,
                                            MONEY_NARROWING, MONEY_ACCEPTANCE};
    struct money doc;

    xn__caller__init(signer_out);
    signer_out->corp = xn_id_bytes(&ids->corp);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (money_parse(types[i], text.data, text.len, &doc, NULL, 0)) continue;
        signer_out->id =
            xn_id_bytes(types[i] == MONEY_QUOTE       ? &ids->me
                        : types[i] == MONEY_NARROWING ? &ids->holder
                                                      : &ids->corp);
        signer_out->role = types[i] == MONEY_QUOTE       ? XN__ROLE__SERVER
                           : types[i] == MONEY_NARROWING ? XN__ROLE__CLIENT
                                                         : XN__ROLE__CORP;
        return true;
    }
    return false;
}

ProtobufCBinaryData papers_validated(const struct papers_ids *ids,
                                     ProtobufCBinaryData validate, unsigned how,
                                     uint64_t wall_us)
{
    Xn__Validate *asked =
        xn__validate__unpack(NULL, validate.len, validate.data);
    struct money doc = {.type = MONEY_ACCEPTANCE}, order;
    struct money_acceptance *a = &doc.acceptance;
    Xn__Validated body = XN__VALIDATED__INIT;
    ProtobufCBinaryData out = {0, NULL};
    xn_id hash;

    assert(asked && asked->n_narrowings == 1);
    assert(!money_parse(MONEY_ORDER, asked->order.data, asked->order.len,
                        &order, NULL, 0));
    a->head.by = ids->corp;
    a->head.issued_us = how & SHORT ? 1000000 : wall_us;
    a->serial = order.order.serial;
    xn_id_hash(asked->narrowings[0].data, asked->narrowings[0].len,
               &a->narrowing);
    a->server = ids->me;
    assert(!xn_id_from_bytes(&asked->session, &a->session));
    xn_id_hash(asked->quote.data, asked->quote.len, &a->quote);
    memcpy(a->currency, order.order.limits.currency, sizeof a->currency);
    a->amount = order.order.limits.amount;
    a->until_us = order.order.limits.until_us;
    if (a->head.issued_us >= a->until_us) goto over;
    body.acceptance = text_of(&doc, &hash);
    if (how & TORN) body.acceptance.len /= 2;
    assert(!xn_pack(&body, &out.data, &out.len));
    free(body.acceptance.data);
over:
    xn__validate__free_unpacked(asked, NULL);
    return out;
}
