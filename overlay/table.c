/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "overlay/table.h"

#define BITS (8U * XN_ID_SIZE)

unsigned table_digit(uint32_t links_max)
{
    unsigned digit = 1;

    while (digit < 16 && links_max / 8 >> digit > 0)
        digit++;
    return digit;
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

void table_place(unsigned digit, const xn_id *self, const xn_id *position,
                 struct table_place *place_out)
{
    unsigned bits = shared_bits(self, position), end = digit;

    place_out->level = 0;
    while (end <= bits && end < BITS) {
        end += digit;
        place_out->level++;
    }
    set_range(position, end < BITS ? end : BITS, place_out);
}

void table_prefix(const xn_id *position, unsigned bits,
                  struct table_place *place_out)
{
    place_out->level = 0;
    set_range(position, bits < BITS ? bits : BITS, place_out);
}

uint64_t table_apart(const xn_id *a, const xn_id *b)
{
    uint64_t way = xn_id_head(a) - xn_id_head(b);

    return way < -way ? way : -way;
}
