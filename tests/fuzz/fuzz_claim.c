/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Claims: what is taken keeps every bound. */
#include "tests/fuzz/money_fuzz.h"

static void check(const struct claim_terms *terms,
                  const struct claim_state *state,
                  const struct money_claim *claim)
{
    struct claim_clock clock = {.now_us = KIT_NOW_US + 2 * KIT_HOUR_US};
    struct claim_state next;
    struct money_refusal why;
    int64_t price;

    if (claim_check(terms, state, claim, &clock, &next, &why)) {
        assert(why.reason && why.text[0]);
        return;
    }
    assert(next.amount >= state->amount && next.amount <= terms->amount);
    assert(next.usage.hours.v <= 2 * XN_DEC_ONE);
    assert(next.usage.cpu_s.v <= 10800 * XN_DEC_ONE);
    assert(price_amount(&terms->prices, &next.usage, &price) == 0);
    assert(next.amount <= price && next.amount <= 2 * terms->most_per_hour);
    /* And not twice. */
    assert(claim_check(terms, &next, claim, &clock, &next, &why) ==
           REASON_REPEATED);
    clock.stopped_us = KIT_NOW_US - 2 * MONEY_AHEAD_US_MAX;
    assert(claim_check(terms, state, claim, &clock, &next, &why) ==
           REASON_CLAIM_STOPPED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sale s = *fuzz_sale();
    struct claim_terms terms;
    struct claim_state state;
    struct money claim;

    if (!fuzz_read(MONEY_CLAIM, &s.server, data, len, &claim)) return 0;
    s.chain.order = &s.order.order;
    s.chain.narrowings = s.narrowings;
    kit_must(!claim_terms(&s.chain, &s.quote.quote, &s.acceptance.acceptance,
                          &terms, NULL));
    claim_begin(&terms, &state);
    claim.claim.session = terms.session;
    claim.claim.previous = state.hash;
    check(&terms, &state, &claim.claim);
    /* Behind the sale's own. */
    claim_taken(&s.claim.claim, &state);
    claim.claim.previous = state.hash;
    check(&terms, &state, &claim.claim);
    return 0;
}
