/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "overlay/table.h"

#define BITS (8U * XN_ID_SIZE)
#define NEXT_LESS 2U /* later digits: a quarter of the first's values */

struct table_shape table_shape(uint32_t links_max)
{
    struct table_shape shape = {.first = 1, .next = 1};

    while (shape.first < 16 && links_max / 4 >> shape.first > 0)
        shape.first++;
    if (shape.first > NEXT_LESS) shape.next = shape.first - NEXT_LESS;
    return shape;
}

static unsigned shared_bits(const xn_id *a, const xn_id *b)
{
    unsigned i, bits;

    for (i = 0; i < XN_ID_SIZE; i++) {
        unsigned diff = a->b[i] ^ b->b[i];

        if (diff == 0) continue;
        for (bits = 8 * i; diff < 128; diff <<= 1)
            bits++;
        return bits;
    }
    return BITS;
}

/* All positions that begin with the same so many bits. */
static void set_range(const xn_id *position, unsigned bits,
                      struct table_place *place)
{
    unsigned i;

    place->lo = place->hi = *position;
    for (i = bits / 8; i < XN_ID_SIZE; i++) {
        unsigned rest = i == bits / 8 ? 255U >> bits % 8 : 255U;

        place->lo.b[i] &= (uint8_t)~rest;
        place->hi.b[i] |= (uint8_t)rest;
    }
}

void table_place(const struct table_shape *shape, const xn_id *self,
                 const xn_id *position, struct table_place *place_out)
{
    unsigned bits = shared_bits(self, position), end = shape->first;

    place_out->level = 0;
    while (end <= bits && end < BITS) {
        end += shape->next;
        place_out->level++;
    }
    set_range(position, end < BITS ? end : BITS, place_out);
}

uint64_t table_apart(const xn_id *a, const xn_id *b)
{
    uint64_t way = xn_id_head(a) - xn_id_head(b);

    return way < -way ? way : -way;
}
