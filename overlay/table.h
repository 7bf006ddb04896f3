/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The prefix table's places.
 *
 * Positions that share no more than their first bits with ours are sorted into
 * places by their first digit; those that share it, by the next; and so on
 * (Rowstron and Druschel, Middleware 2001).  A digit has as many values as a
 * quarter of the link budget: 128 with 512 links.  With f first digits, s
 * second ones and leaf sets of l on each side, the second hop knows the owner
 * where f * s * l are as many as the nodes, for f + s + 2 * l links: the fewest
 * where f = s = 2 * l.  A quarter of the budget is left for who chooses us.
 *
 * A place is a range of the ring; the links are sorted by position, so nothing
 * else is stored.  Pure arithmetic.
 */
#ifndef OVERLAY_TABLE_H
#define OVERLAY_TABLE_H

#include <stdint.h>

#include "wire/id.h"

struct table_place {
    xn_id lo, hi;   /* first and last position in it */
    unsigned level; /* digits shared with us */
};

/* Bits of a digit. */
unsigned table_digit(uint32_t links_max);

/* Where a position belongs in the table of a node at `self`. */
void table_place(unsigned digit, const xn_id *self, const xn_id *position,
                 struct table_place *place_out);
/* All positions that begin with the same so many bits; `level` is not said. */
void table_prefix(const xn_id *position, unsigned bits,
                  struct table_place *place_out);
/* How far apart two positions are, in 2^-64ths of the ring. */
uint64_t table_apart(const xn_id *a, const xn_id *b);

#endif
