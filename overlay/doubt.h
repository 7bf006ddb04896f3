/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The routing failure test (Castro et al., OSDI 2002, section 5.2): are those
 * found to be nearest to a key as dense as nodes are around ourselves?  Who
 * answers in the owner's place can only name nodes that exist, and malicious
 * ones lie farther apart than all nodes do.  Pure arithmetic. */
#ifndef OVERLAY_DOUBT_H
#define OVERLAY_DOUBT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `spacing`: mean distance of two nodes beside each other; `apart`: from the key
 * to the farthest of the n found, both in 2^-64ths of the ring.  `strict`: fires
 * at once where the n lie 1.35 times as far as they should (n 3), which honest
 * ones do in 24 of 100 cases; else at 2.2 times: in 5. */
bool doubt_fires(uint64_t spacing, uint64_t apart, size_t n, bool strict);

#endif
