/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the fuzz targets of money share: a sale to try a document in, and what
 * holds for every document. */
#ifndef TESTS_FUZZ_MONEY_FUZZ_H
#define TESTS_FUZZ_MONEY_FUZZ_H

#include <assert.h>

#include "tests/unit/money_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static inline const struct sale *fuzz_sale(void)
{
    static struct sale sale;

    if (xn_id_is_zero(&sale.corp)) kit_sale(&sale);
    return &sale;
}

/* Read as every type: one at most takes it; what that one writes is read back
 * to the same.  true: it was the type wanted, and is vouched for as `by`'s. */
static inline bool fuzz_read(enum money_type wanted, const xn_id *by,
                             const uint8_t *data, size_t len, struct money *out)
{
    bool is_wanted = false;
    int taken = 0;

    for (int type = 0; type < MONEY_TYPES; type++) {
        struct xn_buf first = {0}, second = {0};
        struct money doc;
        char why[120];

        memset(why, 'x', sizeof why);
        if (money_parse(type, data, len, &doc, why, sizeof why) != 0) {
            assert(why[0] && memchr(why, 0, sizeof why));
            continue;
        }
        taken++;
        if ((int)wanted == type) {
            *out = doc;
            is_wanted = true;
        }
        assert(money_write(&doc, &first) == 0);
        assert(money_parse(type, first.data, first.len, &doc, NULL, 0) == 0);
        assert(money_write(&doc, &second) == 0);
        assert(first.len == second.len &&
               memcmp(first.data, second.data, first.len) == 0);
        xn_buf_clear(&first);
        xn_buf_clear(&second);
    }
    assert(taken <= 1);
    if (!is_wanted) return false;
    out->head.by = *by;
    out->head.corp = fuzz_sale()->corp;
    return true;
}

#endif
