/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a node stands in the network: Vivaldi coordinates with height (Dabek,
 * Cox, Kaashoek, Morris, "Vivaldi: a decentralized network coordinate system",
 * SIGCOMM 2004).  The round trip between two is their distance on a plane and
 * both their heights.  Each round trip that is measured moves our own a little,
 * the less the surer we are.
 *
 * What a peer says of itself is not believed further than that: it may stand
 * anywhere, but neither far outside of the world nor surely.  Pure arithmetic.
 */
#ifndef OVERLAY_VIVALDI_H
#define OVERLAY_VIVALDI_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/rng.h"
#include "wire/msg.h"

struct vivaldi {
    float x, y, h; /* ms, there and back */
    float error;   /* relative, of what we expect; 1: we know nothing; 0: this
                      is nobody's coordinate */
};

void vivaldi_start(struct vivaldi *self);
/* Is it worth going by? */
bool vivaldi_is_sure(const struct vivaldi *at);
/* So long a round trip to who stands there took.  false: that tells nothing: no
 * time, nobody's coordinate, or we are sure and the other is not.  Draws as much
 * in any case. */
bool vivaldi_sample(struct vivaldi *self, const struct vivaldi *peer,
                    uint32_t rtt_us, struct xn_rng *rng);
/* The round trip that is to be expected between the two. */
uint32_t vivaldi_rtt_us(const struct vivaldi *a, const struct vivaldi *b);
/* How far it has moved since it was there, in us. */
uint32_t vivaldi_moved_us(const struct vivaldi *now,
                          const struct vivaldi *then);

void vivaldi_say(const struct vivaldi *self, Xn__Coordinate *out);
/* NULL is nobody's. */
void vivaldi_hear(const Xn__Coordinate *said, struct vivaldi *out);

#endif
