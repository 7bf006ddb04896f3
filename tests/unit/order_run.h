/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A run of tests/unit/order_random.c: the XenoCorp, the model beside it, and the
 * questions that both are asked. */
#ifndef TESTS_UNIT_ORDER_RUN_H
#define TESTS_UNIT_ORDER_RUN_H

#include "lib/rng.h"
#include "tests/unit/corp_money_kit.h"
#include "tests/unit/order_model.h"

enum {
    GROUP = 4, /* questions at once */
    KEPT = 24, /* questions that may be asked again */
    WORDS = 40,
};

/* A question and what became of it. */
struct question {
    struct asked asked;
    const char *path;
    const Xn__Caller *caller;
    uint8_t *body;
    size_t len;
    uint64_t ticket;
    bool answered;
    int rc;
    xn_id answer; /* hash, of the first good one */
    bool has_answer;
    struct money_receipt receipt;
};

struct order {
    struct shop_doc doc;
    xn_id acceptance; /* hash of the document; zero: not known */
};

struct run {
    struct shop *s;
    uint64_t seed;
    bool fake;
    struct xn_rng rng;
    struct order_model model;
    struct order orders[MODEL_ORDERS];
    struct shop_doc quotes[MODEL_SERVERS];
    struct question *kept[KEPT];
    unsigned n_kept, words;
    struct question *group[GROUP];
    unsigned n_group;
    uint64_t started_us;
};

#define CHECK(run, what)                                                       \
    do {                                                                       \
        if (!(what))                                                           \
            fail_msg("ORDER_SEED=%llu: %s", (unsigned long long)(run)->seed,   \
                     #what);                                                   \
    } while (0)

static inline uint64_t run_below(struct run *run, uint64_t n)
{
    return xn_rng_below(&run->rng, n);
}

static inline uint64_t run_now(const struct run *run)
{
    return run->s->c.now.wall_us;
}

/* ---- order_envelope.c: envelopes that are signed, or only say who would have
 *      signed them (run->fake) ---- */

void run_seal(struct run *run, struct shop_doc *doc,
              const struct shop_member *by);
/* End the oldest SIGN and VERIFY that way. */
void run_fake_sign(struct run *run);
void run_fake_verify(struct run *run);
/* What came from the corp. */
void run_open(struct run *run, enum money_type type, ProtobufCBinaryData from,
              struct money *out);

/* ---- order_asks.c ---- */

void run_make_quotes(struct run *run);
/* A pay-in alone, into run->group. */
void run_make_first(struct run *run);
/* The next questions into run->group, new ones and old ones again. */
void run_make_group(struct run *run);
void question_free(struct question *q);

#endif
