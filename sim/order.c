/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sim/order.h"

#include <stdlib.h>

#include "lib/err.h"

/* Side by side, so that sorting does not go to the table for each. */
struct placed {
    const xn_id *position;
    uint32_t node;
};

static int by_position(const void *a, const void *b)
{
    const struct placed *x = a, *y = b;
    int cmp = xn_id_cmp(x->position, y->position);

    return cmp ? cmp : (x->node > y->node) - (x->node < y->node);
}

int sim_order(const struct xn_peers *peers, uint32_t n, uint32_t *nodes_out)
{
    struct placed *rows = malloc((n + 1) * sizeof *rows);
    uint32_t i;

    if (!rows) return XN_ENOMEM;
    for (i = 0; i < n; i++)
        rows[i] = (struct placed){&peers->rows[i].position, i};
    qsort(rows, n, sizeof *rows, by_position);
    for (i = 0; i < n; i++)
        nodes_out[i] = rows[i].node;
    free(rows);
    return 0;
}
