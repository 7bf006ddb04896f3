/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orders: whatever one allows, no more is accepted. */
#include "tests/fuzz/money_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sale s = *fuzz_sale();
    struct money_limits limits;
    struct money_refusal why;
    xn_id session = kit_id(1);

    if (!fuzz_read(MONEY_ORDER, &s.corp, data, len, &s.order)) return 0;
    s.order.order.holder = s.holder;
    s.narrowings[0].over = s.order.head.hash;
    s.chain.order = &s.order.order;
    s.chain.narrowings = s.narrowings;
    if (order_effective(&s.chain, &limits, &why)) {
        assert(why.reason && why.text[0]);
        return 0;
    }
    assert(limits.amount <= s.order.order.limits.amount);
    assert(limits.until_us <= s.order.order.limits.until_us);
    assert(limits.from_us >= s.order.order.limits.from_us);
    if (order_accept(&s.chain, &s.quote.quote, &s.server, &session, KIT_NOW_US,
                     &s.acceptance, &why)) {
        return 0;
    }
    assert(s.acceptance.acceptance.amount <= limits.amount);
    assert(kit_vouch(&s.acceptance, &s.corp));
    assert(!order_accepted(&s.chain, &s.quote.quote, &s.acceptance.acceptance,
                           &why));
    return 0;
}
