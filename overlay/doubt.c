/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "overlay/doubt.h"

/* Within `apart` on both sides there should be x nodes, and are n: x is
 * Poisson's, so n more or less its root.  Beyond so many of n's roots, in
 * sixteenths, squared: */
#define STRICT 6U /* 0.6 */
#define LAX 64U   /* 2 */
#define PART 256U

bool doubt_fires(uint64_t spacing, uint64_t apart, size_t n, bool strict)
{
    uint64_t unit = spacing / (2 * (uint64_t)PART) + 1, x = apart / unit;
    uint64_t wanted = n * PART, more;

    if (x <= wanted) return false;
    more = x - wanted; /* PARTs of a node */
    if (more > UINT32_MAX) return true;
    return 16 * more * more > (strict ? STRICT : LAX) * wanted * PART;
}
