/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long the opening of a link may take, for all drivers alike: a part of the
 * world is farther away than the rest, and its links want longer. */
#ifndef SEAM_DIAL_H
#define SEAM_DIAL_H

#include <stdint.h>

#define XN_DIAL_US 10000000ULL /* until anything answers */
#define XN_SHAKE_US_MIN 10000000ULL
#define XN_SHAKE_US_MAX 30000000ULL
#define XN_DIALLED_US (XN_DIAL_US + XN_SHAKE_US_MAX) /* all of it */

/* What comes behind the first answer, TLS's handshake, where that took trip_us:
 * one round trip, four times over. */
static inline uint64_t xn_shake_us(uint64_t trip_us)
{
    if (trip_us <= XN_SHAKE_US_MIN / 4) return XN_SHAKE_US_MIN;
    return trip_us < XN_SHAKE_US_MAX / 4 ? 4 * trip_us : XN_SHAKE_US_MAX;
}

#endif
