/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Narrowings: none widens, under or over another. */
#include "tests/fuzz/money_fuzz.h"

static void check(const struct sale *s, const struct money_limits *before)
{
    struct money_limits after;
    struct money_refusal why;

    if (order_effective(&s->chain, &after, &why)) {
        assert(why.reason && why.text[0]);
        return;
    }
    assert(after.amount <= before->amount);
    assert(after.until_us <= before->until_us);
    assert(after.from_us >= before->from_us && after.from_us < after.until_us);
    assert(after.most_per_hour && after.most_per_hour <= before->most_per_hour);
    if (before->env_type[0]) {
        assert(strcmp(before->env_type, after.env_type) == 0);
    }
    if (!xn_id_is_zero(&before->server)) {
        assert(xn_id_eq(&before->server, &after.server));
    }
    order_accepts(&s->chain, &s->quote.quote, &s->server, KIT_NOW_US, NULL,
                  &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sale s = *fuzz_sale();
    struct money_limits before;
    struct money doc;

    if (!fuzz_read(MONEY_NARROWING, &s.holder, data, len, &doc)) return 0;
    s.chain.order = &s.order.order;
    s.chain.narrowings = s.narrowings;
    s.chain.n = 1;
    kit_must(!order_effective(&s.chain, &before, NULL));
    /* Over the first of the sale, then under the second. */
    s.chain.n = 2;
    doc.narrowing.over = s.narrowings[0].head.hash;
    s.narrowings[1] = doc.narrowing;
    check(&s, &before);
    s.narrowings[1] = fuzz_sale()->narrowings[1];
    doc.narrowing.over = s.order.head.hash;
    s.narrowings[0] = doc.narrowing;
    s.narrowings[1].over = doc.head.hash;
    check(&s, &s.order.order.limits);
    return 0;
}
