/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The prefix table's places.
 *
 * Positions that share no more than their first bits with ours are sorted into
 * places by their first digit; those that share it, by the next, smaller digit;
 * and so on (Rowstron and Druschel, Middleware 2001, with digits of two sizes).
 * The first digit has as many values as half of the link budget: a link to each
 * is found from both sides, so links that others chose fill half of what we
 * want ourselves.  With 512 links: 256 places, then 64 a digit.
 *
 * A place is a range of the ring; the links are sorted by position, so nothing
 * else is stored.  Pure arithmetic.
 */
#ifndef OVERLAY_TABLE_H
#define OVERLAY_TABLE_H

#include <stdint.h>

#include "wire/id.h"

struct table_shape {
    unsigned first; /* bits of the first digit */
    unsigned next;  /* and of the others */
};

struct table_place {
    xn_id lo, hi;   /* first and last position in it */
    unsigned level; /* digits shared with us */
};

struct table_shape table_shape(uint32_t links_max);

/* Where a position belongs in the table of a node at `self`. */
void table_place(const struct table_shape *shape, const xn_id *self,
                 const xn_id *position, struct table_place *place_out);
/* How far apart two positions are, in 2^-64ths of the ring. */
uint64_t table_apart(const xn_id *a, const xn_id *b);

#endif
