/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long a keeper is waited for.  It answers at once, but for one that is
 * stopped or waits for a disk: such a one has a long wait, then short ones, so
 * that the others are not kept waiting, and a long one again from time to time,
 * since a busy machine may well make it slower than a short one. */
#ifndef KEEPER_PATIENCE_H
#define KEEPER_PATIENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keeper/sessions.h"

#define PATIENCE_SHORT_MS 200
/* All that are silent have about one long wait in that time, in turn. */
#define PATIENCE_US 30000000ULL

struct patience {
    bool silent;        /* it did not answer the last time */
    uint64_t waited_us; /* mono; its last long wait began then */
};

/* For a question that is asked now, in ms; `silent` keepers are, this one among
 * them if it is. */
unsigned patience_for(struct patience *patience, uint64_t now_us,
                      size_t silent);

#endif
