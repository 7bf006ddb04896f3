/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is our clock wrong?  Each HELLO says what its sender's clock shows.  Where
 * most of those that we are linked to differ from ours, and to the same side,
 * it is ours: a minority cannot make us believe so. */
#include <stdlib.h>

#include "lib/log.h"
#include "overlay/inside.h"

#define LOOKED_AT 63U
#define LEAST 3U

static int64_t base_s(const struct xn_now *now)
{
    return (int64_t)(now->wall_us / SECOND_US) -
           (int64_t)(now->mono_us / SECOND_US);
}

void clock_told(struct ov *ov, const struct xn_now *now, struct link *link,
                uint64_t wall_us)
{
    uint64_t wall_s = wall_us / SECOND_US, mono_s = now->mono_us / SECOND_US;
    int64_t off_s;

    link->clock_s = 0;
    if (wall_s <= mono_s || wall_s - mono_s > UINT32_MAX) return;
    link->clock_s = (uint32_t)(wall_s - mono_s);
    off_s = base_s(now) - (int64_t)link->clock_s;
    if (off_s > (int64_t)OV_SKEW_S || off_s < -(int64_t)OV_SKEW_S)
        ov->skewed = true;
}

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* How far ours is ahead of the middle one of the others'. */
static int64_t ahead_s(const struct ov *ov, const struct xn_now *now)
{
    size_t all = ov->by_peer.n, i, n = 0;
    int64_t off[LOOKED_AT];

    for (i = 0; i < all && n < LOOKED_AT; i++) {
        const struct link *link = link_at(&ov->by_peer, i);

        if (link->state != LINK_LIVE || link_is_apart(link) || !link->clock_s)
            continue;
        off[n++] = base_s(now) - (int64_t)link->clock_s;
    }
    if (n < LEAST) return 0;
    qsort(off, n, sizeof *off, by_size);
    return off[n / 2];
}

void clock_look(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    int64_t base = base_s(now), off;
    bool was = ov->clock_off_s != 0;

    if (!ov->skewed && base - ov->base_s < 60 && ov->base_s - base < 60) return;
    ov->base_s = base;
    off = ahead_s(ov, now);
    ov->clock_off_s = llabs(off) > (int64_t)OV_SKEW_S ? off : 0;
    if (ov->clock_off_s && !was) {
        xn_out_log(out, XN_LOG_WARN,
                   "our clock is %lld s %s those of most nodes: what is dated "
                   "is judged wrongly here, so searches are left to others; "
                   "set it (NTP)",
                   (long long)llabs(off), off > 0 ? "ahead of" : "behind");
    } else if (was && !ov->clock_off_s) {
        xn_out_log(out, XN_LOG_INFO, "our clock agrees with most nodes' again");
    }
}

int64_t ov_clock_off_s(const struct ov *ov)
{
    return ov->clock_off_s;
}
