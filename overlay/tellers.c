/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who had us dial for nothing.  A peer may name as many nodes as it likes that
 * are not there; of each we bear some dozens at once and then one in some
 * seconds, also when it comes back under the same id.  Peers that fall on one
 * place share it: others tell the same. */
#include <stdlib.h>

#include "lib/bucket.h"
#include "overlay/inside.h"

#define PLACES 256U

static const struct xn_rate rate = {64, 5 * SECOND_US};

uint16_t teller_of(const xn_id *id)
{
    return (uint16_t)(1 + xn_id_head(id) % PLACES);
}

bool teller_may(const struct ov *ov, const struct xn_now *now, uint16_t teller)
{
    uint64_t full_us;

    if (teller == 0 || !ov->tellers) return true;
    full_us = ov->tellers[teller - 1];
    return xn_bucket_take(&full_us, &rate, now->mono_us) == 0;
}

void teller_dialled(struct ov *ov, const struct xn_now *now, uint16_t teller)
{
    if (teller == 0) return;
    if (!ov->tellers) ov->tellers = calloc(PLACES, sizeof *ov->tellers);
    if (!ov->tellers) return;
    xn_bucket_take(&ov->tellers[teller - 1], &rate, now->mono_us);
}

void teller_was_right(struct ov *ov, uint16_t teller)
{
    uint64_t *full_us = teller && ov->tellers ? &ov->tellers[teller - 1] : NULL;

    if (full_us && *full_us >= rate.step_us) *full_us -= rate.step_us;
}
