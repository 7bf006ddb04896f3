/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One sale, for the tests and fuzz targets of wire/'s money: an order of 10
 * GBP, two narrowings, a quote, an acceptance, a claim after an hour, a stop
 * and a receipt; every optional field given somewhere. */
#ifndef TESTS_UNIT_MONEY_KIT_H
#define TESTS_UNIT_MONEY_KIT_H

#include <stdlib.h>
#include <string.h>

#include "wire/claim.h"

#define KIT_NOW_US (1795255200ULL * 1000000) /* 2026-11-21 10:00 UTC */
#define KIT_HOUR_US (3600ULL * 1000000)
#define KIT_GBP 1000000 /* micro-units */

struct sale {
    xn_id corp, holder, server;
    struct money order, quote, acceptance, claim, stop, receipt;
    struct money_narrowing narrowings[2]; /* for an hour cap; closing */
    struct order_chain chain;
};

static inline xn_id kit_id(uint8_t n)
{
    xn_id id;

    memset(&id, n, sizeof id);
    return id;
}

static inline xn_dec kit_dec(const char *text)
{
    xn_dec d;

    if (xn_dec_parse(text, strlen(text), &d) != 0) abort();
    return d;
}

/* Writes the document for its hash and says that `corp` certified its signer;
 * false: it cannot be written. */
static inline bool kit_vouch(struct money *doc, const xn_id *corp)
{
    struct xn_buf buf = {0};
    int rc = money_write(doc, &buf);

    xn_buf_clear(&buf);
    doc->head.corp = *corp;
    return rc == 0;
}

static inline void kit_must(bool done)
{
    if (!done) abort();
}

static inline struct money kit_doc(enum money_type type, const xn_id *by,
                                   uint64_t issued_us)
{
    struct money doc;

    memset(&doc, 0, sizeof doc);
    doc.type = type;
    doc.head.by = *by;
    doc.head.issued_us = issued_us;
    return doc;
}

static inline void kit_order(struct sale *s)
{
    struct money_limits *limits = &s->order.order.limits;

    s->order = kit_doc(MONEY_ORDER, &s->corp, KIT_NOW_US - 3000000);
    s->order.order.serial = kit_id(0x51);
    s->order.order.account = kit_id(0xac);
    s->order.order.holder = s->holder;
    strcpy(limits->currency, "GBP");
    limits->amount = 10 * KIT_GBP;
    limits->most_per_hour = 5 * KIT_GBP;
    limits->from_us = KIT_NOW_US - 2000000;
    limits->until_us = KIT_NOW_US + 100 * KIT_HOUR_US;
    kit_must(kit_vouch(&s->order, &s->corp));
}

static inline void kit_quote(struct sale *s)
{
    struct money_quote *q = &s->quote.quote;

    s->quote = kit_doc(MONEY_QUOTE, &s->server, KIT_NOW_US - 1500000);
    q->until_us = KIT_NOW_US + 60000000;
    q->version = KIT_NOW_US - 77;
    strcpy(q->env_type, "Linux");
    strcpy(q->virtualisation, "pvh");
    q->rates.cpu_smps = kit_dec("1500");
    q->rates.memory_mb = kit_dec("512");
    q->rates.disk_gb = kit_dec("20");
    q->rates.net_mbps = kit_dec("8");
    q->rates.ipv4_addresses = kit_dec("1");
    strcpy(q->currency, "GBP");
    q->prices.setup = kit_dec("0.05");
    q->prices.per_hour = kit_dec("0.0121");
    q->prices.cpu_second = kit_dec("0.00001");
    q->prices.memory_mb_hour = kit_dec("0.000002");
    q->prices.net_gb = kit_dec("0.09");
    q->prices.disk_gb_hour = kit_dec("0.000000000001");
    memset(&q->session, 0x5e, sizeof q->session);
    kit_must(kit_vouch(&s->quote, &s->corp));
}

static inline void kit_narrow(struct sale *s)
{
    struct money doc =
        kit_doc(MONEY_NARROWING, &s->holder, KIT_NOW_US - 1000000);
    struct money_limits *limits = &doc.narrowing.limits;

    doc.narrowing.over = s->order.head.hash;
    strcpy(limits->currency, "GBP");
    limits->most_per_hour = 1 * KIT_GBP;
    kit_must(kit_vouch(&doc, &s->corp));
    s->narrowings[0] = doc.narrowing;
    doc = kit_doc(MONEY_NARROWING, &s->holder, KIT_NOW_US - 900000);
    doc.narrowing.over = s->narrowings[0].head.hash;
    strcpy(limits->currency, "GBP");
    limits->amount = 4 * KIT_GBP;
    limits->from_us = KIT_NOW_US - 1;
    limits->until_us = KIT_NOW_US + 50 * KIT_HOUR_US;
    strcpy(limits->env_type, "Linux");
    limits->server = s->server;
    limits->quote = s->quote.head.hash;
    kit_must(kit_vouch(&doc, &s->corp));
    s->narrowings[1] = doc.narrowing;
    s->chain.order = &s->order.order;
    s->chain.narrowings = s->narrowings;
    s->chain.n = 2;
}

static inline void kit_claim(struct sale *s)
{
    struct price_usage usage = {.hours = kit_dec("1"),
                                .cpu_s = kit_dec("3600.5"),
                                .memory_mb_h = kit_dec("512"),
                                .net_gb = kit_dec("0.25"),
                                .disk_gb_h = kit_dec("19.999999999999")};
    struct claim_terms terms;
    struct claim_state state;

    kit_must(!claim_terms(&s->chain, &s->quote.quote, &s->acceptance.acceptance,
                          &terms, NULL));
    claim_begin(&terms, &state);
    kit_must(!claim_next(&terms, &state, &usage, KIT_NOW_US + KIT_HOUR_US,
                         MONEY_RUNNING, "make -j2 & \"tests\" <all>",
                         &s->claim));
    kit_must(kit_vouch(&s->claim, &s->corp));
}

static inline void kit_rest(struct sale *s)
{
    struct claim_state before, after;
    struct claim_terms terms;

    s->stop = kit_doc(MONEY_STOP, &s->holder, KIT_NOW_US + KIT_HOUR_US);
    s->stop.stop.narrowing = s->narrowings[1].head.hash;
    kit_must(kit_vouch(&s->stop, &s->corp));
    kit_must(!claim_terms(&s->chain, &s->quote.quote, &s->acceptance.acceptance,
                          &terms, NULL));
    claim_begin(&terms, &before);
    claim_taken(&s->claim.claim, &after);
    claim_receipt(&terms, &s->claim.head.hash, &before, &after,
                  KIT_NOW_US + KIT_HOUR_US + 250000, &s->receipt);
    kit_must(kit_vouch(&s->receipt, &s->corp));
}

/* By these three names; s->corp and so on are set. */
static inline void kit_sell(struct sale *s)
{
    xn_id session = kit_id(0x5e);

    kit_order(s);
    kit_quote(s);
    kit_narrow(s);
    kit_must(!order_accept(&s->chain, &s->quote.quote, &s->server, &session,
                           KIT_NOW_US, &s->acceptance, NULL));
    s->acceptance.acceptance.prepaid = 50000;
    kit_must(kit_vouch(&s->acceptance, &s->corp));
    kit_claim(s);
    kit_rest(s);
}

static inline void kit_sale(struct sale *s)
{
    memset(s, 0, sizeof *s);
    s->corp = kit_id(0xc0);
    s->holder = kit_id(0xc1);
    s->server = kit_id(0x5e);
    kit_sell(s);
}

/* The sale's documents, narrowings as such. */
#define KIT_DOCS 8
static inline struct money kit_get(const struct sale *s, size_t i)
{
    struct money doc = {.type = MONEY_NARROWING};

    switch (i) {
    case 0: return s->order;
    case 1: return s->quote;
    case 2: return s->acceptance;
    case 3: return s->claim;
    case 4: return s->stop;
    case 5: return s->receipt;
    default: doc.narrowing = s->narrowings[i - 6]; return doc;
    }
}

#endif
