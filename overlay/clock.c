/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is our clock wrong?  Each HELLO says what its sender's clock shows.  Where
 * the middle one of those that we are linked to differs from ours, it is ours:
 * a minority cannot make us believe so.  Whose clock is set says HELLO again to
 * all and is told anew, so that no word of before a change counts. */
#include <stdlib.h>

#include "lib/log.h"
#include "overlay/inside.h"

#define LEAST 3U
#define SET_S                                                                  \
    60 /* by so much it goes wrong by itself in months at the soonest */
#define LOOK_US SECOND_US

static int64_t base_s(const struct xn_now *now)
{
    return (int64_t)(now->wall_us / SECOND_US) -
           (int64_t)(now->mono_us / SECOND_US);
}

static bool is_off(int64_t s)
{
    return llabs(s) > (int64_t)OV_SKEW_S;
}

void clock_told(struct ov *ov, const struct xn_now *now, struct link *link,
                uint64_t wall_us)
{
    uint64_t wall_s = wall_us / SECOND_US, mono_s = now->mono_us / SECOND_US;

    link->clock_asked = false;
    link->clock_s = 0;
    if (wall_s <= mono_s || wall_s - mono_s > UINT32_MAX) return;
    link->clock_s = (uint32_t)(wall_s - mono_s);
    if (is_off(base_s(now) - (int64_t)link->clock_s)) ov->skewed = true;
}

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* How far ours is ahead of the middle one of the others'. */
static int64_t ahead_s(struct ov *ov)
{
    size_t all = ov->by_peer.n, i, n = 0;
    int64_t *off = malloc((all + 1) * sizeof *off), ahead = 0;

    if (!off) return ov->clock_off_s;
    ov->skewed = false;
    for (i = 0; i < all; i++) {
        const struct link *link = link_at(&ov->by_peer, i);

        if (link->state != LINK_LIVE || link_is_apart(link) || !link->clock_s)
            continue;
        off[n] = ov->base_s - (int64_t)link->clock_s;
        if (is_off(off[n])) ov->skewed = true;
        n++;
    }
    if (n >= LEAST) {
        qsort(off, n, sizeof *off, by_size);
        ahead = off[n / 2];
    }
    free(off);
    return ahead;
}

static void look(struct ov *ov, struct xn_out *out)
{
    bool was = ov->clock_off_s != 0;
    int64_t ahead = ahead_s(ov);

    ov->clock_off_s = is_off(ahead) ? ahead : 0;
    if (ov->clock_off_s && !was) {
        xn_out_log(out, XN_LOG_WARN,
                   "our clock is %lld s %s those of most nodes: what is dated "
                   "is judged wrongly here, so searches are left to others; "
                   "set it (NTP)",
                   (long long)llabs(ahead), ahead > 0 ? "ahead of" : "behind");
    } else if (was && !ov->clock_off_s) {
        xn_out_log(out, XN_LOG_INFO, "our clock agrees with most nodes' again");
    }
}

/* What others said may have changed with ours: where hosts were suspended, or
 * had started with no clock and found one. */
static void ask_again(struct ov *ov, const struct xn_now *now,
                      struct xn_out *out)
{
    size_t i;

    for (i = 0; i < ov->by_peer.n; i++) {
        struct link *link = link_at(&ov->by_peer, i);

        link->clock_s = 0;
        if (link->state != LINK_LIVE || link->visit) continue;
        link->clock_asked = true;
        link_say_hello(ov, now, link, false, out);
    }
}

bool ov_clock(struct ov *ov, const struct xn_now *now, struct xn_out *out)
{
    int64_t base = base_s(now), by = base - ov->base_s;
    bool wrong = ov->clock_off_s != 0, first = ov->clock_us == 0;

    if (first || llabs(by) >= SET_S) {
        ov->base_s = base;
        ov->clock_us = now->mono_us + LOOK_US;
        if (first) return false;
        xn_out_log(out, XN_LOG_INFO, "our clock was set by %lld s",
                   (long long)by);
        ov->clock_off_s = 0;
        ov->skewed = false;
        ask_again(ov, now, out);
        return wrong || is_off(by);
    }
    if ((ov->skewed || wrong) && now->mono_us >= ov->clock_us) {
        ov->clock_us = now->mono_us + LOOK_US;
        look(ov, out);
    }
    return wrong && !ov->clock_off_s;
}

int64_t ov_clock_off_s(const struct ov *ov)
{
    return ov->clock_off_s;
}
