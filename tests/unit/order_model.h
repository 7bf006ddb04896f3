/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a XenoCorp does with orders, as simply as it can be said: arrays, one
 * question after the other, whole seconds, no disk, no signatures.  The real
 * one is held against it.
 *
 * Prices are such that all sums are whole: setting up costs MODEL_SETUP, each
 * second of a session with its CPU MODEL_SECOND. */
#ifndef TESTS_UNIT_ORDER_MODEL_H
#define TESTS_UNIT_ORDER_MODEL_H

#include "wire/api.pb-c.h"
#include "wire/id.h"

#define MODEL_ORDERS 5
#define MODEL_SERVERS 3
#define MODEL_CLAIMS 12
#define MODEL_SETUP 10000
#define MODEL_SECOND 200
#define MODEL_S 1000000ULL
#define MODEL_GRACE_US (600 * MODEL_S)
#define MODEL_SLACK_US (2 * MODEL_S)

enum asked_what {
    ASK_PAY,
    ASK_ISSUE,
    ASK_VALIDATE,
    ASK_CHARGE,
    ASK_STOP,
    ASK_VOID,
};

/* A question, as the model sees it. */
struct asked {
    enum asked_what what;
    unsigned order;
    bool stranger;     /* STOP, VOID: by another client */
    int64_t micro;     /* PAY, ISSUE; VALIDATE: the narrowed amount, 0: none */
    uint64_t until_us; /* ISSUE; VALIDATE: narrowed, 0: not */
    int64_t most_per_hour; /* VALIDATE; 0: none */
    unsigned word;         /* PAY, ISSUE: the same again has the same */
    unsigned server;       /* who asks */
    unsigned for_server;   /* VALIDATE: whom the narrowing names */
    unsigned session;      /* VALIDATE, CHARGE */
    xn_id document;        /* VALIDATE: the narrowing; CHARGE: the claim */
    uint64_t sequence;     /* CHARGE */
    xn_id previous;        /* CHARGE */
    bool first, final;     /* CHARGE: Previous is the acceptance */
    uint64_t used_s;       /* CHARGE: all usage, seconds */
    uint64_t till_us;      /* CHARGE */
    int64_t amount;        /* CHARGE */
};

struct model_claim {
    xn_id document;
    int64_t charge, amount;
};

struct model_order {
    Xn__OrderFate fate;
    unsigned word;
    int64_t issued, amount; /* of the order; of the acceptance */
    uint64_t until_us, bound_until_us, since_us, stopped_us;
    int64_t most_per_hour, paid;
    unsigned server, session;
    xn_id narrowing;
    struct model_claim claims[MODEL_CLAIMS];
    uint64_t n_claims, used_s, till_us;
    bool final;
};

struct order_model {
    uint64_t now_us;
    bool prepays;
    uint32_t share_ppm;
    int64_t paid_in, client, servers[MODEL_SERVERS], income;
    uint64_t words; /* bits: payments that were made */
    struct model_order orders[MODEL_ORDERS];
};

/* What is to be said of a charge that is taken. */
struct model_receipt {
    uint64_t sequence;
    int64_t charge, amount, left;
};

/* 0 or the refusal's rc; changes the model. */
int model_ask(struct order_model *m, const struct asked *a,
              struct model_receipt *receipt_out);
/* When what is left goes back, if nothing happens before; 0: never. */
uint64_t model_due_us(const struct model_order *o);
/* It has. */
void model_release(struct order_model *m, struct model_order *o);
int64_t model_fenced(const struct model_order *o);
/* The most that may be charged until then. */
int64_t model_ceiling(const struct model_order *o, uint64_t till_us);

#endif
