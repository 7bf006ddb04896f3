/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quotes: whatever rates and prices, what the server's tool claims is what the
 * corp takes. */
#include "tests/fuzz/money_fuzz.h"

static void claim(struct sale *s, const struct claim_terms *terms,
                  struct claim_state *state, uint64_t till_us)
{
    struct claim_clock clock = {.now_us = till_us};
    struct price_usage usage;
    struct money_refusal why;

    memset(&usage, 0x0f, sizeof usage); /* beyond all bounds */
    claim_cut(terms, state, till_us, &usage);
    assert(claim_next(terms, state, &usage, till_us, MONEY_RUNNING, "x",
                      &s->claim) == 0);
    /* Usage that no document can state is no honest server's. */
    if (!kit_vouch(&s->claim, &s->corp)) return;
    assert(!claim_check(terms, state, &s->claim.claim, &clock, state, &why));
    assert(state->amount <= claim_ceiling(terms, till_us));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sale s = *fuzz_sale();
    xn_id session = kit_id(1);
    struct claim_terms terms;
    struct claim_state state;

    if (!fuzz_read(MONEY_QUOTE, &s.server, data, len, &s.quote)) return 0;
    s.chain.order = &s.order.order;
    s.chain.narrowings = s.narrowings;
    s.narrowings[1].limits.quote = s.quote.head.hash;
    if (order_accept(&s.chain, &s.quote.quote, &s.server, &session, KIT_NOW_US,
                     &s.acceptance, NULL)) {
        return 0;
    }
    assert(kit_vouch(&s.acceptance, &s.corp));
    assert(!claim_terms(&s.chain, &s.quote.quote, &s.acceptance.acceptance,
                        &terms, NULL));
    claim_begin(&terms, &state);
    claim(&s, &terms, &state, KIT_NOW_US + 10000000);
    claim(&s, &terms, &state, KIT_NOW_US + 17 * KIT_HOUR_US / 3);
    claim(&s, &terms, &state, KIT_NOW_US + 99 * KIT_HOUR_US);
    return 0;
}
